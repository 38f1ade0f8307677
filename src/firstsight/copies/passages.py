"""A source in passages of a few seconds, and which passages of a library are the same.

Passages are compared by what changes in them. Each passage's mean is subtracted, so that a camera's background, a logo
and a colour cast do not count, and two days before the same camera are no copies of each other. Each coefficient is
divided by how much it changes in this library, so that coarse movement does not hide fine movement, and the result is
brought to unit length.

*Sources:* removing the mean over time, as in fingerprinting broadcasts, Law-To et al., "Video copy detection: a
comparative study", 2007; whitening before a correlation, as in minimum-average-correlation filters, Mahalanobis,
Vijaya Kumar, Casasent 1987.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firstsight.copies.signature import IN_A_MIRROR, NUM_COEFFICIENTS, UPSIDE_DOWN, Track
from firstsight.progress import Progress, Report, silent
from firstsight.searching.calibration import Background

LENGTH = 8  # ticks in a passage: four seconds of two frames each, longer than most things that pass take
TICK_SECONDS = 0.5
# Sources with frames a minute or more apart show no movement.
_MAX_TICKS_A_FRAME = 120
_MAX_FOR_WEIGHTS = 4_000  # passages
_MAX_WEIGHT = 20.0  # times as much as the coefficient that changes most
# With as much noise in either, a copy keeps a correlation of 1 - 1 / 2^2 = 0.75.
_MIN_OVER_NOISE = 2.0
_NUM_DECOYS = 1_000
_NUM_OWN = 200  # passages of a source that are compared with the rest of it
_BLOCK = 1_024  # passages: products of 4 MB
# A passage that is not there finds one so alike in at most this share of libraries; several together are a copy.
MAX_PROBABILITY = 0.1
_GOLDEN_RATIO = (5**0.5 - 1) / 2
_MIRROR = np.tile(IN_A_MIRROR, LENGTH)
_UPSIDE_DOWN = np.tile(UPSIDE_DOWN, LENGTH)

Vectors = NDArray[np.float32]  # (N, D), of unit length
# For each way to compare two: -1 the first shows more, 1 the second does, the other is cropped; 0 neither.
_SHOWS_MORE = (0, 1, -1)


@dataclass(frozen=True, eq=False)
class Ticks:
    """A track at regular times."""

    source_index: int
    start_seconds: float
    signatures: NDArray[np.float32]  # (T, 2, 64)

    @property
    def num_passages(self) -> int:
        """One begins at each tick that enough ticks follow."""
        return max(0, len(self.signatures) - LENGTH + 1)


@dataclass(frozen=True, eq=False)
class Passages:
    """Passages of one source or several, as vectors whose product is a correlation."""

    full: NDArray[np.float32]  # (P, LENGTH * 64), of unit length: what changes in the complete picture
    middle: NDArray[np.float32]  # the same of its middle
    moves: NDArray[np.bool_]  # (P,): more than noise does


@dataclass(frozen=True, eq=False)
class Measures:
    """Weights and noise of a library's passages."""

    weights: NDArray[np.float32]  # (64,) of the coefficients
    noise: float  # mean square of the changes by re-encoding, of a weighed coefficient


def tick_seconds(tracks: Sequence[Track]) -> float:
    """Half a second, or the usual step of the library's videos if that is longer."""
    steps = [float(np.ptp(track.seconds)) / (len(track.seconds) - 1) for track in tracks if len(track.seconds) > 1]
    return max(TICK_SECONDS, float(np.median(steps)) if steps else 0.0)


def at_ticks(track: Track, source_index: int, tick: float) -> Ticks:
    """The track at every tick from its first frame to its last, interpolated between frames.

    Memory: half a kilobyte a tick. A track with frames far apart has a single tick.
    """
    start = float(track.seconds[0])
    num = int((track.seconds[-1] - start) / tick + 1e-6) + 1
    if num > _MAX_TICKS_A_FRAME * len(track.seconds):
        num = 1
    times = start + tick * np.arange(num)
    after = np.clip(np.searchsorted(track.seconds, times - 1e-6), 1, max(1, len(track.seconds) - 1))
    before = np.minimum(after - 1, len(track.seconds) - 1)
    after = np.minimum(after, len(track.seconds) - 1)
    span = np.maximum(track.seconds[after] - track.seconds[before], 1e-9)
    share = np.clip((times - track.seconds[before]) / span, 0, 1).astype(np.float32)[:, None, None]
    flat = track.signatures.astype(np.float32)
    return Ticks(source_index, start, flat[before] * (1 - share) + flat[after] * share)


