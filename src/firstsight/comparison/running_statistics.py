"""Running mean and standard deviation of embeddings, of all or of the last ones, and the dimensions that vary most."""

import numpy as np
from numpy.typing import NDArray

_FIRST_ROWS = 64  # of the memory for a window; it grows up to the window


class RunningStatistics:
    """Exact running statistics, O(dim) a frame.

    Sums are kept in float64 of the differences to a reference vector, so that they do not cancel; with a window they
    are computed again each time the window has been replaced, so that rounding errors do not add up.

    Args:
        window: how many of the last embeddings count; None means all.
    """

    def __init__(self, *, window: int | None = None) -> None:
        self.window = window
        self.num_embeddings = 0  # that count now
        self._ring: NDArray[np.float64] | None = None
        self._next = 0
        self._reference: NDArray[np.float64] = np.zeros(0)
        self._sum: NDArray[np.float64] = np.zeros(0)
        self._sum_of_squares: NDArray[np.float64] = np.zeros(0)

    def add(self, embedding: NDArray[np.float32]) -> None:
        """Adds one embedding (dim,); with a full window the oldest no longer counts."""
        value = embedding.astype(np.float64)
        if not self._reference.size:
            self._reference, self._sum, self._sum_of_squares = value, np.zeros_like(value), np.zeros_like(value)
        if self.window is not None:
            self._exchange(value, self.window)
        self._count(value, +1)

    def standard_deviation(self) -> NDArray[np.float64]:
        """Of each dimension (dim,), over the population that counts; zero with a single embedding."""
        mean = self._sum / self.num_embeddings
        variance = self._sum_of_squares / self.num_embeddings - mean**2
        return np.sqrt(np.maximum(variance, 0.0))

    def mean(self) -> NDArray[np.float64]:
        """Of each dimension (dim,)."""
        return self._reference + self._sum / self.num_embeddings

    def _count(self, value: NDArray[np.float64], sign: int) -> None:
        difference = value - self._reference
        self._sum += sign * difference
        self._sum_of_squares += sign * difference**2
        self.num_embeddings += sign

    def _exchange(self, value: NDArray[np.float64], window: int) -> None:
        """Puts the value into the ring, and takes the one that it replaces out of the sums."""
        if self._ring is None:
            self._ring = np.empty((min(window, _FIRST_ROWS), len(value)))
        elif self._next == len(self._ring):  # so that a window longer than the footage takes no more memory than that
            more = min(window, 2 * len(self._ring)) - len(self._ring)
            self._ring = np.concatenate([self._ring, np.empty((more, len(value)))])
        if self.num_embeddings == window:
            if self._next == 0:
                self._reference = self._ring.mean(axis=0)
                difference = self._ring - self._reference
                self._sum, self._sum_of_squares = difference.sum(axis=0), (difference**2).sum(axis=0)
            self._count(self._ring[self._next], -1)
        self._ring[self._next] = value
        self._next = (self._next + 1) % window


def largest(values: NDArray[np.float64], num: int | None) -> NDArray[np.intp]:
    """The positions of the `num` largest values, ascending; among equals the lower position. None means all. O(dim)."""
    if num is None or num >= len(values):
        return np.arange(len(values))
    smallest = np.partition(values, -num)[-num]
    above = np.flatnonzero(values > smallest)
    equal = np.flatnonzero(values == smallest)[: num - len(above)]
    return np.sort(np.concatenate([above, equal]))
