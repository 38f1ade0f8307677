"""Changes of scene: cuts, and passages in which each frame is a mixture of both scenes.

Both differ from motion. A *cut* is a difference that is large against the differences around it, and is not undone
within the next frames, as a flash is. The frames of a *mixture* lie on the straight line between its ends; those of a
motion or a cut do not.

Source for a change as a gap between the frames before and after it: Foote, "Automatic audio segmentation using a
measure of audio novelty", 2000, here with the smallest instead of the mean distance. Source for a dissolve as a linear
mixture: Hampapur, Jain, Weymouth, "Digital video segmentation", 1994.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import PixelsError, SettingsError
from firstsight.pixels import Crop

NUM_COLUMNS, NUM_ROWS = 4, 3  # cells
_CELL_WIDTH, _CELL_HEIGHT = 8, 6  # pixels
# Grey levels of contrast that are as likely noise as structure: a cell with less counts for little.
_PICTURE_NOISE = 4.0
# The same for the maps, whose values have variance 1: the squared length that a cell's mean responses have by chance.
_MAP_NOISE = 1.0
# Grey levels: a cell of which two thirds stay so near to one colour, black or another, lies in a bar.
_BAR = 4.0
# A change of scene changes more than this share of the cells; passing objects do not.
_UNCHANGED_SHARE = 0.4
_BLOCK = 256  # frames whose pixels are held as numbers at once


@dataclass(frozen=True)
class SmallPicture:
    """A view of the entire frame at 32x18 pixels, whatever its shape. A `View`."""

    channels: int = 3

    def crop(self, width: int, height: int) -> Crop:
        """All of the picture."""
        return Crop(0, 0, width, height, NUM_COLUMNS * _CELL_WIDTH, NUM_ROWS * _CELL_HEIGHT)


@dataclass(frozen=True, eq=False)
class Descriptors:
    """Descriptors of N consecutive frames."""

    pictures: NDArray[np.uint8]  # (N, 18, 32, 3), through `SmallPicture`
    maps: NDArray[np.float16]  # (N, 12, maps): mean responses in each cell, of maps with mean 0 and variance 1

    def __post_init__(self) -> None:
        shape = self.pictures.shape[1:]
        if shape != (NUM_ROWS * _CELL_HEIGHT, NUM_COLUMNS * _CELL_WIDTH, 3) or self.pictures.dtype != np.uint8:
            raise PixelsError(f"pictures are {self.pictures.dtype} (N, {shape}); valid is uint8 (N, 18, 32, 3)")
        if self.maps.ndim != 3 or self.maps.shape[:2] != (len(self.pictures), NUM_ROWS * NUM_COLUMNS):
            raise SettingsError(f"maps {self.maps.shape} of {len(self.pictures)} pictures; valid is (N, 12, maps)")

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, chosen: slice) -> "Descriptors":
        return Descriptors(self.pictures[chosen], self.maps[chosen])


@dataclass(frozen=True, eq=False)
class Bands:
    """Distances of frames `first` and `first + apart`; NaN for pairs that do not exist."""

    structure: NDArray[np.float32]  # (span + 1, N): 0 is the same, about 1 unrelated, in most cells
    light: NDArray[np.float32]  # (span + 1, N, cells): mean squared difference of pixels, in grey levels squared
    detail: NDArray[np.float32]  # (span + 1, N): the same of pixels without their cell's mean, over the picture
    contrast: NDArray[np.float32]  # (N,): mean square of pixels without their cell's mean


def measure(descriptors: Descriptors, *, span: int) -> Bands:
    """The distances of all pairs of frames at most `span` apart."""
    shown = _is_shown(descriptors.pictures)
    blocks = [
        _of_block(
            descriptors[start : start + _BLOCK + span], shown, span=span, num=min(_BLOCK, len(descriptors) - start)
        )
        for start in range(0, len(descriptors), _BLOCK)
    ]
    return Bands(
        np.concatenate([one.structure for one in blocks], axis=1),
        np.concatenate([one.light for one in blocks], axis=1),
        np.concatenate([one.detail for one in blocks], axis=1),
        np.concatenate([one.contrast for one in blocks]),
    )


def _of_block(descriptors: Descriptors, shown: NDArray[np.bool_], *, span: int, num: int) -> Bands:
    """Those of the first `num` of the frames, given also the `span` that follow."""
    pixels = _cells(descriptors.pictures)
    centred = pixels - pixels.mean(axis=-1, keepdims=True)
    energy = np.square(centred[:num]).mean(axis=-1)
    detail = _squared(centred, span, num) / pixels.shape[-1]
    of_picture = _dissimilarity(centred[:, shown] / pixels.shape[-1] ** 0.5, span, num, noise=_PICTURE_NOISE**2)
    of_maps = _dissimilarity(descriptors.maps[:, shown].astype(np.float32), span, num, noise=_MAP_NOISE)
    light = _squared(pixels, span, num) / pixels.shape[-1]
    return Bands(np.sqrt(of_picture * of_maps), light, detail.mean(axis=-1), energy.mean(axis=-1))


def is_blank(pictures: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether each picture (N, 18, 32, 3) shows nothing, as in the black between two fades: (N,)."""
    blocks = (pictures[start : start + _BLOCK] for start in range(0, len(pictures), _BLOCK))
    contrast = np.concatenate([_cells(block).std(axis=-1).max(axis=-1) for block in blocks])
    blank: NDArray[np.bool_] = contrast < _PICTURE_NOISE
    return blank


