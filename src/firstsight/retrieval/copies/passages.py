"""A source in passages of a few seconds, and what changes in them: the same in a copy, another in any other footage.

What stands still is taken out: each passage's mean. So a camera's background, a logo and a colour cast do not count,
and two days before the same camera are no copies of each other. What is left is brought to unit length, each
coefficient weighed against how much it changes in this library, so that no coarse movement drowns the fine ones.

*Sources:* removing the mean over time, as in fingerprinting broadcasts, Law-To et al., "Video copy detection: a
comparative study", 2007; whitening before a correlation, as in minimum-average-correlation filters, Mahalanobis,
Vijaya Kumar, Casasent 1987.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firstsight.retrieval.copies.signature import NUM_COEFFICIENTS
from firstsight.retrieval.copies.signature_reading import Track

LENGTH = 8  # ticks in a passage: four seconds of two frames each, longer than most things that pass take
TICK_SECONDS = 0.5
_MOST_FOR_WEIGHTS = 4_000  # passages
# No coefficient counts more than so many times as much as the one that changes most.
_MOST_WEIGHT = 20.0
# With as much noise in either, a copy keeps a correlation of 1 - 1 / 2^2 = 0.75.
_LEAST_OVER_NOISE = 2.0


@dataclass(frozen=True, eq=False)
class Ticks:
    """A track at regular times."""

    source_index: int
    start_seconds: float
    signatures: NDArray[np.float32]  # (T, 2, 64)

    @property
    def num_passages(self) -> int:
        """One begins at each tick from which there is enough."""
        return max(0, len(self.signatures) - LENGTH + 1)


@dataclass(frozen=True, eq=False)
class Passages:
    """Passages of one source or several, as vectors whose product is a correlation."""

    whole: NDArray[np.float32]  # (P, LENGTH * 64), of unit length: what changes in the whole picture
    middle: NDArray[np.float32]  # the same of its middle
    moves: NDArray[np.bool_]  # (P,): more than noise does


@dataclass(frozen=True, eq=False)
class Measures:
    """What a library's passages are measured by."""

    weights: NDArray[np.float32]  # (64,) of the coefficients
    noise: float  # mean square of what saving a frame anew changes in a coefficient, weighed


def tick_seconds(tracks: Sequence[Track]) -> float:
    """Half a second, or the usual step of the library's videos if that is longer."""
    steps = [float(np.ptp(track.seconds)) / (len(track.seconds) - 1) for track in tracks if len(track.seconds) > 1]
    return max(TICK_SECONDS, float(np.median(steps)) if steps else 0.0)


def at_ticks(track: Track, source_index: int, tick: float) -> Ticks:
    """The track at every tick from its first frame to its last, between its frames in proportion."""
    start = float(track.seconds[0])
    num = int((track.seconds[-1] - start) / tick + 1e-6) + 1
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
        after: (N, 64), of the same saved anew.
    """
    step = 1 + sum(one.num_passages for one in ticks) // _MOST_FOR_WEIGHTS
    parts = [_changes(one, 0)[::step] for one in ticks if one.num_passages]
    changes = np.concatenate([np.zeros((1, LENGTH, NUM_COEFFICIENTS), np.float32), *parts])
    lengths = np.sqrt((changes**2).sum(axis=(1, 2), keepdims=True))
    spread = np.sqrt(np.mean((changes / np.maximum(lengths, 1e-6)) ** 2, axis=(0, 1)))
    weights = 1 / np.maximum(spread, max(float(spread.max()) / _MOST_WEIGHT, 1e-9))
    weights = (weights / weights.mean()).astype(np.float32)
    return Measures(weights, float(np.mean(((after - before) * weights) ** 2)))


def passages(ticks: Ticks, measures: Measures) -> Passages:
    """Those that begin at each tick; (0, ...) if the source is too short."""
    whole, middle = (_changes(ticks, part) * measures.weights for part in (0, 1))
    moves = np.mean(whole**2, axis=(1, 2)) >= _LEAST_OVER_NOISE**2 * measures.noise
    return Passages(_unit(whole), _unit(middle), moves)


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
