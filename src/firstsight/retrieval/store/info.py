"""What there is to say of a library: what is whole, what is not, and what has become of its files since."""

from dataclasses import dataclass
from pathlib import Path

from firstsight.retrieval.store.files import stamp_of
from firstsight.retrieval.store.index import IndexFacts, read_facts
from firstsight.retrieval.store.library import Library
from firstsight.retrieval.store.records import SourceRecord


@dataclass(frozen=True)
class LibraryInfo:
    """A library at a glance; sources by name."""

    num_frames: int
    num_sources: int
    duration_seconds: float  # of all videos together
    num_skipped: int  # frames that could not be decoded
    partial: tuple[str, ...]  # interrupted, or under way
    missing: tuple[str, ...]  # their files are gone
    changed: tuple[str, ...]  # their files are not what they were
    num_bytes: int  # on disk, all of the folder
    index: IndexFacts | None  # None: every search compares every frame


def info(library: Library) -> LibraryInfo:
    """Looks at the library, and at every file that it was made from."""
    sources = library.sources
    stamps = {record.name: stamp_of(record.path) for record in (*sources, *library.partial_sources)}
    return LibraryInfo(
        num_frames=library.num_frames,
        num_sources=len(sources),
        duration_seconds=sum(record.duration_seconds for record in sources),
        num_skipped=sum(record.num_skipped for record in sources),
        partial=tuple(record.name for record in library.partial_sources),
        missing=tuple(name for name, stamp in stamps.items() if stamp is None),
        changed=tuple(record.name for record in sources if _has_changed(record)),
        num_bytes=folder_size(library.path),
        index=read_facts(library.tables),
    )


def _has_changed(record: SourceRecord) -> bool:
    """Another size or time; its content may still be the same, which only reading it would tell."""
    return stamp_of(record.path) not in (None, record.stamp)


def folder_size(folder: Path) -> int:
    """Bytes of all files in it."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
