"""Against slow obvious versions, and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from firstsight.evaluation.metrics import average_precision, found_at, knn_labels, linear_probe_labels

HAND = np.array([[0.9, 0.5, 0.1, 0.3], [0.2, 0.1, 0.8, -np.inf]])
RELEVANT = np.array([[False, True, True, False], [True, True, False, False]])


def test_by_hand() -> None:
    # Ranked: 0 1 3 2 with hits - + - +; 2 0 1 3 with hits - + + -.
    assert found_at(HAND, RELEVANT, k=1).tolist() == [0, 0]
    assert found_at(HAND, RELEVANT, k=2).tolist() == [1, 1]
    assert average_precision(HAND, RELEVANT).tolist() == pytest.approx([(1 / 2 + 2 / 4) / 2, (1 / 2 + 2 / 3) / 2])


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def clusters() -> tuple[np.ndarray, np.ndarray]:
    """200 unit vectors around 4 centres, and which."""
    random = np.random.default_rng(0)
    labels = np.arange(200) % 4
    return unit(random.normal(size=(4, 12))[labels] + 1.1 * random.normal(size=(200, 12))).astype(np.float32), labels


def test_average_precision_is_scikit_learns(clusters: tuple) -> None:
    vectors, labels = clusters
    similarities = vectors[:40] @ vectors[40:].T
    relevant = labels[:40, None] == labels[40:]
    expected = [average_precision_score(*pair) for pair in zip(relevant, similarities, strict=True)]
    np.testing.assert_allclose(average_precision(similarities, relevant), expected, atol=1e-6)


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 6))
def test_recall_is_what_a_loop_finds_and_grows_with_k(seed: int, num: int, k: int) -> None:
    random = np.random.default_rng(seed)
    similarities, relevant = random.random((5, num)), random.random((5, num)) < 0.3
    found = [
        any(relevant[query, place] for place in sorted(range(num), key=lambda place: -similarities[query, place])[:k])
        for query in range(5)
    ]
    assert found_at(similarities, relevant, k=k).tolist() == found
    assert (found_at(similarities, relevant, k=k + 1) >= found).all()
    assert found_at(similarities, relevant, k=num).tolist() == relevant.any(axis=1).tolist()


@pytest.mark.parametrize("k", [1, 5, 20, 1000])
def test_knn_is_the_slow_vote(clusters: tuple, k: int) -> None:
    vectors, labels = clusters
    queries, gallery = vectors[:30], vectors[30:]
    expected = []
    for query in queries:
        similarities = gallery @ query
        votes = dict.fromkeys(range(4), 0.0)
        for place in np.argsort(-similarities)[:k]:
            votes[labels[30 + place]] += np.exp(similarities[place] / 0.07)
        expected.append(max(votes, key=votes.get))
    assert knn_labels(queries @ gallery.T, labels[30:], k=k).tolist() == expected


def test_the_probes_penalty_is_chosen_on_what_is_held_out() -> None:
    random = np.random.default_rng(2)
    labels = np.arange(160) % 2
    vectors = (random.normal(size=(160, 100)) + labels[:, None] * 0.4).astype(np.float32)
    held_out = np.arange(100) >= 70
    right = linear_probe_labels(vectors[:100], labels[:100], held_out, vectors[100:]) == labels[100:]
    assert right.mean() > 0.9
    without = linear_probe_labels(vectors[:100], labels[:100], np.ones(100, bool), vectors[100:]) == labels[100:]
    assert abs(right.mean() - without.mean()) < 0.1
