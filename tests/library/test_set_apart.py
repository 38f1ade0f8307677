"""What was judged not to be the same stays apart: for copies, for searches, after a rename; and can be undone."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from library_made import small_encoder, write_video
from PIL import Image

import firstsight
from firstsight.api import Library
from firstsight.errors import LibraryError, SettingsError
from firstsight.library.set_apart import Part, read_pairs, set_apart


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    footage = tmp_path / "footage"
    write_video(footage / "a.mp4", seed=1)
    shutil.copy(footage / "a.mp4", footage / "b.mp4")
    write_video(footage / "c.mp4", seed=2)
    with Library.create(tmp_path / "library", footage, encoder=small_encoder(), frames_per_second=5) as made:
        yield made


def copies(library: Library) -> set[tuple[str, str]]:
    return {(one.first, one.second) for one in library.duplicates().shared}


def test_sources_that_were_set_apart_are_no_copies_until_they_are_reunited(library: Library) -> None:
    assert ("a.mp4", "b.mp4") in copies(library)
    library.set_apart("b.mp4", "a.mp4")
    library.set_apart("a.mp4", "b.mp4")  # twice is once
    assert ("a.mp4", "b.mp4") not in copies(library)
    assert library.duplicates().num_apart == 1
    with Library.open(library.path) as again:
        assert ("a.mp4", "b.mp4") not in copies(again)
    assert library.reunite("a.mp4", "b.mp4")
    assert not library.reunite("a.mp4", "b.mp4")
    assert ("a.mp4", "b.mp4") in copies(library)


@pytest.mark.parametrize("as_pixels", [False, True])
def test_a_moment_that_was_set_apart_is_not_found_again(library: Library, tmp_path: Path, as_pixels: bool) -> None:
    query = f"{tmp_path}/footage/c.mp4@2.0"
    picture = firstsight.frame_at(tmp_path / "footage" / "c.mp4", 2.0).pixels if as_pixels else query
    before = library.search(picture)
    best = before.matches[0]
    library.set_apart(before, best)
    after = library.search(picture)
    apart = (best.source, best.start_seconds, best.end_seconds)
    assert all(not (one.source == apart[0] and apart[1] <= one.seconds < apart[2]) for one in after.matches)
    assert after.num_apart > 0
    assert after.to_json()["num_apart"] == after.num_apart
    assert library.reunite(before, best)
    assert library.search(picture).matches[0].moment == best.moment


def test_there_is_a_nearest_moment_even_if_all_were_set_apart(tmp_path: Path) -> None:
    write_video(tmp_path / "one.mp4", seed=1, num_frames=30)
    with Library.create(tmp_path / "library", tmp_path / "one.mp4", encoder=small_encoder()) as library:
        result = library.search(f"{tmp_path}/one.mp4@0.4")
        library.set_apart(result, result.nearest)
        again = library.search(f"{tmp_path}/one.mp4@0.4")
        assert not again.matches
        assert again.nearest.source == "one.mp4"


def test_a_damaged_record_is_an_error_that_names_the_file(library: Library) -> None:
    (library.path / "set-apart.json").write_text('{"pairs": [1]}')
    with pytest.raises(LibraryError, match=r"set-apart\.json is damaged"):
        library.duplicates()


def test_only_names_or_a_result_and_its_moment_can_be_set_apart(library: Library, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(tmp_path / "black.png")
    result = library.search(tmp_path / "black.png")
    with pytest.raises(SettingsError, match="names of two sources"):
        library.set_apart("a.mp4", result.nearest)
    with pytest.raises(SettingsError, match="names of two sources"):
        library.set_apart("a.mp4", "a.mp4")
    with pytest.raises(LibraryError, match="not in the library"):
        library.set_apart("a.mp4", "elsewhere.mp4")


def test_a_judgement_holds_for_frames_nearby_in_time(tmp_path: Path) -> None:
    set_apart(tmp_path, Part("query", 3.0, 3.0), Part("other", 10.0, 12.0))
    (pair,) = read_pairs(tmp_path)
    assert pair.first.is_about(Part("query", 3.4, 3.4))
    assert not pair.first.is_about(Part("query", 4.0, 4.0))
    assert not pair.first.is_about(Part("query"))
    assert pair.second.covers(np.array([9.0, 9.6, 12.4, 13.0])).tolist() == [False, True, True, False]


def test_of_judgements_made_at_once_none_is_lost(tmp_path: Path) -> None:
    def judge(number: int) -> None:
        for index in range(20):
            set_apart(tmp_path, Part(f"{number}-{index}"), Part("other"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(judge, range(4)))
    assert len(read_pairs(tmp_path)) == 80
