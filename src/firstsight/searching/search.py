"""Which moments of a library are like a picture? And is any of them, or only less unlike than the rest?"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import LibraryError, SettingsError
from firstsight.library.embeddings import Embeddings
from firstsight.library.selection import Where
from firstsight.library.source_files import content_hash
from firstsight.library.store import Store
from firstsight.library.vector_index import propose
from firstsight.searching.calibration import Background
from firstsight.searching.decoys import background_of
from firstsight.searching.moments import GAP_SECONDS, Moment, find_moments, nearest_moments
from firstsight.searching.query import Query
from firstsight.searching.regions import Box, Placed

Floats = NDArray[np.float32]

# Enough for the moments of a search, few enough to be read within milliseconds.
_NUM_PROPOSED = 1_000


@dataclass(frozen=True, eq=False)
class Compared:
    """The frames of a library, and how alike those are that were compared."""

    similarities: Floats  # (N,), -1 to 1; minus infinity of a frame that is not meant, or was not compared
    frames: Embeddings  # N, by source and in order of time, without vectors
    chosen: NDArray[np.bool_] | None  # (N,), which are meant; None is all
    is_complete: bool  # every match was compared; otherwise there may be more in sources that are less alike

    @property
    def num_frames(self) -> int:
        """How many are meant."""
        return len(self.frames) if self.chosen is None else int(self.chosen.sum())

    @property
    def num_sources(self) -> int:
        """That they are of."""
        if self.chosen is None:
            return len(self.frames.sources)
        return int((np.bincount(self.frames.source_indices[self.chosen]) > 0).sum())


def compare_all(
    library: Store, vector: Floats, *, where: Where | None = None, without: frozenset[str] = frozenset()
) -> Compared:
    """Compares every frame that is meant with a vector of unit length.

    Args:
        library: what is searched.
        vector: (dim,), of unit length.
        where: which frames are meant; all by default.
        without: names of sources that are not.

    Raises:
        LibraryError: a name or pattern fits no source, or no frame is meant.
    """
    chosen = chosen_frames(library, where=where, without=without)
    similarities = np.full(len(chosen), -np.inf, np.float32)
    _compare(library, vector, where, similarities)
    similarities[~chosen] = -np.inf
    return Compared(similarities, library.timeline.frames, chosen, is_complete=True)


def compare_proposed(library: Store, vector: Floats, *, least: float, num_sources: int) -> Compared | None:
    """Compares what the index proposes: every frame as alike as `least`, or if those are many the best sources.

    Args:
        library: what is searched, all of it.
        vector: (dim,), of unit length.
        least: the similarity from which frames are wanted.
        num_sources: of which all frames are compared, where many are as alike.

    Returns:
        None where there is no index.
    """
    if not library.num_probes:
        return None
    rows = propose(library.tables, vector, k=_NUM_PROPOSED, num_probes=library.num_probes)
    positions = library.timeline.find(rows.source_ids, rows.frame_indices)
    is_shown = positions >= 0
    frames = library.timeline.frames
    similarities = np.full(len(frames), -np.inf, np.float32)
    similarities[positions[is_shown]] = found = (rows.vectors[is_shown] @ vector).clip(-1, 1)
    is_complete = int((found >= least).sum()) < _NUM_PROPOSED // 2
    if not is_complete:
        order = positions[is_shown][np.argsort(-found)]
        best = list(dict.fromkeys(frames.source_indices[order].tolist()))[:num_sources]
        _compare(library, vector, Where(tuple(frames.sources[number] for number in best)), similarities)
    return Compared(similarities, frames, None, is_complete=is_complete)


def _compare(library: Store, vector: Floats, where: Where | None, similarities: Floats) -> None:
    for positions, vectors in library.vectors(where):
        similarities[positions] = (vectors @ vector).clip(-1, 1)


def chosen_frames(library: Store, *, where: Where | None, without: frozenset[str]) -> NDArray[np.bool_]:
    """(N,): which frames of the library's timeline are meant.

    Raises:
        LibraryError: a name or pattern fits no source, or no frame is meant.
    """
    chosen = library.timeline.chosen(where, without=without)
    if not chosen.any():
        raise LibraryError(f"{library.path} has no frame to search there; index footage first, or ask for more of it")
    return chosen


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
    library: Store,
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


def check_searchable(library: Store, *, k: int) -> None:
    """Raises if k moments cannot be looked for in the library.

    Raises:
        SettingsError: k below 1.
        LibraryError: it holds no frame.
    """
    if k < 1:
        raise SettingsError(f"{k} moments; valid is at least 1")
    if not library.num_frames:
        raise LibraryError(f"{library.path} holds no frame; put footage into it with `firstsight index`")


def own_names(library: Store, path: Path) -> frozenset[str]:
    """What the library calls the query's file, and copies of it."""
    num_bytes = path.stat().st_size
    alike = [record for record in library.sources if record.num_bytes == num_bytes]
    if not alike:
        return frozenset()
    content = content_hash(path, name=path.name)
    return frozenset(record.name for record in alike if record.content == content)


def _is_same(moment: Moment, query: Query) -> bool:
    return query.place.seconds is None or abs(moment.best_seconds - query.frame.seconds) <= _SAME_SECONDS
