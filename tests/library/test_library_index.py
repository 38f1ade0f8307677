"""An index finds nearly all that comparing every frame finds, says how much, and keeps up with what is added."""

import json
from pathlib import Path

import numpy as np
import pytest
from library_made import Filled, filled, put, unit

from firstsight.library import vector_index as library_index
from firstsight.library.vector_index import FACTS_FILE, build, keep_up, read_facts
from firstsight.searching.nearest import find_nearest


@pytest.fixture
def made(tmp_path: Path) -> Filled:
    return filled(tmp_path / "library", {f"{number}.mp4": 120 for number in range(10)})


def test_its_recall_is_what_is_measured_from_outside(made: Filled) -> None:
    facts = build(made.library.tables)
    assert (facts.num_rows, facts.num_groups) == (1200, 35)
    assert facts.recall_at_10 >= 0.98
    assert facts == read_facts(made.library.tables)
    made.library.refresh()
    num_found, random = 0, np.random.default_rng(1)
    for row in random.integers(1200, size=40):
        query = unit(made.vectors[row] + 0.05 * random.standard_normal(100))
        best = np.sort(made.vectors @ query)[-10]
        found = find_nearest(made.library, query, k=10)
        assert not found.is_exact
        num_found += sum(one.similarity >= best - 1e-3 for one in found.frames)
    assert num_found / 400 > facts.recall_at_10 - 0.05


def test_more_groups_are_looked_at_until_nearly_all_are_found(made: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library_index, "_MIN_PROBES", 1)
    monkeypatch.setattr(library_index, "_MIN_RECALL", 0.0)
    few = build(made.library.tables, num_groups=60)
    monkeypatch.setattr(library_index, "_MIN_RECALL", 0.99)
    enough = build(made.library.tables, num_groups=60)
    assert few.num_probes == 1
    assert few.recall_at_10 < 0.9
    assert enough.num_probes > 1
    assert enough.recall_at_10 >= 0.99


def test_a_small_library_gets_none(made: Filled) -> None:
    assert keep_up(made.library.tables) is None
    assert read_facts(made.library.tables) is None
    assert list(made.library.tables.frames.list_indices()) == []


def test_it_keeps_up_with_what_is_added(made: Filled) -> None:
    tables = made.library.tables
    first = keep_up(tables, min_rows=1_000)
    assert first is not None
    assert keep_up(tables, min_rows=1_000) == first
    extra = unit(np.random.default_rng(5).standard_normal((400, 100)))
    put(made.library, "extra.mp4", extra, number=50)
    made.library.refresh()
    near = find_nearest(made.library, extra[7], k=1).frames[0]  # not in the index yet, and found all the same
    assert (near.source, near.frame_index) == ("extra.mp4", 7 * 12)
    second = keep_up(tables, min_rows=1_000)
    assert second is not None
    assert second.num_rows == 1200
    assert tables.frames.index_stats("vector_idx").num_unindexed_rows == 0
    put(made.library, "much.mp4", np.repeat(extra, 4, axis=0), number=51)
    third = keep_up(tables, min_rows=1_000)
    assert third is not None
    assert third.num_rows == 1200 + 400 + 1600


@pytest.mark.parametrize("damage", ["{", "[]", "recall_at_10: null", "recall_at_10: NaN", "num_queries: 1.5"])
def test_damaged_facts_are_measured_again(made: Filled, damage: str) -> None:
    build(made.library.tables)
    file = made.library.tables.folder / FACTS_FILE
    name, colon, value = damage.partition(": ")
    content = json.dumps({**json.loads(file.read_text()), name: "?"}).replace('"?"', value) if colon else damage
    file.write_text(content)
    made.library.refresh()
    assert find_nearest(made.library, made.vectors[0], k=3).is_exact
    assert keep_up(made.library.tables, min_rows=1_000) == read_facts(made.library.tables) is not None


def test_frames_like_nothing_are_no_one_s_neighbour(made: Filled) -> None:
    """A frame on which every map is zero has an embedding of length 0."""
    put(made.library, "black.mp4", np.zeros((50, 100), np.float32), number=77)
    opposite = -unit(made.vectors.mean(axis=0))
    expected = np.sort(made.vectors @ opposite)[::-1][:5]
    for with_index in (False, True):
        if with_index:
            build(made.library.tables, num_groups=10)
        made.library.refresh()
        found = [row.similarity for row in find_nearest(made.library, opposite, k=5).frames]
        np.testing.assert_allclose(found, expected, atol=1e-3)
        assert len(find_nearest(made.library, opposite, k=5_000).frames) == 1_200


def test_of_near_copies_the_nearest_comes_first(made: Filled) -> None:
    """16 bits change the length of a vector by more than near copies differ."""
    random = np.random.default_rng(2)
    copies = unit(made.vectors[0] + 0.003 * random.standard_normal((300, 100)))
    put(made.library, "copies.mp4", copies, number=78)
    for with_index in (False, True):
        if with_index:
            build(made.library.tables, num_groups=10)
        made.library.refresh()
        for row in (5, 77, 200):
            assert find_nearest(made.library, copies[row], k=1).frames[0].frame_index == row * 12
