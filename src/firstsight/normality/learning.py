"""Learning what is normal before a fixed camera: from the motion and the appearance in its footage.

Scores are calibrated on normal footage that the memory did not hold: whole clips are left out in turn, or, where there
are few, parts of them.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import groupby, islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from firstsight.encoder.encoder import Encoder
from firstsight.encoder.run_folder import MEMORY_FILE, RunFolder
from firstsight.errors import SourceError
from firstsight.footage.frames import Frame, View
from firstsight.footage.source import Source, Spec, open_source
from firstsight.footage.stream import Stream, first_frames, reading_ended
from firstsight.footage.videos import Span, VideoFiles, spans_of, spread
from firstsight.normality.appearance import Sight, Sights, is_due, learn_appearance
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
    largest_of,
    of_things,
    remembered,
    units_of,
)
from firstsight.normality.rarity import Trailing
from firstsight.progress import Progress, Report, silent

_MAX_SECONDS, _PIECE_SECONDS = 300.0, 20.0  # of footage that is learned from, spread over all of it
_NUM_FOLDS, _MIN_CLIPS = 5, 5
_TOGETHER, _BATCH_SIZE = 8, 64  # frames whose motion, and whose appearance is computed at once
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


@dataclass(frozen=True, eq=False)
class _Noted:
    """What is kept of a frame."""

    source: str
    seconds: float
    piece: int  # of 20 s, of all of the footage
    boxes: Boxes
    look: Frame | None  # through the encoder's view; None if it is not due


def _follows(source: str, seconds: float, last_source: str, last_seconds: float) -> bool:
    """Whether a frame is of the same clip as the one before."""
    return source == last_source and 0 < seconds - last_seconds < BLOCK_SECONDS


class Learner:
    """Learns a memory from the frames of a fixed camera, as they come.

    Of more than ten minutes, pieces of 20 s are kept, spread over all of it: between five and ten minutes.

    Args:
        view_index: which of a frame's pictures is through a `MotionView`.
        looks_index: which one is through the view of the encoder by which appearance is learned, too; None is none.

    Attributes:
        seconds: of motion that was learned from.
    """

    def __init__(self, view_index: int = 0, *, looks_index: int | None = None) -> None:
        self._motion, self._looks_index = Motion(view_index), looks_index
        self._clips: list[list[_Noted]] = []
        self._last: Frame | None = None
        self._last_boxes: Boxes | None = None
        self._last_looked: Frame | None = None
        self._waiting: list[Frame] = []
        self._elapsed, self._one_in = 0.0, 1
        self.seconds = 0.0

    def add(self, frame: Frame) -> None:
        """Adds the next frame in order of time, as `update` does."""
        self._waiting.append(frame)
        if len(self._waiting) == _TOGETHER:
            self._add_waiting()

    def update(self, frames: Sequence[Frame]) -> None:
        """Adds frames in order of time; one file after the other."""
        kept = [frame for frame in frames if self._keeps(frame)]
        for frame, boxes in zip(kept, self._motion.update(kept), strict=True):
            if boxes is None or boxes is self._last_boxes:
                continue
            last = self._clips[-1][-1] if self._clips else None
            if last is None or not _follows(frame.source, frame.seconds, last.source, last.seconds):
                self._clips.append([])
            elif last:
                self.seconds += frame.seconds - last.seconds
            noted = _Noted(frame.source, frame.seconds, self._piece(), boxes.astype(np.float16), self._look(frame))
            self._clips[-1].append(noted)
            self._last_boxes = boxes
        if self.seconds > 2 * _MAX_SECONDS:
            self._thin()

    def _add_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        self.update(waiting)

    def _keeps(self, frame: Frame) -> bool:
        last, self._last = self._last, frame
        if last is not None and _follows(frame.source, frame.seconds, last.source, last.seconds):
            self._elapsed += frame.seconds - last.seconds
        return self._piece() % self._one_in == 0

    def _piece(self) -> int:
        return int(self._elapsed // _PIECE_SECONDS)

    def _look(self, frame: Frame) -> Frame | None:
        """What the encoder will need of the frame, if it is due."""
        if self._looks_index is None or not is_due(frame, self._last_looked):
            return None
        self._last_looked = frame = replace(frame, pictures=(frame.pictures[self._looks_index].copy(),))
        return frame

    def _thin(self) -> None:
        """Keeps every other piece, each as a clip of its own."""
        self._one_in *= 2
        pieces = [list(piece) for clip in self._clips for _, piece in groupby(clip, key=lambda noted: noted.piece)]
        self._clips = [piece for piece in pieces if piece[0].piece % self._one_in == 0]
        self.seconds = sum(piece[-1].seconds - piece[0].seconds for piece in self._clips)

    def clips(self) -> "list[Clip]":
        """The motion so far, of each clip."""
        return [
            Clip(np.stack([one.boxes for one in clip]).astype(np.float32), np.array([one.seconds for one in clip]))
            for clip in self._clips
            if len({one.boxes.shape for one in clip}) == 1
        ]

    def sights(self, encoder: Encoder) -> list[Sights]:
        """The appearance so far, of each clip of the size of the first."""
        sight, found = Sight(encoder, 0), []
        for clip in self._clips:
            due = [one.look for one in clip if one.look]
            parts = [due[start : start + _BATCH_SIZE] for start in range(0, len(due), _BATCH_SIZE)]
            seen = [one for part in parts for one in zip(part, sight.update(part), strict=True)]
            found.append([(frame.seconds, cells) for frame, cells in seen if cells is not None])
        shapes = [cells.shape for clip in found for _, cells in clip]
        return [
            Sights(np.stack([cells for _, cells in clip]), np.array([at for at, _ in clip]))
            for clip in found
            if clip and {cells.shape for _, cells in clip} == {shapes[0]}
        ]

    def finish(self, encoder: Encoder | None = None) -> Memory | None:
        """The memory; None if less than a second of motion was found, or the camera moves.

        Args:
            encoder: by which appearance is learned; None learns motion alone.
        """
        self._add_waiting()
        clips = self.clips()
        if self.seconds < 1 or not clips or _share_at_rest(clips) < _SHARE_AT_REST:
            return None
        clips = [replace(clip, boxes=of_things(clip.boxes)) for clip in clips]
        appearance, sights = None, self.sights(encoder) if encoder else []
        if encoder and sights:
            appearance = learn_appearance(_folds(sights) or [sights], encoder.fingerprint)
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
    scored = []
    for number, fold in enumerate(folds):
        others = [part for other, fold in enumerate(folds) if other != number for part in fold]
        memory = _memory_of(others)
        for part in fold:
            heat = excess(part.boxes, memory.vectors, memory.units).max((1, 2)).astype(np.float64)
            trailing = Trailing()
            scores = np.array([trailing.update("clip", *one) for one in zip(part.seconds, heat, strict=True)])
            scored.append((scores[:, None], part.seconds))
    return np.array(largest_of(scored)[-MAX_BLOCKS:], np.float64).reshape(-1)


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


def learn_memory(
    source: Spec, *, encoder: Encoder | None = None, live_seconds: float | None = None, progress: Report = silent
) -> Memory | None:
    """What is normal in the footage of a fixed camera; of long footage, 20 s at 15 places spread over it.

    Args:
        source: as for `learn`: one camera's footage.
        encoder: by which appearance is remembered, too; None remembers motion alone.
        live_seconds: of a camera, a pipe or an address: learn from its first so many seconds; None reads until it ends.
            Ctrl-C ends it earlier, and keeps what was read.
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
    learner = Learner(looks_index=1 if encoder else None)
    views = [encoder.view] if encoder else []
    if not footage.replayable:
        _read_live(learner, footage, views, live_seconds, progress)
        return learner.finish(encoder)
    if isinstance(footage, VideoFiles):
        spans = spans_of(footage)
        if not _rests(footage, spans):
            return None
        footage = _parts_of(footage, spans)
    total, num = footage.num_frames(), 0
    for frames in batches(footage, *views):
        num += len(frames)
        learner.update(frames)
        progress(Progress("remembering what is normal", num, total))
    return learner.finish(encoder)


