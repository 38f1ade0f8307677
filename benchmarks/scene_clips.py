"""Clips joined at known places, with hard cuts and dissolves, for `benchmarks/scenes.py`; and what is hard to tell.

The shots come from real clips of which it is known where they have no cut. Some shots are given a flash of a frame or
two, which is no change of scene. The hard videos have what detectors mistake: flashes in every shot, fast pans, fades
through black; and thirty shots, each once, joined without looking at them. The film is ten minutes of 720p, to measure
time on.
"""

from collections.abc import Callable, Sequence
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

    width: int = WIDTH
    height: int = HEIGHT
    channels: int = 3

    def crop(self, width: int, height: int) -> Crop:
        """The largest centred rectangle of the wanted shape."""
        scale = min(width / self.width, height / self.height)
        used_width, used_height = int(self.width * scale), int(self.height * scale)
        left, top = (width - used_width) // 2, (height - used_height) // 2
        return Crop(left, top, used_width, used_height, self.width, self.height)


def read_shots(clip: Path, changes: Sequence[Change] = ()) -> list[NDArray[np.uint8]]:
    """The shots of a clip, given where its changes of scene are."""
    with open_source(clip).read(Filling()) as reading:
        frames = np.stack([frame.pixels for frame in reading])
    ends = [Change(0, 0), *changes, Change(len(frames), len(frames))]
    return [frames[before.last : after.first] for before, after in pairwise(ends)]


Joined = tuple[NDArray[np.uint8], list[Change]]  # (N, H, W, 3), and where the changes are


def joined(shots: Shots, *, seed: int) -> Joined:
    """Random stretches of random shots, joined by cuts and dissolves in turn of chance, and where the changes are."""
    drawn = np.random.default_rng(seed)
    return _joined(lambda last_place: _stretch(shots, last_place, drawn), _NUM_SHOTS, drawn)


