"""Thresholds of a library, and the probability of a false match: how alike unrelated pictures are.

Two distributions are measured. The similarity of two frames of different sources states how unusual a similarity is.
The similarity of the best frame to a query whose answer is absent, a decoy (`decoys.py`), sets what a match has to
exceed. Both are measured with the similarity that is searched by, fused where a second stage judges. Quantiles of the
decoys are used where enough of them lie above; the tail beyond is fitted by a generalised Pareto distribution. Its end
point is known, 1, so that y = -ln(1 - similarity) is exponential there. A fit is believed to a thousandth of the rarest
rate that its decoys can count; no smaller probability is stated.

Sources: Pickands, "Statistical inference using extreme order statistics", 1975; Scheirer, Rocha, Micheals, Boult,
"Meta-recognition", 2011, for the extreme values of scores.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import SettingsError, check_number
from firstsight.library.embeddings import Embeddings

Floats = NDArray[np.float32]

# Fewer decoys do not determine a rate of a few percent.
MIN_DECOYS = 20
# Two sources show the same if unrelated frames reach the similarity of some pair of theirs more rarely than this.
SAME_FOOTAGE_RATE = 1e-3
# A quantile is counted if at least this number of decoys lies above it: its rate is then known to about a third.
_NUM_ABOVE = 10
# The most similar decoys, by which the tail's scale is fitted.
_TAIL_SHARE = 0.2
# A fitted tail is believed three orders of magnitude beyond the rarest rate that could have been counted.
_BEYOND_COUNTED = 1e-3
# -ln(1 - similarity) is infinite at 1.
_MAX_SIMILARITY = 1 - 1e-6
# No threshold is above this: the query's own frame, stored in 16 bits, is more similar.
_MAX_THRESHOLD = 1 - 1e-4
_MIN_SCALE = 1e-6
# In a single source, frames this far apart count as unrelated; in a short one, a quarter of its length.
_FAR_SECONDS = 20.0
_FAR_SHARE = 0.25
_MAX_PAIRS = 100_000
# Pairs that a second stage judges: so many frames with so many others each, within a second.
_JUDGED_FRAMES, _JUDGED_OTHERS = 100, 20

# Of one frame of a sample to others, by their positions (K,) in it.
PairSimilarity = Callable[[int, NDArray[np.intp]], Floats]


# For a library with too few frames to measure what is normal: near copies of a frame reach it, hardly anything else.
ASSUMED_THRESHOLD = 0.8


def check_match_rate(rate: object) -> float:
    """The rate as a float. Raises a SettingsError if it is not between 0 and 1."""
    valid = (
        "between 0 and 1, such as 0.05; to get the nearest frames without a threshold, ask for the nearest (--nearest)"
    )
    return check_number("false-match rate {}", rate, valid, lambda rate: 0 < rate < 1)


@dataclass(frozen=True, eq=False)
class Background:
    """How alike unrelated frames of a library are, and how alike the best frame is to an absent picture."""

    pairs: Floats  # (P,) similarity of each unrelated pair of frames, ascending
    decoys: Floats  # (M,) similarity of each decoy to its nearest frame, ascending
    num_sources: int  # the pairs come from

    def __post_init__(self) -> None:
        if self.decoys.ndim != 1 or self.pairs.ndim != 1:
            raise SettingsError(f"{self.decoys.shape} decoys, {self.pairs.shape} pairs; valid are rows of similarities")

    @property
    def is_measured(self) -> bool:
        """Whether there are decoys enough to state a rate."""
        return len(self.decoys) >= MIN_DECOYS

    def closer_than(self, similarity: float) -> float | None:
        """The share of unrelated pairs that are less alike, above 0 and below 1; None if there is no such pair."""
        if not len(self.pairs):
            return None
        return (int(np.searchsorted(self.pairs, similarity)) + 0.5) / (len(self.pairs) + 1)

    def false_match_probability(self, similarity: float) -> float | None:
        """The probability that the best frame is at least so similar if the answer is absent; None if not measured.

        At least the `rarest_rate`: a smaller one the decoys do not support.
        """
        return max(self.fitted_probability(similarity), self.rarest_rate) if self.is_measured else None

    @property
    def rarest_rate(self) -> float:
        """The smallest false-match rate that so many decoys support."""
        return rarest_rate(len(self.decoys))

    def fitted_probability(self, similarity: float) -> float:
        """The same by the fit alone, however few the decoys and small the result; 1 without any.

        To order what is found, not to state how certain it is.
        """
        if not len(self.decoys):
            return 1.0
        if similarity <= self._begin:
            counted = 1 - int(np.searchsorted(self.decoys, similarity)) / len(self.decoys)
            return max(counted, self._counted_rate)
        excess = minus_log_distance(similarity) - minus_log_distance(self._begin)
        return self._counted_rate * math.exp(-excess / self._scale)

    def threshold(self, false_match_rate: float) -> float:
        """The similarity that the best frame reaches in this share of searches whose answer is absent, at most 0.9999.

        Raises:
            SettingsError: a rate that is not between 0 and 1.
        """
        false_match_rate = check_match_rate(false_match_rate)
        if not len(self.decoys):
            return _MAX_THRESHOLD
        if false_match_rate >= self._counted_rate:
            return min(float(np.quantile(self.decoys, 1 - false_match_rate)), _MAX_THRESHOLD)
        y = minus_log_distance(self._begin) + self._scale * math.log(self._counted_rate / false_match_rate)
        return min(-math.expm1(-y), _MAX_THRESHOLD)

    @property
    def _counted_rate(self) -> float:
        """The smallest rate whose quantile is counted."""
        return min(_NUM_ABOVE / len(self.decoys), _TAIL_SHARE)

    @cached_property
    def _begin(self) -> float:
        """The similarity above which the tail is fitted."""
        return float(np.quantile(self.decoys, 1 - self._counted_rate))

    @cached_property
    def _scale(self) -> float:
        """Of the exponential tail: the mean excess over its beginning, the maximum-likelihood estimate.

        Those above are counted by their rank: of decoys that are equal up to rounding, as two passages that are each
        other's nearest, the last digit must not decide whether an excess of 0 counts.
        """
        begin = minus_log_distance(float(np.quantile(self.decoys, 1 - _TAIL_SHARE)))
        num_above = max(1, math.ceil((len(self.decoys) - 1) * _TAIL_SHARE - 1e-9))
        above = [max(0.0, minus_log_distance(value) - begin) for value in self.decoys[-num_above:].tolist()]
        return max(float(np.mean(above)), _MIN_SCALE)


def rarest_rate(num_samples: int) -> float:
    """The smallest probability that a tail fitted to so many samples supports: 1 in a thousand times their number."""
    return _BEYOND_COUNTED / num_samples if num_samples else 1.0


def measure_background(
    sample: Embeddings, decoys: Floats, fused: tuple[Floats, PairSimilarity] | None = None
) -> Background:
    """The background of the frames that a sample was taken of; sources that show the same make no unrelated pairs.

    Args:
        sample: evenly spaced frames of those that are searched.
        decoys: (M,), cosine of each decoy with its nearest frame, among all that are searched.
        fused: where a second stage judges: the fused similarity of each decoy to its nearest frame, and that of frames
            of the sample; cosines then only say which sources show the same.
    """
    alone = Background(np.empty(0, np.float32), np.sort(decoys), num_sources=0)
    unrelated = _unrelated(sample)
    similarities = sample.vectors @ sample.vectors.T
    if alone.is_measured:
        others = unrelated & ~_same_footage(sample, similarities >= alone.threshold(SAME_FOOTAGE_RATE))
        unrelated = others if others.any() else unrelated
    if fused is None:
        best, pairs = alone.decoys, np.sort(similarities[unrelated])
    else:
        best, pairs = np.sort(fused[0]), np.sort(_judged(unrelated | unrelated.T, fused[1]))
    step = max(1, len(pairs) // _MAX_PAIRS)
    return Background(pairs[::step], best, num_sources=len(np.unique(sample.source_indices)))


def _judged(unrelated: NDArray[np.bool_], similarity: PairSimilarity) -> Floats:
    """The similarities of evenly spaced frames to evenly spaced ones of those that are unrelated to them."""
    rows = _evenly(np.flatnonzero(unrelated.any(axis=1)), _JUDGED_FRAMES)
    found = [similarity(int(row), _evenly(np.flatnonzero(unrelated[row]), _JUDGED_OTHERS)) for row in rows]
    return np.concatenate([np.empty(0, np.float32), *found])


def _evenly(values: NDArray[np.intp], num: int) -> NDArray[np.intp]:
    return values[np.unique(np.linspace(0, len(values) - 1, num).astype(np.intp))] if len(values) else values


def far_seconds(seconds: NDArray[np.float64]) -> float:
    """How far apart frames of one source count as unrelated, given the times of all of them."""
    return min(_FAR_SECONDS, _FAR_SHARE * float(np.ptp(seconds))) if len(seconds) else _FAR_SECONDS


def _unrelated(frames: Embeddings) -> NDArray[np.bool_]:
    """(N, N): which pairs are unrelated, each once."""
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


def minus_log_distance(similarity: float) -> float:
    """-ln(1 - similarity), the scale on which the tail of similarities is exponential; finite at 1."""
    return -math.log1p(-min(similarity, _MAX_SIMILARITY))


def match_threshold(background: Background, false_match_rate: float) -> float:
    """The lowest similarity of a match; at least 0.8 in a library with too few frames to measure it.

    Raises:
        SettingsError: a rate that is not between 0 and 1.
    """
    measured = background.threshold(false_match_rate)
    if background.is_measured:
        return measured
    return max(ASSUMED_THRESHOLD, measured) if len(background.decoys) else ASSUMED_THRESHOLD
