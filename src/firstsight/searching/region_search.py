"""Which moments of a library show what lies in a box of a picture?

In the vector of a frame a small object counts for little. So a box is compared with windows of the cells that a library
keeps of each frame for its second stage (`CellMatcher`). A library without them has thumbnails of more pixels than the
encoder's input, of which the maps are computed again (`RegionMatcher`), some tens of milliseconds a frame. No video is
opened.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from firstsight.encoder.encoder import Encoder
from firstsight.encoder.model import SecondStage
from firstsight.errors import FirstsightError, LibraryError, SettingsError
from firstsight.footage.source import open_source
from firstsight.library.embeddings import Embeddings
from firstsight.library.source_files import check_unchanged
from firstsight.library.store import Store
from firstsight.library.thumbnails import as_picture
from firstsight.process import passive_waiting
from firstsight.progress import Progress, Report, silent
from firstsight.searching.calibration import Background, far_seconds
from firstsight.searching.decoys import (
    Decoys,
    Measurement,
    Picture,
    content_groups,
    has_contrast,
    kept_background,
    rows_of_decoys,
)
from firstsight.searching.moments import Moment
from firstsight.searching.nearest import Compared
from firstsight.searching.query import Query
from firstsight.searching.regions import (
    Box,
    Floats,
    Placement,
    RegionMatcher,
    Windows,
    arrange_windows,
    cell_shares,
    least_size,
    match_region,
    num_windows,
    single_window,
)

_CHUNK = 256  # thumbnails read at once: about a megabyte, ten when they are pictures
# Decoys are windows of frames: one of each frame would give a threshold to 0.03 only. Frames that show little get no
# more windows than others, or thresholds would be too low.
_WINDOWS_A_FRAME = 4
# Boxes whose sides differ by less than this have one background: thresholds change slowly with the size of a box.
_SIZE_STEP = 1.25
_PAIRS_A_FRAME = 10  # similarities to decoys that are kept of each frame, as those of unrelated pairs
_MAX_PAIRS = 100_000
_LEAST_CELLS = 0.75  # of a side of a box: what is smaller, cells mix with what is around it
_MAX_NUMBERS = 12_000_000  # similarities of cells held at once: 50 MB
_CELLS_AT_ONCE = 16  # frames whose windows are held at once

Sides = tuple[int, int]


@dataclass(frozen=True, eq=False)
class CellMatcher:
    """A box in a picture, and all windows of its size, on the grid of the cells that a library keeps of each frame."""

    encoder: Encoder
    stage: SecondStage
    placement: Placement
    box_window: Windows
    windows: Windows  # the last is the box's own

    def described(self, inputs: NDArray[np.uint8], *, windows: Sequence[Sequence[int]] | None = None) -> Floats:
        """The descriptor of the box of each picture, or of some of its windows: (N, D), each of unit length.

        Args:
            inputs: uint8 (N, H, W, 3), pictures or the encoder's inputs made of them.
            windows: numbers of windows for each picture; their descriptors come one after the other.
        """
        cells = torch.from_numpy(self.encoder.describe(inputs).cells)
        if windows is None:
            return self.stage.window_descriptors(cells, *self._shares(self.box_window)).flatten(0, 1).numpy()
        every = self.stage.window_descriptors(cells, *self._shares(self.windows))
        return torch.cat([own[list(chosen)] for own, chosen in zip(every, windows, strict=True)]).numpy()

    def best(self, cells: NDArray[np.int8], regions: Floats) -> tuple[Floats, NDArray[np.intp]]:
        """The similarity of the best window of each frame to each region, and its number: (N, R) and (N, R).

        Args:
            cells: int8 (N, 2, rows, columns, numbers), as `Encoder.describe` gives them.
            regions: (R, D), made by `described`.
        """
        shares, others = self._shares(self.windows), torch.from_numpy(regions)
        step = max(1, min(_CELLS_AT_ONCE, _MAX_NUMBERS // (self.windows.num * max(1, len(regions)))))
        with passive_waiting(), torch.inference_mode():
            found = [
                self.stage.window_similarities(part, others, *shares).max(dim=1)
                for part in torch.split(torch.from_numpy(cells), step)
            ]
        best, windows = (torch.cat(each).numpy() for each in zip(*found, strict=True))
        return best.clip(-1, 1), windows

    def _shares(self, windows: Windows) -> tuple[torch.Tensor, torch.Tensor]:
        rows, columns = self.stage.grid
        vertical, horizontal = (
            cell_shares(starts, length, num)
            for starts, length, num in ((windows.tops, windows.height, rows), (windows.lefts, windows.width, columns))
        )
        return torch.from_numpy(vertical), torch.from_numpy(horizontal)


Matcher = CellMatcher | RegionMatcher


def match_box(library: Store, box: Box, size: Sides) -> Matcher:
    """Compares a box of a picture with the frames of a library: by their cells if it keeps some, else by their maps.

    Args:
        library: what is searched.
        box: in pixels of the upright picture.
        size: width and height of that picture.

    Raises:
        SettingsError: the box is not in the picture, or too small.
    """
    if library.encoder.model.second_stage is None or not library.has_layouts:
        return match_region(library.encoder, box, size)
    return match_cells(library.encoder, box, size)


def match_cells(encoder: Encoder, box: Box, size: Sides) -> CellMatcher:
    """Compares a box with all windows of its size by the cells of an encoder with a second stage.

    Raises:
        SettingsError: the box is not in the picture, or too small; the encoder has no second stage.
    """
    stage = encoder.model.second_stage
    if stage is None:
        raise SettingsError("an encoder without a second stage has no cells; compare a box by its maps, `match_region`")
    box.check_inside(size)
    rows, columns = stage.grid
    width, height = (math.ceil(_LEAST_CELLS * side / num) for side, num in zip(size, (columns, rows), strict=True))
    if box.width < width or box.height < height:
        raise SettingsError(
            f"box {box} is too small to be found by the {columns}x{rows} cells that are kept of a frame; "
            f"valid is at least {width}x{height} pixels of this picture, which is {size[0]}x{size[1]}"
        )
    return _match_cells(encoder, stage, box, size)


def _match_cells(encoder: Encoder, stage: SecondStage, box: Box, size: Sides) -> CellMatcher:
    rows, columns = stage.grid
    across, down = columns / size[0], rows / size[1]
    window = single_window(box.x * across, box.y * down, box.width * across, box.height * down)
    num = num_windows(window.height, rows), num_windows(window.width, columns)
    windows = arrange_windows(window, num, rows=rows, columns=columns)
    placement = Placement(encoder.view, box, size, len(windows.tops), len(windows.lefts))
    return CellMatcher(encoder, stage, placement, window, windows)


def compare_box(
    library: Store, query: Query, box: Box, chosen: NDArray[np.bool_], *, progress: Report = silent
) -> tuple[Compared, Background]:
    """How alike the best window of each chosen frame is to what lies in the query's box, and what is normal there.

    What is normal is measured once for all boxes of about that size: decoys are windows of the library's own frames,
    upside down.

    Args:
        library: what is searched.
        query: made by `read_query` with the library's encoder.
        box: in pixels of the query's picture.
        chosen: (N,), frames of the library's timeline.
        progress: called now and then; its news report that what is normal has to be measured first.

    Raises:
        SettingsError: a box that is not in the picture, or too small.
        LibraryError: an encoder whose view is only a part of each frame, as the article's.
    """
    if not library.encoder.view.shows_whole_frame:
        raise LibraryError(
            f"{library.name} was made with an encoder that uses {library.encoder.view.describe()}, which its "
            "thumbnails do not contain: compare the videos themselves, with `firstsight compare --box`"
        )
    matcher = match_box(library, box, query.frame.size)
    background = region_background(library, matcher, progress=progress)
    found = compare_regions(library, matcher, matcher.described(query.frame.pixels[None]), chosen, progress=progress)

    def locate(moment: Moment) -> tuple[Box, tuple[int, int]]:
        frames = library.timeline.frames
        is_source = frames.source_indices == frames.sources.index(moment.source)
        row = np.flatnonzero(is_source & (frames.frame_indices == moment.best_frame_index))[0]
        size = _frame_size(library, moment)
        return matcher.placement.box_of(int(found.windows[row, 0]), size), size

    compared = Compared(found.similarities[:, 0], library.timeline.frames, chosen, is_complete=True, locate=locate)
    return compared, background


@dataclass(frozen=True, eq=False)
class RegionMatches:
    """The best window of each frame of a library, for each of some regions."""

    similarities: Floats  # (N, R), -1 to 1; minus infinity of frames that are not chosen
    windows: NDArray[np.intp]  # (N, R), numbers of the windows


def compare_regions(
    library: Store,
    matcher: Matcher,
    regions: Floats,
    chosen: NDArray[np.bool_],
    *,
    progress: Report = silent,
) -> RegionMatches:
    """Compares the chosen frames (N,) of the library's timeline with regions (R, D), in memory of 12 N R bytes."""
    similarities = np.full((len(chosen), len(regions)), -np.inf, np.float32)
    windows = np.zeros((len(chosen), len(regions)), np.intp)
    num_done, total = 0, int(chosen.sum())
    for rows, best, numbers in _bests(library, matcher, regions, chosen):
        similarities[rows], windows[rows] = best, numbers
        num_done += len(rows)
        progress(Progress("searching", num_done, total))
    return RegionMatches(similarities, windows)


