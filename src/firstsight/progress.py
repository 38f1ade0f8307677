"""What learning tells while it works, and how Ctrl-C is heard."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Where learning is."""

    what: str  # the part under way: "level 2 of 4", "reading"
    done: float  # of it, in any unit
    total: float | None  # in the same unit, if known
    state: str = ""  # the latest numbers, for people
    news: tuple[str, ...] = ()  # lines worth keeping: a level has ended


Report = Callable[[Progress], None]


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