def _read_live(
    learner: Learner, footage: Source, views: Sequence[View], seconds: float | None, progress: Report
) -> None:
    first: float | None = None
    try:
        with Stream(footage, views=(MotionView(), *views), speed=0) as stream:
            for frame in first_frames(stream, seconds=seconds):
                first = frame.seconds if first is None else first
                learner.add(frame)
                progress(Progress("remembering what is normal", round(frame.seconds - first, 1), seconds))
    except (KeyboardInterrupt, SourceError) as error:
        if first is None:
            raise
        progress(Progress("remembering what is normal", 1, 1, news=(reading_ended(error),)))


def remember(
    sources: Sequence[Source],
    encoder: Encoder,
    folder: RunFolder,
    *,
    learner: Learner | None = None,
    progress: Report = silent,
) -> None:
    """Keeps in a run what is normal before its camera, if that stands still, and reports it.

    Args:
        sources: videos that the run was learned from; of what is live nothing is read.
        encoder: of the run.
        folder: of the run; a memory that is there is replaced, or deleted if the camera moves.
        learner: of what is live, after all of it was read.
        progress: called now and then.

    Raises:
        RunError: it cannot be written.
    """
    if learner is None and not all(isinstance(source, VideoFiles) for source in sources):
        return
    try:
        memory = learner.finish(encoder) if learner else _memory_of_all(sources, encoder, progress)
    except SourceError as error:  # the encoder is learned and saved
        keep_memory(None, folder.folder, why=str(error), progress=progress)
    else:
        keep_memory(memory, folder.folder, progress=progress)


