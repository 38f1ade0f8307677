"""Two frames agree where their cells match each other with the support of their neighbourhood."""

import numpy as np
import pytest
import torch

from firstsight.closed_form.agreement import LayoutConfig, agreement, matched, supported

_REACH = 2


def _cells(rows: int, columns: int, *, seed: int, dim: int = 8) -> np.ndarray:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-7, 8, (2, rows, columns, dim), generator=generator, dtype=torch.int8).numpy()


def _obvious(query: np.ndarray, other: np.ndarray) -> float:
    """The definition, cell by cell."""
    nets, rows, columns, _ = query.shape
    u, v = (cells / np.linalg.norm(cells.astype(float), axis=-1, keepdims=True) for cells in (query, other))
    places = [(y, x) for y in range(rows) for x in range(columns)]
    product = 1.0
    for net in range(nets):
        support = np.zeros((len(places), len(places)))
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
    query, others = _cells(rows, columns, seed=0), np.stack([_cells(rows, columns, seed=n) for n in range(3)])
    fast = agreement(query, others)
    assert fast.tolist() == pytest.approx([_obvious(query, other) for other in others], rel=0.01, abs=1e-6)


def test_a_frame_agrees_with_itself_and_a_flat_one_too() -> None:
    query = _cells(8, 12, seed=0)
    flat = np.ones_like(query)
    assert agreement(query, query[None])[0] == pytest.approx(1, abs=1e-4)
    assert agreement(flat, flat[None])[0] == pytest.approx(1, abs=1e-4)
    assert matched(flat, flat[None]).in_place[0] == 1


def test_it_does_not_matter_which_is_asked() -> None:
    first, second = _cells(5, 7, seed=0), _cells(5, 7, seed=1)
    assert agreement(first, second[None])[0] == pytest.approx(agreement(second, first[None])[0], rel=1e-4)


def test_what_has_moved_together_agrees_and_what_was_shuffled_does_not() -> None:
    picture = _cells(8, 12, seed=0)
    moved = np.roll(picture, 3, axis=2)
    shuffled = picture.reshape(2, 96, -1)[:, np.random.default_rng(1).permutation(96)].reshape(picture.shape)
    found = matched(picture, np.stack([picture, moved, shuffled, _cells(8, 12, seed=2)]))
    itself, after_move, after_shuffle, foreign = found.agreement.tolist()
    assert itself > after_move > 5 * after_shuffle
    assert after_shuffle > foreign
    assert found.in_place[0] == 1
    assert found.in_place[1] < 0.1


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 4), (6, 6)])
def test_support_is_that_of_the_matches_relative_to_a_frame_with_itself(rows: int, columns: int) -> None:
    first, second = (_cells(rows, columns, seed=seed) for seed in (0, 1))
    itself = supported(first, first).reshape(rows * columns, -1)
    np.testing.assert_allclose(itself, np.eye(rows * columns), atol=1e-3)
    table = supported(first, second)
    np.testing.assert_allclose(table, supported(second, first).transpose(2, 3, 0, 1), atol=1e-5)
    flat = table.reshape(rows * columns, -1)
    found = matched(first, second[None])
    assert int((flat > 0).sum()) <= int((found.support > 0).sum())
    for net, (support, partner) in enumerate(zip(found.support[0], found.partner[0], strict=True)):
        assert all(flat[int(partner[cell]), cell] > 0 for cell in range(rows * columns) if support[cell] > 0), net
    assert float(flat.sum(axis=0).max()) <= 1
    assert float(flat.sum(axis=1).max()) <= 1


def test_agreement_is_1_for_itself_and_at_least_minus_1() -> None:
    config = LayoutConfig(6, 8, weight=0.5, unrelated=1.0)
    query = _cells(6, 8, seed=0)
    found = config.agreement(query, np.stack([query, _cells(6, 8, seed=1), np.zeros_like(query)]))
    assert found[0] == pytest.approx(1, abs=1e-4)
    assert found.min() == -1
