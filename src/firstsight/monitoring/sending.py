"""Events sent to a web address or to a program, in a thread of their own: watching never waits for either."""

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
# While a receiver does not answer, the oldest events are dropped, so that memory does not grow.
_MAX_QUEUE = 100
_GRACE_SECONDS = 2.0  # at the end, for a program to terminate
_POLL_SECONDS = 0.05  # between two checks whether to stop waiting
_SERVER_ERROR = 500  # and above, of HTTP status codes
_KEEPS_THE_POST = (307, 308)  # of the redirections; others change the method to GET

Deliver = Callable[[bytes], None]
Notify = Callable[[str], None]


class ReceiverUnavailableError(Exception):
    """The receiver cannot be reached at the moment: the message is to be retried."""


class Sender:
    """Delivers messages one after another, in order.

    Args:
        name: of the receiver, for people.
        deliver: delivers one message. What it raises counts as a failure, but after a `ReceiverUnavailableError` the
            message is retried, with growing pauses, until the sender is closed.
        cancel: makes a delivery in progress end soon; called when `close` stops waiting for it.
        notify: takes a line for people when deliveries begin to fail and when they succeed again.
        max_queue: messages that wait at most.
        backoff: pauses between the attempts.

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
        max_queue: int = _MAX_QUEUE,
        backoff: Backoff | None = None,
    ) -> None:
        self.name = printable(name)
        self.num_sent = 0
        self.num_failed = 0
        self.last_error = ""
        self._deliver, self._cancel, self._notify = deliver, cancel, notify
        self._backoff = backoff or Backoff()
        self._is_failing = False
        self._max_queue = max_queue
        self._waiting: deque[bytes] = deque()
        self._is_delivering = False
        self._is_over = False  # nothing more will be sent
        self._is_closed = False  # nothing is counted any more
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)
        self._thread.start()

    def send(self, message: bytes) -> None:
        """Puts the message into the queue; if that is full, its oldest message fails."""
        with self._changed:
            if len(self._waiting) == self._max_queue:
                self._waiting.popleft()
                self._fail(f"more than {self._max_queue} events waited")
            self._waiting.append(message)
            self._changed.notify()

    def close(self, timeout_seconds: float, *, is_aborted: Callable[[], bool] = lambda: False) -> None:
        """Waits for pending deliveries; those that are not done by then count as failed.

        Args:
            timeout_seconds: to wait at most.
            is_aborted: called many times a second; True ends the wait.
        """
        with self._changed:
            self._is_over = True
            self._changed.notify()
        end = time.monotonic() + timeout_seconds
        try:
            while self._thread.is_alive() and time.monotonic() < end and not is_aborted():
                self._thread.join(min(_POLL_SECONDS, timeout_seconds))
        finally:
            self._abort()

    def _abort(self) -> None:
        """Cancels the delivery in progress; what has not been delivered by now has failed."""
        with self._changed:
            for _ in self._waiting:
                self._fail("too slow to be waited for at the end")
            self._waiting.clear()
        if self._thread.is_alive() and self._cancel:
            self._cancel()
            self._thread.join(_GRACE_SECONDS)
        with self._changed:
            if self._is_delivering:
                self._fail("no answer until the end")
            self._is_closed = True

    def _run(self) -> None:
        pauses = self._backoff.pauses()
        while (message := self._next()) is not None:
            try:
                self._deliver(message)
            except ReceiverUnavailableError as error:
                self._report(str(error))
                self._requeue(message, next(pauses))
            except Exception as error:  # whatever fails in the receiver, watching goes on
                self._report(str(error) or type(error).__name__)
                self._settle(delivered=False)
            else:
                pauses = self._backoff.pauses()
                self._settle(delivered=True)

    def _next(self) -> bytes | None:
        """Waits for a message; None if none will follow."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_over)
            self._is_delivering = bool(self._waiting)
            return self._waiting.popleft() if self._waiting else None

    def _settle(self, *, delivered: bool) -> None:
        """Counts the message that was being delivered, unless it has been counted as failed at the end."""
        with self._changed:
            is_news = delivered and self._is_failing and not self._is_closed
            if not self._is_closed:
                self.num_sent += delivered
                self.num_failed += not delivered
            self._is_delivering = False
            self._is_failing &= not delivered
        if is_news and self._notify:
            self._notify(f"{self.name}: delivered again")

    def _requeue(self, message: bytes, seconds: float) -> None:
        """Puts the message back in front and waits; at the end, or if the queue is full, it fails."""
        with self._changed:
            if self._is_over or len(self._waiting) == self._max_queue:
                self._fail(self.last_error)
            else:
                self._waiting.appendleft(message)
            self._is_delivering = False
            self._changed.wait_for(lambda: self._is_over, seconds)

    def _report(self, reason: str) -> None:
        """Keeps the reason of a failure, and reports it if the one before was delivered."""
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


