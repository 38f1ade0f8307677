"""The folder of a library: its settings, its encoder, its tables, and locks.

library.json        format, version, encoder's fingerprint, sampling, size of thumbnails
model/              the encoder, a run folder
tables-FINGERPRINT/ frames, thumbnails and sources, by LanceDB
"""

import json
import os
import re
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from firstsight.errors import LibraryError, RunError, SettingsError
from firstsight.files import check_folder_name, is_unfinished, read_regular, remove_folder, try_lock, write_atomically
from firstsight.footage.sampling import Sampling
from firstsight.leases import LeaseHeldError, LeaseLostError, check_lease, leased
from firstsight.object_store import ObjectPath, StoreError, to_path

_LOCK_FILE = ".readers.lock"


class ReadLock:
    """A shared lock of every process that has the tables of a folder open; no effect where there are no such locks."""

    def __init__(self, folder: Path) -> None:
        self._handle = _open(folder / _LOCK_FILE)
        self.close = weakref.finalize(self, _close, self._handle)
        self._share()

    def is_only_one(self) -> bool:
        """Whether no other process has them open; True where that is unknown."""
        if self._handle is None or not self.close.alive:
            return True
        try:
            return try_lock(self._handle, exclusively=True)
        finally:
            self._share()  # the attempt may have released it

    def _share(self) -> None:
        if self._handle is not None:
            try_lock(self._handle, exclusively=False, waits=True)  # for a writer that looks, a moment


def is_read(folder: Path) -> bool:
    """Whether a process has the tables of the folder open."""
    lock = ReadLock(folder)
    try:
        return not lock.is_only_one()
    finally:
        lock.close()


def _open(path: Path) -> int | None:
    if isinstance(path, ObjectPath):
        return None
    for flags in (os.O_RDWR | os.O_CREAT, os.O_RDONLY):  # a library may be on a read-only disk
        with suppress(OSError):
            return os.open(path, flags, 0o666)
    return None


def _close(handle: int | None) -> None:
    if handle is not None:
        os.close(handle)


FORMAT = "firstsight-library"
# Since 2 a source has `is_picture` and `reason`; since 3 frames may have layouts, which a writer must not leave out;
# since 4 footage may be sampled by keyframes.
FORMAT_VERSION = 4
_READ_VERSIONS = (1, 2, 3, 4)
CONFIG_FILE = "library.json"
LOCK_FILE = ".library.lock"
MODEL_FOLDER = "model"
_MADE_BY = "give a folder made by `firstsight index`"

_FINGERPRINT = re.compile(r"[0-9a-f]{16}")
_OF_AN_ENCODER = re.compile(r"(tables|model)-[0-9a-f]{16}")
_MAX_DIM = 65_536
_MAX_THUMBNAIL_SIZE = 4_096


@dataclass(frozen=True)
class LibraryConfig:
    """Settings of a library."""

    fingerprint: str  # of the encoder of all its vectors
    dim: int  # numbers in a vector
    frames_per_second: float | None = 2.0  # of a video, unless its record has another rate
    every: int | None = None  # or one frame in so many
    thumbnail_size: int = 160  # pixels of the longer side
    model: str = MODEL_FOLDER  # the encoder's folder
    keyframes: bool = False  # of a video's keyframes alone

    def check(self) -> None:
        """Checks values from a file, which become paths and sizes.

        Raises:
            ValueError: a value that `firstsight index` would not have written.
        """
        if not (isinstance(self.fingerprint, str) and _FINGERPRINT.fullmatch(self.fingerprint)):
            raise ValueError(f"fingerprint {self.fingerprint!r}; valid are 16 hexadecimal digits")
        if self.model not in (MODEL_FOLDER, f"{MODEL_FOLDER}-{self.fingerprint}"):
            raise ValueError(f"model {self.model!r}; valid is {MODEL_FOLDER!r}")
        sizes = (("dim", self.dim, _MAX_DIM), ("thumbnail_size", self.thumbnail_size, _MAX_THUMBNAIL_SIZE))
        for name, value, largest in sizes:
            if type(value) is not int or not 0 < value <= largest:
                raise ValueError(f"{name} {value!r}; valid is an integer from 1 to {largest}")
        if type(self.keyframes) is not bool:
            raise ValueError(f"keyframes {self.keyframes!r}; valid are true and false")
        if isinstance(self.frames_per_second, bool) or isinstance(self.every, bool):
            raise ValueError("a rate is true or false; valid are numbers")  # noqa: TRY004  # readers handle one kind of error
        Sampling(frames_per_second=self.frames_per_second, every=self.every)

    def sampling_for(self, given: Sampling) -> Sampling:
        """The sampling of a video: the given one, or else the library's."""
        if given.keyframes and given == Sampling(keyframes=True):
            return replace(given, frames_per_second=self.frames_per_second, every=self.every)
        if given != Sampling():
            return given
        return Sampling(frames_per_second=self.frames_per_second, every=self.every, keyframes=self.keyframes)


