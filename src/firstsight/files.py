"""Files read and written: only regular ones are opened, as a pipe or a device can block; writing is atomic."""

import errno
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from firstsight.errors import FirstsightError, RunError, SettingsError, SourceError, UnreachableError, brief
from firstsight.leases import LeaseHeldError, LeaseLostError, leased
from firstsight.object_store import ObjectPath, is_object, local, to_path

# So that opening a pipe does not wait for a writer.
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

# Not allowed in a name on every file system; becomes an underscore.
_UNSAFE = re.compile(r"[^\w.-]+")
_MAX_PART = 160  # of the 255 bytes of a name
_UNFINISHED = re.compile(r"\.[0-9a-f]{16}\.unfinished")
# What this process holds open already, and Linux shows as files.
_OPEN_FILE = re.compile(r"/(?:dev|proc/self)/fd/(\d+)")
_STANDARD = {"/dev/stdout": 1, "/dev/stderr": 2}
_LOCK_SECONDS = 30.0
# Of files that are read or written here, and of others that people write.
_FILE_SUFFIXES = {".avi", ".bmp", ".csv", ".gif", ".htm", ".html", ".jpeg", ".jpg", ".json", ".jsonl", ".m4v", ".md"}
_FILE_SUFFIXES |= {".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".npy", ".npz", ".onnx", ".parquet", ".pdf", ".png", ".pt"}
_FILE_SUFFIXES |= {".pth", ".safetensors", ".svg", ".tif", ".tiff", ".ts", ".txt", ".webm", ".webp", ".xml", ".zip"}


class Closing:
    """What is closed at the end of a `with` block."""

    def close(self) -> None:
        """Releases what it holds open."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def check_path(path: object, *, name: str, error: type[FirstsightError] = SettingsError) -> Path:
    """The path, if a file or folder can have that name.

    Args:
        path: whatever was given.
        name: what it is, for the message: "the library".
        error: which kind of error to raise.

    Raises:
        FirstsightError: of that kind: it is no path, is empty, too long for this system, or has a zero byte in it.
    """
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(text, str) or not text:
        raise error(f"{name} {brief(path)}; valid is a path, as text or as pathlib.Path")
    try:
        os.lstat(text)
    except ValueError:
        raise error(f"{name} {brief(text)} has a zero byte in it; give another name") from None
    except OSError as reason:
        if reason.errno == errno.ENAMETOOLONG:
            raise error(f"{name} {brief(text)} has {len(text)} characters, too many here; shorten it") from None
    return to_path(text)


def listed(given: object, *, name: str) -> list[str | os.PathLike[str]]:
    """Each of the paths, names or patterns given: one, or several in any order that can be iterated.

    Raises:
        SettingsError: something else is given; `name` is what it should be, for the message: "source".
    """
    is_one = isinstance(given, str | bytes | os.PathLike) or getattr(given, "ndim", 0) > 1  # an array of pictures
    several: object = [given] if is_one else given
    parts: list[object] = list(several) if isinstance(several, Iterable) else [several]
    paths = [part for part in parts if isinstance(part, str | os.PathLike)]
    if len(paths) < len(parts):
        wrong = next(part for part in parts if not isinstance(part, str | os.PathLike))
        raise SettingsError(f"{name} {brief(wrong)}; valid are names, paths and patterns, one or a list of them")
    return paths


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Whether there is a folder of that name; False of a name that no folder can have, or without permission."""
    found = to_path(path)
    return found.is_dir() if isinstance(found, ObjectPath) else os.path.isdir(path)  # noqa: PTH112  # `Path` raises


def check_local(path: Path, *, purpose: str = "") -> None:
    """Raises a RunError for an address in an object store, where only whole files can be written."""
    if is_object(str(path)):
        raise RunError(f"{to_path(path)} is in an object store; choose a place on this machine for {purpose or 'that'}")


def remove_folder(folder: Path) -> None:
    """Removes a folder and all that is in it, as far as that can be done."""
    if isinstance(folder, ObjectPath):
        with suppress(OSError):
            folder.remove_all()
    else:
        shutil.rmtree(folder, ignore_errors=True)


def folder_size(folder: Path) -> int:
    """Bytes of all files in it."""
    if isinstance(folder, ObjectPath):
        return folder.num_bytes()
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def is_like_a_file(folder: Path) -> bool:
    """Whether its name is one of a file: "map.png"."""
    return folder.suffix.lower() in _FILE_SUFFIXES


def check_folder_name(folder: Path, *, error: type[FirstsightError] = SettingsError) -> None:
    """Raises an error of that kind if a folder that is not there yet would be called like a file."""
    if is_like_a_file(folder) and not is_folder(folder):
        raise error(
            f"{folder} would be a folder, and {folder.suffix} ends the name of a file; choose another name for it"
        )


def make_folder(folder: Path, *, purpose: str = "") -> None:
    """Makes the folder if there is none; `purpose`, such as "the clips", is for the message.

    Raises:
        RunError: it cannot be made, or would be called like a file.
    """
    check_local(folder, purpose=purpose)
    check_folder_name(folder, error=RunError)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        wanted = f"another folder for {purpose}" if purpose else "another folder"
        raise RunError(f"{folder} cannot be made: {error.strerror}; choose {wanted}") from error


def read_regular(path: Path, *, max_bytes: int | None = None) -> bytes:
    """The content of a regular file, as many bytes as it has when reading begins.

    Raises:
        OSError: there is none, or it cannot be read.
        ValueError: it is no regular file, or larger than `max_bytes`.
    """
    if isinstance(path, ObjectPath):
        _check_size(path.stat(), max_bytes)
        return path.read_bytes()
    with open(os.open(path, _OPEN_FLAGS), "rb") as file:  # noqa: PTH123
        state = os.fstat(file.fileno())
        _check_size(state, max_bytes)
        return file.read(state.st_size)


def _check_size(state: os.stat_result, max_bytes: int | None) -> None:
    if not stat.S_ISREG(state.st_mode):
        raise ValueError("it is no regular file")
    if max_bytes is not None and state.st_size > max_bytes:
        raise ValueError(f"it has {state.st_size} bytes; valid are at most {max_bytes}")


FileIdentity = tuple[int, int, int, int]


def file_identity(path: Path) -> FileIdentity | None:
    """Device, inode, size and time of a file, which change when it is written to or replaced; None without a file."""
    try:
        state = path.stat()
    except (OSError, ValueError):
        return None
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns


def safe_name(text: str) -> str:
    """The text as a part of a file's name, of at most 160 bytes."""
    return _UNSAFE.sub("_", text).encode()[:_MAX_PART].decode(errors="ignore")


def unfinished(path: Path) -> Path:
    """A name beside that of the file, for its content until it is complete."""
    return path.with_name(f".{secrets.token_hex(8)}.unfinished")


def is_unfinished(path: Path) -> bool:
    """Whether it has such a name: a process was killed while it wrote, or writes now."""
    return _UNFINISHED.fullmatch(path.name) is not None


def write_atomically(path: Path, content: bytes) -> None:
    """Writes the file atomically: a reader finds the old content or the new one, never a part.

    A new file has the permissions that `open` would give it; a file that is replaced keeps its own. A link stays, and
    what it points to is replaced. A device, a FIFO or /dev/stdout is written to, as it cannot be replaced.

    Raises:
        RunError: the folder cannot be made or written to, or the disk is full.
    """
    path = to_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(path, ObjectPath):
            path.write_bytes(content)
        elif (number := open_file(path)) is not None:
            sys.stdout.flush()
            with os.fdopen(os.dup(number), "wb") as file:  # goes on where it is: nothing written before is lost
                file.write(content)
        elif path.exists() and not path.is_dir() and special_file(path.stat().st_mode):
            path.write_bytes(content)
        else:
            _replace(path.resolve(), content)
    except (OSError, RuntimeError) as error:  # a circle of links is a RuntimeError
        reason = getattr(error, "strerror", None) or "it is a circle of links"
        raise RunError(f"{path} cannot be written: {reason}; choose a folder that can be, with free space") from error


def open_file(path: Path) -> int | None:
    """The number of a file that this process holds open, as /dev/stdout is; None of any other."""
    found = _OPEN_FILE.fullmatch(str(path))
    return int(found[1]) if found else _STANDARD.get(str(path))


def _replace(path: Path, content: bytes) -> None:
    temporary = unfinished(path)
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


_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


def special_file(mode: int) -> str:
    """What has that mode, such as "a FIFO"; empty for a regular file."""
    return "" if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "no plain file")