def measure(ticks: Sequence[Ticks], before: NDArray[np.float32], after: NDArray[np.float32]) -> Measures:
    """How much each coefficient changes, in passages of equal weight; and how much noise changes it.

    Args:
        ticks: of all sources.
        before: (N, 64), signatures of some frames.
        after: (N, 64), of the same re-encoded.
    """
    step = 1 + sum(one.num_passages for one in ticks) // _MAX_FOR_WEIGHTS
    parts = [_changes(one, 0)[::step] for one in ticks if one.num_passages]
    changes = np.concatenate([np.zeros((1, LENGTH, NUM_COEFFICIENTS), np.float32), *parts])
    lengths = np.sqrt((changes**2).sum(axis=(1, 2), keepdims=True))
    deviation = np.sqrt(np.mean((changes / np.maximum(lengths, 1e-6)) ** 2, axis=(0, 1)))
    weights = 1 / np.maximum(deviation, max(float(deviation.max()) / _MAX_WEIGHT, 1e-9))
    weights = (weights / weights.mean()).astype(np.float32)
    return Measures(weights, float(np.mean(((after - before) * weights) ** 2)))


def passages(ticks: Ticks, measures: Measures) -> Passages:
    """Those that begin at each tick; (0, ...) if the source is too short."""
    full, middle = (_changes(ticks, part) * measures.weights for part in (0, 1))
    moves = np.mean(full**2, axis=(1, 2)) >= _MIN_OVER_NOISE**2 * measures.noise
    return Passages(_unit(full), _unit(middle), moves)


def _changes(ticks: Ticks, part: int) -> NDArray[np.float32]:
    """(P, LENGTH, 64): each passage without its mean."""
    if not ticks.num_passages:
        return np.empty((0, LENGTH, NUM_COEFFICIENTS), np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(ticks.signatures[:, part], LENGTH, axis=0).transpose(0, 2, 1)
    changes: NDArray[np.float32] = windows - windows.mean(axis=1, keepdims=True)
    return changes


def _unit(changes: NDArray[np.float32]) -> NDArray[np.float32]:
    flat = changes.reshape(len(changes), LENGTH * NUM_COEFFICIENTS)
    unit: NDArray[np.float32] = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    return unit


def moving_ticks(ticks: Ticks, measures: Measures) -> NDArray[np.int64]:
    """The ticks in a passage in which something moves, ascending."""
    begins = np.flatnonzero(passages(ticks, measures).moves)
    return np.unique(begins[:, None] + np.arange(LENGTH))


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
    progress: Report = silent,
) -> Matches:
    """All pairs of passages of different sources that are more alike than most that are not the same.

    Every pair is compared: time grows with the square of the footage's length, memory with the number of matches.
    """
    least = background.threshold(MAX_PROBABILITY)
    found = []
    num_blocks = sum(1 for _ in _blocks(ticks, measures))
    for row, first in enumerate(_blocks(ticks, measures)):
        for column, second in enumerate(_blocks(ticks, measures)):
            if column >= row:
                found.append(_matches(first, second, least))
        progress(Progress("comparing", row + 1, num_blocks))
    return _joined(found)


