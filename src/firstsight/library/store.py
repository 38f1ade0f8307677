"""The store of a library: embedded frames of many sources on disk."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import LibraryError, RunError, SettingsError, brief
from firstsight.files import Closing, check_path, remove_folder
from firstsight.footage.sampling import Sampling
from firstsight.library.damage import translated_errors
from firstsight.library.embeddings import Embeddings
from firstsight.library.folder import (
    MODEL_FOLDER,
    LibraryConfig,
    check_free,
    check_inside,
    read_config,
    tables_folder,
    write_config,
    writing,
)
from firstsight.library.records import LayoutSizes, SourceRecord, embeddings_of, latest, shown, vectors_of
from firstsight.library.repair import repair
from firstsight.library.selection import CELLS_AT_ONCE, MAX_HELD_BYTES, StoredLayouts, Timeline, Where, saved_layout
from firstsight.library.tables import Tables
from firstsight.library.thumbnails import gallery
from firstsight.library.vector_index import read_facts

if TYPE_CHECKING:
    from firstsight.encoder.descriptions import CellStage
    from firstsight.encoder.encoder import Encoder

_COLUMNS = ["source", "frame", "seconds", "vector"]
# Rows of 128 numbers in a few megabytes; enough for matrix products to be fast.
BATCH_ROWS = 8_192


class Store(Closing):
    """Embedded frames of many sources, with a thumbnail each, and their encoder, behind `firstsight.Library`.

    It shows the sources that were complete when it was opened or last refreshed: one version of all tables, which is
    kept on disk, whatever other processes write, until the store is closed.

    Attributes:
        path: its folder, absolute.
        name: the same as it was given, for people.
        config: its settings.
        sources: the complete ones, in order of their names.
        partial_sources: interrupted, or being indexed; their frames are not shown.
        failed_sources: files that could not be read; tried again when they change, or if the disk was at fault.
        num_frames: of all complete sources.
        num_probes: groups of the index that are searched; None if every frame is compared.
        derived: measurements of what is shown, by key; emptied by `refresh`.

    Example:
        >>> with Store.open("walks.library") as library:  # doctest: +SKIP
        ...     print(library.num_frames, "frames of", len(library.sources), "sources")
    """

    def __init__(self, path: Path, config: LibraryConfig, tables: Tables, *, name: str | None = None) -> None:
        self.path = path
        self.name = name or str(path)
        self.config = config
        self._tables = tables
        self.show_latest()

    @classmethod
    def open(cls, folder: str | PathLike[str]) -> Self:
        """The library in the folder.

        Raises:
            LibraryError: there is none, or it is damaged, or of another version.
        """
        given = check_path(folder, name="library", error=LibraryError)
        path = given.absolute()
        while True:
            config = read_config(given)
            rows = tables_folder(path, config.fingerprint)
            check_inside(path, rows, path / config.model)
            try:
                return cls(path, config, Tables(rows, dim=config.dim), name=str(given))
            except LibraryError:
                if read_config(given).fingerprint == config.fingerprint:  # else it was re-embedded just now
                    raise

    @classmethod
    def create(
        cls,
        folder: str | PathLike[str],
        encoder: "Encoder",
        *,
        frames_per_second: float | None = None,
        every: int | None = None,
        keyframes: bool = False,
    ) -> Self:
        """A new and empty library for that encoder, which is copied into it.

        Args:
            folder: a new one, or an empty one.
            encoder: for all footage of the library.
            frames_per_second: of each video the first frame at or after each tick of this rate; by default 2.
            every: or one frame in so many.
            keyframes: of the keyframes alone.

        Raises:
            LibraryError: something else is there, or it cannot be written.
            SettingsError: a rate outside its range, or both.
        """
        given = check_path(folder, name="library", error=LibraryError)
        check_free(given)
        path = given.absolute()
        if frames_per_second is None and every is None:
            frames_per_second = LibraryConfig.frames_per_second
        rate = Sampling(frames_per_second=frames_per_second, every=every)
        config = LibraryConfig(encoder.fingerprint, encoder.dim, rate.frames_per_second, rate.every)
        config = replace(config, keyframes=keyframes)
        folder = tables_folder(path, config.fingerprint)
        tables = Tables.create(folder, dim=config.dim, layout=LayoutSizes.of(encoder))
        remove_folder(path / MODEL_FOLDER)
        encoder.save(path / MODEL_FOLDER)
        write_config(path, config)
        return cls(path, config, tables, name=str(given))

    @property
    def tables(self) -> Tables:
        """Its rows.

        Raises:
            LibraryError: it is closed.
        """
        self.check_open()
        return self._tables

    def check_open(self) -> None:
        """Raises a LibraryError if it is closed."""
        if not self._tables.is_open:
            raise LibraryError(f"{self.name} is closed; open it again")

    def refresh(self) -> None:
        """Shows what is complete now, as any process has written it.

        Raises:
            LibraryError: it has another encoder now, or is damaged.
        """
        self._check_encoder_in_use()
        self.show_latest()

    def show_latest(self) -> None:
        """As `refresh`, of the tables that are open."""
        self.tables.show_latest()
        records = self.tables.records()
        self.sources = tuple(shown(records))
        self.num_frames = sum(record.num_frames for record in self.sources)
        self.partial_sources = tuple(record for record in records if record.status == "partial")
        self.failed_sources = tuple(sorted(latest(records, "failed").values(), key=lambda record: record.name))
        index = read_facts(self.tables)
        self.num_probes = index.num_probes if index else None
        self.derived: dict[str, Any] = {}
        self._timeline: Timeline | None = None
        self._held: NDArray[np.float32] | None = None
        self._read_layouts: StoredLayouts | None = None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Locks it against other writers, refreshes it, and repairs what killed writers left.

        Raises:
            LibraryError: another process is writing to it, or has re-embedded it by another encoder.
        """
        with writing(self.path):
            self.refresh()
            if self.tables.is_of_older_version:
                write_config(self.path, self.config)  # of this version's format from now on
                self.tables.add_columns()
            repair(self.tables)
            self.show_latest()
            try:
                yield
            finally:
                if self._tables.is_open:
                    self.show_latest()

    def _load_encoder(self) -> "Encoder":
        from firstsight.encoder.encoder import Encoder  # its arithmetic takes seconds to load

        config = self.config
        try:
            return Encoder.load(self.path / config.model)
        except RunError:
            self._check_encoder_in_use()
            if self.config.model == config.model:
                raise
            return Encoder.load(self.path / self.config.model)  # it was just moved to its usual folder

    def _check_encoder_in_use(self) -> None:
        config = read_config(self.path)
        if config.fingerprint != self.fingerprint:
            raise LibraryError(
                f"{self.name} was re-embedded by encoder {config.fingerprint} since it was opened: open it again"
            )
        self.config = config

    @cached_property
    def encoder(self) -> "Encoder":
        """The encoder of all its vectors, loaded at first use.

        Raises:
            RunError: it is damaged.
            LibraryError: it is not the encoder of the vectors.
        """
        encoder = self._load_encoder()
        if encoder.fingerprint != self.fingerprint:
            self._check_encoder_in_use()
        if encoder.fingerprint != self.fingerprint:
            raise LibraryError(
                f"{self.path / self.config.model} holds encoder {encoder.fingerprint}, but the vectors come from "
                f"{self.fingerprint}: put that one back, or re-embed all footage with `firstsight index --reindex`"
            )
        return encoder

    @property
    def fingerprint(self) -> str:
        """The encoder's."""
        return self.config.fingerprint

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        return self.config.dim

    def source(self, name: str) -> SourceRecord:
        """The complete source of that name.

        Raises:
            LibraryError: there is none, or not any more.
        """
        for record in self.sources:
            if record.name == name:
                return record
        raise LibraryError(f"source {brief(name)} is not in the library {self.name}, or not any more; ask it again")

    def embeddings(self, where: Where | None = None) -> Embeddings:
        """The chosen frames, by source in order of `sources`, each in order of time. Memory: 4 dim bytes each.

        `Embeddings.sources` are the names of the chosen sources.

        Raises:
            LibraryError: a name or pattern matches no source.
        """
        chosen = self._chosen(where)
        with translated_errors(self.tables.folder):
            rows = self._scan(where).to_arrow()
        return embeddings_of(rows, chosen)

    def iterate(self, where: Where | None = None, *, batch_size: int = BATCH_ROWS) -> Iterator[Embeddings]:
        """The same frames in batches of at most that many, with only one in memory.

        Within a batch frames are by source and in order of time; the order of sources over batches is undefined.
        `Embeddings.sources` is the same for all batches.
        """
        if batch_size < 1:
            raise SettingsError(f"batches of {batch_size}; valid is at least 1")
        chosen = self._chosen(where)
        for _, rows in self.timeline.each_once(self.tables.batches(self._scan(where), batch_size), batch_size):
            yield embeddings_of(rows, chosen)

    @property
    def timeline(self) -> Timeline:
        """Source and time of each frame, in the order of `embeddings()`. Read once: 40 bytes a frame stay in memory."""
        if self._timeline is None:
            with translated_errors(self.tables.folder):
                rows = self._scan(None, _COLUMNS[:3]).with_row_id(True).to_arrow()
            self._timeline = Timeline.of(rows, self.sources)
        return self._timeline

    def vectors(self, where: Where | None = None) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
        """The vectors (B, dim) of the chosen frames in batches, each with its position in `timeline`.

        Vectors of a small library are read once and stay in memory.
        """
        if self._held is None and 4 * self.dim * self.num_frames <= MAX_HELD_BYTES:
            self._held = self.embeddings().vectors
        if self._held is not None:
            positions = np.flatnonzero(self.timeline.chosen(where, without=frozenset()))
            yield positions, self._held if len(positions) == len(self._held) else self._held[positions]
            return
        for positions, rows in self.timeline.each_once(self.tables.batches(self._scan(where), BATCH_ROWS), BATCH_ROWS):
            yield positions, vectors_of(rows)

    def vectors_at(self, positions: NDArray[np.intp]) -> NDArray[np.float32]:
        """The vectors (K, dim) of frames given by their positions in `timeline`."""
        if self._held is not None:
            return self._held[positions]
        row_ids = np.unique(self.timeline.row_ids[positions]).tolist()
        return vectors_of(self.timeline.in_order(self.tables.taken(self.tables.frames, row_ids, ["vector"]), positions))

    @property
    def stage(self) -> "CellStage | None":
        """What compares the stored cells; None without. The encoder is not loaded, if its files are of the vectors."""
        return self._stage_and_sizes[0]

    @cached_property
    def _stage_and_sizes(self) -> "tuple[CellStage | None, LayoutSizes | None]":
        if not self.has_layouts:
            return None, None
        kept = saved_layout(self.path / self.config.model, fingerprint=self.fingerprint)
        return kept or (self.encoder.model.second_stage, LayoutSizes.of(self.encoder))

    @property
    def has_layouts(self) -> bool:
        """Whether frames are stored with what the encoder's second stage compares."""
        return self.tables.has_layouts

    def cells_of(self, positions: NDArray[np.intp]) -> NDArray[np.int8]:
        """As `StoredLayouts.cells_of`."""
        return self.layouts.cells_of(positions)

    def iterate_cells(
        self, chosen: NDArray[np.bool_], *, batch_size: int = CELLS_AT_ONCE
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.int8]]]:
        """As `StoredLayouts.iterate_cells`."""
        return self.layouts.iterate_cells(chosen, batch_size=batch_size)

    def in_place(self) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
        """As `StoredLayouts.in_place`."""
        return self.layouts.in_place()

    @property
    def layouts(self) -> StoredLayouts:
        """What the encoder's second stage compares. Raises a LibraryError if it stores none, see `has_layouts`."""
        if self._read_layouts is None:
            _, sizes = self._stage_and_sizes
            if sizes is None or sizes.num_bytes != self.tables.layout_bytes:
                raise LibraryError(f"{self.name} stores no layouts; `firstsight index --reindex` adds them")
            self._read_layouts = StoredLayouts(self.tables, self.timeline, sizes.cells)
        return self._read_layouts

    def thumbnails(self, frames: Sequence[tuple[str, int]]) -> list[bytes]:
        """A small JPEG of each frame, given as source name and frame index.

        Raises:
            LibraryError: no such frame.
        """
        ids = {record.name: record.id for record in self.sources}
        keys = [(ids.get(name, -1), index) for name, index in frames]
        found = self.tables.jpegs_of(keys)
        for key, (name, index) in zip(keys, frames, strict=True):
            if key not in found:
                raise LibraryError(f"the library has no frame {index} of {name!r}")
        return [found[key] for key in keys]

    def _chosen(self, where: Where | None) -> list[SourceRecord]:
        names = [record.name for record in self.sources]
        return [self.sources[position] for position in (where or Where()).chosen(names)]

    def _scan(self, where: Where | None, columns: list[str] = _COLUMNS) -> Any:  # noqa: ANN401  # a LanceDB query
        query, sql = self.tables.frames.search().select(columns), self._sql(where)
        return query.where(sql) if sql else query

    def _sql(self, where: Where | None) -> str:
        """The filter of the chosen frames, of complete sources; empty if that is every row."""
        where = where or Where()
        parts = []
        with translated_errors(self.tables.folder):
            num_rows = self.tables.frames.count_rows()
        if where.sources or num_rows != self.num_frames:
            listed = ", ".join(str(record.id) for record in self._chosen(where))
            parts.append(f"source IN ({listed or -1})")
        if where.start_seconds is not None:
            parts.append(f"seconds >= {where.start_seconds!r}")
        if where.end_seconds is not None:
            parts.append(f"seconds < {where.end_seconds!r}")
        return " AND ".join(parts)

    def close(self) -> None:
        """Releases the version shown, so that other processes may remove its files."""
        self._tables.close()

    def __repr__(self) -> str:
        held = f"{self.num_frames} frames of {len(self.sources)} sources, {self.dim} numbers each"
        return f"Store({self.name!r}, {held})"


def frame_gallery(folder: str, title: str, frames: Sequence[tuple[str, int]], captions: Sequence[str]) -> str:
    """HTML for a notebook: thumbnails of frames, by source and position, read now; if they are gone, captions alone."""
    try:
        with Store.open(folder) as store:
            jpegs = store.thumbnails(frames)
    except LibraryError:
        jpegs = [b""] * len(frames)
    return gallery(title, zip(jpegs, captions, strict=True))
