"""Frames, views of them, and a reading: an iterator of frames that counts what it yields and what it skips."""

import logging
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from firstsight.files import Closing
from firstsight.pixels import Crop


class View(Protocol):
    """Which rectangle of a frame to use, at which size, in grey or in colour."""

    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB."""

    def crop(self, width: int, height: int) -> Crop:
        """The rectangle to use of an upright picture with square pixels of that size."""


@dataclass(frozen=True)
class PixelByPixel:
    """A view of an entire picture, as it is."""

    channels: int = 3

    def crop(self, width: int, height: int) -> Crop:
        """All of it, at its own size."""
        return Crop(0, 0, width, height, width, height)


@dataclass(frozen=True)
class Frame:
    """An image of a source and its time; with several views, all pictures are made from one decoding."""

    pictures: tuple[NDArray[np.uint8], ...]  # (H, W, C) each, one per view, in the order of the views
    seconds: float  # presentation time
    index: int  # position in its video, from 0, counting frames that were not used
    source: str  # the name of its file, for people
    size: tuple[int, int]  # width, height of the upright picture with square pixels, before any view
    duration_seconds: float | None = None  # until the next frame of its video, used or not; None for pictures and live

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The frame through the first view: uint8 (H, W, C)."""
        return self.pictures[0]

    @property
    def whole(self) -> NDArray[np.uint8]:
        """The frame through the last view, by convention one of the entire frame: uint8 (H, W, C)."""
        return self.pictures[-1]

    def continues(self, last: "Frame") -> bool:
        """Whether it belongs with the frame before it: of one file or stream, or pictures of one size."""
        is_picture = self.duration_seconds is None and self.size == last.size
        return self.source == last.source or is_picture

    def __repr__(self) -> str:
        shapes = ", ".join(str(picture.shape) for picture in self.pictures)
        return f"Frame({self.source!r}, index={self.index}, seconds={self.seconds:.3f}, pictures={shapes})"


_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Skipped:
    """Frames of a file that could not be read, or an entire file."""

    num_frames: int = 0  # frames that are damaged or missing
    source: str = ""  # the name of the file
    reason: str = ""  # why an entire file was skipped, in one line


# What sources yield, in order of presentation.
Events = Generator[Frame | Skipped, None, None]


class Reading(Closing):
    """An iterator of frames, to be closed, which a `with` block does.

    Memory does not grow with the duration of the video. Not to be shared between threads.
    """

    def __init__(self, events: Events, *, on_close: Callable[[], None] | None = None) -> None:
        self.num_frames = 0  # yielded so far
        self.num_skipped = 0  # damaged or missing frames so far
        self.skipped_by_source: dict[str, int] = {}  # the same, by file
        self.skipped_sources: list[str] = []  # one line for each skipped file
        self._events = events
        self._on_close = on_close

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Frame:
        """The next frame.

        Raises:
            SourceError: the source cannot be read, or has no frame.
            PixelsError: the frames are too small for one of the views.
        """
        for event in self._events:
            if isinstance(event, Frame):
                self.num_frames += 1
                return event
            self.num_skipped += event.num_frames
            if event.num_frames:
                known = self.skipped_by_source.get(event.source, 0)
                self.skipped_by_source[event.source] = known + event.num_frames
            if event.reason:
                self.skipped_sources.append(event.reason)
                _LOG.warning("%s", event.reason)
        raise StopIteration

    def close(self) -> None:
        """Closes the open file; no more frames follow."""
        self._events.close()  # which does nothing before the first frame
        if self._on_close:
            self._on_close()


class _Readable(Protocol):
    def read(self, *views: View) -> Reading: ...


def iterate(source: _Readable) -> Iterator[Frame]:
    """The frames of a source as they are, in colour; the reading is closed when the loop ends."""
    with source.read(PixelByPixel()) as reading:
        yield from reading
