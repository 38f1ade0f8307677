"""What lies between a thread that reads and one that is slower: of frames only the newest, of news everything."""

import threading
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

from firstsight.errors import SettingsError

Item = TypeVar("Item")


def prefetch(items: Iterable[Item], *, depth: int) -> "Prefetched[Item]":
    """The same items, taken ahead of time by a thread: at most `depth` of them wait to be used.

    Raises:
        SettingsError: the depth is below 1.
    """
    if depth < 1:
        raise SettingsError(f"depth {depth}; valid is a number of frames to decode ahead, from 1")
    return Prefetched(items, depth)


class Prefetched(Iterator[Item]):
    """An iterator to be closed, which a `with` block does. An error comes up where the item would have.

    Closing stops the thread, waits for it, and closes what it read from. Example:

        with source.read(view) as reading, prefetch(reading, depth=16) as frames:
            for frame in frames:
                print(frame.seconds)
    """

    def __init__(self, items: Iterable[Item], depth: int) -> None:
        self._belt: _Belt[Item] = _Belt(depth)
        self._thread = threading.Thread(target=_fill, args=(self._belt, items), name="prefetch", daemon=True)
        self._thread.start()
        weakref.finalize(self, self._belt.stop)  # should it be forgotten without being closed

    def __next__(self) -> Item:
        return self._belt.take()

    def end(self) -> None:
        """Take no more from the thread. What it decoded ahead can still be used."""
        self._belt.end()

    def close(self, *, wait_seconds: float | None = None) -> None:
        """Stop the thread and wait until it has, or for so long. What it decoded ahead is dropped.

        A thread that hangs in a read is left behind; it ends when the read does.
        """
        self._belt.stop()
        self._thread.join(wait_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Belt(Generic[Item]):
    """What lies between the two threads: a bounded queue that either side can end."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._is_over = False
        self._error: BaseException | None = None

    def put(self, item: Item) -> bool:
        """Add an item as soon as there is room; False if nobody wants any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or len(self._items) < self._depth)
            if not self._is_over:
                self._items.append(item)
                self._changed.notify_all()
            return not self._is_over

    def take(self) -> Item:
        """The next item as soon as there is one; after the last the error that ended it, or StopIteration."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or len(self._items) > 0)
            if self._items:
                self._changed.notify_all()
                return self._items.popleft()
            error, self._error = self._error, None
        raise error or StopIteration

    def end(self, error: BaseException | None = None) -> None:
        """No item will follow."""
        with self._changed:
            self._is_over, self._error = True, self._error or error
            self._changed.notify_all()

    def stop(self) -> None:
        """No item is wanted any more."""
        with self._changed:
            self._items.clear()
            self._is_over, self._error = True, None
            self._changed.notify_all()


def _fill(belt: _Belt[Item], items: Iterable[Item]) -> None:
    try:
        for item in items:
            if not belt.put(item):
                break
        if close := getattr(items, "close", None):
            close()  # by the thread that used it: decoders are not to be shared
    except BaseException as error:
        belt.end(error)
    else:
        belt.end()


class EndedError(Exception):
    """No item will follow."""


class Newest(Generic[Item]):
    """A box for one droppable item and any number of others, emptied in the order in which they came.

    Attributes:
        num_dropped: droppable items that a newer one took the place of.
    """

    def __init__(self) -> None:
        self.num_dropped = 0
        self._items: deque[tuple[Item, bool]] = deque()
        self._changed = threading.Condition()
        self._is_over = False
        self._error: BaseException | None = None

    def put(self, item: Item, *, droppable: bool) -> None:
        """Adds an item; a droppable one takes the place of a droppable one that is still waiting."""
        with self._changed:
            if self._is_over:
                return
            if droppable and self._items and self._items[-1][1]:
                self._items.pop()
                self.num_dropped += 1
            self._items.append((item, droppable))
            self._changed.notify_all()

    def wait_until_empty(self) -> None:
        """Returns when everything was taken, or nobody wants any more: for whoever must not drop."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or not self._items)

    def take(self, timeout_seconds: float) -> Item | None:
        """The oldest item; None if there was none for so long.

        Raises:
            EndedError: after the last one. What ended the reader otherwise comes up as it is.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or len(self._items) > 0, timeout_seconds)
            if self._items:
                item, _ = self._items.popleft()
                self._changed.notify_all()
                return item
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
        """No item is wanted any more."""
        with self._changed:
            self._items.clear()
            self._is_over, self._error = True, None
            self._changed.notify_all()
