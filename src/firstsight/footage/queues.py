"""Between a thread that reads and a slower one that uses: a queue that reads ahead, and one that drops old frames."""

import threading
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

from firstsight.errors import SettingsError
from firstsight.files import Closing

if TYPE_CHECKING:
    from firstsight.footage.frames import Frame, View
    from firstsight.footage.source import Source

Item = TypeVar("Item")


@dataclass(frozen=True)
class _End:
    """Follows the last item in a queue."""

    error: BaseException | None = None  # that ended it


class _Ahead(Generic[Item]):
    """What the two threads share."""

    def __init__(self, depth: int) -> None:
        self.queue: SimpleQueue[Item | _End] = SimpleQueue()
        self.is_over = False
        self._free = threading.Semaphore(depth)

    def fill(self, items: Iterable[Item]) -> None:
        """Runs in the thread that reads."""
        try:
            for item in items:
                self._free.acquire()
                if self.is_over:
                    break
                self.queue.put(item)
            if close := getattr(items, "close", None):
                close()  # by the thread that used it: decoders are not to be shared
        except BaseException as error:
            self.queue.put(_End(error))
        else:
            self.queue.put(_End())

    def take(self) -> Item:
        """The next item; after the last, the error that ended it or StopIteration."""
        item = self.queue.get()
        if isinstance(item, _End):
            self.queue.put(_End())
            raise item.error or StopIteration
        self._free.release()
        return item

    def end(self) -> None:
        """No more is read; the items that wait can still be taken."""
        self.is_over = True
        self._free.release()
        self.queue.put(_End())


class Prefetched(Closing, Iterator[Item]):
    """An iterator to be closed, which a `with` block does. An error comes up where the item would have.

    Closing stops the thread, waits for it, and closes what it read from. Example:

        with source.read(view) as reading, prefetch(reading, depth=16) as frames:
            for frame in frames:
                print(frame.seconds)
    """

    def __init__(self, items: Iterable[Item], depth: int) -> None:
        self._ahead: _Ahead[Item] = _Ahead(depth)
        self._thread = threading.Thread(target=self._ahead.fill, args=(items,), name="prefetch", daemon=True)
        self._thread.start()
        self._stop = weakref.finalize(self, self._ahead.end)  # also if it is dropped without being closed

    def __next__(self) -> Item:
        return self._ahead.take()

    def close(self) -> None:
        """Drop what was decoded ahead, stop the thread and wait for it."""
        self._stop()
        self._thread.join()
        self._ahead = _Ahead(depth=1)  # which drops the old one
        self._ahead.end()


def prefetch(items: Iterable[Item], *, depth: int) -> Prefetched[Item]:
    """The same items, read ahead by a thread: at most `depth` of them wait to be used.

    Raises:
        SettingsError: the depth is below 1.
    """
    if depth < 1:
        raise SettingsError(f"depth {depth}; valid is a number of frames to decode ahead, from 1")
    return Prefetched(items, depth)


def read_batches(source: "Source", *views: "View", size: int) -> Iterator[list["Frame"]]:
    """The frames of a source, read once, `size` at a time, the last ones fewer; read ahead by a thread.

    Raises:
        SourceError: it cannot be read.
    """
    with closing(source.read(*views)) as reading, prefetch(reading, depth=2 * size) as frames:
        while batch := list(islice(frames, size)):
            yield batch


class EndedError(Exception):
    """No item will follow."""


class Newest(Generic[Item]):
    """A queue of items in the order of their arrival; a droppable one replaces a droppable one that still waits.

    Attributes:
        num_dropped: items replaced so far.
    """

    def __init__(self) -> None:
        self.num_dropped = 0
        self._items: deque[tuple[Item, bool]] = deque()
        self._changed = threading.Condition()
        self._is_over = False
        self._error: BaseException | None = None

    def put(self, item: Item, *, droppable: bool) -> None:
        """Adds an item, or replaces the last."""
        with self._changed:
            if self._is_over:
                return
            if droppable and self._items and self._items[-1][1]:
                self._items.pop()
                self.num_dropped += 1
            self._items.append((item, droppable))
            self._changed.notify_all()

    def wait_until_empty(self) -> None:
        """Returns when every item was taken, or none is wanted any more: for a reader that must not drop."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or not self._items)

    def take(self, timeout_seconds: float) -> Item | None:
        """The oldest item; None if none came within the time.

        Raises:
            EndedError: after the last item; an error of the reader is raised as it is.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or len(self._items) > 0, timeout_seconds)
            if self._items:
                self._changed.notify_all()
                return self._items.popleft()[0]
            if not self._is_over:
                return None
            error, self._error = self._error, None
        raise error or EndedError

    def end(self, error: BaseException | None = None) -> None:
        """No item will follow those that wait."""
        with self._changed:
            self._is_over, self._error = True, error
            self._changed.notify_all()

    def stop(self) -> None:
        """Drops the items that wait; no more are wanted."""
        with self._changed:
            self._items.clear()
        self.end()
