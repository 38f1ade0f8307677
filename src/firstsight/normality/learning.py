"""Learning what is normal before a fixed camera: from the motion and the appearance in its footage.

Scores are calibrated on normal footage that the memory did not hold: whole clips are left out in turn, or, where there
are few, parts of them.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from firstsight.encoder.encoder import Encoder
from firstsight.errors import SourceError
from firstsight.footage.container import open_video
from firstsight.footage.frames import Frame
from firstsight.footage.source import Spec, open_source
from firstsight.footage.videos import VideoFile, VideoFiles
from firstsight.normality.appearance import Cells, Sight, Sights, learn_appearance
from firstsight.normality.memory import Memory, batches
from firstsight.normality.motion import (
    BLOCK_SECONDS,
    MAX_BLOCKS,
    Boxes,
    Motion,
    MotionView,
    block_maxima,
    blocks_of,
    excess,
    remembered,
    units_of,
)
from firstsight.normality.rarity import Trailing
from firstsight.progress import Progress, Report, silent

_MAX_SECONDS, _PIECE_SECONDS = 300.0, 20.0  # of footage that is learned from, spread over all of it
_NUM_FOLDS, _MIN_CLIPS = 5, 5
# Footage is of a fixed camera if in most frames most of the picture rests: slower than that, picture heights a second.
_RESTING, _SHARE_AT_REST = 0.05, 0.5
_PROBES, _PROBE_FRAMES = 8, 12


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

    Args:
        view_index: which of a frame's pictures is through a `MotionView`.
        encoder: by which appearance is learned, too; its pictures are the next ones.

    Attributes:
        seconds: of motion that was learned from.
    """

    def __init__(self, view_index: int = 0, encoder: Encoder | None = None) -> None:
        self._motion = Motion(view_index)
        self._encoder = encoder
        self._sight = Sight(encoder, view_index + 1) if encoder else None
        self._clips: list[list[tuple[float, Boxes]]] = []
        self._sights: list[list[tuple[float, Cells]]] = []
        self._last: tuple[str, float] | None = None
        self._last_boxes: Boxes | None = None
        self.seconds = 0.0

    def update(self, frames: Sequence[Frame]) -> None:
        """Adds frames in order of time; one file after the other."""
        sights = self._sight.update(frames) if self._sight else [None] * len(frames)
        for frame, boxes, cells in zip(frames, self._motion.update(frames), sights, strict=True):
            if boxes is None or boxes is self._last_boxes:
                continue
            same = self._last and self._last[0] == frame.source and 0 < frame.seconds - self._last[1] < BLOCK_SECONDS
            if not same:
                self._clips.append([])
                self._sights.append([])
            elif self._last:
                self.seconds += frame.seconds - self._last[1]
            self._clips[-1].append((frame.seconds, boxes.astype(np.float16)))
            if cells is not None:
                self._sights[-1].append((frame.seconds, cells))
            self._last, self._last_boxes = (frame.source, frame.seconds), boxes

    def clips(self) -> "list[Clip]":
        """The motion so far, of each clip."""
        return [
            Clip(np.stack([boxes for _, boxes in clip]).astype(np.float32), np.array([at for at, _ in clip]))
            for clip in self._clips
            if len({boxes.shape for _, boxes in clip}) == 1
        ]

    def sights(self) -> list[Sights]:
        """The appearance so far, of each clip of the size of the first."""
        shapes = [cells.shape for clip in self._sights for _, cells in clip]
        return [
            Sights(np.stack([cells for _, cells in clip]), np.array([at for at, _ in clip]))
            for clip in self._sights
            if clip and {cells.shape for _, cells in clip} == {shapes[0]}
        ]

    def finish(self) -> Memory | None:
        """The memory; None if less than a second of motion was found, or the camera moves."""
        clips, sights = self.clips(), self.sights()
        if self.seconds < 1 or not clips or _share_at_rest(clips) < _SHARE_AT_REST:
            return None
        appearance = None
        if self._encoder and sights:
            appearance = learn_appearance(_folds(sights) or [sights], self._encoder.fingerprint)
        return replace(_memory_of(clips), largest=_left_out(clips), appearance=appearance)


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
    folds = _folds(clips)
    found = []
    for number, fold in enumerate(folds):
        others = [part for other, fold in enumerate(folds) if other != number for part in fold]
        memory = _memory_of(others)
        for part in fold:
            heat = excess(part.boxes, memory.vectors, memory.units).max((1, 2)).astype(np.float64)
            trailing = Trailing()
            scores = np.array([trailing.update("clip", *one) for one in zip(part.seconds, heat, strict=True)])
            found += [scores[block].max() for block in blocks_of(part.seconds)]
    return np.array(found[-MAX_BLOCKS:], np.float64)


_Part = TypeVar("_Part", Clip, Sights)


def _folds(clips: Sequence[_Part]) -> list[list[_Part]]:
    """Five shares of them, of few clips of their pieces, each of which can be left out; none if that is too little."""
    parts = list(clips)
    if len(parts) < _MIN_CLIPS:  # in pieces, each of several blocks if possible
        parts = [piece for clip in clips for piece in _pieces(clip)]
    return [parts[number::_NUM_FOLDS] for number in range(_NUM_FOLDS)] if len(parts) >= _MIN_CLIPS else []


def _pieces(clip: _Part) -> Iterator[_Part]:
    blocks = blocks_of(clip.seconds)
    size = max(1, len(blocks) // _NUM_FOLDS)
    for start in range(0, len(blocks), size):
        yield clip.part(np.concatenate(blocks[start : start + size]))


def learn_memory(source: Spec, *, encoder: Encoder | None = None, progress: Report = silent) -> Memory | None:
    """What is normal in the footage of a fixed camera; of long footage, 20 s at 15 places spread over it.

    Args:
        source: as for `learn`: one camera's footage.
        encoder: by which appearance is remembered, too; None remembers motion alone.
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
    learner, total = Learner(encoder=encoder), footage.num_frames()
    num = 0
    for frames in batches(footage, *([encoder.view] if encoder else [])):
        num += len(frames)
        learner.update(frames)
        progress(Progress("remembering what is normal", num, total))
        if learner.seconds > 2 * _MAX_SECONDS:  # of unknown length
            break
    return learner.finish()


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
