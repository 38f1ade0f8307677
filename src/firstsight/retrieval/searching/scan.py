"""A pass over a library: every frame compared with a query and with decoys, and a sample of the frames kept."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import LibraryError
from firstsight.retrieval.embedding import Embeddings
from firstsight.retrieval.embedding_sample import Sample, joined
from firstsight.retrieval.store.library import BATCH_ROWS, Library
from firstsight.retrieval.store.where import Where

# Of these all pairs are looked at, to tell how alike two frames are that have nothing to do with each other.
_MAX_SAMPLE = 2_000


@dataclass(frozen=True, eq=False)
class Scanned:
    """All frames that are meant, by source and in order of time."""

    similarities: NDArray[np.float32]  # (N,), cosine of the query to each
    frames: Embeddings  # when and where each was seen; in place of vectors their similarities (N, 1)
    decoys: NDArray[np.float32]  # (M,), cosine of each decoy to the frame most like it
    sample: Embeddings  # every so-many-th of the frames, with its vector


def scan(
    library: Library,
    query: NDArray[np.float32],
    decoys: NDArray[np.float32],
    *,
    where: Where | None = None,
    without: frozenset[str] = frozenset(),
) -> Scanned:
    """Compares every frame that is meant. Memory: 28 bytes a frame, besides that of a batch and of the sample.

    Args:
        library: what is searched.
        query: (dim,), of unit length.
        decoys: (M, dim), of unit length.
        where: which frames are meant; all by default.
        without: names of sources that are not.

    Raises:
        LibraryError: a name or pattern fits no source, or no frame is meant.
    """
    compared: list[Embeddings] = []  # with the similarity in place of the vector, so that both are put in order
    sample = Sample(_MAX_SAMPLE)
    bests = np.full(len(decoys), -1, np.float32)
    for meant in frames_meant(library, where=where, without=without):
        compared.append(replace(meant, vectors=(meant.vectors @ query)[:, None]))
        bests = np.maximum(bests, (decoys @ meant.vectors.T).max(axis=1))
        sample.add(meant)
    frames = joined(compared)
    return Scanned(frames.vectors[:, 0].clip(-1, 1), frames, bests.clip(-1, 1), sample.embeddings())


def frames_meant(
    library: Library, *, where: Where | None, without: frozenset[str], batch_size: int = BATCH_ROWS
) -> Iterator[Embeddings]:
    """The frames that are to be searched, some at a time.

    Args:
        library: what is searched.
        where: which frames are meant; None is all.
        without: names of sources that are not.
        batch_size: frames at once, at most.

    Raises:
        LibraryError: a name or pattern fits no source, or no frame is meant.
    """
    is_none = True
    for batch in library.iterate(where, batch_size=batch_size):
        unwanted = [position for position, name in enumerate(batch.sources) if name in without]
        meant = batch[~np.isin(batch.source_indices, unwanted)]
        if len(meant):
            is_none = False
            yield meant
    if is_none:
        raise LibraryError(f"{library.path} has no frame to search there; index footage first, or ask for more of it")
