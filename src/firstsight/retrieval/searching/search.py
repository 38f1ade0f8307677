"""Which moments of a library are like a picture? And is any of them, or only less unlike than the rest?"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from firstsight.errors import LibraryError, SettingsError
from firstsight.retrieval.regions.box import Box, Placed
from firstsight.retrieval.searching.calibration import Background
from firstsight.retrieval.searching.candidates import Compared, compare_all, compare_proposed
from firstsight.retrieval.searching.decoys import background_of
from firstsight.retrieval.searching.moments import GAP_SECONDS, Moment, find_moments, nearest_moments
from firstsight.retrieval.searching.query import Query
from firstsight.retrieval.store.files import content_hash
from firstsight.retrieval.store.library import Library
from firstsight.retrieval.store.where import Where

FALSE_MATCH_RATE = 0.05
# Of a library with too few frames to measure what is normal: near copies of a frame reach it, little else does.
ASSUMED_THRESHOLD = 0.8
# Times of one frame, read from the file and from the library, differ by rounding alone.
_SAME_SECONDS = 0.001


@dataclass(frozen=True)
class Match:
    """A moment like the query, and how much that says."""

    moment: Moment  # its score is the cosine of its best frame, -1 to 1
    closer_than: float  # share of unrelated pairs of frames that are less alike, 0 to 1
    false_match_probability: float  # that some frame would be as alike if the answer were not there, 0 to 1
    is_query: bool  # its best frame is the very frame that is looked for
    place: Placed | None = None  # of a region that is looked for: where in the best frame it is


@dataclass(frozen=True)
class SearchResult:
    """What was found, and what it is measured by."""

    query: Query
    matches: tuple[Match, ...]  # the best first; none if nothing is alike enough
    num_matches: int  # found altogether, of which `matches` are the best
    nearest: Match  # the moment of the frame most like the query, match or not
    below: tuple[Match, ...]  # if the nearest were asked for: those that are no match, up to k with the matches
    threshold: float  # the cosine that a frame matches from
    false_match_rate: float  # of searches whose answer is not there, the share that get a match all the same
    num_frames: int  # searched
    num_sources: int
    is_complete: bool  # otherwise there are more matches than `num_matches`, none of them better
    background: Background  # of the whole library
    box: Box | None = None  # of the query's picture, if only that was looked for

    @property
    def is_match(self) -> bool:
        """Whether anything was found."""
        return bool(self.matches)


def search(
    library: Library,
    query: Query,
    *,
    k: int = 10,
    where: Where | None = None,
    not_itself: bool = False,
    false_match_rate: float = FALSE_MATCH_RATE,
    gap_seconds: float = GAP_SECONDS,
    nearest: bool = False,
    measuring: Callable[[], None] = lambda: None,
) -> SearchResult:
    """The k moments most like the query; none, if the best frame is no more alike than one of something absent may be.

    What is normal is measured over the whole library, once for all searches: by `index`, or by the first search. A
    frame that matches in a library matches in every part of it.

    Args:
        library: what is searched.
        query: made by `read_query` with the library's encoder.
        k: how many moments, from 1.
        where: which frames are meant; all by default.
        not_itself: leave out the query's own file, and copies of it.
        false_match_rate: of searches whose answer is not in the library, the share that may get a match all the same.
        gap_seconds: of frames that do not match, within a moment.
        nearest: fill up to k with the nearest that are no match, in `SearchResult.below`.
        measuring: called if what is normal has to be measured first.

    Raises:
        SettingsError: k below 1, or a rate that is not between 0 and 1.
        LibraryError: no frame is meant, or a source that is not in the library.

    Example:
        >>> with Library.open("walks.library") as library:  # doctest: +SKIP
        ...     result = search(library, read_query("door.jpg", library.encoder))
        ...     print([match.moment for match in result.matches])
    """
    check_searchable(library, k=k)
    own = own_names(library, query.place.path)
    background = background_of(library, measuring=measuring)
    least = match_threshold(background, false_match_rate)
    compared = None
    if not where and not not_itself:
        compared = compare_proposed(library, query.vector, least=least, num_sources=k + 1)
    if compared is None or _may_lack(compared, k=k, least=least, gap_seconds=gap_seconds, nearest=nearest):
        compared = compare_all(library, query.vector, where=where, without=own if not_itself else frozenset())
    return answer(
        query,
        Likeness(compared, background),
        own=own,
        k=k,
        false_match_rate=false_match_rate,
        gap_seconds=gap_seconds,
        nearest=nearest,
    )


def _may_lack(compared: Compared, *, k: int, least: float, gap_seconds: float, nearest: bool) -> bool:
    """Whether some of the k best moments may be among the frames that were not compared."""
    if not compared.is_complete:
        return len(find_moments(compared.similarities, compared.frames, least=least, gap_seconds=gap_seconds)) < k
    is_any = bool((compared.similarities > -np.inf).any())
    return nearest or not is_any  # what is near and no match is all over the library


@dataclass(frozen=True, eq=False)
class Likeness:
    """How alike the frames of a library are to a query, and what that is measured by."""

    compared: Compared
    background: Background
    place: Callable[[Moment], Placed | None] = lambda _: None  # where in its best frame a moment is like the query
    box: Box | None = None  # that was looked for


def answer(
    query: Query,
    likeness: Likeness,
    *,
    own: frozenset[str],
    k: int,
    false_match_rate: float,
    gap_seconds: float,
    nearest: bool,
) -> SearchResult:
    """The k best moments of those that are alike enough; `own` are the names of the query's file and its copies."""
    background, compared = likeness.background, likeness.compared
    threshold = match_threshold(background, false_match_rate)

    def match(moment: Moment) -> Match:
        return Match(
            moment,
            closer_than=background.closer_than(moment.score),
            false_match_probability=background.false_match_probability(moment.score),
            is_query=moment.source in own and _is_same(moment, query),
            place=likeness.place(moment),
        )

    moments = find_moments(compared.similarities, compared.frames, least=threshold, gap_seconds=gap_seconds)
    num_below = max(1, k if nearest else 0) - len(moments)
    below = nearest_moments(
        compared.similarities, compared.frames, k=num_below, below=threshold, gap_seconds=gap_seconds
    )
    shown = [match(one) for one in moments[:k]]
    unmatched = [match(one) for one in below]
    return SearchResult(
        query=query,
        matches=tuple(shown),
        num_matches=len(moments),
        nearest=(shown or unmatched)[0],
        below=tuple(unmatched) if nearest else (),
        threshold=threshold,
        false_match_rate=false_match_rate,
        num_frames=compared.num_frames,
        num_sources=compared.num_sources,
        is_complete=compared.is_complete,
        background=background,
        box=likeness.box,
    )


