"""Looking after a library: what it holds and what has become of its files, and giving disk space back."""

import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from firstsight.retrieval.store.files import FileState, stamp_of, state_of
from firstsight.retrieval.store.folder import MODEL_FOLDER, tables_folder
from firstsight.retrieval.store.index import IndexFacts, read_facts
from firstsight.retrieval.store.library import Library
from firstsight.retrieval.store.readers import is_read
from firstsight.retrieval.store.records import SourceRecord

# LanceDB warns of forgetting "everything older than now"; this is as good.
_AT_ONCE = timedelta(milliseconds=1)


@dataclass(frozen=True)
class LibraryInfo:
    """A library at a glance; sources by name."""

    num_frames: int
    num_sources: int
    duration_seconds: float  # of all videos together
    num_skipped: int  # frames that could not be decoded
    partial: tuple[str, ...]  # interrupted, or under way
    failed: tuple[str, ...]  # could not be read
    missing: tuple[str, ...]  # their files are gone
    unreachable: tuple[str, ...]  # the folders of their files are not there, or cannot be looked into
    changed: tuple[str, ...]  # their files are not what they were
    num_bytes: int  # on disk, all of the folder
    index: IndexFacts | None  # None: every search compares every frame


def info(library: Library) -> LibraryInfo:
    """Looks at the library, and at every file that it was made from."""
    sources = library.sources
    states = {record.name: state_of(record.path) for record in (*sources, *library.partial_sources)}
    return LibraryInfo(
        num_frames=library.num_frames,
        num_sources=len(sources),
        duration_seconds=sum(record.duration_seconds for record in sources),
        num_skipped=sum(record.num_skipped for record in sources),
        partial=tuple(record.name for record in library.partial_sources),
        failed=tuple(record.name for record in library.failed_sources),
        missing=_in_state(states, "gone"),
        unreachable=_in_state(states, "unreachable"),
        changed=tuple(record.name for record in sources if has_changed(record)),
        num_bytes=folder_size(library.path),
        index=read_facts(library.tables),
    )


def _in_state(states: dict[str, FileState], wanted: FileState) -> tuple[str, ...]:
    return tuple(name for name, state in states.items() if state == wanted)


def has_changed(record: SourceRecord) -> bool:
    """Another size or time; its content may still be the same, which only reading it would tell."""
    return stamp_of(record.path) not in (None, record.stamp)


def source_state(record: SourceRecord) -> str:
    """In a word: partial, failed, there, changed, gone or unreachable."""
    if record.status != "whole":
        return record.status
    return "changed" if has_changed(record) else state_of(record.path)


def folder_size(folder: Path) -> int:
    """Bytes of all files in it; those that are removed meanwhile count for nothing."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


@dataclass(frozen=True)
class Compacted:
    """What `compact` did."""

    bytes_before: int  # on disk
    bytes_after: int
    is_read: bool  # by somebody else, for whom what was removed or replaced is kept


def compact(library: Library) -> Compacted:
    """Joins small files, forgets what was removed or replaced, and attempts at --reindex that were given up.

    As long as somebody else has the library open nothing that they may read is forgotten.

    Raises:
        LibraryError: another process is writing to it, or the disk is full.
    """
    before = folder_size(library.path)
    with library.writing():
        forgotten = library.tables.compact(kept_for=_AT_ONCE)
        used = {tables_folder(library.path, library.fingerprint), library.path / library.config.model}
        for path in (*library.path.glob("tables-*"), *library.path.glob(f"{MODEL_FOLDER}-*")):
            if path not in used:
                forgotten &= remove_unread(path)
    return Compacted(before, folder_size(library.path), is_read=not forgotten)


def remove_unread(folder: Path) -> bool:
    """Removes a folder of tables, or of a model, that is not the library's any more; False if somebody reads it."""
    if folder.name.startswith("tables-") and is_read(folder):
        return False
    shutil.rmtree(folder, ignore_errors=True)
    return True
