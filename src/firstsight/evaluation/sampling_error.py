"""How far a figure may be off because of the frames that happened to be asked about."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# A difference within so many of its standard errors may well be chance.
_CLEAR = 2.0


@dataclass(frozen=True)
class Difference:
    """How much better one method is than another on the same queries."""

    value: float  # mean of first minus second, in the figure's unit
    standard_error: float  # of that mean

    @property
    def clear(self) -> bool:
        """Whether it is larger than two of its standard errors."""
        return abs(self.value) > _CLEAR * self.standard_error


def difference(first: NDArray[np.float64], second: NDArray[np.float64], blocks: NDArray[np.int64]) -> Difference:
    """What the first gets more than the second, query by query: what is hard for both does not blur the comparison."""
    gained = first - second
    return Difference(float(gained.mean()), standard_error(gained, blocks))


def standard_error(values: NDArray[np.float64], blocks: NDArray[np.int64]) -> float:
    """The standard error of the mean of values that are alike within a block, such as neighbouring frames of a video.

    With a block for each value it is the usual standard deviation / sqrt(N).
    Source: Cameron, Miller, "A Practitioner's Guide to Cluster-Robust Inference", 2015, equation 11, for a mean.

    Args:
        values: (N,).
        blocks: (N,), which block each value belongs to, from 0.

    Returns:
        Infinite with fewer than two blocks: one block tells nothing about others.
    """
    num_blocks = len(np.unique(blocks))
    if num_blocks < 2:
        return float("inf")
    sums = np.bincount(blocks, weights=values - values.mean())
    return float(np.sqrt((sums**2).sum() * num_blocks / (num_blocks - 1)) / len(values))


def stretches(num: int, *, most: int = 20) -> NDArray[np.int64]:
    """Blocks (num,) of neighbouring queries, of equal length, at most so many."""
    return np.arange(num) * min(num, most) // max(1, num)
