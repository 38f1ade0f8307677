"""A choice of frames by source and time; the timeline of a library, 40 bytes a frame in memory; layouts along it."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from firstsight.closed_form.agreement import LayoutConfig
from firstsight.encoder.run_config import model_config
from firstsight.errors import LibraryError, SettingsError, brief, number_of
from firstsight.files import listed
from firstsight.library.damage import CHECK
from firstsight.library.embeddings import Embeddings
from firstsight.library.records import LayoutSizes, SourceRecord, embeddings_of, packed_of, unpacked, vectors_of
from firstsight.library.tables import Tables

_NAMES_SHOWN = 3  # of sources, in the error about an unknown one
_NUM_TIMES = 2
# Of vectors that are read once and then kept in memory: 50,000 rows of 496 numbers.
MAX_HELD_BYTES = 100_000_000
CELLS_AT_ONCE = 512  # frames, 18 kB each
_FEW = 0.1  # share of all frames, of which rows are read one by one rather than all rows
_BATCH_ROWS = 8_192

Name = str | os.PathLike[str]  # of a source, or a pattern such as "2026-*/gate.mp4"
Names = Name | Sequence[Name]
Between = tuple[float | None, float | None]  # seconds of each source


@dataclass(frozen=True)
class Where:
    """A choice of frames; the default is all of them."""

    sources: tuple[str, ...] = ()  # names, or patterns such as "2026-*/gate.mp4"; none is all
    start_seconds: float | None = None  # the first frame chosen is at or after it, in its own source
    end_seconds: float | None = None  # the last is before it

    def __post_init__(self) -> None:
        start, end = (None if one is None else number_of(one) for one in (self.start_seconds, self.end_seconds))
        if not all(one is None or one >= 0 for one in (start, end)):
            given = f"frames from {brief(self.start_seconds)} s to {brief(self.end_seconds)} s"
            raise SettingsError(f"{given}; valid are seconds from 0")
        object.__setattr__(self, "start_seconds", start)
        object.__setattr__(self, "end_seconds", end)
        if end is not None and (start or 0) >= end:
            raise SettingsError(f"the end, {end:g} s, is not after the start, {start or 0:g} s: give a later end")

    @classmethod
    def of(cls, sources: Names | None, between: Between | None) -> "Where":
        """The frames of some sources, or of all, between two times; None is open.

        Raises:
            SettingsError: something else is given.
        """
        times: Any = (None, None) if between is None else between
        if not isinstance(times, Sequence | np.ndarray) or isinstance(times, str | bytes) or len(times) != _NUM_TIMES:
            raise SettingsError(f"between {brief(between)}; valid are two times in seconds, as (60, 90) or (60, None)")
        names = () if sources is None else names_of(sources)
        if sources is not None and not names:
            raise SettingsError("no sources: give the names of some, or leave them out for all")
        return cls(names, *times)

    def __bool__(self) -> bool:
        """Whether it leaves anything out."""
        return self != Where()

    def chosen(self, names: Sequence[str]) -> list[int]:
        """The positions of the chosen sources, ascending.

        Raises:
            LibraryError: a name or pattern matches no source.
        """
        if not self.sources:
            return list(range(len(names)))
        return sorted({position for wanted in self.sources for position in _matching(wanted, names)})


def names_of(sources: Names) -> tuple[str, ...]:
    """The names of one source, or of several, as the library has them.

    Raises:
        SettingsError: something else is given.
    """
    return tuple(os.fspath(one) for one in listed(sources, name="source"))


def _matching(wanted: str, names: Sequence[str]) -> list[int]:
    """The source of that name; if there is none, those that match the pattern."""
    if wanted in names:
        return [names.index(wanted)]
    if matching := [position for position, name in enumerate(names) if fnmatchcase(name, wanted)]:
        return matching
    there = ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
    raise LibraryError(
        f"no source of the library is called {brief(wanted)} or matches it; there are {there or 'none yet'}"
    )


_MAX_FRAMES = 1 << 40  # of one source: at 1,000 a second the frames of 34 years


@dataclass(frozen=True, eq=False)
class Timeline:
    """N frames, by source in order of the library's `sources`, each in order of time."""

    frames: Embeddings  # without vectors: (N, 0)
    numbers: Mapping[int, int]  # position in `frames.sources` by source id
    row_ids: NDArray[np.int64]  # (N,), of the table of frames

    @classmethod
    def of(cls, rows: pa.Table, sources: Sequence[SourceRecord]) -> Self:
        """Of all rows of these sources, with the columns source, frame, seconds and _rowid."""
        frames = embeddings_of(rows, sources)
        numbers = {record.id: number for number, record in enumerate(sources)}
        timeline = cls(frames, numbers, np.empty(0, np.int64))
        row_ids = np.empty(len(frames), np.int64)
        row_ids[timeline.find_rows(rows)] = rows.column("_rowid").to_numpy()
        return replace(timeline, row_ids=row_ids)

    def __len__(self) -> int:
        return len(self.frames)

    def find(self, source_ids: NDArray[np.int64], frame_indices: NDArray[np.int64]) -> NDArray[np.intp]:
        """The positions (M,) of those frames; -1 of one that the library does not show."""
        ids, which = np.unique(source_ids, return_inverse=True)
        numbers = np.array([self.numbers.get(one, -1) for one in ids.tolist()], np.int64)[which]
        return _found(self._keys, numbers * _MAX_FRAMES + frame_indices)

    def find_rows(self, rows: Any) -> NDArray[np.intp]:  # noqa: ANN401  # a pyarrow table or batch
        """The same, of rows with the columns source and frame."""
        return self.find(rows.column("source").to_numpy(), rows.column("frame").to_numpy())

    def find_row_ids(self, row_ids: NDArray[np.int64]) -> NDArray[np.intp]:
        """The same, of rows of the table of frames."""
        ids, positions = self._by_row_id
        found = _found(ids, row_ids)
        found[found >= 0] = positions[found[found >= 0]]
        return found

    def in_order(self, rows: pa.Table, positions: NDArray[np.intp]) -> pa.Table:
        """The row of each frame, given by its position (K,), of rows in any order."""
        found = self.find_rows(rows)
        order = np.argsort(found)
        return rows.take(pa.array(order[np.searchsorted(found[order], positions)]))

    def each_once(
        self, batches: Iterable[Any], batch_size: int, *, chosen: NDArray[np.bool_] | None = None
    ) -> Iterator[tuple[NDArray[np.intp], Any]]:
        """Of batches of pyarrow rows those of the chosen frames (N,), or of all, with their positions; some at a time.

        Each comes once, though an older version wrote some rows twice.
        """
        wanted = np.ones(len(self), np.bool_) if chosen is None else chosen.copy()
        for rows in batches:
            for start in range(0, len(rows), batch_size):
                some = rows.slice(start, batch_size)
                positions = self.find_rows(some)
                kept = np.flatnonzero((positions >= 0) & wanted[positions])
                kept = kept[np.sort(np.unique(positions[kept], return_index=True)[1])]
                wanted[positions[kept]] = False
                if len(kept):
                    yield positions[kept], some if len(kept) == len(some) else some.take(pa.array(kept))

    def chosen(self, where: Where | None, *, without: frozenset[str]) -> NDArray[np.bool_]:
        """(N,): which frames are chosen, without those of some sources.

        Raises:
            LibraryError: a name or pattern matches no source.
        """
        where, frames = where or Where(), self.frames
        is_wanted = np.zeros(len(frames.sources), np.bool_)
        is_wanted[where.chosen(frames.sources)] = True
        is_wanted &= np.array([name not in without for name in frames.sources], np.bool_)
        chosen: NDArray[np.bool_] = is_wanted[frames.source_indices]
        if where.start_seconds is not None:
            chosen &= frames.seconds >= where.start_seconds
        if where.end_seconds is not None:
            chosen &= frames.seconds < where.end_seconds
        return chosen

    @cached_property
    def _keys(self) -> NDArray[np.int64]:
        return self.frames.source_indices * _MAX_FRAMES + self.frames.frame_indices

    @cached_property
    def _by_row_id(self) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
        """All row ids, ascending, and the position of each."""
        order = np.argsort(self.row_ids, kind="stable")
        return self.row_ids[order], order


