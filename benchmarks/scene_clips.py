"""Clips joined at known places, with hard cuts and dissolves, for `benchmarks/scenes.py`.

The shots come from real clips of which it is known where they have no cut. Some shots are given a flash of a frame or
two, which is no change of scene.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firstsight.footage.encoding import VideoWriter
from firstsight.footage.source import open_source
from firstsight.pixels import Crop

Shots = dict[str, list[NDArray[np.uint8]]]  # by place: shots (N, H, W, 3) of one place are never joined to each other

WIDTH, HEIGHT = 320, 180
FRAMES_PER_SECOND = 25
_SHOT_LENGTHS = (20, 90)  # frames, least and most
_DISSOLVE_LENGTHS = (5, 30)
_NUM_SHOTS = 8
_FLASH_SHARE = 0.25  # of shots


@dataclass(frozen=True)
class Change:
    """A change of scene: the frames first to last - 1 are a mixture, `last` is the first of the new shot."""

    first: int  # equal to `last` for a hard cut
    last: int


@dataclass(frozen=True)
class Filling:
    """A view that fills the frame of the benchmark and cuts off what stands over. A `View`."""

    channels: int = 3

    def crop(self, width: int, height: int) -> Crop:
        """The largest centred rectangle of the wanted shape."""
        scale = min(width / WIDTH, height / HEIGHT)
        used_width, used_height = int(WIDTH * scale), int(HEIGHT * scale)
        return Crop((width - used_width) // 2, (height - used_height) // 2, used_width, used_height, WIDTH, HEIGHT)


def read_shots(clip: Path, changes: Sequence[Change] = ()) -> list[NDArray[np.uint8]]:
    """The shots of a clip, given where its changes of scene are."""
    with open_source(clip).read(Filling()) as reading:
        frames = np.stack([frame.pixels for frame in reading])
    ends = [Change(0, 0), *changes, Change(len(frames), len(frames))]
    return [frames[before.last : after.first] for before, after in pairwise(ends)]


def joined(shots: Shots, *, seed: int) -> tuple[NDArray[np.uint8], list[Change]]:
    """Random stretches of random shots, joined by cuts and dissolves in turn of chance, and where the changes are."""
    drawn = np.random.default_rng(seed)
    place, stretch = _stretch(shots, None, drawn)
    pictures = list(stretch)
    changes: list[Change] = []
    for _ in range(_NUM_SHOTS - 1):
        place, stretch = _stretch(shots, place, drawn)
        length = int(drawn.integers(*_DISSOLVE_LENGTHS, endpoint=True)) if drawn.random() < 0.5 else 0
        length = min(length, len(stretch) // 2, _clear(pictures, changes) // 2)
        length = length if length >= _DISSOLVE_LENGTHS[0] else 0
        first = len(pictures) - length
        weights = np.arange(1, length + 1) / (length + 1)
        mixed = [_mixed(pictures[first + at], stretch[at], weight) for at, weight in enumerate(weights)]
        pictures[first:] = [*mixed, *stretch[length:]]
        changes.append(Change(first, first + length))
    return np.stack(pictures), changes


def write_clip(path: Path, frames: NDArray[np.uint8]) -> None:
    """The frames as an H.264 file."""
    with VideoWriter(path, size=(frames.shape[2], frames.shape[1])) as writer:
        for index, frame in enumerate(frames):
            writer.write(frame, seconds=index / FRAMES_PER_SECOND)


def _clear(pictures: Sequence[object], changes: Sequence[Change]) -> int:
    """How many frames there are since the last change."""
    return len(pictures) - (changes[-1].last if changes else 0)


def _stretch(shots: Shots, last_place: str | None, drawn: np.random.Generator) -> tuple[str, NDArray[np.uint8]]:
    place = str(drawn.choice([one for one in sorted(shots) if one != last_place]))
    shot = shots[place][int(drawn.integers(len(shots[place])))]
    length = min(len(shot), int(drawn.integers(*_SHOT_LENGTHS, endpoint=True)))
    start = int(drawn.integers(len(shot) - length + 1))
    stretch = shot[start : start + length]
    return place, _with_flash(stretch, drawn) if drawn.random() < _FLASH_SHARE else stretch


def _with_flash(stretch: NDArray[np.uint8], drawn: np.random.Generator) -> NDArray[np.uint8]:
    """A frame or two made much brighter, well within the stretch."""
    middle, length = len(stretch) // 2, int(drawn.integers(1, 2, endpoint=True))
    strength = drawn.uniform(0.4, 0.9)
    flashed = stretch.copy()
    for index in range(middle, middle + length):
        flashed[index] = _mixed(stretch[index], np.full_like(stretch[index], 255), strength)
    return flashed


def _mixed(before: NDArray[np.uint8], after: NDArray[np.uint8], weight: float) -> NDArray[np.uint8]:
    return np.rint((1 - weight) * before + weight * after).astype(np.uint8)
