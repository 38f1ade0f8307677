"""Events sent on, to a web address or to a command, by a thread of its own: watching never waits for either."""

import contextlib
import os
import shlex
import signal
import subprocess
import threading
import urllib.request
from collections import deque
from collections.abc import Callable

from firstsight.errors import SettingsError
from firstsight.video.addresses import public_name

_TIMEOUT_SECONDS = 10.0
# Of an address that does not answer the oldest events are given up, so that memory does not grow.
_LONGEST_QUEUE = 100
_FAREWELL_SECONDS = 5.0

Deliver = Callable[[bytes], None]


class Sender:
    """Delivers what it is given, one after another, in the order in which it came.

    Args:
        name: of the receiver, for people.
        deliver: takes a message there; what it raises counts as a failure.
        longest_queue: messages that wait at most.

    Attributes:
        num_sent: delivered so far.
        num_failed: not delivered, as the receiver failed or too many waited.
        last_error: why, in one line; empty while there was none.
    """

    def __init__(self, name: str, deliver: Deliver, *, longest_queue: int = _LONGEST_QUEUE) -> None:
        self.name = name
        self.num_sent = 0
        self.num_failed = 0
        self.last_error = ""
        self._deliver = deliver
        self._longest_queue = longest_queue
        self._waiting: deque[bytes] = deque()
        self._is_over = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)
        self._thread.start()

    def send(self, message: bytes) -> None:
        """Puts the message into the queue; of a full one the oldest is given up."""
        with self._changed:
            if len(self._waiting) == self._longest_queue:
                self._waiting.popleft()
                self._fail(f"more than {self._longest_queue} events waited")
            self._waiting.append(message)
            self._changed.notify()

    def close(self, timeout_seconds: float = _FAREWELL_SECONDS) -> None:
        """Waits so long for what is still to be delivered; what is not then has failed."""
        with self._changed:
            self._is_over = True
            self._changed.notify()
        self._thread.join(timeout_seconds)
        with self._changed:
            if self._waiting:
                self.num_failed += len(self._waiting)
                self.last_error = self.last_error or "too slow to be waited for at the end"
                self._waiting.clear()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_over)
                if not self._waiting:
                    return
                message = self._waiting.popleft()
            try:
                self._deliver(message)
            except Exception as error:  # whatever the receiver does wrong, watching goes on
                with self._changed:
                    self._fail(str(error) or type(error).__name__)
            else:
                self.num_sent += 1

    def _fail(self, reason: str) -> None:
        self.num_failed += 1
        self.last_error = " ".join(reason.split())


def to_webhook(url: str, *, timeout_seconds: float = _TIMEOUT_SECONDS) -> Sender:
    """Posts each message as JSON.

    Raises:
        SettingsError: not an address of the web.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise SettingsError(f"webhook {url!r}; valid is an address that begins with http:// or https://")

    def post(message: bytes) -> None:
        headers = {"Content-Type": "application/json", "User-Agent": "firstsight"}
        request = urllib.request.Request(url, message, headers)  # noqa: S310, checked above
        with urllib.request.urlopen(request, timeout=timeout_seconds) as answer:  # noqa: S310
            answer.read(1)

    return Sender(public_name(url), post)


def to_command(command: str, *, timeout_seconds: float = _TIMEOUT_SECONDS) -> Sender:
    """Runs the command for each message, which it reads from standard input; what lasts too long is killed.

    Args:
        command: program and arguments as in a shell, but without one.
        timeout_seconds: for each run.

    Raises:
        SettingsError: empty, or a quote is not closed.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise SettingsError(f"command {command!r}: {error}; close it") from error
    if not words:
        raise SettingsError("the command is empty; give a program, such as --run 'notify.sh hall'")

    def run(message: bytes) -> None:
        with subprocess.Popen(  # noqa: S603, the user gave it
            words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        ) as process:
            try:
                process.communicate(message + b"\n", timeout_seconds)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # with whatever it has started
                raise TimeoutError(f"{words[0]} took longer than {timeout_seconds:g} s") from None
        if process.returncode:
            raise RuntimeError(f"{words[0]} ended with {process.returncode}")

    return Sender(words[0], run)
