"""The most different moments of a library: each next one is the frame least like all that were chosen before.

*Source:* farthest-first traversal, Gonzalez, "Clustering to minimize the maximum intercluster distance", 1985: no
choice of as many frames leaves the rest less than half as far from the nearest chosen one. Odd frames, such as a
blurred one or a flash, are different too, and come early; how many frames are like each tells them from the others.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import LibraryError, SettingsError
from firstsight.library.embeddings import Embeddings
from firstsight.library.selection import Where
from firstsight.library.store import Store

_BLOCK = 16_384  # frames whose products are computed at once


@dataclass(frozen=True)
class Keyframe:
    """A moment that was chosen."""

    source: str
    frame_index: int
    seconds: float
    similarity: float | None  # cosine to the most similar of those chosen before it; the first has none
    num_frames: int  # of the library that are most like it, itself included


def find_keyframes(
    library: Store,
    num: int,
    *,
    where: Where | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[Keyframe, ...]:
    """The most different moments of a library, in the order in which they were chosen: fewer are the first of more.

    The first is the most usual frame, the one most like the mean. Time: as many passes over the vectors as moments.
    Memory: 4 dim bytes a frame.

    Args:
        library: which one.
        num: how many, from 1; fewer if there are no more that differ.
        where: which frames are meant; all by default.
        progress: is told how many are chosen.

    Raises:
        SettingsError: less than one.
        LibraryError: no frame is meant.

    Example:
        >>> with Library.open("walks.library") as library:  # doctest: +SKIP
        ...     print([(one.source, one.seconds) for one in find_keyframes(library, 12)])
    """
    if num < 1:
        raise SettingsError(f"{num} keyframes; valid is at least 1")
    frames = library.embeddings(where)
    frames = frames[np.linalg.norm(frames.vectors, axis=1) > 0]
    if not len(frames):
        raise LibraryError(f"{library.path} has no frame to choose there; index footage first, or ask for more of it")
    rows, similarities, nearest = [], [], np.zeros(len(frames), np.int64)
    for row, similarity, members in farthest_first(frames.vectors, num):
        rows.append(row)
        similarities.append(similarity)
        nearest[members] = len(rows) - 1
        progress(len(rows))
    counts = np.bincount(nearest, minlength=len(rows))
    return tuple(
        _keyframe(frames, row, similarity if similarity > -1 else None, int(count))
        for row, similarity, count in zip(rows, similarities, counts, strict=True)
    )


def farthest_first(vectors: NDArray[np.float32], num: int) -> Iterator[tuple[int, float, NDArray[np.bool_]]]:
    """Row after row of unit vectors (N, dim): the row, its cosine to the nearest chosen before, and which rows are now
    nearest to it (N,). Ends early when every row is the same as a chosen one.
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


def _keyframe(frames: Embeddings, row: int, similarity: float | None, num_frames: int) -> Keyframe:
    return Keyframe(
        frames.source_of(row), int(frames.frame_indices[row]), float(frames.seconds[row]), similarity, num_frames
    )
