"""Which passages of a library are the same? And how alike are passages that certainly are not?"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firstsight.retrieval.copies.passages import LENGTH, Measures, Passages, Ticks, passages
from firstsight.retrieval.copies.signature import IN_A_MIRROR, UPSIDE_DOWN
from firstsight.retrieval.copies.ways import SHOWS_MORE, all_ways, background_of
from firstsight.retrieval.searching.calibration import Background

_NUM_DECOYS = 1_000
_NUM_OWN = 200  # passages of a source that are compared with the rest of it
_BLOCK = 1_024  # passages: products of 4 MB
# A passage that is not there finds one so alike in at most this share of libraries; several together are a copy.
MOST_PROBABILITY = 0.05
_MIRROR = np.tile(IN_A_MIRROR, LENGTH)
_UPSIDE_DOWN = np.tile(UPSIDE_DOWN, LENGTH)


@dataclass(frozen=True, eq=False)
class Matches:
    """M pairs of passages, of different sources, that are the same."""

    sources: NDArray[np.int64]  # (M, 2), the first the lower
    ticks: NDArray[np.int64]  # (M, 2), where they begin
    mirrored: NDArray[np.bool_]  # (M,)
    shows_more: NDArray[np.int8]  # (M,): -1 the first does, 1 the second does, the other is cropped; 0 neither
    similarity: NDArray[np.float32]  # (M,), correlation of what changes


@dataclass(frozen=True, eq=False)
class _Block:
    """Some passages in which something moves, of several sources."""

    passages: Passages
    sources: NDArray[np.int64]  # (P,)
    ticks: NDArray[np.int64]  # (P,)


def find_matches(
    ticks: Sequence[Ticks],
    measures: Measures,
    background: Background,
    *,
    progress: Callable[[float], None] = lambda _: None,
) -> Matches:
    """All pairs of passages of different sources that are more alike than most that are not the same.

    Blocks of passages are compared with each other, all with all: time grows with the square of the footage's length,
    memory with the number of matches.
    """
    least = background.threshold(MOST_PROBABILITY)
    found = []
    num_blocks = sum(1 for _ in _blocks(ticks, measures))
    for row, first in enumerate(_blocks(ticks, measures)):
        for column, second in enumerate(_blocks(ticks, measures)):
            if column >= row:
                found.append(_matches(first, second, least))
        progress((row + 1) / num_blocks)
    return _joined(found)


def measure_decoys(ticks: Sequence[Ticks], measures: Measures, *, num_moving: int) -> Background | None:
    """How alike the best passage is to one that is nowhere in the library; None if hardly anything moves in it.

    Such passages are its own upside down: they move as its own do, and show what is not there.
    """
    step = max(1, num_moving // _NUM_DECOYS)
    decoys = [block.passages.whole[::step] * _UPSIDE_DOWN for block in _blocks(ticks, measures)]
    if sum(map(len, decoys)) < 2:
        return None
    parts = (block.passages.whole for block in _blocks(ticks, measures))
    return background_of(np.concatenate(decoys), parts, _MIRROR, num_sources=len(ticks))


def measure_repetition(ticks: Ticks, measures: Measures) -> Background | None:
    """How alike a passage of a source is to the best one elsewhere in it; None if it is too short to tell.

    Before a still camera the next person takes the same way at the same pace. That is no copy, and only the source
    itself tells how alike such passages are.
    """
    found = passages(ticks, measures)
    rows = np.flatnonzero(found.moves)
    some = rows[:: 1 + len(rows) // _NUM_OWN]
    bests = np.full(len(some), -1.0, np.float32)
    for start in range(0, len(rows), _BLOCK):
        others = rows[start : start + _BLOCK]
        products = _products(_chosen(found, some), _chosen(found, others)).max(axis=0)
        apart = np.abs(some[:, None] - others) >= 2 * LENGTH
        bests = np.maximum(bests, np.where(apart, products, -1.0).max(axis=1))
    bests = np.sort(bests[bests > -1])
    return Background(np.empty(0, np.float32), bests, num_sources=1) if len(bests) >= LENGTH else None


def _chosen(found: Passages, rows: NDArray[np.intp]) -> Passages:
    return Passages(found.whole[rows], found.middle[rows], found.moves[rows])


def num_moving(ticks: Sequence[Ticks], measures: Measures) -> int:
    """How many passages there are in which something moves."""
    return sum(int(passages(one, measures).moves.sum()) for one in ticks)


def _blocks(ticks: Sequence[Ticks], measures: Measures) -> Iterator[_Block]:
    """All passages in which something moves, by source and in order of time."""
    waiting: list[_Block] = []
    for one in ticks:
        found = passages(one, measures)
        rows = np.flatnonzero(found.moves)
        for start in range(0, len(rows), _BLOCK):
            some = rows[start : start + _BLOCK]
            if waiting and sum(len(block.ticks) for block in waiting) + len(some) > _BLOCK:
                yield _chained(waiting)
                waiting = []
            waiting.append(_Block(_chosen(found, some), np.full(len(some), one.source_index), some))
    if waiting:
        yield _chained(waiting)


def _chained(blocks: Sequence[_Block]) -> _Block:
    both = Passages(
        *(np.concatenate([getattr(one.passages, name) for one in blocks]) for name in ("whole", "middle", "moves"))
    )
    return _Block(both, np.concatenate([one.sources for one in blocks]), np.concatenate([one.ticks for one in blocks]))


def _matches(first: _Block, second: _Block, least: float) -> Matches:
    """Pairs of the two blocks, each once, as alike as that by the best of six ways to look at them."""
    wanted = first.sources[:, None] < second.sources
    if not wanted.any():
        return _none()
    products = _products(first.passages, second.passages)
    best = products.argmax(axis=0)
    similarity = np.take_along_axis(products, best[None], axis=0)[0]
    rows, columns = np.nonzero((similarity >= least) & wanted)
    way = best[rows, columns]
    return Matches(
        np.stack([first.sources[rows], second.sources[columns]], axis=1),
        np.stack([first.ticks[rows], second.ticks[columns]], axis=1),
        way >= len(SHOWS_MORE),
        np.array(SHOWS_MORE * 2, np.int8)[way],
        similarity[rows, columns],
    )


def _products(first: Passages, second: Passages) -> NDArray[np.float32]:
    return all_ways((first.whole, first.middle), (second.whole, second.middle), _MIRROR)


def _none() -> Matches:
    pairs = np.empty((0, 2), np.int64)
    return Matches(pairs, pairs, np.empty(0, np.bool_), np.empty(0, np.int8), np.empty(0, np.float32))


def _joined(found: Sequence[Matches]) -> Matches:
    names = ("sources", "ticks", "mirrored", "shows_more", "similarity")
    return Matches(*(np.concatenate([getattr(one, name) for one in (_none(), *found)]) for name in names))
