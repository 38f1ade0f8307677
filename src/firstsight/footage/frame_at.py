"""The frame nearest to a time, found by seeking instead of reading all before it."""

import math
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import SourceError, check_seconds
from firstsight.footage.container import Landing, SeekMissedError, open_video
from firstsight.footage.decoding import JUST_BEFORE, Decoded, deinterlaced, landing_of, located, shown
from firstsight.footage.frames import Frame, PixelByPixel, Skipped, View
from firstsight.footage.image_folders import ArraySource, ImageFiles
from firstsight.footage.orientation import Viewer
from firstsight.footage.source import Source, open_source
from firstsight.footage.videos import VideoFile, VideoFiles

# A file that ends sooner than it states has lost the rest; a time in the rest is at most so far from its last frame.
_LOST_SECONDS = 10.0


def frame_at(
    source: "str | PathLike[str] | NDArray[np.uint8] | Source",
    seconds: float,
    *,
    views: tuple[View, ...] = (PixelByPixel(),),
) -> Frame:
    """The frame nearest to a time, of two that are equally near the earlier one.

    All frames and pictures count, whatever the sampling; of several videos, the first that lasts so long is used.
    Pictures count as one a second.

    Args:
        source: as for `open_source`. A live one is read up to that time.
        seconds: from the presentation zero of the file.
        views: of the frame; by default `pixels` is uint8 (H, W, 3), upright, in full size.

    Raises:
        SourceError: it cannot be read, or ends more than the duration of a frame before that time.
        SettingsError: the time is not a number from 0.
        PixelsError: the frame is too small for a view.

    Example:
        >>> frame_at("hall.mp4", 83.2).pixels.shape  # doctest: +SKIP
        (1080, 1920, 3)
    """
    return nearest_frame(source, check_seconds("time {} s", seconds), views=views)


def nearest_frame(
    source: "str | PathLike[str] | NDArray[np.uint8] | Source",
    seconds: float,
    *,
    views: tuple[View, ...] = (PixelByPixel(),),
) -> Frame:
    """`frame_at`, also for a time before 0, which the first frames of some files have."""
    opened = open_source(source)
    if isinstance(opened, VideoFiles):
        return _of_videos(opened, seconds, views)
    if isinstance(opened, ImageFiles | ArraySource):
        return _of_pictures(opened, seconds, views)
    return _of_live(opened, seconds, views)


def _of_videos(source: VideoFiles, seconds: float, views: tuple[View, ...]) -> Frame:
    first_error: SourceError | None = None
    for file in source.files:
        try:
            return _of_video(file, seconds, views)
        except SourceError as error:
            first_error = first_error or error
    raise first_error or SourceError(f"{source.name} has no frame")


def _of_video(file: VideoFile, seconds: float, views: tuple[View, ...]) -> Frame:
    """Decoded from the last keyframe before the time; if that does not yield the frame, from an earlier one."""
    landing = landing_of(file.path, name=file.name, seconds=seconds)
    while landing.ticks is not None:
        try:
            if frame := _from(landing, file, seconds, views):
                return frame
        except SeekMissedError:
            break
        landing = landing_of(file.path, name=file.name, seconds=landing.seconds - JUST_BEFORE)
    if frame := _from(Landing(), file, seconds, views):
        return frame
    raise SourceError(f"{file.name} has no frame that can be decoded: it is empty or damaged")


def _from(landing: Landing, file: VideoFile, seconds: float, views: tuple[View, ...]) -> Frame | None:
    """The nearest frame from the landing on; None if frames before the landing matter.

    Raises:
        SeekMissedError: the file cannot seek there.
        SourceError: the file ends before.
    """
    with open_video(file.path, name=file.name) as video:
        video.seek(landing)
        with closing(located(video, landing)) as events:
            nearest = _Nearest(seconds)
            for event in deinterlaced(nearest.watched(events)):
                if isinstance(event, Decoded) and not nearest.take(event):
                    break
        if nearest.decoded is None or (landing.ticks is not None and nearest.depends_on_earlier()):
            return None
        if not nearest.is_reached:
            _check_end(nearest.decoded, seconds, name=file.name, stated_end=video.end_seconds)
        return shown(nearest.decoded, Viewer(views, video.pixel_aspect), name=file.name)


class _Nearest:
    """The frame nearest to a time, of frames in order of time."""

    def __init__(self, seconds: float) -> None:
        self.decoded: Decoded | None = None
        self.is_reached = False  # whether a frame at or after the time has come
        self._seconds = seconds
        self._first: Decoded | None = None

    def watched(self, events: Iterable[Decoded | Skipped]) -> Iterator[Decoded | Skipped]:
        """The same frames, before they are deinterlaced."""
        for event in events:
            if self._first is None and isinstance(event, Decoded):
                self._first = event
            yield event

    def take(self, decoded: Decoded) -> bool:
        """Whether a frame that follows could be nearer."""
        if self.decoded is None or abs(decoded.seconds - self._seconds) < abs(self.decoded.seconds - self._seconds):
            self.decoded = decoded
        self.is_reached = decoded.seconds >= self._seconds
        return not self.is_reached

    def depends_on_earlier(self) -> bool:
        """Whether frames before the first could be nearer, or are needed to deinterlace it."""
        if self.decoded is None or self._first is None or self.decoded.index != self._first.index:
            return False
        return self.decoded.seconds > self._seconds or bool(self._first.frame.interlaced_frame)


def _check_end(last: Decoded, seconds: float, *, name: str, stated_end: float | None) -> None:
    """Raises SourceError if a video ended more than a frame, or than what can be lost at its end, before the time."""
    frame_seconds = last.duration_seconds or 0.0
    end = last.seconds + frame_seconds
    if stated_end is not None:
        end = max(end, min(stated_end, end + _LOST_SECONDS))
    if seconds > end + frame_seconds:
        raise _too_late(name, seconds, end)


def _of_pictures(source: ImageFiles | ArraySource, seconds: float, views: tuple[View, ...]) -> Frame:
    num = len(source.files) if isinstance(source, ImageFiles) else len(source.pictures)
    position = min(num - 1, math.ceil(seconds - 0.5))
    if seconds > position + 2:
        raise _too_late(source.name, seconds, position + 1)
    with closing(replace(source, positions=(position,)).read(*views)) as reading:
        return next(reading)


def _of_live(source: Source, seconds: float, views: tuple[View, ...]) -> Frame:
    before: Frame | None = None
    with closing(source.read(*views)) as reading:
        for frame in reading:
            if frame.seconds >= seconds:
                is_nearer = before is None or frame.seconds - seconds < seconds - before.seconds
                return frame if before is None or is_nearer else before
            before = frame
    end = 0.0 if before is None else before.seconds + 2 * (before.duration_seconds or 0.0)
    if before is None or seconds > end:
        raise _too_late(source.name, seconds, end)
    return before


def _too_late(name: str, seconds: float, end: float) -> SourceError:
    return SourceError(f"{name} is over before {seconds:g} s: it lasts {end:g} s; give an earlier time")
