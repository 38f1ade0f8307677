"""Locks in an object store, which has none: an object that its owner writes again and again.

Whoever wants the lock makes the object, which only one can; if it is there, its content changes as long as its owner is
alive. No clocks are compared. In S3 it is replaced only if it is still what was read, so whoever slept in between
replaces nothing; only who sleeps while it releases its own may remove another's.
"""

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from firstsight.object_store import ObjectPath, StoreError

_BEAT_SECONDS, _LEASE_SECONDS, _LOOK_SECONDS = 5.0, 30.0, 1.0

_LOG = logging.getLogger(__name__)


class LeaseHeldError(Exception):
    """Somebody else holds a lease."""


class LeaseLostError(Exception):
    """Somebody else has taken it over, or removed it."""


_LOST: dict[str, threading.Event] = {}  # of the leases that this process holds


def check_lease(path: Path) -> None:
    """Raises a LeaseLostError if this process has lost that lease."""
    if (lost := _LOST.get(str(path))) and lost.is_set():
        raise LeaseLostError(str(path))


@contextmanager
def leased(path: ObjectPath, *, wait_seconds: float = 0.0) -> Iterator[None]:
    """Within it no other process leases that object, whose content is written again every five seconds.

    That of a killed process is taken over once it has not been written for 30 s, by the clock of who waits.

    Args:
        path: the object.
        wait_seconds: for another process that holds it, and is alive.

    Raises:
        LeaseHeldError: another holds it.
        LeaseLostError: at the end: another has taken it over, as this machine slept or could not reach the store for so
            long; see `check_lease`.
        StoreError: the store refuses, or does not answer.
    """
    owner = f"{socket.gethostname()} {os.getpid()} {secrets.token_hex(8)}"
    ends, lost = threading.Event(), threading.Event()
    thread = threading.Thread(target=_renew, args=(path, owner, ends, lost), name="firstsight-lease", daemon=True)
    try:
        _take(path, owner, wait_seconds)
        _LOST[str(path)] = lost
        thread.start()
        yield
    finally:
        ends.set()
        if _LOST.get(str(path)) is lost:
            del _LOST[str(path)]
        if thread.ident is not None:
            thread.join()
        with suppress(OSError):
            if _owner_of(path.read_bytes()) == owner:
                path.unlink()
    if lost.is_set():
        raise LeaseLostError(str(path))


def _take(path: ObjectPath, owner: str, wait_seconds: float) -> None:
    """Becomes the owner, or raises."""
    before: bytes | None = None
    begun = since = time.monotonic()
    while not path.create(_beat(owner, 0)):
        tag, now = _read(path)
        if now is not None and _owner_of(now) == owner:  # made, but the answer was lost
            return
        is_held = now is not None and before is not None and now != before
        if now is not None and now == before and time.monotonic() - since >= _LEASE_SECONDS:
            if _replace(path, tag, _beat(owner, 0)):  # that of a process that was killed
                time.sleep(2 * _LOOK_SECONDS)  # others may have waited as long, and not every store knows conditions
                if _owner_of(_read(path)[1]) == owner:
                    return
            is_held, since = True, time.monotonic()
        if is_held and time.monotonic() - begun >= wait_seconds:
            raise LeaseHeldError(str(path))
        if now is not None and now != before:
            if not wait_seconds:
                _LOG.warning("%s is held: looking for up to %g s whether its owner is alive", path, _LEASE_SECONDS)
            before, since = now, time.monotonic()
        time.sleep(_LOOK_SECONDS)


def _renew(path: ObjectPath, owner: str, ends: threading.Event, lost: threading.Event) -> None:
    number = 0
    while not ends.wait(_BEAT_SECONDS):
        with suppress(StoreError):  # the next time may go better
            number += 1
            tag, content = _read(path)
            if _owner_of(content) == owner and not _replace(path, tag, _beat(owner, number)):
                content = _read(path)[1]  # another has it now; or it is written, and the answer was lost
            if _owner_of(content) != owner:
                lost.set()
                return


def _read(path: ObjectPath) -> tuple[str, bytes | None]:
    """The tag and the content, which may be newer; None if it is not there."""
    try:
        return path.tag(), path.read_bytes()
    except FileNotFoundError:
        return "", None


def _replace(path: ObjectPath, tag: str, content: bytes) -> bool:
    try:
        return path.write_if(tag, content)
    except FileNotFoundError:
        return False


def _beat(owner: str, number: int) -> bytes:
    return f"{owner} {number}".encode()


def _owner_of(content: bytes | None) -> str:
    return (content or b"").decode(errors="replace").rpartition(" ")[0]
