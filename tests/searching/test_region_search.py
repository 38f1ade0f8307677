"""Boxes found by the cells that a library keeps: against the obvious, by colour, without a picture embedded again."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from library_made import layout_encoder
from PIL import Image

import firstsight
from firstsight.encoder.encoder import Encoder
from firstsight.errors import SettingsError
from firstsight.footage.encoding import VideoWriter
from firstsight.indexing.index_files import add
from firstsight.library.store import Store
from firstsight.searching.query import read_query
from firstsight.searching.region_search import CellMatcher, match_box, region_background
from firstsight.searching.regions import Box, RegionMatcher, least_size
from firstsight.searching.search import search

SIZE = (128, 96)
RED, BLACK = (210, 30, 30), (10, 10, 10)


def street(colour: tuple[int, int, int] | None, *, x: int, seed: int) -> np.ndarray:
    """A grey street with a car of that colour, or none."""
    picture = np.random.default_rng(seed).integers(110, 150, (96, 128, 1)).repeat(3, axis=2).astype(np.uint8)
    picture[:30] = (150, 170, 200)
    if colour:
        picture[46:72, x : x + 36] = colour
        picture[38:46, x + 8 : x + 28] = colour
        picture[50:58, x + 10 : x + 26] = (220, 230, 235)
    return picture


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three videos: a red car crosses, then a black one, then none."""
    root = tmp_path_factory.mktemp("streets")
    for number, (name, colour) in enumerate({"red": RED, "black": BLACK, "empty": None}.items()):
        with VideoWriter(root / f"{name}.mp4", size=SIZE) as writer:
            for index in range(24):
                writer.write(street(colour, x=3 * index, seed=100 * number + index), seconds=index / 4)
    return root


@pytest.fixture(scope="module")
def encoder(folder: Path) -> Encoder:
    return firstsight.learn(folder, seed=0, every=4)


