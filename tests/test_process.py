"""What is asked of the process: nothing by importing, of threads only meanwhile, of the allocator never."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import firstsight
from firstsight import process
from firstsight.process import describe_waiting, passive_waiting


@pytest.fixture
def _two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(process, "_SLEEPERS", process._Sleepers())  # what other tests left at work is not asked
    torch.set_num_threads(2)
    torch.ones(1_000_000).sum()  # so that the team of this thread is there


needs_gnu_openmp = pytest.mark.skipif(
    "libgomp" not in Path("/proc/self/maps").read_text() if Path("/proc/self/maps").exists() else True,
    reason="this PyTorch does not use GNU OpenMP",
)


_COUNTED = """
import os, torch
from firstsight.process import describe_waiting, passive_waiting

def num_threads():
    return len(os.listdir("/proc/self/task"))

torch.set_num_threads(2)
torch.ones(1_000_000).sum()  # so that the team of this thread is there
before = num_threads()
with passive_waiting():
    inside = num_threads()
    with passive_waiting():
        assert num_threads() == inside
    assert describe_waiting() == "passive"
assert inside - before >= len(os.sched_getaffinity(0)), (before, inside)
assert describe_waiting() == "default"
"""


@needs_gnu_openmp
def test_more_threads_than_there_are_cores_sleep_meanwhile() -> None:
    said = {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}
    environment = {name: value for name, value in os.environ.items() if name not in said}
    subprocess.run([sys.executable, "-c", _COUNTED], check=True, env=environment)


@needs_gnu_openmp
@pytest.mark.usefixtures("_two_threads")
def test_an_error_inside_ends_it_too() -> None:
    with pytest.raises(ValueError, match="inside"), passive_waiting():  # noqa: PT012  # both belong inside
        assert describe_waiting() == "passive"
        raise ValueError("inside")
    assert describe_waiting() == "default"


@pytest.mark.usefixtures("_two_threads")
@pytest.mark.parametrize("name", ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"])
def test_what_the_user_says_stays(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "active")
    with passive_waiting():
        assert not process._SLEEPERS.are_there
        assert describe_waiting() == f"{name}=active"


def test_one_thread_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_SLEEPERS", process._Sleepers())
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    with passive_waiting():
        assert describe_waiting() == "default"


@needs_gnu_openmp
@pytest.mark.usefixtures("_two_threads")
def test_learning_says_how_it_waited_and_gives_the_same(
    moving_square: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"num_levels": 1, "maps": 4, "hidden_maps": 8, "crop_size": 48, "input_size": 32, "frames_per_level": 20}
    passive = firstsight.learn(moving_square[:40], **settings)
    monkeypatch.setenv("GOMP_SPINCOUNT", "300000")
    spinning = firstsight.learn(moving_square[:40], **settings)
    assert passive.provenance["machine"]["waiting"] == "passive"
    assert spinning.provenance["machine"]["waiting"] == "GOMP_SPINCOUNT=300000"
    assert passive.fingerprint == spinning.fingerprint


_LEAVES_THE_ALLOCATOR_ALONE = """
import resource
import numpy as np
from firstsight import Encoder
from firstsight.article.model import untrained
encoder = untrained(seed=0)
encoder.encode(np.zeros((2, 360, 360, 3), np.uint8))

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() // 2**20

before = resident()
blocks = [np.ones(2**20) for _ in range(40)]
del blocks
print(resident() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_encoding_leaves_the_allocator_alone() -> None:
    """320 MB of large blocks that the host frees go back to the system."""
    command = [sys.executable, "-c", _LEAVES_THE_ALLOCATOR_ALONE]
    kept = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert int(kept) < 100


def test_importing_the_parts_changes_nothing() -> None:
    code = (
        "import os, signal; before = dict(os.environ), signal.getsignal(signal.SIGINT);"
        "import firstsight.cli.main, firstsight.learning.learn, firstsight.process;"
        "assert before == (dict(os.environ), signal.getsignal(signal.SIGINT)), 'changed'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def test_a_deferred_package_runs_when_it_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "made_to_be_deferred"
    package.mkdir()
    (package / "__init__.py").write_text("from made_to_be_deferred import part\nanswer = part.value + 1\n")
    (package / "part.py").write_text("value = 41\n")
    monkeypatch.syspath_prepend(tmp_path)
    process.defer_import("made_to_be_deferred")
    process.defer_import("not_installed_at_all")
    made = importlib.import_module("made_to_be_deferred")
    assert importlib.import_module("made_to_be_deferred.part").value == 41
    assert "answer" not in vars(made)
    assert made.answer == 42
    with pytest.raises(AttributeError):
        _ = made.question
    for name in ("made_to_be_deferred", "made_to_be_deferred.part"):
        monkeypatch.delitem(sys.modules, name)
