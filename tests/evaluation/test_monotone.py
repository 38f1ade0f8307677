from itertools import combinations_with_replacement

import numpy as np
import pytest

from firstsight.evaluation.questions import nondecreasing_path


@pytest.mark.parametrize("seed", range(20))
def test_no_path_that_never_goes_back_is_better(seed: int) -> None:
    random = np.random.default_rng(seed)
    similarities = random.integers(0, 4, (4, 5)).astype(float) if seed % 2 else random.normal(size=(4, 5))
    path = nondecreasing_path(similarities)
    assert (np.diff(path) >= 0).all()
    best = max(sum(similarities[range(4), way]) for way in combinations_with_replacement(range(5), 4))
    assert similarities[range(4), path].sum() == pytest.approx(best)


def test_a_second_walk_at_another_pace_is_followed() -> None:
    places = np.linspace(0, 1, 50)
    walked = np.linspace(0.2, 0.9, 20) ** 2
    path = nondecreasing_path(-np.abs(walked[:, None] - places))
    np.testing.assert_allclose(places[path], walked, atol=0.011)


def test_where_all_is_alike_it_stays_at_the_start() -> None:
    assert nondecreasing_path(np.ones((3, 4))).tolist() == [0, 0, 0]
