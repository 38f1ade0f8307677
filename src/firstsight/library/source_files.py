"""The files of a library: found, named, and identified by stamp and content."""

import hashlib
import logging
import os
import stat
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from firstsight.errors import SettingsError, SourceError, UnreachableError
from firstsight.files import open_regular
from firstsight.footage.finding import LeftOut, find_all, other_names, summary
from firstsight.footage.live import endpoint_of
from firstsight.footage.sampling import Sampling
from firstsight.library.records import SourceRecord, Stamp, latest
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
        SourceError: it is no regular file; an UnreachableError: it cannot be read now.
    """
    digest = hashlib.blake2b(digest_size=_HASH_BYTES)
    try:
        with open_regular(path, name=printable(name)) as file:
            left = os.fstat(file.fileno()).st_size
            while left and (chunk := file.read(min(left, _CHUNK_BYTES))):
                digest.update(chunk)
                left -= len(chunk)
    except OSError as error:
        raise UnreachableError(f"{printable(name)} cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def free_name(file: FootageFile, taken: Collection[str]) -> str:
    """The file's name, with as many parent folders as make it unique."""
    if file.name not in taken:
        return file.name
    parts = file.path.parts
    tails = (storable("/".join(parts[-length:])) for length in range(1 + file.name.count("/"), len(parts)))
    return next((tail for tail in tails if tail not in taken), storable(file.path.as_posix()))


class SourceRegistry:
    """Sources by path, by content and by name.

    Attributes:
        whole: the sources shown, by path.
        partial: interrupted ones, by path.
        failed: those that could not be read, by path.
    """

    def __init__(self, records: Iterable[SourceRecord]) -> None:
        records = list(records)
        self.whole: dict[Path, SourceRecord] = {}
        self.partial = latest(records, "partial")
        self.failed = latest(records, "failed")
        self._by_content: dict[str, dict[Path, SourceRecord]] = defaultdict(dict)
        self._may_be_gone: dict[str, list[SourceRecord]] = defaultdict(list)  # by content
        self._names = {record.name for record in (*self.partial.values(), *self.failed.values())}
        self._new_names: dict[Path, str] = {}  # of files that are not in the library yet
        self._last_id = max((record.id for record in records), default=0)
        for record in latest(records, "whole").values():
            self.register(record)
            self._may_be_gone[record.content].append(record)

    def register(self, record: SourceRecord) -> None:
        """Adds a complete source; it replaces another one at its path."""
        if before := self.whole.get(record.path):
            self.forget(before)
        self.whole[record.path] = record
        self._by_content[record.content][record.path] = record
        self._names.add(record.name)

    def forget(self, record: SourceRecord) -> None:
        """Removes a source."""
        del self.whole[record.path]
        self._names.discard(record.name)
        del self._by_content[record.content][record.path]

    def take_attempts(self, path: Path) -> list[int]:
        """The ids of an interrupted and of a failed attempt at that file, which are of no use any more."""
        attempts = self.partial.pop(path, None), self.failed.pop(path, None)
        return [one.id for one in attempts if one]

    def at(self, path: Path) -> SourceRecord | None:
        """The record of that file: whole before partial before failed."""
        return self.whole.get(path) or self.partial.get(path) or self.failed.get(path)

    def with_same_rows(self, content: str, sampling: Sampling) -> SourceRecord | None:
        """A complete source of the same content and sampling: it has the same rows."""
        copies = self._by_content.get(content, {}).values()
        return next((one for one in copies if one.sampling == sampling), None)

    def moved_to(self, path: Path, content: str, sampling: Sampling | None) -> SourceRecord | None:
        """The complete source that is at that path now: of that content, and its own file is gone.

        Args:
            path: of a file that is not in the library.
            content: of it.
            sampling: that the source must have; None: any.
        """
        if path in self.whole:
            return None
        copies = self._may_be_gone.get(content, [])
        copies[:] = [one for one in copies if self.whole.get(one.path) == one and stamp_of(one.path) is None]
        alike = (one for one in copies if sampling in (None, one.sampling))
        return next((one for one in alike if has_moved(one.path)), None)

    def name_for(self, file: FootageFile) -> str:
        """The file's name in the library; for a new file its own, made unique and reserved."""
        if known := self.at(file.path):
            return known.name
        if file.path not in self._new_names:
            self._new_names[file.path] = free_name(file, self._names)
            self._names.add(self._new_names[file.path])
        return self._new_names[file.path]

    def new_record(self, file: FootageFile, stamp: Stamp, content: str, sampling: Sampling) -> SourceRecord:
        """A source without rows, with an id that was never used."""
        self._last_id = max(self._last_id + 1, time.time_ns())  # rows of a dropped one may remain
        return SourceRecord(
            id=self._last_id,
            name=self.name_for(file),
            path=file.path,
            content=content,
            num_bytes=stamp.num_bytes,
            modified_ns=stamp.modified_ns,
            frames_per_second=sampling.frames_per_second,
            every=sampling.every,
            keyframes=sampling.keyframes,
            is_picture=file.is_picture,
        )
