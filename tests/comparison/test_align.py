"""Paths: against the obvious dynamic programme, and on videos whose counterpart is known."""

from pathlib import Path

import numpy as np
import pytest
from library_made import small_encoder, write_video

import firstsight
from firstsight.comparison.align import (
    _GAP_COST,
    _MIN_GAIN,
    MIN_FRAMES,
    Alignment,
    WarpingPath,
    best_path,
    check_pairs,
    false_match_probability,
    gains_of,
)
from firstsight.comparison.similarities import Embedded
from firstsight.errors import LibraryError, SettingsError
from firstsight.library.embeddings import Embeddings


def walk_of(num: int, *, seed: int = 0) -> np.ndarray:
    """A walk through a space of 32 numbers: neighbours alike, others not."""
    steps = np.random.default_rng(seed).standard_normal((num + 4, 32))
    walk = np.stack([steps[index : index + 4].sum(axis=0) for index in range(num)])
    return (walk / np.linalg.norm(walk, axis=1, keepdims=True)).astype(np.float32)


def slow_path(gains: np.ndarray) -> tuple[float, list[tuple[int, int]]]:
    """The most that a path collects, and its pairs, by asking at each pair which of three ways led there best."""
    scores, came_from = np.zeros((gains.shape[0] + 1, gains.shape[1] + 1)), {}
    for row in range(gains.shape[0]):
        for column in range(gains.shape[1]):
            gain = gains[row, column]
            still = min(gain, 0) - _GAP_COST
            ways = {
                (row - 1, column - 1): scores[row, column] + gain,
                (row - 1, column): scores[row, column + 1] + still,
                (row, column - 1): scores[row + 1, column] + still,
            }
            best = max(ways, key=ways.__getitem__)
            if ways[best] > 0:
                scores[row + 1, column + 1], came_from[row, column] = ways[best], best
    pairs, at = [], tuple(int(one) - 1 for one in np.unravel_index(int(scores.argmax()), scores.shape))
    while at in came_from:
        pairs.append(at)
        at = came_from[at]
    return scores.max(), pairs[::-1]


def collected(path: WarpingPath, gains: np.ndarray) -> float:
    """What the steps of a path add up to."""
    values = gains[path.first, path.second].astype(np.float64) - _MIN_GAIN
    moves = zip(np.diff(path.first, prepend=-1), np.diff(path.second, prepend=-1), strict=True)
    both = np.array([number == 0 or all(move) for number, move in enumerate(moves)])
    return float(np.where(both, values, np.minimum(values, 0) - _GAP_COST).sum())


@pytest.mark.parametrize("shape", [(23, 17), (9, 130), (130, 9), (1, 5), (5, 1), (2, 2), (60, 60)])
@pytest.mark.parametrize("seed", range(3))
def test_path_and_score_are_those_of_the_slow_programme(shape: tuple[int, int], seed: int) -> None:
    similarities = np.random.default_rng(seed).uniform(-0.2, 1, shape).astype(np.float32)
    path, gains = best_path(similarities)
    score, pairs = slow_path(gains.astype(np.float64) - _MIN_GAIN)
    assert path.score == pytest.approx(score, abs=1e-9)
    assert list(zip(path.first, path.second, strict=True)) == pairs
    assert collected(path, gains) == pytest.approx(path.score, abs=1e-9)


@pytest.mark.parametrize("num", [1, 2, 3, 100, 800, 2000])
def test_a_video_against_itself_is_its_diagonal(num: int) -> None:
    frames = walk_of(num)
    path, gains = best_path(frames @ frames.T)
    assert path.first.tolist() == path.second.tolist() == list(range(num))
    assert path.score == pytest.approx(collected(path, gains), abs=1e-6)


@pytest.mark.parametrize(("num_first", "num_second"), [(1, 30), (30, 1)])
def test_one_frame_is_found_in_a_video(num_first: int, num_second: int) -> None:
    frames = walk_of(30)
    first, second = (frames if num > 1 else frames[7:8] for num in (num_first, num_second))
    path, _ = best_path(first @ second.T)
    assert (path.first.tolist(), path.second.tolist()) == (([0], [7]) if num_first == 1 else ([7], [0]))


def test_two_unrelated_frames_are_not_aligned() -> None:
    path, _ = best_path(np.full((1, 1), 0.1, np.float32))
    assert len(path) == 0


