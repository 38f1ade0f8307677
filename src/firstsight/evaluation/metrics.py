"""How good is a ranking? Pure functions of similarities and labels.

Retrieval is scored query by query, so that two methods can be compared on the same queries; the mean is the figure that
is usually quoted. Among equally similar ones the earlier in the gallery comes first: where ties are common and the
gallery is sorted by label, shuffle it.
"""

import numpy as np
from numpy.typing import NDArray

from firstsight.learning.auroc import auroc

__all__ = ["auroc", "average_precision", "found_at", "knn_labels", "linear_probe_labels"]

# What the linear probe may choose among, for embeddings of variance 1.
_PENALTIES = (1e0, 1e1, 1e2, 1e3, 1e4, 1e5)


def found_at(similarities: NDArray[np.floating], relevant: NDArray[np.bool_], *, k: int) -> NDArray[np.float64]:
    """For each query 1 if a relevant one is among the k most similar, else 0. The mean is recall@k.

    Source: Arandjelovic et al., "NetVLAD", 2016, section 5.1.

    Args:
        similarities: (Q, G) of queries to gallery; minus infinity for what a query must not find.
        relevant: (Q, G), False for those.
        k: how many are looked at; more than there are is all.

    Returns:
        (Q,)
    """
    nearest = _ranking(similarities)[:, :k]
    found: NDArray[np.float64] = np.take_along_axis(relevant, nearest, axis=1).astype(np.float64).max(axis=1)
    return found


def average_precision(similarities: NDArray[np.floating], relevant: NDArray[np.bool_]) -> NDArray[np.float64]:
    """For each query the mean, over its relevant ones, of the precision down to that one. The mean is mAP.

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
    similarities: NDArray[np.floating], gallery_labels: NDArray[np.int64], *, k: int = 20, temperature: float = 0.07
) -> NDArray[np.int64]:
    """The label that the k nearest vote for, each with the weight exp(similarity / temperature).

    Source: Wu, Xiong, Yu, Lin, "Unsupervised Feature Learning via Non-Parametric Instance Discrimination", 2018.

    Args:
        similarities: (Q, G), cosines of queries to gallery.
        gallery_labels: (G,), from 0.
        k: voters; more than there are is all.
        temperature: small lets the nearest decide.

    Returns:
        (Q,)
    """
    nearest = _ranking(similarities)[:, :k]
    weights = np.exp(np.take_along_axis(similarities, nearest, axis=1).astype(np.float64) / temperature)
    votes = np.zeros((len(similarities), int(gallery_labels.max()) + 1))
    np.add.at(votes, (np.arange(len(votes))[:, None], gallery_labels[nearest]), weights)
    most: NDArray[np.int64] = votes.argmax(axis=1)
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
    """What ridge regression with an unpenalised constant predicts for the queries, (Q, classes)."""
    centre, constant = inputs.mean(axis=0), targets.mean(axis=0)
    x, y, asked = (inputs - centre).astype(np.float64), targets - constant, (queries - centre).astype(np.float64)
    num, dim = x.shape
    if dim <= num:
        weights = np.linalg.solve(x.T @ x + penalty * np.eye(dim), x.T @ y)
    else:  # the same by way of the products of the rows, which are fewer
        weights = x.T @ np.linalg.solve(x @ x.T + penalty * np.eye(num), y)
    scores: NDArray[np.float64] = asked @ weights + constant
    return scores