def _cells(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The pixels of each cell: (N, 12, 144)."""
    num = len(pictures)
    blocks = pictures.astype(np.float32).reshape(num, NUM_ROWS, _CELL_HEIGHT, NUM_COLUMNS, _CELL_WIDTH, 3)
    return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(num, NUM_ROWS * NUM_COLUMNS, -1)


def _is_shown(pictures: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which cells (12,) of pictures (N, 18, 32, 3) lie in no bar; what merely stands still is no bar."""
    first, lowest, highest = (
        _cells(one[None]).reshape(NUM_ROWS * NUM_COLUMNS, -1, 3)
        for one in (pictures[0], pictures.min(axis=0), pictures.max(axis=0))
    )
    of_bar = np.median(first, axis=1)[:, None]
    shown: NDArray[np.bool_] = (np.maximum(of_bar - lowest, highest - of_bar) > _BAR).mean(axis=(1, 2)) > 1 / 3
    return shown


def _dissimilarity(cells: NDArray[np.float32], span: int, num: int, *, noise: float) -> NDArray[np.float32]:
    """1 minus the cosine, its 0.4 quantile over the cells (N, cells, numbers): (span + 1, num). Brightness cancels."""
    if not cells.shape[1]:
        return np.zeros((span + 1, num), np.float32)
    unit = cells / np.sqrt(np.square(cells).sum(axis=-1, keepdims=True) + noise)
    return np.quantile(_squared(unit, span, num) / 2, _UNCHANGED_SHARE, axis=-1).astype(np.float32)


def _squared(rows: NDArray[np.float32], span: int, num: int) -> NDArray[np.float32]:
    """Squared Euclidean distances (span + 1, num, cells) of the first of rows (N, cells, numbers) to those after."""
    squares = np.square(rows).sum(axis=-1)
    band = np.full((span + 1, num, rows.shape[1]), np.nan, np.float32)
    for apart in range(min(span + 1, len(rows))):
        here, there = slice(min(num, len(rows) - apart)), slice(apart, apart + num)
        products = np.einsum("ncd,ncd->nc", rows[here], rows[there])
        band[apart, here] = np.maximum(squares[here] + squares[there] - 2 * products, 0)
    return band


Kind = Literal["cut", "gradual"]

_WINDOW = 5  # frames before and after a change that must all differ; a flash is shorter
_AROUND = 6  # frames to either side whose differences a cut has to exceed
_MIN_CUT = 0.3  # of structure; unrelated pictures are about 0.8 apart
_MIN_CUT_RATIO = 2.6  # to the differences around it
_STILL = 0.05  # added to the differences around it, which in a still picture are near 0
_MIN_GAP = 0.2  # of structure, from one side of a passage to the other
_MIN_MIXTURE = 0.15  # of that gap, times the share of the frames between that a mixture explains
_MIN_PASSAGE, _MAX_PASSAGE_SECONDS = 5, 1.8  # frames from the last pure one to the next pure one
_MAX_PASSAGE = 432  # frames: 1.8 s at 240 a second. Times that are closer are damaged, or of slow motion
_LADDER = 1.19  # from one length that is tried to the next
_MAX_SHARED = 3  # frames that two passages may share: those of the black between a fade out and a fade in
# Frames measured at once. The distances of more, or of so many pairs of frames, do not fit into 200 megabytes.
_CHUNK, _CHUNK_PAIRS = 2_048, 250_000
_NOISE = 4.0  # grey levels squared of a pixel: smaller changes of light count as this one


@dataclass(frozen=True)
class Change:
    """One scene gives way to another. Frames `first` to `last` - 1 are mixtures; `last` is the first of the new scene.

    Of a cut `first` and `last` are the same.
    """

    kind: Kind
    first: int
    last: int
    strength: float  # structure that changed: about 1 if three fifths of the picture became something unrelated


class DescriptorsOfVideo(Protocol):
    """Descriptors of the frames of one video, read a range at a time."""

    def __len__(self) -> int:
        """Number of frames."""

    def __getitem__(self, chosen: slice, /) -> Descriptors:
        """Those of a range."""


def find_changes(descriptors: DescriptorsOfVideo, *, frames_per_second: float) -> tuple[Change, ...]:
    """The changes of scene in one video, in order of time; no two overlap.

    Memory besides the descriptors: some 200 MB at most, whatever the length and the rate.

    Args:
        descriptors: of every frame.
        frames_per_second: decides how long a passage may be.

    Raises:
        SettingsError: a rate of 0 or less.
    """
    if not 0 < frames_per_second < float("inf"):
        raise SettingsError(f"{frames_per_second} frames a second; valid is above 0")
    lengths = passage_lengths(frames_per_second)
    margin = lengths[-1] + 2 * max(_WINDOW, _AROUND)
    span = lengths[-1] + 2 * _WINDOW
    chunk = min(_CHUNK, _CHUNK_PAIRS // span)
    found: list[Change] = []
    blank = np.zeros(len(descriptors), np.bool_)
    for start in range(0, len(descriptors), chunk):
        begin = max(0, start - margin)
        here = descriptors[begin : start + chunk + margin]
        blank[begin : begin + len(here)] = is_blank(here.pictures)
        bands = measure(here, span=span)
        changes = [*_cuts(bands), *_passages(bands, lengths)]
        moved = [Change(one.kind, one.first + begin, one.last + begin, one.strength) for one in changes]
        found += [one for one in moved if start <= one.first < start + chunk]
    return _across_black(_without_overlap(found), blank, longest=lengths[-1])


def passage_lengths(frames_per_second: float) -> tuple[int, ...]:
    """The lengths of passages that are tried, in frames from the last pure frame to the next one."""
    longest = max(2 * _MIN_PASSAGE, round(min(_MAX_PASSAGE_SECONDS * frames_per_second, _MAX_PASSAGE)))
    num = int(np.ceil(np.log(longest / _MIN_PASSAGE) / np.log(_LADDER)))
    return tuple(sorted({round(length) for length in np.geomspace(_MIN_PASSAGE, longest, num + 1)}))


def _cuts(bands: Bands) -> list[Change]:
    steps = np.nan_to_num(bands.structure[1])
    gaps = gap(bands.structure, apart=1)
    ratios = gaps / (_around(steps) + _STILL)
    found = np.flatnonzero((gaps > _MIN_CUT) & (ratios > _MIN_CUT_RATIO))
    return [Change("cut", int(row) + 1, int(row) + 1, float(gaps[row])) for row in found]


def gap(structure: NDArray[np.float32], *, apart: int) -> NDArray[np.float32]:
    """For each frame (N,) the smallest distance of it, or one of the few before it, to the frame `apart` later, or one
    of the few after that; 0 if there is no such frame.
    """
    num = structure.shape[1]
    least = np.full(num, np.inf, np.float32)
    for before in range(min(_WINDOW, num)):
        for after in range(_WINDOW):
            pairs = structure[apart + before + after, : num - before]
            least[before:] = np.fmin(least[before:], pairs)
    return np.where(np.isfinite(least), least, 0)


def _around(steps: NDArray[np.float32]) -> NDArray[np.float32]:
    """For each step the third largest of those around it, which one flash nearby does not raise."""
    padded = np.pad(steps, _AROUND)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * _AROUND + 1)
    others = np.delete(windows, _AROUND, axis=1)
    third: NDArray[np.float32] = np.partition(others, -3, axis=1)[:, -3]
    return third


def _passages(bands: Bands, lengths: Sequence[int]) -> list[Change]:
    """The best explained of all passages that overlap each other."""
    candidates = [one for length in lengths for one in _passages_of(bands, length)]
    candidates.sort(key=lambda one: -one.explained)
    kept: list[_Passage] = []
    for one in candidates:
        if all(one.end <= other.start + _MAX_SHARED or one.start >= other.end - _MAX_SHARED for other in kept):
            kept.append(one)
    return [Change("gradual", one.start + 1, one.end, one.gap) for one in kept]


@dataclass(frozen=True)
class _Passage:
    start: int  # the last frame before it
    end: int  # the first frame after it
    gap: float
    explained: float  # of the gap, by a mixture


def _passages_of(bands: Bands, length: int) -> list[_Passage]:
    gaps = gap(bands.structure, apart=length)
    rows = np.flatnonzero(gaps > _MIN_GAP)
    rows = rows[rows + length < bands.structure.shape[1]]
    if not len(rows):
        return []
    mixture, cut = _residuals(bands.light, rows, length)
    of_picture = mixture.sum(axis=1) / np.maximum(cut.sum(axis=1), _NOISE)
    of_cells = np.quantile(mixture / np.maximum(cut, _NOISE * (length - 1)), 0.6, axis=1)
    on_the_line = np.clip(1 - (of_picture + of_cells) / 2, 0, 1)
    explained = gaps[rows] * on_the_line * np.sqrt(np.clip(_contrast_loss(bands, rows, length), 0, 1))
    return [
        _Passage(int(row), int(row) + length, float(gaps[row]), float(share))
        for row, share in zip(rows, explained, strict=True)
        if share > _MIN_MIXTURE
    ]


def _contrast_loss(bands: Bands, rows: NDArray[np.intp], length: int) -> NDArray[np.float32]:
    """The contrast that the frames between lose, relative to what a mixture loses: 1 for a mixture, 0 for motion.

    Mixing (1-a) s + a e loses a (1-a) |s-e|^2, whatever moves meanwhile. Source: Alattar, "Detecting and compressing
    dissolve regions in video sequences", 1993: the variance follows a parabola.
    """
    inner = np.arange(1, length)[:, None]
    share = (inner / length).astype(np.float32)
    straight = (1 - share) * bands.contrast[rows] + share * bands.contrast[rows + length]
    lost = (straight - bands.contrast[rows + inner]).sum(axis=0)
    expected = (share * (1 - share)).sum() * bands.detail[length, rows]
    loss: NDArray[np.float32] = lost / np.maximum(expected, _NOISE)
    return loss


def _residuals(
    light: NDArray[np.float32], rows: NDArray[np.intp], length: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The squared residuals of a mixture, and of the best cut, over the frames between: (rows, cells) each.

    The distance of x to (1-a) s + a e is (1-a) |x-s|^2 + a |x-e|^2 - a (1-a) |s-e|^2.
    """
    inner = np.arange(1, length)
    to_start = light[inner[:, None], rows]  # (frames, rows, cells)
    to_end = light[length - inner[:, None], rows + inner[:, None]]
    share = (inner / length)[:, None, None].astype(np.float32)
    mixture = np.maximum((1 - share) * to_start + share * to_end - share * (1 - share) * light[length, rows], 0)
    none = np.zeros_like(to_start[:1])
    as_start = np.concatenate([none, np.cumsum(to_start, axis=0)])
    as_end = np.concatenate([np.cumsum(to_end[::-1], axis=0)[::-1], none])
    cuts = as_start + as_end  # (frames + 1, rows, cells), by where the cut is
    best = np.argmin(cuts.sum(axis=2), axis=0)
    return mixture.sum(axis=0), cuts[best, np.arange(len(rows))]


def _without_overlap(changes: Iterable[Change]) -> tuple[Change, ...]:
    """In order of time; of two that overlap, such as a cut within a passage, only the stronger."""
    kept: list[Change] = []
    for one in sorted(set(changes), key=lambda one: -one.strength):
        if not any(_overlap(one, other) for other in kept):
            kept.append(one)
    return tuple(sorted(kept, key=lambda one: one.first))


def _overlap(one: Change, other: Change) -> bool:
    shared = _MAX_SHARED if one.kind == other.kind == "gradual" else -1
    return one.first <= other.last - shared - 1 and other.first <= one.last - shared - 1


def _across_black(changes: Sequence[Change], blank: NDArray[np.bool_], *, longest: int) -> tuple[Change, ...]:
    """The same, with a change to black and the one out of it joined, and without shared frames."""
    joined: list[Change] = []
    for one in changes:
        before = joined[-1] if joined else None
        between = slice(0, 0) if before is None else slice(*sorted((before.last, one.first)))
        is_black = blank[max(0, between.start - 1) : between.stop + 1].any() and blank[between].all()
        if before and one.first - before.last <= longest and is_black:
            joined[-1] = Change("gradual", before.first, one.last, max(before.strength, one.strength))
        elif before and one.first < before.last:
            joined.append(Change(one.kind, before.last, max(one.last, before.last), one.strength))
        else:
            joined.append(one)
    return tuple(joined)
