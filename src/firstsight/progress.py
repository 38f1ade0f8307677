"""What work in progress reports, and how it is cancelled: by its report, or by Ctrl-C."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far a piece of work is."""

    what: str  # the part under way: "level 2 of 4", "embedding"
    done: float  # of it, in any unit
    total: float | None  # in the same unit, if known
    state: str = ""  # the latest numbers, for people
    news: tuple[str, ...] = ()  # lines worth keeping: a level has ended, a file cannot be read


# Called now and then by whatever takes long. To stop the work, it raises `Cancelled`.
Report = Callable[[Progress], None]


class Cancelled(BaseException):  # as KeyboardInterrupt: what handles errors does not catch it
    """Raised by a `Report` to stop the work that calls it. As with Ctrl-C, what is complete by then is kept."""


# What stops work from outside.
INTERRUPTIONS = (KeyboardInterrupt, Cancelled)


def silent(_: Progress) -> None:
    """Reports nothing."""


@contextmanager
def deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Ctrl-C is remembered until the step is done, so that what is saved is never half a step; twice is at once."""
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
