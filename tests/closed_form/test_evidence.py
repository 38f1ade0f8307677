"""Which frames belong together is inferred from two raters, without labels."""

import itertools
import math

import numpy as np
import pytest
import torch

from firstsight.closed_form.evidence import Judge, Sample, _agreeing, _symmetric_sums, _with_each, explain, rate
from firstsight.closed_form.layout import Layouts


def _lists(num: int, *, shift: tuple[float, float], share: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Lists of twenty with at most one match, by correlated raters; and where the matches are."""
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(num, 20, 2, generator=generator, dtype=torch.float64) @ torch.tensor(
        [[1, 0.5], [0, 0.75**0.5]], dtype=torch.float64
    )
    is_match = torch.zeros(num, 20, dtype=torch.bool)
    is_match[: round(num * share), 3] = True
    values[is_match] += torch.tensor(shift, dtype=torch.float64)
    return values * torch.tensor([0.1, 1.5]) + torch.tensor([0.4, -5.0]), is_match


def test_the_better_rater_is_found() -> None:
    values, is_match = _lists(200, shift=(1.0, 5.0), share=0.5)
    mixture = explain(values)
    posterior = mixture.posterior
    assert float(posterior[is_match].mean()) > 0.9
    assert float(posterior[~is_match].mean()) < 0.01
    weights = torch.linalg.inv(mixture.covariance) @ mixture.shift
    assert weights[1] > 3 * weights[0].abs()


def test_where_nothing_matches_hardly_anything_is_a_match() -> None:
    values, _ = _lists(200, shift=(0.0, 0.0), share=0.0)
    assert float((explain(values).posterior > 0.9).double().mean()) < 0.01


def test_a_match_is_not_less_alike() -> None:
    """Candidates that have less to do with the query than all others are no matches, though they stand out."""
    values, unlike = _lists(200, shift=(-1.0, -6.0), share=0.5)
    mixture = explain(values)
    assert float(mixture.shift.min()) >= 0
    assert float(mixture.posterior[unlike].mean()) < 0.05


def test_no_rater_speaks_against_a_match() -> None:
    values, _ = _lists(200, shift=(-2.0, 4.0), share=0.5)
    mixture = explain(values)
    assert float((torch.linalg.inv(mixture.covariance) @ mixture.shift).min()) > -1e-3


def test_the_rater_that_would_speak_against_a_match_follows_even_if_its_shift_is_the_larger() -> None:
    covariance = np.array([[4, 1.5], [1.5, 1]])
    inverse = np.linalg.inv(covariance)
    shift = _agreeing(np.array([1, 0.9]), covariance, inverse)
    assert shift.tolist() == pytest.approx([1.35, 0.9])
    assert (inverse @ shift).tolist() == pytest.approx([0, 0.9])


def test_what_is_known_counts() -> None:
    values, _ = _lists(100, shift=(0.0, 0.0), share=0.0)
    known = torch.tensor([[0.5, 0.0]], dtype=torch.float64).repeat(200, 1)
    mixture = explain(values, known, 1.0)
    weights = torch.linalg.inv(mixture.covariance) @ mixture.shift
    assert weights[0] > 0
    assert weights[1] < weights[0] / 5


@pytest.mark.parametrize("given", [(0.5, 2.0, 3.0, 0.1), (1e11, 1e-9, 1e12, 1.0)])
def test_sums_over_all_sets(given: tuple[float, ...]) -> None:
    odds = np.array([given])
    sums = _symmetric_sums(odds, 3)
    sets = [list(itertools.combinations(range(4), size)) for size in range(4)]
    products = [[math.prod(float(odds[0, i]) for i in chosen) for chosen in of_size] for of_size in sets]
    assert sums[-1][0].tolist() == pytest.approx([sum(of_size) for of_size in products])
    prior = np.array([0.4, 0.3, 0.2, 0.1])
    for column, value in enumerate(_with_each(odds, sums, prior)[0].tolist()):
        expected = sum(
            float(prior[size]) * product
            for size in range(4)
            for chosen, product in zip(sets[size], products[size], strict=True)
            if column in chosen
        )
        assert value == pytest.approx(expected)


@pytest.mark.parametrize("num", [5, 12, 24, 40, 60, 100])
def test_no_frame_is_a_candidate_of_itself_or_of_its_neighbours(num: int) -> None:
    sample = Sample.of(num)
    random = np.random.default_rng(0)
    vectors, in_place = (
        torch.nn.functional.normalize(torch.from_numpy(random.standard_normal((len(sample.numbers), 16))).float())
        for _ in range(2)
    )
    cells = torch.from_numpy(random.integers(-7, 8, (len(sample.numbers), 2, 4, 6, 8)).astype(np.int8))
    window = min(32, num // 4)
    lists = rate(vectors, Judge(sample, Layouts(cells, in_place)), window=window)
    away = np.abs(sample.numbers[lists.positions.numpy()] - sample.numbers[sample.queries][:, None])
    assert away.min() > window
    assert lists.ratings.shape[1] >= min(20, num // 3)
