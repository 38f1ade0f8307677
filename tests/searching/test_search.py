"""A library of two videos and a picture, searched: what is there is found, what is not is not."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from library_made import small_encoder, write_video
from PIL import Image

from firstsight.api import Library
from firstsight.encoder.encoder import Encoder
from firstsight.footage.encoding import VideoWriter
from firstsight.indexing.index_files import add
from firstsight.library.store import Store
from firstsight.searching.query import read_query
from firstsight.searching.regions import Box
from firstsight.searching.search import SearchResult, search

# Seconds at which the shots of the city traffic begin and end.
SHOTS = [0, 1.2, 3.04, 5.48, 7.48, 9.68, 10]


@pytest.fixture(scope="module")
def encoder(bikes_encoder: Encoder) -> Encoder:
    return bikes_encoder


@pytest.fixture(scope="module")
def folder(bikes: Path, moving_square: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The traffic without the shot from 5.48 to 7.48 s, a wandering square, and noise as a picture."""
    root = tmp_path_factory.mktemp("footage")
    shutil.copy(bikes, root / "traffic.mp4")
    with VideoWriter(root / "square.mp4", size=(64, 48)) as writer:
        for index, frame in enumerate(moving_square):
            writer.write(frame, seconds=index / 25)
    noise = np.random.default_rng(0).integers(0, 256, (90, 160, 3), dtype=np.uint8)
    Image.fromarray(noise).save(root / "noise.png")
    return root


@pytest.fixture(scope="module")
def library(encoder: Encoder, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store.create(tmp_path_factory.mktemp("libraries") / "traffic", encoder, frames_per_second=5) as library:
        add(library, [folder])
        add(library, [folder / "noise.png"])
        yield library


def find(library: Store, text: str | Path, **options: object) -> SearchResult:
    return search(library, read_query(str(text), library.encoder), **options)


def shot_of(seconds: float) -> int:
    return sum(begin <= seconds for begin in SHOTS)


@pytest.mark.parametrize("seconds", [0.4, 2.0, 4.2, 6.4, 8.6])
def test_a_frame_of_the_library_finds_itself_and_says_so(library: Store, folder: Path, seconds: float) -> None:
    result = find(library, folder / f"traffic.mp4@{seconds}")
    best = result.matches[0]
    assert best.is_query
    assert best.source == "traffic.mp4"
    assert best.seconds == pytest.approx(seconds, abs=1e-3)
    assert best.similarity > 0.999
    assert best.false_match_probability < 1e-3
    assert shot_of(best.start_seconds) == shot_of(seconds)


def test_without_itself_the_same_shot_is_found_elsewhere(library: Store, folder: Path) -> None:
    result = find(library, folder / "traffic.mp4@2.0", not_itself=True)
    assert "traffic.mp4" not in {match.source for match in result.matches}
    assert not result.matches or not result.matches[0].is_query


def test_a_copy_of_the_querys_file_counts_as_itself(library: Store, folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "traffic.mp4", tmp_path / "other name.mp4")
    text = f"{tmp_path / 'other name.mp4'}@2.0"
    assert find(library, text).matches[0].is_query
    assert find(library, text, not_itself=True).nearest.source != "traffic.mp4"


def test_a_file_that_has_changed_since_is_still_itself(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", seed=0)
    write_video(tmp_path / "b.mp4", seed=1)
    with Library.create(tmp_path / "library", tmp_path, encoder=small_encoder()) as library:
        write_video(path, seed=0, num_frames=60)  # as a recording that goes on
        assert library.search(f"{path}@1", not_itself=True).nearest.source == "b.mp4"


def test_a_box_lies_in_the_picture_that_was_indexed_not_in_another_by_its_name(
    encoder: Encoder, moving_square: np.ndarray, tmp_path: Path
) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (20, 90, 160, 3), dtype=np.uint8)
    path, query = tmp_path / "noise.mp4", tmp_path / "noise.png"
    Image.fromarray(noise[0]).save(query)
    with VideoWriter(path, size=(160, 90)) as writer:
        for index, frame in enumerate(noise):
            writer.write(frame, seconds=index / 5)
    with Store.create(tmp_path / "library", encoder) as library:
        add(library, [path])
        with VideoWriter(path, size=(64, 48)) as writer:
            writer.write(moving_square[0], seconds=0)
        found = search(library, read_query(str(query), encoder), box=Box(40, 20, 60, 40)).nearest
    assert found.box is not None
    assert found.picture_size == (160, 90)
