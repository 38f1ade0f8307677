"""Only plain files are opened: a pipe or a device at a path would make the reader wait, or never end."""

import os
import re
import secrets
import stat
from pathlib import Path
from typing import BinaryIO

from firstsight.errors import RunError, SourceError

# A pipe that nobody writes to is not waited for.
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

# What a name may hold on every file system; anything else becomes an underscore.
_UNSAFE = re.compile(r"[^\w.-]+")


def make_folder(folder: Path, *, purpose: str = "") -> None:
    """Makes the folder, if it is not there; `purpose` tells people what it is for, such as "the clips".

    Raises:
        RunError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        wanted = f"another folder for {purpose}" if purpose else "another folder"
        raise RunError(f"{folder} cannot be made: {error.strerror}; choose {wanted}") from error


def read_regular(path: Path, *, most: int | None = None) -> bytes:
    """What is in a regular file, as many bytes as it has when reading begins; nothing else is waited for.

    Args:
        path: of the file.
        most: bytes that it may have.

    Raises:
        OSError: there is none, or it cannot be read.
        ValueError: it is no regular file, or larger than that.
    """
    with open(os.open(path, _OPEN_FLAGS), "rb") as file:  # noqa: PTH123
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise ValueError("it is no regular file")
        if most is not None and state.st_size > most:
            raise ValueError(f"it has {state.st_size} bytes; valid are at most {most}")
        return file.read(state.st_size)


def safe_name(text: str) -> str:
    """The text as a part of a file's name."""
    return _UNSAFE.sub("_", text)


def write_atomically(path: Path, content: bytes) -> None:
    """Writes the file atomically: a reader finds the old content or the new one, never a part.

    A new file has the permissions that `open` would give it; a file that is replaced keeps its own.

    Raises:
        RunError: the folder cannot be made or written to, or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                if path.is_file():
                    os.fchmod(file.fileno(), stat.S_IMODE(path.stat().st_mode))
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise RunError(
            f"{path} cannot be written: {error.strerror}; choose a folder that can be, with free space"
        ) from error


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
