"""Ctrl-C: the first ends the work and keeps what is done, the second ends the process."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_CODE = 130
_LAST_WORDS = b"\ninterrupted again: ended at once; what was saved before is whole\n"


@contextmanager
def ending_at_the_second_ctrl_c() -> Iterator[None]:
    """Within it the first Ctrl-C raises KeyboardInterrupt, and the next one ends the process with one line.

    So what cleans up after the first is never interrupted half-way in Python. The process may end at any moment anyhow:
    files are written atomically, and libraries survive it. Where Ctrl-C is ignored, as in the background, it stays so.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _First())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _First:
    """A handler that raises once."""

    def __init__(self) -> None:
        self._was_pressed = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        if self._was_pressed:
            os.write(2, _LAST_WORDS)
            os._exit(_CODE)
        self._was_pressed = True
        raise KeyboardInterrupt