def match_threshold(background: Background, false_match_rate: float) -> float:
    """From which similarity on a frame matches. Where too little was there to measure it, it is assumed.

    Raises:
        SettingsError: a rate that is not between 0 and 1.
    """
    measured = background.threshold(false_match_rate)
    if background.is_measured:
        return measured
    return max(ASSUMED_THRESHOLD, measured) if len(background.decoys) else ASSUMED_THRESHOLD


def check_searchable(library: Library, *, k: int) -> None:
    """Raises if k moments cannot be looked for in the library.

    Raises:
        SettingsError: k below 1.
        LibraryError: it holds no frame.
    """
    if k < 1:
        raise SettingsError(f"{k} moments; valid is at least 1")
    if not library.num_frames:
        raise LibraryError(f"{library.path} holds no frame; put footage into it with `firstsight index`")


def own_names(library: Library, path: Path) -> frozenset[str]:
    """What the library calls the query's file, and copies of it."""
    num_bytes = path.stat().st_size
    alike = [record for record in library.sources if record.num_bytes == num_bytes]
    if not alike:
        return frozenset()
    content = content_hash(path, name=path.name)
    return frozenset(record.name for record in alike if record.content == content)


def _is_same(moment: Moment, query: Query) -> bool:
    return query.place.seconds is None or abs(moment.best_seconds - query.frame.seconds) <= _SAME_SECONDS