def check_regular(path: Path, *, name: str) -> Path:
    """Checks that a path, behind links too, is a regular file, without opening it.

    Returns:
        The path; of an object in a store that of a copy on this machine, which may go once others are asked for.

    Raises:
        SourceError: it is a FIFO, a socket, a device or a folder; an UnreachableError: it cannot be read now.
    """
    try:
        found = local(path)
        mode = found.stat().st_mode
    except (OSError, ValueError) as error:
        raise UnreachableError(f"{name} cannot be read: {_reason(error)}") from error
    if kind := special_file(mode):
        raise SourceError(f"{name} cannot be read: it is {kind}, not a file")
    return found


def open_regular(path: Path, *, name: str) -> BinaryIO:
    """A regular file, open for reading.

    Raises:
        SourceError: it is not a regular file; an UnreachableError: there is none now, or it cannot be read.
    """
    found = check_regular(path, name=name)
    try:
        return open(found, "rb", opener=lambda name, flags: os.open(name, flags | _OPEN_FLAGS))
    except OSError as error:
        raise UnreachableError(f"{name} cannot be read: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def try_lock(handle: int, *, exclusively: bool, waits: bool = False) -> bool:
    """Locks an open file or folder against others, or shares it; whether it could be, True where there are no locks."""
    try:
        import fcntl
    except ImportError:
        return True
    kind = (fcntl.LOCK_EX if exclusively else fcntl.LOCK_SH) | (0 if waits else fcntl.LOCK_NB)
    try:
        fcntl.flock(handle, kind)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Within it nobody else who asks for the same writes into the folder; it leaves nothing behind.

    Raises:
        RunError: somebody else does.
    """
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folder
        yield
        return
    try:
        if not try_lock(handle, exclusively=True):
            raise RunError(
                f"{folder} is being written into already; wait until that has ended, or choose another folder"
            )
        yield
    finally:
        os.close(handle)


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Within it no other process that asks for the same writes the file, which need not be there yet.

    Raises:
        RunError: another one has held it for 30 s, or its folder cannot be written.
    """
    from filelock import FileLock, Timeout

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock, most = file.with_name(f".{file.name}.lock"), _LOCK_SECONDS
        with leased(lock, wait_seconds=most) if isinstance(lock, ObjectPath) else FileLock(lock, timeout=most):
            yield
    except (Timeout, LeaseHeldError, LeaseLostError) as error:
        raise RunError(f"{file} is held by another process for {_LOCK_SECONDS:g} s; end that") from error
    except (OSError, NotImplementedError) as error:
        raise RunError(f"{file} cannot be written; choose a folder that can be, with free space") from error
