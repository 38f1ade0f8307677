"""The files of a library: found, named, and identified by stamp and content."""

import hashlib
import logging
import os
import stat
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from firstsight.errors import SettingsError, SourceError
from firstsight.files import open_regular
from firstsight.footage.finding import LeftOut, find_all, other_names, summary
from firstsight.footage.live import endpoint_of
from firstsight.library.records import SourceRecord, Stamp
from firstsight.object_store import ObjectPath, StoreError, to_absolute
from firstsight.text import printable

_HASH_BYTES = 16  # of blake2b: enough that no two files share them by chance
_CHUNK_BYTES = 1 << 20

_LOG = logging.getLogger(__name__)

FileState = Literal["there", "gone", "unreachable"]


@dataclass(frozen=True)
class FootageFile:
    """A video or a picture to index."""

    path: Path  # absolute
    name: str  # relative to the given folder
    is_picture: bool


def find_footage(sources: Sequence[str | os.PathLike[str]]) -> tuple[list[FootageFile], list[str]]:
    """Videos and pictures that paths, folders and patterns name, each once; and a line for each that names none.

    A file of several names, as links give it, has one: see `other_names`. Other names, and other files of a folder, are
    logged as a warning.
    """
    files: dict[Path, FootageFile] = {}
    failures = []
    for source in sources:
        try:
            for file in _files_of(source):
                files.setdefault(file.path, file)
        except SourceError as error:
            failures.append(str(error))
    others = other_names(files)
    if others:
        _LOG.warning(summary([LeftOut(printable(files.pop(path).name), kind) for path, kind in others.items()]))
    return list(files.values()), failures


def _files_of(source: str | os.PathLike[str]) -> list[FootageFile]:
    if endpoint_of(source):
        raise SourceError(
            f"{os.fspath(source)!r} cannot be read again, and a library holds files: record it, then index the file"
        )
    found = find_all(source)
    if found.left_out:
        _LOG.warning(summary(found.left_out))
    absolute = [to_absolute(file.path) for file in found.files]
    return [
        FootageFile(path, storable(file.name), file.is_picture)
        for path, file in zip(absolute, found.files, strict=True)
    ]


def storable(name: str) -> str:
    r"""The name itself where it is text; bytes that are not UTF-8 as escapes: "m\xe9.avi"."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def stamp_of(path: Path) -> Stamp | None:
    """Size and time of change; None without such a regular file, or without permission."""
    try:
        state = path.stat()
    except (OSError, ValueError, SettingsError):  # without the package for its store
        return None
    return Stamp(state.st_size, state.st_mtime_ns) if stat.S_ISREG(state.st_mode) else None


def state_of(path: Path) -> FileState:
    """Whether a file is there, gone from a readable folder, or in one that cannot be reached.

    The folder of an unmounted share is missing or unreadable: its files are not gone.
    """
    if stamp_of(path) is not None:
        return "there"
    if isinstance(path, ObjectPath):
        return _state_in_store(path)
    try:
        with os.scandir(path.parent) as entries:
            listed = any(entry.name == path.name for entry in entries)
    except (OSError, ValueError):
        return "unreachable"
    return "unreachable" if listed else "gone"


def gone_with_their_folder(states: Mapping[Path, FileState]) -> list[Path]:
    """Of the files of a library, by `state_of`, those in whose folder none is left: perhaps it is not mounted."""
    left = {path.parent for path, state in states.items() if state != "gone"}
    return [path for path, state in states.items() if state == "gone" and path.parent not in left]


def _state_in_store(path: ObjectPath) -> FileState:
    """Of what has no stamp."""
    try:
        is_gone = not path.is_file() and path.has_bucket()
    except (StoreError, SettingsError):
        return "unreachable"
    return "gone" if is_gone else "unreachable"


def has_moved(before: Path) -> bool:
    """Whether a file of the same content elsewhere is the one that was at `before`, rather than a copy of it.

    It is not where `before` may lie on a share that is not mounted: what is left of its folders is empty, or is where
    shares are mounted.
    """
    state = state_of(before)
    if state == "there":
        return False
    if isinstance(before, ObjectPath):
        return state == "gone"
    left = next(folder for folder in before.parents if os.path.lexists(folder))
    try:
        is_empty = not any(left.iterdir())
    except OSError:
        return False
    return not is_empty and (state == "gone" or not (left in _MOUNTED_IN or left.parent in _MOUNTED_IN[:2]))


# The first two have a folder for each user in between: "/media/anna/stick".
_MOUNTED_IN = tuple(map(Path, ("/media", "/run/media", "/mnt", "/Volumes")))


def check_unchanged(record: SourceRecord) -> None:
    """Checks a source before its file is read again; a file with only a new time is unchanged.

    Raises:
        SourceError: the file has changed since it was indexed, is gone, or cannot be reached.
    """
    name, stamp = printable(record.name), stamp_of(record.path)
    if stamp is None:
        what = "is gone" if state_of(record.path) == "gone" else "cannot be reached"
        raise SourceError(f"{name} {what}: there is no file to read at {printable(record.path)}")
    if stamp == record.stamp:
        return
    if stamp.num_bytes != record.num_bytes or _content_at(record.path, stamp, name) != record.content:
        raise SourceError(f"{name} has changed since it was indexed; index it again")


@lru_cache(maxsize=1_024)
def _content_at(path: Path, _stamp: Stamp, name: str) -> str:
    return content_hash(path, name=name)


def content_hash(path: Path, *, name: str) -> str:
    """The hash of a regular file, 32 hexadecimal digits, of as many bytes as it had when reading began.

    Raises:
        SourceError: it cannot be read, or is no regular file.
    """
    digest = hashlib.blake2b(digest_size=_HASH_BYTES)
    try:
        with open_regular(path, name=printable(name)) as file:
            left = os.fstat(file.fileno()).st_size
            while left and (chunk := file.read(min(left, _CHUNK_BYTES))):
                digest.update(chunk)
                left -= len(chunk)
    except OSError as error:
        raise SourceError(f"{printable(name)} cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def free_name(file: FootageFile, taken: Collection[str]) -> str:
    """The file's name, with as many parent folders as make it unique."""
    if file.name not in taken:
        return file.name
    parts = file.path.parts
    tails = (storable("/".join(parts[-length:])) for length in range(1 + file.name.count("/"), len(parts)))
    return next((tail for tail in tails if tail not in taken), storable(file.path.as_posix()))
