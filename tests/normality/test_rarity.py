"""Rarity: scores in units of how often normal footage reaches them, and rates of false alarms in words."""

import itertools
import math

import numpy as np
import pytest

from firstsight.errors import SettingsError
from firstsight.normality.rarity import Rarity, Trailing, num_parts_of, of_either, once_in, rarity_for, rate_of


def test_an_exponential_tail_is_found_and_continued() -> None:
    scores = np.random.default_rng(0).exponential(2.0, 20_000)
    rarity = Rarity.of(scores, least_tail=1e-3)
    for share in (0.1, 0.01, 1e-4):
        assert rarity(-2.0 * math.log(share)) == pytest.approx(-math.log10(share), abs=0.1)


def test_higher_scores_are_rarer_and_little_footage_makes_nothing_rarer() -> None:
    scores = np.random.default_rng(0).exponential(1.0, 400)
    rarity = Rarity.of(scores, least_tail=1e-3)
    values = [rarity(score) for score in np.linspace(0, 9, 50)]
    assert values[0] == 0
    assert all(before < after for before, after in itertools.pairwise(values))
    assert Rarity.of(scores[:0], least_tail=0.25)(6.0) < 2


def test_minutes_in_which_nothing_moves_promise_no_more_than_the_least_tail() -> None:
    """A day is extrapolated from them; faint noise later on is no event."""
    calm = np.full(30, 0.1)
    once_a_day = rarity_for(rate_of("1/day"))
    assert Rarity.of(calm, least_tail=1e-3)(0.5) > once_a_day
    assert Rarity.of(calm, least_tail=0.25)(2.0) < once_a_day < Rarity.of(calm, least_tail=0.25)(3.0)
    lively = np.random.default_rng(0).exponential(2.0, 400)
    assert Rarity.of(lively, least_tail=0.25) == Rarity.of(lively, least_tail=1e-3)


def test_of_equal_times_the_trailing_mean_is_that_of_the_first() -> None:
    trailing = Trailing()
    means = [trailing.update("a.mp4", *one) for one in ((0.0, 4.0), (0.25, 0.0), (0.25, 9.0), (0.5, 0.0))]
    assert means == pytest.approx([4, 4 / np.e, 4 / np.e, 4 / np.e**2])
    assert trailing.update("a.mp4", 0.1, 7.0) == trailing.update("b.mp4", 0.2, 7.0) == 7


def test_rates_in_words() -> None:
    assert rate_of("1/day") == 1 / 86_400
    assert rate_of(" 2 / h") == 2 / 3600
    assert rarity_for(rate_of("1/day")) == pytest.approx(math.log10(21_600))
    assert once_in(rarity_for(rate_of("1/day"))) == "once in 24 h"
    for wrong in ("1", "often", "0/h", "9/s", "1/fortnight"):
        with pytest.raises(SettingsError, match="valid is a number, a slash and a time"):
            rate_of(wrong)


def test_rates_of_days_in_which_most_blocks_are_empty_are_those_that_occur() -> None:
    random = np.random.default_rng(0)
    busy = random.random(20_000) < 0.05
    scores = np.where(busy, 1 + random.exponential(0.5, 20_000), random.uniform(0.0, 0.02, 20_000))
    rarity = Rarity.of(scores[:10_000], least_tail=1e-3)
    for rate in (0.02, 0.005, 0.002):
        reached = np.mean([rarity(score) >= -math.log10(rate) for score in scores[10_000:]])
        assert rate / 2 < reached < 2 * rate


def test_equal_scores_and_empty_blocks_have_a_rarity() -> None:
    rarity = Rarity.of(np.r_[np.zeros(90), np.ones(10)], least_tail=1e-3)
    assert rarity(0.0) == 0.0
    assert 0.8 < rarity(1.0) < rarity(1.5) < rarity(3.0)


def test_hardly_any_footage_promises_little_in_the_unit_of_the_scores() -> None:
    """A distance of 40 times the noise is rare, be the noise 0.1 or 0.25."""
    for noise in (0.1, 0.25):
        rarity = Rarity.of(np.zeros(0), least_tail=noise)
        assert rarity(8 * noise) == pytest.approx(math.log10(2))
        assert rarity(40 * noise) == pytest.approx(math.log10(2) + 4 / math.log(10))


@pytest.mark.parametrize("shared", [0.0, 0.5, 1.0])
def test_of_two_parts_the_rarer_is_as_rare_as_that_either_is(shared: float) -> None:
    """Blocks whose parts come together in a share of cases, and further ones that are judged by them."""
    random = np.random.default_rng(0)
    together = random.random(20_000) < shared
    first, second = random.exponential(size=(2, 20_000))
    second = np.where(together, first, second)
    known, new = slice(0, 4_000), slice(4_000, None)
    num = num_parts_of(first[known], second[known])
    assert num == pytest.approx(2 - shared, abs=0.15)
    rarer = np.maximum(*(Rarity.of(one[known], least_tail=1e-3).of_each(one[new]) for one in (first, second)))
    for rarity in (1.0, 2.0):
        assert (of_either(rarer, num) >= rarity).mean() == pytest.approx(10**-rarity, rel=0.3)


def test_either_of_two_parts_from_the_usual_to_what_never_comes() -> None:
    assert of_either(np.array([0.0, 1.0]), 1.0).tolist() == pytest.approx([0, 1])
    assert of_either(np.array([0.0, 1.0, 1000.0]), 2.0).tolist() == pytest.approx(
        [0, -math.log10(0.19), 1000 - math.log10(2)]
    )
    assert num_parts_of(np.zeros(9), np.zeros(8)) == num_parts_of(np.zeros(9), np.zeros(9)) == 2
