"""The tables of a library in LanceDB: frames, thumbnails, sources.

Rows are added, and deleted by source; they are shown once the row of their source is complete.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, Self, TypeVar, get_args

import lancedb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from firstsight.errors import LibraryError
from firstsight.footage.finding import is_picture
from firstsight.library.damage import CHECK, check_columns, check_files, translated_errors
from firstsight.library.folder import ReadLock
from firstsight.library.records import (
    THUMBNAILS,
    FrameRows,
    LayoutRows,
    LayoutSizes,
    SourceRecord,
    Status,
    Stored,
    ThumbnailRows,
    check_numbers,
    frames_schema,
    packed_of,
    seconds_of,
    thumbnail_rows,
    thumbnails_schema,
    vectors_of,
)
from firstsight.library.source_files import storable
from firstsight.object_store import ObjectPath, storage_options, to_path

Item = TypeVar("Item")

_ROWS_AT_ONCE = 1_024
# Rows named in one query: SQL of 100 kB.
_KEYS_AT_ONCE = 5_000
# Old versions are kept so long for processes about to read them; while a process reads, all are kept.
_KEPT_FOR = timedelta(minutes=10)
# In an object store nobody knows who reads.
_KEPT_IN_STORE = timedelta(days=1)
_FOR_EVER = timedelta(days=36_500)
# Scanning so many rows beside an index is faster than updating it.
_MAX_UNINDEXED = 4_096
_SCALAR_COLUMNS = ("source", "frame")

_SOURCES = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("content", pa.string(), nullable=False),
        pa.field("num_bytes", pa.int64(), nullable=False),
        pa.field("modified_ns", pa.int64(), nullable=False),
        pa.field("frames_per_second", pa.float64()),
        pa.field("every", pa.int64()),
        pa.field("num_frames", pa.int64(), nullable=False),
        pa.field("duration_seconds", pa.float64(), nullable=False),
        pa.field("num_skipped", pa.int64(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        # Since format version 2; added to older tables at their first write.
        pa.field("is_picture", pa.bool_()),
        pa.field("reason", pa.string()),
        pa.field("path_bytes", pa.binary()),  # of a path that is not UTF-8
        pa.field("keyframes", pa.bool_()),  # since format version 4
    ]
)
_SINCE = ("is_picture", "reason", "path_bytes", "keyframes")
_SOURCES_AT_LEAST = [field for field in _SOURCES if field.name not in _SINCE]


class Tables:
    """The three tables, in one version that is kept while they are open: see `show_latest`.

    Attributes:
        frames: source, frame, seconds, vector (float16); users make their own queries.
        thumbnails: source, frame, jpeg. Apart from the vectors, which stay small to read and to rewrite. With an
            encoder that has a second stage, also cells (in four bits each) and in_place (float16).
        sources: a row a source; see `SourceRecord`.
    """

    def __init__(self, folder: Path, *, dim: int, create: bool = False, layout: LayoutSizes | None = None) -> None:
        self.folder = folder
        self.dim = dim
        self._read: tuple[int, list[SourceRecord]] = (-1, [])  # version, and its records
        with translated_errors(folder):
            if create:
                folder.mkdir(parents=True, exist_ok=True)
            else:
                check_files(folder)
            self._readers = ReadLock(folder)  # before the tables: what they show is kept from now on
            database = lancedb.connect(str(folder), storage_options=storage_options(folder))
            schemas = (
                ("sources", _SOURCES),
                ("frames", frames_schema(dim)),
                ("thumbnails", thumbnails_schema(layout)),
            )
            there = database.list_tables().tables if create else []
            self.sources, self.frames, self.thumbnails = (
                database.create_table(name, schema=schema, mode="overwrite" if name in there else "create")
                if create
                else database.open_table(name)
                for name, schema in schemas
            )
        if not create:
            self.show_latest()

    @classmethod
    def create(cls, folder: Path, *, dim: int, layout: LayoutSizes | None = None) -> Self:
        """New, empty tables, which replace old ones."""
        return cls(folder, dim=dim, create=True, layout=layout)

    def close(self) -> None:
        """Releases the version shown; a writer may then remove its files."""
        self._readers.close()

    @property
    def is_open(self) -> bool:
        """Whether the version shown is still kept."""
        return self._readers.close.alive

    @property
    def has_layouts(self) -> bool:
        """Whether frames are stored with what a second stage compares."""
        return {"cells", "in_place"} <= set(self.thumbnails.schema.names)

    @property
    def columns_beside(self) -> list[str]:
        """What `thumbnails` holds of a frame."""
        return ["jpeg", "cells", "in_place"] if self.has_layouts else ["jpeg"]

    @property
    def layout_bytes(self) -> int:
        """Bytes of a frame's layout; 0 without."""
        if not self.has_layouts:
            return 0
        kinds = [self.thumbnails.schema.field(name).type for name in ("cells", "in_place")]
        return int(kinds[0].byte_width + 2 * kinds[1].list_size)

    @property
    def is_of_older_version(self) -> bool:
        """Whether columns must be added before a write."""
        return not set(_SOURCES.names) <= set(self.sources.schema.names)

    def show_latest(self) -> None:
        """Shows the latest version, the same of all three tables: complete sources have their rows in it."""
        tables: tuple[Any, ...] = (self.frames, self.thumbnails, self.sources)
        with translated_errors(self.folder):
            version = None
            while version != self.sources.version:  # until no source changes while the others are checked out
                version = self.sources.version
                for table in tables:
                    table.checkout_latest()
            for table, fields in zip(tables, (frames_schema(self.dim), THUMBNAILS, _SOURCES_AT_LEAST), strict=True):
                check_columns(table.schema, fields)

    def add_columns(self) -> None:
        """Adds the columns that tables of an older version lack, with derived values."""
        if self.is_of_older_version:
            records = self.records()
            with translated_errors(self.folder):
                self.sources.add_columns([field for field in _SOURCES if field.name not in self.sources.schema.names])
            self.put(records)

    def records(self) -> list[SourceRecord]:
        """All sources, with partial and failed ones."""
        with translated_errors(self.folder):
            version = self.sources.version
            if self._read[0] != version:  # reading many sources takes a second
                self._read = version, [_record(row) for row in self.sources.to_arrow().to_pylist()]
        return list(self._read[1])

    def put(self, records: Sequence[SourceRecord]) -> None:
        """Adds or replaces sources, atomically."""
        if not records:
            return
        with translated_errors(self.folder):
            rows = pa.Table.from_pylist([_row(one) for one in records], schema=_SOURCES)
            self.sources.merge_insert("id").when_matched_update_all().when_not_matched_insert_all().execute(rows)

    def drop(self, ids: Sequence[int]) -> None:
        """Removes sources, then their rows."""
        with translated_errors(self.folder):
            for table, column in ((self.sources, "id"), (self.thumbnails, "source"), (self.frames, "source")):
                for some in _parts(ids):
                    table.delete(_among(column, some))

    def keys(self, table: Any) -> NDArray[np.int64]:  # noqa: ANN401  # a LanceDB table
        """Source, frame and row id of all rows (N, 3) of `frames` or `thumbnails`."""
        with translated_errors(self.folder):
            rows = table.search().select(["source", "frame"]).with_row_id(True).to_arrow()
        # One by one: row ids are unsigned, and NumPy would make floats of the mixture.
        columns = [rows.column(name).to_numpy().astype(np.int64) for name in ("source", "frame", "_rowid")]
        return np.stack(columns, axis=1)

    def drop_rows(self, table: Any, row_ids: Sequence[int]) -> None:  # noqa: ANN401  # a LanceDB table
        """Removes single rows of `frames` or `thumbnails`."""
        with translated_errors(self.folder):
            for ids in _parts(row_ids):
                table.delete(_among("_rowid", ids))

    def stored(self, source: int) -> Stored | None:
        """How far the rows of a source go, None without rows; later thumbnails are removed."""
        with translated_errors(self.folder):
            rows = self.frames.search().where(f"source = {source}").select(["frame", "seconds"]).to_arrow()
            if not len(rows):
                return None
            indices = rows.column("frame").to_numpy()
            last = int(indices.argmax())
            self.thumbnails.delete(f"source = {source} AND frame > {indices[last]}")
        return Stored(len(rows), int(indices[last]), float(seconds_of(rows)[last]))

    def add(self, rows: Sequence[tuple[int, FrameRows]]) -> None:
        """Adds frames of sources, given by id, except those that exist already."""
        if not rows:
            return
        with translated_errors(self.folder):
            self._add(self.thumbnails, pa.concat_tables([some.thumbnails_table(source) for source, some in rows]))
            self._add(self.frames, pa.concat_tables([some.frames_table(source) for source, some in rows]))

    def _add(self, table: Any, rows: pa.Table) -> None:  # noqa: ANN401  # a LanceDB table
        sources = rows.column("source").unique().to_pylist()
        there = table.search().where(_among("source", sources)).select(["source", "frame"]).to_arrow()
        taken = set(_pairs(there))
        new = {pair: position for position, pair in enumerate(_pairs(rows)) if pair not in taken}
        if new:
            table.add(rows if len(new) == len(rows) else rows.take(list(new.values())))

    def rows_of(self, source: int) -> Iterator[FrameRows]:
        """The frames of a source with their thumbnails, in order of time."""
        frames = self.frames.search().where(f"source = {source}").select(["frame", "seconds", "vector"])
        for some in self.batches(frames, _ROWS_AT_ONCE):
            order = np.argsort(some.column("frame").to_numpy())
            indices = some.column("frame").to_numpy()[order].tolist()
            beside = self._beside([(source, index) for index in indices], self.columns_beside)
            if len(beside) < len(indices):
                raise LibraryError(f"thumbnails of a source are missing in {self.folder}; {CHECK}")
            beside = beside.sort_by("frame")
            layouts = LayoutRows(packed_of(beside), vectors_of(beside, "in_place")) if self.has_layouts else None
            seconds = seconds_of(some)[order].tolist()
            yield FrameRows(vectors_of(some)[order], indices, seconds, beside.column("jpeg").to_pylist(), layouts)

    def batches(self, query: Any, size: int) -> Iterator[Any]:  # noqa: ANN401  # a LanceDB query, pyarrow batches
        """The rows of a query, in batches of about that many."""
        with translated_errors(self.folder):
            reader = iter(query.to_batches(size))
        while True:
            with translated_errors(self.folder):
                some = next(reader, None)
            if some is None:
                return
            yield some

    def jpegs(self, source: int, frame_indices: Sequence[int]) -> dict[int, bytes]:
        """The thumbnails of those frames of a source that exist, by frame index."""
        found = self.jpegs_of([(source, int(index)) for index in frame_indices])
        return {index: jpeg for (_, index), jpeg in found.items()}

    def times_of(self, ids: Sequence[int]) -> dict[int, tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """By source the indices of its frames, ascending, and their seconds."""
        with translated_errors(self.folder):
            rows = self.frames.search().where(_among("source", ids)).select(["source", "frame", "seconds"]).to_arrow()
        sources, indices, seconds = rows.column("source").to_numpy(), rows.column("frame").to_numpy(), seconds_of(rows)
        times = {}
        for source in ids:
            own = np.flatnonzero(sources == source)
            own = own[np.argsort(indices[own])]
            times[source] = indices[own], seconds[own]
        return times

    def thumbnails_of(self, ids: Sequence[int], *, batch_size: int) -> Iterator[ThumbnailRows]:
        """The thumbnails of sources, one after the other; those of a single source in batches."""
        query = self.thumbnails.search().where(_among("source", ids)).select(["source", "frame", "jpeg"])
        if len(ids) == 1:
            yield from (thumbnail_rows(ids[0], rows) for rows in self.batches(query, batch_size) if len(rows))
            return
        with translated_errors(self.folder):
            rows = query.to_arrow().sort_by([("source", "ascending")])
        sources = rows.column("source").to_numpy()
        for source in sorted(ids):
            first, last = np.searchsorted(sources, [source, source + 1])
            if last > first:
                yield thumbnail_rows(source, rows.slice(first, last - first))

    def jpegs_of(self, frames: Iterable[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
        """The thumbnails of those frames that exist, by source id and frame index."""
        pictures = self._beside(frames, ["jpeg"])
        return dict(zip(_pairs(pictures), pictures.column("jpeg").to_pylist(), strict=True))

    def _beside(self, frames: Iterable[tuple[int, int]], columns: Sequence[str]) -> pa.Table:
        """Source, frame and those columns of the thumbnails of those frames that exist, in any order.

        One query finds the rows of many sources, another reads only what is needed.
        """
        with translated_errors(self.folder):
            found = [self._among_thumbnails(wanted, columns) for wanted in _parts(sorted(set(frames)))]
            return pa.concat_tables([self.taken(self.thumbnails, (), columns), *found])

    def _among_thumbnails(self, wanted: Sequence[tuple[int, int]], columns: Sequence[str]) -> pa.Table:
        sources, indices = (sorted(set(column)) for column in zip(*wanted, strict=True))
        sql = f"{_among('source', sources)} AND {_among('frame', indices)}"
        rows = self.thumbnails.search().where(sql).select(["source", "frame"]).with_row_id(True).to_arrow()
        there = dict(zip(_pairs(rows), rows.column("_rowid").to_pylist(), strict=True))
        return self.taken(self.thumbnails, [there[pair] for pair in wanted if pair in there], columns)

    def taken(self, table: Any, row_ids: Sequence[int], columns: Sequence[str]) -> pa.Table:  # noqa: ANN401
        """Source, frame and those columns of single rows of `frames` or `thumbnails`, in any order."""
        names = ["source", "frame", *columns]
        with translated_errors(self.folder):
            if not row_ids:
                return pa.schema([table.schema.field(name) for name in names]).empty_table()
            return table.take_row_ids(list(row_ids)).select(names).to_arrow()

    def keep_up_indices(self) -> None:
        """Builds and updates the indices by source and by frame of large tables."""
        from lancedb.index import BTree

        with translated_errors(self.folder):
            for table in (self.frames, self.thumbnails):
                if table.count_rows() <= _MAX_UNINDEXED:
                    continue
                stats = [table.index_stats(f"{column}_idx") for column in _SCALAR_COLUMNS]
                for column, found in zip(_SCALAR_COLUMNS, stats, strict=True):
                    if found is None:
                        table.create_index(column, config=BTree())
                if any(found and found.num_unindexed_rows > _MAX_UNINDEXED for found in stats):
                    table.optimize(cleanup_older_than=_FOR_EVER)

    def compact(self, *, kept_for: timedelta = _KEPT_FOR) -> bool:
        """Joins small files, updates the indices, and deletes versions older than `kept_for`.

        Returns:
            Whether versions were deleted, which they are not while another process has the library open.
        """
        with translated_errors(self.folder):
            tables = (self.frames, self.thumbnails, self.sources)
            for table in tables:
                table.optimize(cleanup_older_than=_FOR_EVER)
            # A process that opens the library from now on gets the version just written.
            if isinstance(self.folder, ObjectPath):
                kept_for = max(kept_for, _KEPT_IN_STORE)
            elif not self._readers.is_only_one():
                return False
            for table in tables:
                table.optimize(cleanup_older_than=kept_for)
        return True


def _among(column: str, values: Iterable[int]) -> str:
    return f"{column} IN ({', '.join(str(int(value)) for value in values)})"


def _parts(values: Sequence[Item]) -> Iterator[Sequence[Item]]:
    for start in range(0, len(values), _KEYS_AT_ONCE):
        yield values[start : start + _KEYS_AT_ONCE]


def _pairs(rows: Any) -> Iterator[tuple[int, int]]:  # noqa: ANN401  # a pyarrow table
    return zip(rows.column("source").to_pylist(), rows.column("frame").to_pylist(), strict=True)


_FIELDS = frozenset(field.name for field in fields(SourceRecord))


def _row(record: SourceRecord) -> dict[str, Any]:
    text = str(record.path)
    is_text = storable(text) == text
    return {**asdict(record), "path": storable(text), "path_bytes": None if is_text else bytes(record.path)}


def _record(row: dict[str, Any]) -> SourceRecord:
    if row["status"] not in get_args(Status):
        raise LibraryError(f"a source has status {row['status']!r}; valid are {', '.join(get_args(Status))}: {CHECK}")
    known = {name: value for name, value in row.items() if name in _FIELDS}
    path = to_path(os.fsdecode(row["path_bytes"]) if row.get("path_bytes") else row["path"])
    known |= {"path": path, "reason": row.get("reason") or "", "keyframes": bool(row.get("keyframes"))}
    if row.get("is_picture") is None:  # of an older version: by its name
        known["is_picture"] = is_picture(path)
    record = SourceRecord(**known)
    check_numbers(record)
    return record
