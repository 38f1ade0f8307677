import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstsight.comparison.running_statistics import RunningStatistics, largest


@pytest.mark.parametrize("window", [None, 2, 7, 64, 500])
@pytest.mark.parametrize("offset", [0, 1e4])
def test_equals_numpy_over_what_counts(window: int | None, offset: float) -> None:
    embeddings = (np.random.default_rng(0).normal(size=(300, 20)) + offset).astype(np.float32)
    statistics = RunningStatistics(window=window)
    for count, embedding in enumerate(embeddings, start=1):
        statistics.add(embedding)
        counts = embeddings[max(0, count - (window or count)) : count].astype(np.float64)
        assert statistics.num_embeddings == len(counts)
        np.testing.assert_allclose(statistics.standard_deviation(), counts.std(axis=0), atol=1e-7, rtol=1e-7)
        np.testing.assert_allclose(statistics.mean(), counts.mean(axis=0), rtol=1e-9, atol=1e-9)


def test_a_dimension_that_stops_changing_has_no_deviation_once_the_window_has_passed() -> None:
    statistics = RunningStatistics(window=5)
    for value in [1e3, -1e3, 7, 7, 7, 7, 7]:
        statistics.add(np.array([value], np.float32))
    assert statistics.standard_deviation()[0] == pytest.approx(0, abs=1e-4)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.integers(1, 45))
def test_largest_equals_a_stable_sort(values: list[int], num: int) -> None:
    order = sorted(range(len(values)), key=lambda i: (-values[i], i))
    assert largest(np.array(values, float), num).tolist() == sorted(order[:num])


def test_none_means_all() -> None:
    assert largest(np.array([3.0, 1.0]), None).tolist() == [0, 1]


def test_a_window_longer_than_the_footage_takes_no_memory_for_the_rest() -> None:
    statistics = RunningStatistics(window=10**15)
    for value in (1, 2, 3):
        statistics.add(np.array([value], np.float32))
    assert statistics.standard_deviation() == pytest.approx([np.std([1, 2, 3])])
