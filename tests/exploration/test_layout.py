"""Maps: alike is near, everything is inside, and few frames are no error."""

import numpy as np
import pytest

from firstsight.errors import SettingsError
from firstsight.exploration.layout import evenly_spaced, lay_out, place_others


def test_three_heaps_stay_three_heaps() -> None:
    random = np.random.default_rng(0)
    heaps = np.repeat(random.standard_normal((3, 16)), 25, axis=0)
    vectors = (heaps + 0.1 * random.standard_normal(heaps.shape)).astype(np.float32)
    points = lay_out(vectors)
    assert points.shape == (75, 2)
    assert points.min() >= 0
    assert points.max() <= 1 + 1e-6
    apart = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(apart, np.inf)
    assert (apart.argmin(axis=1) // 25 == np.arange(75) // 25).all()
    assert lay_out(vectors) == pytest.approx(points)


@pytest.mark.parametrize("vectors", [np.ones((6, 8)), np.eye(4), np.linspace(0, 1, 5)[:, None] * np.ones(3)])
def test_few_or_equal_frames_have_points(vectors: np.ndarray) -> None:
    points = lay_out(vectors.astype(np.float32))
    assert points.shape == (len(vectors), 2)
    assert np.isfinite(points).all()


def test_too_few_frames() -> None:
    with pytest.raises(SettingsError, match="at least 4"):
        lay_out(np.ones((3, 8), np.float32))


@pytest.mark.parametrize(("num", "most", "expected"), [(3, 5, [0, 1, 2]), (9, 3, [0, 4, 8]), (0, 5, [])])
def test_rows_are_evenly_spaced(num: int, most: int, expected: list[int]) -> None:
    assert evenly_spaced(num, most).tolist() == expected


def test_other_frames_are_put_near_what_they_are_like() -> None:
    laid_out = np.eye(6, dtype=np.float32)
    points = np.random.default_rng(0).random((6, 2)).astype(np.float32)
    assert np.allclose(place_others(laid_out, laid_out, points), points, atol=1e-4)
    between = np.zeros((1, 6), np.float32)
    between[0, :2] = 0.5**0.5
    assert np.allclose(place_others(between, laid_out, points), points[:2].mean(axis=0), atol=1e-4)
