"""Frames embedded with their thumbnails, and written to the tables of a library.

A video whose indexing was interrupted continues where it stopped, with the same frames as if it had not.
"""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from types import FrameType

import numpy as np

from firstsight.encoder.descriptions import Descriptions
from firstsight.encoder.encoder import Encoder
from firstsight.errors import SourceError
from firstsight.footage.container import open_video
from firstsight.footage.frames import Frame
from firstsight.footage.queues import prefetch
from firstsight.footage.sampling import Sampling
from firstsight.footage.source import Source
from firstsight.footage.videos import VideoFile, VideoFiles
from firstsight.library.folder import check_still_writing
from firstsight.library.records import MAX_SECONDS, FrameRows, LayoutRows, SourceRecord, Stored
from firstsight.library.tables import Tables
from firstsight.library.thumbnails import Thumbnail, as_jpeg

# Frames embedded at once. A source is written in multiples of it: the last digits of an embedding can depend on its
# batch, and an interrupted source must end with the same rows as any other.
BATCH_SIZE = 64

# Times after a seek can differ from those before in their last digits.
_SAME_SECONDS = 1e-6

Choice = Callable[[Iterator[Frame]], Iterator[Frame]]


@dataclass(frozen=True, eq=False)
class EmbeddedBatch:
    """Some frames of a source; the last of all has none."""

    rows: FrameRows
    num_skipped: int  # frames that could not be decoded, so far


def embed_source(
    encoder: Encoder, source: Source, *, thumbnail_size: int, choose: Choice = iter, with_layouts: bool = False
) -> Iterator[EmbeddedBatch]:
    """The source in batches, decoded in one thread while another embeds.

    Args:
        encoder: of the library.
        source: read once.
        thumbnail_size: pixels of the longer side.
        choose: filters the frames; by default all are used.
        with_layouts: describe them for the encoder's second stage, too.

    Raises:
        SourceError: it cannot be read.
        PixelsError: its frames are too small for the encoder.
    """
    views = (encoder.view, Thumbnail(thumbnail_size))
    with closing(source.read(*views)) as reading, prefetch(reading, depth=2 * BATCH_SIZE) as frames:
        chosen = choose(frames)
        while batch := list(islice(chosen, BATCH_SIZE)):
            yield EmbeddedBatch(_rows(encoder, batch, with_layouts=with_layouts), reading.num_skipped)
        nothing = FrameRows(np.empty((0, encoder.dim), np.float32), (), (), ())
        yield EmbeddedBatch(nothing, reading.num_skipped)


# Of one frame in so many, or at most so many a second, decoding takes longer than all else: 12 frames of 720p are
# decoded in 12 ms, and one is embedded in 4.
_SPARSE_EVERY = 5
_SPARSE_RATE = 5.0


def footage_to_embed(path: Path, name: str, sampling: Sampling) -> VideoFiles:
    """A video as it is read to be embedded: decoded by all threads where that is most of the work.

    One thread decodes where arithmetic needs the processors, and of keyframes alone, which do not follow each other.
    """
    is_sparse = (sampling.every or 0) >= _SPARSE_EVERY or (sampling.frames_per_second or math.inf) <= _SPARSE_RATE
    file = VideoFile(path, name, sampling, multithreaded=is_sparse and not sampling.keyframes)
    return VideoFiles(name, (file,))


def stated_end(path: Path, *, name: str) -> float:
    """The stated end of a video, in seconds; else 0.

    Raises:
        SourceError: it is not a video.
    """
    with open_video(path, name=name) as video:
        return video.end_seconds or 0.0


# A stated end is plausible up to so much later than twice the last frame.
_PLAUSIBLE_SECONDS = 60


def plausible_end(stated: float, last: float, sampling: Sampling) -> float:
    """The end that a container states, in seconds, or the last frame if that is far earlier."""
    step = (sampling.every or 0) + 1 / (sampling.frames_per_second or 1)  # seconds, at a frame a second or more
    return stated if last <= stated <= min(2 * last + step + _PLAUSIBLE_SECONDS, MAX_SECONDS) else last


def _rows(encoder: Encoder, batch: list[Frame], *, with_layouts: bool) -> FrameRows:
    for frame in batch:
        if not abs(frame.seconds) <= MAX_SECONDS:
            raise SourceError(
                f"{frame.source} has a frame at {frame.seconds:.3g} s: valid is up to {MAX_SECONDS:.0e} s"
            )
    pictures = np.stack([frame.pixels for frame in batch])
    described = encoder.describe(pictures) if with_layouts else Descriptions(encoder.encode(pictures))
    return FrameRows(
        described.vectors,
        [frame.index for frame in batch],
        [frame.seconds for frame in batch],
        [as_jpeg(frame.whole) for frame in batch],
        LayoutRows.of(described),
    )


class ResumePointMissingError(Exception):
    """The last stored frame did not come again: read the video from its beginning."""


class ResumedSampling(Sampling):
    """The frames of a sampling from the beginning, in a video read from a later time.

    Its start is where reading begins; steps are counted from the beginning.
    """

    def step(self, nth: int, seconds: float) -> int:
        """As without a start."""
        return Sampling(every=self.every, frames_per_second=self.frames_per_second).step(nth, seconds)


