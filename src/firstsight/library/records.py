"""Rows of a library: sources, frames and thumbnails, to and from Arrow tables."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from firstsight.errors import LibraryError
from firstsight.footage.sampling import Sampling
from firstsight.library.damage import CHECK

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
        return Sampling(frames_per_second=self.frames_per_second, every=self.every)


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
    """For people: "2 frames a second", "one frame in 10"."""
    if sampling.frames_per_second is not None:
        return f"{sampling.frames_per_second:g} frames a second"
    return "all frames" if sampling.every in (None, 1) else f"one frame in {sampling.every}"


THUMBNAILS = pa.schema([("source", pa.int64()), ("frame", pa.int64()), ("jpeg", pa.binary())])


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


def vectors_of(rows: Any) -> NDArray[np.float32]:  # noqa: ANN401  # a pyarrow table or batch
    """Its column of vectors, float32 (N, dim), normalised to unit length; one of length 0 stays so.

    Raises:
        LibraryError: a vector is not finite.
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
