"""Which moments of a library are like a picture? And is any of them, or only less unlike than the rest?"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import LibraryError, SettingsError
from firstsight.retrieval.embedding import Embeddings
from firstsight.retrieval.regions.box import Box, Placed
from firstsight.retrieval.searching.calibration import Background, measure_background
from firstsight.retrieval.searching.decoys import decoys_of
from firstsight.retrieval.searching.moments import GAP_SECONDS, Moment, find_moments
from firstsight.retrieval.searching.query import Query
from firstsight.retrieval.searching.scan import scan
from firstsight.retrieval.store.files import content_hash
from firstsight.retrieval.store.library import Library
from firstsight.retrieval.store.where import Where

FALSE_MATCH_RATE = 0.05
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
    threshold: float  # the cosine that a frame matches from
    false_match_rate: float  # of searches whose answer is not there, the share that get a match all the same
    num_frames: int  # searched
    num_sources: int
    background: Background
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
    measuring: Callable[[], None] = lambda: None,
) -> SearchResult:
    """The k moments most like the query; none, if the best frame is no more alike than one of something absent may be.

    Every frame that is meant is compared. The first search in a library takes some seconds to measure what is normal.

    Args:
        library: what is searched.
        query: made by `read_query` with the library's encoder.
        k: how many moments, from 1.
        where: which frames are meant; all by default. What is normal is measured among these.
        not_itself: leave out the query's own file, and copies of it.
        false_match_rate: of searches whose answer is not in the library, the share that may get a match all the same.
        gap_seconds: of frames that do not match, within a moment.
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
    decoys = decoys_of(library, making=measuring)
    scanned = scan(library, query.vector, decoys, where=where, without=own if not_itself else frozenset())
    background = measure_background(scanned.sample, scanned.decoys)
    likeness = Likeness(scanned.similarities, scanned.frames, background)
    return answer(query, likeness, own=own, k=k, false_match_rate=false_match_rate, gap_seconds=gap_seconds)


@dataclass(frozen=True, eq=False)
class Likeness:
    """How alike each frame that is meant is to a query, and what that is measured by."""

    similarities: NDArray[np.float32]  # (N,)
    frames: Embeddings  # N, by source and in order of time
    background: Background
    place: Callable[[Moment], Placed | None] = lambda _: None  # where in its best frame a moment is like the query
    box: Box | None = None  # that was looked for


def answer(
    query: Query, likeness: Likeness, *, own: frozenset[str], k: int, false_match_rate: float, gap_seconds: float
) -> SearchResult:
    """The k best moments of those that are alike enough; `own` are the names of the query's file and its copies."""
    background, similarities, frames = likeness.background, likeness.similarities, likeness.frames
    threshold = background.threshold(false_match_rate)

    def match(moment: Moment) -> Match:
        return Match(
            moment,
            closer_than=background.closer_than(moment.score),
            false_match_probability=background.false_match_probability(moment.score),
            is_query=moment.source in own and _is_same(moment, query),
            place=likeness.place(moment),
        )

    moments = find_moments(similarities, frames, least=threshold, gap_seconds=gap_seconds)
    nearest = moments or find_moments(similarities, frames, least=float(similarities.max()), gap_seconds=gap_seconds)
    return SearchResult(
        query=query,
        matches=tuple(match(one) for one in moments[:k]),
        num_matches=len(moments),
        nearest=match(nearest[0]),
        threshold=threshold,
        false_match_rate=false_match_rate,
        num_frames=len(frames),
        num_sources=len(set(frames.source_indices.tolist())),
        background=background,
        box=likeness.box,
    )


def check_searchable(library: Library, *, k: int) -> None:
    """Nothing, if k moments can be looked for in the library.

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
