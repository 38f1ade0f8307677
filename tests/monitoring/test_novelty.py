"""Novelty: repeats, drift and noise are usual; what comes suddenly is new; a thing that stays becomes usual."""

from pathlib import Path

import numpy as np
import pytest
from library_made import small_encoder

from firstsight.errors import SettingsError
from firstsight.footage.encoding import VideoWriter
from firstsight.monitoring.deviation import ADAPTING_SECONDS, NEW_FROM, Usual, in_cells, new_from, update
from firstsight.monitoring.novelty import score_novelty

MAPS, CELLS = 8, 12
GROUND = np.random.default_rng(0).standard_normal((MAPS, CELLS)).astype(np.float32)


def noisy(count: int, *, seed: int = 0, deviation: float = 0.05) -> np.ndarray:
    """The ground with noise: (count, MAPS, CELLS)."""
    noise = np.random.default_rng(seed).standard_normal((count, MAPS, CELLS))
    return (GROUND + deviation * noise).astype(np.float32)


def run(cells: np.ndarray, *, usual: Usual | None = None, begin: float = 0.0) -> tuple[Usual, list[float | None]]:
    """Two frames a second."""
    scores = []
    for index, one in enumerate(cells):
        usual, score = update(usual, one, begin + index / 2)
        scores.append(score)
    return usual, scores


def with_thing(cells: np.ndarray, *, cell: int = 4) -> np.ndarray:
    """Another pattern in one cell, as strong as the ground."""
    changed = cells.copy()
    changed[:, :, cell] += np.random.default_rng(9).standard_normal(MAPS).astype(np.float32)
    return changed


def test_the_first_seconds_have_no_score() -> None:
    _, scores = run(noisy(20))
    assert scores[:11] == [None] * 11
    assert None not in scores[11:]


def test_noise_is_usual_and_a_thing_in_one_cell_is_new() -> None:
    usual, scores = run(noisy(600))
    assert max(score for score in scores if score) < NEW_FROM / 2
    _, (score,) = run(with_thing(noisy(1, seed=1)), usual=usual, begin=300)
    assert score > 1.5 * NEW_FROM


def test_the_score_is_the_deviation_in_multiples_of_the_usual_one() -> None:
    usual = Usual(np.zeros((2, 3)), np.array([0.04, 0.04, 1.0]), 100, 50.0, 50.0)
    _, score = update(usual, np.array([[0, 2, 3], [0, 2, 3]], np.float32), 50.5)
    assert score == pytest.approx(10)  # 2 / 0.2; not 3 / 1
    _, score = update(usual, np.zeros((2, 3), np.float32), 50.5)
    assert score == 0


def test_what_repeats_from_the_beginning_is_usual() -> None:
    cells = noisy(400)
    cells[::4] = with_thing(cells[::4])
    _, scores = run(cells)
    assert max(score for score in scores if score) < NEW_FROM


def test_a_second_thing_is_as_new_as_the_first() -> None:
    usual, _ = run(noisy(20))
    usual, first = run(with_thing(noisy(60, seed=1)), usual=usual, begin=10)
    usual, between = run(noisy(10, seed=2), usual=usual, begin=40)
    _, second = run(with_thing(noisy(60, seed=3)), usual=usual, begin=45)
    assert min(second) > 0.6 * min(first)
    assert max(between) < NEW_FROM / 2


def test_slow_drift_to_something_else_is_usual() -> None:
    other = np.random.default_rng(5).standard_normal((MAPS, CELLS)).astype(np.float32)
    along = np.linspace(0, 1, 7200, dtype=np.float32)[:, None, None]  # in an hour
    _, scores = run(noisy(7200) + along * (other - GROUND))
    assert max(score for score in scores if score) < NEW_FROM


def test_more_noise_is_usual_after_minutes() -> None:
    usual, _ = run(noisy(100))
    num = round(2 * ADAPTING_SECONDS * 4)
    _, scores = run(noisy(num, seed=1, deviation=0.3), usual=usual, begin=50)
    assert max(scores[-200:]) < NEW_FROM / 2


def test_a_thing_that_stays_is_usual_in_the_end() -> None:
    usual, _ = run(noisy(100))
    _, scores = run(with_thing(noisy(3600, seed=1)), usual=usual, begin=50)
    assert min(scores[:240]) > NEW_FROM  # two minutes
    assert max(scores[-100:]) < NEW_FROM / 2


def test_time_away_teaches_nothing() -> None:
    usual, _ = run(noisy(100))
    night, _ = update(usual, with_thing(noisy(1))[0], 1e6)
    assert np.abs(night.mean - usual.mean).max() < 0.05
    back, _ = update(usual, noisy(1)[0], 0.0)  # the next file begins
    assert np.array_equal(back.mean, usual.mean)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_frozen_and_black_frames_give_numbers(value: float) -> None:
    frozen = np.full((100, MAPS, CELLS), value, np.float32)
    usual, scores = run(frozen)
    assert set(scores[11:]) == {0.0}
    _, after = run(noisy(3), usual=usual, begin=50)
    assert np.isfinite(after).all()
    assert after[0] > NEW_FROM


def test_black_pictures_seen_by_an_encoder_give_numbers() -> None:
    black = np.zeros((16, 48, 64, 3), np.uint8)
    _, scores = run(in_cells(small_encoder().features(black)))
    assert scores[-1] == pytest.approx(0, abs=1e-3)


def test_cells_are_means_of_the_maps() -> None:
    maps = np.random.default_rng(0).standard_normal((2, 3, 12, 16)).astype(np.float32)
    expected = maps.reshape(2, 3, 6, 2, 8, 2).mean(axis=(3, 5)).reshape(2, 3, 48)
    np.testing.assert_allclose(in_cells(maps), expected, atol=1e-6)
    assert in_cells(maps[:, :, :2, :5]).shape == (2, 3, 10)


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(SettingsError, match="valid are finite numbers"):
        update(None, np.full((2, 3), np.nan, np.float32), 0.0)
    usual, _ = run(noisy(2))
    with pytest.raises(SettingsError, match=r"shape \(8, 12\)"):
        update(usual, np.zeros((2, 3), np.float32), 1.0)
    with pytest.raises(SettingsError, match="valid is above 0"):
        new_from(0)


def test_a_square_that_comes_into_a_video_is_new(tmp_path: Path) -> None:
    ground = np.repeat(np.repeat(np.random.default_rng(0).integers(60, 160, (6, 8, 3), np.uint8), 8, 0), 8, 1)
    with VideoWriter(tmp_path / "hall.mp4", size=(64, 48)) as writer:
        for index in range(240):
            frame = ground.copy()
            if 160 <= index < 200:
                frame[16:32, 24:40] = (250, 20, 20)
            writer.write(frame, seconds=index / 20)
    scored = list(score_novelty(small_encoder(), tmp_path / "hall.mp4"))
    newness = np.array([one.score or 0 for one in scored])
    assert [one.frame_index for one in scored] == list(range(240))
    assert newness[161:199].min() > NEW_FROM > newness[:160].max()
    assert newness[202:].max() < NEW_FROM
