"""Decoys that count and those that do not: black frames, pictures that look the same upside down, copies."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from firstsight.encoder.encoder import Encoder
from firstsight.footage.encoding import VideoWriter
from firstsight.footage.frames import PixelByPixel
from firstsight.footage.source import open_source
from firstsight.indexing.index_files import add
from firstsight.library.embeddings import Embeddings
from firstsight.library.store import Store
from firstsight.progress import Progress
from firstsight.report.search import render_search_page
from firstsight.searching.calibration import ASSUMED_THRESHOLD, MIN_DECOYS, Background
from firstsight.searching.decoys import Decoys, Measurement, background_of, decoys_of, has_contrast
from firstsight.searching.query import read_query
from firstsight.searching.region_search import region_background
from firstsight.searching.regions import Box, match_region
from firstsight.searching.search import search
from firstsight.searching.verdict import verdict

SHOTS = [(0, 30), (30, 76), (76, 137), (137, 187), (187, 242)]


@pytest.fixture(scope="module")
def encoder(bikes_encoder: Encoder) -> Encoder:
    return bikes_encoder


@pytest.fixture(scope="module")
def clips(bikes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The five shots of the city traffic, a clip each; and each once more with a second of black before and after."""
    with open_source(bikes).read(PixelByPixel()) as reading:
        pictures = [np.ascontiguousarray(frame.pixels[::2, ::2]) for frame in reading]
    black = [np.zeros_like(pictures[0])] * 25
    root = tmp_path_factory.mktemp("shots")
    for kind, edge in (("plain", []), ("black", black)):
        (root / kind).mkdir()
        for number, (start, end) in enumerate(SHOTS):
            height, width = pictures[0].shape[:2]
            with VideoWriter(root / kind / f"{number}.mp4", size=(width, height)) as writer:
                for index, picture in enumerate([*edge, *pictures[start:end], *edge]):
                    writer.write(picture, seconds=index / 25)
    return root


def library_of(folder: Path, encoder: Encoder, clips: Path) -> Store:
    library = Store.create(folder, encoder, frames_per_second=5)
    add(library, [clips])
    return library


@pytest.fixture(scope="module")
def measured(encoder: Encoder, clips: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Background]:
    """A library of the plain clips, and its background, which it has kept."""
    with library_of(tmp_path_factory.mktemp("measured") / "library", encoder, clips / "plain") as library:
        return library.path, background_of(library)


@pytest.fixture
def plain(measured: tuple[Path, Background], tmp_path: Path) -> Iterator[Store]:
    """A copy of that library."""
    with Store.open(shutil.copytree(measured[0], tmp_path / "plain")) as library:
        yield library


def test_black_frames_move_no_threshold(
    encoder: Encoder, clips: Path, measured: tuple[Path, Background], tmp_path: Path
) -> None:
    black = library_of(tmp_path / "black", encoder, clips / "black")
    thresholds = [background.threshold(0.05) for background in (measured[1], background_of(black))]
    assert thresholds[1] == pytest.approx(thresholds[0], abs=0.1)
    assert thresholds[1] < 0.8
    result = search(black, read_query(f"{clips / 'black' / '2.mp4'}@2.0", encoder))
    assert result.matches[0].is_query


