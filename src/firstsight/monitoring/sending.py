"""Events sent on, to a web address or to a program, by a thread of its own: watching never waits for either."""

import contextlib
import os
import shlex
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import deque
from collections.abc import Callable
from http.client import HTTPMessage
from typing import IO

from firstsight.backoff import Backoff
from firstsight.errors import SettingsError
from firstsight.footage.live import public_name
from firstsight.text import printable

_TIMEOUT_SECONDS = 10.0
# Of an address that does not answer the oldest events are given up, so that memory does not grow.
_LONGEST_QUEUE = 100
# At the end: for what is to be delivered, and then for a program that is asked to end.
_CLOSE_SECONDS = 5.0
_GRACE_SECONDS = 2.0
_POLL_SECONDS = 0.05  # between two questions whether to hurry
_SERVERS_FAULT = 500  # and above, of the answers of HTTP
_KEEPS_THE_POST = (307, 308)  # of the redirections; others ask for a page instead

Deliver = Callable[[bytes], None]
Notify = Callable[[str], None]


class ReceiverUnavailableError(Exception):
    """The receiver cannot be reached at the moment: the message is worth another try."""


class Sender:
    """Delivers what it is given, one after another, in the order in which it came.

    Args:
        name: of the receiver, for people.
        deliver: takes a message there. What it raises counts as a failure, but after a `ReceiverUnavailableError` the
            message is tried again, with longer and longer waits in between, until the sender is closed.
        cancel: makes a delivery that is under way end soon; called when the sender has waited long enough for it.
        notify: takes a line for people when deliveries begin to fail and when they succeed again.
        longest_queue: messages that wait at most.
        backoff: pauses between attempts to reach a receiver that is away.

    Attributes:
        num_sent: delivered so far.
        num_failed: not delivered, as the receiver failed, too many waited, or the end came before an answer.
        last_error: why, in one line; empty while there was none.
    """

    def __init__(
        self,
        name: str,
        deliver: Deliver,
        *,
        cancel: Callable[[], None] | None = None,
        notify: Notify | None = None,
        longest_queue: int = _LONGEST_QUEUE,
        backoff: Backoff | None = None,
    ) -> None:
        self.name = printable(name)
        self.num_sent = 0
        self.num_failed = 0
        self.last_error = ""
        self._deliver, self._cancel, self._notify = deliver, cancel, notify
        self._backoff = backoff or Backoff()
        self._is_failing = False
        self._longest_queue = longest_queue
        self._waiting: deque[bytes] = deque()
        self._is_under_way = False
        self._is_over = False  # nothing more will be sent
        self._is_closed = False  # what becomes of it is not counted any more
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

    def close(self, timeout_seconds: float = _CLOSE_SECONDS, *, is_hurried: Callable[[], bool] = lambda: False) -> None:
        """Waits so long for what is still to be delivered; what has not been by then has failed, and is counted so.

        Args:
            timeout_seconds: to wait at most.
            is_hurried: asked many times a second; True ends the wait.
        """
        with self._changed:
            self._is_over = True
            self._changed.notify()
        end = time.monotonic() + timeout_seconds
        try:
            while self._thread.is_alive() and time.monotonic() < end and not is_hurried():
                self._thread.join(min(_POLL_SECONDS, timeout_seconds))
        finally:
            self._give_up()

    def _give_up(self) -> None:
        """Ends what is under way; what has not been delivered by now has failed."""
        with self._changed:
            for _ in self._waiting:
                self._fail("too slow to be waited for at the end")
            self._waiting.clear()
        if self._thread.is_alive() and self._cancel:
            self._cancel()
            self._thread.join(_GRACE_SECONDS)
        with self._changed:
            if self._is_under_way:
                self._fail("no answer until the end")
            self._is_closed = True

    def _run(self) -> None:
        pauses = self._backoff.pauses()
        while (message := self._next()) is not None:
            try:
                self._deliver(message)
            except ReceiverUnavailableError as error:
                self._note_failure(str(error))
                self._put_off(message, next(pauses))
            except Exception as error:  # whatever the receiver does wrong, watching goes on
                self._note_failure(str(error) or type(error).__name__)
                self._settle(delivered=False)
            else:
                pauses = self._backoff.pauses()
                self._settle(delivered=True)

    def _next(self) -> bytes | None:
        """Waits for a message; None if none will follow."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_over)
            self._is_under_way = bool(self._waiting)
            return self._waiting.popleft() if self._waiting else None

    def _settle(self, *, delivered: bool) -> None:
        """Counts the message that was under way, unless it has been counted as failed at the end."""
        with self._changed:
            is_news = delivered and self._is_failing and not self._is_closed
            if not self._is_closed:
                self.num_sent += delivered
                self.num_failed += not delivered
            self._is_under_way = False
            self._is_failing &= not delivered
        if is_news and self._notify:
            self._notify(f"{self.name}: delivered again")

    def _put_off(self, message: bytes, seconds: float) -> None:
        """Puts the message back in front and waits; at the end, or if the queue is full, it is given up."""
        with self._changed:
            if self._is_over or len(self._waiting) == self._longest_queue:
                self._fail(self.last_error)
            else:
                self._waiting.appendleft(message)
            self._is_under_way = False
            self._changed.wait_for(lambda: self._is_over, seconds)

    def _note_failure(self, reason: str) -> None:
        with self._changed:
            is_news = not self._is_failing and not self._is_closed
            self._is_failing = True
            if not self._is_closed:
                self.last_error = _one_line(reason)
        if is_news and self._notify:
            self._notify(f"{self.name}: {_one_line(reason)}")

    def _fail(self, reason: str) -> None:
        if not self._is_closed:
            self.num_failed += 1
            self.last_error = _one_line(reason)


def _one_line(reason: str) -> str:
    return printable(" ".join(reason.split()))


def to_webhook(
    url: str,
    *,
    notify: Notify | None = None,
    timeout_seconds: float = _TIMEOUT_SECONDS,
    backoff: Backoff | None = None,
) -> Sender:
    """Posts each message as JSON; delivered is what is answered by 2xx.

    While nobody answers, or the server is at fault (5xx), it is tried again. Where it says that the address is another
    one (307, 308), the message is posted there.

    Args:
        url: where to.
        notify: as for `Sender`.
        timeout_seconds: for each answer.
        backoff: as for `Sender`.

    Raises:
        SettingsError: not an address of the web.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise SettingsError(f"webhook {url!r}; valid is an address that begins with http:// or https://")
    opener = urllib.request.build_opener(_PostsAgain)

    def post(message: bytes) -> None:
        headers = {"Content-Type": "application/json", "User-Agent": "firstsight"}
        request = urllib.request.Request(url, message, headers)  # noqa: S310, checked above
        try:
            with opener.open(request, timeout=timeout_seconds) as answer:
                answer.read(1)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code >= _SERVERS_FAULT:
                raise ReceiverUnavailableError(str(error)) from error
            raise
        except OSError as error:  # no connection, no answer in time
            raise ReceiverUnavailableError(str(getattr(error, "reason", error))) from error

    return Sender(public_name(url), post, notify=notify, backoff=backoff)


