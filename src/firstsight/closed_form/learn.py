"""The default method from footage to encoder: one pass that keeps a bounded sample, then `fit` on that."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from firstsight.closed_form.fit import DEFAULT, RANDOM, fit
from firstsight.device import describe_machine, has_fast_bfloat16
from firstsight.encoder.encoder import Encoder
from firstsight.encoder.model import WholeFrame
from firstsight.encoder.run_folder import RunFolder
from firstsight.errors import SettingsError, SourceError, check_choice, check_count
from firstsight.footage.frames import Frame, View
from firstsight.footage.image_folders import ImageFiles
from firstsight.footage.queues import prefetch
from firstsight.footage.source import Source
from firstsight.footage.stream import Stream, first_frames, reading_ended
from firstsight.footage.videos import ONE_IN, SEGMENT_FRAMES, VideoFile, VideoFiles
from firstsight.process import Precision
from firstsight.progress import Progress, Report
from firstsight.quality import health

_MIN_FRAMES = 3


@dataclass(frozen=True)
class ClosedFormSettings:
    """The default method, and its floor with random filters. All else is derived from the footage."""

    max_frames: int = 5_000  # that are learned from, spread over all of the footage
    precision: Precision | None = None  # of the matrix products; None is bfloat16 where the processor has it

    def __post_init__(self) -> None:
        if self.precision is not None:
            check_choice("precision", self.precision, get_args(Precision))
        if check_count("at most {} frames", self.max_frames, at_least=None) < _MIN_FRAMES:
            raise SettingsError(f"at most {self.max_frames} frames; valid is {_MIN_FRAMES} or more")


Thing = TypeVar("Thing")

_MAX_SIZED_FILES = 40  # whose size is read
_MAX_DECODED = 2  # frames for each that is kept


def spread(sources: Sequence[Source], max_frames: int) -> list[Source]:
    """The sources with decoding by all threads; of much more footage than needed, parts spread evenly over all of it.

    Up to twice `max_frames` all frames are decoded. Of more, short segments with as many frames in all, of which every
    third is used: about two thirds of `max_frames`, and ten hours take no longer than ten minutes. Frames chosen by a
    rate are all decoded, and thinned to between `max_frames` and twice as many. Sources of unknown length stay as they
    are.
    """
    total = count(sources)
    if total is None:
        return list(sources)
    plan = _Plan(total, max_frames)
    return [plan.applied(source) for source in sources]


def count(sources: Sequence[Source]) -> int | None:
    """The number of frames that the containers state; None if one does not."""
    counts = [source.num_frames() for source in sources]
    return None if None in counts else sum(num or 0 for num in counts)


def sizes_of(source: Source) -> list[tuple[int, int]]:
    """The different sizes (width, height) of its pictures, by area; of very many files those of 40, spread evenly.

    Raises:
        SourceError: none can be read.
    """
    parts: list[Source] = [source]
    if isinstance(source, VideoFiles):
        parts = [replace(source, files=(file,)) for file in _some(source.files)]
    elif isinstance(source, ImageFiles):
        parts = [replace(source, positions=(position,)) for position in _some(source.positions)]
    sizes = set()
    for part in parts:
        with suppress(SourceError):  # reading reports why
            sizes.add(part.size())
    return sorted(sizes, key=lambda size: size[0] * size[1]) or [source.size()]


def _some(things: Sequence[Thing]) -> list[Thing]:
    step = max(1, -(-len(things) // _MAX_SIZED_FILES))
    return list(things[::step])


class _Plan:
    """What to read of `total` frames, for about `max_frames`."""

    def __init__(self, total: int, max_frames: int) -> None:
        self._one_in = max(1, total // max_frames)
        num_decoded = _MAX_DECODED * max_frames
        self._segments_a_frame = num_decoded / SEGMENT_FRAMES / total if total > num_decoded else 0.0
        self._owed = 0.0  # part of a segment, from files too short for one

    def applied(self, source: Source) -> Source:
        if isinstance(source, VideoFiles):
            return replace(source, files=tuple(self._files(source)))
        if isinstance(source, ImageFiles):
            return replace(source, positions=source.positions[:: self._one_in])
        return source

    def _files(self, source: VideoFiles) -> Iterator[VideoFile]:
        """At least a segment of one."""
        files = [changed for file in source.files if (changed := self._file(file))]
        yield from files or [self._segments(source.files[0], 1)]

    def _file(self, file: VideoFile) -> VideoFile | None:
        """What to read of the file, if anything."""
        thinned = replace(file, sampling=replace(file.sampling, one_in=self._one_in), multithreaded=True)
        try:
            num_frames = file.num_frames() or 0
        except SourceError:
            return file  # reading reports why
        if not self._segments_a_frame or file.sampling.every or file.sampling.frames_per_second:
            return thinned
        self._owed += num_frames * self._segments_a_frame
        num_segments = int(self._owed)
        self._owed -= num_segments
        return self._segments(file, num_segments) if num_segments else None

    def _segments(self, file: VideoFile, num: int) -> VideoFile:
        """So many segments of a file; all of it, if it is no longer than these."""
        is_short = num * SEGMENT_FRAMES >= (file.num_frames() or 0)
        sampling = replace(file.sampling, one_in=ONE_IN if is_short else self._one_in)
        return replace(file, sampling=sampling, num_segments=0 if is_short else num, multithreaded=True)


_DEPTH = 32  # decoded frames kept ready


@dataclass(frozen=True)
class Beside:
    """What else uses the frames of a live source while it is read, as it cannot be read again."""

    views: tuple[View, ...]  # whose pictures follow the first one of each frame
    use: Callable[[Frame], None]


class BoundedSample:
    """Keeps every n-th frame, and doubles n whenever there are twice too many, for footage of unknown length.

    Attributes:
        num_read: frames that were read.
        num_skipped: frames that could not be decoded.
        skipped_by_file: the same, of each file that lost any.
        cut_short: how the reading of a live source ended before its time; empty if it did not.
    """

    def __init__(self, max_frames: int) -> None:
        self.max_frames = max_frames
        self.num_read = 0
        self.num_skipped = 0
        self.skipped_by_file: dict[str, int] = {}
        self.cut_short = ""
        self._kept: list[NDArray[np.uint8]] = []
        self._every = 1

    def read(
        self,
        sources: Sequence[Source],
        view: View,
        *,
        report: Callable[[float], None],
        live_seconds: float | None = None,
        beside: Beside | None = None,
    ) -> NDArray[np.uint8]:
        """The frames through the view, in order: uint8 (N, height, width, channels), N at most `max_frames`.

        Args:
            sources: read once each, in order. A live one also ends with Ctrl-C or when it breaks, and what was
                read until then is kept.
            view: always of one size.
            report: called with the number of frames read; of a live source of a given time, with the seconds read.
            live_seconds: of a live source; None reads until it ends.
            beside: what else uses the frames of a live source.

        Raises:
            SourceError: a source cannot be read.
            KeyboardInterrupt: Ctrl-C before the first frame of a live source, or while files are read.
        """
        for source in sources:
            if source.replayable:
                self._read_file(source, view, report)
            else:
                self._read_live(source, view, report, live_seconds, beside)
        if len(self._kept) > self.max_frames:
            chosen = np.linspace(0, len(self._kept) - 1, self.max_frames).round().astype(int)
            self._kept = [self._kept[index] for index in chosen]
        kept, self._kept = self._kept, []
        return np.stack(kept) if kept else np.empty((0, 1, 1, 1), np.uint8)

    def _read_file(self, source: Source, view: View, report: Callable[[float], None]) -> None:
        with closing(source.read(view)) as reading, prefetch(reading, depth=_DEPTH) as frames:
            for frame in frames:
                self._add(frame)
                report(self.num_read)
            self.num_skipped += reading.num_skipped
            self.skipped_by_file |= reading.skipped_by_source

    def _read_live(
        self,
        source: Source,
        view: View,
        report: Callable[[float], None],
        seconds: float | None,
        beside: Beside | None,
    ) -> None:
        views = (view, *beside.views) if beside else (view,)
        before, first = self.num_read, 0.0
        with Stream(source, views=views, speed=0) as stream:
            try:
                for frame in first_frames(stream, seconds=seconds):
                    first = frame.seconds if self.num_read == before else first
                    self._add(frame)
                    if beside:
                        beside.use(frame)
                    report(self.num_read if seconds is None else round(frame.seconds - first, 1))
            except (KeyboardInterrupt, SourceError) as error:
                if self.num_read == before:
                    raise
                self.cut_short = reading_ended(error)
        self.num_skipped += stream.num_skipped
        if stream.num_skipped:
            self.skipped_by_file[source.name] = stream.num_skipped

    def _add(self, frame: Frame) -> None:
        if self.num_read % self._every == 0:
            self._kept.append(frame.pixels)
            if len(self._kept) == 2 * self.max_frames:
                self._kept = self._kept[::2]
                self._every *= 2
        self.num_read += 1


def learn_closed_form(
    sources: Sequence[Source],
    settings: ClosedFormSettings,
    provenance: dict[str, Any],
    folder: RunFolder | None,
    progress: Report,
    *,
    live_seconds: float | None = None,
    beside: Beside | None = None,
) -> Encoder:
    """An encoder from one bounded sample of the footage, saved if there is a folder.

    Args:
        sources: read once each, one after the other.
        settings: of the method.
        provenance: recorded beside the outcome; its "method" and "seed" are used.
        folder: of the run.
        progress: called now and then.
        live_seconds: of a live source; None reads until it ends or until Ctrl-C.
        beside: what else uses the frames of a live source.

    Raises:
        SourceError: no footage, or too little of it.
        RunError: the folder cannot be written.
    """
    begin = time.monotonic()
    view = WholeFrame.for_size(*sources[0].size())
    sample, parts = BoundedSample(settings.max_frames), spread(sources, settings.max_frames)
    num_frames, total = count(sources), count(parts)
    ends = total if live_seconds is None else live_seconds
    frames = sample.read(
        parts,
        view,
        report=lambda done: progress(Progress("reading", done, ends)),
        live_seconds=live_seconds,
        beside=beside,
    )
    if sample.cut_short:
        news = f"{sample.cut_short}; learning from the {sample.num_read} frames that were read"
        progress(Progress("reading", sample.num_read, None, news=(news,)))
    learned = fit(
        frames,
        seed=provenance["seed"],
        recipe=RANDOM if provenance["method"] == "random" else DEFAULT,
        precision=settings.precision or ("bfloat16" if has_fast_bfloat16() else "float32"),
        report=lambda what, share: progress(Progress(what, share, 1)),
    )
    encoder = Encoder(learned.model)
    probe = frames[np.linspace(0, len(frames) - 1, min(len(frames), 200)).astype(int)]
    measured = health.measure_embedding(probe, encoder.encode(probe))
    outcome = {
        "finished": True,
        "frames_in_a_pass": sample.num_read if total == num_frames else num_frames,
        "frames_skipped": sample.num_skipped,
        "skipped_by_file": sample.skipped_by_file,
        "frames_learned_from": len(frames),
        "seconds": round(time.monotonic() - begin, 1),
        "footage": learned.facts(),
        "embedding": asdict(measured),
        "warnings": measured.warnings(),
        "health": [asdict(level) for level in health.measure_frames(learned.model, probe)],
    }
    encoder.provenance = {**provenance, "machine": describe_machine(), "outcome": outcome}
    if folder:
        folder.save(encoder)
        folder.write_line({"event": "learned", **outcome})
    return encoder
