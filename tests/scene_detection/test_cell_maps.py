"""The level fitted to a film: the fast way gives the means of its maps, whatever the film shows."""

import numpy as np
import pytest
import torch

from firstsight.encoder.model import to_inputs
from firstsight.scene_detection.cell_maps import FilmLevel


def pictures(num: int) -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (num, 9, 16, 3), dtype=np.uint8)
    return np.repeat(np.repeat(coarse, 2, axis=1), 2, axis=2)


def test_cells_are_the_means_of_the_maps() -> None:
    level, shown = FilmLevel(pictures(40)), pictures(50)
    maps = level._level(to_inputs(shown, torch.device("cpu")))
    expected = torch.nn.functional.adaptive_avg_pool2d(maps, (3, 4)).flatten(2).transpose(1, 2)
    np.testing.assert_allclose(level.cells_of(shown), expected, atol=0.01)
    assert level.cells_of(shown[:0]).shape == (0, 12, 40)


def test_maps_of_the_film_itself_have_mean_0_and_variance_1() -> None:
    level, shown = FilmLevel(pictures(40)), pictures(40)
    maps = level._level(to_inputs(shown, torch.device("cpu"))).numpy()
    np.testing.assert_allclose(maps.mean(axis=(0, 2, 3)), 0, atol=0.1)
    np.testing.assert_allclose(maps.var(axis=(0, 2, 3)), 1, atol=0.2)


@pytest.mark.parametrize("film", [np.zeros((3, 18, 32, 3), np.uint8), pictures(1)])
def test_a_black_film_and_a_single_frame_give_finite_maps(film: np.ndarray) -> None:
    assert np.isfinite(FilmLevel(film).cells_of(film)).all()