def _found(keys: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.intp]:
    """The positions (M,) in ascending keys; -1 of what is not among them."""
    found = np.searchsorted(keys, wanted)
    is_there = found < len(keys)
    is_there[is_there] = keys[found[is_there]] == wanted[is_there]
    return np.where(is_there, found, -1)


def saved_layout(folder: Path, *, fingerprint: str) -> tuple[LayoutConfig, LayoutSizes] | None:
    """The layout of the encoder saved in a folder, read without loading it; None if its fingerprint is another.

    None also of an encoder without a layout.
    """
    config = model_config(folder, fingerprint=fingerprint)
    layout = None if config is None else LayoutConfig.of_model(config)
    return (layout, LayoutSizes.of_layout(layout, num_levels=len(config["levels"]))) if config and layout else None


class StoredLayouts:
    """What a library stores of each frame of its timeline for the second stage: cells and vectors in place.

    Args:
        tables: with layouts.
        timeline: of the frames shown.
        shape: of a frame's cells.
    """

    def __init__(self, tables: Tables, timeline: Timeline, shape: tuple[int, ...]) -> None:
        self._tables, self._timeline, self._shape = tables, timeline, shape
        self._held: NDArray[np.float32] | None = None

    def cells_of(self, positions: NDArray[np.intp]) -> NDArray[np.int8]:
        """The cells of frames given by their positions (K,) in `timeline`: (K, 2, rows, columns, numbers), -7 to 7.

        Raises:
            LibraryError: a frame's are missing.
        """
        return unpacked(packed_of(self._rows_at(positions, ["cells"])), self._shape)

    def parts_of(self, positions: NDArray[np.intp]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """The cells and the vectors in place (K, d) of frames. Raises a LibraryError if a frame's are missing."""
        rows = self._rows_at(positions, ["cells", "in_place"])
        return unpacked(packed_of(rows), self._shape), vectors_of(rows, "in_place")

    def _rows_at(self, positions: NDArray[np.intp], columns: Sequence[str]) -> pa.Table:
        """A row for each position (K,), in their order."""
        ids = np.unique(self._row_ids[positions])
        if (ids < 0).any():
            raise LibraryError(f"a frame has no layout; {CHECK}")
        rows = self._tables.taken(self._tables.thumbnails, ids.tolist(), columns)
        return self._timeline.in_order(rows, positions)

    def iterate_cells(
        self, chosen: NDArray[np.bool_], *, batch_size: int
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.int8]]]:
        """The cells of the chosen frames (N,) of `timeline`, as by `cells_of`, with their positions; some at a time.

        Args:
            chosen: which frames.
            batch_size: how many at once, 18 kB each.
        """
        if (num_left := int(chosen.sum())) >= _FEW * len(chosen):
            for positions, rows in self._rows(chosen, "cells", batch_size):
                num_left -= len(positions)
                yield positions, unpacked(packed_of(rows), self._shape)
            if num_left > 0:
                raise LibraryError(f"a frame has no layout; {CHECK}")
            return
        wanted = np.flatnonzero(chosen)
        for start in range(0, len(wanted), batch_size):
            some = wanted[start : start + batch_size]
            yield some, self.cells_of(some)

    def in_place(self) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
        """The vectors in place (B, d), unit length, of all frames in batches, each with its position in `timeline`.

        Of a small library they are read once and stay in memory.
        """
        num, dim = len(self._timeline), self._tables.thumbnails.schema.field("in_place").type.list_size
        every = np.ones(num, np.bool_)
        if self._held is None and 4 * dim * num <= MAX_HELD_BYTES:
            self._held = np.zeros((num, dim), np.float32)
            for positions, rows in self._rows(every, "in_place", _BATCH_ROWS):
                self._held[positions] = vectors_of(rows, "in_place")
        if self._held is not None:
            yield np.arange(num), self._held
            return
        for positions, rows in self._rows(every, "in_place", _BATCH_ROWS):
            yield positions, vectors_of(rows, "in_place")

    def _rows(self, chosen: NDArray[np.bool_], column: str, batch_size: int) -> Iterator[tuple[NDArray[np.intp], Any]]:
        """A column of the chosen frames (N,), each once: positions, and rows of pyarrow."""
        query = self._tables.thumbnails.search().select(["source", "frame", column])
        return self._timeline.each_once(self._tables.batches(query, batch_size), batch_size, chosen=chosen)

    @cached_property
    def _row_ids(self) -> NDArray[np.int64]:
        """The row (N,) of the thumbnails' table of each frame; -1 without one."""
        keys = self._tables.keys(self._tables.thumbnails)
        positions = self._timeline.find(keys[:, 0], keys[:, 1])
        rows = np.full(len(self._timeline), -1, np.int64)
        rows[positions[positions >= 0]] = keys[positions >= 0, 2]
        return rows
