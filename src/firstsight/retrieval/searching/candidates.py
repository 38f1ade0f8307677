"""How alike the frames of a library are to a vector: all of a small one; of a large one those that its index proposes.

An index proposes, exact vectors decide: the similarities of what it proposes are those of the stored vectors. If so
many frames match that some may not have been proposed, and where only a part of the library is meant, every frame is
compared.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import LibraryError
from firstsight.retrieval.embedding import Embeddings
from firstsight.retrieval.store.library import Library
from firstsight.retrieval.store.nearest import propose
from firstsight.retrieval.store.where import Where

Floats = NDArray[np.float32]

# Enough for the moments of a search, few enough to be read within milliseconds.
_NUM_PROPOSED = 1_000


@dataclass(frozen=True, eq=False)
class Compared:
    """The frames of a library, and how alike those are that were compared."""

    similarities: Floats  # (N,), -1 to 1; minus infinity of a frame that is not meant, or was not proposed
    frames: Embeddings  # N, by source and in order of time, without vectors
    chosen: NDArray[np.bool_] | None  # (N,), which are meant; None is all
    is_exact: bool  # all that are meant were compared

    @property
    def num_frames(self) -> int:
        """How many are meant."""
        return len(self.frames) if self.chosen is None else int(self.chosen.sum())

    @property
    def num_sources(self) -> int:
        """That they are of."""
        indices = self.frames.source_indices
        return len(np.unique(indices if self.chosen is None else indices[self.chosen]))


def compare_frames(
    library: Library,
    vector: Floats,
    *,
    least: float,
    where: Where | None = None,
    without: frozenset[str] = frozenset(),
) -> Compared:
    """Compares frames with a vector of unit length: all that are as alike as `least`, and more.

    Args:
        library: what is searched.
        vector: (dim,), of unit length.
        least: the similarity from which every frame is wanted.
        where: which frames are meant; all by default.
        without: names of sources that are not.

    Raises:
        LibraryError: a name or pattern fits no source, or no frame is meant.
    """
    if not where and not without and library.num_probes:
        proposed = _proposed(library, vector, library.num_probes)
        if (proposed.similarities >= least).sum() < _NUM_PROPOSED // 2:
            return proposed
    chosen = chosen_frames(library, where=where, without=without)
    similarities = np.full(len(chosen), -np.inf, np.float32)
    for positions, frames in library.in_order(where):
        similarities[positions] = (frames.vectors @ vector).clip(-1, 1)
    similarities[~chosen] = -np.inf
    return Compared(similarities, library.timeline.frames, chosen, is_exact=True)


def chosen_frames(library: Library, *, where: Where | None, without: frozenset[str]) -> NDArray[np.bool_]:
    """(N,): which frames of the library's timeline are meant.

    Raises:
        LibraryError: a name or pattern fits no source, or no frame is meant.
    """
    chosen = library.timeline.chosen(where, without=without)
    if not chosen.any():
        raise LibraryError(f"{library.path} has no frame to search there; index footage first, or ask for more of it")
    return chosen


def _proposed(library: Library, vector: Floats, num_probes: int) -> Compared:
    rows = propose(library.tables, vector, k=_NUM_PROPOSED, num_probes=num_probes)
    positions = library.timeline.find(rows.source_ids, rows.frame_indices)
    is_shown = positions >= 0
    similarities = np.full(len(library.timeline), -np.inf, np.float32)
    similarities[positions[is_shown]] = (rows.vectors[is_shown] @ vector).clip(-1, 1)
    return Compared(similarities, library.timeline.frames, None, is_exact=False)
