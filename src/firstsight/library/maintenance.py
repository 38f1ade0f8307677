"""Maintenance of a library: check it, list its sources and the state of their files, free disk space."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa

from firstsight.errors import FirstsightError, LibraryError
from firstsight.files import folder_size, remove_folder
from firstsight.library.folder import LibraryConfig, check_inside, is_of_an_encoder, is_read, read_config, tables_folder
from firstsight.library.records import MAX_LENGTH_ERROR, SourceRecord, num_bad_layouts, shown
from firstsight.library.source_files import FileState, stamp_of, state_of
from firstsight.library.store import Store
from firstsight.library.tables import Tables
from firstsight.library.thumbnails import as_picture
from firstsight.library.vector_index import IndexFacts, read_facts
from firstsight.object_store import to_path
from firstsight.text import printable

_ROWS_AT_ONCE = 8_192


@dataclass(frozen=True)
class Checked:
    """The result of a check, a line each."""

    library: str  # its folder

    whole: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)  # untidy; the next writer repairs it
    damages: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is damaged."""
        return not self.damages

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {"is_whole": self.is_whole, **asdict(self)}


def check(folder: str | Path) -> Checked:
    """Checks settings, encoder and every row of a library.

    Raises:
        LibraryError: it is not a library.
    """
    path, found = to_path(folder), Checked(str(folder))
    config = read_config(path)
    found.whole.append(f"settings: encoder {config.fingerprint}, {config.dim} numbers a frame")
    _part(found, lambda: _check_model(path, config))
    tables = _part(found, lambda: _opened(path, config))
    if tables is not None:
        _check_tables(tables, found)
        tables.close()
    return found


def _part(found: Checked, check_part: Callable[[], Any]) -> Any:  # noqa: ANN401  # its result; None if it is damaged
    try:
        result = check_part()
    except FirstsightError as error:
        found.damages.append(str(error))
        return None
    if isinstance(result, str):
        found.whole.append(result)
    return result


def _check_model(path: Path, config: LibraryConfig) -> str:
    check_inside(path, path / config.model)
    from firstsight.encoder.encoder import Encoder  # its arithmetic takes seconds to load

    encoder = Encoder.load(path / config.model)
    if (encoder.fingerprint, encoder.dim) != (config.fingerprint, config.dim):
        raise LibraryError(
            f"{path / config.model} holds encoder {encoder.fingerprint} of {encoder.dim} numbers, not that of "
            "the vectors"
        )
    return "encoder: the one of the vectors"


def _opened(path: Path, config: LibraryConfig) -> Tables:
    rows = tables_folder(path, config.fingerprint)
    check_inside(path, rows)
    return Tables(rows, dim=config.dim)


def _check_tables(tables: Tables, found: Checked) -> None:
    records = _part(found, tables.records)
    if records is None:
        return
    _check_records(records, found)
    counts = _part(found, lambda: _frame_counts(tables, found))
    pictures = _part(found, lambda: _thumbnail_counts(tables, found))
    for what, numbers in (("frames", counts), ("thumbnails", pictures)):
        if numbers is not None:
            _check_counts(records, numbers, what, found)


def _check_records(records: Sequence[SourceRecord], found: Checked) -> None:
    whole = shown(records)
    found.whole.append(f"sources: {len(whole)} complete, {sum(one.num_frames for one in whole)} frames")
    if again := sum(one.status == "whole" for one in records) - len(whole):
        found.remarks.append(f"{again} sources are there twice; the next `firstsight index` removes the older rows")
    if twice := [name for name, num in Counter(one.name for one in whole).items() if num > 1]:
        found.remarks.append(f"{len(twice)} names are of two sources: {', '.join(twice[:3])}; indexing renames one")


def _check_counts(records: Sequence[SourceRecord], counts: "Counter[int]", what: str, found: Checked) -> None:
    """Compares the rows of each complete source with its record."""
    wrong = [one for one in shown(records) if counts[one.id] != one.num_frames]
    for record in wrong:
        found.damages.append(
            f"{record.name} has {counts[record.id]} {what} of {record.num_frames}: take it out with "
            "`firstsight library remove`, and index it again"
        )
    if not wrong:
        found.whole.append(f"{what}: {sum(counts.values())} rows, all that the sources count")
    if orphans := sum(counts[one] for one in set(counts) - {one.id for one in records}):
        found.remarks.append(f"{orphans} {what} are of no source; the next `firstsight index` removes them")


