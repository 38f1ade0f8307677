"""Optical flow: known translations and affine motion; the fast fit of polynomials against a slow obvious one."""

import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform, gaussian_filter, shift

from firstsight.normality.optical_flow import expand, optical_flow, polynomials


def textured(height: int = 96, width: int = 128) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal((height, width))
    return (128 + 400 * gaussian_filter(noise, 3)).astype(np.float32)


def flow_between(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    first, second = (expand(torch.from_numpy(np.ascontiguousarray(one))[None]) for one in (before, after))
    return optical_flow(first, second)[0].numpy()


@pytest.mark.parametrize("moved", [(0, 0), (0.3, -0.2), (1.5, 2.5), (-6, 9)])
def test_a_translation_is_found(moved: tuple[float, float]) -> None:
    picture = textured()
    flow = flow_between(picture, shift(picture, moved, order=3, mode="nearest").astype(np.float32))
    assert flow.shape == (2, 48, 64)
    inner = flow[:, 10:-10, 10:-10].reshape(2, -1)
    assert np.median(inner, axis=1) == pytest.approx([moved[1], moved[0]], abs=0.1)


def test_an_enlargement_moves_each_part_away_from_the_middle() -> None:
    picture = textured()
    rows, columns = picture.shape
    centre = np.array([(rows - 1) / 2, (columns - 1) / 2])
    larger = affine_transform(picture, np.eye(2) / 1.05, offset=centre - centre / 1.05, order=3, mode="nearest")
    flow = flow_between(picture, larger.astype(np.float32))
    y, x = np.mgrid[0 : rows // 2, 0 : columns // 2] * 2 + 0.5
    expected = np.stack([(x - centre[1]) * 0.05 / 1.05, (y - centre[0]) * 0.05 / 1.05])  # of what is there afterwards
    off = np.abs(flow - expected)[:, 8:-8, 8:-8]
    assert np.median(off) < 0.1


def test_polynomials_are_those_of_a_weighted_least_squares_fit() -> None:
    picture = textured(32, 40)
    fast = polynomials(torch.from_numpy(picture)[None, None])[0].numpy()
    y, x = np.mgrid[-5:6, -5:6].astype(float)
    root = np.exp(-(x**2 + y**2) / (4 * 1.1**2)).ravel()
    basis = np.stack([np.ones_like(x), x, y, x**2, y**2, x * y], -1).reshape(-1, 6)
    for row, column in ((8, 8), (15, 20), (25, 33)):
        values = picture[row - 5 : row + 6, column - 5 : column + 6].ravel()
        fit = np.linalg.lstsq(basis * root[:, None], values * root, rcond=None)[0]
        np.testing.assert_allclose(fast[:, row, column], fit[1:], atol=2e-3)


def test_pictures_without_structure_do_not_move() -> None:
    flat = np.full((32, 48), 90, np.float32)
    assert np.abs(flow_between(flat, flat + 20)).max() < 1e-3
