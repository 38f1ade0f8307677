"""How well two frames agree in their layout, from their stored cells alone: NumPy, so that no network is loaded.

Two frames agree where cells are each other's best match *with the support of their neighbourhood*: things may be at
other positions, but must keep their arrangement. What a cell is: `layout.py`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import SettingsError
from firstsight.from_json import from_json

if TYPE_CHECKING:
    from firstsight.closed_form.pyramid import Pyramid

Floats = NDArray[np.float32]
Cells = NDArray[np.int8]

_NUM_CELLS = 96
NUM_NETWORKS = 2  # whose cells are compared: a colour and a grey one
_CELL_DIM = 96  # numbers in a cell, of each network
_IN_PLACE_DIM = 16  # numbers in a cell of the vector in place, of each level
_REACH = 2  # cells to each side that support a match: 5x5
_LEAST = np.float32(1e-9)
_LEAST_VARIETY = 0.01  # of a frame's cells
# Frames compared at once. More do not fit into the processor's cache, and what they need is taken from the system anew
# each time, which takes as long as the arithmetic.
_AT_ONCE = 10
_TIE = np.float32(1e-5)  # of a cell's support for the same position, where a flat picture supports all alike


@dataclass(frozen=True)
class LayoutConfig:
    """The shape of a description, and how much its agreement counts."""

    rows: int  # cells
    columns: int
    dim: int = _CELL_DIM
    in_place_dim: int = _IN_PLACE_DIM
    weight: float = 0.0  # of the layout in a similarity, 0 to 1; the vectors have the rest
    unrelated: float = 1.0  # minus the mean logarithm of the agreement of frames of unrelated things

    def __post_init__(self) -> None:
        sizes = (self.rows, self.columns, self.dim, self.in_place_dim)
        if min(sizes) < 1 or not 0 <= self.weight <= 1 or not self.unrelated > 0:
            raise SettingsError(f"{self}: sizes must be at least 1, the weight 0 to 1")

    @classmethod
    def for_network(cls, network: "Pyramid") -> "LayoutConfig":
        """About 96 cells of the same shape, and not more rows or columns than the coarsest maps have."""
        first, last = network.configs[0], network.configs[-1]
        rows = max(1, min(round((_NUM_CELLS * first.height / first.width) ** 0.5), last.map_shape[0]))
        return cls(rows, max(1, min(round(_NUM_CELLS / rows), last.map_shape[1])))

    @property
    def coarse(self) -> tuple[int, int]:
        """Rows and columns of the vector in place."""
        return (self.rows + 1) // 2, (self.columns + 1) // 2

    @classmethod
    def of_model(cls, config: Mapping[str, Any]) -> "LayoutConfig | None":
        """That of a model, given its saved configuration; None without a layout."""
        return from_json(cls, config["layout"], name="layout") if "layout" in config else None

    def in_place_length(self, num_levels: int) -> int:
        """Numbers in a vector in place."""
        return num_levels * math.prod(self.coarse) * self.in_place_dim

    def agreement(self, query: Cells, others: Cells) -> Floats:
        """1 + log agreement / u, (K,): 1 for the frame itself, about 0 for others, with the u of unrelated frames.

        Not below -1: those that have less to do with each other are alike in that. Any arrangement agrees with that of
        a black frame, whose cells are all alike. So a frame whose cells have less than half the variety of those of the
        one asked for agrees as much less.
        """
        one, agreements = _unit(query), np.empty(len(others), np.float32)
        own = _variety(one[None]) + _LEAST_VARIETY
        for start in range(0, len(others), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            many = _unit(others[some])
            agreed = (1 + np.log(_matched(one, many).agreement) / self.unrelated).clip(-1)
            share = (2 * (_variety(many) + _LEAST_VARIETY) / own).clip(0, 1)
            agreements[some] = (1 + agreed) * share - 1
        return agreements

    def fused(self, cosines: Floats, agreements: Floats) -> Floats:
        """Similarities, -1 to 1: (1 - w) cosine + w agreement, with the weight w."""
        weight = np.float32(self.weight)
        similarities: Floats = ((1 - weight) * cosines + weight * agreements).clip(-1, 1)
        return similarities


def agreement(query: Cells, others: Cells) -> Floats:
    """How well K frames agree in layout with one, (K,): 1 for the frame itself, near 0 for another.

    The geometric mean over both networks of J = sum of T^2 over the matched cells / the same of a frame with itself.
    With cells s of another frame and p of the query, T(s, p) is the mean of <v_(s+d), u_(p+d)> over the shifts d of 5x5
    cells that stay inside both frames, less where few do; matched are the pairs that are best by T in both directions,
    if T is above 0.

    Args:
        query: cells, int8 (2, rows, columns, dim).
        others: int8 (K, 2, rows, columns, dim).
    """
    return matched(query, others).agreement


@dataclass(frozen=True, eq=False)
class Matched:
    """K frames beside one."""

    agreement: Floats  # (K,)
    support: Floats  # (K, 2, cells): T^2 of each cell of the others with its match; 0 without one
    partner: NDArray[np.intp]  # (K, 2, cells): the number of the query's cell that it is matched with

    @property
    def in_place(self) -> Floats:
        """The share of the agreement that is of cells at the same position, (K,)."""
        same = self.partner == np.arange(self.partner.shape[-1])
        share: Floats = (self.support * same).sum(axis=(1, 2)) / np.maximum(self.support.sum(axis=(1, 2)), _LEAST)
        return share


def matched(query: Cells, others: Cells) -> Matched:
    """What `agreement` sums up."""
    return _matched(_unit(query), _unit(others))


def _matched(one: Floats, many: Floats) -> Matched:
    num, nets, rows, columns, dim = many.shape
    cells = rows * columns
    # The frames come last, so that what a shift adds lies in long runs.
    many = many.reshape(num, nets, cells, dim).transpose(1, 2, 0, 3).reshape(nets, cells * num, dim)
    similarities = one.reshape(nets, cells, dim) @ many.swapaxes(1, 2)
    similarities = similarities.reshape(nets, rows, columns, rows, columns, num)
    sums = _summed_with_neighbours(similarities).reshape(nets, cells, cells, num).transpose(0, 3, 2, 1)
    support = np.multiply(sums, 1 / _shares(rows, columns), order="C")  # (nets, num, cells of others, cells of query)
    support[..., np.arange(cells), np.arange(cells)] += _TIE
    partner = support.argmax(axis=3)
    best = np.take_along_axis(support, partner[..., None], axis=3)[..., 0]
    mutual = best == np.take_along_axis(support.max(axis=2), partner, axis=2)
    squares = (np.square(best.clip(0)) * mutual / np.float32(_most(rows, columns))).swapaxes(0, 1)
    levels = squares.mean(axis=2).clip(_LEAST, 1)
    return Matched(np.exp(np.log(levels).mean(axis=1)), squares, partner.swapaxes(0, 1))


def supported(first: Cells, second: Cells) -> Floats:
    """How well each cell of one frame is matched with each of another, float32 (rows, columns, rows, columns), 0 to 1.

    T(s, p)^2 / (T(s, s) T(p, p)) of the pairs that `agreement` matches and 0 of all others, mean over both networks;
    T(s, s) and T(p, p) are of each frame with itself. So 1 is a pair that both networks match as in the frame itself.

    Args:
        first: cells, int8 (2, rows, columns, dim).
        second: those of the other frame.
    """
    found = matched(first, second[None])
    nets, rows, columns = first.shape[:3]
    own = _own(rows, columns)
    table = np.zeros((nets, rows * columns, rows * columns), np.float32)
    partner = found.partner[0]
    values = found.support[0] * np.float32(_most(rows, columns)) / (own * own[partner])
    np.put_along_axis(table, partner[:, None], values[:, None], axis=1)
    supports: Floats = table.clip(0, 1).mean(axis=0).reshape(rows, columns, rows, columns)
    return supports


def _summed_with_neighbours(values: Floats) -> Floats:
    """Sums over the shifts of both frames together, of (nets, rows, columns, rows, columns, num)."""
    for first, second in ((1, 3), (2, 4)):
        length, summed = values.shape[first], values.copy()
        for shift in range(1, min(_REACH, length - 1) + 1):
            ahead, behind = [slice(None)] * 6, [slice(None)] * 6
            ahead[first] = ahead[second] = slice(shift, length)
            behind[first] = behind[second] = slice(0, length - shift)
            summed[tuple(behind)] += values[tuple(ahead)]
            summed[tuple(ahead)] += values[tuple(behind)]
        values = summed
    return values


@cache
def _inside(rows: int, columns: int) -> Floats:
    """The number of shifts that stay inside both frames, (cells, cells)."""
    cells = rows * columns
    return _summed_with_neighbours(np.ones((1, rows, columns, rows, columns, 1), np.float32)).reshape(cells, cells)


@cache
def _shares(rows: int, columns: int) -> Floats:
    """Half of all shifts plus half of those that stay inside both frames: what a sum is divided by."""
    shares: Floats = (np.float32((2 * _REACH + 1) ** 2) + _inside(rows, columns)) / np.float32(2)
    return shares


@cache
def _most(rows: int, columns: int) -> float:
    """The mean T^2 of the cells of a frame with themselves."""
    return float(np.square(_own(rows, columns)).mean())


def _own(rows: int, columns: int) -> Floats:
    """T of each cell of a frame with itself, (cells,)."""
    own: Floats = (_inside(rows, columns) / _shares(rows, columns)).diagonal()
    return own


def _variety(unit: Floats) -> Floats:
    """1 minus the mean cosine of a frame's cells with each other, both networks' mean; of frames (K, ...) (K,)."""
    num, nets, rows, columns, dim = unit.shape
    means = unit.reshape(num, nets, rows * columns, dim).mean(axis=2)
    variety: Floats = 1 - np.square(means).sum(axis=-1).mean(axis=1)
    return variety


def _unit(cells: Cells) -> Floats:
    """The cells with each (..., dim) of length 1, or 0."""
    unit = cells.astype(np.float32)
    lengths = np.sqrt(np.einsum("...i,...i->...", unit, unit))
    unit /= np.maximum(lengths, _LEAST)[..., None]
    return unit
