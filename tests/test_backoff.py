from itertools import islice
from random import Random

import pytest

from firstsight.backoff import Backoff
from firstsight.errors import SettingsError


class Chance(Random):
    """Draws the same number each time."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self.number = number

    def random(self) -> float:
        return self.number


def test_pauses_double_up_to_the_maximum() -> None:
    pauses = list(islice(Backoff().pauses(Chance(0)), 3_000))
    assert pauses[:8] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert pauses[-1] == 60


@pytest.mark.parametrize(("number", "pause"), [(0, 8), (0.5, 6), (1, 4)])
def test_jitter_shortens_a_pause_by_a_half_at_most(number: float, pause: float) -> None:
    assert next(islice(Backoff().pauses(Chance(number)), 3, None)) == pause


@pytest.mark.parametrize("seconds", [(0, 1), (2, 1)])
def test_what_is_no_growing_pause_is_refused(seconds: tuple[float, float]) -> None:
    with pytest.raises(SettingsError, match="valid are seconds above 0"):
        Backoff(*seconds)
