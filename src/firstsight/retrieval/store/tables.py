"""The tables of a library in LanceDB: frames, thumbnails, sources. The one file that talks to it about them.

Rows are only ever added, and deleted by their source; what makes them count is the source's own row.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import lancedb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from firstsight.errors import LibraryError
from firstsight.retrieval.store.records import SourceRecord, Stored
from firstsight.retrieval.store.rows import THUMBNAILS, FrameRows, frames_schema, vectors_of

_ROWS_AT_ONCE = 1_024
# Old versions are kept so long for whoever still reads them.
_KEPT_FOR = timedelta(minutes=10)

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
    ]
)


@dataclass(frozen=True, eq=False)
class ThumbnailRows:
    """Some thumbnails of one source."""

    source: int
    frame_indices: NDArray[np.int64]  # (B,), ascending
    jpegs: list[bytes]


class Tables:
    """The three tables.

    Attributes:
        frames: source, frame, seconds, vector (float16); what is asked of it is up to its users.
        thumbnails: source, frame, jpeg. Apart from the vectors, so that these stay small to read and to rewrite.
        sources: a row a source; see `SourceRecord`.
    """

    def __init__(self, folder: Path, *, dim: int, create: bool = False) -> None:
        self.folder = folder
        self.dim = dim
        with told_as_ours(folder):
            database = lancedb.connect(str(folder))
            frames, thumbnails, sources = (
                database.create_table(name, schema=schema, mode="overwrite") if create else database.open_table(name)
                for name, schema in (("frames", frames_schema(dim)), ("thumbnails", THUMBNAILS), ("sources", _SOURCES))
            )
        self.frames, self.thumbnails, self.sources = frames, thumbnails, sources

    @classmethod
    def create(cls, folder: Path, *, dim: int) -> Self:
        """New and empty ones, in place of any that are there."""
        return cls(folder, dim=dim, create=True)

    def records(self) -> list[SourceRecord]:
        """All sources, the partial ones too."""
        with told_as_ours(self.folder):
            rows = self.sources.to_arrow().to_pylist()
        return [_record(row) for row in rows]

    def put(self, records: Sequence[SourceRecord]) -> None:
        """Adds sources, or replaces what is known of them: all at once or not at all."""
        if not records:
            return
        rows = pa.Table.from_pylist([{**asdict(one), "path": str(one.path)} for one in records], schema=_SOURCES)
        with told_as_ours(self.folder):
            self.sources.merge_insert("id").when_matched_update_all().when_not_matched_insert_all().execute(rows)

    def drop(self, ids: Sequence[int]) -> None:
        """Removes sources, then their rows."""
        if not ids:
            return
        listed = ", ".join(map(str, ids))
        with told_as_ours(self.folder):
            self.sources.delete(f"id IN ({listed})")
            self.thumbnails.delete(f"source IN ({listed})")
            self.frames.delete(f"source IN ({listed})")

    def tidy(self) -> None:
        """Removes rows that no source lays claim to: what a kill in the middle of `add` or `drop` leaves."""
        known = {record.id for record in self.records()}
        with told_as_ours(self.folder):
            for table in (self.frames, self.thumbnails):
                there = table.search().select(["source"]).to_arrow().column("source").unique().to_pylist()
                if strangers := set(there) - known:
                    table.delete(f"source IN ({', '.join(map(str, sorted(strangers)))})")

    def stored(self, source: int) -> Stored | None:
        """How far the rows of a source go; thumbnails that go further are removed. None without rows."""
        with told_as_ours(self.folder):
            rows = self.frames.search().where(f"source = {source}").select(["frame", "seconds"]).to_arrow()
            if not len(rows):
                return None
            indices = rows.column("frame").to_numpy()
            last = int(indices.argmax())
            self.thumbnails.delete(f"source = {source} AND frame > {indices[last]}")
        return Stored(len(rows), int(indices[last]), rows.column("seconds")[last].as_py())

    def add(self, rows: Sequence[tuple[int, FrameRows]]) -> None:
        """Frames of sources, given by id. Nobody is shown them before their source is whole."""
        if not rows:
            return
        with told_as_ours(self.folder):
            self.thumbnails.add(pa.concat_tables([some.thumbnails_table(source) for source, some in rows]))
            self.frames.add(pa.concat_tables([some.frames_table(source) for source, some in rows]))

    def rows_of(self, source: int) -> Iterator[FrameRows]:
        """The frames of a source with their thumbnails, in order of time."""
        with told_as_ours(self.folder):
            frames = self.frames.search().where(f"source = {source}").select(["frame", "seconds", "vector"])
            for some in frames.to_batches(_ROWS_AT_ONCE):
                order = np.argsort(some.column("frame").to_numpy())
                indices = some.column("frame").to_numpy()[order].tolist()
                jpegs = self.jpegs(source, indices)
                yield FrameRows(
                    vectors_of(some)[order],
                    indices,
                    some.column("seconds").to_numpy()[order].tolist(),
                    [jpegs[index] for index in indices],
                )

    def jpegs(self, source: int, frame_indices: Sequence[int]) -> dict[int, bytes]:
        """The thumbnails of those frames of a source that there are, by frame index."""
        listed = ", ".join(str(int(index)) for index in frame_indices)
        with told_as_ours(self.folder):
            found = self.thumbnails.search().where(f"source = {source} AND frame IN ({listed})")
            rows = found.select(["frame", "jpeg"]).to_arrow()
        return dict(zip(rows.column("frame").to_pylist(), rows.column("jpeg").to_pylist(), strict=True))

    def times_of(self, ids: Sequence[int]) -> dict[int, tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """Of each source the indices of its frames, ascending, and their seconds."""
        with told_as_ours(self.folder):
            rows = self.frames.search().where(_of(ids)).select(["source", "frame", "seconds"]).to_arrow()
        sources, indices, seconds = (rows.column(name).to_numpy() for name in ("source", "frame", "seconds"))
        times = {}
        for source in ids:
            own = np.flatnonzero(sources == source)
            own = own[np.argsort(indices[own])]
            times[source] = indices[own], seconds[own]
        return times

    def thumbnails_of(self, ids: Sequence[int], *, batch_size: int) -> Iterator[ThumbnailRows]:
        """The thumbnails of sources, one after the other; of a single one in batches, of several small ones at once."""
        query = self.thumbnails.search().where(_of(ids)).select(["source", "frame", "jpeg"])
        with told_as_ours(self.folder):
            if len(ids) == 1:
                yield from (_thumbnail_rows(ids[0], rows) for rows in query.to_batches(batch_size) if len(rows))
                return
            rows = query.to_arrow().sort_by([("source", "ascending")])
        sources = rows.column("source").to_numpy()
        for source in sorted(ids):
            first, last = np.searchsorted(sources, [source, source + 1])
            if last > first:
                yield _thumbnail_rows(source, rows.slice(first, last - first))

    def compact(self, *, kept_for: timedelta = _KEPT_FOR) -> None:
        """Joins small files, brings the index up to date, and forgets versions older than that."""
        with told_as_ours(self.folder):
            for table in (self.frames, self.thumbnails, self.sources):
                table.optimize(cleanup_older_than=kept_for)


@contextmanager
def told_as_ours(folder: Path) -> Iterator[None]:
    """What LanceDB or the disk has to complain about, as one line.

    Raises:
        LibraryError: in place of theirs.
    """
    try:
        yield
    except (OSError, RuntimeError, ValueError, pa.ArrowException) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise LibraryError(
            f"the tables in {folder} cannot be used ({reason}); check the disk, or index anew"
        ) from error


def _of(ids: Sequence[int]) -> str:
    return f"source IN ({', '.join(map(str, ids))})"


def _thumbnail_rows(source: int, rows: Any) -> ThumbnailRows:  # noqa: ANN401  # a pyarrow table or batch
    indices = rows.column("frame").to_numpy()
    order = np.argsort(indices)
    jpegs = rows.column("jpeg").to_pylist()
    return ThumbnailRows(source, indices[order], [jpegs[position] for position in order])


def _record(row: dict[str, Any]) -> SourceRecord:
    return SourceRecord(**{**row, "path": Path(row["path"])})
