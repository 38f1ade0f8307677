"""Rows of a library: sources, frames, thumbnails and layouts, to and from Arrow tables."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from firstsight.closed_form.agreement import NUM_NETWORKS, LayoutConfig
from firstsight.encoder.descriptions import Descriptions
from firstsight.errors import LibraryError, SettingsError
from firstsight.footage.sampling import Sampling
from firstsight.library.damage import CHECK
from firstsight.library.embeddings import Embeddings

if TYPE_CHECKING:
    from firstsight.encoder.encoder import Encoder

Status = Literal["partial", "whole", "failed"]


@dataclass(frozen=True)
class Stamp:
    """Size and time of change of a file: whether it has changed, without reading it."""

    num_bytes: int
    modified_ns: int  # nanoseconds since 1970


@dataclass(frozen=True)
class SourceRecord:
    """A video or picture file of a library."""

    id: int  # in its rows; never used for another source
    name: str  # unique in the library, used by results, filters and people
    path: Path  # absolute; at the last check
    content: str  # hash of its bytes
    num_bytes: int
    modified_ns: int
    frames_per_second: float | None  # how it was sampled; pictures are not
    every: int | None
    num_frames: int = 0  # rows in the library
    duration_seconds: float = 0.0  # of a picture 0
    num_skipped: int = 0  # frames that could not be decoded
    status: Status = "partial"  # rows of a partial one are not shown; a failed one has none
    is_picture: bool = False  # a still, not a video of a single frame
    reason: str = ""  # why it failed, in one line
    keyframes: bool = False  # of its keyframes alone

    @property
    def stamp(self) -> Stamp:
        """Of its file, at the last check."""
        return Stamp(self.num_bytes, self.modified_ns)

    def at(self, path: Path, stamp: Stamp) -> "SourceRecord":
        """The same source, with its file's new path and stamp."""
        return replace(self, path=path, num_bytes=stamp.num_bytes, modified_ns=stamp.modified_ns)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {**asdict(self), "path": str(self.path)}

    @property
    def sampling(self) -> Sampling:
        """Which of its frames are in the library."""
        return Sampling(frames_per_second=self.frames_per_second, every=self.every, keyframes=self.keyframes)


@dataclass(frozen=True)
class Stored:
    """How far the rows of a source go."""

    num_frames: int
    frame_index: int  # of the last
    seconds: float  # of the last


def shown(records: Iterable[SourceRecord]) -> list[SourceRecord]:
    """Complete sources by name; of two for one file the later, as the other is about to be dropped."""
    return sorted(latest(records, "whole").values(), key=lambda record: record.name)


def latest(records: Iterable[SourceRecord], status: Status) -> dict[Path, SourceRecord]:
    """The latest record of that status by path."""
    ordered = sorted((record for record in records if record.status == status), key=lambda record: record.id)
    return {record.path: record for record in ordered}


def rate_in_words(sampling: Sampling) -> str:
    """For people: "2 frames a second", "one frame in 10", "keyframes, at most 2 a second"."""
    if sampling.keyframes:
        rate = sampling.frames_per_second
        most = f", at most {rate:g} a second" if rate else f", one in {sampling.every} frames" if sampling.every else ""
        return f"keyframes{most}"
    if sampling.frames_per_second is not None:
        return f"{sampling.frames_per_second:g} frames a second"
    return "all frames" if sampling.every in (None, 1) else f"one frame in {sampling.every}"


THUMBNAILS = pa.schema([("source", pa.int64()), ("frame", pa.int64()), ("jpeg", pa.binary())])

_HALF_BYTE = 8  # added to a number of a cell, -7 to 7, which is then stored in four bits; 0 is never stored


