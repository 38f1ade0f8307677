"""Waiting for what happens in another thread or process, as long as it takes on a busy machine."""

import time
from collections.abc import Callable

# Only there so that what never happens is a failure and not a hang.
WATCHDOG_SECONDS = 240.0


def wait_for(condition: Callable[[], object]) -> None:
    """Returns as soon as it holds.

    Raises:
        AssertionError: it never did.
    """
    end = time.monotonic() + WATCHDOG_SECONDS
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.005)
