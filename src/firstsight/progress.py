"""Progress reports of long work, and how it is cancelled: by its report, or by Ctrl-C."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self


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


class Ending:
    """Delays Ctrl-C, SIGTERM and SIGHUP until between two frames, so that an event is sent everywhere or nowhere.

    A second signal shortens the wait for deliveries. A signal that was ignored before, as under nohup, stays ignored.

    Attributes:
        num_signals: received so far.
    """

    def __init__(self) -> None:
        self.num_signals = 0
        self._may_interrupt = self._is_at_once = False
        self._before: dict[signal.Signals, Any] = {}

    @contextmanager
    def interrupts(self) -> Iterator[None]:
        """Within it a signal raises KeyboardInterrupt, also one received before."""
        self._may_interrupt = True
        try:
            if self.num_signals:
                raise KeyboardInterrupt
            yield
        finally:
            self._may_interrupt = False

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Within it every signal raises KeyboardInterrupt."""
        self._is_at_once = True
        try:
            yield
        finally:
            self._is_at_once = False

    def _note(self, _number: int, _frame: object) -> None:
        self.num_signals += 1
        if self._is_at_once:
            raise KeyboardInterrupt
        if self._may_interrupt:
            self._may_interrupt = False
            raise KeyboardInterrupt

    def __enter__(self) -> Self:
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # the last is unknown to Windows
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
