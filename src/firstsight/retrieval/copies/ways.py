"""Two clips or pictures compared as they are, with the middle of one of them in case that is cropped, and in a mirror.

What is compared are vectors of unit length, of the whole and of the middle. How alike unrelated ones are is told by
decoys: what there is, upside down.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from firstsight.retrieval.searching.calibration import Background

Vectors = NDArray[np.float32]  # (N, D), of unit length
# Of two, for each way to look at them: -1 the first shows more, 1 the second does, the other is cropped; 0 neither.
SHOWS_MORE = (0, 1, -1)


def all_ways(first: tuple[Vectors, Vectors], second: tuple[Vectors, Vectors], mirror: Vectors) -> NDArray[np.float32]:
    """(6, P, Q): how alike they are as they are, with the middle of the second, of the first; then all in a mirror.

    Args:
        first: P vectors of the whole, and of the middle.
        second: Q of them.
        mirror: (D,), by which a vector is multiplied to be that of the mirror image.
    """
    ways = ((first[0], second[0]), (first[0], second[1]), (first[1], second[0]))
    return np.stack([one * sign @ other.T for sign in (np.float32(1), mirror) for one, other in ways])


def background_of(decoys: Vectors, parts: Iterable[Vectors], mirror: Vectors, *, num_sources: int) -> Background:
    """How alike the best of all parts is to a decoy, as it is or in a mirror."""
    bests = np.full(len(decoys), -1.0, np.float32)
    for part in parts:
        for product in (decoys @ part.T, (decoys * mirror) @ part.T):
            bests = np.maximum(bests, product.max(axis=1))
    return Background(np.empty(0, np.float32), np.sort(bests), num_sources=num_sources)
