"""Keyframes: the most different moments of a library, each the frame least like all that were chosen before.

*Source:* farthest-first traversal, Gonzalez, "Clustering to minimize the maximum intercluster distance", 1985: no
choice of as many frames leaves the rest less than half as far from the nearest chosen one. Outliers, such as a
blurred frame or a flash, are different too, and come early; few frames are like them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from firstsight.errors import LibraryError, check_count
from firstsight.library.selection import Where
from firstsight.library.store import Store
from firstsight.library.thumbnails import frame_caption, gallery
from firstsight.progress import Progress, Report, silent

_BLOCK = 16_384  # frames whose products are computed at once


@dataclass(frozen=True)
class Keyframe:
    """A moment that was chosen."""

    source: str
    frame_index: int
    seconds: float
    similarity: float | None  # cosine to the most similar of those chosen before it; the first has none
    num_frames: int  # of the library, of any source, that are nearer to it than to the other keyframes, with itself
    thumbnail: bytes = field(repr=False)  # JPEG

    def to_json(self) -> dict[str, Any]:
        """As plain values, without the thumbnail."""
        return {name: getattr(self, name) for name in _COLUMNS.names}


_COLUMNS = pa.schema(
    [
        ("source", pa.string()),
        ("frame_index", pa.int64()),
        ("seconds", pa.float64()),
        ("similarity", pa.float64()),
        ("num_frames", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Keyframes(Sequence[Keyframe]):
    """The most different moments of a library, in the order in which they were chosen."""

    library: str  # its folder
    keyframes: tuple[Keyframe, ...]

    @overload
    def __getitem__(self, index: int) -> Keyframe: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Keyframe, ...]: ...
    def __getitem__(self, index: int | slice) -> Keyframe | tuple[Keyframe, ...]:
        return self.keyframes[index]

    def __len__(self) -> int:
        return len(self.keyframes)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {"library": self.library, "keyframes": [one.to_json() for one in self]}

    def to_arrow(self) -> pa.Table:
        """A row a moment."""
        return pa.Table.from_pylist([one.to_json() for one in self], _COLUMNS)

    def _repr_html_(self) -> str:
        """For a notebook."""
        captions = [f"{frame_caption(one.source, one.seconds)}, nearest to {one.num_frames} frames" for one in self]
        return gallery(f"{len(self)} keyframes", zip((one.thumbnail for one in self), captions, strict=True))


def find_keyframes(
    library: Store,
    num: int,
    *,
    where: Where | None = None,
    progress: Report = silent,
) -> Keyframes:
    """The most different moments of a library, in the order in which they were chosen; more begin with the same.

    The first is the frame most like the mean. Time: as many passes over the vectors as moments. Memory: 4 dim bytes a
    frame.

    Args:
        library: which one.
        num: how many, from 1; fewer if there are no more that differ.
        where: which frames; all by default.
        progress: called after each that is chosen.

    Raises:
        SettingsError: less than one.
        LibraryError: no frame is chosen.

    Example:
        >>> with Library.open("walks.library") as library:  # doctest: +SKIP
        ...     print([(one.source, one.seconds) for one in find_keyframes(library, 12)])
    """
    num = check_count("{} keyframes", num)
    frames = library.embeddings(where)
    frames = frames[np.linalg.norm(frames.vectors, axis=1) > 0]
    if not len(frames):
        raise LibraryError(f"{library.name} has no frame to choose there; index footage first, or ask for more of it")
    rows, similarities, nearest = [], [], np.zeros(len(frames), np.int64)
    for row, similarity, members in farthest_first(frames.vectors, num):
        rows.append(row)
        similarities.append(similarity)
        nearest[members] = len(rows) - 1
        progress(Progress("choosing", len(rows), num))
    counts = np.bincount(nearest, minlength=len(rows))
    keys = [(frames.source_of(row), int(frames.frame_indices[row])) for row in rows]
    found = zip(keys, rows, similarities, counts, library.thumbnails(keys), strict=True)
    keyframes = [
        Keyframe(*key, float(frames.seconds[row]), max(-1.0, similarity) if number else None, int(count), jpeg)
        for number, (key, row, similarity, count, jpeg) in enumerate(found)
    ]
    return Keyframes(library.name, tuple(keyframes))


def farthest_first(vectors: NDArray[np.float32], num: int) -> Iterator[tuple[int, float, NDArray[np.bool_]]]:
    """Row after row of unit vectors (N, dim): the row, its cosine to the nearest chosen before, and which rows (N,) are
    now nearest to it. Ends early when every row equals a chosen one.
    """
    best = np.full(len(vectors), -1.0, np.float32)
    mean = vectors.mean(axis=0)
    row = int(_products(vectors, mean).argmax())
    for number in range(num):
        similarity = float(best[row])
        if number and similarity >= 1 - 1e-6:
            return
        to_row = _products(vectors, vectors[row])
        members = to_row > best
        best = np.maximum(best, to_row)
        yield row, similarity, members
        row = int(best.argmin())


def _products(vectors: NDArray[np.float32], one: NDArray[np.float32]) -> NDArray[np.float32]:
    parts = [vectors[start : start + _BLOCK] @ one for start in range(0, len(vectors), _BLOCK)]
    return np.concatenate(parts)
