"""Appearance before a fixed camera: what the encoder sees in cells that change, and how far that is from the normal.

The maps of the encoder's first level are averaged over a grid. Of a cell that changes, or differs from what it usually
shows, the difference from the usual is what has come. How far that is from the nearest that ever came in normal
footage, in whichever cell, is how unusual it looks. What comes no further from the usual view than from anything
normal counts by that: a faint thing is never far. Of all that came a sample is kept, of the first day as of the last.

Sources: Roth et al., "Towards total recall in industrial anomaly detection", CVPR 2022 (the nearest of remembered
cells); Stauffer, Grimson, "Adaptive background mixture models", 1999 (a usual view, and how much each cell varies);
Vitter, "Random sampling with a reservoir", 1985 (a sample that grows, here a batch at a time).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from firstsight import device
from firstsight.encoder.encoder import Encoder
from firstsight.errors import SettingsError
from firstsight.footage.frames import Frame
from firstsight.normality.motion import MAX_BLOCKS, cells_in, largest_of
from firstsight.normality.rarity import Rarity, Trailing
from firstsight.process import Precision

LEVEL = 1  # finer than those that follow, which see a person as they see another
# A person across a room fills a few of these cells; smaller ones show the noise of single patches.
NUM_ROWS, NUM_COLUMNS = 6, 8
# Between two frames that are compared: within it a person moves by a cell.
DUE_SECONDS = 0.2
# Later than that after the frame before, a change tells nothing of motion.
MAX_GAP_SECONDS = 0.5
# Times the usual square of a cell: what differs by less is its noise.
_ACTIVE_FROM = 6.0
# Of noise, rain and a camera that shakes, few cells change by more than three times what the median cell does; what
# changes by more than so many times its usual square is none of them.
_EVERYWHERE, _MOST_EVERYWHERE = 3.0, 60.0
# Smallest usual deviation, as a share of how much the cells of a view differ among themselves. Between frames of a
# still view that was filmed indoors each cell varies by 3 to 12 percent of that.
_FLOOR = 0.03
# The same for a view without any structure, as a share of the maps' values: by rounding.
_ROUNDING = 0.003
_MAX_VECTORS = 4_000
_MOST = 10**9 - 1  # that NumPy draws from

Vectors = NDArray[np.float32]  # (n, maps)
Cells = NDArray[np.float32]  # (maps, cells)
Part = Literal["moving", "looking"]  # cells that change; cells that differ from the usual, whether they change or not


@dataclass(frozen=True, eq=False)
class Appearance:
    """What a fixed camera usually shows, and what has come before it."""

    usual: NDArray[np.float32]  # (maps, cells), the median
    change: NDArray[np.float32]  # (cells,), the median square of the change between two frames 0.2 s apart, per map
    spread: NDArray[np.float32]  # (cells,), the median square of the difference from the usual, per map
    moving: NDArray[np.float32]  # (n, maps), differences from the usual in cells that changed
    looking: NDArray[np.float32]  # (m, maps), of those that differed from the usual, whether they changed or not
    largest: NDArray[np.float64]  # (blocks, 2), the largest distance of either part in 4 s that was left out
    fingerprint: str  # of the encoder
    num_came: tuple[int, int] = (0, 0)  # of either part so far, of which its vectors are a sample; at least these

    def __post_init__(self) -> None:
        maps, cells = self.usual.shape if self.usual.ndim == 2 else (0, 0)
        samples = self.moving, self.looking
        shapes = (self.change.shape, self.spread.shape, *(one.shape[1:] for one in (*samples, self.largest)))
        if not cells or shapes != ((cells,), (cells,), (maps,), (maps,), (2,)):
            raise SettingsError(f"appearance of the shapes {self.usual.shape}, {shapes}; learn it again")
        parts = (self.usual, self.change, self.spread, *samples, self.largest)
        if not all(np.isfinite(part).all() for part in parts) or min(self.change.min(), self.spread.min()) < 0:
            raise SettingsError("appearance with numbers that are not finite or below 0; learn it again")
        is_full = [len(one) >= _MAX_VECTORS for one in samples]
        nums = (max(len(one), num * full) for one, num, full in zip(samples, self.num_came, is_full, strict=True))
        object.__setattr__(self, "num_came", tuple(nums))

    def merged(self, other: "Appearance") -> "Appearance":
        """Of both; of another encoder, the other alone."""
        if (self.fingerprint, self.usual.shape) != (other.fingerprint, other.usual.shape):
            return other
        blocks = len(self.largest) + len(other.largest)
        share = len(other.largest) / blocks if blocks else 0.5
        usual, change, spread = (
            (first + np.float32(share) * (second - first))
            for first, second in ((self.usual, other.usual), (self.change, other.change), (self.spread, other.spread))
        )
        largest = np.concatenate([self.largest, other.largest])[-MAX_BLOCKS:]
        both = replace(self, usual=usual, change=change, spread=spread, largest=largest)
        return both._with((other.moving, other.looking), other.num_came)

    @property
    def rarities(self) -> list[Rarity]:
        """How rare a distance is, of either part; where hardly anything came, it varies by a cell's noise at least."""
        noises = (float(np.sqrt(np.median(squares) * len(self.usual))) for squares in (self.change, self.spread))
        return [Rarity.of(column, least_tail=noise) for column, noise in zip(self.largest.T, noises, strict=True)]

    @property
    def middles(self) -> NDArray[np.float64]:
        """(2,): the distance of either part that half of the blocks reach; 0 if it is not calibrated."""
        return np.median(self.largest, axis=0) if len(self.largest) else np.zeros(2)

    def grown(
        self, came: "Mapping[Part, Sequence[NDArray[np.float32]]]", distances: NDArray[np.float64]
    ) -> "Appearance":
        """With more that came in normal footage, as differences (n, maps) from this usual view.

        Args:
            came: of each part.
            distances: (blocks, 2), the largest distance of either part in blocks of 4 s that were judged by this.
        """
        moving, looking = (np.concatenate([self.usual.T[:0], *came[part]]) for part in get_args(Part))
        known = replace(self, largest=np.concatenate([self.largest, distances])[-MAX_BLOCKS:])
        return known._with((moving, looking), (len(moving), len(looking)))

    def _with(self, more: tuple[Vectors, Vectors], num_more: tuple[int, int]) -> "Appearance":
        """With more vectors of either part, a sample of so many."""
        first, second = zip(self.num_came, num_more, strict=True)
        moving, looking = _of_both(self.moving, more[0], first), _of_both(self.looking, more[1], second)
        return replace(self, moving=moving, looking=looking, num_came=(sum(first), sum(second)))


