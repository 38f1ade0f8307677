"""Regions: geometry against the obvious, moments against loops, and an object that is found where it moved."""

import numpy as np
import pytest

import firstsight
from firstsight.article.model import untrained
from firstsight.encoder.encoder import Encoder
from firstsight.errors import SettingsError
from firstsight.pixels import Crop
from firstsight.searching.regions import (
    Box,
    Windows,
    arrange_windows,
    cell_shares,
    cells_of,
    match_region,
    num_windows,
    second_moments,
    single_window,
)


@pytest.fixture(scope="module")
def encoder(moving_square: np.ndarray) -> Encoder:
    return firstsight.learn(moving_square[::20], method="random")


def test_moments_equal_those_of_loops() -> None:
    maps = np.random.default_rng(0).standard_normal((3, 5, 7)).astype(np.float32)
    found = second_moments(maps, Windows(np.array([0, 2.0]), np.array([1, 3.0, 4.0]), height=2, width=3))
    assert found.shape == (6, 6)
    for row, top in enumerate((0, 2)):
        for column, left in enumerate((1, 3, 4)):
            inside = maps[:, top : top + 2, left : left + 3].reshape(3, -1)
            products = (inside @ inside.T / 6)[np.triu_indices(3)]
            expected = np.sign(products) * np.sqrt(np.abs(products))
            assert found[row * 3 + column] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("start", "length", "expected"),
    [(0, 2, [0.5, 0.5, 0, 0]), (0.5, 1, [0.5, 0.5, 0, 0]), (1, 2.5, [0, 0.4, 0.4, 0.2]), (3.2, 0, [0, 0, 0, 1])],
)
def test_a_cell_counts_in_proportion(start: float, length: float, expected: list[float]) -> None:
    assert cell_shares(np.array([start]), length, 4)[0] == pytest.approx(expected)


def test_windows_reach_from_edge_to_edge_and_hold_the_place_itself() -> None:
    window = single_window(3.3, 1.1, 4, 8)
    num = num_windows(window.height, 20), num_windows(window.width, 30)
    windows = arrange_windows(window, num, rows=20, columns=30)
    assert num == (7, 27)
    assert (windows.tops[0], windows.tops[-2], windows.lefts[-2]) == (0, 12, 26)
    last = windows.only(windows.num - 1)
    assert (last.tops[0], last.lefts[0]) == pytest.approx((1.1, 3.3))


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        (Box(0, 0, 100, 50), (0, 0, 8, 3)),  # all of it: the grid ends before the picture does
        (Box(40, 20, 20, 10), (3, 1, 2, 1)),
        (Box(45, 25, 20, 10), (3.5, 1.5, 2, 1)),
        (Box(0, 20, 4, 10), (0, 1, 0.25, 1)),  # between the edge and the first cell
    ],
)
def test_a_box_in_cells(box: Box, expected: tuple) -> None:
    """Ten pixels a cell, of which the first and the last are eaten by the kernel."""
    centres = np.arange(3) + 1.0, np.arange(8) + 1.0
    assert cells_of(box, centres, Crop(0, 0, 100, 50, 10, 5)) == pytest.approx(expected)


def test_a_box_outside_of_the_crop_is_refused() -> None:
    centres = np.arange(8) + 1.0, np.arange(8) + 1.0
    with pytest.raises(SettingsError, match=r"outside of the part of the picture that the encoder uses, 100,0,50,50"):
        cells_of(Box(0, 0, 90, 50), centres, Crop(100, 0, 50, 50, 10, 10))


def test_a_region_is_most_like_its_own_window(encoder: Encoder, moving_square: np.ndarray) -> None:
    box = Box(5, 7, 20, 16)
    matcher = match_region(encoder, box, (64, 48))
    region = matcher.described(moving_square[:1])
    similarities, windows = matcher.best(moving_square[:1], region)
    assert similarities[0, 0] == pytest.approx(1, abs=1e-5)
    assert matcher.placement.box_of(int(windows[0, 0]), (64, 48)) == box
    assert matcher.placement.box_of(int(windows[0, 0]), (128, 96)) == Box(10, 14, 40, 32)


def test_a_thing_is_found_where_it_went(encoder: Encoder) -> None:
    frames = np.full((2, 48, 64, 3), 90, np.uint8)
    frames[0, 6:18, 6:18:2] = frames[1, 30:42, 46:58:2] = 240  # stripes, first above on the left
    matcher = match_region(encoder, Box(4, 4, 16, 16), (64, 48))
    similarities, windows = matcher.best(frames, matcher.described(frames[:1]))
    found = matcher.placement.box_of(int(windows[1, 0]), (64, 48))
    assert similarities[1, 0] > 0.9
    assert abs(found.x - 44) <= 4  # a quarter of the box, by which windows lie apart
    assert abs(found.y - 28) <= 4  # a quarter of the box, by which windows lie apart


def test_all_levels_count_alike_and_one_can_be_chosen(encoder: Encoder, moving_square: np.ndarray) -> None:
    matchers = [match_region(encoder, Box(5, 7, 20, 16), (64, 48), level=level) for level in (None, 1, 2)]
    at_home = []
    for matcher in matchers:
        first, second = matcher.described(moving_square[[0, 30]])
        at_home.append(float(first @ second))
    assert at_home[0] == pytest.approx((at_home[1] + at_home[2]) / 2, abs=1e-5)


def test_the_articles_encoder_compares_its_last_level() -> None:
    encoder = untrained()
    matcher = match_region(encoder, Box(280, 200, 80, 90), (640, 480))
    assert matcher.levels == (4,)
    tiles = np.random.default_rng(0).integers(0, 255, (1, 12, 16, 3), dtype=np.uint8)
    picture = np.kron(tiles, np.ones((1, 40, 40, 1), np.uint8))
    similarities, windows = matcher.best(picture, matcher.described(picture))
    assert similarities[0, 0] == pytest.approx(1, abs=1e-5)
    assert matcher.placement.box_of(int(windows[0, 0]), (640, 480)) == Box(280, 200, 80, 90)


def test_a_box_outside_of_the_picture_is_refused(encoder: Encoder) -> None:
    with pytest.raises(SettingsError, match="does not lie in the picture, which is 64x48"):
        match_region(encoder, Box(50, 0, 20, 20), (64, 48))
