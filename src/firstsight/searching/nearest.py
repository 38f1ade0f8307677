"""The frames of a library that are most like a vector: all are compared, or those that a vector index proposes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from firstsight.errors import LibraryError, SettingsError, check_count
from firstsight.library.embeddings import Embeddings
from firstsight.library.selection import Where
from firstsight.library.store import Store, frame_gallery
from firstsight.library.vector_index import propose
from firstsight.searching.moments import Moment
from firstsight.searching.regions import Box
from firstsight.text import printable

Floats = NDArray[np.float32]

_MAX_BY_INDEX = 100  # nearest frames; more are found by comparing all
# Enough for the moments of a search, few enough to be read within milliseconds.
_NUM_PROPOSED = 1_000


@dataclass(frozen=True, eq=False)
class Compared:
    """The frames of a library, and the similarities of those that were compared."""

    similarities: Floats  # (N,), -1 to 1; minus infinity of a frame that is not chosen, or was not compared
    frames: Embeddings  # N, by source and in order of time, without vectors
    chosen: NDArray[np.bool_] | None  # (N,), which are chosen; None is all
    is_complete: bool  # every match was compared; otherwise there may be more in sources that are less alike
    # Of a search for a box: the box in a moment's best frame, and the size of that frame.
    locate: Callable[[Moment], tuple[Box | None, tuple[int, int] | None]] = lambda _: (None, None)

    @property
    def num_frames(self) -> int:
        """Chosen."""
        return len(self.frames) if self.chosen is None else int(self.chosen.sum())

    @property
    def num_sources(self) -> int:
        """Of the chosen frames."""
        if self.chosen is None:
            return len(self.frames.sources)
        return int((np.bincount(self.frames.source_indices[self.chosen]) > 0).sum())


def compare_all(
    library: Store, vector: Floats, *, where: Where | None = None, without: frozenset[str] = frozenset()
) -> Compared:
    """Compares every chosen frame with a vector (dim,) of unit length; `without` are names of sources to leave out.

    Raises:
        LibraryError: a name or pattern fits no source, or no frame is chosen.
    """
    chosen = chosen_frames(library, where=where, without=without)
    similarities = np.full(len(chosen), -np.inf, np.float32)
    _compare(library, vector, where, similarities)
    similarities[~chosen] = -np.inf
    return Compared(similarities, library.timeline.frames, chosen, is_complete=True)


def compare_proposed(library: Store, vector: Floats, *, threshold: float, num_sources: int) -> Compared | None:
    """Compares the frames that the vector index proposes; None if there is no index.

    Args:
        library: searched completely.
        vector: (dim,), of unit length.
        threshold: lowest similarity of a match.
        num_sources: if there are many matches, how many of the best sources to compare completely.
    """
    if not library.num_probes:
        return None
    rows = propose(library.tables, vector, k=_NUM_PROPOSED, num_probes=library.num_probes)
    positions = library.timeline.find(rows.source_ids, rows.frame_indices)
    is_visible = positions >= 0
    frames = library.timeline.frames
    similarities = np.full(len(frames), -np.inf, np.float32)
    similarities[positions[is_visible]] = found = (rows.vectors[is_visible] @ vector).clip(-1, 1)
    is_complete = int((found >= threshold).sum()) < _NUM_PROPOSED // 2
    if not is_complete:
        order = positions[is_visible][np.argsort(-found)]
        best = list(dict.fromkeys(frames.source_indices[order].tolist()))[:num_sources]
        _compare(library, vector, Where(tuple(frames.sources[number] for number in best)), similarities)
    return Compared(similarities, frames, None, is_complete=is_complete)


def _compare(library: Store, vector: Floats, where: Where | None, similarities: Floats) -> None:
    for positions, vectors in library.vectors(where):
        similarities[positions] = (vectors @ vector).clip(-1, 1)


def chosen_frames(library: Store, *, where: Where | None, without: frozenset[str]) -> NDArray[np.bool_]:
    """(N,): which frames of the library's timeline are chosen.

    Raises:
        LibraryError: a name or pattern fits no source, or no frame is chosen.
    """
    chosen = library.timeline.chosen(where, without=without)
    if not chosen.any():
        raise LibraryError(f"{library.name} has no frame to search there; index footage first, or ask for more of it")
    return chosen


@dataclass(frozen=True)
class NearFrame:
    """A frame of a library, and its similarity to a vector."""

    source: str  # name
    frame_index: int  # position in its source, from 0
    seconds: float
    similarity: float  # cosine, -1 to 1

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {name: getattr(self, name) for name in ("source", "frame_index", "seconds", "similarity")}


@dataclass(frozen=True)
class Nearest:
    """The frames of a library that are most like a vector, however low the similarity."""

    library: str  # its folder
    frames: tuple[NearFrame, ...]  # the most similar first; of equally similar ones by source and time
    is_exact: bool  # every frame was compared; otherwise those that an index proposed

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        frames = [one.to_json() for one in self.frames]
        return {"library": self.library, "is_exact": self.is_exact, "frames": frames}

    def to_arrow(self) -> pa.Table:
        """A row a frame: source, frame_index, seconds, similarity."""
        return pa.Table.from_pylist([one.to_json() for one in self.frames], _NEAREST)

    def _repr_html_(self) -> str:
        """For a notebook."""
        captions = [f"{printable(one.source)} at {one.seconds:.2f} s: {one.similarity:.3f}" for one in self.frames]
        frames = [(one.source, one.frame_index) for one in self.frames]
        return frame_gallery(self.library, f"the {len(captions)} nearest frames", frames, captions)


_NEAREST = pa.schema(
    [("source", pa.string()), ("frame_index", pa.int64()), ("seconds", pa.float64()), ("similarity", pa.float64())]
)


def find_nearest(library: Store, vector: Floats, *, k: int, where: Where | None = None) -> Nearest:
    """The k frames most like a vector, without a threshold; fewer if fewer are chosen.

    A frame whose embedding has length 0, on which every map is zero, is never among them.

    Args:
        library: what is searched.
        vector: (dim,); only its direction counts.
        k: how many, from 1.
        where: which frames; all by default.

    Raises:
        SettingsError: k below 1, or a vector of another size.
        LibraryError: a name or pattern fits no source, or no frame is chosen.
    """
    k, query = check_count("{} nearest frames", k), np.asarray(vector, np.float32)
    if query.shape != (library.dim,) or not np.isfinite(query).all():
        raise SettingsError(
            f"a vector {query.shape} to find the nearest to; valid are {library.dim} finite numbers: an embedding of "
            "the library's own encoder"
        )
    query = query / np.maximum(np.linalg.norm(query), np.finfo(np.float32).tiny)
    compared = None
    if not where and k <= _MAX_BY_INDEX:
        compared = compare_proposed(library, query, threshold=np.inf, num_sources=0)
    is_exact = compared is None or int((compared.similarities > -np.inf).sum()) < k
    if compared is None or is_exact:
        compared = compare_all(library, query, where=where)
    frames, similarities = compared.frames, compared.similarities
    rows = np.flatnonzero((similarities > -np.inf) & (similarities != 0))  # 0 is of an embedding of length 0
    rows = rows[np.argsort(-similarities[rows], kind="stable")][:k]
    found = tuple(
        NearFrame(
            frames.source_of(row), int(frames.frame_indices[row]), float(frames.seconds[row]), float(similarities[row])
        )
        for row in rows.tolist()
    )
    return Nearest(library.name, found, is_exact)
