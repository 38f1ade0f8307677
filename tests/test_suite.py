"""What makes the suite say the same thing everywhere."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info


def drawn() -> list[int]:
    """What a property of a million numbers is asked of."""
    found = []

    @settings(phases=[Phase.generate])
    @given(st.integers(0, 10**6))
    def anything(number: int) -> None:
        found.append(number)

    anything()
    return found


def test_each_process_computes_on_one_thread() -> None:
    assert {pool["num_threads"] for pool in threadpool_info()} == {1}


@pytest.mark.skipif(os.environ.get("HYPOTHESIS_PROFILE", "same") != "same", reason="new examples are drawn on purpose")
def test_the_same_examples_are_drawn_whatever_is_loaded(tmp_path: Path) -> None:
    before = drawn()
    module = tmp_path / "numbers_of_its_own.py"
    module.write_text(f"NUMBERS = {list(range(4321, 654321, 1000))}\n")
    spec = importlib.util.spec_from_file_location("numbers_of_its_own", module)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "numbers_of_its_own", loaded)
        assert drawn() == before
    assert len(set(before)) > 10
