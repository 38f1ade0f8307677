"""Video files as a source."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from firstsight.errors import PixelsError, SourceError
from firstsight.files import FileIdentity, file_identity
from firstsight.footage.container import Landing, OpenVideo, SeekMissedError, open_video
from firstsight.footage.decoding import Decoded, decode, decode_keyframes, deinterlaced, located, shown
from firstsight.footage.finding import LeftOut
from firstsight.footage.frames import Events, Frame, Reading, Skipped, View, iterate
from firstsight.footage.orientation import Viewer, upright_size
from firstsight.footage.sampling import MIN_FRAMES_TO_SPLIT, Sampling, check_share

if TYPE_CHECKING:
    from firstsight.footage.source import Source

SEGMENT_FRAMES = 60  # decoded from a keyframe on
ONE_IN = 3  # of these, frames that are used
# Where keyframes are far apart, segments are fewer and at most so many times longer.
_MAX_LENGTHENED = 4


def decode_segments(path: Path, *, name: str, views: tuple[View, ...], sampling: Sampling, num_segments: int) -> Events:
    """About so many segments of 60 frames, evenly spaced over the sampled time; every third frame of them is used.

    Where keyframes are far apart, there are fewer and longer segments, of as many frames in all. No frames if the file
    states no duration, cannot seek, or has hardly a keyframe. Frame indices are estimated from times.
    """
    with open_video(path, name=name, multithreaded=True) as video:
        landings = _landings(video, sampling, num_segments)
        viewer = Viewer(views, video.pixel_aspect)
        end = math.inf if sampling.end_seconds is None else sampling.end_seconds
        for landing, following in pairwise([*landings, Landing(seconds=end)]):
            num_frames = num_segments * SEGMENT_FRAMES // len(landings)
            for event in _segment(video, landing, num_frames=num_frames, until_seconds=following.seconds):
                if isinstance(event, Skipped):
                    yield event
                else:
                    yield shown(event, viewer, name=name)


def _landings(video: OpenVideo, sampling: Sampling, num_segments: int) -> list[Landing]:
    start, end = max(video.start_seconds, sampling.start_seconds or 0), sampling.end_seconds or video.end_seconds
    if end is None:
        return []
    step = (min(end, video.end_seconds or end) - start) / num_segments
    try:
        found = {video.landing_near(start + (number + 0.5) * step) for number in range(num_segments)}
    except SeekMissedError:
        return []
    inside = sorted(
        (landing for landing in found if start <= landing.seconds < end), key=lambda landing: landing.seconds
    )
    return inside if len(inside) * _MAX_LENGTHENED >= num_segments else []


def _segment(
    video: OpenVideo, landing: Landing, *, num_frames: int, until_seconds: float
) -> Iterator[Decoded | Skipped]:
    """Every third of so many frames from the landing on, up to that time."""
    num_decoded = 0
    try:
        video.seek(landing)
        for event in deinterlaced(islice(located(video, landing), num_frames)):
            if isinstance(event, Skipped):
                yield event
            elif event.seconds >= until_seconds:
                return
            else:
                if num_decoded % ONE_IN == 0:
                    yield event
                num_decoded += 1
    except SeekMissedError:
        return


_NO_FRAME = "{name} has no frame that can be decoded: it is empty or damaged"

# Held out of each video at most: enough for evaluation, and the rest is needed for learning.
_MAX_HELD_OUT_SECONDS = 60


@dataclass(frozen=True)
class VideoFile:
    """One file, and which frames of it are used."""

    path: Path
    name: str  # in its frames and errors
    sampling: Sampling
    num_segments: int = 0  # to read instead of all of it, if possible; 0 reads all
    multithreaded: bool = False  # decode on all processors

    def num_frames(self) -> int | None:
        """How many frames the container states, after sampling; None if it does not state that, as of keyframes.

        Raises:
            SourceError: the file is not a video.
        """
        if self.num_segments:
            return self.num_segments * SEGMENT_FRAMES // ONE_IN
        if self.sampling.keyframes:
            return None  # how many there are is not stated
        start_seconds, rate, count = _stated(self.path, self.name, file_identity(self.path))
        return None if count is None or rate is None else self.sampling.num_frames(start_seconds, rate, count)

    @property
    def is_sampled(self) -> bool:
        """Whether other frames than those between a start and an end are left out."""
        chosen = replace(self.sampling, start_seconds=None, end_seconds=None)
        return chosen != Sampling() or self.num_segments > 0

    def split(self, share: float) -> "tuple[VideoFile, VideoFile | None]":
        """The beginning, and that share of it at the end; no end if the file does not state when it ends."""
        try:
            with open_video(self.path, name=self.name) as video:
                first, last = video.start_seconds, video.end_seconds
        except SourceError:
            return self, None  # reading it raises the error
        if last is None:
            return self, None
        first = max(first, self.sampling.start_seconds or 0)
        last = min(last, self.sampling.end_seconds or last)
        cut = last - min((last - first) * share, _MAX_HELD_OUT_SECONDS)
        if not first < cut < last:
            return self, None
        learned, held_out = replace(self.sampling, end_seconds=cut), replace(self.sampling, start_seconds=cut)
        return replace(self, sampling=learned), replace(self, sampling=held_out)


@dataclass(frozen=True)
class VideoFiles:
    """One video file or several, read one after the other.

    Of several, one that cannot be read is skipped; a single one must be readable.
    """

    name: str
    files: tuple[VideoFile, ...]
    left_out: tuple[LeftOut, ...] = ()  # other files beside them

    replayable = True

    def __iter__(self) -> Iterator[Frame]:
        """The frames, pixel by pixel in colour."""
        return iterate(self)

    def read(self, *views: View) -> Reading:
        """An iterator over the frames of all files, with a picture a view."""
        return Reading(self._events(views))

    def size(self) -> tuple[int, int]:
        """Width and height of the first frame, upright and with square pixels.

        Raises:
            SourceError: no file can be read.
        """
        reasons = []
        for file in self.files:
            try:
                with open_video(file.path, name=file.name) as video:
                    if frame := video.first_frame():
                        return upright_size(frame, video.pixel_aspect)
                reasons.append(_NO_FRAME.format(name=file.name))
            except SourceError as error:
                reasons.append(str(error))
        raise SourceError(self._none_readable(reasons))

    def num_frames(self) -> int | None:
        """How many frames reading yields, as far as the containers state it."""
        counts = list(self._counts())
        return None if None in counts else sum(count or 0 for count in counts)

    def split(self, share: float) -> "tuple[VideoFiles, VideoFiles | None]":
        """What to learn from; and the end of each video, at most a minute, to hold out."""
        check_share(share)
        if (self.num_frames() or 0) < MIN_FRAMES_TO_SPLIT:
            return self, None
        parts = [file.split(share) for file in self.files]
        held_out = tuple(end for _, end in parts if end)
        if not held_out:
            return self, None
        return replace(self, files=tuple(beginning for beginning, _ in parts)), replace(self, files=held_out)

    def _counts(self) -> Iterator[int | None]:
        for file in self.files:
            try:
                yield file.num_frames()
            except SourceError:
                yield 0  # reading will skip it

    def _events(self, views: tuple[View, ...]) -> Events:
        reasons: list[str] = []
        for file in self.files:
            try:
                for event in _events_of(file, views):
                    yield event if isinstance(event, Frame) else replace(event, source=file.name)
            except (SourceError, PixelsError) as error:
                if len(self.files) == 1:
                    raise
                reasons.append(str(error))
                yield Skipped(source=file.name, reason=str(error))
        if len(reasons) == len(self.files):
            raise SourceError(self._none_readable(reasons))

    def _none_readable(self, reasons: list[str]) -> str:
        return reasons[0] if len(reasons) == 1 else f"none of {self.name} can be read; the first: {reasons[0]}"


def decoded_by_all_threads(source: "Source") -> "Source":
    """The source, its videos decoded on all processors: for readers that leave the processors free meanwhile."""
    if not isinstance(source, VideoFiles):
        return source
    return replace(source, files=tuple(replace(file, multithreaded=True) for file in source.files))


@lru_cache(maxsize=65_536)  # needed for the plan, the progress and the record: a file is opened once for all
def _stated(path: Path, name: str, _identity: FileIdentity | None) -> tuple[float, float | None, int | None]:
    """Start, frames a second, and number of frames, as far as the container states them."""
    with open_video(path, name=name) as video:
        return video.start_seconds, video.frames_per_second, video.num_frames()


def _events_of(file: VideoFile, views: tuple[View, ...]) -> Events:
    num_frames = 0
    for events in _passes(file, views):
        for event in events:
            num_frames += isinstance(event, Frame)
            yield event
        if num_frames:
            return
    raise SourceError(_nothing_in(file))


Span = tuple[VideoFile, float, float]  # of a file, from second to second


def spans_of(source: VideoFiles) -> list[Span]:
    """When each file that can be opened begins and ends, in seconds; none if that is not known of one."""
    spans = []
    for file in source.files:
        try:
            with open_video(file.path, name=file.name) as video:
                first, last = video.start_seconds, video.end_seconds
        except SourceError:
            continue  # reading reports why
        if last is None:
            return []
        start, end = max(first, file.sampling.start_seconds or first), min(last, file.sampling.end_seconds or last)
        if end > start:
            spans.append((file, start, end))
    return spans


def spread(spans: Sequence[Span], *, every: float, piece_seconds: float | None = None) -> tuple[VideoFile, ...]:
    """Pieces of some footage, which begin so many seconds after each other.

    Args:
        spans: the footage, as of `spans_of`.
        every: seconds, above 0.
        piece_seconds: that each piece lasts at most; None lasts until its file ends.
    """
    pieces, at = [], 0.0
    for file, start, end in spans:
        while (begin := start + at) < end:
            until = end if piece_seconds is None else min(begin + piece_seconds, end)
            start_seconds = begin if begin > 0 else None  # some files begin before 0 s
            sampling = replace(file.sampling, start_seconds=start_seconds, end_seconds=until)
            pieces.append(replace(file, sampling=sampling))
            at += every
        at -= end - start
    return tuple(pieces)


def _passes(file: VideoFile, views: tuple[View, ...]) -> Iterator[Events]:
    """The ways to read a file; the first that yields a frame is used."""
    path, name, sampling, num = file.path, file.name, file.sampling, file.num_segments
    if num:
        yield decode_segments(path, name=name, views=views, sampling=sampling, num_segments=num)
    if sampling.keyframes:
        yield decode_keyframes(path, name=name, views=views, sampling=sampling, multithreaded=file.multithreaded)
        return
    yield decode(path, name=name, views=views, sampling=sampling, multithreaded=file.multithreaded)


def _nothing_in(file: VideoFile) -> str:
    start, end = file.sampling.start_seconds, file.sampling.end_seconds
    if start is None and end is None:
        return _NO_FRAME.format(name=file.name)
    span = f"from {start or 0:g} s" + ("" if end is None else f" to {end:g} s")
    with open_video(file.path, name=file.name) as video:
        last = video.end_seconds
    lasts = "" if last is None else f"; it states that it lasts until {last:g} s"
    return f"{file.name} has no frame {span}{lasts}: give an earlier start or a later end"