def measure_decoys(ticks: Sequence[Ticks], measures: Measures, *, num_moving: int) -> Background | None:
    """How alike the best passage is to a decoy, one of the library upside down; None if hardly anything moves in it."""
    step = max(1, num_moving // _NUM_DECOYS)
    decoys = [block.passages.full[::step] * _UPSIDE_DOWN for block in _blocks(ticks, measures)]
    if sum(map(len, decoys)) < 2:
        return None
    parts = (block.passages.full for block in _blocks(ticks, measures))
    return background_of(np.concatenate(decoys), parts, _MIRROR, num_sources=len(ticks))


def measure_repetition(ticks: Ticks, measures: Measures) -> Background | None:
    """How alike a passage of a source is to the best one elsewhere in it; None if the source is too short.

    Before a still camera the next person takes the same way at the same pace. That is no copy, and how alike such
    passages are differs from source to source.
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


def find_lookalikes(
    ticks: Sequence[Ticks],
    measures: Measures,
    linked: Callable[[int, float], Collection[int]],
    *,
    below: float,
    num: int,
) -> tuple[tuple[tuple[int, int], tuple[int, int]], ...]:
    """Evenly spaced passages of the library, and for each the one most like it that is certainly not the same.

    That is one of another source, or of the same at another time, less alike than a match: before a camera where the
    same happens again and again, the matches would leave no others.

    Args:
        ticks: of all sources.
        measures: of the library.
        linked: for a source and a number from 0 to 1, the others that are more surely linked to it than that: they may
            have footage in common with it, and are left out. The numbers are spread evenly over the passages.
        below: similarity from which passages are matches.
        num: of passages, about.

    Returns:
        Pairs of source and tick at which a passage begins.
    """
    step, first, some = max(1, num_moving(ticks, measures) // num), 0, []
    for block in _blocks(ticks, measures):
        rows = np.arange(first, len(block.ticks), step)
        first = (first - len(block.ticks)) % step
        some.append(_Block(_chosen(block.passages, rows), block.sources[rows], block.ticks[rows]))
    if not some:
        return ()
    chosen = _chained(some)
    chosen_at = list(zip(chosen.sources.tolist(), chosen.ticks.tolist(), strict=True))
    shares = evenly_spread(len(chosen_at))
    left_out = [list(linked(source, share)) for (source, _), share in zip(chosen_at, shares, strict=True)]
    best = np.full(len(chosen_at), -np.inf, np.float32)
    best_at = np.zeros((len(best), 2), np.int64)
    for block in _blocks(ticks, measures):
        alike = chosen.passages.full @ block.passages.full.T
        for row, (source, tick) in enumerate(chosen_at):
            near = (block.sources == source) & (np.abs(block.ticks - tick) < 2 * LENGTH)
            alike[row, near | np.isin(block.sources, left_out[row])] = -np.inf
        alike[alike >= below] = -np.inf
        column = alike.argmax(axis=1)
        values = alike[np.arange(len(best)), column]
        better = values > best
        best[better] = values[better]
        best_at[better] = np.stack([block.sources[column], block.ticks[column]], axis=1)[better]
    found = zip(chosen_at, best_at.tolist(), np.isfinite(best).tolist(), strict=True)
    return tuple((one, (source, tick)) for one, (source, tick), is_one in found if is_one)


def evenly_spread(num: int) -> list[float]:
    """Numbers from 0 to 1, those of any part of the list spread evenly, too: multiples of the golden ratio."""
    spread: list[float] = (np.arange(1, num + 1) * _GOLDEN_RATIO % 1).tolist()
    return spread


def _chosen(found: Passages, rows: NDArray[np.intp]) -> Passages:
    return Passages(found.full[rows], found.middle[rows], found.moves[rows])


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
        *(np.concatenate([getattr(one.passages, name) for one in blocks]) for name in ("full", "middle", "moves"))
    )
    return _Block(both, np.concatenate([one.sources for one in blocks]), np.concatenate([one.ticks for one in blocks]))


def _matches(first: _Block, second: _Block, least: float) -> Matches:
    """Pairs of the two blocks, each once, at least so alike by the best of six ways to compare them."""
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
        way >= len(_SHOWS_MORE),
        np.array(_SHOWS_MORE * 2, np.int8)[way],
        similarity[rows, columns],
    )


def _products(first: Passages, second: Passages) -> NDArray[np.float32]:
    return pair_similarities((first.full, first.middle), (second.full, second.middle), _MIRROR)


def _none() -> Matches:
    pairs = np.empty((0, 2), np.int64)
    return Matches(pairs, pairs, np.empty(0, np.bool_), np.empty(0, np.int8), np.empty(0, np.float32))


def _joined(found: Sequence[Matches]) -> Matches:
    names = ("sources", "ticks", "mirrored", "shows_more", "similarity")
    return Matches(*(np.concatenate([getattr(one, name) for one in (_none(), *found)]) for name in names))


def pair_similarities(
    first: tuple[Vectors, Vectors], second: tuple[Vectors, Vectors], mirror: Vectors
) -> NDArray[np.float32]:
    """(6, P, Q): how alike they are as they are, with the middle of the second, of the first; then all in a mirror.

    Args:
        first: P vectors of the complete pictures, and of their middles.
        second: Q of them.
        mirror: (D,), times a vector, that of the mirror image.
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
