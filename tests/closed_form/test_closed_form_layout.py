"""Candidates for the judge."""

import torch

from firstsight.closed_form.layout import candidates


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
