"""Metrics of retrieval and classification, and a question to ask of encoders and baselines alike."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firstsight.evaluation.baselines import Method

# Of the linear probe, for embeddings of variance 1.
_PENALTIES = (1e0, 1e1, 1e2, 1e3, 1e4, 1e5)


def found_at(similarities: NDArray[np.floating], relevant: NDArray[np.bool_], *, k: int) -> NDArray[np.float64]:
    """For each query 1 if a relevant one is among the k most similar, else 0. The mean is recall@k.

    Source: Arandjelovic et al., "NetVLAD", 2016, section 5.1.

    Args:
        similarities: (Q, G) of queries to gallery; minus infinity for what a query must not find.
        relevant: (Q, G), False for those.
        k: more than there are is all.

    Returns:
        (Q,)
    """
    nearest = _ranking(similarities)[:, :k]
    found: NDArray[np.float64] = np.take_along_axis(relevant, nearest, axis=1).astype(np.float64).max(axis=1)
    return found


def average_precision(similarities: NDArray[np.floating], relevant: NDArray[np.bool_]) -> NDArray[np.float64]:
    """For each query the mean, over its relevant ones, of the precision down to that one. The mean is mAP.

    Of all queries at once, and among ties the earlier first, which scikit-learn's does not do.

    Source: Manning, Raghavan, Schuetze, "Introduction to Information Retrieval", 2008, section 8.4.

    Args:
        similarities: (Q, G) of queries to gallery; minus infinity for what a query must not find.
        relevant: (Q, G), False for those.

    Returns:
        (Q,), 0 to 1; 0 for a query without anything relevant.
    """
    hits = np.take_along_axis(relevant, _ranking(similarities), axis=1)
    precisions = hits.cumsum(axis=1) / np.arange(1, hits.shape[1] + 1)
    mean: NDArray[np.float64] = (precisions * hits).sum(axis=1) / np.maximum(1, hits.sum(axis=1))
    return mean


def knn_labels(
    similarities: NDArray[np.floating], labels: NDArray[np.int64], *, k: int = 20, temperature: float = 0.07
) -> NDArray[np.int64]:
    """The label (Q,) that the k nearest vote for, each with the weight exp(similarity / temperature).

    Source: Wu, Xiong, Yu, Lin, "Unsupervised Feature Learning via Non-Parametric Instance Discrimination", 2018.

    Args:
        similarities: (Q, G) of queries to gallery, -1 to 1.
        labels: (G,), from 0.
        k: voters; more than there are is all.
        temperature: small lets the nearest decide.
    """
    nearest = np.argpartition(-similarities, min(k, len(labels)) - 1, axis=1)[:, :k]
    weights = np.exp(np.take_along_axis(similarities, nearest, axis=1).astype(np.float64) / temperature)
    num_queries, num_labels = len(similarities), int(labels.max()) + 1
    ballots = np.arange(num_queries)[:, None] * num_labels + labels[nearest]
    votes = np.bincount(ballots.ravel(), weights.ravel(), num_queries * num_labels)
    most: NDArray[np.int64] = votes.reshape(num_queries, num_labels).argmax(axis=1)
    return most


def linear_probe_labels(
    vectors: NDArray[np.float32], labels: NDArray[np.int64], held_out: NDArray[np.bool_], queries: NDArray[np.float32]
) -> NDArray[np.int64]:
    """The label that ridge regression on one-hot labels gives each query.

    Embeddings are standardised; the penalty is the one that is right most often on the part held out, and then all of
    them are learned from.
    Source: Hastie, Tibshirani, Friedman, "The Elements of Statistical Learning", 2009, sections 3.4.1 and 4.2.

    Args:
        vectors: (N, dim), to learn from.
        labels: (N,), from 0.
        held_out: (N,), True for those the penalty is chosen on; without any it is 100.
        queries: (Q, dim).

    Returns:
        (Q,)
    """
    mean, deviation = vectors.mean(axis=0), vectors.std(axis=0) + 1e-6
    standard, asked = (vectors - mean) / deviation, (queries - mean) / deviation
    targets = np.eye(int(labels.max()) + 1)[labels]

    def num_right(penalty: float) -> int:
        scores = _ridge_scores(standard[~held_out], targets[~held_out], standard[held_out], penalty)
        return int((scores.argmax(axis=1) == labels[held_out]).sum())

    can_choose = bool(held_out.any() and not held_out.all())
    penalty = max(_PENALTIES, key=num_right) if can_choose else 1e2
    highest: NDArray[np.int64] = _ridge_scores(standard, targets, asked, penalty).argmax(axis=1)
    return highest


def _ranking(similarities: NDArray[np.floating]) -> NDArray[np.intp]:
    """For each query the gallery, most similar first: (Q, G)."""
    return np.argsort(-similarities, axis=1, kind="stable")


def _ridge_scores(
    inputs: NDArray[np.floating], targets: NDArray[np.float64], queries: NDArray[np.floating], penalty: float
) -> NDArray[np.float64]:
    """What ridge regression predicts for the queries, (Q, classes)."""
    from sklearn.linear_model import Ridge

    ridge = Ridge(alpha=penalty).fit(inputs.astype(np.float64), targets)
    scores: NDArray[np.float64] = ridge.predict(queries.astype(np.float64)).reshape(len(queries), -1)
    return scores


# Of all differences that are chance, so many are not called clear.
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """How much better one method is than another on the same queries."""

    value: float  # mean of first minus second, in the figure's unit
    standard_error: float  # of that mean
    num_blocks: int  # that the standard error is of

    @property
    def is_measured(self) -> bool:
        """Whether there are blocks enough to say how much they differ."""
        return self.num_blocks > 1

    @property
    def clear(self) -> bool:
        """Whether it is larger than chance explains in 95 % of cases: never with fewer than two blocks.

        Student's t with a degree of freedom less than there are blocks: 12.7 standard errors with two, 2.1 with twenty.
        Source: Cameron, Miller, "A Practitioner's Guide to Cluster-Robust Inference", 2015, section VI.
        """
        if not self.is_measured:
            return False
        from scipy.stats import t  # takes long to load

        most_by_chance = float(t.ppf((1 + _CONFIDENCE) / 2, self.num_blocks - 1))
        return abs(self.value) > most_by_chance * self.standard_error


def difference(first: NDArray[np.float64], second: NDArray[np.float64], blocks: NDArray[np.int64]) -> Difference:
    """The mean gain of the first over the second, query by query: what is hard for both cancels."""
    return mean_of(first - second, blocks)


def mean_of(gained: NDArray[np.float64], blocks: NDArray[np.int64]) -> Difference:
    """The mean of what is gained in each query (N,), given the block of each."""
    return Difference(float(gained.mean()), standard_error(gained, blocks), len(np.unique(blocks)))


def standard_error(values: NDArray[np.float64], blocks: NDArray[np.int64]) -> float:
    """The standard error of the mean of values that are similar within a block, such as neighbouring frames of a video.

    With a block for each value it is the usual standard deviation / sqrt(N).
    Source: Cameron, Miller, "A Practitioner's Guide to Cluster-Robust Inference", 2015, equation 11, for a mean.

    Args:
        values: (N,).
        blocks: (N,), which block each value belongs to, from 0.

    Returns:
        Infinite with fewer than two blocks.
    """
    num_blocks = len(np.unique(blocks))
    if num_blocks < 2:
        return float("inf")
    sums = np.bincount(blocks, weights=values - values.mean())
    return float(np.sqrt((sums**2).sum() * num_blocks / (num_blocks - 1)) / len(values))


def auroc_by_case(positives: NDArray[np.floating], negatives: NDArray[np.floating]) -> NDArray[np.float64]:
    """A value for each positive, then each negative: their mean is the AUROC, their `standard_error` that of the AUROC.

    It is the AUROC, and what the case adds to that: by which share of the other kind it is on the right side, a tie
    counting half. Both kinds weigh as much, however many there are of each.
    Source: DeLong, DeLong, Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating
    characteristic curves", 1988; for blocks Obuchowski, "Nonparametric analysis of clustered ROC curve data", 1997.

    Args:
        positives: (P,), scores.
        negatives: (N,).

    Returns:
        (P + N,)
    """
    right = _share_below(negatives, positives), 1 - _share_below(positives, negatives)
    area, num = right[0].mean(), len(positives) + len(negatives)
    return np.concatenate([area + (one - area) * num / len(one) for one in right])


def _share_below(values: NDArray[np.floating], limits: NDArray[np.floating]) -> NDArray[np.float64]:
    """For each limit the share of the values that are below, those equal to it counting half."""
    ascending = np.sort(values)
    below = [np.searchsorted(ascending, limits, side) for side in ("left", "right")]
    shares: NDArray[np.float64] = (below[0] + below[1]) / (2 * len(values))
    return shares


def query_blocks(num: int, *, most: int = 20) -> NDArray[np.int64]:
    """The block (num,) of each query: neighbouring ones, of equal length, at most so many blocks."""
    return np.arange(num) * min(num, most) // max(1, num)


@dataclass(frozen=True)
class Scores:
    """How well one method answers."""

    figures: Mapping[str, float | None]  # 0 to 1, by the question's columns; None: does not apply to this footage
    per_query: NDArray[np.float64]  # (Q,), whose mean is the first figure
    blocks: NDArray[np.int64]  # (Q,), queries of one block are similar, as neighbouring frames are

    @property
    def standard_error(self) -> float:
        """Of the first figure."""
        return standard_error(self.per_query, self.blocks)


@dataclass(frozen=True)
class Question:
    """What is asked, and how an answer is scored."""

    asks: str  # in words
    columns: Mapping[str, str]  # name of a figure: what it means. Methods are compared by the first.
    score: Callable[[Method, NDArray[np.uint8]], Scores]  # of a method, on the sample's frames through its view
    notes: tuple[str, ...] = ()  # for people, a line each