@pytest.fixture(scope="module")
def library(encoder: Encoder, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store.create(tmp_path_factory.mktemp("libraries") / "streets", encoder, every=1) as library:
        add(library, [folder])
        yield library


@pytest.fixture
def red_car(folder: Path) -> tuple[str, Box]:
    return f"{folder / 'red.mp4'}@2.0", Box(22, 36, 40, 38)  # the ninth frame, where the car is at 24


def test_windows_are_compared_as_by_their_descriptors(encoder: Encoder) -> None:
    stage = encoder.model.second_stage
    assert stage is not None
    rows, columns = stage.grid
    cells = torch.from_numpy(encoder.describe(np.stack([street(RED, x=x, seed=x) for x in (0, 40)])).cells)
    vertical, horizontal = torch.rand(3, rows), torch.rand(4, columns)
    vertical, horizontal = (one / one.sum(dim=1, keepdim=True) for one in (vertical, horizontal))
    described = stage.window_descriptors(cells, vertical, horizontal)
    regions = described[0, :5]
    similarities = stage.window_similarities(cells, regions, vertical, horizontal)
    assert similarities.shape == (2, 12, 5)
    assert torch.allclose(similarities, described @ regions.T, atol=1e-5)
    assert torch.allclose(described.norm(dim=2), torch.ones(2, 12), atol=1e-5)
    one = stage.window_descriptors(cells, vertical[1:2], horizontal[2:3])
    assert torch.allclose(one[:, 0], described[:, 6], atol=1e-5)


def test_a_cell_outside_of_a_window_does_not_count(encoder: Encoder) -> None:
    stage = encoder.model.second_stage
    assert stage is not None
    rows, columns = stage.grid
    cells = torch.from_numpy(encoder.describe(street(RED, x=20, seed=0)[None]).cells)
    changed = cells.clone()
    changed[:, :, 0, 0] = cells[:, :, -1, -1]
    vertical, horizontal = torch.eye(rows)[1:2], torch.eye(columns)[2:3]
    one, other = (stage.window_descriptors(each, vertical, horizontal) for each in (cells, changed))
    assert torch.equal(one, other)


def test_a_box_is_most_like_itself_and_lies_where_it_was_drawn(library: Store, red_car: tuple[str, Box]) -> None:
    text, box = red_car
    query = read_query(text, library.encoder)
    matcher = match_box(library, box, SIZE)
    assert isinstance(matcher, CellMatcher)
    cells = library.encoder.describe(query.frame.pixels[None]).cells
    similarities, windows = matcher.best(cells, matcher.described(query.frame.pixels[None]))
    assert similarities[0, 0] == pytest.approx(1, abs=1e-5)
    assert matcher.placement.box_of(int(windows[0, 0]), SIZE) == box


def test_a_red_car_is_found_where_it_went_and_is_no_black_one(library: Store, red_car: tuple[str, Box]) -> None:
    text, box = red_car
    result = search(library, read_query(text, library.encoder), box=box, k=100, nearest=True)
    assert (result.nearest.source, result.nearest.is_query, result.nearest.box) == ("red.mp4", True, box)
    best: dict[str, float] = {}
    for match in (*result.matches, *result.below):
        best[match.source] = max(best.get(match.source, -1), match.similarity)
    assert best["red.mp4"] > best["black.mp4"] + 0.1
    matcher = match_box(library, box, SIZE)
    region = matcher.described(read_query(text, library.encoder).frame.pixels[None])
    later = library.encoder.describe(street(RED, x=54, seed=7)[None]).cells
    similarities, windows = matcher.best(later, region)
    assert similarities[0, 0] > best["black.mp4"]
    assert abs(matcher.placement.box_of(int(windows[0, 0]), SIZE).x - 52) <= 12  # a cell's width


def test_no_frame_is_embedded_again(library: Store, red_car: tuple[str, Box], monkeypatch: pytest.MonkeyPatch) -> None:
    text, box = red_car
    query = read_query(text, library.encoder)
    first = search(library, query, box=box)
    described: list[int] = []
    describe = library.encoder.describe

    def counted(frames: np.ndarray, **options: object) -> object:
        described.append(len(frames))
        return describe(frames, **options)

    monkeypatch.setattr(library.encoder, "describe", counted)
    monkeypatch.setattr(library.encoder, "features", None)
    monkeypatch.setattr(library, "thumbnails", None)
    assert search(library, query, box=box).matches == first.matches
    assert described == [1]  # the query


@pytest.mark.parametrize("size", [(128, 96), (1280, 960)])
def test_a_box_too_small_for_cells_is_refused_with_the_least_size(library: Store, size: tuple[int, int]) -> None:
    with pytest.raises(
        SettingsError, match=r"box 0,0,3,2 is too small .* valid is at least (\d+)x(\d+) pixels"
    ) as raised:
        match_box(library, Box(0, 0, 3, 2), size)
    width, height = map(int, str(raised.value).split("at least ")[1].split()[0].split("x"))
    with pytest.raises(SettingsError, match=f"at least {width}x{height}"):
        match_box(library, Box(0, 0, width - 1, height), size)
    background = region_background(library, match_box(library, Box(0, 0, width, height), size))
    assert background.is_measured


def test_a_library_without_cells_makes_the_maps_again(
    library: Store, folder: Path, tmp_path: Path, red_car: tuple[str, Box]
) -> None:
    text, box = red_car
    older = Encoder(replace(library.encoder.model, layout=None))
    with Store.create(tmp_path / "older", older, every=4) as store:
        add(store, [folder / "red.mp4"])
        assert isinstance(match_box(store, box, SIZE), RegionMatcher)
        result = search(store, read_query(text, older), box=box)
    assert (result.nearest.seconds, result.nearest.box) == (2.0, box)


_LAYOUT = layout_encoder()


def test_the_smallest_box_is_large_enough_when_it_is_rounded(tmp_path: Path) -> None:
    encoder, size = Encoder(replace(_LAYOUT.model, layout=None)), (96, 64)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "one.png")
    least = least_size(encoder.view.crop(*size))
    with Store.create(tmp_path / "library", encoder) as store:
        add(store, [tmp_path / "one.png"])
        result = search(store, read_query(pixels, encoder), box=Box(0, 0, *least))
        with pytest.raises(SettingsError, match=f"valid is at least {least[0]}x{least[1]} pixels"):
            search(store, read_query(pixels, encoder), box=Box(0, 0, least[0] - 1, least[1]))
    assert result.nearest.similarity > 0.8  # noise, of which a thumbnail is kept


def test_a_box_that_was_set_apart_leaves_the_frame_alone(
    library: Store, folder: Path, tmp_path: Path, red_car: tuple[str, Box]
) -> None:
    text, box = red_car
    asked = text, (box.x, box.y, *box.size)
    with firstsight.Library.create(tmp_path / "library", folder, encoder=library.encoder, every=4) as made:
        before = made.search(asked[0], box=asked[1])
        made.set_apart(before, before.nearest)
        assert made.search(asked[0]).num_apart == 0
        assert before.nearest.source == "red.mp4"
        assert made.search(asked[0], box=asked[1]).nearest.source == "black.mp4"
        assert made.reunite(before, before.nearest)
        assert made.search(asked[0], box=asked[1]).nearest.moment == before.nearest.moment


@pytest.mark.parametrize("encoder", [_LAYOUT, Encoder(replace(_LAYOUT.model, layout=None))], ids=["cells", "maps"])
def test_where_no_picture_has_contrast_a_box_is_no_match(encoder: Encoder, tmp_path: Path) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / "black.png")
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    with Store.create(tmp_path / "library", encoder) as store:
        add(store, [tmp_path / "black.png"])
        result = search(store, read_query(pixels, encoder), box=Box(0, 0, 48, 40))
    assert not result.matches
    assert not len(result.background.decoys)
