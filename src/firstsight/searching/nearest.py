"""The frames of a library that are most like a vector, or a picture: all are compared, or those that an index proposes.

Where the encoder has a second stage whose agreement counts, a frame's similarity to a picture is fused: (1 - w) cosine
+ w agreement, with the stage's weight w. Agreement is judged for 20 frames, taken in turn from two lists: the best
frame of each moment by its cosine, and by its similarity in place. Frames next to each other in time are alike, and
would leave the judge no choice. From frames that match the judge goes on: to further moments, and to the frames around,
as far as they match. Every other frame counts as the candidate judged that agrees least, so none of them is the best,
and stays below the threshold: where the judge stops early there may be more matches, but none that was not judged.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from firstsight.encoder.descriptions import CellStage, Descriptions
from firstsight.errors import LibraryError, SettingsError, check_count
from firstsight.library.embeddings import Embeddings
from firstsight.library.selection import CELLS_AT_ONCE, Where
from firstsight.library.store import BATCH_ROWS, Store, frame_gallery
from firstsight.library.thumbnails import frame_caption
from firstsight.library.vector_index import propose
from firstsight.searching.moments import GAP_SECONDS, Moment, best_of_moments, moments_of, near_frames, taken_in_turn
from firstsight.searching.regions import Box

Floats = NDArray[np.float32]
Rows = NDArray[np.intp]

_MAX_BY_INDEX = 100  # nearest frames; more are found by comparing all
# Enough for the moments of a search, few enough to be read within milliseconds.
_NUM_PROPOSED = 1_000
NUM_CANDIDATES = 20  # that are judged at first
_FEW_MOMENTS = 8  # between two that match
_MAX_JUDGED = 1_024  # frames: some tenths of a second


@dataclass(frozen=True, eq=False)
class Compared:
    """The frames of a library, and the similarities of those that were compared."""

    similarities: Floats  # (N,), -1 to 1; minus infinity of a frame that is not chosen, or was not compared
    frames: Embeddings  # N, by source and in order of time, without vectors
    chosen: NDArray[np.bool_] | None  # (N,), which are chosen; None is all
    is_complete: bool  # every match was compared; otherwise there may be more
    # Of a search for a box: the box in a moment's best frame, and the size of that frame.
    locate: Callable[[Moment], tuple[Box | None, tuple[int, int] | None]] = lambda _: (None, None)

    @property
    def num_frames(self) -> int:
        """Chosen."""
        return len(self.frames) if self.chosen is None else int(self.chosen.sum())

    @property
    def num_sources(self) -> int:
        """Of the chosen frames."""
        if self.chosen is None:
            return len(self.frames.sources)
        return int((np.bincount(self.frames.source_indices[self.chosen]) > 0).sum())


def compare_all(
    library: Store, vector: Floats, *, where: Where | None = None, without: frozenset[str] = frozenset()
) -> Compared:
    """Compares every chosen frame with a vector (dim,) of unit length; `without` are names of sources to leave out.

    Raises:
        LibraryError: a name or pattern fits no source, or no frame is chosen.
    """
    chosen = chosen_frames(library, where=where, without=without)
    similarities = np.full(len(chosen), -np.inf, np.float32)
    for positions, vectors in library.vectors(where):
        similarities[positions] = (vectors @ vector).clip(-1, 1)
    similarities[~chosen] = -np.inf
    return Compared(similarities, library.timeline.frames, chosen, is_complete=True)


def compare_proposed(library: Store, vector: Floats, *, threshold: float, num_sources: int) -> Compared | None:
    """Compares the frames that the vector index proposes; None if there is no index, or it is of little use now.

    That is where most of what it proposes is not shown: rows of interrupted sources, or of replaced ones, crowd out
    those that may match.

    Args:
        library: searched completely.
        vector: (dim,), of unit length.
        threshold: lowest similarity of a match.
        num_sources: if there are many matches, how many of the best sources to compare completely.
    """
    if not library.num_probes:
        return None
    found = propose(library.tables, vector, k=_NUM_PROPOSED, num_probes=library.num_probes)
    rows = library.timeline.find_row_ids(found.row_ids)
    is_visible = rows >= 0
    if 2 * is_visible.sum() < len(rows):
        return None
    rows, frames = rows[is_visible], library.timeline.frames
    is_complete = int((found.similarities >= threshold).sum()) < _NUM_PROPOSED // 2
    if not is_complete:
        best = _frames_of_best_sources(frames, rows, found.similarities[is_visible], num_sources)
        rows = np.union1d(rows, best)
    similarities = np.full(len(frames), -np.inf, np.float32)
    _compare_rows(library, vector, rows, similarities)
    return Compared(similarities, frames, None, is_complete=is_complete)


def _with_best_sources(
    library: Store, vector: Floats, proposed: Compared, scores: Floats, num_sources: int
) -> Compared:
    """What was proposed, and all frames of as many sources, those of the frames (N,) that score best."""
    rows = np.flatnonzero(scores > -np.inf)
    best = _frames_of_best_sources(proposed.frames, rows, scores[rows], num_sources)
    similarities = proposed.similarities.copy()
    _compare_rows(library, vector, best[similarities[best] == -np.inf], similarities)
    return replace(proposed, similarities=similarities)


def _frames_of_best_sources(frames: Embeddings, rows: Rows, scores: Floats, num_sources: int) -> Rows:
    """All frames of as many sources: those of the frames (K,) that score best."""
    numbers = frames.source_indices
    best = list(dict.fromkeys(numbers[rows[np.argsort(-scores, kind="stable")]].tolist()))[:num_sources]
    bounds = zip(np.searchsorted(numbers, best), np.searchsorted(numbers, best, "right"), strict=True)
    return np.concatenate([np.empty(0, np.intp), *(np.arange(first, end) for first, end in bounds)])


def _compare_rows(library: Store, vector: Floats, rows: Rows, similarities: Floats) -> None:
    for start in range(0, len(rows), BATCH_ROWS):
        some = rows[start : start + BATCH_ROWS]
        similarities[some] = (library.vectors_at(some) @ vector).clip(-1, 1)


def chosen_frames(library: Store, *, where: Where | None, without: frozenset[str]) -> NDArray[np.bool_]:
    """(N,): which frames of the library's timeline are chosen.

    Raises:
        LibraryError: a name or pattern fits no source, or no frame is chosen.
    """
    chosen = library.timeline.chosen(where, without=without)
    if not chosen.any():
        raise LibraryError(f"{library.name} has no frame to search there; index footage first, or ask for more of it")
    return chosen


@dataclass(frozen=True, eq=False)
class Judge:
    """The second stage of a library's encoder, over the frames of its timeline."""

    library: Store
    stage: CellStage

    @classmethod
    def of(cls, library: Store) -> "Judge | None":
        """None where cosines are all there is: no second stage, one without a weight, or no layouts in the library."""
        stage = library.stage
        return cls(library, stage) if stage and stage.weight else None

    def agreements_of(self, cells: NDArray[np.int8], rows: Rows) -> Floats:
        """How well frames at positions (K,) agree with one."""
        parts = [rows[start : start + CELLS_AT_ONCE] for start in range(0, len(rows), CELLS_AT_ONCE)]
        found = [self.stage.agreement(cells, self.library.cells_of(part)) for part in parts]
        return np.concatenate([np.empty(0, np.float32), *found])


