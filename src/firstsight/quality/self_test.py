"""Is it any good on this footage? Two questions that need no labels.

*The same after a change*: a frame whose view, light or cleanness has changed searches among all frames as they were.
*Neighbours in time against strangers*: frames a moment apart should be more alike than frames far apart.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata

from firstsight.errors import SettingsError
from firstsight.quality.perturb import Kind, perturbed


def auroc(positives: NDArray[np.floating], negatives: NDArray[np.floating]) -> float:
    """The probability that a positive scores above a negative, a tie counting half: 0.5 is chance, 1 perfect.

    Source: Hanley, McNeil, "The meaning and use of the area under a receiver operating characteristic curve", 1982.

    Raises:
        SettingsError: there is no positive, or no negative.
    """
    num_positives, num_negatives = len(positives), len(negatives)
    if not num_positives or not num_negatives:
        raise SettingsError(f"{num_positives} positives and {num_negatives} negatives; valid is at least one of each")
    ranks = rankdata(np.concatenate([positives, negatives]))[:num_positives]  # from 1, the mean among equals
    above = ranks.sum() - num_positives * (num_positives + 1) / 2
    return float(above / (num_positives * num_negatives))


Embed = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

_MAX_QUERIES = 300
_LEAST_FRAMES = 10  # with fewer, finding the right one is too easy to mean anything
_STILL = 0.05  # grey levels
_BATCH = 50
# Frames of a video no further apart are one moment; the neighbour of a frame is the first that is another one.
SAME_SECONDS = 0.5
NEIGHBOUR_SECONDS = 3.0  # at most
# A stranger is from another source, or at least so much of its own source away and so many times as far as a neighbour.
_STRANGER_SHARE, _STRANGER_TIMES = 0.25, 4.0


@dataclass(frozen=True)
class SelfTest:
    """The answers; None where a question makes no sense for the footage."""

    after_view: float | None  # share of frames found again after another view, 0 to 1
    after_light: float | None
    after_noise: float | None
    neighbours_against_strangers: float | None  # AUROC: 0.5 chance, 1 every neighbour is more alike than any stranger
    stands_out: float | None  # by how many standard deviations of the wrong ones the right one is more alike, mean
    queries: NDArray[np.intp] = field(repr=False, compare=False)  # (Q,), the frames that were asked about
    found: NDArray[np.float64] = field(repr=False, compare=False)  # (Q,), share of the changes it was found again after

    @property
    def after_change(self) -> float | None:
        """The mean over the three kinds of change."""
        return float(self.found.mean()) if len(self.found) else None

    def facts(self) -> dict[str, float | int | None]:
        """For the record of a run."""
        return {
            "after_change": self.after_change,
            "after_view": self.after_view,
            "after_light": self.after_light,
            "after_noise": self.after_noise,
            "neighbours_against_strangers": self.neighbours_against_strangers,
            "stands_out": self.stands_out,
            "num_queries": len(self.queries),
        }


@dataclass(frozen=True)
class Times:
    """When frames in order were seen."""

    seconds: NDArray[np.float64]  # (N,)
    sources: NDArray[np.int64]  # (N,), which source each is from
    same_seconds: float = SAME_SECONDS  # what lies no further apart is the same moment

    @classmethod
    def of_positions(cls, num_frames: int) -> "Times":
        """Of frames of one source, of which nothing but the order is known: frame and next are one moment."""
        return cls(np.arange(num_frames, dtype=np.float64), np.zeros(num_frames, np.int64), same_seconds=1.0)


def self_test(embed: Embed, frames: NDArray[np.uint8], times: Times | None, *, generator: torch.Generator) -> SelfTest:
    """Asks both questions.

    Args:
        embed: frames uint8 (N, H, W, C) to float32 vectors (N, dim) of unit length. It is given the frames once, and at
            most 300 of them, spread evenly, three times changed.
        frames: uint8 (N, H, W, C).
        times: when they were seen; None for pictures in no order, of which each is its own moment.
        generator: of the changes; in the same state for two encoders it asks both the same.

    Returns:
        The answers. With fewer than 10 frames, or frames that are all alike, there is nothing to ask.
    """
    queries = _spread(len(frames))
    if len(frames) < _LEAST_FRAMES or frames[queries, ::2, ::2].std(axis=0, dtype=np.float64).mean() < _STILL:
        return SelfTest(None, None, None, None, None, np.empty(0, np.intp), np.empty(0))
    vectors = embed(frames)
    right = _same_moment(frames, queries, times)
    found, lead = {}, []
    for kind in get_args(Kind):
        batches = [frames[queries[start : start + _BATCH]] for start in range(0, len(queries), _BATCH)]
        asked = np.concatenate([embed(perturbed(batch, kind, generator=generator)) for batch in batches])
        found[kind] = _nearest_is_right(asked @ vectors.T, right)
        lead.append(_stands_out(asked @ vectors.T, right))
    return SelfTest(
        after_view=float(found["view"].mean()),
        after_light=float(found["light"].mean()),
        after_noise=float(found["noise"].mean()),
        neighbours_against_strangers=None if times is None else _auroc_over_time(vectors, queries, times),
        stands_out=float(np.mean(lead)),
        queries=queries,
        found=np.mean(list(found.values()), axis=0),
    )


def _spread(num_frames: int) -> NDArray[np.intp]:
    """At most 300 positions, spread evenly."""
    return np.unique(np.linspace(0, max(0, num_frames - 1), _MAX_QUERIES).round().astype(np.intp))


def _same_moment(frames: NDArray[np.uint8], queries: NDArray[np.intp], times: Times | None) -> NDArray[np.bool_]:
    """Which frames (Q, N) are as good an answer as the query itself: twins to the pixel, and what is as good as now."""
    pictures = np.array([hash(frame.tobytes()) for frame in frames])
    same: NDArray[np.bool_] = pictures[queries, None] == pictures
    if times is not None:
        apart = np.abs(times.seconds - times.seconds[queries, None])
        same |= (times.sources == times.sources[queries, None]) & (apart <= times.same_seconds)
    return same


def _nearest_is_right(similarities: NDArray[np.float32], right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """For each query (Q, N) 1 if its nearest is right, 0 if not; of several equally near the share that is."""
    nearest = similarities == similarities.max(axis=1, keepdims=True)
    share: NDArray[np.float64] = (nearest & right).sum(axis=1) / nearest.sum(axis=1)
    return share


def _stands_out(similarities: NDArray[np.float32], right: NDArray[np.bool_]) -> float:
    """The best right one above the mean of the wrong ones, in their standard deviations, mean over queries (Q, N)."""
    best = np.where(right, similarities, -np.inf).max(axis=1)
    wrong = np.ma.masked_array(similarities, right)
    lead = (best - wrong.mean(axis=1)) / np.maximum(wrong.std(axis=1), np.finfo(np.float32).eps)
    return float(np.ma.filled(lead, 0.0).mean())


def _auroc_over_time(vectors: NDArray[np.float32], queries: NDArray[np.intp], times: Times) -> float | None:
    """Similarity of each query to the first frame after its moment, against that to all frames far away."""
    since = times.seconds - times.seconds[queries, None]
    own = times.sources == times.sources[queries, None]
    later = np.where(own & (since > times.same_seconds) & (since <= NEIGHBOUR_SECONDS), since, np.inf)
    gaps, neighbours = later.min(axis=1), later.argmin(axis=1)
    lengths = np.where(own, np.abs(since), 0).max(axis=1)
    far = np.abs(since) >= np.maximum(_STRANGER_SHARE * lengths, _STRANGER_TIMES * gaps)[:, None]
    strangers = (~own | far) & np.isfinite(gaps)[:, None]
    with_both = np.flatnonzero(strangers.any(axis=1))
    if len(with_both) < _LEAST_FRAMES:
        return None
    similarities = vectors[queries] @ vectors.T
    return auroc(similarities[with_both, neighbours[with_both]], similarities[strangers])
