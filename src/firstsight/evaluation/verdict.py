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
    return _against_simple(simple, _gained(scores, simple)), _against_random(_gained(scores, RANDOM))


def _gained(scores: Mapping[str, Scores], name: str) -> Difference:
    model, other = scores[MODEL], scores[name]
    return difference(model.per_query, other.per_query, model.blocks)


def _against_simple(name: str, gained: Difference) -> str:
    if not gained.clear:
        return f"no clear difference from the {name} on your footage ({_points(gained.value, gained)}): either will do"
    if gained.value > 0:
        return f"better than the {name} on your footage, by {_points(gained.value, gained)}"
    return f"not better: use the {name}, which is ahead on your footage by {_points(-gained.value, gained)}"


def _against_random(gained: Difference) -> str:
    if not gained.clear:
        return f"no clear difference from random filters ({_points(gained.value, gained)}): learning added nothing here"
    if gained.value > 0:
        return f"what it learned adds {_points(gained.value, gained)} to random filters"
    return f"random filters are ahead by {_points(-gained.value, gained)}: learn again, from footage like this"


def _points(value: float, gained: Difference) -> str:
    error = 100 * gained.standard_error
    return (
        f"{100 * value:.1f} points, standard error {error:.1f}" if error < float("inf") else f"{100 * value:.1f} points"
    )
