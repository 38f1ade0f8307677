"""What a similarity means in a library: how alike things are that have nothing to do with each other.

Two questions are answered by counting. How alike are two frames of different sources? That tells how unusual a
similarity is. And how alike is the best of all frames to a query whose answer is not there? That is what a match has to
exceed: among many frames one is always near. It is counted with decoys (`decoys.py`). Where there are enough decoys
their quantiles are taken as they are; beyond, the tail is fitted by the law of all such tails, a generalised Pareto
distribution. Its end point is known, 1 for a cosine, so that y = -ln(1 - similarity) is exponential there, with one
scale.

Sources: Pickands, "Statistical inference using extreme order statistics", 1975; Scheirer, Rocha, Micheals, Boult,
"Meta-recognition", 2011, for the extreme values of scores.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import SettingsError
from firstsight.library.embeddings import Embeddings

Floats = NDArray[np.float32]

# Fewer decoys say next to nothing about a rate of a few percent.
MIN_DECOYS = 20
# Two sources with a pair of frames that unrelated frames get as near as so rarely show the same.
SAME_FOOTAGE_RATE = 1e-3
# A quantile is counted as long as so many decoys lie above it: its rate is then known to about a third.
_NUM_ABOVE = 10
# The most alike of the decoys, which the tail's scale is found from.
_TAIL_SHARE = 0.2
# A cosine of 1 would lie infinitely far out.
_LARGEST = 1 - 1e-6
# A threshold never lies above this: the very frame, stored in 16 bits, reaches more.
_REACHABLE = 1 - 1e-4
_MIN_SCALE = 1e-6
# Where there is one source alone, frames this far apart count as unrelated; in a short one, a quarter of its length.
_FAR_SECONDS = 20.0
_FAR_SHARE = 0.25
_MAX_PAIRS = 100_000


@dataclass(frozen=True, eq=False)
class Background:
    """How alike unrelated frames of a library are, and how alike the best frame is to what is not there."""

    pairs: Floats  # (P,) similarity of each unrelated pair of frames, ascending
    decoys: Floats  # (M,) similarity of each decoy to the frame most like it, ascending
    num_sources: int  # the pairs come from

    def __post_init__(self) -> None:
        if self.decoys.ndim != 1 or self.pairs.ndim != 1:
            raise SettingsError(f"{self.decoys.shape} decoys, {self.pairs.shape} pairs; valid are rows of similarities")

    @property
    def is_measured(self) -> bool:
        """Whether there are decoys enough to state a rate."""
        return len(self.decoys) >= MIN_DECOYS

    def closer_than(self, similarity: float) -> float:
        """The share of unrelated pairs that are less alike, above 0 and below 1; a half if there is no such pair."""
        return (int(np.searchsorted(self.pairs, similarity)) + 0.5) / (len(self.pairs) + 1)

    def false_match_probability(self, similarity: float) -> float:
        """How likely the best frame would be at least so similar if the answer were not there, 0 to 1.

        Without decoys it is 1: nothing speaks for a match.
        """
        if not len(self.decoys):
            return 1.0
        if similarity <= self._begin:
            counted = 1 - int(np.searchsorted(self.decoys, similarity)) / len(self.decoys)
            return max(counted, self._counted_rate)
        return self._counted_rate * math.exp((_stretched(self._begin) - _stretched(similarity)) / self._scale)

    def threshold(self, false_match_rate: float) -> float:
        """The similarity that the best frame reaches in so large a share of searches whose answer is not there.

        It is one that a frame can reach; without decoys the largest such.

        Raises:
            SettingsError: a rate that is not between 0 and 1.
        """
        if not 0 < false_match_rate < 1:
            raise SettingsError(
                f"false-match rate {false_match_rate}; valid is between 0 and 1, such as 0.05; "
                "to see the nearest frames whatever they are, ask for the nearest (--nearest)"
            )
        if not len(self.decoys):
            return _REACHABLE
        if false_match_rate >= self._counted_rate:
            return min(float(np.quantile(self.decoys, 1 - false_match_rate)), _REACHABLE)
        y = _stretched(self._begin) + self._scale * math.log(self._counted_rate / false_match_rate)
        return min(-math.expm1(-y), _REACHABLE)

    @property
    def _counted_rate(self) -> float:
        """The least rate whose quantile is counted."""
        return min(_NUM_ABOVE / len(self.decoys), _TAIL_SHARE)

    @cached_property
    def _begin(self) -> float:
        """The similarity above which the tail is fitted."""
        return float(np.quantile(self.decoys, 1 - self._counted_rate))

    @cached_property
    def _scale(self) -> float:
        """Of the exponential tail: the mean of what exceeds its beginning, which is what is most likely."""
        begin = _stretched(float(np.quantile(self.decoys, 1 - _TAIL_SHARE)))
        excess = np.array([_stretched(value) - begin for value in self.decoys.tolist()])
        above = excess[excess > 0]
        return max(float(np.mean(above)), _MIN_SCALE) if len(above) else _MIN_SCALE


def measure_background(sample: Embeddings, decoys: Floats) -> Background:
    """The background of the frames that a sample was taken of.

    Sources that show the same, as copies do, make no unrelated pairs: their frames are too alike for that.

    Args:
        sample: some of the frames that are searched, spread over all of them.
        decoys: (M,), similarity of each decoy to the frame most like it, among all that are searched.
    """
    alone = Background(np.empty(0, np.float32), np.sort(decoys), num_sources=0)
    unrelated = _unrelated(sample)
    similarities = sample.vectors @ sample.vectors.T
    if alone.is_measured:
        others = unrelated & ~_same_footage(sample, similarities >= alone.threshold(SAME_FOOTAGE_RATE))
        unrelated = others if others.any() else unrelated
    pairs = np.sort(similarities[unrelated])
    step = max(1, len(pairs) // _MAX_PAIRS)
    return Background(pairs[::step], alone.decoys, num_sources=len(np.unique(sample.source_indices)))


def far_seconds(seconds: NDArray[np.float64]) -> float:
    """How far apart frames of one source are unrelated, by the times of all of them."""
    return min(_FAR_SECONDS, _FAR_SHARE * float(np.ptp(seconds))) if len(seconds) else _FAR_SECONDS


def _unrelated(frames: Embeddings) -> NDArray[np.bool_]:
    """(N, N): which pairs have nothing to do with each other, each once."""
    in_order = np.triu(np.ones((len(frames), len(frames)), np.bool_), k=1)
    others: NDArray[np.bool_] = frames.source_indices[:, None] != frames.source_indices
    if not others.any():
        others = np.abs(frames.seconds[:, None] - frames.seconds) >= far_seconds(frames.seconds)
    unrelated: NDArray[np.bool_] = in_order & others
    return unrelated


def _same_footage(frames: Embeddings, alike: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(N, N): which pairs are of two sources of which some pair is alike."""
    sources, positions = np.unique(frames.source_indices, return_inverse=True)
    same = np.zeros((len(sources), len(sources)), np.bool_)
    rows, columns = np.nonzero(alike)
    same[positions[rows], positions[columns]] = True
    np.fill_diagonal(same, val=False)
    found: NDArray[np.bool_] = same[positions[:, None], positions]
    return found


def _stretched(similarity: float) -> float:
    """The scale on which the tail is exponential."""
    return -math.log1p(-min(similarity, _LARGEST))
