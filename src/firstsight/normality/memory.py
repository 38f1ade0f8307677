"""The memory of what is normal before a fixed camera: learned from footage, bounded, kept with a run, merged.

Scores by `judge` are calibrated on normal footage that the memory did not hold: whole clips are left out in turn, or,
where there are few, parts of them.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from firstsight.encoder.run_folder import MEMORY_FILE
from firstsight.errors import FirstsightError, RunError, SettingsError, SourceError
from firstsight.files import check_path, read_regular, write_atomically
from firstsight.footage.container import open_video
from firstsight.footage.frames import Frame, View
from firstsight.footage.queues import read_batches
from firstsight.footage.source import Source, Spec, open_source
from firstsight.footage.videos import VideoFile, VideoFiles
from firstsight.normality.motion import (
    BLOCK_SECONDS,
    Boxes,
    Motion,
    MotionView,
    block_maxima,
    blocks_of,
    box_at,
    excess,
    remembered,
    units_of,
)
from firstsight.normality.rarity import Rarity
from firstsight.progress import Progress, Report, silent

_FORMAT = "firstsight-normal-1"
_MAX_SECONDS, _PIECE_SECONDS = 300.0, 20.0  # of footage that is learned from, spread over all of it
_NUM_FOLDS, _MIN_CLIPS = 5, 5
_SCORE_SECONDS = 0.25
_KEPT = 0.5  # of a box's trailing mean from frame to frame
_MAX_BLOCKS = 20_000
_MAX_BYTES = 2**26
# Footage is of a fixed camera if in most frames most of the picture rests: slower than that, picture heights a second.
_RESTING, _SHARE_AT_REST = 0.05, 0.5
_PROBES, _PROBE_FRAMES = 8, 12
_BATCH_SIZE = 32


@dataclass(frozen=True, eq=False)
class Memory:
    """What is normal before a camera."""

    vectors: NDArray[np.float32]  # (n, 4), motion to the right, downwards, left, upwards, in picture heights a second
    maxima: NDArray[np.float64]  # (blocks, 4), the largest motion in each 4 s
    largest: NDArray[np.float64]  # (blocks,), the largest score in each 4 s that the memory did not hold

    def __post_init__(self) -> None:
        parts = (self.vectors, self.maxima, self.largest)
        if self.vectors.shape[1:] != (4,) or self.maxima.shape[1:] != (4,) or self.largest.ndim != 1:
            raise SettingsError(f"a memory of {self.vectors.shape}, {self.maxima.shape}; valid are (n, 4) and (m, 4)")
        if not len(self.maxima) or not all(np.isfinite(part).all() and (part >= 0).all() for part in parts):
            raise SettingsError("a memory with numbers that are not finite, below 0, or without any; learn it again")

    @property
    def units(self) -> NDArray[np.float32]:
        """(4,), in picture heights a second."""
        return units_of(self.maxima)

    @property
    def rarity(self) -> Rarity:
        """How rare a score is."""
        return Rarity.of(self.largest)

    @property
    def seconds(self) -> float:
        """How much normal footage the scores are calibrated on."""
        return len(self.largest) * BLOCK_SECONDS

    def promise(self) -> str:
        """For people: the lowest rate of false alarms that the footage has shown."""
        minutes = self.seconds / 60
        return (
            f"calibrated on {minutes:.1f} min of normal footage, which can show one false alarm in that time; a lower "
            "rate is extrapolated"
        )

    def merged(self, other: "Memory") -> "Memory":
        """Of both: what is normal in either is normal."""
        maxima = np.concatenate([self.maxima, other.maxima])[-_MAX_BLOCKS:]
        vectors = remembered([np.concatenate([self.vectors, other.vectors])], units_of(maxima))
        return Memory(vectors, maxima, np.concatenate([self.largest, other.largest])[-_MAX_BLOCKS:])

    def save(self, file: str | Path) -> None:
        """Writes it, atomically.

        Raises:
            RunError: it cannot be written.
        """
        parts = {"vectors": self.vectors, "maxima": self.maxima, "largest": self.largest}
        content = safetensors.numpy.save(
            {name: np.ascontiguousarray(part) for name, part in parts.items()}, {"format": _FORMAT}
        )
        write_atomically(check_path(file, name="memory", error=RunError), content)

    @classmethod
    def load(cls, path: str | Path) -> "Memory | None":
        """The one in a file, or in the folder of a run; None if there is none.

        Raises:
            RunError: it is damaged, of another version, or cannot be read.
        """
        file = check_path(path, name="memory", error=RunError)
        file = file / MEMORY_FILE if file.is_dir() else file
        if not file.exists() or file.suffix != Path(MEMORY_FILE).suffix:
            return None
        try:
            content = read_regular(file, max_bytes=_MAX_BYTES)
            _check_format(content)
            tensors = safetensors.numpy.load(content)
            return cls(
                tensors["vectors"].astype(np.float32),
                tensors["maxima"].astype(np.float64),
                tensors["largest"].astype(np.float64),
            )
        except OSError as error:
            raise RunError(f"{file} cannot be read ({error.strerror}); check its rights and disk") from error
        except (ValueError, KeyError, TypeError, FirstsightError, safetensors.SafetensorError) as error:
            reason = str(error).splitlines()[0] if str(error) else "it lacks a part"
            raise RunError(f"{file} is damaged ({reason}); delete it, or learn again") from error


def _check_format(content: bytes) -> None:
    size = int.from_bytes(content[:8], "little")
    header: Any = json.loads(content[8 : 8 + size]) if size < len(content) else {}
    if not isinstance(header, dict) or (header.get("__metadata__") or {}).get("format") != _FORMAT:
        raise SettingsError("it is no memory of this version")


@dataclass(frozen=True)
class Judged:
    """How unusual a frame is."""

    score: float  # rarity: from 0; 2 is the rarest of a hundred blocks of 4 s
    box: tuple[int, int, int, int] | None  # x, y, width, height in pixels of the upright picture; None of no motion
    part: str  # which part spoke: "motion"
    heat: NDArray[np.float32] | None  # (rows, columns), units by which each box exceeds what is normal
    rarities: NDArray[np.float64] | None = None  # (rows, columns), that of each box, `score` at most


class Judge:
    """Judges the frames of one camera by a memory, one after the other."""

    def __init__(self, memory: Memory, view_index: int = 0) -> None:
        self._motion, self._trailing = Motion(view_index), _Trailing()
        self._trails: NDArray[np.float64] | None = None
        self._vectors, self._units, self._rarity = memory.vectors, memory.units, memory.rarity

    def update(self, frames: Sequence[Frame]) -> list[Judged]:
        """Of some more frames in order of time. A frame without motion to judge by, as the first, has score 0."""
        motion = self._motion.update(frames)
        heats = _heats(motion, self._vectors, self._units)
        judged = []
        for frame, heat in zip(frames, heats, strict=True):
            score = self._trailing.update(frame.source, frame.seconds, 0.0 if heat is None else float(heat.max()))
            box = None
            if heat is not None:
                row, column = np.unravel_index(int(heat.argmax()), heat.shape)
                box = box_at(int(row), int(column), heat.shape, frame.size)
            judged.append(Judged(self._rarity(score), box, "motion", heat, self._rarities(heat, score)))
        return judged

    def _rarities(self, heat: NDArray[np.float32] | None, score: float) -> NDArray[np.float64] | None:
        """Of each box, by its own trailing mean, so that what has stopped at one place counts nowhere else."""
        if heat is None:
            self._trails = None
            return None
        same = self._trails is not None and self._trails.shape == heat.shape
        self._trails = (
            heat + (self._trails - heat) * _KEPT if same and self._trails is not None else heat.astype(np.float64)
        )
        largest = self._trails.max()
        return self._rarity.of_each(self._trails * (score / largest if largest > 0 else 0.0))


class _Trailing:
    """The trailing mean of a number a frame, starting again with each file."""

    def __init__(self) -> None:
        self._value, self._last = 0.0, ("", 0.0)

    def update(self, source: str, seconds: float, value: float) -> float:
        last_source, last_seconds = self._last
        if source != last_source or seconds <= last_seconds:
            self._value = value
        else:
            keep = float(np.exp(-(seconds - last_seconds) / _SCORE_SECONDS))
            self._value = keep * self._value + (1 - keep) * value
        self._last = source, seconds
        return self._value


def _heats(
    motion: Sequence[Boxes | None], vectors: NDArray[np.float32], units: NDArray[np.float32]
) -> list[NDArray[np.float32] | None]:
    """Of each frame; frames that share their motion, as those that follow too fast, are computed once."""
    known: dict[int, NDArray[np.float32]] = {}
    for one in motion:
        if one is not None and id(one) not in known:
            known[id(one)] = excess(one[None], vectors, units)[0]
    return [None if one is None else known[id(one)] for one in motion]


@dataclass(frozen=True, eq=False)
class Clip:
    """The motion of one clip, or of a part of it."""

    boxes: NDArray[np.float32]  # (frames, 4, rows, columns)
    seconds: NDArray[np.float64]

    def part(self, indices: NDArray[np.intp]) -> "Clip":
        """The frames with those indices."""
        return Clip(self.boxes[indices], self.seconds[indices])


class Learner:
    """Learns a memory from the frames of a fixed camera, as they come.

    Attributes:
        seconds: of motion that was learned from.
    """

    def __init__(self, view_index: int = 0) -> None:
        self._motion = Motion(view_index)
        self._clips: list[list[tuple[float, Boxes]]] = []
        self._last: tuple[str, float] | None = None
        self._seen: Boxes | None = None
        self.seconds = 0.0

    def update(self, frames: Sequence[Frame]) -> None:
        """Adds frames in order of time; one file after the other."""
        for frame, boxes in zip(frames, self._motion.update(frames), strict=True):
            if boxes is None or boxes is self._seen:
                continue
            same = self._last and self._last[0] == frame.source and 0 < frame.seconds - self._last[1] < BLOCK_SECONDS
            if not same:
                self._clips.append([])
            elif self._last:
                self.seconds += frame.seconds - self._last[1]
            self._clips[-1].append((frame.seconds, boxes.astype(np.float16)))
            self._last, self._seen = (frame.source, frame.seconds), boxes

    def clips(self) -> "list[Clip]":
        """The motion so far, of each clip."""
        return [
            Clip(np.stack([boxes for _, boxes in clip]).astype(np.float32), np.array([at for at, _ in clip]))
            for clip in self._clips
            if len({boxes.shape for _, boxes in clip}) == 1
        ]

    def finish(self) -> Memory | None:
        """The memory; None if less than a second of motion was found, or the camera moves."""
        clips = self.clips()
        if self.seconds < 1 or not clips or _share_at_rest(clips) < _SHARE_AT_REST:
            return None
        memory = _memory_of(clips)
        return replace(memory, largest=_left_out(clips))


def _share_at_rest(clips: Sequence[Clip]) -> float:
    """The share of the picture that rests, in the median frame."""
    shares = [(clip.boxes.max(axis=1) < _RESTING).mean((1, 2)) for clip in clips]
    return float(np.median(np.concatenate(shares)))


def _memory_of(clips: Sequence[Clip]) -> Memory:
    """Not calibrated."""
    maxima = np.concatenate([block_maxima(clip.boxes, clip.seconds) for clip in clips])
    return Memory(remembered((clip.boxes for clip in clips), units_of(maxima)), maxima, np.empty(0))


def _left_out(clips: Sequence[Clip]) -> NDArray[np.float64]:
    """The largest score in each block, by a memory of the other clips."""
    parts = list(clips)
    if len(parts) < _MIN_CLIPS:  # in pieces, each of several blocks if possible
        parts = [piece for clip in clips for piece in _pieces(clip)]
    folds = [parts[number::_NUM_FOLDS] for number in range(_NUM_FOLDS)] if len(parts) >= _MIN_CLIPS else []
    found = []
    for number, fold in enumerate(folds):
        others = [part for other, fold in enumerate(folds) if other != number for part in fold]
        memory = _memory_of(others)
        for part in fold:
            heat = excess(part.boxes, memory.vectors, memory.units).max((1, 2)).astype(np.float64)
            trailing = _Trailing()
            scores = np.array([trailing.update("clip", *one) for one in zip(part.seconds, heat, strict=True)])
            found += [scores[block].max() for block in blocks_of(part.seconds)]
    return np.array(found[-_MAX_BLOCKS:], np.float64)


def _pieces(clip: Clip) -> Iterator[Clip]:
    blocks = blocks_of(clip.seconds)
    size = max(1, len(blocks) // _NUM_FOLDS)
    for start in range(0, len(blocks), size):
        yield clip.part(np.concatenate(blocks[start : start + size]))


def learn_memory(source: Spec, *, progress: Report = silent) -> Memory | None:
    """What is normal in the footage of a fixed camera; of long footage, 20 s at 15 places spread over it.

    Args:
        source: as for `learn`: one camera's footage.
        progress: called now and then.

    Returns:
        The memory; None if the camera moves, or frames are further apart than a quarter of a second.

    Raises:
        SourceError: none of it can be read.

    Example:
        >>> memory = learn_memory("hall.mp4")  # doctest: +SKIP
        >>> memory.save("runs/hall/normal.safetensors")  # doctest: +SKIP
    """
    footage = open_source(source)
    if isinstance(footage, VideoFiles):
        if not _rests(footage):
            return None
        footage = _spread(footage)
    learner, total = Learner(), footage.num_frames()
    num = 0
    for frames in batches(footage):
        num += len(frames)
        learner.update(frames)
        progress(Progress("remembering what is normal", num, total))
        if learner.seconds > 2 * _MAX_SECONDS:  # of unknown length
            break
    return learner.finish()


def batches(source: Source, *views: View) -> Iterator[list[Frame]]:
    """The frames through a `MotionView` and further views, some at a time, read ahead."""
    return read_batches(source, MotionView(), *views, size=_BATCH_SIZE)


def _rests(source: VideoFiles) -> bool:
    """Whether the camera stands still, by a few frames of a few files: a walk costs no more than that."""
    step = -(-len(source.files) // _PROBES)
    learner = Learner()
    for file in source.files[::step]:
        one = replace(source, files=(file,))
        try:
            with closing(one.read(MotionView())) as reading:
                learner.update(list(islice(reading, _PROBE_FRAMES)))
        except SourceError:
            continue
    clips = [clip for clip in learner.clips() if len(clip.seconds)]
    return bool(clips) and _share_at_rest(clips) >= _SHARE_AT_REST


def _spread(source: VideoFiles) -> VideoFiles:
    """Pieces of 20 s spread over all of it, if it is longer than five minutes."""
    spans: list[tuple[VideoFile, float, float]] = []
    for file in source.files:
        try:
            with open_video(file.path, name=file.name) as video:
                first, last = video.start_seconds, video.end_seconds
        except SourceError:
            continue  # reading reports why
        if last is None:
            return source
        start, end = max(first, file.sampling.start_seconds or first), min(last, file.sampling.end_seconds or last)
        if end > start:
            spans.append((file, start, end))
    total = sum(end - start for _, start, end in spans)
    if total <= _MAX_SECONDS:
        return source
    pieces, at, every = [], 0.0, total / (_MAX_SECONDS / _PIECE_SECONDS)
    for file, start, end in spans:
        while at < end - start:
            begin = start + at
            until = min(begin + _PIECE_SECONDS, end)
            pieces.append(replace(file, sampling=replace(file.sampling, start_seconds=begin, end_seconds=until)))
            at += every
        at -= end - start
    return replace(source, files=tuple(pieces))
