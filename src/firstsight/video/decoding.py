"""Video files through FFmpeg: what a container states, and its frames one after the other.

Only this file and `filtering.py` import PyAV, and none of its errors leaves them. PyAV keeps FFmpeg's log silent.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.codec.context import Flags
from av.container import InputContainer
from av.format import Flags as FormatFlags
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from firstsight.errors import SourceError
from firstsight.video.clock import Clock
from firstsight.video.filtering import Deinterlacer, Viewer, orientation, square_size
from firstsight.video.frames import Frame, View
from firstsight.video.reading import Events, Skipped
from firstsight.video.sampling import Sampler, Sampling

# A file damaged so badly that this many reads in a row fail is over.
_FAILED_READS = 100

# Formats that FFmpeg draws as video: text and ANSI art.
_TEXT_FORMATS = {"tty", "bin", "xbin", "adf", "idf"}


@dataclass(frozen=True)
class Span:
    """What a container states about its video, without decoding it."""

    start_seconds: float
    end_seconds: float | None
    frames_per_second: float | None
    num_frames: int | None


@dataclass(frozen=True)
class _Moment:
    """A decoded frame, when it is shown, and its position in the file."""

    frame: VideoFrame
    seconds: float
    index: int


@dataclass(frozen=True)
class _Landing:
    """Where decoding begins: at a keyframe, the packet with this time stamp, or at the beginning."""

    dts: int | None = None
    seconds: float = -math.inf  # presentation time of the keyframe; frames before it are not whole
    index: int = 0  # position of the keyframe in order of presentation


class _SeekMissedError(Exception):
    """Seeking led to a place behind the one asked for."""


def span(path: Path, *, name: str) -> Span:
    """What the container states about its video.

    Raises:
        SourceError: the file is not a video.
    """
    with _opened(path, name) as video:
        return Span(video.start_seconds, video.end_seconds, video.rate, video.num_frames)


def size(path: Path, *, name: str) -> tuple[int, int]:
    """Width and height of the first frame, upright and with square pixels.

    Raises:
        SourceError: the file is not a video, or no frame of it can be decoded.
    """
    with _opened(path, name) as video:
        for frame in video.frames():
            if isinstance(frame, VideoFrame):
                return orientation(frame).size(*square_size(frame, video.pixel_aspect))
        raise SourceError(f"{name} has no frame that can be decoded: it is empty or damaged")


def decode(path: Path, *, name: str, views: tuple[View, ...], sampling: Sampling) -> Events:
    """The frames of a video file that sampling keeps, in order of presentation, and what had to be skipped.

    Each is upright and has square pixels; interlaced frames are deinterlaced. Damaged frames are skipped, and so are
    those that the container states but a file that was cut off does not have.

    Args:
        path: the file.
        name: what to call it in frames and errors.
        views: how to show every frame.
        sampling: which frames to use.

    Raises:
        SourceError: the file is not a video.
        PixelsError: its frames are too small for a view.
    """
    try:
        yield from _decode(path, name, views, sampling, seek=True)
    except _SeekMissedError:
        yield from _decode(path, name, views, sampling, seek=False)


def _decode(path: Path, name: str, views: tuple[View, ...], sampling: Sampling, *, seek: bool) -> Events:
    viewer, sampler = Viewer(views), Sampler(sampling)
    with _opened(path, name) as video:
        landing = video.land(sampling.start_seconds) if seek and sampling.start_seconds else _Landing()
        for event in _deinterlaced(_moments(video, landing, sampling)):
            if isinstance(event, Skipped):
                yield event
            elif sampling.is_over(event.seconds):
                return
            elif sampler.keeps(event.index, event.seconds):
                pictures = viewer.pictures(event.frame, video.pixel_aspect)
                yield Frame(pictures, seconds=event.seconds, index=event.index, source=name)
        if lost := video.num_lost_at_end():
            yield Skipped(lost)


def _moments(video: "_Video", landing: _Landing, sampling: Sampling) -> Iterator[_Moment | Skipped]:
    index, is_before = landing.index, sampling.start_seconds is not None
    for frame in video.frames():
        if isinstance(frame, VideoFrame):
            seconds = video.clock.seconds(video.stamp(frame))
            if seconds < landing.seconds:
                continue
            is_before = sampling.is_before(seconds)
        if not is_before:
            damaged = not isinstance(frame, VideoFrame) or frame.is_corrupt
            yield Skipped(1) if damaged else _Moment(frame, seconds, index)
        index += 1


def _deinterlaced(moments: Iterable[_Moment | Skipped]) -> Iterator[_Moment | Skipped]:
    """Nothing changes until a frame is flagged as interlaced; from then on, each frame waits for the next one."""
