"""A pass over a source: an iterator of frames that counts what it yields and what it had to leave out."""

from collections.abc import Generator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from firstsight.video.frames import Frame


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