def _frame_counts(tables: Tables, found: Checked) -> "Counter[int]":
    """Rows of each source, duplicates counted once; and a check of their vectors."""
    keys: set[tuple[int, int]] = set()
    num_rows = num_bad = 0
    for rows in _rows(tables, tables.frames, ["source", "frame", "seconds", "vector"]):
        vectors = rows.column("vector").flatten().to_numpy(zero_copy_only=False).reshape(len(rows), -1)
        lengths = np.linalg.norm(vectors.astype(np.float32), axis=1)
        is_good = (np.abs(lengths - 1) < MAX_LENGTH_ERROR) | (lengths == 0)
        num_bad += int((~(is_good & np.isfinite(rows.column("seconds").to_numpy()))).sum())
        num_rows += len(rows)
        keys.update(_pairs(rows))
    if num_bad:
        found.damages.append(f"{num_bad} frames have a vector that is not of unit length, or no time")
    return _counted(keys, num_rows, "frames", found)


def _thumbnail_counts(tables: Tables, found: Checked) -> "Counter[int]":
    keys: set[tuple[int, int]] = set()
    num_rows = num_bad = num_without = 0
    for rows in _rows(tables, tables.thumbnails, ["source", "frame", *tables.columns_beside]):
        num_bad += sum(not _is_picture(jpeg) for jpeg in rows.column("jpeg").to_pylist())
        num_without += num_bad_layouts(rows) if tables.has_layouts else 0
        num_rows += len(rows)
        keys.update(_pairs(rows))
    if num_bad:
        found.damages.append(f"{num_bad} thumbnails are no pictures")
    if num_without:
        found.damages.append(f"{num_without} frames have no layout, or one that is damaged")
    return _counted(keys, num_rows, "thumbnails", found)


def _counted(keys: set[tuple[int, int]], num_rows: int, what: str, found: Checked) -> "Counter[int]":
    if again := num_rows - len(keys):
        found.remarks.append(f"{again} {what} are there twice; the next `firstsight index` removes them")
    return Counter(source for source, _ in keys)


def _rows(tables: Tables, table: Any, columns: list[str]) -> Iterator[Any]:  # noqa: ANN401  # of LanceDB and pyarrow
    return tables.batches(table.search().select(columns), _ROWS_AT_ONCE)


def _pairs(rows: Any) -> Iterator[tuple[int, int]]:  # noqa: ANN401  # a pyarrow batch
    return zip(rows.column("source").to_pylist(), rows.column("frame").to_pylist(), strict=True)


def _is_picture(content: bytes | None) -> bool:
    try:
        as_picture(content or b"")
    except LibraryError:
        return False
    return True


# LanceDB warns when versions "older than now" are removed; this does the same.
_AT_ONCE = timedelta(milliseconds=1)


@dataclass(frozen=True)
class LibraryInfo:
    """A summary of a library; sources by name."""

    library: str  # its folder
    config: LibraryConfig  # its settings
    num_frames: int
    num_sources: int
    duration_seconds: float  # of all videos together
    num_skipped: int  # frames that could not be decoded
    partial: tuple[str, ...]  # interrupted, or being indexed
    failed: tuple[str, ...]  # could not be read
    missing: tuple[str, ...]  # their files are gone
    unreachable: tuple[str, ...]  # the folders of their files are missing or cannot be read
    changed: tuple[str, ...]  # their files have changed
    num_bytes: int  # on disk, all of the folder
    index: IndexFacts | None  # None: every search compares every frame
    failures: dict[str, str]  # by name, why it could not be read
    sources: tuple[SourceRecord, ...]  # the complete ones

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        own = {name: value for name, value in asdict(self).items() if name not in ("library", "config", "sources")}
        sources = [one.to_json() for one in self.sources]
        return {"library": self.library, **asdict(self.config), **own, "sources": sources}


def info(library: Store) -> LibraryInfo:
    """A summary of the library and the files of its sources."""
    sources = library.sources
    states = {record.name: state_of(record.path) for record in (*sources, *library.partial_sources)}
    return LibraryInfo(
        library=library.name,
        config=library.config,
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
        failures={record.name: record.reason for record in library.failed_sources},
        sources=sources,
    )