@dataclass(frozen=True, eq=False)
class Sights:
    """What one clip, or a part of it, shows."""

    cells: NDArray[np.float32]  # (frames, maps, cells)
    seconds: NDArray[np.float64]

    def part(self, indices: NDArray[np.intp]) -> "Sights":
        """The frames with those indices."""
        return Sights(self.cells[indices], self.seconds[indices])

    def before(self) -> NDArray[np.float32]:
        """(frames, maps, cells): the frame before each; not a number where none came in the half second before."""
        before = np.concatenate([np.full_like(self.cells[:1], np.nan), self.cells[:-1]])
        before[1:][np.diff(self.seconds) > MAX_GAP_SECONDS] = np.nan
        return before


class Sight:
    """The frames of one camera as cells, five a second at most."""

    def __init__(self, encoder: Encoder, view_index: int) -> None:
        self._encoder, self._view_index = encoder, view_index
        self._precision: Precision = "bfloat16" if device.has_fast_bfloat16() else "float32"
        self._last: Frame | None = None
        self.grid = (NUM_ROWS, NUM_COLUMNS)  # of the last frames

    def update(self, frames: Sequence[Frame]) -> list[Cells | None]:
        """Of each frame; None of one that follows the last that was used within 0.2 s. Frames in order of time."""
        due = [frame for frame in frames if self._is_due(frame)]
        sizes = {frame.pictures[self._view_index].shape for frame in due}
        found: dict[int, Cells] = {}
        for size in sizes:  # files of other sizes
            same = [frame for frame in due if frame.pictures[self._view_index].shape == size]
            pictures = np.stack([frame.pictures[self._view_index] for frame in same])
            features = self._encoder.features(pictures, level=LEVEL, precision=self._precision)
            self.grid = grid_of(features)
            found |= {id(frame): cells for frame, cells in zip(same, in_cells(features), strict=True)}
        return [found.get(id(frame)) for frame in frames]

    def _is_due(self, frame: Frame) -> bool:
        due = is_due(frame, self._last)
        if due:
            self._last = frame
        return due


