"""Light that is switched changes most cells at once and stands still; what moves, or was there before, is no light."""

import numpy as np

from firstsight.monitoring import light_steps
from firstsight.monitoring.light_steps import SETTLING_SECONDS, Steps

CELLS, PIXELS = 48, 100
NONE = np.zeros(CELLS, np.bool_)
DARK = np.random.default_rng(0).uniform(60, 120, (CELLS, PIXELS)).astype(np.float32)
BRIGHT = DARK + 40
THING = np.arange(CELLS) < 4


def shown(*pictures: np.ndarray, foreign: np.ndarray = NONE, apart: float = 0.5) -> Steps:
    """The state after eight dark frames and those pictures."""
    state = light_steps.begin(DARK, 0.0)
    for index, one in enumerate((DARK,) * 8 + pictures, start=1):
        noise = np.random.default_rng(index).normal(0, 0.3, one.shape).astype(np.float32)
        state = light_steps.update(state, one + noise, index * apart, foreign=foreign)
    return state


def moving(index: int) -> np.ndarray:
    picture = BRIGHT.copy()
    picture[THING] += np.float32(30 * (index % 2))
    return picture


def test_a_switch_is_light_everywhere_and_settles_when_it_has_stood_still() -> None:
    assert shown(BRIGHT).is_switching
    assert not shown(BRIGHT, BRIGHT, BRIGHT).is_switching
    assert shown(BRIGHT, BRIGHT, BRIGHT).by_light.all()
    settled = shown(*[BRIGHT] * (3 + round(2 * SETTLING_SECONDS)))
    assert settled.settled.all()
    assert not light_steps.without(settled, settled.settled).changed.any()


def test_what_moves_after_a_switch_is_no_light_and_does_not_settle() -> None:
    state = shown(*(moving(index) for index in range(12)))
    assert not state.by_light[THING].any()
    assert not state.settled[THING].any()
    assert state.settled[~THING].all()


def test_what_was_there_before_is_no_light() -> None:
    state = shown(*[BRIGHT] * 4, foreign=THING)
    assert list(state.by_light) == list(~THING)


def test_some_cells_a_shake_and_a_time_lapse_are_no_switch() -> None:
    some = DARK.copy()
    some[:20] += 40
    assert not shown(some, some).changed.any()
    assert not shown(*(moving(index) + np.float32(20 * (index % 2)) for index in range(10))).is_switching
    assert not shown(BRIGHT, apart=60.0).is_switching
