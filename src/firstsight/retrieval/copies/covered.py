"""Was something put on a copy, a logo or a caption? Beneath it nothing changes, whereas in the other clip it does."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from firstsight.retrieval.copies.alignments import Alignment
from firstsight.retrieval.copies.passages import Ticks
from firstsight.retrieval.copies.signature import IN_A_MIRROR, coarse_luma

# Natural logarithms of ratios of standard deviations. Where something lies, less than three quarters is left of what
# changes; elsewhere copies agree within a tenth, unless they differ in more than that.
_COVERED = 0.3
_ELSEWHERE = 0.1
_MOST_COVERED = 0.15  # of the picture
_LEAST_TICKS = 8
# Where less changes than this share of what usually does, the ratio is one of noise.
_LEAST_CHANGE = 0.1

Covered = Literal[-1, 0, 1]


def find_covered(alignment: Alignment, ticks: tuple[Ticks, Ticks]) -> Covered:
    """-1 if something was put on the first, 1 if on the second; 0 if on neither, or if that cannot be told."""
    if alignment.shows_more or len(alignment.ticks) < _LEAST_TICKS:
        return 0
    first, second = (one.signatures[:, 0] for one in ticks)
    seconds = np.clip(alignment.ticks + alignment.offset, 0, len(second) - 1)
    spreads = _spread(first[alignment.ticks], 1), _spread(second[seconds], IN_A_MIRROR if alignment.mirrored else 1)
    most = np.maximum(*spreads)
    return which_is_covered(np.log(spreads[0] / spreads[1])[most >= _LEAST_CHANGE * np.median(most)])


def which_is_covered(log_ratio: NDArray[np.float32]) -> Covered:
    """Told by how much more changes in the first than in the second, as a logarithm, in each of a picture's cells."""
    relative = log_ratio - np.median(log_ratio)
    low, high = np.quantile(relative, [_MOST_COVERED, 1 - _MOST_COVERED])
    if max(-low, high) > _ELSEWHERE:
        return 0
    for which, less in ((-1, -relative), (1, relative)):
        if 0 < np.mean(less > _COVERED) <= _MOST_COVERED and less.min() > -_COVERED / 2:
            return -1 if which == -1 else 1
    return 0


def _spread(signatures: NDArray[np.float32], signs: NDArray[np.float32] | int) -> NDArray[np.float32]:
    """(8, 8): the standard deviation over time of each cell."""
    spread: NDArray[np.float32] = np.maximum(coarse_luma(signatures * signs).std(axis=0), 1e-3)
    return spread