def is_due(frame: Frame, last: Frame | None) -> bool:
    """Whether the appearance of a frame is to be judged, after that of the last one."""
    return last is None or frame.source != last.source or not 0 <= frame.seconds - last.seconds < DUE_SECONDS - 0.01


def grid_of(maps: NDArray[np.float32]) -> tuple[int, int]:
    """Rows and columns of the cells of maps (..., rows, columns). Maps with fewer cells keep their own."""
    return min(NUM_ROWS, maps.shape[-2]), min(NUM_COLUMNS, maps.shape[-1])


def in_cells(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Maps (N, maps, rows, columns) averaged over a grid: (N, maps, cells)."""
    maps = torch.from_numpy(features)
    pooled: NDArray[np.float32] = torch.nn.functional.adaptive_avg_pool2d(maps, grid_of(features)).numpy()
    return pooled.reshape(*features.shape[:2], -1)


def least_square(usual: NDArray[np.floating[Any]]) -> np.floating[Any]:
    """The smallest usual squared deviation, of a map, in cells that usually show this (maps, cells)."""
    least: np.floating[Any] = (
        _FLOOR**2 * usual.var(axis=1).mean() + _ROUNDING**2 * (usual**2).mean() + np.finfo(np.float32).tiny
    )
    return least


def learn_appearance(folds: Sequence[Sequence[Sights]], fingerprint: str) -> Appearance:
    """What is normal in them, calibrated by what is left out: each fold is judged by what came in the others.

    Args:
        folds: of footage of a fixed camera, at least one frame in all; a single one cannot be left out.
        fingerprint: of the encoder.
    """
    scored = []
    for number, fold in enumerate(folds if len(folds) > 1 else ()):
        others = _learned([clip for other in (*folds[:number], *folds[number + 1 :]) for clip in other], fingerprint)
        scored += [(_scores(others, clip), clip.seconds) for clip in fold]
    everything = _learned([clip for fold in folds for clip in fold], fingerprint)
    return replace(everything, largest=np.array(largest_of(scored)[-MAX_BLOCKS:], np.float64).reshape(-1, 2))


def _learned(clips: Sequence[Sights], fingerprint: str) -> Appearance:
    """Not calibrated."""
    cells = np.concatenate([clip.cells for clip in clips])
    usual = np.median(cells, axis=0).astype(np.float32)
    spread = _usual_square(cells - usual, usual)
    changes = np.concatenate([clip.cells - clip.before() for clip in clips])
    changes = changes[np.isfinite(changes[:, 0, 0])]
    change = _usual_square(changes, usual) if len(changes) else spread
    empty = np.empty((0, len(usual)), np.float32)
    view = Appearance(usual, change, spread, empty, empty, np.empty((0, 2)), fingerprint)
    moving, looking = zip(*(_came(view, clip) for clip in clips), strict=True)
    every = np.concatenate(moving), np.concatenate(looking)
    return replace(view, moving=_bounded(every[0]), looking=_bounded(every[1]), num_came=(len(every[0]), len(every[1])))


def _came(view: Appearance, clip: Sights) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The differences from the usual in cells that change, and in those that differ: (n, maps) and (m, maps)."""
    difference = clip.cells - view.usual
    moving, looking = _active(view, difference, clip.cells - clip.before())
    vectors = difference.transpose(0, 2, 1)
    return vectors[moving], vectors[looking]


def _scores(known: Appearance, clip: Sights) -> NDArray[np.float64]:
    """(frames, 2): the score of either part."""
    found = distances(known, clip.cells, clip.before())
    trailing = Trailing()
    most = found["moving"].max(axis=1).astype(np.float64)
    moving = np.array([trailing.update("clip", *one) for one in zip(clip.seconds, most, strict=True)])
    return np.stack([moving, found["looking"].max(axis=1)], axis=1, dtype=np.float64)


def distances(
    known: Appearance, cells: NDArray[np.float32], before: NDArray[np.float32]
) -> dict[Part, NDArray[np.float32]]:
    """How far what has come in each cell is from the nearest normal, 0 in cells that are not active.

    Args:
        known: what is normal.
        cells: (frames, maps, cells).
        before: (frames, maps, cells) of the frame before each; not a number where there is none.

    Returns:
        (frames, cells) of cells that change, and of those that differ from the usual.
    """
    difference = cells - known.usual
    moving, looking = _active(known, difference, cells - before)
    vectors = difference.transpose(0, 2, 1)
    return {"moving": _away(vectors, moving, known.moving), "looking": _away(vectors, looking, known.looking)}


@dataclass(frozen=True, eq=False)
class Lighting:
    """Where no more than the light of a frame is another: cells (rows, columns) over the whole of it."""

    only: NDArray[np.bool_]  # nothing in them is new
    settled: NDArray[np.bool_] | None = None  # what they show in this light is usual from now on


@dataclass(frozen=True)
class Seen:
    """How rare the appearance of a frame is."""

    rarity: float
    box: tuple[int, int, int, int]  # of the rarest cell: x, y, width, height in pixels of the upright picture
    came: Cells = field(default_factory=lambda: np.empty((0, 0), np.float32), repr=False)  # beside the usual
    away: Mapping[Part, NDArray[np.float32]] = field(default_factory=dict)  # (cells,), how far from the normal
    scores: Mapping[Part, float] = field(default_factory=dict)  # the largest of each; of what moves a trailing mean


class Looks:
    """Judges the appearance of the frames of one camera, one after the other.

    Raises:
        SettingsError: what is known is of another encoder.
    """

    def __init__(self, known: Appearance, encoder: Encoder, view_index: int) -> None:
        if known.fingerprint != encoder.fingerprint:
            raise SettingsError("the memory of what is normal is of another encoder; take both from the same run")
        self._view, self._sight = encoder.view, Sight(encoder, view_index)
        self._usual: Cells | None = None  # in another light than that of what is known
        self._settled: NDArray[np.bool_] | None = None  # cells that show in this light what is usual
        self.adopt(known)
        self._trailing = Trailing()
        self._before: tuple[Frame, Cells] | None = None
        self._seen: Seen | None = None
        self._of_motion = False  # whether that is what moves

    def adopt(self, known: Appearance) -> None:
        """Judges by this from now on."""
        self._known = known if self._usual is None else replace(known, usual=self._usual)
        self._rarities = known.rarities

    def update(
        self, frames: Sequence[Frame], with_motion: Sequence[bool], lights: Sequence[Lighting | None] = ()
    ) -> list[Seen | None]:
        """Of some more frames, each as of the last that was compared: what moves, or without motion all that is there.

        None of what the memory cannot be compared with. `lights` are of each frame; none if they are not known.
        """
        found, lit = [], lights or [None] * len(frames)
        for frame, cells, moves, light in zip(frames, self._sight.update(frames), with_motion, lit, strict=True):
            if light is not None and light.settled is not None:
                self._settled = light.settled if self._settled is None else self._settled | light.settled
            if cells is not None:
                self._seen, self._of_motion = self._compared(frame, cells, light, with_motion=moves), moves
            found.append(self._seen if moves == self._of_motion else None)
        return found

    def _compared(self, frame: Frame, cells: Cells, light: Lighting | None, *, with_motion: bool) -> Seen | None:
        if cells.shape != self._known.usual.shape:  # a file of another size
            self._before = None
            return None
        if self._settled is not None:
            self._usual = np.where(self._in_cells(self._settled, frame.size), cells, self._known.usual)
            self._known, self._settled = replace(self._known, usual=self._usual), None
        last = self._before
        fits = last and last[0].source == frame.source and 0 < frame.seconds - last[0].seconds <= MAX_GAP_SECONDS
        before = last[1] if last and fits else np.full_like(cells, np.nan)
        self._before = frame, cells
        away = {part: found[0] for part, found in distances(self._known, cells[None], before[None]).items()}
        if light is not None:
            is_new = ~self._in_cells(light.only, frame.size)
            away = {part: found * is_new for part, found in away.items()}
        scores = {part: float(found.max()) for part, found in away.items()}
        if with_motion:
            scores["moving"] = self._trailing.update(frame.source, frame.seconds, scores["moving"])
        part: Part = "moving" if with_motion else "looking"
        box = self._box_of(int(away[part].argmax()), frame.size)
        return Seen(self._rarities[not with_motion](scores[part]), box, cells - self._known.usual, away, scores)

    def _in_cells(self, cells: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
        """Those of the whole frame, (rows, columns), in the cells of the encoder's view."""
        return cells_in(self._view.crop(*size).area, cells, size, self._sight.grid)

    def _box_of(self, cell: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
        rows, columns = self._sight.grid
        crop = self._view.crop(*size)
        down, across = crop.height / rows, crop.width / columns
        row, column = divmod(cell, columns)
        return round(crop.x + column * across), round(crop.y + row * down), round(across), round(down)


def _away(vectors: NDArray[np.float32], active: NDArray[np.bool_], normal: NDArray[np.float32]) -> NDArray[np.float32]:
    """The distance of active vectors (frames, cells, maps) to the nearest normal one, or to 0 if that is nearer."""
    found = np.zeros(active.shape, np.float32)
    chosen = torch.from_numpy(np.ascontiguousarray(vectors[active]))
    away = chosen.norm(dim=1)
    if len(normal) and len(chosen):
        away = torch.minimum(away, torch.cdist(chosen, torch.from_numpy(normal)).amin(1))
    found[active] = away.numpy()
    return found


def _active(
    known: Appearance, difference: NDArray[np.float32], change: NDArray[np.float32]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Cells (frames, cells) that change, and that differ from the usual."""
    squares = np.nan_to_num((change**2).mean(axis=1)) / known.change
    everywhere = np.median(squares, axis=1, keepdims=True)
    moving = squares > np.clip(_EVERYWHERE * everywhere, _ACTIVE_FROM, _MOST_EVERYWHERE)
    return moving, (difference**2).mean(axis=1) > _ACTIVE_FROM * known.spread


def _usual_square(differences: NDArray[np.float32], usual: NDArray[np.float32]) -> NDArray[np.float32]:
    """(cells,): the median square per map; a cell that never varies counts as the median cell, and by rounding."""
    squares = np.median((differences**2).mean(axis=1), axis=0)
    return np.asarray(squares + np.median(squares) + least_square(usual), np.float32)


def _bounded(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """At most 4,000 of them, drawn at random."""
    return _drawn(vectors, min(len(vectors), _MAX_VECTORS), np.random.default_rng(0))


def _of_both(first: Vectors, second: Vectors, nums: tuple[int, int]) -> Vectors:
    """At most 4,000 of two samples of so many, so that each of all of these is among them with the same probability.

    Of a draw without replacement from all of them the share of the second is hypergeometric.
    """
    random, num = np.random.default_rng(sum(nums)), min(_MAX_VECTORS, sum(nums))
    of_second = int(random.hypergeometric(min(nums[1], _MOST), min(nums[0], _MOST), num))
    return np.concatenate([_drawn(first, num - of_second, random), _drawn(second, of_second, random)])


def _drawn(vectors: Vectors, num: int, random: np.random.Generator) -> Vectors:
    return np.ascontiguousarray(vectors[np.sort(random.choice(len(vectors), num, replace=False))])
