"""Events sent on, to a web address or to a command, by a thread of its own: watching never waits for either."""

import contextlib
import os
import shlex
import signal
import subprocess
import threading
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable
from random import Random

from firstsight.errors import SettingsError
from firstsight.video.addresses import public_name
from firstsight.video.reconnecting import Patience

_TIMEOUT_SECONDS = 10.0
# Of an address that does not answer the oldest events are given up, so that memory does not grow.
_LONGEST_QUEUE = 100
_FAREWELL_SECONDS = 5.0
_SERVERS_FAULT = 500  # and above, of the answers of HTTP

Deliver = Callable[[bytes], None]
Tell = Callable[[str], None]


class AwayError(Exception):
    """The receiver cannot be reached at the moment: the message is worth another try."""


class Sender:
    """Delivers what it is given, one after another, in the order in which it came.

    Args:
        name: of the receiver, for people.
        deliver: takes a message there. What it raises counts as a failure, but after an `AwayError` the message is
            tried again, with longer and longer waits in between, until the sender is closed.
        tell: takes a line for people when deliveries begin to fail and when they succeed again.
        longest_queue: messages that wait at most.
        patience: how long to wait for a receiver that is away.

    Attributes:
        num_sent: delivered so far.
        num_failed: not delivered, as the receiver failed or too many waited.
        last_error: why, in one line; empty while there was none.
    """

    def __init__(
        self,
        name: str,
        deliver: Deliver,
        *,
        tell: Tell | None = None,
        longest_queue: int = _LONGEST_QUEUE,
        patience: Patience | None = None,
    ) -> None:
        self.name = name
        self.num_sent = 0
        self.num_failed = 0
        self.last_error = ""
        self._deliver, self._tell = deliver, tell
        self._patience = patience or Patience()
        self._is_failing = False
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
        random, attempt = Random(), 0  # noqa: S311, nothing is kept secret by it
        while (message := self._next()) is not None:
            try:
                self._deliver(message)
            except AwayError as error:
                self._note_failure(str(error))
                self._put_off(message, self._patience.wait_seconds(attempt, random.random()))
                attempt += 1
            except Exception as error:  # whatever the receiver does wrong, watching goes on
                with self._changed:
                    self._fail(str(error) or type(error).__name__)
                self._note_failure(self.last_error)
            else:
                self.num_sent, attempt = self.num_sent + 1, 0
                self._note_success()

    def _next(self) -> bytes | None:
        """Waits for a message; None if none will follow."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_over)
            return self._waiting.popleft() if self._waiting else None

    def _put_off(self, message: bytes, seconds: float) -> None:
        """Puts the message back in front and waits; at the end, or if the queue is full, it is given up."""
        with self._changed:
            if self._is_over or len(self._waiting) == self._longest_queue:
                self._fail(self.last_error)
            else:
                self._waiting.appendleft(message)
            self._changed.wait_for(lambda: self._is_over, seconds)

    def _note_failure(self, reason: str) -> None:
        self.last_error = " ".join(reason.split())
        if not self._is_failing and self._tell:
            self._tell(f"{self.name}: {self.last_error}")
        self._is_failing = True

    def _note_success(self) -> None:
        if self._is_failing and self._tell:
            self._tell(f"{self.name}: delivered again")
        self._is_failing = False

    def _fail(self, reason: str) -> None:
        self.num_failed += 1
        self.last_error = " ".join(reason.split())


def to_webhook(
    url: str, *, tell: Tell | None = None, timeout_seconds: float = _TIMEOUT_SECONDS, patience: Patience | None = None
) -> Sender:
    """Posts each message as JSON. While nobody answers, or the server is at fault (5xx), it is tried again.

    Args:
        url: where to.
        tell: as for `Sender`, and
        patience: too.
        timeout_seconds: for each answer.

    Raises:
        SettingsError: not an address of the web.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise SettingsError(f"webhook {url!r}; valid is an address that begins with http:// or https://")

    def post(message: bytes) -> None:
        headers = {"Content-Type": "application/json", "User-Agent": "firstsight"}
        request = urllib.request.Request(url, message, headers)  # noqa: S310, checked above
        try:
            with urllib.request.urlopen(request, timeout=timeout_seconds) as answer:  # noqa: S310
                answer.read(1)
        except urllib.error.HTTPError as error:
            if error.code >= _SERVERS_FAULT:
                raise AwayError(str(error)) from error
            raise
        except OSError as error:  # no connection, no answer in time
            raise AwayError(str(getattr(error, "reason", error))) from error

    return Sender(public_name(url), post, tell=tell, patience=patience)


def to_command(command: str, *, tell: Tell | None = None, timeout_seconds: float = _TIMEOUT_SECONDS) -> Sender:
    """Runs the command for each message, which it reads from standard input; what lasts too long is killed.

    Args:
        command: program and arguments as in a shell, but without one.
        tell: as for `Sender`.
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

    return Sender(words[0], run, tell=tell)
