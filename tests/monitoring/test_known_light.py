"""What is usual in another light is taken over where it looks new, and the light before is known when it comes back."""

import numpy as np

from firstsight.monitoring.deviation import Usual, deviations, in_known_light, in_this_light, update

CELLS = np.random.default_rng(0).normal(0, 1, (16, 48)).astype(np.float32)
LIT = CELLS + np.random.default_rng(1).normal(0, 2, CELLS.shape).astype(np.float32)


def warm() -> Usual:
    usual = None
    for index in range(20):
        noise = np.random.default_rng(index).normal(0, 0.05, CELLS.shape).astype(np.float32)
        usual, _ = update(usual, CELLS + noise, index / 2)
    return usual


def test_another_light_is_taken_over_in_those_cells_alone_and_the_one_before_comes_back() -> None:
    left = np.arange(48) % 8 < 4
    taken = in_this_light(warm(), LIT, left)
    assert (deviations(taken, LIT)[left] < 1).all()
    assert (deviations(taken, LIT)[~left] > 8).all()
    back = in_known_light(taken, CELLS)
    assert (deviations(back, CELLS) < 3).all()
    assert (deviations(in_known_light(back, LIT), LIT)[left] < 1).all()
    assert (deviations(in_known_light(back, LIT + 5), LIT + 5) > 8).all()
