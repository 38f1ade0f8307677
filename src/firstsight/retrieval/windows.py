"""Every place where a box of one size can lie on a grid of cells, and the means of what it holds there.

A window need not end where cells end: a cell that it covers in part counts in that proportion.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

# Neighbouring windows overlap by three quarters, and lie no closer than a quarter of a cell.
_STEPS_A_BOX, _LEAST_STEP = 4, 0.25
# A window is described by its four quarters: what is above and what below, what left and what right.
QUARTERS = 4


@dataclass(frozen=True, eq=False)
class Windows:
    """A rows x columns arrangement of windows of one size, in cells."""

    tops: Floats  # (A,)
    lefts: Floats  # (B,)
    height: float
    width: float

    @property
    def num(self) -> int:
        """How many there are."""
        return len(self.tops) * len(self.lefts)

    def place(self, index: int) -> tuple[float, float, float, float]:
        """Left, top, width and height of one of them, in cells; row after row."""
        row, column = divmod(index, len(self.lefts))
        return float(self.lefts[column]), float(self.tops[row]), self.width, self.height


def sliding(height: float, width: float, *, rows: int, columns: int) -> Windows:
    """The windows of that size on a grid of rows x columns cells; a window larger than the grid is cut to it."""
    height, width = min(height, rows), min(width, columns)
    return Windows(_starts(height, rows), _starts(width, columns), height, width)


def at(left: float, top: float, width: float, height: float) -> Windows:
    """One window at one place."""
    return Windows(np.array([top], np.float32), np.array([left], np.float32), height, width)


def described(cells: Floats, windows: Windows) -> Floats:
    """The means over the four quarters of each window, side by side.

    Args:
        cells: float32 (N, rows, columns, numbers).
        windows: A x B of them.

    Returns:
        float32 (N, A * B, 4 * numbers): upper left, upper right, lower left, lower right.
    """
    rows, columns = cells.shape[1:3]
    half_height, half_width = windows.height / 2, windows.width / 2
    quarters = []
    for down in (0, half_height):
        bands = np.tensordot(shares(windows.tops + down, half_height, rows), cells, axes=(1, 1))  # (A, N, columns, D)
        for right in (0, half_width):
            columns_of = shares(windows.lefts + right, half_width, columns)
            quarters.append(np.tensordot(columns_of, bands, axes=(1, 2)))  # (B, A, N, D)
    joined = np.concatenate(quarters, axis=-1)
    return np.ascontiguousarray(joined.transpose(2, 1, 0, 3)).reshape(len(cells), windows.num, -1)


def shares(starts: Floats, length: float, num_cells: int) -> Floats:
    """What part of each interval falls on each cell: (len(starts), num_cells), rows that sum to 1.

    Cell i covers i to i + 1. An interval of no length, or outside, counts the nearest cell.
    """
    cells = np.arange(num_cells)
    ends = np.minimum(starts[:, None] + length, cells + 1)
    overlap = np.maximum(ends - np.maximum(starts[:, None], cells), 0)
    nearest = np.clip((starts + length / 2).astype(int), 0, num_cells - 1)
    overlap[overlap.sum(axis=1) <= 0] = np.eye(num_cells)[nearest[overlap.sum(axis=1) <= 0]]
    found: Floats = (overlap / overlap.sum(axis=1, keepdims=True)).astype(np.float32)
    return found


def _starts(length: float, num_cells: int) -> Floats:
    free = num_cells - length
    step = max(length / _STEPS_A_BOX, _LEAST_STEP)
    return np.linspace(0, free, int(np.ceil(free / step)) + 1, dtype=np.float32)