def read_config(folder: Path) -> LibraryConfig:
    """The settings of the library.

    Raises:
        LibraryError: not a library, not readable, damaged, or of another version.
    """
    file = folder / CONFIG_FILE
    content = _json(folder, file)
    if content.get("format") != FORMAT:
        raise LibraryError(f"{file} does not describe a library; {_MADE_BY}")
    if content.get("format_version") not in _READ_VERSIONS:
        raise LibraryError(
            f"{folder} is a library of format version {content.get('format_version')!r}; this program reads versions "
            f"{_READ_VERSIONS[0]} to {_READ_VERSIONS[-1]}: use the firstsight that made it, or index the footage again"
        )
    try:
        config = LibraryConfig(**content["library"])
        config.check()
    except (KeyError, TypeError, ValueError, SettingsError) as error:
        raise LibraryError(f"{file} is damaged ({error}); index the footage again into another folder") from error
    return config


def tables_folder(path: Path, fingerprint: str) -> Path:
    """The folder of the rows of an encoder."""
    return path / f"tables-{fingerprint}"


def check_inside(path: Path, *parts: Path) -> None:
    """Raises LibraryError if a folder of a library is a link out of it, where nothing must be deleted."""
    for part in parts:
        if isinstance(part, ObjectPath):
            continue  # a store has no links
        if part.exists() and part.resolve().parent != path.resolve():
            raise LibraryError(
                f"{part} is a link out of the library, to {part.resolve()}; replace it by the folder itself"
            )


def write_config(folder: Path, config: LibraryConfig) -> None:
    """Writes the settings of a library, which makes the folder one, atomically.

    Raises:
        LibraryError: it cannot be written.
    """
    content = {"format": FORMAT, "format_version": FORMAT_VERSION, "library": asdict(config)}
    try:
        write_atomically(folder / CONFIG_FILE, (json.dumps(content, indent=2) + "\n").encode())
    except RunError as error:
        raise LibraryError(str(error)) from error


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Locks the library against other writers. The lock of a killed process is released.

    Raises:
        LibraryError: another process is writing, or the folder cannot be written to.
    """
    from filelock import FileLock, Timeout

    lock = leased(folder / LOCK_FILE) if isinstance(folder, ObjectPath) else FileLock(folder / LOCK_FILE, timeout=0)
    with _lost_as_library_error(folder), ExitStack() as held:
        try:
            held.enter_context(lock)
        except (Timeout, LeaseHeldError) as error:
            raise LibraryError(f"{folder} is being written to by another process; wait until it has ended") from error
        except StoreError as error:
            raise LibraryError(f"{folder} cannot be written to: {error}") from error
        except (OSError, NotImplementedError) as error:
            reason = getattr(error, "strerror", None) or error
            raise LibraryError(
                f"{folder} cannot be written to ({reason}); check its permissions and the disk"
            ) from error
        yield


@contextmanager
def _lost_as_library_error(folder: Path) -> Iterator[None]:
    try:
        yield
    except LeaseLostError as error:
        raise LibraryError(_LOST.format(folder)) from error


_LOST = "another process has taken over writing to {}, as this one was not heard of for half a minute; run it again"


def check_still_writing(folder: Path) -> None:
    """Raises a LibraryError if the lock of a library in an object store, that this process had, is another's now."""
    with _lost_as_library_error(folder):
        check_lease(folder / LOCK_FILE)


