"""Every place where a box of one size can lie on a grid of cells, and what the maps do together there.

A window need not end where cells end: a cell that it covers in part counts in that proportion.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

# Neighbouring windows overlap by three quarters.
_STEPS_A_BOX = 4


@dataclass(frozen=True, eq=False)
class Windows:
    """A rows x columns arrangement of windows of one size, in cells."""

    tops: Floats  # (A,)
    lefts: Floats  # (B,)
    height: float
    width: float

    @property
    def num(self) -> int:
        """How many there are, row after row."""
        return len(self.tops) * len(self.lefts)

    def only(self, index: int) -> "Windows":
        """One of them."""
        row, column = divmod(index, len(self.lefts))
        return at(float(self.lefts[column]), float(self.tops[row]), self.width, self.height)


def counts(place: Windows, *, rows: int, columns: int) -> tuple[int, int]:
    """How many windows as large as one place lie above and beside each other; no closer than a cell."""
    return _count(place.height, rows), _count(place.width, columns)


def spread(place: Windows, num: tuple[int, int], *, rows: int, columns: int) -> Windows:
    """Windows as large as one place: so many above and beside each other, from edge to edge, and last its own."""
    tops = np.append(np.linspace(0, rows - place.height, num[0]), place.tops)
    lefts = np.append(np.linspace(0, columns - place.width, num[1]), place.lefts)
    return Windows(tops.astype(np.float32), lefts.astype(np.float32), place.height, place.width)


def at(left: float, top: float, width: float, height: float) -> Windows:
    """One window at one place."""
    return Windows(np.array([top], np.float32), np.array([left], np.float32), height, width)


def moments(maps: Floats, windows: Windows) -> Floats:
    """The mean over each window of the products of all pairs of maps, each with signed square root.

    Sums over rows are taken first and shared by all windows of a row, so that many windows cost little more than one.

    Args:
        maps: float32 (C, rows, columns), of one frame.
        windows: A x B of them.

    Returns:
        float32 (A * B, C (C + 1) / 2). *Source:* second-order pooling, Carreira, Caseiro, Batista, Sminchisescu, 2012.
    """
    num_maps, rows, columns = maps.shape
    by_column = np.ascontiguousarray(maps.transpose(2, 0, 1))  # (columns, C, rows)
    horizontal = shares(windows.lefts, windows.width, columns)  # (B, columns)
    pairs = np.flatnonzero(np.triu(np.ones((num_maps, num_maps))))
    found = np.empty((len(windows.tops), len(windows.lefts), len(pairs)), np.float32)
    for number, vertical in enumerate(shares(windows.tops, windows.height, rows)):
        products = (by_column * vertical) @ by_column.transpose(0, 2, 1)  # (columns, C, C)
        found[number] = (horizontal @ products.reshape(columns, -1))[:, pairs]
    flat = found.reshape(windows.num, -1)
    rooted: Floats = np.copysign(np.sqrt(np.abs(flat)), flat)
    return rooted


def shares(starts: Floats, length: float, num_cells: int) -> Floats:
    """What part of each interval falls on each cell: (len(starts), num_cells), rows that sum to 1.

    Cell i covers i to i + 1. An interval of no length, or outside, counts the nearest cell.
    """
    cells = np.arange(num_cells)
    ends = np.minimum(starts[:, None] + length, cells + 1)
    overlap = np.maximum(ends - np.maximum(starts[:, None], cells), 0)
    nearest = np.clip((starts + length / 2).astype(int), 0, num_cells - 1)
    nothing = overlap.sum(axis=1) <= 0
    overlap[nothing] = np.eye(num_cells)[nearest[nothing]]
    found: Floats = (overlap / overlap.sum(axis=1, keepdims=True)).astype(np.float32)
    return found


def _count(length: float, num_cells: int) -> int:
    step = max(length / _STEPS_A_BOX, 1.0)
    return int(np.ceil(max(0.0, num_cells - length) / step)) + 1
