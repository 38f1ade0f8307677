"""Two frames agree where their cells match each other with the support of their neighbourhood."""

import pytest
import torch
from torch import Tensor

from firstsight.closed_form.layout import agreement, candidates, matched, supported

_REACH = 2


def _cells(rows: int, columns: int, *, seed: int, dim: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-7, 8, (2, rows, columns, dim), generator=generator, dtype=torch.int8)


def _obvious(query: Tensor, other: Tensor) -> float:
    """The definition, cell by cell."""
    nets, rows, columns, _ = query.shape
    u, v = (torch.nn.functional.normalize(cells.double(), dim=-1) for cells in (query, other))
    places = [(y, x) for y in range(rows) for x in range(columns)]
    product = 1.0
    for net in range(nets):
        support = torch.zeros(len(places), len(places), dtype=torch.double)
        for i, (a, b) in enumerate(places):
            for j, (y, x) in enumerate(places):
                terms = [
                    float(v[net, a + p, b + q] @ u[net, y + p, x + q])
                    for p in range(-_REACH, _REACH + 1)
                    for q in range(-_REACH, _REACH + 1)
                    if min(a + p, y + p) >= 0 and max(a + p, y + p) < rows
                    if min(b + q, x + q) >= 0 and max(b + q, x + q) < columns
                ]
                support[i, j] = sum(terms) / (12.5 + len(terms) / 2)
        total = 0.0
        for i in range(len(places)):
            j = int(support[i].argmax())
            if int(support[:, j].argmax()) == i:
                total += max(0.0, float(support[i, j])) ** 2
        inside = (
            [min(rows, y + 3) - max(0, y - 2) for y in range(rows)],
            [min(columns, x + 3) - max(0, x - 2) for x in range(columns)],
        )
        most = sum((p * q / (12.5 + p * q / 2)) ** 2 for p in inside[0] for q in inside[1])
        product *= total / most
    return float(product ** (1 / nets))


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 4), (5, 2), (6, 6)])
def test_as_defined(rows: int, columns: int) -> None:
    query, others = _cells(rows, columns, seed=0), torch.stack([_cells(rows, columns, seed=n) for n in range(3)])
    fast = agreement(query, others)
    assert fast.tolist() == pytest.approx([_obvious(query, other) for other in others], rel=0.01, abs=1e-6)


def test_a_frame_agrees_with_itself_and_a_flat_one_too() -> None:
    query = _cells(8, 12, seed=0)
    flat = torch.ones_like(query)
    assert float(agreement(query, query[None])) == pytest.approx(1, abs=1e-4)
    assert float(agreement(flat, flat[None])) == pytest.approx(1, abs=1e-4)
    assert float(matched(flat, flat[None]).in_place) == 1


def test_it_does_not_matter_which_is_asked() -> None:
    first, second = _cells(5, 7, seed=0), _cells(5, 7, seed=1)
    assert float(agreement(first, second[None])) == pytest.approx(float(agreement(second, first[None])), rel=1e-4)


def test_what_has_moved_together_agrees_and_what_was_shuffled_does_not() -> None:
    picture = _cells(8, 12, seed=0)
    moved = picture.roll(3, dims=2)
    order = torch.randperm(96, generator=torch.Generator().manual_seed(1))
    shuffled = picture.flatten(1, 2)[:, order].view_as(picture)
    found = matched(picture, torch.stack([picture, moved, shuffled, _cells(8, 12, seed=2)]))
    itself, after_move, after_shuffle, foreign = found.agreement.tolist()
    assert itself > after_move > 5 * after_shuffle
    assert after_shuffle > foreign
    assert found.in_place[0] == 1
    assert found.in_place[1] < 0.1


def test_candidates_are_taken_in_turn_without_repeats() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.rand(4, 30, generator=generator) for _ in range(2))
    for row, chosen in enumerate(candidates(first, second, 7).tolist()):
        expected: list[int] = []
        for pair in zip(first[row].argsort(descending=True), second[row].argsort(descending=True), strict=True):
            for number in map(int, pair):
                expected += [] if number in expected else [number]
        assert chosen == expected[:7]


def test_fewer_references_than_candidates() -> None:
    assert sorted(candidates(torch.rand(1, 3), torch.rand(1, 3), 20)[0].tolist()) == [0, 1, 2]


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 4), (6, 6)])
def test_support_is_that_of_the_matches_relative_to_a_frame_with_itself(rows: int, columns: int) -> None:
    first, second = (_cells(rows, columns, seed=seed) for seed in (0, 1))
    itself = supported(first, first).view(rows * columns, -1)
    assert torch.allclose(itself, torch.eye(rows * columns), atol=1e-3)
    table = supported(first, second)
    assert torch.allclose(table, supported(second, first).permute(2, 3, 0, 1), atol=1e-5)
    flat = table.view(rows * columns, -1)
    found = matched(first, second[None])
    assert int((flat > 0).sum()) <= int((found.support > 0).sum())
    for net, (support, partner) in enumerate(zip(found.support[0], found.partner[0], strict=True)):
        assert all(flat[int(partner[cell]), cell] > 0 for cell in range(rows * columns) if support[cell] > 0), net
    assert float(flat.sum(dim=0).max()) <= 1
    assert float(flat.sum(dim=1).max()) <= 1