class _PostsAgain(urllib.request.HTTPRedirectHandler):
    """Follows only where a message arrives as it was posted, and never from an encrypted address to another."""

    def redirect_request(  # noqa: PLR0917, as it is called
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request:
        scheme = urllib.parse.urlsplit(newurl).scheme
        if code not in _KEEPS_THE_POST or scheme not in ("http", "https") or (req.type, scheme) == ("https", "http"):
            reason = f"{msg}: it is not posted to {public_name(newurl)}; give the address that takes it"
            raise urllib.error.HTTPError(req.full_url, code, reason, headers, fp)
        return urllib.request.Request(newurl, req.data, req.headers, method="POST")  # noqa: S310, checked above


def to_command(command: str, *, notify: Notify | None = None, timeout_seconds: float = _TIMEOUT_SECONDS) -> Sender:
    """Runs the command for each message, which it reads from standard input.

    What lasts too long, or still runs when the sender is closed, is ended with whatever it has started.

    Args:
        command: program and arguments as in a shell, but without one.
        notify: as for `Sender`.
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
    program = _Program(words, timeout_seconds)
    return Sender(words[0], program.run, cancel=program.cancel, notify=notify)


class _Program:
    """A command that is run again and again, one at a time."""

    def __init__(self, words: list[str], timeout_seconds: float) -> None:
        self._words, self._timeout_seconds = words, timeout_seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_cancelled = False

    def run(self, message: bytes) -> None:
        """Runs it once, to its end.

        Raises:
            RuntimeError: it ended with another code than 0, or was cancelled.
            TimeoutError: it took too long.
            OSError: there is no such program.
        """
        name = self._words[0]
        with self._lock:
            if self._is_cancelled:
                raise RuntimeError(f"{name} was not run, as watching ended")
            process = self._process = subprocess.Popen(  # noqa: S603, the user gave it
                self._words,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        with process:
            try:
                process.communicate(message + b"\n", self._timeout_seconds)
            except subprocess.TimeoutExpired:
                _end(process)
                raise TimeoutError(f"{name} took longer than {self._timeout_seconds:g} s") from None
            finally:
                with self._lock:
                    self._process = None
        if process.returncode:
            ended = "was ended, as watching ended" if self._is_cancelled else f"ended with {process.returncode}"
            raise RuntimeError(f"{name} {ended}")

    def cancel(self) -> None:
        """Ends the run that is under way; there will be no other."""
        with self._lock:
            self._is_cancelled, process = True, self._process
        if process is not None:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Asks the process and whatever it has started to end; what has not after a grace is killed."""
    _signal_group(process, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_SECONDS)
    _signal_group(process, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_SECONDS)


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