def compare_described(
    judge: Judge,
    described: Descriptions,
    *,
    threshold: float,
    gap_seconds: float,
    proposed: Compared | None = None,
    num_sources: int = 0,
    where: Where | None = None,
    without: frozenset[str] = frozenset(),
) -> Compared:
    """Compares every chosen frame with a picture by its fused similarity.

    Args:
        judge: of the library that is searched.
        described: of one picture.
        threshold: lowest similarity of a match.
        gap_seconds: as for `find_moments`.
        proposed: compare these alone, which a vector index found among all; what is in place then proposes none.
        num_sources: and, if some match, how many of the best sources to compare completely.
        where: which frames; all by default.
        without: names of sources to leave out.

    Raises:
        LibraryError: a name or pattern fits no source, or no frame is chosen.
    """
    if described.cells is None or described.in_place is None:
        raise SettingsError("a query without a layout; make it with `read_query` and the library's own encoder")
    library, vector, cells = judge.library, described.vectors[0], described.cells[0]

    def judged(compared: Compared, in_place: Floats) -> Compared:
        return _Judging(judge, cells, compared, in_place, threshold).found(gap_seconds)

    if proposed:
        found = judged(proposed, proposed.similarities)
        num_matches = int((found.similarities >= threshold).sum())
        if not num_matches:
            return found
        wider = _with_best_sources(library, vector, proposed, found.similarities, num_sources)
        found = judged(wider, wider.similarities)
        return replace(found, is_complete=found.is_complete and num_matches < _NUM_PROPOSED // 2)
    cosines = compare_all(library, vector, where=where, without=without)
    in_place = np.full_like(cosines.similarities, -np.inf)
    for positions, vectors in library.in_place():
        in_place[positions] = vectors @ described.in_place[0]
    in_place[cosines.similarities == -np.inf] = -np.inf
    return judged(cosines, in_place)


class _Judging:
    """The agreement of frames with one picture, as far as it is judged."""

    def __init__(
        self, judge: Judge, cells: NDArray[np.int8], cosines: Compared, in_place: Floats, threshold: float
    ) -> None:
        self._judge, self._cells, self._threshold = judge, cells, threshold
        self._compared, self._cosines, self._in_place = cosines, cosines.similarities, in_place
        self._frames = cosines.frames
        self._is_chosen = self._cosines > -np.inf
        self._agreements = np.full(len(self._cosines), np.nan, np.float32)
        self._least = np.float32(1)  # of all candidates judged
        self.is_complete = True

    def found(self, gap_seconds: float) -> Compared:
        """What was compared, by its fused similarities."""
        self.judge_moments()
        self.judge_around(gap_seconds)
        similarities = self.similarities
        if not self.is_complete:
            similarities[self._between_matches(similarities)] = self._threshold
        return replace(self._compared, similarities=similarities, is_complete=self.is_complete)

    def _between_matches(self, similarities: Floats) -> Rows:
        """Frames for which there was no room, for a few moments, between matches: one long match, not many.

        Those whose vectors are as like the query as it takes, if their layouts agree as those of the matches beside do.
        """
        judged, seconds = np.flatnonzero(self._is_judged), self._frames.seconds
        is_match, sources = similarities[judged] >= self._threshold, self._frames.source_indices[judged]
        joined = is_match[:-1] & is_match[1:] & (np.diff(sources) == 0)
        joined &= np.diff(seconds[judged]) <= _FEW_MOMENTS * GAP_SECONDS
        lower = np.minimum(self._agreements[judged[:-1]], self._agreements[judged[1:]])
        after = np.minimum(np.searchsorted(judged, np.arange(len(seconds))), len(judged) - 1)
        is_between = np.append(False, joined)[after] & (np.arange(len(seconds)) < judged[after])
        rows = np.flatnonzero(is_between & self._is_chosen & ~self._is_judged)
        would_match = self._judge.stage.fused(self._cosines[rows], lower[after[rows] - 1]) >= self._threshold
        return rows[would_match]

    @property
    def similarities(self) -> Floats:
        """(N,), minus infinity of a frame that is not chosen."""
        is_judged = self._is_judged
        fused = self._judge.stage.fused(self._cosines, np.where(is_judged, self._agreements, self._least))
        no_match = np.nextafter(np.float32(self._threshold), np.float32(-np.inf))
        known = np.where(is_judged, fused, np.minimum(fused, no_match))
        found: Floats = np.where(self._is_chosen, known, np.float32(-np.inf))
        return found

    @property
    def _is_judged(self) -> NDArray[np.bool_]:
        return ~np.isnan(self._agreements)

    @property
    def _is_match(self) -> NDArray[np.bool_]:
        return self._is_judged & (self.similarities >= self._threshold)

    def judge_moments(self) -> None:
        """The 20 candidates of both lists; and as many again as long as some of the last ones match."""
        moments, num = moments_of(self._frames), NUM_CANDIDATES
        while self._judge_candidates(moments, num) and self.is_complete:
            num *= 2

    def _judge_candidates(self, moments: NDArray[np.int64], num: int) -> bool:
        """Whether some match of those that were not judged before."""
        first, second = (best_of_moments(scores[None], moments, num) for scores in (self._cosines, self._in_place))
        rows = taken_in_turn(first, second, num)[0]
        new = rows[~self._is_judged[rows]]
        self._take(new)
        self._least = np.fmin.reduce(self._agreements[new], initial=self._least)  # NaN of those there was no room for
        return bool(self._is_match[new].any())

    def judge_around(self, gap_seconds: float) -> None:
        """Frames around matches, ever further, until those that are near are judged and match no more."""
        reach = gap_seconds
        while self.is_complete:
            near = near_frames(self._frames, np.flatnonzero(self._is_match), gap_seconds)
            if not (near & self._is_chosen & ~self._is_judged).any():
                return
            further = near_frames(self._frames, np.flatnonzero(self._is_match), reach)
            self._take(np.flatnonzero(further & self._is_chosen & ~self._is_judged))
            reach *= 2

    def _take(self, rows: Rows) -> None:
        room = _MAX_JUDGED - int(self._is_judged.sum())
        if len(rows) > room:
            rows = rows[np.argsort(-self._cosines[rows], kind="stable")[:room]]
            self.is_complete = False
        self._agreements[rows] = self._judge.agreements_of(self._cells, rows)


@dataclass(frozen=True)
class NearFrame:
    """A frame of a library, and its similarity to a vector."""

    source: str  # name
    frame_index: int  # position in its source, from 0
    seconds: float
    similarity: float  # cosine, -1 to 1

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {name: getattr(self, name) for name in ("source", "frame_index", "seconds", "similarity")}


@dataclass(frozen=True)
class Nearest:
    """The frames of a library that are most like a vector, however low the similarity."""

    library: str  # its folder, as it was given
    frames: tuple[NearFrame, ...]  # the most similar first; of equally similar ones by source and time
    is_exact: bool  # every frame was compared; otherwise those that an index proposed
    folder: str = ""  # that of the library, absolute: a notebook reads the thumbnails when it shows them

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        frames = [one.to_json() for one in self.frames]
        return {"library": self.library, "is_exact": self.is_exact, "frames": frames}

    def to_arrow(self) -> pa.Table:
        """A row a frame: source, frame_index, seconds, similarity."""
        return pa.Table.from_pylist([one.to_json() for one in self.frames], _NEAREST)

    def _repr_html_(self) -> str:
        """For a notebook."""
        captions = [f"{frame_caption(one.source, one.seconds)}: {one.similarity:.3f}" for one in self.frames]
        frames = [(one.source, one.frame_index) for one in self.frames]
        return frame_gallery(self.folder or self.library, f"the {len(captions)} nearest frames", frames, captions)


_NEAREST = pa.schema(
    [("source", pa.string()), ("frame_index", pa.int64()), ("seconds", pa.float64()), ("similarity", pa.float64())]
)


def find_nearest(library: Store, vector: Floats, *, k: int, where: Where | None = None) -> Nearest:
    """The k frames most like a vector, without a threshold; fewer if fewer are chosen.

    A frame whose embedding has length 0, on which every map is zero, is never among them.

    Args:
        library: what is searched.
        vector: (dim,); only its direction counts.
        k: how many, from 1.
        where: which frames; all by default.

    Raises:
        SettingsError: k below 1, or a vector of another size.
        LibraryError: a name or pattern fits no source, or no frame is chosen.
    """
    k, query = check_count("{} nearest frames", k), np.asarray(vector, np.float32)
    if query.shape != (library.dim,) or not np.isfinite(query).all():
        raise SettingsError(
            f"a vector {query.shape} to find the nearest to; valid are {library.dim} finite numbers: an embedding of "
            "the library's own encoder"
        )
    query = query / np.maximum(np.linalg.norm(query), np.finfo(np.float32).tiny)
    compared = None
    if not where and k <= _MAX_BY_INDEX:
        compared = compare_proposed(library, query, threshold=np.inf, num_sources=0)
    is_exact = compared is None or int((compared.similarities > -np.inf).sum()) < k
    if compared is None or is_exact:
        compared = compare_all(library, query, where=where)
    frames, similarities = compared.frames, compared.similarities
    rows = np.flatnonzero((similarities > -np.inf) & (similarities != 0))  # 0 is of an embedding of length 0
    rows = rows[np.argsort(-similarities[rows], kind="stable")][:k]
    found = tuple(
        NearFrame(
            frames.source_of(row), int(frames.frame_indices[row]), float(frames.seconds[row]), float(similarities[row])
        )
        for row in rows.tolist()
    )
    return Nearest(library.name, found, is_exact, str(library.path))
