import numpy as np
import pytest

from firstsight.evaluation.metrics import Difference, auroc_by_case, difference, query_blocks, standard_error
from firstsight.quality.self_test import auroc


def test_with_a_block_for_each_value_it_is_the_usual_one() -> None:
    values = np.random.default_rng(0).normal(size=50)
    assert standard_error(values, np.arange(50)) == pytest.approx(values.std(ddof=1) / 50**0.5)


def test_saying_everything_ten_times_adds_no_certainty() -> None:
    values = np.random.default_rng(0).normal(size=50)
    once = standard_error(values, np.arange(50))
    assert standard_error(np.repeat(values, 10), np.repeat(np.arange(50), 10)) == pytest.approx(once)


def test_it_is_the_spread_of_means_that_are_drawn_again_and_again() -> None:
    random = np.random.default_rng(1)
    blocks = np.repeat(np.arange(30), 8)
    drawn = [(random.normal(size=30)[blocks] + random.normal(size=240)) for _ in range(400)]
    assert np.mean([standard_error(one, blocks) for one in drawn]) == pytest.approx(
        np.std([one.mean() for one in drawn]), rel=0.15
    )


def test_one_block_tells_nothing_of_others() -> None:
    assert standard_error(np.arange(9.0), np.zeros(9, int)) == float("inf")
    assert not difference(np.ones(9), np.zeros(9), np.zeros(9, int)).clear


@pytest.mark.parametrize(("num_blocks", "most"), [(2, 12.706), (3, 4.303), (20, 2.093), (1_000, 1.962)])
def test_few_blocks_need_a_larger_difference(num_blocks: int, most: float) -> None:
    assert not Difference(most - 0.01, 1.0, num_blocks).clear
    assert Difference(most + 0.01, 1.0, num_blocks).clear
    assert Difference(-most - 0.01, 1.0, num_blocks).clear


def test_a_difference_knows_its_blocks() -> None:
    gained = difference(np.array([1.0, 1.0, 0.8, 0.8, 0.6, 0.6]), np.full(6, 0.5), np.repeat([0, 1, 2], 2))
    assert 2 * gained.standard_error < gained.value < 4 * gained.standard_error
    assert not gained.clear
    assert gained.num_blocks == 3


def test_a_difference_is_clear_beyond_what_chance_explains() -> None:
    random = np.random.default_rng(0)
    hard = random.random(400) < 0.5  # for both alike
    first, second = hard * 1.0, hard * (random.random(400) < 0.9)
    gained = difference(first, second, np.arange(400))
    assert gained.clear
    assert gained.value == pytest.approx(first.mean() - second.mean())
    unpaired = (first.var() / 400 + second.var() / 400) ** 0.5
    assert gained.standard_error < unpaired / 2
    assert not difference(first, first[::-1].copy(), np.arange(400)).clear
    assert not difference(first, first, np.arange(400)).clear


def scored(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """40 positives and 15 negatives, with ties."""
    return random.normal(1, 1, 40).round(1), random.normal(0, 1.5, 15).round(1)


def test_that_of_an_area_is_delongs() -> None:
    """Against every pair, and both variances written out."""
    positives, negatives = scored(np.random.default_rng(0))
    pairs = np.array([[(one > other) + (one == other) / 2 for other in negatives] for one in positives])
    values = auroc_by_case(positives, negatives)
    assert values.mean() == pytest.approx(pairs.mean()) == pytest.approx(auroc(positives, negatives))
    variance = pairs.mean(axis=1).var() / 40 + pairs.mean(axis=0).var() / 15
    assert standard_error(values, np.arange(55)) ** 2 == pytest.approx(variance * 55 / 54)


def test_that_of_an_area_is_the_spread_of_areas_that_are_drawn_again_and_again() -> None:
    random = np.random.default_rng(1)
    drawn = [scored(random) for _ in range(600)]
    errors = [standard_error(auroc_by_case(*one), np.arange(55)) for one in drawn]
    areas = [auroc_by_case(*one).mean() for one in drawn]
    assert np.mean(errors) == pytest.approx(np.std(areas), rel=0.1)
    of_positives = [auroc_by_case(*one)[:40].std() * 40 / 55 / 40**0.5 for one in drawn]
    assert np.mean(of_positives) < 0.8 * np.std(areas)


def test_frames_of_a_block_count_as_one_for_an_area_too() -> None:
    positives, negatives = scored(np.random.default_rng(0))
    once = standard_error(auroc_by_case(positives, negatives), np.arange(55))
    again = auroc_by_case(positives.repeat(10), negatives.repeat(10))
    assert standard_error(again, np.arange(55).repeat(10)) == pytest.approx(once)


@pytest.mark.parametrize("num", [1, 7, 20, 21, 300])
def test_query_blocks_are_neighbours_of_equal_length(num: int) -> None:
    blocks = query_blocks(num)
    lengths = np.bincount(blocks)
    assert len(blocks) == num
    assert len(lengths) == min(num, 20)
    assert (np.diff(blocks) >= 0).all()
    assert lengths.max() - lengths.min() <= 1