def region_background(
    library: Store,
    matcher: Matcher,
    *,
    progress: Report = silent,
) -> Background:
    """What is normal for boxes of about that size, measured over all of the library, and kept beside its rows."""
    matcher, name = _of_usual_size(matcher)
    how_long = "a minute an hour of footage" if isinstance(matcher, CellMatcher) else "twice a search"
    news = f"measuring what is normal for boxes of this size: once, in about {how_long}"
    file = f"background-{'cells-' if isinstance(matcher, CellMatcher) else ''}{name}.npz"
    return kept_background(library, file, lambda: _measure(library, matcher, progress), news=news, progress=progress)


def _measure(library: Store, matcher: Matcher, progress: Report) -> Background:
    frames = library.timeline.frames
    decoys, origins = _decoys(matcher, library)
    if not len(origins):  # no picture has contrast
        return Background(np.empty(0, np.float32), np.empty(0, np.float32), num_sources=len(library.sources))
    measure = Measurement(decoys, content_groups(library), far_seconds(frames.seconds))
    both, num, pairs, num_done = np.concatenate([decoys.vectors, origins]), len(origins), [], 0
    for rows, best, _ in _bests(library, matcher, both, np.ones(len(frames), np.bool_)):
        similarities = best.T
        measure.add(frames[rows], similarities[:num], similarities[num:])
        pairs.append(similarities[:num][rows[0] % num :][:_PAIRS_A_FRAME].ravel())
        num_done += len(rows)
        progress(Progress("measuring", num_done, len(frames)))
    together = np.sort(np.concatenate([np.empty(0, np.float32), *pairs]))
    step = max(1, len(together) // _MAX_PAIRS)
    return Background(together[::step], np.sort(measure.bests()), num_sources=len(library.sources))


def _decoys(matcher: Matcher, library: Store) -> tuple[Decoys, Floats]:
    """Random windows of the box's size in the library's frames, upside down; and the same as they are (M, D)."""
    frames = library.timeline.frames
    rows = rows_of_decoys(frames)
    random = np.random.default_rng(0)
    used, turned, upright = [], [np.empty((0, 0), np.float32)], [np.empty((0, 0), np.float32)]
    for row, picture in zip(rows, _pictures(library, rows), strict=True):
        windows = _windows_with_contrast(matcher, picture, random)
        if windows:
            used += [row] * len(windows)
            upside_down = np.ascontiguousarray(picture[::-1])
            turned.append(matcher.described(_input(matcher, upside_down), windows=[[after for after, _ in windows]]))
            upright.append(matcher.described(_input(matcher, picture), windows=[[before for _, before in windows]]))
    return Decoys(_rows(turned), frames[np.array(used, np.intp)]), _rows(upright)


def _windows_with_contrast(matcher: Matcher, picture: Picture, random: np.random.Generator) -> list[tuple[int, int]]:
    """Numbers of random windows with contrast: of each that in the picture upside down, and that in the picture."""
    found = []
    for after, before in dict.fromkeys(matcher.placement.window_and_mirrored(random) for _ in range(_WINDOWS_A_FRAME)):
        box = matcher.placement.box_of(before, (picture.shape[1], picture.shape[0]))
        if has_contrast(picture[box.y : box.y + box.height, box.x : box.x + box.width]):
            found.append((after, before))
    return found


def _rows(parts: list[Floats]) -> Floats:
    """All but the first part, concatenated; the first, empty one if there is no other."""
    return np.concatenate(parts[1:]) if len(parts) > 1 else parts[0]


def _of_usual_size(matcher: Matcher) -> tuple[Matcher, str]:
    """The matcher with its box's sides rounded to a step, if that is large enough; and a name for all rounded to it."""
    given, size = matcher.placement.box, matcher.placement.size
    least = (1, 1) if isinstance(matcher, CellMatcher) else least_size(matcher.encoder.view.crop(*size))
    width, height = size
    steps = [round(math.log(side / most, _SIZE_STEP)) for side, most in zip(given.size, size, strict=True)]
    rounded = [round(most * _SIZE_STEP**step) for most, step in zip(size, steps, strict=True)]
    sides = [max(few, min(side, most)) for few, side, most in zip(least, rounded, size, strict=True)]
    box = Box((width - sides[0]) // 2, (height - sides[1]) // 2, *sides)
    shape = round(math.log(width / height, _SIZE_STEP))
    if isinstance(matcher, CellMatcher):
        usual: Matcher = _match_cells(matcher.encoder, matcher.stage, box, size)
    else:
        usual = match_region(matcher.encoder, box, size)
    return usual, f"{-steps[0]}x{-steps[1]}-{shape}"


def _frame_size(library: Store, moment: Moment) -> tuple[int, int]:
    """Width and height of a moment's best frame; of its thumbnail if the file is gone or has changed."""
    record = next(record for record in library.sources if record.name == moment.source)
    try:
        check_unchanged(record)
        return open_source(record.path).size()
    except FirstsightError:
        height, width = as_picture(library.thumbnails([(moment.source, moment.best_frame_index)])[0]).shape[:2]
        return width, height


def _bests(
    library: Store, matcher: Matcher, regions: Floats, chosen: NDArray[np.bool_]
) -> Iterator[tuple[NDArray[np.intp], Floats, NDArray[np.intp]]]:
    """Rows of the library's timeline, some at a time, and `best` of them."""
    if isinstance(matcher, CellMatcher):
        for rows, cells in library.iterate_cells(chosen, batch_size=_CHUNK):
            yield rows, *matcher.best(cells, regions)
    else:
        for rows, inputs in _inputs_of(library, matcher, np.flatnonzero(chosen)):
            yield rows, *matcher.best(inputs, regions)


def _inputs_of(
    library: Store, matcher: RegionMatcher, rows: NDArray[np.intp]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.uint8]]]:
    """Rows of the library's timeline, some at a time, and the encoder's inputs made of their thumbnails."""
    for start in range(0, len(rows), _CHUNK):
        some = rows[start : start + _CHUNK]
        yield some, np.concatenate([_input(matcher, picture) for picture in _pictures(library, some)])


def _pictures(library: Store, rows: NDArray[np.intp]) -> Iterator[Picture]:
    frames: Embeddings = library.timeline.frames
    names = [(frames.source_of(row), int(frames.frame_indices[row])) for row in rows]
    return map(as_picture, library.thumbnails(names))


def _input(matcher: Matcher, picture: Picture) -> NDArray[np.uint8]:
    """(1, H, W, 3)."""
    return matcher.encoder.view.apply(picture[None])
