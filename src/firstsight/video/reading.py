"""A pass over a source: an iterator of frames that counts what it yields and what it had to leave out."""

import logging
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from firstsight.video.frames import Frame, PixelByPixel, View

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Skipped:
    """Something of a source that could not be read: frames of a file, or a whole file."""

    num_frames: int = 0  # frames that are damaged or missing
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