def is_library(folder: Path) -> bool:
    """Whether the folder has the settings of a library."""
    path = to_path(folder)
    if isinstance(path, ObjectPath):
        return bool((path / CONFIG_FILE).is_file())
    return os.path.exists(path / CONFIG_FILE)  # noqa: PTH110  # `Path` raises where no file can have that name


def check_free(folder: Path) -> None:
    """Checks that a library can be created in the folder. What a killed attempt left behind does not count.

    Raises:
        LibraryError: it is a library or a file, or holds something else.
    """
    _check_reachable(folder)
    if is_library(folder):
        raise LibraryError(f"{folder} is a library already; open it, or choose another folder")
    if folder.exists() and not folder.is_dir():
        raise LibraryError(f"{folder} is a file; give the name of a folder for the library")
    check_folder_name(folder, error=LibraryError)
    if folder.exists() and _foreign(folder):
        raise LibraryError(f"{folder} is not a library, and holds something else; choose a new folder, or an empty one")


def remove_library(folder: Path) -> None:
    """Removes what a library keeps in its folder, and the folder, if nothing else is in it."""
    with suppress(OSError):
        for path in set(_entries(folder)) - set(_foreign(folder)):
            if path.is_dir():
                remove_folder(path)
            else:
                path.unlink()
        folder.rmdir()


def is_of_an_encoder(path: Path) -> bool:
    """Whether a library named a folder so, for the tables or the model of one encoder."""
    return _OF_AN_ENCODER.fullmatch(path.name) is not None


def _foreign(folder: Path) -> list[Path]:
    """What is in a folder and of no library. Tables come first, so without them a model is somebody else's."""
    entries = _entries(folder)
    own = {LOCK_FILE, *((MODEL_FOLDER, CONFIG_FILE) if any(map(is_of_an_encoder, entries)) else ())}
    return [path for path in entries if not (path.name in own or is_of_an_encoder(path) or is_unfinished(path))]


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise LibraryError(f"{folder} cannot be read: {error.strerror}; choose another folder") from error


_MAX_BYTES = 2**20  # of a description; it has a few hundred


def _check_reachable(folder: Path) -> None:
    """Raises a LibraryError if a folder is in a bucket that is not there, or cannot be asked."""
    if not isinstance(folder, ObjectPath):
        return
    try:
        is_missing = not folder.exists() and not folder.has_bucket()
    except StoreError as error:
        raise LibraryError(str(error)) from error
    if is_missing:
        raise LibraryError(f"there is no bucket {folder.bucket}; make it first, or give the address of another")


def _json(folder: Path, file: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_regular(file, max_bytes=_MAX_BYTES).decode())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise LibraryError(f"{_why_not_a_library(folder)}; {_MADE_BY}") from error
    except OSError as error:
        raise LibraryError(f"{file} cannot be read: {error.strerror}; check its permissions") from error
    except (ValueError, RecursionError) as error:
        raise LibraryError(f"{file} is damaged ({error}); index the footage again into another folder") from error
    if not isinstance(content, dict):
        raise LibraryError(f"{file} does not describe a library; {_MADE_BY}")
    return content


def _why_not_a_library(folder: Path) -> str:
    """Of what has no settings."""
    if folder.is_file():
        return f"{folder} is a file, and a library is a folder"
    if (folder / "model.safetensors").is_file():
        return (
            f"{folder} is a run, whose encoder `firstsight index LIBRARY SOURCES --model {folder}` uses, not a library"
        )
    return (
        f"{folder} is not a library: it has no {CONFIG_FILE}" if folder.exists() else f"there is no library at {folder}"
    )
