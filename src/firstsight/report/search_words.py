"""What a search found, in words that are the same on the screen and on the page."""

import math

from firstsight.retrieval.searching.moments import Moment
from firstsight.retrieval.searching.search import SearchResult


def verdict(result: SearchResult) -> str:
    """One sentence: is it there, and what that rests on."""
    if not result.is_match:
        moment = result.nearest.moment
        return (
            f"No match. The nearest frame, {place_text(moment)}, has similarity {moment.score:.3f}. A match begins at "
            f"{result.threshold:.3f}; what is absent gets that far in {100 * result.false_match_rate:g} % of searches."
        )
    found = "1 moment matches" if result.num_matches == 1 else f"{result.num_matches:,} moments match"
    itself = " The first is the query itself." if result.matches[0].is_query else ""
    return f"{found}, of similarity {result.threshold:.3f} or more.{itself}"


def place_text(moment: Moment) -> str:
    """Where the best frame is."""
    return moment.source if moment.end_seconds == 0 else f"{moment.source} at {moment.best_seconds:.2f} s"


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
