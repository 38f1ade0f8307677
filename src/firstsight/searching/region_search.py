"""Which moments of a library show what lies in a box of a picture?

A library keeps a vector of each whole frame, in which a small thing counts for little, so the frames' maps are computed
anew. Its thumbnails have more pixels than the encoder looks at: no video is opened.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import FirstsightError, LibraryError
from firstsight.footage.source import open_source
from firstsight.library.embeddings import Embeddings
from firstsight.library.selection import Where
from firstsight.library.source_files import check_unchanged
from firstsight.library.store import Store
from firstsight.library.thumbnails import as_picture
from firstsight.progress import Progress, Report, silent
from firstsight.searching.calibration import Background, far_seconds
from firstsight.searching.decoys import Decoys, Measurement, Picture, group_of, has_contrast, kept_background
from firstsight.searching.moments import GAP_SECONDS, Moment
from firstsight.searching.nearest import Compared, chosen_frames
from firstsight.searching.query import Query
from firstsight.searching.regions import Box, Floats, RegionMatcher, match_region
from firstsight.searching.search import (
    FALSE_MATCH_RATE,
    Likeness,
    SearchResult,
    answer,
    check_searchable,
    own_names,
)

_CHUNK = 256  # thumbnails read at once: about a megabyte, ten when they are pictures
# Decoys are made of so many windows each of so many frames: one of each would tell a threshold to 0.03 only. Of frames
# in which little is to be seen no more are drawn: where they count as much, thresholds are too low.
_NUM_FRAMES = 200
_WINDOWS_A_FRAME = 4
# Boxes whose sides differ by less than this have one background: thresholds change slowly with the size of a box.
_SIZE_STEP = 1.25
_PAIRS_A_FRAME = 10  # similarities to decoys that are kept of each frame, to tell how unusual one is
_MAX_PAIRS = 100_000


def search_region(
    library: Store,
    query: Query,
    box: Box,
    *,
    k: int = 10,
    where: Where | None = None,
    not_itself: bool = False,
    false_match_rate: float = FALSE_MATCH_RATE,
    gap_seconds: float = GAP_SECONDS,
    nearest: bool = False,
    progress: Report = silent,
) -> SearchResult:
    """The k moments in which some window is most like what lies in the query's box; none, if no window is.

    Every chosen frame is re-embedded, some tens of milliseconds each. What is normal is measured as in
    `search`, over the whole library and once for all boxes of about that size: decoys are windows of the library's own
    frames, upside down.

    Args:
        library: what is searched.
        query: made by `read_query` with the library's encoder.
        box: in pixels of the query's picture.
        k: how many moments, from 1.
        where: which frames; all by default.
        not_itself: leave out the query's own file, and copies of it.
        false_match_rate: of searches whose answer is not in the library, the share that may get a match all the same.
        gap_seconds: of frames that do not match, within a moment.
        nearest: fill up to k with the nearest that are no match, in `SearchResult.below`.
        progress: called now and then; its news say if what is normal has to be measured first.

    Raises:
        SettingsError: k below 1, a rate that is not between 0 and 1, or a box that is not in the picture.
        LibraryError: no frame is chosen; or an encoder that sees only a part of each frame, as the article's does.
    """
    check_searchable(library, k=k)
    _check_encoder(library)
    own = own_names(library, query)
    matcher = match_region(library.encoder, box, query.frame.size)
    chosen = chosen_frames(library, where=where, without=own if not_itself else frozenset())
    background = region_background(library, matcher, progress=progress)
    found = compare_regions(library, matcher, matcher.described(query.frame.pixels[None]), chosen, progress=progress)
    compared = Compared(found.similarities[:, 0], library.timeline.frames, chosen, is_complete=True)
    likeness = Likeness(compared, background, _Locate(library, matcher, found.windows[:, 0]), box)
    return answer(
        library,
        query,
        likeness,
        own=own,
        k=k,
        false_match_rate=false_match_rate,
        gap_seconds=gap_seconds,
        nearest=nearest,
    )


@dataclass(frozen=True, eq=False)
class RegionMatches:
    """How alike the best window of each frame of a library is to some regions."""

    similarities: Floats  # (N, R), -1 to 1; minus infinity of frames that are not chosen
    windows: NDArray[np.intp]  # (N, R), the number of that window


def compare_regions(
    library: Store,
    matcher: RegionMatcher,
    regions: Floats,
    chosen: NDArray[np.bool_],
    *,
    progress: Report = silent,
) -> RegionMatches:
    """Compares the chosen frames (N,) of the library's timeline with regions (R, D), in memory of 12 N R bytes."""
    similarities = np.full((len(chosen), len(regions)), -np.inf, np.float32)
    windows = np.zeros((len(chosen), len(regions)), np.intp)
    num_done, total = 0, int(chosen.sum())
    for rows, inputs in _inputs_of(library, matcher, np.flatnonzero(chosen)):
        similarities[rows], windows[rows] = matcher.best(inputs, regions)
        num_done += len(rows)
        progress(Progress("searching", num_done, total))
    return RegionMatches(similarities, windows)


def region_background(
    library: Store,
    matcher: RegionMatcher,
    *,
    progress: Report = silent,
) -> Background:
    """What is normal for boxes of about that size; measured over the whole library, and kept beside its rows."""
    matcher, name = _of_usual_size(matcher)
    news = "measuring what is normal for boxes of this size: once, and about twice as long as a search"
    file = f"background-{name}.npz"
    return kept_background(library, file, lambda: _measure(library, matcher, progress), news=news, progress=progress)


