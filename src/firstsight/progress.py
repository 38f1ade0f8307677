"""Progress reports of long work, and how it is cancelled: by its report, or by Ctrl-C."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far the work is."""

    what: str  # the current part: "level 2 of 4", "embedding"
    done: float  # of it, in any unit
    total: float | None  # in the same unit, if known
    state: str = ""  # the latest numbers, for people
    news: tuple[str, ...] = ()  # lines worth keeping: a level has ended, a file cannot be read


# Called repeatedly by long work. To stop the work, it raises `Cancelled`.
Report = Callable[[Progress], None]


class Cancelled(BaseException):  # as KeyboardInterrupt: handlers of errors do not catch it
    """Raised by a `Report` to stop the work that calls it. As with Ctrl-C, complete results are kept."""


INTERRUPTIONS = (KeyboardInterrupt, Cancelled)


def silent(_: Progress) -> None:
    """Reports nothing."""


@contextmanager
def deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Defers Ctrl-C until a step is done, so that no half step is saved; a second Ctrl-C acts at once."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    pressed = threading.Event()
    previous = signal.getsignal(signal.SIGINT)

    def remember(*_: object) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, remember)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, previous)
