"""The best way through a matrix of similarities that never goes back."""

import numpy as np
from numpy.typing import NDArray


def nondecreasing_path(similarities: NDArray[np.floating]) -> NDArray[np.intp]:
    """For each query a place in the gallery, never before the previous query's, with the largest total similarity.

    Dynamic programming, each query taking one step. Source: Sakoe, Chiba, "Dynamic programming algorithm optimization
    for spoken word recognition", 1978, without their limits on the slope.

    Args:
        similarities: (Q, G), both in order; Q and G at least 1.

    Returns:
        (Q,), places from 0 to G - 1; among equally good paths the one that stays earlier.
    """
    num_queries, num_places = similarities.shape
    best_until = np.empty((num_queries, num_places), np.intp)  # where, up to here, the path of largest total ends
    total = np.zeros(num_places)
    places = np.arange(num_places)
    for query, row in enumerate(similarities.astype(np.float64)):
        total = np.maximum.accumulate(total) + row
        is_new = total > np.concatenate([[-np.inf], np.maximum.accumulate(total)[:-1]])
        best_until[query] = np.maximum.accumulate(np.where(is_new, places, 0))
    path = np.empty(num_queries, np.intp)
    last = num_places - 1
    for query in reversed(range(num_queries)):
        path[query] = last = best_until[query, last]
    return path