def keep_memory(
    memory: Memory | None,
    run: Path,
    *,
    why: str = "the camera moves, its frames are too far apart, or it is under a second",
    progress: Report = silent,
) -> None:
    """Writes it into the folder of a run, or deletes the one that is there if there is none, and reports that and why.

    Raises:
        RunError: it cannot be written.
    """
    file = run / MEMORY_FILE
    if memory is None:
        file.unlink(missing_ok=True)
        news = f"no memory of what is normal is kept: {why}"
    else:
        memory.save(file)
        news = f"the camera stands still: what is normal is kept; {memory.promise()}"
    progress(Progress("remembering what is normal", 1, 1, news=(news,)))


def _memory_of_all(sources: Sequence[Source], encoder: Encoder, progress: Report) -> Memory | None:
    """None as soon as a part is not of a fixed camera."""
    memory = None
    for source in sources:
        more = learn_memory(source, encoder=encoder, progress=progress)
        if more is None:
            return None
        memory = more if memory is None else memory.merged(more)
    return memory


def _rests(source: VideoFiles, spans: Sequence[Span]) -> bool:
    """Whether the camera stands still, by a few frames at a few times: a walk costs no more than that."""
    total = sum(end - start for _, start, end in spans)
    probes = spread(spans, every=total / _PROBES) if total else source.files[:: -(-len(source.files) // _PROBES)]
    learner = Learner()
    for file in probes:
        try:
            with closing(replace(source, files=(file,)).read(MotionView())) as reading:
                learner.update(list(islice(reading, _PROBE_FRAMES)))
        except SourceError:
            continue
    clips = [clip for clip in learner.clips() if len(clip.seconds)]
    return bool(clips) and _share_at_rest(clips) >= _SHARE_AT_REST


def _parts_of(source: VideoFiles, spans: Sequence[Span]) -> VideoFiles:
    """Pieces of 20 s spread over all of it, if it is longer than five minutes."""
    total = sum(end - start for _, start, end in spans)
    if total <= _MAX_SECONDS:
        return source
    every = total / (_MAX_SECONDS / _PIECE_SECONDS)
    return replace(source, files=spread(spans, every=every, piece_seconds=_PIECE_SECONDS))