def _joined(
    draw: Callable[[str | None], tuple[str, NDArray[np.uint8]]], num_shots: int, drawn: np.random.Generator
) -> Joined:
    place, stretch = draw(None)
    pictures = list(stretch)
    changes: list[Change] = []
    for _ in range(num_shots - 1):
        place, stretch = draw(place)
        length = int(drawn.integers(*_DISSOLVE_LENGTHS, endpoint=True)) if drawn.random() < 0.5 else 0
        length = min(length, len(stretch) // 2, _clear(pictures, changes) // 2)
        length = length if length >= _DISSOLVE_LENGTHS[0] else 0
        first = len(pictures) - length
        weights = np.arange(1, length + 1) / (length + 1)
        mixed = [_mixed(pictures[first + at], stretch[at], weight) for at, weight in enumerate(weights)]
        pictures[first:] = [*mixed, *stretch[length:]]
        changes.append(Change(first, first + length))
    return np.stack(pictures), changes


def flashing(shots: Shots, *, seed: int) -> Joined:
    """Hard cuts between shots that each have one to three flashes."""
    drawn = np.random.default_rng([seed, 1])
    return _cut_together(
        [_with_flash(one, drawn, times=int(drawn.integers(1, 4))) for one in _draw(shots, _NUM_SHOTS, drawn)]
    )


def panning(shots: Shots, *, seed: int) -> Joined:
    """Hard cuts between shots in each of which the camera swings round, for 6 to 20 frames at 6 to 40 pixels each."""
    drawn = np.random.default_rng([seed, 2])
    return _cut_together([_with_pan(one, drawn) for one in _draw(shots, _NUM_SHOTS, drawn)])


def fading(shots: Shots, *, seed: int) -> Joined:
    """Fades out of one shot and into the next, 5 to 15 frames each, with up to 5 black frames between."""
    drawn = np.random.default_rng([seed, 3])
    first, *others = _draw(shots, _NUM_SHOTS, drawn)
    pictures: list[NDArray[np.uint8]] = list(first)
    changes = []
    for shot in others:
        out, black, into = (int(drawn.integers(least, most)) for least, most in ((5, 16), (0, 6), (5, 16)))
        out, into = min(out, len(pictures) // 2), min(into, len(shot) // 2)
        begin = len(pictures) - out
        for at in range(out):
            pictures[begin + at] = _mixed(pictures[begin + at], np.zeros_like(shot[0]), (at + 1) / (out + 1))
        pictures += [np.zeros_like(shot[0])] * black
        changes.append(Change(begin, len(pictures) + into))
        pictures += [_mixed(np.zeros_like(shot[0]), shot[at], (at + 1) / (into + 1)) for at in range(into)]
        pictures += list(shot[into:])
    return np.stack(pictures), changes


def blind(shots: Shots, *, seed: int) -> Joined:
    """Thirty shots, each once, joined as by `joined`; next comes another place, with most shots left.

    Raises:
        SystemExit: there are fewer.
    """
    if (num := sum(map(len, shots.values()))) < 30:
        raise SystemExit(f"{num} shots in the folder of clips; 30 are joined, so give one with more of them")
    drawn = np.random.default_rng([seed, 4])
    left = {place: [own[index] for index in drawn.permutation(len(own))] for place, own in sorted(shots.items())}

    def draw(last_place: str | None) -> tuple[str, NDArray[np.uint8]]:
        most = max(left, key=lambda place: (bool(left[place]), place != last_place, len(left[place])))
        return most, _part(left[most].pop(), drawn)

    return _joined(draw, 30, drawn)


def write_film(
    path: Path, clips: Sequence[tuple[Path, Sequence[Change]]], *, num_frames: int, seed: int
) -> list[Change]:
    """So many frames of 1280x720, the clips in random order; and where the cuts are, also within clips."""
    drawn, changes, done = np.random.default_rng([seed, 5]), list[Change](), 0
    with VideoWriter(path, size=(1280, 720)) as writer:
        while done < num_frames:
            clip, own = clips[int(drawn.integers(len(clips)))]
            changes += [Change(done + one.first, done + one.last) for one in [Change(0, 0), *own]]
            with open_source(clip).read(Filling(1280, 720)) as reading:
                for frame in reading:
                    writer.write(frame.pixels, seconds=done / FRAMES_PER_SECOND)
                    done += 1
    return changes[1:]


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
    stretch = _part(shots[place][int(drawn.integers(len(shots[place])))], drawn)
    return place, _with_flash(stretch, drawn) if drawn.random() < _FLASH_SHARE else stretch


def _part(shot: NDArray[np.uint8], drawn: np.random.Generator, *, least: int = _SHOT_LENGTHS[0]) -> NDArray[np.uint8]:
    length = min(len(shot), int(drawn.integers(least, _SHOT_LENGTHS[1], endpoint=True)))
    start = int(drawn.integers(len(shot) - length + 1))
    return shot[start : start + length]


def _with_flash(stretch: NDArray[np.uint8], drawn: np.random.Generator, *, times: int = 1) -> NDArray[np.uint8]:
    """A frame or two made much brighter, so many times, well within the stretch."""
    flashed = stretch.copy()
    for part in range(times):
        middle, length = len(stretch) * (part + 1) // (times + 1), int(drawn.integers(1, 2, endpoint=True))
        strength = drawn.uniform(0.4, 0.9)
        for index in range(middle, middle + length):
            flashed[index] = _mixed(stretch[index], np.full_like(stretch[index], 255), strength)
    return flashed


def _draw(shots: Shots, num: int, drawn: np.random.Generator) -> list[NDArray[np.uint8]]:
    """Stretches of at least 40 frames where the shot has as many, no two in a row of the same place."""
    place, found = None, []
    while len(found) < num:
        place = str(drawn.choice([one for one in sorted(shots) if one != place]))
        found.append(_part(shots[place][int(drawn.integers(len(shots[place])))], drawn, least=40))
    return found


def _cut_together(stretches: Sequence[NDArray[np.uint8]]) -> Joined:
    begins = np.cumsum([len(one) for one in stretches])[:-1]
    return np.concatenate(stretches), [Change(int(begin), int(begin)) for begin in begins]


def _with_pan(stretch: NDArray[np.uint8], drawn: np.random.Generator) -> NDArray[np.uint8]:
    """The picture runs to the left through the middle of the stretch, mirrored where it ends, blurred by its speed."""
    speed, length = int(drawn.integers(6, 41)), min(int(drawn.integers(6, 21)), len(stretch) - 12)
    begin = (len(stretch) - length) // 2
    moved = np.clip(np.arange(len(stretch)) - begin, 0, length) * speed
    panned = []
    for frame, offset in zip(stretch, moved, strict=True):
        band = np.concatenate([frame, frame[:, ::-1]], axis=1)
        is_moving = 0 < offset < moved[-1]
        blurred = [np.roll(band, -int(offset) - part, axis=1) for part in range(0, speed if is_moving else 1, 3)]
        panned.append(np.rint(np.mean(blurred, axis=0)).astype(np.uint8)[:, :WIDTH])
    return np.stack(panned)


def _mixed(before: NDArray[np.uint8], after: NDArray[np.uint8], weight: float) -> NDArray[np.uint8]:
    return np.rint((1 - weight) * before + weight * after).astype(np.uint8)
