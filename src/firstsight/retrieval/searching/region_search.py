"""Which moments of a library show what lies in a box of a picture?

A library keeps a vector of each whole frame, in which a small thing counts for little, so the frames' maps are computed
anew. Its thumbnails have more pixels than the encoder looks at: no video is opened.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import FirstsightError, LibraryError
from firstsight.model.whole_frame import WholeFrame
from firstsight.retrieval.embedding import Embeddings
from firstsight.retrieval.embedding_sample import joined
from firstsight.retrieval.regions.box import Box, Placed
from firstsight.retrieval.regions.regions import Floats, Look, look_for
from firstsight.retrieval.searching.calibration import Background
from firstsight.retrieval.searching.decoys import spread_pictures
from firstsight.retrieval.searching.moments import GAP_SECONDS, Moment
from firstsight.retrieval.searching.query import Query
from firstsight.retrieval.searching.scan import frames_meant
from firstsight.retrieval.searching.search import (
    FALSE_MATCH_RATE,
    Likeness,
    SearchResult,
    answer,
    check_searchable,
    own_names,
)
from firstsight.retrieval.store.library import Library
from firstsight.retrieval.store.thumbnails import as_picture
from firstsight.retrieval.store.where import Where
from firstsight.video.source import open_source

_CHUNK = 256  # thumbnails read at once: about a megabyte, ten when they are pictures
_PAIRS_A_FRAME = 10  # similarities to decoys that are kept of each frame, to tell how unusual one is
_MAX_PAIRS = 1_000_000


def search_region(
    library: Library,
    query: Query,
    box: Box,
    *,
    k: int = 10,
    where: Where | None = None,
    not_itself: bool = False,
    false_match_rate: float = FALSE_MATCH_RATE,
    gap_seconds: float = GAP_SECONDS,
    progress: Callable[[int], None] = lambda _: None,
) -> SearchResult:
    """The k moments in which some window is most like what lies in the query's box; none, if no window is.

    Every frame that is meant is looked at anew, some tens of milliseconds each. A threshold is measured as in `search`:
    decoys are windows of the library's own frames, of the box's size, upside down.

    Args:
        library: what is searched.
        query: made by `read_query` with the library's encoder.
        box: in pixels of the query's picture.
        k: how many moments, from 1.
        where: which frames are meant; all by default.
        not_itself: leave out the query's own file, and copies of it.
        false_match_rate: of searches whose answer is not in the library, the share that may get a match all the same.
        gap_seconds: of frames that do not match, within a moment.
        progress: told how many frames have been looked at.

    Raises:
        SettingsError: k below 1, a rate that is not between 0 and 1, or a box that is not in the picture.
        LibraryError: no frame is meant; or an encoder that sees only a part of each frame, as the article's does.
    """
    check_searchable(library, k=k)
    _check_encoder(library)
    own = own_names(library, query.place.path)
    look = look_for(library.encoder, box, query.frame.size)
    regions = np.concatenate([look.described(query.frame.pixels[None]), _decoys(look, library)])
    seen = _look_through(
        library, look, regions, where=where, without=own if not_itself else frozenset(), progress=progress
    )
    likeness = Likeness(seen.similarities[:, 0], seen.frames, seen.background, seen.place, box)
    return answer(query, likeness, own=own, k=k, false_match_rate=false_match_rate, gap_seconds=gap_seconds)


@dataclass(frozen=True, eq=False)
class _Seen:
    """All frames that are meant, by source and in order of time."""

    library: Library
    look: Look
    similarities: Floats  # (N, 1 + pairs): of the best window to the region, and to some decoys
    windows: NDArray[np.intp]  # (N,), which window is most like the region
    frames: Embeddings
    decoys: Floats  # (M,), similarity of each decoy to the frame most like it

    @property
    def background(self) -> Background:
        pairs = np.sort(self.similarities[:, 1:], axis=None)
        pairs = pairs[:: max(1, len(pairs) // _MAX_PAIRS)]
        return Background(pairs, np.sort(self.decoys), num_sources=len(np.unique(self.frames.source_indices)))

    def place(self, moment: Moment) -> Placed:
        """Where in the moment's best frame: in its pixels, or if the file is gone in those of the thumbnail."""
        number = self.frames.sources.index(moment.source)
        here = (self.frames.source_indices == number) & (self.frames.frame_indices == moment.best_frame_index)
        size = self._size(moment)
        return Placed(self.look.box_of(int(self.windows[np.flatnonzero(here)[0]]), size), size)

    def _size(self, moment: Moment) -> tuple[int, int]:
        path = next(record.path for record in self.library.sources if record.name == moment.source)
        try:
            return open_source(path).size()
        except FirstsightError:
            height, width = as_picture(self.library.thumbnails([(moment.source, moment.best_frame_index)])[0]).shape[:2]
            return width, height


def _check_encoder(library: Library) -> None:
    if not isinstance(library.encoder.preprocessing, WholeFrame):
        raise LibraryError(
            f"{library.path} was made with an encoder that sees {library.encoder.preprocessing.describe()}, which its "
            "thumbnails cannot give again: compare the videos themselves, with `firstsight compare --box`"
        )


def _decoys(look: Look, library: Library) -> Floats:
    """Windows of the box's size anywhere in the library's own frames, upside down: (M, D)."""
    pictures = _inputs(look, [np.ascontiguousarray(picture[::-1]) for picture in spread_pictures(library)])
    anywhere = np.random.default_rng(0).integers(0, look.num_windows, len(pictures))
    return look.described(pictures, windows=anywhere.tolist())


def _inputs(look: Look, pictures: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    return np.concatenate([look.encoder.preprocessing.apply(picture[None]) for picture in pictures])


def _look_through(
    library: Library,
    look: Look,
    regions: Floats,
    *,
    where: Where | None,
    without: frozenset[str],
    progress: Callable[[int], None],
) -> _Seen:
    found: list[Embeddings] = []  # what was seen in place of the vectors, so that all is put in order together
    bests = np.full(len(regions) - 1, -1, np.float32)
    num_seen = 0
    for frames in frames_meant(library, where=where, without=without, batch_size=_CHUNK):
        names = [(frames.source_of(row), int(frames.frame_indices[row])) for row in range(len(frames))]
        inputs = _inputs(look, [as_picture(jpeg) for jpeg in library.thumbnails(names)])
        similarities, windows = look.best(inputs, regions)
        bests = np.maximum(bests, similarities[:, 1:].max(axis=0))
        kept = np.concatenate([similarities[:, : 1 + _PAIRS_A_FRAME], windows[:, :1]], axis=1, dtype=np.float32)
        found.append(replace(frames, vectors=kept))
        num_seen += len(frames)
        progress(num_seen)
    frames = joined(found)
    return _Seen(library, look, frames.vectors[:, :-1], frames.vectors[:, -1].astype(np.intp), frames, bests)