def _in_state(states: dict[str, FileState], wanted: FileState) -> tuple[str, ...]:
    return tuple(name for name, state in states.items() if state == wanted)


def has_changed(record: SourceRecord) -> bool:
    """Whether its file has another size or time, though perhaps the same content."""
    return stamp_of(record.path) not in (None, record.stamp)


def source_state(record: SourceRecord) -> str:
    """One of partial, failed, there, changed, gone, unreachable."""
    if record.status != "whole":
        return record.status
    return "changed" if has_changed(record) else state_of(record.path)


@dataclass(frozen=True)
class Sources(Sequence[SourceRecord]):
    """All sources of a library: complete, interrupted and failed ones."""

    records: tuple[SourceRecord, ...]
    states: tuple[str, ...]  # of each, see `source_state`

    @overload
    def __getitem__(self, index: int) -> SourceRecord: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[SourceRecord, ...]: ...
    def __getitem__(self, index: int | slice) -> SourceRecord | tuple[SourceRecord, ...]:
        """One of them, or some."""
        return self.records[index]

    def __len__(self) -> int:
        """How many."""
        return len(self.records)

    def __repr__(self) -> str:
        return f"Sources({', '.join(printable(record.name) for record in self)})"

    def to_json(self) -> list[dict[str, Any]]:
        """As plain values."""
        pairs = zip(self.records, self.states, strict=True)
        return [{**record.to_json(), "state": state} for record, state in pairs]

    def to_arrow(self) -> pa.Table:
        """A row a source."""
        rows = self.to_json()
        rows = [{**row, "path": printable(row["path"])} for row in rows]  # which may be no text
        return pa.Table.from_pylist(rows, _COLUMNS)


_COLUMNS = pa.schema(
    [
        *[("id", pa.int64()), ("name", pa.string()), ("path", pa.string()), ("content", pa.string())],
        *[("num_bytes", pa.int64()), ("modified_ns", pa.int64())],
        *[("frames_per_second", pa.float64()), ("every", pa.int64()), ("num_frames", pa.int64())],
        *[("duration_seconds", pa.float64()), ("num_skipped", pa.int64()), ("status", pa.string())],
        *[("is_picture", pa.bool_()), ("reason", pa.string()), ("keyframes", pa.bool_()), ("state", pa.string())],
    ]
)


def sources_of(library: Store) -> Sources:
    """All sources of a library, and the states of their files."""
    records = (*library.sources, *library.partial_sources, *library.failed_sources)
    return Sources(records, tuple(source_state(record) for record in records))


@dataclass(frozen=True)
class Compacted:
    """What `compact` did."""

    bytes_before: int  # on disk
    bytes_after: int
    is_read: bool  # by another process, for which removed and replaced rows are kept

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def compact(library: Store) -> Compacted:
    """Joins small files, and deletes removed and replaced rows and abandoned attempts at --reindex.

    While another process has the library open, rows that it may read are kept.

    Raises:
        LibraryError: another process is writing to it, or the disk is full.
    """
    before = folder_size(library.path)
    with library.writing():
        # First delete: the disk may be full, and joining files writes new ones.
        still_read = [path for path in _unused(library) if not remove_unread(path)]
        is_deleted = library.tables.compact(kept_for=_AT_ONCE)
    return Compacted(before, folder_size(library.path), is_read=bool(still_read) or not is_deleted)


def _unused(library: Store) -> list[Path]:
    """Folders of tables and models of other encoders."""
    used = {tables_folder(library.path, library.fingerprint), library.path / library.config.model}
    return [path for path in library.path.iterdir() if is_of_an_encoder(path) and path not in used]


def is_reembedded(library: Store) -> bool:
    """Whether it has another encoder now than when it was opened."""
    return read_config(library.path).fingerprint != library.fingerprint


def refreshed(library: Store) -> Store:
    """The library as it is now: the same handle, or another one if it has another encoder."""
    if not is_reembedded(library):
        library.refresh()
        return library
    opened = Store.open(library.path)
    opened.name = library.name
    library.close()
    return opened


def remove_unread(folder: Path) -> bool:
    """Removes a folder of unused tables or of a model; False if a process reads it."""
    if folder.name.startswith("tables-") and is_read(folder):
        return False
    remove_folder(folder)
    return True
