"""What a level adds: it is asked of the footage, and a level that adds nothing is not kept."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from firstsight.closed_form import fit as closed_form
from firstsight.closed_form.filters import fit_level
from firstsight.closed_form.fit import DEFAULT, Contribution, _adds, fit
from firstsight.closed_form.pyramid import PatchLevel, Pyramid
from firstsight.device import generator
from firstsight.encoder.model import to_inputs

ALONE = replace(DEFAULT, pairs=False, layout=False)  # without what comes after that question


def textures(num: int, size: int = 40) -> np.ndarray:
    noise = torch.rand(num, 3, 9, 9, generator=generator(1))
    pictures = torch.nn.functional.interpolate(noise, (size, size), mode="bicubic").clamp(0, 1)
    return (pictures * 255).byte().permute(0, 2, 3, 1).numpy()


def test_a_level_that_is_blind_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    def blind_at_level_2(level: PatchLevel, pictures: torch.Tensor, **options: object) -> None:
        fit_level(level, pictures, **options)
        if level.config.height < 40:
            level.weight.normal_(std=1e-3, generator=generator(0))
            level.mix_even.normal_(generator=generator(0))
            level.mix_odd.normal_(generator=generator(0))

    monkeypatch.setattr(closed_form, "fit_level", blind_at_level_2)
    learned = fit(textures(40), seed=0, precision="float32")
    assert [one.kept for one in learned.contributions] == [True, False]
    assert len(learned.model.network.levels) == 1
    assert learned.model.projection.mean.shape == (21 * 64 + 40 * 41,)  # left and right can be exchanged: half of each


def test_both_levels_are_kept_where_both_see() -> None:
    learned = fit(textures(40), seed=0, recipe=ALONE, precision="float32")
    first, both = learned.contributions
    assert both.kept
    assert both.stands_out > first.stands_out
    assert 0 < first.after_change <= both.after_change <= 1


def test_nothing_is_asked_where_it_makes_no_sense() -> None:
    learned = fit(np.zeros((20, 24, 32, 3), np.uint8), seed=0, recipe=ALONE, precision="float32")
    assert [(one.after_change, one.kept) for one in learned.contributions] == [(None, True)] * 2


@pytest.mark.parametrize(
    ("before", "stands_out", "kept"),
    [
        ([], 1.0, True),
        ([(2.0, True)], 2.1, True),
        ([(2.0, True)], 2.0, False),
        ([(2.0, True), (1.0, False)], 9.0, False),
        ([(None, True)], None, True),
    ],
)
def test_when_a_level_is_kept(before: list[tuple[float | None, bool]], stands_out: float | None, kept: bool) -> None:
    assert _adds(stands_out, [Contribution(1, 0.5, value, was_kept) for value, was_kept in before]) is kept


def test_the_first_levels_alone_see_what_they_saw() -> None:
    network: Pyramid = fit(textures(5), seed=0, recipe=ALONE, precision="float32").model.network
    inputs = to_inputs(textures(3), torch.device("cpu"))
    torch.testing.assert_close(network.first(1)(inputs), network(inputs, level=1))
