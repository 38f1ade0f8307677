"""How alike the frames of a library are to a vector: all of a small one; of a large one those that its index proposes.

An index proposes, exact vectors decide: the similarities of what it proposes are those of the stored vectors. Where so
many frames match that some may not have been proposed, as before a camera that stands still, all frames of the best
sources are compared, so that it is known where their moments begin and end. Where only a part of the library is meant,
every frame of it is compared.
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

    similarities: Floats  # (N,), -1 to 1; minus infinity of a frame that is not meant, or was not compared
    frames: Embeddings  # N, by source and in order of time, without vectors
    chosen: NDArray[np.bool_] | None  # (N,), which are meant; None is all
    is_complete: bool  # every match was compared; otherwise there may be more in sources that are less alike

    @property
    def num_frames(self) -> int:
        """How many are meant."""
        return len(self.frames) if self.chosen is None else int(self.chosen.sum())

    @property
    def num_sources(self) -> int:
        """That they are of."""
        if self.chosen is None:
            return len(self.frames.sources)
        return int((np.bincount(self.frames.source_indices[self.chosen]) > 0).sum())


def compare_all(
    library: Library, vector: Floats, *, where: Where | None = None, without: frozenset[str] = frozenset()
) -> Compared:
    """Compares every frame that is meant with a vector of unit length.

    Args:
        library: what is searched.
        vector: (dim,), of unit length.
        where: which frames are meant; all by default.
        without: names of sources that are not.

    Raises:
        LibraryError: a name or pattern fits no source, or no frame is meant.
    """
    chosen = chosen_frames(library, where=where, without=without)
    similarities = np.full(len(chosen), -np.inf, np.float32)
    _compare(library, vector, where, similarities)
    similarities[~chosen] = -np.inf
    return Compared(similarities, library.timeline.frames, chosen, is_complete=True)


def compare_proposed(library: Library, vector: Floats, *, least: float, num_sources: int) -> Compared | None:
    """Compares what the index proposes: every frame as alike as `least`, or if those are many the best sources.

    Args:
        library: what is searched, all of it.
        vector: (dim,), of unit length.
        least: the similarity from which frames are wanted.
        num_sources: of which all frames are compared, where many are as alike.

    Returns:
        None where there is no index.
    """
    if not library.num_probes:
        return None
    rows = propose(library.tables, vector, k=_NUM_PROPOSED, num_probes=library.num_probes)
    positions = library.timeline.find(rows.source_ids, rows.frame_indices)
    is_shown = positions >= 0
    frames = library.timeline.frames
    similarities = np.full(len(frames), -np.inf, np.float32)
    similarities[positions[is_shown]] = found = (rows.vectors[is_shown] @ vector).clip(-1, 1)
    is_complete = int((found >= least).sum()) < _NUM_PROPOSED // 2
    if not is_complete:
        order = positions[is_shown][np.argsort(-found)]
        best = list(dict.fromkeys(frames.source_indices[order].tolist()))[:num_sources]
        _compare(library, vector, Where(tuple(frames.sources[number] for number in best)), similarities)
    return Compared(similarities, frames, None, is_complete=is_complete)


def _compare(library: Library, vector: Floats, where: Where | None, similarities: Floats) -> None:
    for positions, frames in library.in_order(where):
        similarities[positions] = (frames.vectors @ vector).clip(-1, 1)


def chosen_frames(library: Library, *, where: Where | None, without: frozenset[str]) -> NDArray[np.bool_]:
    """(N,): which frames of the library's timeline are meant.

    Raises:
        LibraryError: a name or pattern fits no source, or no frame is meant.
    """
    chosen = library.timeline.chosen(where, without=without)
    if not chosen.any():
        raise LibraryError(f"{library.path} has no frame to search there; index footage first, or ask for more of it")
    return chosen
