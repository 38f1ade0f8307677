"""The library: the embedded frames of many sources, kept on disk, to be searched and gone through."""

import shutil
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import LibraryError, SettingsError
from firstsight.model.encoder import Encoder
from firstsight.retrieval.embedding import Embeddings
from firstsight.retrieval.store.folder import MODEL_FOLDER, LibraryConfig, check_free, read_config, write_config
from firstsight.retrieval.store.index import MOST_NEAREST, read_facts
from firstsight.retrieval.store.nearest import Nearest, nearest
from firstsight.retrieval.store.records import SourceRecord, shown
from firstsight.retrieval.store.rows import vectors_of
from firstsight.retrieval.store.tables import Tables
from firstsight.retrieval.store.where import Where
from firstsight.video.sampling import Sampling

_COLUMNS = ["source", "frame", "seconds", "vector"]
# Rows of 128 numbers in a few megabytes; enough for matrix products to be fast.
BATCH_ROWS = 8_192


class Library:
    """Embedded frames of many sources, with a thumbnail each, and the encoder that all of them come from.

    Made by `Library.create` or by `firstsight index`; filled by `firstsight.retrieval.indexing.indexing.add`.
    What it shows is what was whole when it was opened, or at the last `refresh`.

    Attributes:
        path: its folder.
        config: what was settled when it was made.
        tables: where the rows are.

    Example:
        >>> with Library.open("walks.library") as library:  # doctest: +SKIP
        ...     print(library.num_frames, "frames of", len(library.sources), "sources")
        ...     print(library.nearest(library.encoder.encode(picture[None])[0], k=5).rows)
    """

    def __init__(self, path: Path, config: LibraryConfig, tables: Tables) -> None:
        self.path = path
        self.config = config
        self.tables = tables
        self.refresh()

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """The library in the folder.

        Raises:
            LibraryError: there is none, or it is damaged, or of another version.
        """
        path = Path(folder)
        config = read_config(path)
        return cls(path, config, Tables(tables_folder(path, config.fingerprint), dim=config.dim))

    @classmethod
    def create(
        cls,
        folder: str | Path,
        encoder: Encoder,
        *,
        frames_per_second: float | None = None,
        every: int | None = None,
    ) -> Self:
        """A new and empty library for that encoder, which is copied into it.

        Args:
            folder: a new one, or an empty one.
            encoder: what will see all footage of the library.
            frames_per_second: of each video the first frame at or after each tick of this rate; by default 2.
            every: or one frame in so many.

        Raises:
            LibraryError: something else is there, or it cannot be written.
            SettingsError: a rate outside its range, or both.
        """
        path = Path(folder)
        check_free(path)
        if frames_per_second is None and every is None:
            frames_per_second = LibraryConfig.frames_per_second
        Sampling(frames_per_second=frames_per_second, every=every)
        config = LibraryConfig(encoder.fingerprint, encoder.dim, frames_per_second=frames_per_second, every=every)
        shutil.rmtree(path / MODEL_FOLDER, ignore_errors=True)
        encoder.save(path / MODEL_FOLDER)
        tables = Tables.create(tables_folder(path, config.fingerprint), dim=config.dim)
        write_config(path, config)
        return cls(path, config, tables)

    def refresh(self) -> None:
        """Looks again at which sources are whole."""
        records = self.tables.records()
        self._records = tuple(shown(records))
        self._partial = tuple(record for record in records if record.status == "partial")
        self._index = read_facts(self.tables)

    @cached_property
    def encoder(self) -> Encoder:
        """What saw all of it; loaded when first asked for.

        Raises:
            RunError: it is damaged.
            LibraryError: it is not the encoder that the vectors come from.
        """
        encoder = Encoder.load(self.path / self.config.model)
        if encoder.fingerprint != self.fingerprint:
            raise LibraryError(
                f"{self.path / self.config.model} holds encoder {encoder.fingerprint}, but the vectors come from "
                f"{self.fingerprint}: put that one back, or embed all footage anew with `firstsight index --reindex`"
            )
        return encoder

    @property
    def fingerprint(self) -> str:
        """Of the encoder."""
        return self.config.fingerprint

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        return self.config.dim

    @property
    def sources(self) -> tuple[SourceRecord, ...]:
        """All whole sources, in order of their names."""
        return self._records

    @property
    def partial_sources(self) -> tuple[SourceRecord, ...]:
        """Sources whose indexing was interrupted, or is under way; nothing else shows their frames."""
        return self._partial

    @property
    def num_frames(self) -> int:
        """Frames of all whole sources."""
        return sum(record.num_frames for record in self._records)

    def embeddings(self, where: Where | None = None) -> Embeddings:
        """The frames that are meant, by source in order of `sources`, each in order of time. Memory: 4 dim bytes each.

        `Embeddings.sources` holds the names of the sources that are meant.

        Raises:
            LibraryError: a name or pattern fits no source.
        """
        chosen = self._chosen(where)
        rows = self._scan(where).to_arrow()
        return _embeddings(rows, chosen)

    def iterate(self, where: Where | None = None, *, batch_size: int = BATCH_ROWS) -> Iterator[Embeddings]:
        """The same frames in batches of at most that many, in memory of one batch.

        Within a batch frames are by source and in order of time; which batch a source comes in is not promised.
        `Embeddings.sources` is the same for all batches.
        """
        if batch_size < 1:
            raise SettingsError(f"batches of {batch_size}; valid is at least 1")
        chosen = self._chosen(where)
        for rows in self._scan(where).to_batches(batch_size):
            for start in range(0, len(rows), batch_size):
                yield _embeddings(rows.slice(start, batch_size), chosen)

    def nearest(self, vector: NDArray[np.float32], *, k: int, where: Where | None = None) -> Nearest:
        """The k frames most like a vector, the most similar first; fewer if fewer are meant.

        A frame in which the encoder sees nothing, its embedding of length 0, is like no other and never among them.

        Args:
            vector: (dim,); only its direction counts.
            k: how many, from 1.
            where: which frames are meant; all by default.

        Raises:
            SettingsError: k below 1, or a vector of another size.
            LibraryError: a name or pattern fits no source.
        """
        names = {one.id: one.name for one in self._chosen(where)}
        sql = self._sql(where)
        if self._index and not where and k <= MOST_NEAREST:
            found = nearest(self.tables, vector, k=k, names=names, sql=sql, num_probes=self._index.num_probes)
            if len(found.rows) == k:
                return found
        return nearest(self.tables, vector, k=k, names=names, sql=sql)

    def thumbnails(self, frames: Sequence[tuple[str, int]]) -> list[bytes]:
        """A small JPEG of each frame, given as source name and frame index, in that order.

        Raises:
            LibraryError: no such frame.
        """
        ids = {record.name: record.id for record in self._records}
        by_source: dict[str, set[int]] = {}
        for name, index in frames:
            by_source.setdefault(name, set()).add(index)
        found = {name: self.tables.jpegs(ids.get(name, -1), sorted(indices)) for name, indices in by_source.items()}
        for name, index in frames:
            if index not in found[name]:
                raise LibraryError(f"the library has no frame {index} of {name!r}; its frames are those it was given")
        return [found[name][index] for name, index in frames]

    def _chosen(self, where: Where | None) -> list[SourceRecord]:
        names = [record.name for record in self._records]
        return [self._records[position] for position in (where or Where()).chosen(names)]

    def _scan(self, where: Where | None) -> Any:  # noqa: ANN401  # a LanceDB query
        query = self.tables.frames.search().select(_COLUMNS)
        sql = self._sql(where)
        return query.where(sql) if sql else query

    def _sql(self, where: Where | None) -> str:
        """The filter that leaves the frames that are meant, of whole sources alone; empty if that is every row."""
        where = where or Where()
        parts = []
        if where.sources or self.tables.frames.count_rows() != self.num_frames:
            listed = ", ".join(str(record.id) for record in self._chosen(where))
            parts.append(f"source IN ({listed or -1})")
        if where.start_seconds is not None:
            parts.append(f"seconds >= {where.start_seconds!r}")
        if where.end_seconds is not None:
            parts.append(f"seconds < {where.end_seconds!r}")
        return " AND ".join(parts)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def __repr__(self) -> str:
        held = f"{self.num_frames} frames of {len(self._records)} sources, {self.dim} numbers each"
        return f"Library({str(self.path)!r}, {held})"


def tables_folder(path: Path, fingerprint: str) -> Path:
    """Where a library keeps the rows of an encoder."""
    return path / f"tables-{fingerprint}"


def _embeddings(rows: Any, chosen: Sequence[SourceRecord]) -> Embeddings:  # noqa: ANN401  # a pyarrow table or batch
    numbers = {record.id: number for number, record in enumerate(chosen)}
    found = rows.column("source").to_numpy()
    ids, positions = np.unique(found, return_inverse=True)
    source_indices = np.array([numbers[one] for one in ids.tolist()], np.int64)[positions]
    frame_indices = rows.column("frame").to_numpy()
    order = np.lexsort((frame_indices, source_indices))
    return Embeddings(
        vectors_of(rows)[order],
        rows.column("seconds").to_numpy()[order],
        frame_indices[order],
        source_indices[order],
        tuple(record.name for record in chosen),
    )
