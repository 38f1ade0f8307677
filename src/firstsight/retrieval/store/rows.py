"""Frames as a library stores them, and back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from firstsight.errors import LibraryError
from firstsight.retrieval.store.damage import CHECK

THUMBNAILS = pa.schema([("source", pa.int64()), ("frame", pa.int64()), ("jpeg", pa.binary())])


def frames_schema(dim: int) -> pa.Schema:
    """Of vectors of that many numbers, 16 bits each: similarities are off by less than 0.001."""
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

    def __len__(self) -> int:
        return len(self.vectors)

    def frames_table(self, source: int) -> pa.Table:
        """For the table of frames."""
        columns = [self._ids(source), pa.array(self.frame_indices, pa.int64()), pa.array(self.seconds, pa.float64())]
        return pa.table([*columns, _as_stored(self.vectors)], schema=frames_schema(self.vectors.shape[1]))

    def thumbnails_table(self, source: int) -> pa.Table:
        """For the table of thumbnails."""
        columns = [self._ids(source), pa.array(self.frame_indices, pa.int64()), pa.array(self.jpegs, pa.binary())]
        return pa.table(columns, schema=THUMBNAILS)

    def _ids(self, source: int) -> pa.Array:
        return pa.array(np.full(len(self), source, np.int64))


# 300 years: sums over many sources are still numbers.
MAX_SECONDS = 1e10


def seconds_of(rows: Any) -> NDArray[np.float64]:  # noqa: ANN401  # a pyarrow table or batch
    """Its column of times (N,).

    Raises:
        LibraryError: one that is none.
    """
    seconds: NDArray[np.float64] = rows.column("seconds").to_numpy()
    if not (np.abs(seconds) <= MAX_SECONDS).all():
        raise LibraryError(f"a frame has a time that cannot be; {CHECK}")
    return seconds


def vectors_of(rows: Any) -> NDArray[np.float32]:  # noqa: ANN401  # a pyarrow table or batch
    """Its column of vectors, float32 (N, dim), each of unit length again; one of length 0 stays so.

    Raises:
        LibraryError: one that holds something else than numbers.
    """
    column = rows.column("vector")
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    dim = column.type.list_size
    parts = [np.empty((0, dim), np.float16)]
    parts += [chunk.flatten().to_numpy(zero_copy_only=False).reshape(-1, dim) for chunk in chunks]
    vectors = np.concatenate(parts).astype(np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all():
        raise LibraryError(f"a frame has a vector that is not of numbers; {CHECK}")
    unit: NDArray[np.float32] = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit


def _as_stored(vectors: NDArray[np.float32]) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float16).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
