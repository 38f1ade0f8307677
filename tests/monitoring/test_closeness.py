import numpy as np
import pytest

from firstsight.errors import SettingsError
from firstsight.monitoring.watch import CLOSE_FROM, close_from, closeness


def after_usual(usual_similarities: np.ndarray, similarity: float) -> float | None:
    """Closeness of a frame after so many others, two a second, before one anchor."""
    usual = None
    for index, one in enumerate([*usual_similarities, similarity]):
        usual, value = closeness(usual, one, index / 2)
    return value


@pytest.mark.parametrize(("similarity", "expected"), [(0.2, 0.0), (0.6, 0.5), (1.0, 1.0), (-0.2, -0.5)])
def test_is_the_way_from_the_usual_to_the_anchor(similarity: float, expected: float) -> None:
    assert after_usual(np.full(40, 0.2), similarity) == pytest.approx(expected, abs=1e-3)


def test_of_a_restless_view_counts_deviations() -> None:
    noise = np.random.default_rng(0).standard_normal(2000)
    assert after_usual(0.9 + 0.02 * noise, 0.97) == pytest.approx(0.07 / 0.2, rel=0.1)  # not 0.07 / 0.1
    assert max(after_usual(0.9 + 0.02 * noise[:n], 0.9 + 0.02 * noise[n]) for n in range(50, 90)) < CLOSE_FROM


def test_is_unknown_while_the_usual_is_learned() -> None:
    assert after_usual(np.full(5, 0.2), 1.0) is None


def test_of_a_match_is_between_the_usual_and_the_anchor() -> None:
    for value in (0, 1, float("nan")):
        with pytest.raises(SettingsError, match="valid is between 0, as usual, and 1"):
            close_from(value)
