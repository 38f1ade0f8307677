"""A pass over a source: an iterator of frames that counts what it yields and what it had to leave out."""

import logging
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from firstsight.pixels import Crop


class View(Protocol):
    """How a frame is to be seen: which rectangle, at which size, in grey or in colour."""

    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB."""

    def crop(self, width: int, height: int) -> Crop:
        """The rectangle to use of an upright picture with square pixels of that size."""


@dataclass(frozen=True)
class PixelByPixel:
    """A view of all of a picture, as it is."""

    channels: int = 3

    def crop(self, width: int, height: int) -> Crop:
        """All of it, at its own size."""
        return Crop(0, 0, width, height, width, height)


@dataclass(frozen=True)
class Frame:
    """One moment of a source.

    The first picture is `pixels`. A reader that asks for several views, the network's input and then one of all of the
    frame, finds the last as `whole`, and all in `pictures`, made from one decoding.
    """

    pictures: tuple[NDArray[np.uint8], ...]  # (H, W, C) each, one per view, in the order asked for
    seconds: float  # presentation time
    index: int  # position in its video, from 0, counting frames that were left out
    source: str  # the file it came from, as a person would name it
    size: tuple[int, int]  # width, height of the upright picture with square pixels, before any view
    duration_seconds: float | None = None  # until the next frame of its video, used or not; None for pictures and live

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The frame through the first view: uint8 (H, W, C)."""
        return self.pictures[0]

    @property
    def whole(self) -> NDArray[np.uint8]:
        """All of the frame: uint8 (H, W, C), through the last view, where its reader asked for one of all of it."""
        return self.pictures[-1]

    def __repr__(self) -> str:
        shapes = ", ".join(str(picture.shape) for picture in self.pictures)
        return f"Frame({self.source!r}, index={self.index}, seconds={self.seconds:.3f}, pictures={shapes})"


_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Skipped:
    """Something of a source that could not be read: frames of a file, or a whole file."""

    num_frames: int = 0  # frames that are damaged or missing
    source: str = ""  # the file, as its frames call it
    reason: str = ""  # why a whole file was left out, in one line; empty when only frames are


# What the sources of this package produce, in order of presentation.
Events = Generator[Frame | Skipped, None, None]


class Reading:
    """An iterator of frames, to be closed, which a `with` block does.

    It streams: memory does not grow with the length of the video. Not to be shared between threads.
    """

    def __init__(self, events: Events) -> None:
        self.num_frames = 0  # yielded so far
        self.num_skipped = 0  # damaged or missing frames so far
        self.skipped_by_source: dict[str, int] = {}  # the same, of each file that lost any
        self.skipped_sources: list[str] = []  # one line for each file that was left out
        self._events = events

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Frame:
        """The next frame.

        Raises:
            SourceError: the source cannot be read, or not a single frame was found in it.
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
        """Release the file that is open. Reading on then yields nothing."""
        self._events.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Readable(Protocol):
    def read(self, *views: View) -> Reading: ...


def iterate(source: _Readable) -> Iterator[Frame]:
    """The frames of a source as they are, in colour; it is closed when the loop ends."""
    with source.read(PixelByPixel()) as reading:
        yield from reading