def test_a_box_is_measured_by_several_windows_of_each_frame(encoder: Encoder, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for clip in range(6):  # black, but for one corner
        with VideoWriter(tmp_path / f"{clip}.mp4", size=(160, 120)) as writer:
            for index in range(10):
                picture = np.zeros((120, 160, 3), np.uint8)
                picture[:40, :50] = random.integers(0, 256, (4, 5, 3), np.uint8).repeat(10, 0).repeat(10, 1)
                writer.write(picture, seconds=index / 5)
    library = library_of(tmp_path / "library", encoder, tmp_path)
    assert library.num_frames == 60
    background = region_background(library, match_region(encoder, Box(0, 0, 40, 30), (160, 120)))
    assert len(background.decoys) >= 30  # of sixty frames: one window in five shows something


def test_what_is_measured_is_kept_until_the_footage_changes(
    plain: Store, clips: Path, measured: tuple[Path, Background]
) -> None:
    reported: list[Progress] = []
    first, again = measured[1], background_of(plain, progress=reported.append)
    assert reported == []
    assert again.threshold(0.05) == pytest.approx(first.threshold(0.05), abs=1e-6)
    add(plain, [clips / "black" / "0.mp4"])
    assert len(background_of(plain).decoys) != len(first.decoys)


def test_a_measurement_whose_file_is_damaged_is_made_again(plain: Store, measured: tuple[Path, Background]) -> None:
    first, (file,) = measured[1], plain.path.rglob("background.npz")
    entry = b"PK\x01\x02\x2d\x03\x2d\x00"  # of the archive's directory
    assert entry + b"\x00" in file.read_bytes()
    file.write_bytes(file.read_bytes().replace(entry + b"\x00", entry + b"\x01"))  # "encrypted"
    reported: list[Progress] = []
    assert background_of(plain, progress=reported.append).decoys == pytest.approx(first.decoys, abs=1e-6)
    assert reported


def test_of_few_frames_nothing_is_measured_and_that_is_said(encoder: Encoder, clips: Path, tmp_path: Path) -> None:
    library = Store.create(tmp_path / "library", encoder, every=1_000)
    add(library, [clips / "plain" / "0.mp4", clips / "plain" / "1.mp4"])
    assert library.num_frames == 2
    result = search(library, read_query(f"{clips / 'plain' / '0.mp4'}@0", encoder))
    assert not result.background.is_measured
    assert result.threshold == ASSUMED_THRESHOLD
    assert result.matches[0].is_query
    assert result.matches[0].to_json()["false_match_probability"] is None
    page = render_search_page(result, library)
    assert "the broken line is assumed" in page
    assert "something absent gets this close" not in page


def test_a_rate_that_the_decoys_do_not_support_is_called_a_guess(encoder: Encoder, plain: Store, clips: Path) -> None:
    query = read_query(f"{clips / 'plain' / '0.mp4'}@0.4", encoder)
    least = background_of(plain).rarest_rate
    told = [verdict(search(plain, query, false_match_rate=rate)) for rate in (least, least / 2)]
    assert ["support no rate below" in one for one in told] == [False, True]


def test_the_nearest_are_given_though_they_do_not_match(encoder: Encoder, plain: Store, clips: Path) -> None:
    query = read_query(f"{clips / 'plain' / '0.mp4'}@0.4", encoder)
    usual, nearest = (search(plain, query, k=6, nearest=is_nearest) for is_nearest in (False, True))
    assert nearest.matches == usual.matches
    assert usual.below == ()
    assert len(nearest.matches) + len(nearest.below) >= 5  # one of each clip at least
    scores = [match.similarity for match in (*nearest.matches, *nearest.below)]
    assert scores == sorted(scores, reverse=True)
    assert all(match.similarity < nearest.threshold for match in nearest.below)


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def frames(vectors: np.ndarray, sources: np.ndarray, seconds: np.ndarray) -> Embeddings:
    names = tuple(f"{number}.mp4" for number in range(sources.max() + 1))
    return Embeddings(vectors, seconds, np.arange(len(vectors)), sources, names)


def slow_bests(decoys: Decoys, all_frames: Embeddings, groups: np.ndarray, far: float) -> list[float]:
    """One decoy and one frame at a time."""
    found, origins = [], []
    sizes = {group: (groups[all_frames.source_indices] == group).sum() for group in set(groups.tolist())}
    for row in range(len(decoys.vectors)):
        group = groups[decoys.origins.source_indices[row]]
        counts_own = sizes[group] > len(all_frames) / 2
        best, origin = -1.0, -1.0
        for other in range(len(all_frames)):
            is_own = groups[all_frames.source_indices[other]] == group
            is_far = abs(decoys.origins.seconds[row] - all_frames.seconds[other]) >= far
            if is_own and not (counts_own and is_far):
                continue
            similarity = float(decoys.vectors[row] @ all_frames.vectors[other])
            if similarity > best:
                best, origin = similarity, float(decoys.origins.vectors[row] @ all_frames.vectors[other])
        if best > -1:
            found.append(best)
            origins.append(origin)
    return sorted(slow_telling(found, origins))


def slow_telling(found: list[float], origins: list[float]) -> list[float]:
    """One after the other, until none is added."""
    chosen = [row for row, (best, origin) in enumerate(zip(found, origins, strict=True)) if origin < best]
    if len(chosen) < MIN_DECOYS:
        return found
    while True:
        by_chance = Background(np.empty(0, np.float32), np.sort([found[row] for row in chosen]), 0).threshold(1e-3)
        rest = set(range(len(found))) - set(chosen)
        added = [row for row in rest if origins[row] < by_chance]
        if not added:
            return [found[row] for row in chosen]
        chosen += added


@pytest.mark.parametrize("sizes", [(40, 40, 40), (100, 10, 10), (120,), (0, 60, 60)])
@pytest.mark.parametrize("copies", [False, True])
def test_a_decoy_is_compared_with_what_has_nothing_to_do_with_it(sizes: tuple[int, ...], copies: bool) -> None:
    random = np.random.default_rng(0)
    sources = np.repeat(np.arange(len(sizes)), sizes)
    seconds = np.concatenate([np.arange(size, dtype=float) for size in sizes])
    everything = frames(unit(random.standard_normal((120, 12)) + 0.5 * random.standard_normal(12)), sources, seconds)
    groups = np.zeros(len(sizes), np.int64) if copies else np.arange(len(sizes))
    rows = np.arange(0, 120, 2)
    decoys = Decoys(unit(random.standard_normal((60, 12)) + 0.3 * everything.vectors[rows]), everything[rows])
    measurement = Measurement(decoys, groups, far_seconds=20.0)
    for start in range(0, 120, 37):
        measurement.add(everything[start : start + 37])
    np.testing.assert_allclose(np.sort(measurement.bests()), slow_bests(decoys, everything, groups, 20.0), atol=1e-6)


def test_a_decoy_that_is_itself_says_nothing() -> None:
    """Thirty decoys are their own frame, which a second source shows as well; thirty are not."""
    random = np.random.default_rng(1)
    own = unit(random.standard_normal((60, 64)))
    other = np.concatenate([own[:30], unit(random.standard_normal((200, 64)))])
    sources = np.repeat([0, 1], [60, 230])
    everything = frames(np.concatenate([own, other]), sources, np.arange(290.0))
    vectors = np.concatenate([own[:30], unit(random.standard_normal((30, 64)))])
    measurement = Measurement(Decoys(vectors, everything[np.arange(60)]), np.arange(2), far_seconds=20.0)
    measurement.add(everything)
    assert len(measurement.bests()) == 30
    assert measurement.bests().max() < 0.8


def test_a_decoy_that_is_more_like_its_frame_by_chance_says_something() -> None:
    """Of two hundred random ones half find what is more like the frame that they were made of, by chance."""
    random = np.random.default_rng(2)
    everything = frames(unit(random.standard_normal((600, 16))), np.repeat([0, 1], [200, 400]), np.arange(600.0))
    vectors = unit(everything.vectors[:200] + 0.3 * random.standard_normal((200, 16)))  # each a near likeness
    measurement = Measurement(Decoys(vectors.astype(np.float32), everything[np.arange(200)]), np.arange(2), 20.0)
    measurement.add(everything)
    expected = (vectors @ everything.vectors[200:].T).max(axis=1)
    assert np.sort(measurement.bests()) == pytest.approx(np.sort(expected), abs=1e-6)


def test_a_picture_without_contrast_is_none() -> None:
    assert not has_contrast(np.full((40, 60, 3), 130, np.uint8))
    assert has_contrast(np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8))


@pytest.mark.parametrize("shape", [(120, 160, 3), (1, 1, 3), (1, 90, 3), (2, 2, 3)])
def test_decoys_have_the_size_of_the_picture(shape: tuple[int, int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    assert [decoy.shape for decoy in decoys_of(picture, np.random.default_rng(0))] == [shape, shape]
