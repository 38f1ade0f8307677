"""Frames that repeat others: the fast search against comparing each with all that were kept."""

from pathlib import Path

import numpy as np
import pytest

from firstsight.copies.duplicates import RepeatedFrames, noise_of
from firstsight.copies.signature import Cells
from firstsight.library.records import SourceRecord

MOST = 9.0


def cells(pictures: np.ndarray, name: str = "walk.mp4") -> Cells:
    record = SourceRecord(1, name, Path("/nowhere", name), "0", 1, 1, 2.0, None, len(pictures), len(pictures) / 2)
    numbers = np.arange(len(pictures))
    return Cells(record, numbers * 12, numbers / 2, pictures)


def walk(num: int, *, seed: int, step: int) -> np.ndarray:
    """Pictures of a few kinds, each a little changed in one cell: some within the limit, some beyond it."""
    random = np.random.default_rng(seed)
    kinds = random.integers(0, 256, (5, 16, 16, 3))
    pictures = kinds[random.integers(0, 5, num)]
    positions = random.integers(0, 16, (num, 2))
    pictures[np.arange(num), positions[:, 0], positions[:, 1]] += random.integers(-step, step + 1, (num, 3))
    return pictures.clip(0, 255).astype(np.uint8)


def slowly_kept(pictures: np.ndarray) -> list[int]:
    kept: list[int] = []
    for number, picture in enumerate(pictures):
        differences = [np.abs(pictures[one].astype(int) - picture).max() for one in kept]
        if not any(one <= MOST for one in differences):
            kept.append(number)
    return kept


@pytest.mark.parametrize(("num", "step"), [(1, 5), (40, 5), (330, 15), (620, 60)])
def test_the_same_frames_are_kept_as_by_comparing_all(num: int, step: int) -> None:
    pictures = walk(num, seed=num, step=step)
    frames = RepeatedFrames(MOST)
    for start in range(0, num, 300):
        frames.add(cells(pictures[start : start + 300], name=f"part{start}"))
    repeated = {(one.source, one.frame_index // 12) for one in frames.found}
    kept = [one for one in range(num) if (f"part{one // 300 * 300}", one % 300) not in repeated]
    assert kept == slowly_kept(pictures)
    assert frames.num_kept == len(kept)


def test_a_repeated_frame_names_one_that_is_kept_and_the_same() -> None:
    pictures = walk(200, seed=0, step=12)
    frames = RepeatedFrames(MOST)
    frames.add(cells(pictures))
    repeated = {one.frame_index for one in frames.found}
    assert repeated
    for one in frames.found:
        assert one.of_frame_index not in repeated
        difference = pictures[one.frame_index // 12].astype(int) - pictures[one.of_frame_index // 12]
        assert np.abs(difference).max() <= MOST
        assert (one.seconds, one.of_seconds) == (one.frame_index / 24, one.of_frame_index / 24)


def test_a_change_in_one_place_is_a_change() -> None:
    pictures = np.full((2, 16, 16, 3), 100, np.uint8)
    pictures[1, 3, 4, 0] += int(MOST) + 1
    frames = RepeatedFrames(MOST)
    frames.add(cells(pictures))
    assert not frames.found


def test_noise_is_the_difference_by_re_encoding_of_all_but_a_tenth() -> None:
    before = np.full((11, 16, 16, 3), 100, np.uint8)
    after = before.copy()
    after[np.arange(11), 0, 0, 0] += np.arange(11, dtype=np.uint8)
    assert noise_of(before, after) == 9.0
