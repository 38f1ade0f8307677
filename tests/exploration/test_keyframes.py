"""Keyframes of made vectors: each the frame least like all before it."""

from pathlib import Path

import numpy as np
import pytest
from library_made import Filled, filled, put, small_encoder, unit

from firstsight.errors import LibraryError, SettingsError
from firstsight.exploration.keyframes import farthest_first, find_keyframes
from firstsight.library.selection import Where
from firstsight.library.store import Store


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    sizes = {f"{letter}.mp4": size for letter, size in zip("abcd", (30, 200, 5, 60), strict=True)}
    return filled(tmp_path_factory.mktemp("made") / "library", sizes)


def test_each_source_that_looks_its_own_way_has_one(made: Filled) -> None:
    found = find_keyframes(made.library, 4)
    assert {one.source for one in found} == {"a.mp4", "b.mp4", "c.mp4", "d.mp4"}
    assert {one.source: one.num_frames for one in found} == {"a.mp4": 30, "b.mp4": 200, "c.mp4": 5, "d.mp4": 60}
    assert found[0].source == "b.mp4"  # most frames are like the mean's


def test_fewer_are_the_first_of_more(made: Filled) -> None:
    more, fewer = find_keyframes(made.library, 12), find_keyframes(made.library, 5)
    assert [one.frame_index for one in fewer] == [one.frame_index for one in more[:5]]
    similarities = [one.similarity for one in more]
    assert similarities[0] is None
    assert similarities[1:] == sorted(similarities[1:])
    assert sum(one.num_frames for one in more) == 295


def test_only_selected_frames_are_chosen_from(made: Filled) -> None:
    found = find_keyframes(made.library, 9, where=Where(("c.mp4",)))
    assert [one.source for one in found] == ["c.mp4"] * 5  # there are no more


def test_like_the_slow_and_obvious_way() -> None:
    vectors = unit(np.random.default_rng(0).standard_normal((80, 6)))
    rows = [row for row, _, _ in farthest_first(vectors, 10)]
    chosen = [int((vectors @ vectors.mean(axis=0)).argmax())]
    while len(chosen) < 10:
        chosen.append(int((vectors @ vectors[chosen].T).max(axis=1).argmin()))
    assert rows == chosen


def test_the_same_frame_is_not_taken_twice() -> None:
    vectors = unit(np.array([[1, 0], [1, 0], [0, 1], [0, 1.0]]))
    assert len(list(farthest_first(vectors, 4))) == 2


def test_only_the_first_is_like_none_before_it(tmp_path: Path) -> None:
    """The cosine of opposite frames is -1, which is a similarity."""
    with Store.create(tmp_path / "library", small_encoder()) as library:
        put(library, "a.mp4", np.outer([1, -1], np.eye(library.dim)[0]), number=1)
        library.refresh()
        assert [one.similarity for one in find_keyframes(library, 2)] == [None, -1]


def test_what_cannot_be_chosen_is_an_error(made: Filled, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="0 keyframes"):
        find_keyframes(made.library, 0)
    with pytest.raises(LibraryError, match="no frame to choose"):
        find_keyframes(Store.create(tmp_path / "empty", small_encoder()), 3)
