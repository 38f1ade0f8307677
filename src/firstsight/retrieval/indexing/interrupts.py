"""Ctrl-C while a library is written to: pressed once or five times, it never leaves half of anything."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


def run_uninterrupted(work: Callable[[], None]) -> None:
    """Does the work; where Ctrl-C was pressed meanwhile, however often, it counts once, afterwards.

    Raises:
        KeyboardInterrupt: it was pressed, and the work is done.
    """
    previous = signal.getsignal(signal.SIGINT)
    if not callable(previous) or not _gets_signals():
        work()
        return
    pressed: list[FrameType | None] = []
    signal.signal(signal.SIGINT, lambda _, frame: pressed.append(frame))
    try:
        work()
    finally:
        signal.signal(signal.SIGINT, previous)
    if pressed:
        previous(signal.SIGINT, pressed[0])


@contextmanager
def only_first_interrupt() -> Iterator[None]:
    """The first Ctrl-C stops what is under way; more of them are ignored while that is put away and written."""
    previous = signal.getsignal(signal.SIGINT)
    if not callable(previous) or isinstance(previous, _FirstOnly) or not _gets_signals():
        yield
        return
    signal.signal(signal.SIGINT, _FirstOnly(previous))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


class _FirstOnly:
    """What is called for the first Ctrl-C, and not again."""

    def __init__(self, previous: Callable[[int, FrameType | None], object]) -> None:
        self._previous = previous
        self._is_pressed = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self._is_pressed:
            self._is_pressed = True
            self._previous(number, frame)


def _gets_signals() -> bool:
    return threading.current_thread() is threading.main_thread()
