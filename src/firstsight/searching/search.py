"""Which moments of a library match a picture, if any?"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import LibraryError, check_count, check_seconds
from firstsight.library.selection import Where
from firstsight.library.set_apart import Part, frames_of, others_of, part_of_source, read_pairs
from firstsight.library.source_files import content_hash
from firstsight.library.store import Store, frame_gallery
from firstsight.library.thumbnails import frame_caption
from firstsight.progress import Report, silent
from firstsight.searching.calibration import Background, check_match_rate, match_threshold
from firstsight.searching.decoys import background_of
from firstsight.searching.moments import GAP_SECONDS, Moment, find_moments, nearest_moments
from firstsight.searching.nearest import (
    Compared,
    Judge,
    chosen_frames,
    compare_all,
    compare_described,
    compare_proposed,
)
from firstsight.searching.query import SAME_SECONDS, Query, record_of, sources_at, sources_of_size
from firstsight.searching.regions import Box

FALSE_MATCH_RATE = 0.05


@dataclass(frozen=True)
class Match:
    """A moment like the query, and how unusual that is."""

    moment: Moment
    closer_than: float | None  # share of unrelated pairs of frames that are less alike, 0 to 1; None without pairs
    false_match_probability: float | None  # that something absent is as similar, 0 to 1; None if not measured
    is_query: bool  # its best frame is the query's own frame
    box: Box | None = None  # of a search with a box: where in the best frame the match is
    picture_size: tuple[int, int] | None = None  # width and height of the picture, in the pixels of the box

    @property
    def source(self) -> str:
        """The name of the video or picture."""
        return self.moment.source

    @property
    def seconds(self) -> float:
        """Of the frame most like the query."""
        return self.moment.best_seconds

    @property
    def start_seconds(self) -> float:
        """Of the first frame that matches."""
        return self.moment.start_seconds

    @property
    def end_seconds(self) -> float:
        """When the last frame that matches gives way to the next one; 0 of a picture."""
        return self.moment.end_seconds

    @property
    def similarity(self) -> float:
        """Of the best frame to the query, -1 to 1: the cosine, fused with the agreement in layout if that has a weight.

        So are all scores of a search without a box, and its threshold; see `firstsight.searching.nearest`.
        """
        return self.moment.score

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        found = {
            "source": self.source,
            "start_seconds": self.start_seconds,
            "end_seconds": self.end_seconds,
            "best_seconds": self.seconds,
            "best_frame": self.moment.best_frame_index,
            "similarity": self.similarity,
            "closer_than": self.closer_than,
            "false_match_probability": self.false_match_probability,
            "is_query": self.is_query,
        }
        if self.box and self.picture_size:
            width, height = self.picture_size
            found |= {**asdict(self.box), "picture_width": width, "picture_height": height}
        return found

    def __str__(self) -> str:
        box = f", box {self.box}" if self.box else ""
        return f"{frame_caption(self.source, self.seconds)}{box}: {self.similarity:.3f}"


@dataclass(frozen=True)
class SearchResult:
    """The matches, and the threshold that they exceed."""

    library: str  # its folder, as it was given
    query: Query
    matches: tuple[Match, ...]  # the best first; none if nothing is similar enough
    num_matches: int  # found altogether, of which `matches` are the best
    nearest: Match  # the moment of the frame most like the query, match or not
    below: tuple[Match, ...]  # with `nearest=True`: the nearest that are no match, up to k with the matches
    threshold: float  # lowest similarity of a match
    false_match_rate: float  # of searches whose answer is absent, the share that get a match
    num_frames: int  # searched
    num_sources: int
    is_complete: bool  # otherwise there may be more matches than `num_matches`, which were not compared
    background: Background  # of the complete library
    box: Box | None = None  # of the query's picture, if only that was searched for
    num_apart: int = 0  # frames that would match, but were judged not to be the same: see `Library.set_apart`
    folder: str = ""  # that of the library, absolute: a notebook reads the thumbnails when it shows them

    @property
    def is_match(self) -> bool:
        """Whether anything was found."""
        return bool(self.matches)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "library": self.library,
            "query": self.query.reference.name,
            "box": str(self.box) if self.box else None,
            "is_match": self.is_match,
            "matches": [match.to_json() for match in self.matches],
            "num_matches": self.num_matches,
            "nearest": self.nearest.to_json(),
            "below": [match.to_json() for match in self.below],
            "threshold": self.threshold,
            "false_match_rate": self.false_match_rate,
            "num_frames": self.num_frames,
            "num_sources": self.num_sources,
            "is_complete": self.is_complete,
            "num_apart": self.num_apart,
            "background": {
                "is_measured": self.background.is_measured,
                "num_pairs": len(self.background.pairs),
                "num_decoys": len(self.background.decoys),
                "rarest_rate": self.background.rarest_rate if self.background.is_measured else None,
            },
        }

    def __repr__(self) -> str:
        found = ", ".join(map(str, self.matches)) or f"none; the nearest is {self.nearest}"
        return f"SearchResult({self.query.reference.name!r}, from {self.threshold:.3f} on: {found})"

    def _repr_html_(self) -> str:
        """For a notebook: the matches and the nearest below the threshold."""
        num = self.num_matches
        matching = "1 moment matches" if num == 1 else f"{num:,} moments match"
        found = matching if self.matches else "No match; the nearest:"
        shown = (*self.matches, *self.below) or (self.nearest,)
        frames = [(one.source, one.moment.best_frame_index) for one in shown]
        return frame_gallery(
            self.folder or self.library, f"{found} (from {self.threshold:.3f} on)", frames, list(map(str, shown))
        )


def search(
    library: Store,
    query: Query,
    *,
    box: Box | None = None,
    k: int = 10,
    where: Where | None = None,
    not_itself: bool = False,
    false_match_rate: float = FALSE_MATCH_RATE,
    gap_seconds: float = GAP_SECONDS,
    nearest: bool = False,
    progress: Report = silent,
) -> SearchResult:
    """The k moments most like the query; none, if no frame exceeds the threshold.

    How alike a frame is to the query says the encoder's best comparison: the cosine of their vectors and, as far as the
    footage learned from gives it a weight, the agreement of what is where (`firstsight.searching.nearest`).

    The threshold is measured over the complete library, once for all searches, by `index` or by the first search. So a
    frame that matches in a library matches in every part of it. What was set apart from the query is left out.

    Args:
        library: what is searched.
        query: made by `stored_query` or, for a box, by `read_query` with its encoder.
        box: search for what is in this box of the query's picture only, anywhere in every frame.
        k: how many moments, from 1.
        where: which frames; all by default.
        not_itself: leave out the query's own file, and copies of it.
        false_match_rate: of searches whose answer is not in the library, the share that may get a match.
        gap_seconds: of frames that do not match, within a moment.
        nearest: fill up to k with the nearest that are no match, in `SearchResult.below`.
        progress: called if what is normal has to be measured first, and during a search for a box.

    Raises:
        SettingsError: k below 1, a rate that is not between 0 and 1, or a box that is not in the picture.
        LibraryError: no frame is chosen, a source that is not in the library, or a box with an encoder whose view is
            only a part of each frame, as the article's.

    Example:
        >>> with Library.open("walks.library") as library:  # doctest: +SKIP
        ...     result = search(library, read_query("door.jpg", library.encoder))
        ...     print([match.moment for match in result.matches])
    """
    k, gap_seconds = check_count("{} moments", k), check_seconds("gap {} s", gap_seconds)
    if not library.num_frames:
        raise LibraryError(f"{library.name} holds no frame; put footage into it with `firstsight index`")
    false_match_rate = check_match_rate(false_match_rate)
    own = _own_names(library, query)
    without = own if not_itself else frozenset[str]()
    apart = set_apart_from(library, lambda: part_of_query(query, box))
    if box is not None:
        from firstsight.searching.region_search import compare_box  # its arithmetic takes seconds to load

        chosen = chosen_frames(library, where=where, without=without)
        compared, background = compare_box(library, query, box, chosen, progress=progress)
        threshold = match_threshold(background, false_match_rate)
    else:
        if where is not None:
            chosen_frames(library, where=where, without=without)  # raises before anything is measured
        background = background_of(library, progress=progress)
        threshold = match_threshold(background, false_match_rate)
        compared = _compare(
            library,
            query,
            k=k,
            threshold=threshold,
            gap_seconds=gap_seconds,
            where=where,
            without=without,
            nearest=nearest,
            apart=apart,
        )
    compared, num_apart = without_apart(compared, apart, threshold=threshold)
    moments = find_moments(compared.similarities, compared.frames, threshold=threshold, gap_seconds=gap_seconds)
    num_below = (k if nearest else 1) - len(moments)
    below = nearest_moments(
        compared.similarities, compared.frames, k=num_below, below=threshold, gap_seconds=gap_seconds
    )
    found = matches_of(query, [*moments[:k], *below], compared, background, own=own)
    return SearchResult(
        library=library.name,
        folder=str(library.path),
        query=query,
        matches=found[: len(moments)],
        num_matches=len(moments),
        nearest=found[0],
        below=found[len(moments) :] if nearest else (),
        threshold=threshold,
        false_match_rate=false_match_rate,
        num_frames=compared.num_frames,
        num_sources=compared.num_sources,
        is_complete=compared.is_complete,
        background=background,
        box=box,
        num_apart=num_apart,
    )


def part_of_query(query: Query, box: Box | None = None) -> Part:
    """What a query is to judgements: its file and time, or its pixels; and the box that is searched for."""
    only = None if box is None else str(box)
    if not query.reference.is_file:
        pixels = np.ascontiguousarray(query.frame.whole)
        digest = hashlib.blake2b(repr(pixels.shape).encode() + pixels.tobytes(), digest_size=16)
        return Part(digest.hexdigest(), box=only, name=query.reference.name)
    path, seconds = query.reference.path, query.reference.seconds
    return Part(content_hash(path, name=path.name), seconds, seconds, only, query.reference.name)


def part_of_moment(library: Store, moment: Moment) -> Part:
    """What a moment of the library is to judgements. Raises a LibraryError if its source is not in the library."""
    return part_of_source(library.source(moment.source), moment.start_seconds, moment.end_seconds)


def set_apart_from(library: Store, query: Callable[[], Part]) -> NDArray[np.bool_] | None:
    """(N,): which frames of the library were judged not to be the same as the query; None if nothing was.

    The query is asked for only if anything was judged, as a file's hash takes its reading.
    """
    pairs = read_pairs(library.path)
    others = others_of(pairs, query()) if pairs else []
    frames = library.timeline.frames
    return frames_of(others, library.sources, frames.source_indices, frames.seconds) if others else None


def without_apart(compared: Compared, apart: NDArray[np.bool_] | None, *, threshold: float) -> tuple[Compared, int]:
    """What was compared, without those frames; and how many of them would match.

    Where nothing else is left, all is kept below the threshold: there is always a nearest frame.
    """
    if apart is None:
        return compared, 0
    left = _left(compared, apart)
    if not (left > -np.inf).any():
        below = np.nextafter(np.float32(threshold), np.float32(-1))
        left = np.minimum(compared.similarities, below).astype(np.float32)
    num_apart = int((apart & (compared.similarities >= threshold)).sum())
    return replace(compared, similarities=left), num_apart


def _left(compared: Compared, apart: NDArray[np.bool_]) -> NDArray[np.float32]:
    return np.where(apart, np.float32(-np.inf), compared.similarities)


def _compare(
    library: Store,
    query: Query,
    *,
    k: int,
    threshold: float,
    gap_seconds: float,
    where: Where | None,
    without: frozenset[str],
    nearest: bool,
    apart: NDArray[np.bool_] | None,
) -> Compared:
    """By the vector index, if there is one and it proposes all that can count; else all chosen frames."""
    judge, by_index = Judge.of(library), None
    if not where and not without:
        least = np.inf if judge else threshold  # of a cosine
        by_index = compare_proposed(library, query.vector, threshold=least, num_sources=k + 1)

    def compare(proposed: Compared | None = None) -> Compared:
        if judge is None:
            return proposed or compare_all(library, query.vector, where=where, without=without)
        return compare_described(
            judge,
            query.described or library.encoder.describe(query.frame.pixels[None]),
            threshold=threshold,
            gap_seconds=gap_seconds,
            proposed=proposed,
            num_sources=k + 1,
            where=where,
            without=without,
        )

    if by_index:
        found = compare(by_index)
        left = found if apart is None else replace(found, similarities=_left(found, apart))
        if not _may_lack(left, k=k, threshold=threshold, gap_seconds=gap_seconds, nearest=nearest):
            return found
    return compare()


def _may_lack(compared: Compared, *, k: int, threshold: float, gap_seconds: float, nearest: bool) -> bool:
    """Whether some of the k best moments may be among the frames that were not compared."""
    if not compared.is_complete:
        found = find_moments(compared.similarities, compared.frames, threshold=threshold, gap_seconds=gap_seconds)
        return len(found) < k
    is_any = bool((compared.similarities > -np.inf).any())
    return nearest or not is_any  # an index proposes matches, not all that is near and no match


def matches_of(
    query: Query,
    moments: Sequence[Moment],
    compared: Compared,
    background: Background,
    *,
    own: frozenset[str] = frozenset(),
) -> tuple[Match, ...]:
    """Each moment as a match; `own` are the names of the query's file and its copies."""
    return tuple(
        Match(
            moment,
            background.closer_than(moment.score),
            background.false_match_probability(moment.score),
            moment.source in own and _is_same(moment, query),
            *compared.locate(moment),
        )
        for moment in moments
    )


def _own_names(library: Store, query: Query) -> frozenset[str]:
    """The names in the library of the query's file and of its copies; none of pixels."""
    if not query.reference.is_file:
        return frozenset()
    path = query.reference.path
    num_bytes = path.stat().st_size
    own = frozenset(record.name for record in sources_at(library, path))
    alike = sources_of_size(library, num_bytes)
    if not alike:
        return own
    known = record_of(library, path)
    content = known.content if known else content_hash(path, name=path.name)
    return own | {record.name for record in alike if record.content == content}


def _is_same(moment: Moment, query: Query) -> bool:
    return query.reference.seconds is None or abs(moment.best_seconds - query.frame.seconds) <= SAME_SECONDS
