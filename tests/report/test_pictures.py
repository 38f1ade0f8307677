"""Where things lie in pictures and pages."""

import io
from importlib import resources

import numpy as np
import pytest
from PIL import Image

from firstsight.comparison.compare import Comparison
from firstsight.comparison.neighbours import Neighbour, Neighbourhood
from firstsight.encoder.encoder import Agreement, CellMatch
from firstsight.footage.frames import Frame
from firstsight.report.comparison import _outstanding
from firstsight.report.drawing import agreement_picture, agreement_scale, neighbours_picture
from firstsight.report.exploration import _COLOURS, _OTHERS, place

PAGES = ("clusters_page.html", "duplicates_page.html", "map_page.html", "page.html", "search_page.html")


def frame(pixels: np.ndarray, *, source: str = "clip") -> Frame:
    return Frame((pixels,), 0.0, 0, source, (1, 1))


@pytest.mark.parametrize("num", [4, 60, 600])
def test_pictures_on_a_map_lie_inside_and_apart(num: int) -> None:
    dots = np.random.default_rng(num).random((num, 2))
    rows = list(range(0, num, 4))
    sizes = [(0.07, 0.04)] * len(rows)
    middles = place(dots, rows, sizes)
    found = np.array([one for one in middles if one is not None])
    assert 4 * len(found) >= 3 * min(len(rows), 100)
    assert (np.abs(found - 0.5) <= 0.5 - np.array([0.035, 0.02])).all()
    apart = (np.abs(found[:, None] - found) >= (0.07, 0.04)).any(axis=2)
    assert (apart | np.eye(len(found), dtype=bool)).all()


def test_a_picture_covers_no_dots_where_there_is_room_beside_them() -> None:
    dots = 0.5 + 0.02 * np.random.default_rng(0).random((50, 2))
    (middle,) = place(dots, [7], [(0.07, 0.04)])
    assert not (np.abs(dots - middle) <= (0.035, 0.02)).all(axis=1).any()
    assert np.abs(dots[7] - middle).max() < 0.2


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


@pytest.mark.parametrize("colour", [*_COLOURS, _OTHERS])
def test_the_colours_of_sources_differ_from_both_grounds(colour: str) -> None:
    for ground in ("#f2f3f5", "#1d2024"):
        dark, light = sorted((luminance(colour), luminance(ground)))
        assert (light + 0.05) / (dark + 0.05) >= 3


@pytest.mark.parametrize("page", PAGES)
def test_pages_share_a_style_and_fit_narrow_and_dark_screens(page: str) -> None:
    folder = resources.files("firstsight.report")
    assert (folder / page).read_text().startswith('{% extends "base.html" %}\n')
    base = (folder / "base.html").read_text()
    assert '{% include "style.css" %}' in base
    assert '<meta name="viewport"' in base


def test_wide_neighbours_have_flat_rows_and_captions_with_names() -> None:
    wide, tall = np.zeros((40, 80, 3), np.uint8), np.zeros((80, 40, 3), np.uint8)
    row = Neighbourhood("a.png", "", wide, (Neighbour(frame(wide, source="b.png"), 0.5),))
    other = Neighbourhood("a.png", "", wide, (Neighbour(frame(tall, source="b.png"), 0.5),))
    heights = [Image.open(io.BytesIO(neighbours_picture(rows))).height for rows in ([row], [other], [row, other])]
    assert heights == [6 + 56 + 28 + 6, 6 + 112 + 28 + 6, 6 + 56 + 28 + 6 + 112 + 28 + 6]
    pictures = [
        np.asarray(Image.open(io.BytesIO(neighbours_picture([Neighbourhood(name, "", wide, row.neighbours)]))))
        for name in ("a.png", "c.png", "folder/c.png")
    ]
    assert (pictures[0] != pictures[1]).any()
    assert (pictures[1] == pictures[2]).all()


@pytest.mark.parametrize(
    ("values", "mean", "kept"),
    [([0.99, 0.8, 0.47, 0.09], 0.01, 2), ([-0.3, -0.29, 0.0], 0.0, 2), ([0.5, 0.5], 0.5, 2), ([], None, 0)],
)
def test_only_moments_that_stand_out_are_called_similar(values: list[float], mean: float | None, kept: int) -> None:
    one = frame(np.zeros((1, 1, 3), np.uint8))
    moments = [Comparison(one, one, value, np.empty(0, np.intp)) for value in values]
    assert _outstanding(moments, mean) == moments[:kept]


def agreement(*matches: CellMatch, shows: bool = True) -> Agreement:
    """Of 4x6 cells, all of which show something, or none."""
    first, second = np.zeros((4, 6), np.float32), np.zeros((4, 6), np.float32)
    for match in matches:
        first[match.first], second[match.second] = match.support, match.support
    return Agreement(0.1, first, second, np.full((4, 6), shows), np.full((4, 6), shows), matches)


def test_colours_lie_on_the_cells_that_agree_and_a_line_joins_them() -> None:
    frame, other = np.full((80, 120, 3), 200, np.uint8), np.full((160, 240, 3), 200, np.uint8)
    picture = agreement_picture(frame, other, agreement(CellMatch((0, 0), (3, 5), 1.0)))
    assert picture.shape == (80, 120 + 8 + 120, 3)
    coloured = np.ptp(picture, axis=2) > 60
    assert coloured[10, 10]
    assert coloured[70, 128 + 110]
    assert not coloured[70, 10]
    assert not coloured[10, 128 + 110]
    middle = 124  # of the seam, where the line is half way
    assert np.flatnonzero(coloured[:, middle]).tolist() == pytest.approx([40], abs=2)


def test_without_a_match_pictures_are_grey_and_whole() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    for found in (agreement(), agreement(shows=False)):
        picture = agreement_picture(noise, noise, found)
        assert not np.ptp(picture, axis=2).any()
        assert picture[:, :60].std() > 10


def test_of_matches_side_by_side_only_the_strongest_has_a_line() -> None:
    ground = np.zeros((80, 120, 3), np.uint8)
    matches = [CellMatch((1, column), (1, column), 1 - column / 10) for column in range(3)]
    above, below = (CellMatch((3, 0), (3, 0), support) for support in (1.0, 0.1))
    lines = agreement_picture(ground, ground, agreement(above, *matches, below))[:, 122]
    assert len(np.flatnonzero(np.ptp(lines, axis=1) > 20)) <= 4  # two lines of a pixel or two


def test_a_single_cell_and_a_narrow_frame_can_be_drawn() -> None:
    one = np.ones((1, 1), np.float32)
    found = Agreement(1.0, one, one, one > 0, one > 0, (CellMatch((0, 0), (0, 0), 1.0),))
    assert agreement_picture(np.zeros((2, 2, 3), np.uint8), np.zeros((64, 2, 3), np.uint8), found).shape == (2, 11, 3)


def test_brighter_is_more_support_on_the_scale() -> None:
    light = agreement_scale()[0].astype(float) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(light) > -1).all()
    assert light[-1] - light[0] > 200
