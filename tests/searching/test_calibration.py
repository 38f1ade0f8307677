"""Calibrated scores: on distributions with a known answer, and on held-out data."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstsight.errors import SettingsError
from firstsight.library.embeddings import Embeddings
from firstsight.searching.calibration import Background, measure_background

RATES = [0.3, 0.1, 0.05, 0.01]


def random_vectors(num: int, seed: int, dim: int = 48) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(num, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def frames(vectors: np.ndarray, sources: np.ndarray, seconds: np.ndarray | None = None) -> Embeddings:
    num = len(vectors)
    times = np.arange(num, dtype=float) if seconds is None else seconds
    return Embeddings(vectors, times, np.arange(num), sources, tuple(f"{one}.mp4" for one in range(sources.max() + 1)))


def background(decoys: list[float] | np.ndarray, pairs: list[float] | np.ndarray = ()) -> Background:
    return Background(np.sort(np.asarray(pairs, np.float32)), np.sort(np.asarray(decoys, np.float32)), 2)


@pytest.mark.parametrize("rate", RATES)
def test_the_stated_rate_is_measured_on_queries_that_nothing_was_fitted_to(rate: float) -> None:
    library, decoys, queries = (random_vectors(num, seed) for num, seed in ((3_000, 0), (400, 1), (4_000, 2)))
    measured = background((decoys @ library.T).max(axis=1))
    matched = ((queries @ library.T).max(axis=1) >= measured.threshold(rate)).mean()
    error = 3 * (rate * (1 - rate) / 400) ** 0.5  # three standard errors of a rate counted with 400 decoys
    assert matched == pytest.approx(rate, abs=error)


def test_among_more_frames_the_best_has_to_be_better() -> None:
    library, decoys = random_vectors(20_000, 0), random_vectors(200, 1)
    similarities = decoys @ library.T
    thresholds = [background(similarities[:, :num].max(axis=1)).threshold(0.05) for num in (20, 200, 2_000, 20_000)]
    assert thresholds == sorted(thresholds)
    assert thresholds[-1] > thresholds[0] + 0.15


@pytest.mark.parametrize("scale", [0.05, 0.3])
@pytest.mark.parametrize("rate", [0.05, 0.01, 0.001])
def test_the_law_of_the_tail_is_found_again(scale: float, rate: float) -> None:
    y = 0.5 + np.random.default_rng(0).exponential(scale, 20_000)
    found = background(-np.expm1(-y)).threshold(rate)
    assert -np.log1p(-found) == pytest.approx(0.5 + scale * np.log(1 / rate), rel=0.05)


decoy_lists = st.lists(st.floats(-1, 1, width=32), min_size=2, max_size=60)


@given(decoys=decoy_lists, similarity=st.floats(-1, 1), more=st.floats(0, 1), rate=st.floats(1e-6, 1 - 1e-6))
def test_what_holds_of_any_background(decoys: list[float], similarity: float, more: float, rate: float) -> None:
    measured = background(decoys)
    here, further = (measured.fitted_probability(value) for value in (similarity, min(1.0, similarity + more)))
    assert 0 <= further <= here <= 1
    stated = measured.false_match_probability(similarity)
    assert stated == (max(here, measured.rarest_rate) if len(decoys) >= 20 else None)
    assert -1 <= measured.threshold(rate) < 1
    assert measured.threshold(rate / 2) >= measured.threshold(rate)


@pytest.mark.parametrize("rate", [0.15, 0.05, 1e-3, 1e-5])
def test_threshold_and_probability_undo_each_other(rate: float) -> None:
    measured = background(np.random.default_rng(0).uniform(0.2, 0.6, 200))
    assert measured.false_match_probability(measured.threshold(rate)) == pytest.approx(rate, rel=1e-3)


def test_decoys_that_are_all_alike_leave_nothing_to_measure_but_their_place() -> None:
    measured = background([0.5] * 20)
    assert measured.threshold(0.05) == pytest.approx(0.5, abs=1e-4)
    assert measured.fitted_probability(0.6) < 1e-6
    assert measured.false_match_probability(0.6) == pytest.approx(5e-5)  # twenty decoys support no less


@pytest.mark.parametrize("num", [20, 344, 1_000])
def test_a_fit_is_believed_to_a_thousandth_of_what_is_counted(num: int) -> None:
    measured = background(np.random.default_rng(0).uniform(0.2, 0.4, num))
    assert measured.fitted_probability(0.999) < 1e-9
    assert measured.false_match_probability(0.999) == pytest.approx(1e-3 / num)


@pytest.mark.parametrize("num", [31, 32, 35, 36])
def test_the_last_digit_of_equal_decoys_decides_nothing(num: int) -> None:
    pairs = np.repeat(np.linspace(0.1, 0.5, 18), 2)[:num]  # two passages are each other's nearest
    other = pairs + np.tile([0, 1e-7], 18)[:num]
    found = [background(one).fitted_probability(0.7) for one in (pairs, other)]
    assert found[1] == pytest.approx(found[0], rel=1e-4)


def test_closer_than_counts_pairs() -> None:
    pairs = np.linspace(0, 0.999, 1_000)
    measured = background([0.1, 0.2], pairs)
    for similarity in (-1, 0.25, 0.5, 0.9996, 1):
        counted = (pairs.astype(np.float32) < np.float32(similarity)).mean()
        assert measured.closer_than(similarity) == pytest.approx(counted, abs=1e-3)
        assert 0 < measured.closer_than(similarity) < 1


def test_pairs_are_of_different_sources() -> None:
    vectors = random_vectors(30, 0)
    sources = np.repeat([0, 1, 2], 10)
    found = measure_background(frames(vectors, sources), np.array([0.1, 0.2], np.float32))
    expected = [float(vectors[i] @ vectors[j]) for i in range(30) for j in range(i + 1, 30) if sources[i] != sources[j]]
    np.testing.assert_allclose(found.pairs, sorted(expected), atol=1e-6)
    assert found.num_sources == 3


@pytest.mark.parametrize(("length", "far"), [(200.0, 20.0), (40.0, 10.0)])
def test_of_one_source_they_are_far_apart_in_time(length: float, far: float) -> None:
    vectors, seconds = random_vectors(41, 0), np.linspace(0, length, 41)
    found = measure_background(frames(vectors, np.zeros(41, int), seconds), np.array([0.1, 0.2], np.float32))
    expected = [
        float(vectors[i] @ vectors[j]) for i in range(41) for j in range(i + 1, 41) if seconds[j] - seconds[i] >= far
    ]
    np.testing.assert_allclose(found.pairs, sorted(expected), atol=1e-6)


@pytest.mark.parametrize("rate", [0, 1, -0.1, 5, float("nan")])
def test_a_rate_is_between_0_and_1(rate: float) -> None:
    with pytest.raises(SettingsError, match="valid is between 0 and 1"):
        background([0.1, 0.2]).threshold(rate)


def test_without_decoys_nothing_is_known() -> None:
    empty = background([])
    assert not empty.is_measured
    assert empty.false_match_probability(0.99) is None
    assert empty.closer_than(0.99) is None
    assert empty.threshold(0.05) < 1
    assert not background([0.3] * 19).is_measured
    assert background([0.3] * 19).false_match_probability(0.99) is None
    assert background([0.3] * 20).is_measured


def test_quantiles_are_counted_where_they_can_be() -> None:
    """Three outliers among 200, of frames that are themselves, move no quantile that has ten above it."""
    decoys = np.sort(np.r_[np.random.default_rng(0).uniform(0.1, 0.6, 197), 1.0, 1.0, 0.93])
    assert background(decoys).threshold(0.05) == pytest.approx(np.quantile(decoys, 0.95), abs=1e-6)
    assert background(decoys).threshold(0.05) < 0.6
    assert background(decoys).threshold(0.04) < 0.7


def test_copies_are_no_unrelated_pairs() -> None:
    vectors = random_vectors(40, 0)
    vectors[30:] = vectors[:10]  # the last source is the first once more
    found = measure_background(
        frames(vectors, np.repeat([0, 1, 2, 3], 10)), np.linspace(0.2, 0.5, 40, dtype=np.float32)
    )
    assert found.pairs.max() < 0.9
    assert len(found.pairs) == 5 * 100
