"""What stays at one place was left or taken; what passes, a shadow and another light are neither."""

import numpy as np
import pytest

from firstsight.monitoring.left_taken import Stayed, update

RANDOM = np.random.default_rng(0)
GROUND = (120 + 6 * RANDOM.standard_normal((120, 160))).astype(np.float32)
WITH = GROUND.copy()
WITH[40:70, 60:80] = 60 + 5 * RANDOM.standard_normal((30, 20))
SHADE = GROUND.copy()
SHADE[40:90, 60:110] *= 0.6


def found(*shown: tuple[np.ndarray, int]) -> list[Stayed]:
    """Pictures, each for so many frames at two a second."""
    before, stayed, index = None, [], 0
    for light, num in shown:
        for _ in range(num):
            noise = np.random.default_rng(index).normal(0, 0.5, light.shape)
            before, new = update(before, (light + noise).astype(np.float32), index / 2)
            stayed, index = [*stayed, *new], index + 1
    return stayed


def test_what_stays_is_left_and_what_goes_for_good_is_taken() -> None:
    (left,) = found((GROUND, 20), (WITH, 30))
    assert (left.kind, left.seconds) == ("left", 10.0)
    assert left.box == pytest.approx((60 / 160, 40 / 120, 20 / 160, 30 / 120), abs=0.03)
    assert [one.kind for one in found((WITH, 20), (GROUND, 30))] == ["taken"]
    assert [one.kind for one in found((GROUND, 20), (WITH, 30), (GROUND, 30))] == ["left", "taken"]


def test_what_passes_and_a_shadow_that_stays_are_neither() -> None:
    assert found((GROUND, 20), (WITH, 16), (GROUND, 30)) == []
    assert found((GROUND, 20), (SHADE, 30)) == []


def test_two_things_are_two() -> None:
    both = WITH.copy()
    both[90:110, 10:40] = 200
    assert sorted(one.kind for one in found((GROUND, 20), (both, 30))) == ["left", "left"]