def _check_address(url: str) -> None:
    """Raises a SettingsError unless events can be posted there; it shows no password."""
    try:
        parts = urllib.parse.urlsplit(url)
        parts.port  # noqa: B018, which raises an error unless it is a number or none
    except ValueError:
        parts = urllib.parse.SplitResult("", "", "", "", "")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        shown = "the webhook is no such address" if "@" in url else f"webhook {url!r}"
        raise SettingsError(f"{shown}; valid is an address that begins with http:// or https://, and a host")
    if "@" in parts.netloc:
        raise SettingsError(
            f"the webhook at {parts.hostname} has a user or password in its address, which is not sent; leave it out, "
            "or give a program that sends it: --run 'curl --netrc --fail --data-binary @- https://...'"
        )


def to_webhook(
    url: str,
    *,
    notify: Notify | None = None,
    timeout_seconds: float = _TIMEOUT_SECONDS,
    backoff: Backoff | None = None,
) -> Sender:
    """Posts each message as JSON; a 2xx answer counts as delivered.

    Without an answer, or after a server error (5xx), it is retried. Redirections by 307 and 308 are followed. What
    follows the status is not read.

    Args:
        url: http:// or https://, without user and password.
        notify: as for `Sender`.
        timeout_seconds: for each answer.
        backoff: as for `Sender`.

    Raises:
        SettingsError: another kind of address.
    """
    _check_address(url)
    opener = urllib.request.build_opener(_PostsAgain)

    def post(message: bytes) -> None:
        headers = {"Content-Type": "application/json", "User-Agent": "firstsight"}
        request = urllib.request.Request(url, message, headers)  # noqa: S310, checked above
        try:
            opener.open(request, timeout=timeout_seconds).close()
        except urllib.error.HTTPError as error:
            error.close()
            if error.code >= _SERVER_ERROR:
                raise ReceiverUnavailableError(str(error)) from error
            raise
        except OSError as error:  # no connection, no answer in time
            raise ReceiverUnavailableError(str(getattr(error, "reason", error))) from error

    return Sender(public_name(url), post, notify=notify, backoff=backoff)


class _PostsAgain(urllib.request.HTTPRedirectHandler):
    """Follows only redirections that keep the POST, and none from https to http or with a user or password."""

    def redirect_request(  # noqa: PLR0917, as it is called
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request:
        parts = urllib.parse.urlsplit(newurl)
        is_open = parts.scheme in ("http", "https") and "@" not in parts.netloc
        if code not in _KEEPS_THE_POST or not is_open or (req.type, parts.scheme) == ("https", "http"):
            reason = f"{msg}: it is not posted to {public_name(newurl)}; give the address that takes it"
            raise urllib.error.HTTPError(req.full_url, code, reason, headers, fp)
        return urllib.request.Request(newurl, req.data, req.headers, method="POST")  # noqa: S310, checked above


def to_command(command: str, *, notify: Notify | None = None, timeout_seconds: float = _TIMEOUT_SECONDS) -> Sender:
    """Runs the command for each message, which it reads from standard input.

    A run that takes too long, or is not over when the sender is closed, is terminated with its child processes.

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
    """A command, one run at a time."""

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
                _terminate(process)
                raise TimeoutError(f"{name} took longer than {self._timeout_seconds:g} s") from None
            finally:
                with self._lock:
                    self._process = None
        if process.returncode:
            ended = "was ended, as watching ended" if self._is_cancelled else f"ended with {process.returncode}"
            raise RuntimeError(f"{name} {ended}")

    def cancel(self) -> None:
        """Terminates the run in progress; there will be no other."""
        with self._lock:
            self._is_cancelled, process = True, self._process
        if process is not None:
            _terminate(process)


def _terminate(process: subprocess.Popen[bytes]) -> None:
    """Terminates the process and its children; what is left of them after a grace period is killed."""
    _signal_all(process, signal.SIGTERM)
    end = time.monotonic() + _GRACE_SECONDS
    while (is_left := _is_left(process)) and time.monotonic() < end:
        time.sleep(_POLL_SECONDS)
    if is_left:
        _signal_all(process, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)


def _signal_all(process: subprocess.Popen[bytes], number: int) -> None:
    """Sends the signal to the process and its children; those that are gone or not ours to end stay as they are."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _is_left(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process or one of its children is there."""
    process.poll()  # one that has ended is there until then
    try:
        os.killpg(process.pid, 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)  # a child of another user is left
    return True
