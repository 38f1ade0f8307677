"""Who reads a library: as long as somebody does, the versions of its tables that may be in use are kept.

A lock that any number of readers share, on a file beside the tables. The system lets go of it when a process ends, in
whatever way.
"""

import os
import weakref
from contextlib import suppress
from pathlib import Path

_LOCK_FILE = ".readers.lock"


class ReadLock:
    """Held by everyone who has the tables of a folder open; without effect where the system has no such locks."""

    def __init__(self, folder: Path) -> None:
        self._handle = _open(folder / _LOCK_FILE)
        self.close = weakref.finalize(self, _close, self._handle)
        self._share()

    def is_only_one(self) -> bool:
        """Whether nobody else has them open. Where that cannot be told, it is taken to be so."""
        if self._handle is None or not self.close.alive:
            return True
        try:
            return _lock(self._handle, exclusively=True)
        finally:
            self._share()  # what was tried may have let go of it

    def _share(self) -> None:
        if self._handle is not None:
            _lock(self._handle, exclusively=False)


def is_read(folder: Path) -> bool:
    """Whether somebody has the tables of the folder open."""
    lock = ReadLock(folder)
    try:
        return not lock.is_only_one()
    finally:
        lock.close()


def _open(path: Path) -> int | None:
    for flags in (os.O_RDWR | os.O_CREAT, os.O_RDONLY):  # a library may be on a disk that is read only
        with suppress(OSError):
            return os.open(path, flags, 0o666)
    return None


def _close(handle: int | None) -> None:
    if handle is not None:
        os.close(handle)


def _lock(handle: int, *, exclusively: bool) -> bool:
    try:
        import fcntl
    except ImportError:
        return True
    kind = fcntl.LOCK_EX if exclusively else fcntl.LOCK_SH
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True