def resumed_sampling(sampling: Sampling, stored: Stored) -> Sampling:
    """The sampling that begins at the last stored frame; with a rate, a tick before it."""
    margin = 1 / sampling.frames_per_second if sampling.frames_per_second else _SAME_SECONDS
    start = max(0.0, stored.seconds - margin)
    return ResumedSampling(start, None, sampling.every, sampling.frames_per_second, keyframes=sampling.keyframes)


def can_resume(partial: SourceRecord, content: str, sampling: Sampling) -> bool:
    """Whether the stored rows are the beginning of the source; with damaged frames it is easier to begin again."""
    return partial.content == content and partial.sampling == sampling and partial.num_skipped == 0


def frames_after(frames: Iterator[Frame], stored: Stored) -> Iterator[Frame]:
    """The frames that follow the last stored one.

    Raises:
        ResumePointMissingError: that one is missing.
    """
    for frame in frames:
        if frame.index == stored.frame_index and abs(frame.seconds - stored.seconds) < _SAME_SECONDS:
            yield from frames
            return
        if frame.index >= stored.frame_index:
            break
    raise ResumePointMissingError


def run_uninterrupted(work: Callable[[], None]) -> None:
    """Does the work; Ctrl-C during it, however often, takes effect once, afterwards.

    Raises:
        KeyboardInterrupt: it was pressed, and the work is done.
    """
    previous = signal.getsignal(signal.SIGINT)
    if not callable(previous) or not _gets_signals():
        work()
        return
    pressed: list[FrameType | None] = []
    signal.signal(signal.SIGINT, lambda _, frame: pressed.append(frame))
    try:
        work()
    finally:
        signal.signal(signal.SIGINT, previous)
    if pressed:
        previous(signal.SIGINT, pressed[0])


@contextmanager
def only_first_interrupt() -> Iterator[None]:
    """The first Ctrl-C stops the work; further ones are ignored while its results are written."""
    previous = signal.getsignal(signal.SIGINT)
    if not callable(previous) or isinstance(previous, _FirstOnly) or not _gets_signals():
        yield
        return
    signal.signal(signal.SIGINT, _FirstOnly(previous))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


class _FirstOnly:
    """A handler that calls another one for the first Ctrl-C only."""

    def __init__(self, previous: Callable[[int, FrameType | None], object]) -> None:
        self._previous = previous
        self._is_pressed = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self._is_pressed:
            self._is_pressed = True
            self._previous(number, frame)


def _gets_signals() -> bool:
    return threading.current_thread() is threading.main_thread()


# A kill loses at most this much. More take memory, about 90 kB each while they are written; fewer fragment the tables.
_ROWS_AT_ONCE = 512
_SECONDS_AT_ONCE = 15.0
# Each write leaves a version that lists all files; after so many, files are joined.
_WRITES_BETWEEN_COMPACTIONS = 256


class Writer:
    """Writes sources to the tables, one after another."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._rows: list[tuple[int, FrameRows]] = []
        self._current: SourceRecord | None = None
        self._noted: list[SourceRecord] = []
        self._superseded: list[int] = []
        self._last_write = time.monotonic()
        self._num_writes = 0
        self._has_failed = False

    def add(self, record: SourceRecord, rows: FrameRows) -> None:
        """Adds frames of a source that is not finished yet."""
        self._current = record
        self._rows.append((record.id, rows))
        is_late = time.monotonic() - self._last_write > _SECONDS_AT_ONCE
        if is_late or sum(len(some) for _, some in self._rows) >= _ROWS_AT_ONCE:
            self.write()

    def resume(self, record: SourceRecord) -> None:
        """Continues a source that has rows already."""
        self._current = record

    def finish(self, record: SourceRecord, *, instead_of: Sequence[int] = ()) -> None:
        """The current source is complete: the next write shows it, and drops those of these ids."""
        self._current = None
        self.note(replace(record, status="whole"), instead_of=instead_of)

    def note(self, record: SourceRecord, *, instead_of: Sequence[int] = ()) -> None:
        """Adds a change of a source other than of its rows."""
        self._noted.append(record)
        self._superseded += instead_of

    def abandon(self) -> None:
        """Drops the current source, with the rows already written."""
        if self._current is not None:
            source, self._current = self._current.id, None
            self._rows = [(id_, rows) for id_, rows in self._rows if id_ != source]
            self._tables.drop([source])

    def write(self) -> None:
        """Writes everything added so far. Ctrl-C waits until it is done.

        Raises:
            LibraryError: the disk is full; the next run embeds again what was not written.
        """
        if (self._rows or self._noted) and not self._has_failed:
            run_uninterrupted(self._write)

    def _write(self) -> None:
        tables, self._has_failed = self._tables, True
        check_still_writing(tables.folder.parent)
        if self._current is not None:
            tables.put([replace(self._current, status="partial")])
        tables.add(self._rows)
        tables.put(list({record.id: record for record in self._noted}.values()))
        tables.drop(self._superseded)
        self._rows, self._noted, self._superseded = [], [], []
        self._num_writes += 1
        if self._num_writes % _WRITES_BETWEEN_COMPACTIONS == 0:
            tables.compact()
        self._last_write = time.monotonic()
        self._has_failed = False
