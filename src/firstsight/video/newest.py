"""What lies between a thread that reads and one that is slower: of frames only the newest, of news everything."""

import threading
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


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
