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
    if not callable(previous) or not _gets_signals():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, lambda *_: None)
        previous(number, frame)

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def _gets_signals() -> bool:
    return threading.current_thread() is threading.main_thread()
