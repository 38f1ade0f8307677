"""What a similarity means in a library: how alike things are that have nothing to do with each other.

Two questions are answered by counting. How alike are two frames of different sources? That tells how unusual a
similarity is. And how alike is the best of all frames to a query whose answer is not there? That is what a match has to
exceed: among many frames one is always near. It is counted with decoys (`decoys.py`); above most of them it follows the
law of all such tails, a generalised Pareto distribution. Its end point is known, 1 for a cosine, so that
y = -ln(1 - similarity) is exponential there, with one scale.

Sources: Pickands, "Statistical inference using extreme order statistics", 1975; Scheirer, Rocha, Micheals, Boult,
"Meta-recognition", 2011, for the extreme values of scores.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import SettingsError
from firstsight.retrieval.embedding import Embeddings

# Where there is one source alone, frames this far apart count as unrelated; in a short one, a quarter of its length.
_FAR_SECONDS = 20.0
_FAR_SHARE = 0.25
_MAX_PAIRS = 1_000_000
# The most alike of the decoys, which make up the tail.
_TAIL_SHARE = 0.2
# A cosine of 1 would lie infinitely far out.
_LARGEST = 1 - 1e-6


@dataclass(frozen=True, eq=False)
class Background:
    """How alike unrelated frames of a library are, and how alike the best frame is to what is not there."""

    pairs: NDArray[np.float32]  # (P,) similarity of each unrelated pair of frames, ascending
    decoys: NDArray[np.float32]  # (M,) similarity of each decoy to the frame most like it, ascending
    num_sources: int  # the pairs come from

    def __post_init__(self) -> None:
        if self.decoys.ndim != 1 or len(self.decoys) < 2:
            raise SettingsError(f"{self.decoys.shape} decoys; valid are at least 2 similarities in a row")

    def closer_than(self, similarity: float) -> float:
        """The share of unrelated pairs that are less alike, above 0 and below 1; a half if there is no such pair."""
        return (int(np.searchsorted(self.pairs, similarity)) + 0.5) / (len(self.pairs) + 1)

    def false_match_probability(self, similarity: float) -> float:
        """How likely the best frame would be at least so similar if the answer were not there, 0 to 1."""
        if similarity <= self._begin:
            return 1 - int(np.searchsorted(self.decoys, similarity)) / len(self.decoys)
        return self._share * math.exp((_stretched(self._begin) - _stretched(similarity)) / self._scale)

    def threshold(self, false_match_rate: float) -> float:
        """The similarity that the best frame reaches in so large a share of searches whose answer is not there.

        Raises:
            SettingsError: a rate that is not between 0 and 1.
        """
        if not 0 < false_match_rate < 1:
            raise SettingsError(f"false-match rate {false_match_rate}; valid is between 0 and 1, such as 0.05")
        if false_match_rate >= self._share:
            return float(np.quantile(self.decoys, 1 - false_match_rate))
        y = _stretched(self._begin) + self._scale * math.log(self._share / false_match_rate)
        return min(-math.expm1(-y), _LARGEST)

    @cached_property
    def _num_in_tail(self) -> int:
        return max(1, round(_TAIL_SHARE * len(self.decoys)))

    @property
    def _share(self) -> float:
        return self._num_in_tail / len(self.decoys)

    @cached_property
    def _begin(self) -> float:
        """The similarity above which the tail lies."""
        return float(self.decoys[-self._num_in_tail - 1])

    @cached_property
    def _scale(self) -> float:
        """Of the exponential tail: the mean distance from its beginning, which is what is most likely."""
        tail = self.decoys[-self._num_in_tail :].astype(np.float64)
        mean = float(np.mean([_stretched(value) for value in tail]))
        return max(mean - _stretched(self._begin), 1e-6)


def measure_background(sample: Embeddings, decoys: NDArray[np.float32]) -> Background:
    """The background of the frames that a sample was taken of.

    Args:
        sample: some of the frames that are searched, spread over all of them.
        decoys: (M,), similarity of each decoy to the frame most like it, among all that are searched.
    """
    similarities = sample.vectors @ sample.vectors.T
    pairs = np.sort(similarities[_unrelated(sample)])
    step = max(1, len(pairs) // _MAX_PAIRS)
    return Background(pairs[::step], np.sort(decoys), num_sources=len(np.unique(sample.source_indices)))


def _unrelated(frames: Embeddings) -> NDArray[np.bool_]:
    """(N, N): which pairs have nothing to do with each other, each once."""
    in_order = np.triu(np.ones((len(frames), len(frames)), np.bool_), k=1)
    others: NDArray[np.bool_] = frames.source_indices[:, None] != frames.source_indices
    if not others.any():
        far = min(_FAR_SECONDS, _FAR_SHARE * float(np.ptp(frames.seconds)))
        others = np.abs(frames.seconds[:, None] - frames.seconds) >= far
    unrelated: NDArray[np.bool_] = in_order & others
    return unrelated


def _stretched(similarity: float) -> float:
    """The scale on which the tail is exponential."""
    return -math.log1p(-min(similarity, _LARGEST))
