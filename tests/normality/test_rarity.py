"""Rarity: scores in units of how often normal footage reaches them, and rates of false alarms in words."""

import itertools
import math

import numpy as np
import pytest

from firstsight.errors import SettingsError
from firstsight.normality.rarity import Rarity, once_in, rarity_for, rate_of


def test_an_exponential_tail_is_found_and_continued() -> None:
    scores = np.random.default_rng(0).exponential(2.0, 20_000)
    rarity = Rarity.of(scores)
    for share in (0.1, 0.01, 1e-4):
        assert rarity(-2.0 * math.log(share)) == pytest.approx(-math.log10(share), abs=0.1)


def test_higher_scores_are_rarer_and_little_footage_makes_nothing_rarer() -> None:
    scores = np.random.default_rng(0).exponential(1.0, 400)
    rarity = Rarity.of(scores)
    values = [rarity(score) for score in np.linspace(0, 9, 50)]
    assert values[0] == 0
    assert all(before < after for before, after in itertools.pairwise(values))
    assert Rarity.of(scores[:0])(6.0) < 2


def test_minutes_in_which_nothing_moves_promise_no_more_than_the_least_tail() -> None:
    """A day is extrapolated from them; faint noise later on is no event."""
    calm = np.full(30, 0.1)
    once_a_day = rarity_for(rate_of("1/day"))
    assert Rarity.of(calm)(0.5) > once_a_day
    assert Rarity.of(calm, least_tail=0.25)(2.0) < once_a_day < Rarity.of(calm, least_tail=0.25)(3.0)
    lively = np.random.default_rng(0).exponential(2.0, 400)
    assert Rarity.of(lively, least_tail=0.25) == Rarity.of(lively)


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
    rarity = Rarity.of(scores[:10_000])
    for rate in (0.02, 0.005, 0.002):
        reached = np.mean([rarity(score) >= -math.log10(rate) for score in scores[10_000:]])
        assert rate / 2 < reached < 2 * rate


def test_equal_scores_and_empty_blocks_have_a_rarity() -> None:
    rarity = Rarity.of(np.r_[np.zeros(90), np.ones(10)])
    assert rarity(0.0) == 0.0
    assert 0.8 < rarity(1.0) < rarity(1.5) < rarity(3.0)
