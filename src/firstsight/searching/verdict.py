"""What a search found, in words: whether there is a match, and how far that is to be trusted."""

import math

from firstsight.library.thumbnails import frame_caption
from firstsight.searching.calibration import MIN_DECOYS, Background
from firstsight.searching.moments import Moment
from firstsight.searching.search import Match, SearchResult

# A rate of 5 % is known to about a third by 200 of them; with fewer than these it is a guess within a factor of two.
_FEW_DECOYS = 60


def verdict(result: SearchResult) -> str:
    """One sentence or two: whether there is a match, and how far the threshold is to be trusted."""
    doubt = threshold_doubt(result.background, result.false_match_rate)
    return " ".join(part for part in (_found(result), doubt) if part)


def _found(result: SearchResult) -> str:
    if result.is_match:
        found = "1 moment matches" if result.num_matches == 1 else f"{result.num_matches:,} moments match"
        found = found if result.is_complete else f"At least {found}"
        itself = " The first is the query itself." if result.matches[0].is_query else ""
        return f"{found}, of similarity {result.threshold:.3f} or more.{itself}"
    moment = result.nearest.moment
    nearest = f"No match. The nearest frame, {moment_text(moment)}, has similarity {moment.score:.3f}. "
    if not result.background.is_measured:
        return f"{nearest}A match begins at {result.threshold:.3f}."
    return (
        f"{nearest}A match begins at {result.threshold:.3f}; absent things reach that in "
        f"{100 * result.false_match_rate:g} % of searches."
    )


def threshold_doubt(background: Background, false_match_rate: float) -> str:
    """How rough the threshold of that rate is; empty if it is measured well."""
    num = len(background.decoys)
    if not background.is_measured:
        return (
            f"There is too little footage to measure where a match begins ({num} decoys, at least {MIN_DECOYS} are "
            "needed): that is assumed."
        )
    if false_match_rate < background.rarest_rate:
        return f"{num} decoys support no rate below {100 * background.rarest_rate:.2g} %: the threshold is a guess."
    if num < _FEW_DECOYS:
        return f"Only {num} decoys could be made of this library: the threshold is rough."
    return ""


def moment_text(moment: Moment) -> str:
    """Source and time of the best frame."""
    return frame_caption(moment.source, moment.best_seconds)


def interval_text(moment: Moment) -> str:
    """Start, end and best time."""
    if moment.is_picture:
        return "a picture"
    return f"{moment.start_seconds:.2f} s to {moment.end_seconds:.2f} s, best at {moment.best_seconds:.2f} s"


def unrelated_text(match: Match, background: Background) -> str:
    """Of how many unrelated pairs the match is more similar: "99.98 % of unrelated pairs"; empty if there are none."""
    pairs = background.pairs
    if match.closer_than is None:
        return ""
    of = "of unrelated pairs"
    if match.similarity > pairs[-1]:  # a share cannot be counted beyond the last pair
        return f"more than {_share_text(1 - 1 / len(pairs))} {of}"
    if match.similarity <= pairs[0]:
        return f"none {of}"
    return f"{_share_text(match.closer_than)} {of}"


def _share_text(share: float) -> str:
    """A share near 1 in percent, with enough digits to differ from 100 %: "99.98 %"."""
    rest = 100 * (1 - share)
    digits = 1 if rest >= 1 else min(6, 1 - math.floor(math.log10(max(rest, 1e-6))))
    floored = math.floor(100 * share * 10**digits) / 10**digits
    return f"{floored:.{digits}f} %"


def false_match_text(match: Match, *, less_than: str = "less than ") -> str:
    """In how many searches something absent gets as close: "0.3 %", "less than 0.01 %"; empty if not measured."""
    probability = match.false_match_probability
    return "" if probability is None else percent_text(probability, less_than=less_than)


def percent_text(probability: float, *, less_than: str = "less than ") -> str:
    """Such as "0.3 %" or "less than 0.01 %"."""
    percent = 100 * probability
    if percent < 0.01:
        return f"{less_than}0.01 %"
    return f"{percent:.2g} %" if percent < 10 else f"{percent:.0f} %"