def test_videos_of_two_encoders_are_not_compared(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("one", "other")]
    for number, path in enumerate(paths):
        write_video(tmp_path / "walk.mp4", seed=1, num_frames=20)
        with firstsight.Library.create(path, tmp_path / "walk.mp4", encoder=small_encoder(seed=number)):
            pass
    with pytest.raises(LibraryError, match=r"one was made with encoder .*other with .*index both with one"):
        firstsight.align(*paths)
    assert firstsight.align(paths[0], paths[0]).path.score > 0


def test_more_pairs_than_memory_holds_are_refused_before_they_are_made() -> None:
    with pytest.raises(SettingsError, match="fewer frames a second: --fps"):
        check_pairs(10_000, 10_000)


@pytest.mark.parametrize("pace", [0.5, 1.0, 2.0])
def test_the_same_walk_at_another_pace_between_other_footage(pace: float) -> None:
    walk = walk_of(60)
    indices = np.arange(0, 60, pace).astype(int)
    other = np.concatenate([walk_of(20, seed=1), walk[indices], walk_of(30, seed=2)])
    path, _ = best_path(walk @ other.T)
    truth = dict(enumerate(indices, start=20))
    found = [(truth.get(second), first) for first, second in zip(path.first, path.second, strict=True)]
    assert len(path) >= 50 * max(1, 1 / pace)
    near = [expected is not None and abs(expected - first) < 4 for expected, first in found]  # they share steps
    assert np.mean(near) > 0.85
    assert (np.diff(path.first) >= 0).all()
    assert (np.diff(path.second) >= 0).all()


def test_of_unrelated_videos_hardly_anything_is_aligned() -> None:
    path, _ = best_path(walk_of(60) @ walk_of(60, seed=1).T)
    assert len(path) < 12


def aligned(first: np.ndarray, second: np.ndarray) -> Alignment:
    path, gains = best_path(first @ second.T)
    videos = []
    for vectors in (first, second):
        rows = np.arange(len(vectors))
        frames = Embeddings(vectors, rows / 2.0, rows, np.zeros(len(rows), int), ("a.mp4",))
        videos.append(Embedded("a.mp4", "a.mp4", frames, small_encoder()))
    return Alignment(*videos, path, gains, false_match_probability(gains, path.score))


@pytest.mark.parametrize("seed", range(20))
def test_unrelated_videos_have_nothing_certain_in_common(seed: int) -> None:
    for num in (4, 12, 60):
        found = aligned(walk_of(60, seed=2 * seed), walk_of(num, seed=2 * seed + 1))
        assert not found.is_certain
        assert found.false_match_probability > 0.01


@pytest.mark.parametrize("pace", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("start", [0, 20])
def test_a_part_at_another_pace_is_certain(pace: float, start: int) -> None:
    walk = walk_of(60)
    part = walk[np.arange(start, 60, pace).astype(int)]
    found = aligned(walk, np.concatenate([walk_of(20, seed=1), part, walk_of(30, seed=2)]))
    assert found.is_certain
    assert found.false_match_probability == pytest.approx(1 / 20_000)  # 20 scores by chance support no less
    assert found.to_json()["is_certain"]


def test_what_stands_still_in_both_is_not_certain() -> None:
    """Ten seconds of one view in each of two videos: as like backwards as forwards."""
    view = walk_of(1, seed=7)
    first, second = (np.concatenate([walk_of(40, seed=seed), view.repeat(20, axis=0)]) for seed in (1, 2))
    found = aligned(first, second)
    assert len(found.path) >= 20
    assert not found.is_certain


def test_three_frames_are_not_certain_however_high_they_score() -> None:
    walk = walk_of(30)
    found = [aligned(walk[4 : 4 + num], walk) for num in (1, 2, 3)]
    assert [len(one.path) for one in found] == [1, 2, 3]
    assert not any(one.is_certain for one in found)
    high = Alignment(found[0].first, found[0].second, found[2].path, found[2].gains, 1e-4)
    assert len(np.unique(high.path.first)) < MIN_FRAMES
    assert not high.is_certain


def test_no_path_is_reached_by_chance_always() -> None:
    assert false_match_probability(np.zeros((4, 5), np.float32), 0.0) == 1


def test_what_is_alike_to_everything_gains_nothing() -> None:
    assert gains_of(np.full((4, 5), 0.9, np.float32)) == pytest.approx(0)
    path, _ = best_path(np.full((4, 5), 0.9, np.float32))
    assert len(path) == 0


def test_nothing_cannot_be_aligned() -> None:
    with pytest.raises(SettingsError, match="at least one frame in each video"):
        best_path(np.empty((0, 3), np.float32))
