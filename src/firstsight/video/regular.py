"""Only plain files are opened: a pipe or a device at a path would make the reader wait, or never end."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from firstsight.errors import SourceError

_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


def unlike_a_file(mode: int) -> str:
    """What it is instead of a plain file, such as "a FIFO", by its mode; empty for a plain file."""
    return "" if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "no plain file")


def check_regular(path: Path, *, name: str) -> None:
    """Raises if there is anything but a plain file at the path, behind links too; without opening it.

    Raises:
        SourceError: it is a FIFO, a socket, a device or a folder, or cannot be looked at.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise SourceError(f"{name} cannot be read: {_reason(error)}") from error
    if kind := unlike_a_file(mode):
        raise SourceError(f"{name} cannot be read: it is {kind}, not a file")


def open_regular(path: Path, *, name: str) -> BinaryIO:
    """The file at the path, open to be read.

    Raises:
        SourceError: there is none, it is not a plain file, or it cannot be read.
    """
    check_regular(path, name=name)
    try:
        return open(path, "rb", opener=_without_waiting)
    except OSError as error:
        raise SourceError(f"{name} cannot be read: {_reason(error)}") from error


def _without_waiting(path: str, flags: int) -> int:
    """Should a FIFO have come to be there meanwhile, it is opened without waiting for a writer."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
