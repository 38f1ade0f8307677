"""What a search found, in words that are the same on the screen and on the page."""

import math

from firstsight.retrieval.searching.calibration import MIN_DECOYS
from firstsight.retrieval.searching.moments import Moment
from firstsight.retrieval.searching.search import SearchResult
from firstsight.text import printable

# A rate of 5 % is known to about a third by 200 of them; with fewer than these it is a guess within a factor of two.
_FEW_DECOYS = 60


def verdict(result: SearchResult) -> str:
    """One sentence or two: is it there, and what that rests on."""
    return " ".join(part for part in (_found(result), _measured(result)) if part)


def _found(result: SearchResult) -> str:
    if result.is_match:
        found = "1 moment matches" if result.num_matches == 1 else f"{result.num_matches:,} moments match"
        found = found if result.is_complete else f"{result.num_matches:,} moments and more match"
        itself = " The first is the query itself." if result.matches[0].is_query else ""
        return f"{found}, of similarity {result.threshold:.3f} or more.{itself}"
    moment = result.nearest.moment
    nearest = f"No match. The nearest frame, {place_text(moment)}, has similarity {moment.score:.3f}. "
    if not result.background.is_measured:
        return f"{nearest}A match begins at {result.threshold:.3f}."
    return (
        f"{nearest}A match begins at {result.threshold:.3f}; what is absent gets that far in "
        f"{100 * result.false_match_rate:g} % of searches."
    )


def _measured(result: SearchResult) -> str:
    """What is to be known of how the threshold came about; nothing where all is as usual."""
    num = len(result.background.decoys)
    if not result.background.is_measured:
        return (
            f"There is too little footage to measure where a match begins ({num} decoys, at least {MIN_DECOYS} are "
            "needed): that is assumed."
        )
    if num < _FEW_DECOYS:
        return f"Only {num} decoys could be made of this library: the threshold is rough."
    return ""


def place_text(moment: Moment) -> str:
    """Where the best frame is."""
    name = printable(moment.source)
    return name if moment.end_seconds == 0 else f"{name} at {moment.best_seconds:.2f} s"


def stretch_text(moment: Moment) -> str:
    """From when to when."""
    if moment.end_seconds == 0:
        return "a picture"
    return f"{moment.start_seconds:.2f} s to {moment.end_seconds:.2f} s, best at {moment.best_seconds:.2f} s"


def share_text(share: float) -> str:
    """A share near 1 in percent, with as many digits as tell it from 100 %: "99.98 %"."""
    rest = 100 * (1 - share)
    digits = 1 if rest >= 1 else min(6, 1 - math.floor(math.log10(max(rest, 1e-6))))
    floored = math.floor(100 * share * 10**digits) / 10**digits
    return f"{floored:.{digits}f} %"


def false_match_text(probability: float) -> str:
    """A small probability in percent: "0.3 %", "less than 0.01 %"."""
    percent = 100 * probability
    if percent < 0.01:
        return "less than 0.01 %"
    return f"{percent:.2g} %" if percent < 10 else f"{percent:.0f} %"