@dataclass(frozen=True)
class LayoutSizes:
    """What a library stores of a frame for its encoder's second stage."""

    cells: tuple[int, ...]  # networks, rows, columns, numbers
    in_place: int  # numbers in a vector in place

    @classmethod
    def of(cls, encoder: "Encoder") -> "LayoutSizes | None":
        """None for an encoder without a second stage."""
        if encoder.model.second_stage is None:
            return None
        nothing = encoder.describe(np.zeros((1, 64, 64, 3), np.uint8))
        if nothing.cells is None or nothing.in_place is None:
            return None
        return cls(nothing.cells.shape[1:], nothing.in_place.shape[1])

    @classmethod
    def of_layout(cls, layout: LayoutConfig, *, num_levels: int) -> "LayoutSizes":
        """Of a layout of so many levels."""
        cells = (NUM_NETWORKS, layout.rows, layout.columns, layout.dim)
        return cls(cells, layout.in_place_length(num_levels))

    @property
    def num_packed(self) -> int:
        """Bytes of a frame's cells, two numbers each."""
        return -(-math.prod(self.cells) // 2)

    @property
    def num_bytes(self) -> int:
        """Of a frame, on disk."""
        return self.num_packed + 2 * self.in_place

    @property
    def columns(self) -> list[pa.Field]:
        """Beside the thumbnails."""
        return [
            pa.field("cells", pa.binary(self.num_packed)),
            pa.field("in_place", pa.list_(pa.float16(), self.in_place)),
        ]


def thumbnails_schema(layout: LayoutSizes | None) -> pa.Schema:
    """With the columns of layouts, if frames are stored with them."""
    return pa.schema([*THUMBNAILS, *(layout.columns if layout else ())])


def packed(cells: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Cells (B, ...) of -7 to 7 as bytes (B, num_packed): of two numbers the first in the lower four bits."""
    flat = (cells.reshape(len(cells), math.prod(cells.shape[1:])) + _HALF_BYTE).astype(np.uint8)
    flat = np.pad(flat, ((0, 0), (0, flat.shape[1] % 2)), constant_values=_HALF_BYTE)
    both: NDArray[np.uint8] = np.bitwise_or(flat[:, ::2], flat[:, 1::2] << np.uint8(4))
    return both


def unpacked(rows: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.int8]:
    """The cells (B, *shape) of which `packed` made bytes (B, num_packed)."""
    flat = np.empty((len(rows), rows.shape[1], 2), np.int8)
    np.subtract(rows & 15, _HALF_BYTE, out=flat[..., 0], casting="unsafe")
    np.subtract(rows >> 4, _HALF_BYTE, out=flat[..., 1], casting="unsafe")
    return flat.reshape(len(rows), 2 * rows.shape[1])[:, : math.prod(shape)].reshape(len(rows), *shape)


@dataclass(frozen=True, eq=False)
class LayoutRows:
    """The layouts of B frames."""

    packed: NDArray[np.uint8]  # (B, num_packed), of cells
    in_place: NDArray[np.float32]  # (B, d), of unit length

    @classmethod
    def of(cls, described: Descriptions) -> "LayoutRows | None":
        """Of described frames; None if the encoder has no second stage."""
        if described.cells is None or described.in_place is None:
            return None
        return cls(packed(described.cells), described.in_place)

    def __getitem__(self, chosen: slice) -> "LayoutRows":
        return LayoutRows(self.packed[chosen], self.in_place[chosen])

    @property
    def arrays(self) -> list[pa.Array]:
        """The columns beside the thumbnails."""
        rows = np.ascontiguousarray(self.packed)
        kind = pa.binary(rows.shape[1])
        cells = pa.FixedSizeBinaryArray.from_buffers(kind, len(rows), [None, pa.py_buffer(rows.tobytes())])
        return [cells, _as_stored(self.in_place)]


def frames_schema(dim: int) -> pa.Schema:
    """Vectors have `dim` numbers of 16 bits: similarities are exact to 0.001."""
    return pa.schema(
        [
            pa.field("source", pa.int64(), nullable=False),
            pa.field("frame", pa.int64(), nullable=False),
            pa.field("seconds", pa.float64(), nullable=False),
            pa.field("vector", pa.list_(pa.float16(), dim), nullable=False),
        ]
    )


@dataclass(frozen=True, eq=False)
class FrameRows:
    """Some frames of one source, B of them, in order of time."""

    vectors: NDArray[np.float32]  # (B, dim)
    frame_indices: Sequence[int]  # position in the source
    seconds: Sequence[float]
    jpegs: Sequence[bytes]  # a thumbnail each
    layouts: LayoutRows | None = None  # with an encoder that has a second stage

    def __len__(self) -> int:
        return len(self.vectors)

    def picture(self, row: int) -> "FrameRows":
        """One of several pictures as a source of its own, at 0 s."""
        layouts = self.layouts[row : row + 1] if self.layouts else None
        return FrameRows(self.vectors[row : row + 1], (0,), (0.0,), (self.jpegs[row],), layouts)

    def frames_table(self, source: int) -> pa.Table:
        """For the table of frames."""
        columns = [self._ids(source), pa.array(self.frame_indices, pa.int64()), pa.array(self.seconds, pa.float64())]
        return pa.table([*columns, _as_stored(self.vectors)], schema=frames_schema(self.vectors.shape[1]))

    def thumbnails_table(self, source: int) -> pa.Table:
        """For the table of thumbnails, with the layouts if there are some."""
        columns = [self._ids(source), pa.array(self.frame_indices, pa.int64()), pa.array(self.jpegs, pa.binary())]
        if self.layouts is None:
            return pa.table(columns, schema=THUMBNAILS)
        arrays = self.layouts.arrays
        fields = [pa.field(name, array.type) for name, array in zip(("cells", "in_place"), arrays, strict=True)]
        return pa.table([*columns, *arrays], schema=pa.schema([*THUMBNAILS, *fields]))

    def _ids(self, source: int) -> pa.Array:
        return pa.array(np.full(len(self), source, np.int64))


# A vector is of unit length but for the rounding of its numbers to 16 bits, or of length 0.
MAX_LENGTH_ERROR = 0.01
# 300 years: sums over many sources are still finite.
MAX_SECONDS = 1e10


def seconds_of(rows: Any) -> NDArray[np.float64]:  # noqa: ANN401  # a pyarrow table or batch
    """Its column of times (N,).

    Raises:
        LibraryError: a time is not finite, or absurd.
    """
    seconds: NDArray[np.float64] = rows.column("seconds").to_numpy()
    if not (np.abs(seconds) <= MAX_SECONDS).all():
        raise LibraryError(f"a frame has an impossible time; {CHECK}")
    return seconds


def vectors_of(rows: Any, name: str = "vector") -> NDArray[np.float32]:  # noqa: ANN401  # a pyarrow table or batch
    """Its column of vectors of that name, float32 (N, dim), normalised to unit length; one of length 0 stays so.

    Raises:
        LibraryError: a vector is not finite.
    """
    column = rows.column(name)
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    dim = column.type.list_size
    parts = [np.empty((0, dim), np.float16)]
    parts += [chunk.flatten().to_numpy(zero_copy_only=False).reshape(-1, dim) for chunk in chunks]
    vectors = np.concatenate(parts).astype(np.float32)
    if len(vectors) != len(rows):  # a missing one has no numbers
        raise LibraryError(f"a frame has no vector in the column {name}; {CHECK}")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all():
        raise LibraryError(f"a frame has a vector that is not of numbers; {CHECK}")
    unit: NDArray[np.float32] = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit


def _as_stored(vectors: NDArray[np.float32]) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float16).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])


def packed_of(rows: Any) -> NDArray[np.uint8]:  # noqa: ANN401  # a pyarrow table or batch
    """Its column of packed cells, uint8 (N, num_packed).

    Raises:
        LibraryError: a frame has none.
    """
    column = rows.column("cells")
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    width = column.type.byte_width
    parts = [np.empty((0, width), np.uint8)]
    for chunk in chunks:
        if chunk.null_count:
            raise LibraryError(f"a frame has no layout; {CHECK}")
        content = np.frombuffer(chunk.buffers()[1], np.uint8)[width * chunk.offset :][: width * len(chunk)]
        parts.append(content.reshape(-1, width))
    return np.concatenate(parts)


def num_bad_layouts(rows: Any) -> int:  # noqa: ANN401  # a pyarrow batch of the thumbnails' table
    """How many have no cells, or some that `packed` does not write, or a vector in place not of unit length or 0."""
    there = (rows.column("cells").is_valid().to_numpy(False)) & rows.column("in_place").is_valid().to_numpy(False)
    kept = rows.filter(pa.array(there))
    cells, column = packed_of(kept), kept.column("in_place")
    numbers = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, column.type.list_size).astype(np.float32)
    lengths = np.linalg.norm(numbers, axis=1)
    is_good = (np.abs(lengths - 1) < MAX_LENGTH_ERROR) | (lengths == 0)
    is_good &= ((cells & 15 > 0) & (cells >> 4 > 0)).all(axis=1)
    return int(len(rows) - is_good.sum())


@dataclass(frozen=True, eq=False)
class ThumbnailRows:
    """Some thumbnails of one source."""

    source: int
    frame_indices: NDArray[np.int64]  # (B,), ascending
    jpegs: list[bytes]


def thumbnail_rows(source: int, rows: Any) -> ThumbnailRows:  # noqa: ANN401  # a pyarrow table or batch
    """Of rows of one source."""
    indices = rows.column("frame").to_numpy()
    order = np.argsort(indices)
    jpegs = rows.column("jpeg").to_pylist()
    return ThumbnailRows(source, indices[order], [jpegs[position] for position in order])


def embeddings_of(rows: Any, chosen: Sequence[SourceRecord]) -> Embeddings:  # noqa: ANN401  # a pyarrow table or batch
    """Rows of frames of some sources, by source and in order of time; once each, though some were written twice."""
    numbers = {record.id: number for number, record in enumerate(chosen)}
    found = rows.column("source").to_numpy()
    ids, positions = np.unique(found, return_inverse=True)
    if orphans := set(ids.tolist()) - set(numbers):
        raise LibraryError(f"rows of {len(orphans)} unknown sources; run `firstsight library check`")
    source_indices = np.array([numbers[one] for one in ids.tolist()], np.int64)[positions]
    frame_indices = rows.column("frame").to_numpy()
    order = np.lexsort((frame_indices, source_indices))
    is_next = (np.diff(source_indices[order]) > 0) | (np.diff(frame_indices[order]) > 0)
    order = order[np.append(is_next, True)[: len(order)]]
    vectors = vectors_of(rows) if "vector" in rows.schema.names else np.empty((len(rows), 0), np.float32)
    return Embeddings(
        vectors[order],
        seconds_of(rows)[order],
        frame_indices[order],
        source_indices[order],
        tuple(record.name for record in chosen),
    )


def check_numbers(record: SourceRecord) -> None:
    """Raises LibraryError if a count, a duration or a rate is impossible."""
    counts = (record.num_bytes, record.num_frames, record.num_skipped)
    try:
        is_possible = min(counts) >= 0 and 0 <= record.duration_seconds <= MAX_SECONDS
        _ = record.sampling
    except SettingsError:
        is_possible = False
    if not is_possible:
        raise LibraryError(f"a source has an impossible number of frames, duration or rate: {CHECK}")
