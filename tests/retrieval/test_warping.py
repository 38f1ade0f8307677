"""Paths: against the obvious dynamic programme, and on videos whose counterpart is known."""

import numpy as np
import pytest

from firstsight.errors import SettingsError
from firstsight.retrieval.comparing.warping import _GAP_COST, _LEAST_GAIN, align, gains_of


def seen(num: int, *, seed: int = 0) -> np.ndarray:
    """A walk through a space of 32 numbers: neighbours alike, others not."""
    steps = np.random.default_rng(seed).standard_normal((num + 4, 32))
    walk = np.stack([steps[index : index + 4].sum(axis=0) for index in range(num)])
    return (walk / np.linalg.norm(walk, axis=1, keepdims=True)).astype(np.float32)


def slow_score(gains: np.ndarray) -> float:
    scores = np.zeros((gains.shape[0] + 1, gains.shape[1] + 1))
    for row in range(gains.shape[0]):
        for column in range(gains.shape[1]):
            gain = gains[row, column]
            still = min(gain, 0) - _GAP_COST
            choices = scores[row, column] + gain, scores[row, column + 1] + still, scores[row + 1, column] + still
            scores[row + 1, column + 1] = max(0, *choices)
    return scores.max()


@pytest.mark.parametrize("seed", range(5))
def test_the_score_is_that_of_the_slow_programme(seed: int) -> None:
    similarities = np.random.default_rng(seed).uniform(-0.2, 1, (23, 17)).astype(np.float32)
    path, gains = align(similarities)
    assert path.score == pytest.approx(slow_score(gains - _LEAST_GAIN), abs=1e-4)


@pytest.mark.parametrize("pace", [0.5, 1.0, 2.0])
def test_the_same_walk_at_another_pace_between_other_footage(pace: float) -> None:
    walk = seen(60)
    indices = np.arange(0, 60, pace).astype(int)
    other = np.concatenate([seen(20, seed=1), walk[indices], seen(30, seed=2)])
    path, _ = align(walk @ other.T)
    truth = dict(enumerate(indices, start=20))
    found = [(truth.get(second), first) for first, second in zip(path.first, path.second, strict=True)]
    assert len(path) >= 50 * max(1, 1 / pace)
    assert (
        np.mean([expected is not None and abs(expected - first) < 4 for expected, first in found])
        > 0.85  # so near they share some of their steps
    )  # so near they share some of their steps
    assert (np.diff(path.first) >= 0).all()
    assert (np.diff(path.second) >= 0).all()


def test_of_strangers_hardly_anything_is_aligned() -> None:
    path, _ = align(seen(60) @ seen(60, seed=1).T)
    assert len(path) < 12


def test_what_is_alike_to_everything_gains_nothing() -> None:
    assert gains_of(np.full((4, 5), 0.9, np.float32)) == pytest.approx(0)
    path, _ = align(np.full((4, 5), 0.9, np.float32))
    assert len(path) == 0


def test_nothing_cannot_be_aligned() -> None:
    with pytest.raises(SettingsError, match="at least one frame in each video"):
        align(np.empty((0, 3), np.float32))
