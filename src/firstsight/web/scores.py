"""How alike every frame of a library is to a picture or a box of it, and which moments match: the curve of an anchor.

The same comparison and threshold as `Library.search`; here of all frames, as the curve shows those that do not match,
too.
"""

from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import LibraryError
from firstsight.library.selection import Where
from firstsight.library.set_apart import Part
from firstsight.library.store import Store
from firstsight.searching.calibration import Background, match_threshold
from firstsight.searching.decoys import background_of
from firstsight.searching.moments import GAP_SECONDS, Moment, find_moments, nearest_moments
from firstsight.searching.nearest import Judge, chosen_frames, compare_all, compare_described, compare_proposed
from firstsight.searching.query import read_query, stored_at
from firstsight.searching.region_search import compare_box
from firstsight.searching.regions import Box
from firstsight.searching.search import (
    FALSE_MATCH_RATE,
    Match,
    matches_of,
    set_apart_from,
    without_apart,
)
from firstsight.searching.verdict import threshold_doubt
from firstsight.web.rows import state_of

_ELSEWHERE_SECONDS = 5.0  # what is nearer in time is not elsewhere
_SAME_SECONDS = 1e-3
COLUMNS = ("source", "start_seconds", "end_seconds", "best_seconds", "similarity", "false_match_probability")
MAX_MOMENTS = 500  # that a page gets, the best first
_NUM_NEAREST = 3  # shown where nothing matches
_NUM_NEAR = 5  # to be judged


@dataclass(frozen=True, eq=False)
class Scores:
    """The frames of a library beside one picture."""

    state: str  # of the library, see `state_of`
    similarities: NDArray[np.float32]  # (N,) of the timeline, -1 to 1
    threshold: float  # lowest similarity of a match
    background: Background  # by which that is measured
    false_match_rate: float
    moments: tuple[Moment, ...]  # all that match, the best first
    found: tuple[Match, ...]  # the best of them; if there are none, the nearest moments
    near: tuple[Match, ...]  # the nearest that are no match: to be judged

    @property
    def is_match(self) -> bool:
        """Whether anything matches."""
        return bool(self.moments)

    def to_json(self) -> dict[str, Any]:
        """What it says altogether, as plain values."""
        return {
            "is_match": self.is_match,
            "num_matches": len(self.moments),
            "threshold": self.threshold,
            "is_measured": self.background.is_measured,
            "false_match_rate": self.false_match_rate,
            "doubt": threshold_doubt(self.background, self.false_match_rate),
        }

    def cells(self) -> Iterator[tuple[str, ...]]:
        """Each moment that matches as a line of a table with these `COLUMNS`."""
        for one in self.moments:
            times = (f"{time:.3f}" for time in (one.start_seconds, one.end_seconds, one.best_seconds))
            chance = self.background.false_match_probability(one.score)  # an empty cell is what is not measured
            yield one.source, *times, f"{one.score:.4f}", "" if chance is None else f"{chance:.2g}"


def box_in_shares(match: Match) -> tuple[float, float, float, float] | None:
    """Where in its best frame a match is: x, y, width, height in shares of the picture; None without a box."""
    if match.box is None or match.picture_size is None:
        return None
    (x, y, across, down), (width, height) = astuple(match.box), match.picture_size
    return x / width, y / height, across / width, down / height


def score(store: Store, picture: NDArray[np.uint8], box: Box | None = None, *, part: Part) -> Scores:
    """Compares a picture (H, W, 3), or what is in its box, with every frame; `part` is what it is to judgements.

    Raises:
        LibraryError: it holds no frame, or a box with an encoder whose view is only a part of each frame.
        SettingsError: the box is not in the picture, or too small.
    """
    if not store.num_frames:
        raise LibraryError(f"{store.name} holds no frame yet")
    query = read_query(picture, store.encoder)
    if box is None and (stored := stored_at(store, part.content, part.start_seconds)):
        query = replace(query, vector=stored.vectors[0], described=stored)  # as `search` compares the same frame
    if box is not None:
        chosen = chosen_frames(store, where=None, without=frozenset())
        compared, background = compare_box(store, query, box, chosen)
        threshold = match_threshold(background, FALSE_MATCH_RATE)
    else:
        background = background_of(store)
        threshold = match_threshold(background, FALSE_MATCH_RATE)
        judge = Judge.of(store)
        if judge is None or query.described is None:
            compared = compare_all(store, query.vector)
        else:
            compared = compare_described(judge, query.described, threshold=threshold, gap_seconds=GAP_SECONDS)
    compared, _ = without_apart(compared, set_apart_from(store, lambda: part), threshold=threshold)
    moments = find_moments(compared.similarities, compared.frames, threshold=threshold)
    near = nearest_moments(compared.similarities, compared.frames, k=_NUM_NEAR, below=threshold)
    shown = moments[:MAX_MOMENTS] or near[:_NUM_NEAREST]
    return Scores(
        state_of(store),
        compared.similarities,
        threshold,
        background,
        FALSE_MATCH_RATE,
        tuple(moments),
        matches_of(query, shown, compared, background),
        matches_of(query, near, compared, background),
    )


def elsewhere(store: Store, source: str, seconds: float, *, k: int) -> tuple[Moment, ...]:
    """The moments nearest to a frame of the library by the cosine, the best first; none within five seconds of it.

    Args:
        store: the library.
        source: name of the frame's source.
        seconds: its time, as the library has it.
        k: how many at most.
    """
    around = Where((source,), max(0.0, seconds - _SAME_SECONDS), seconds + _SAME_SECONDS)
    vector = next((vectors[0] for _, vectors in store.vectors(around) if len(vectors)), None)
    if vector is None:
        return ()
    found = compare_proposed(store, vector, threshold=-1.0, num_sources=k) or compare_all(store, vector)
    frames = found.frames
    is_own = frames.source_indices == frames.sources.index(source)
    is_near = is_own & (np.abs(frames.seconds - seconds) < _ELSEWHERE_SECONDS)
    left = np.where(is_near, np.float32(-np.inf), found.similarities)
    return nearest_moments(left, frames, k=k, below=np.inf)
