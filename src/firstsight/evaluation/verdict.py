"""What the figures say, in words, and no more than they say."""

from collections.abc import Mapping

from firstsight.evaluation.baselines import RANDOM
from firstsight.evaluation.question import Scores
from firstsight.evaluation.sampling_error import Difference, difference

MODEL = "this encoder"


def verdicts(scores: Mapping[str, Scores]) -> tuple[str, str]:
    """A line on the encoder against the best baseline without a network, and one on it against random filters.

    Differences are of the first figure, query by query; one within two standard errors is called no difference.

    Args:
        scores: of `MODEL`, `RANDOM` and at least one more, by name.
    """
    simple = max(scores.keys() - {MODEL, RANDOM}, key=lambda name: scores[name].per_query.mean())
    figure = next(iter(scores[MODEL].figures))
    return _against_simple(simple, figure, _gained(scores, simple)), _against_random(figure, _gained(scores, RANDOM))


def _gained(scores: Mapping[str, Scores], name: str) -> Difference:
    model, other = scores[MODEL], scores[name]
    return difference(model.per_query, other.per_query, model.blocks)


def _against_simple(name: str, figure: str, gained: Difference) -> str:
    points = _points(figure, gained)
    if not gained.clear:
        return f"no clear difference from the {name} on your footage: {points}; either will do"
    if gained.value > 0:
        return f"better than the {name} on your footage, by {points}"
    return f"not better: use the {name}, which is ahead on your footage by {points}"


def _against_random(figure: str, gained: Difference) -> str:
    points = _points(figure, gained)
    if not gained.clear:
        return f"no clear difference from random filters: {points}; it cannot be told that learning helped"
    if gained.value > 0:
        return f"what it learned adds {points} to random filters"
    return f"random filters are ahead by {points}: learn again, from footage like this"


def _points(figure: str, gained: Difference) -> str:
    """The size of the difference; with its sign where it is not said which is ahead."""
    size = f"{100 * abs(gained.value):.1f}" if gained.clear else f"{100 * gained.value:+.1f}"
    error = f" (standard error {100 * gained.standard_error:.1f})" if gained.standard_error < float("inf") else ""
    return f"{size} points of '{figure}'{error}"