def _measure(library: Store, matcher: RegionMatcher, progress: Report) -> Background:
    frames = library.timeline.frames
    decoys, origins = _decoys(matcher, library)
    measure = Measurement(decoys, group_of(library), far_seconds(frames.seconds))
    both, num, pairs = np.concatenate([decoys.vectors, origins]), len(origins), []
    for rows, inputs in _inputs_of(library, matcher, np.arange(len(frames))):
        likeness = matcher.best(inputs, both)[0].T
        measure.add(frames[rows], likeness[:num], likeness[num:])
        pairs.append(likeness[:num][rows[0] % max(1, num) :][:_PAIRS_A_FRAME].ravel())
        progress(Progress("measuring", int(rows[-1]) + 1, len(frames)))
    together = np.sort(np.concatenate([np.empty(0, np.float32), *pairs]))
    step = max(1, len(together) // _MAX_PAIRS)
    return Background(together[::step], np.sort(measure.bests()), num_sources=len(library.sources))


def _decoys(matcher: RegionMatcher, library: Store) -> tuple[Decoys, Floats]:
    """Windows of the box's size anywhere in the library's own frames, upside down; and the same as they are (M, D)."""
    frames = library.timeline.frames
    rows = np.unique(np.linspace(0, len(frames) - 1, _NUM_FRAMES).astype(int))
    random = np.random.default_rng(0)
    used, turned, upright = [], [np.empty((0, 0), np.float32)], [np.empty((0, 0), np.float32)]
    for row, picture in zip(rows, _pictures(library, rows), strict=True):
        windows = _windows_that_show(matcher, picture, random)
        if windows:
            used += [row] * len(windows)
            upside_down = np.ascontiguousarray(picture[::-1])
            turned.append(matcher.described(_input(matcher, upside_down), windows=[[one for one, _ in windows]]))
            upright.append(matcher.described(_input(matcher, picture), windows=[[one for _, one in windows]]))
    return Decoys(_rows(turned), frames[np.array(used, np.intp)]), _rows(upright)


def _windows_that_show(matcher: RegionMatcher, picture: Picture, random: np.random.Generator) -> list[tuple[int, int]]:
    """Of windows drawn of a picture upside down those in which something is to be seen, each with where it was."""
    drawn = dict.fromkeys(matcher.window_and_mirrored(random) for _ in range(_WINDOWS_A_FRAME))
    boxes = [matcher.box_of(before, (picture.shape[1], picture.shape[0])) for _, before in drawn]
    shows = [has_contrast(picture[box.y : box.y + box.height, box.x : box.x + box.width]) for box in boxes]
    return list(itertools.compress(drawn, shows))


def _rows(parts: list[Floats]) -> Floats:
    """Some rows together; none at all have no columns either."""
    return np.concatenate(parts[1:]) if len(parts) > 1 else parts[0]


def _of_usual_size(matcher: RegionMatcher) -> tuple[RegionMatcher, str]:
    """The matcher with its box's sides rounded to a step, and a name for all that are rounded to it."""
    width, height = matcher.size
    steps = [
        round(math.log(side / whole, _SIZE_STEP)) for side, whole in zip(matcher.box.size, matcher.size, strict=True)
    ]
    sides = [
        max(1, min(whole, round(whole * _SIZE_STEP**step))) for whole, step in zip(matcher.size, steps, strict=True)
    ]
    box = Box((width - sides[0]) // 2, (height - sides[1]) // 2, *sides)
    shape = round(math.log(width / height, _SIZE_STEP))
    return match_region(matcher.encoder, box, matcher.size), f"{-steps[0]}x{-steps[1]}-{shape}"


@dataclass(frozen=True, eq=False)
class _Locate:
    """Where in a moment's best frame a region was found."""

    library: Store
    matcher: RegionMatcher
    windows: NDArray[np.intp]  # (N,), of each frame of the library's timeline

    def __call__(self, moment: Moment) -> tuple[Box, tuple[int, int]]:
        """And how large that frame is: in its pixels, or if the file is gone or another in those of the thumbnail."""
        frames = self.library.timeline.frames
        number = frames.sources.index(moment.source)
        here = (frames.source_indices == number) & (frames.frame_indices == moment.best_frame_index)
        size = self._size(moment)
        return self.matcher.box_of(int(self.windows[np.flatnonzero(here)[0]]), size), size

    def _size(self, moment: Moment) -> tuple[int, int]:
        record = next(record for record in self.library.sources if record.name == moment.source)
        try:
            check_unchanged(record)
            return open_source(record.path).size()
        except FirstsightError:
            height, width = as_picture(self.library.thumbnails([(moment.source, moment.best_frame_index)])[0]).shape[:2]
            return width, height


def _check_encoder(library: Store) -> None:
    if not library.encoder.view.shows_whole_frame:
        raise LibraryError(
            f"{library.path} was made with an encoder that sees {library.encoder.view.describe()}, which its "
            "thumbnails cannot give again: compare the videos themselves, with `firstsight compare --box`"
        )


def _inputs_of(
    library: Store, matcher: RegionMatcher, rows: NDArray[np.intp]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.uint8]]]:
    """Rows of the library's timeline, some at a time, and what the encoder sees of their thumbnails."""
    for start in range(0, len(rows), _CHUNK):
        some = rows[start : start + _CHUNK]
        yield some, np.concatenate([_input(matcher, picture) for picture in _pictures(library, some)])


def _pictures(library: Store, rows: NDArray[np.intp]) -> Iterator[Picture]:
    frames: Embeddings = library.timeline.frames
    names = [(frames.source_of(row), int(frames.frame_indices[row])) for row in rows]
    return map(as_picture, library.thumbnails(names))


def _input(matcher: RegionMatcher, picture: Picture) -> NDArray[np.uint8]:
    """(1, H, W, 3)."""
    return matcher.encoder.view.apply(picture[None])
