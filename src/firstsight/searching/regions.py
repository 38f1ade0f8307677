"""A region of a picture: a descriptor of the maps inside a box, compared with that of every window of other frames.

The levels' maps are grids of cells with known centres (`cell_centres`). A region is described by the second
moments of the maps over the cells inside its box, level by level; it is compared with every window of the same size.
The read-out's projection is fitted to complete frames and does not apply to windows (docs/returning-object.md).
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import SettingsError
from firstsight.pixels import Crop

if TYPE_CHECKING:
    from firstsight.encoder.encoder import Encoder
    from firstsight.encoder.model import EncoderView


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of the upright frame, from its top left corner."""

    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if min(self.x, self.y) < 0 or min(self.width, self.height) < 1:
            raise SettingsError(
                f"box {self}; valid are x and y from 0, width and height from 1, in pixels of the frame"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """The box written as `x,y,width,height`.

        Raises:
            SettingsError: anything else.
        """
        try:
            x, y, width, height = (int(number) for number in text.split(","))
        except ValueError:
            raise SettingsError(f"box {text!r}; valid is x,y,width,height in pixels, such as 386,15,128,375") from None
        return cls(x, y, width, height)

    @classmethod
    def of(cls, given: "BoxSpec") -> "Box":
        """The box given as such, as four numbers x, y, width, height, or as their text.

        Raises:
            SettingsError: anything else.
        """
        if isinstance(given, Box):
            return given
        numbers = given if isinstance(given, Iterable) and not isinstance(given, str) else [given]
        return cls.parse(",".join(map(str, numbers)))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height

    def check_inside(self, size: tuple[int, int]) -> None:
        """Raises a SettingsError if the box does not lie in a picture of that width and height."""
        width, height = size
        if self.x + self.width > width or self.y + self.height > height:
            raise SettingsError(
                f"box {self} does not lie in the picture, which is {width}x{height}; "
                f"valid are x + width up to {width} and y + height up to {height}"
            )

    def __str__(self) -> str:
        return f"{self.x},{self.y},{self.width},{self.height}"


BoxSpec = Box | str | Sequence[int]

_MIN_CELLS = 0.5  # of a side of a box: a narrower one at the edge of a picture would be empty

Centres = tuple[NDArray[np.float64], NDArray[np.float64]]


def cells_of(box: Box, centres: Centres, crop: Crop) -> tuple[float, float, float, float]:
    """Left, top, width and height of the box in cells, cut to the grid; cell i covers i to i + 1.

    Args:
        box: in pixels of the picture.
        centres: of the level's rows and columns, in pixels of the network's input (`cell_centres`).
        crop: the rectangle of the picture that became the network's input.

    Raises:
        SettingsError: all of it is outside of the crop.
    """
    rows, columns = centres
    left, right = _along(box.x, box.width, crop.x, crop.scale_x, columns)
    top, bottom = _along(box.y, box.height, crop.y, crop.scale_y, rows)
    if right <= left or bottom <= top:
        visible = Box(*crop.area)
        raise SettingsError(f"box {box} is outside of the part of the picture that the encoder uses, {visible}")
    return left, top, right - left, bottom - top


def _along(start: int, length: int, crop_start: int, scale: float, centres: NDArray[np.float64]) -> tuple[float, float]:
    """From where to where, in cells. A box between the edge of the picture and the first cell gets that cell's edge."""
    step = float(centres[1] - centres[0]) if len(centres) > 1 else 1.0
    ends = (np.array([start, start + length]) - crop_start) / scale  # in pixels of the input, where i covers i to i + 1
    if ends[1] <= 0:
        return 0.0, 0.0
    first, last = np.clip((ends - 0.5 - centres[0]) / step + 0.5, 0, len(centres))
    if last - first < _MIN_CELLS:
        first, last = max(0.0, first - _MIN_CELLS / 2), min(float(len(centres)), last + _MIN_CELLS / 2)
    return float(first), float(last)


Floats = NDArray[np.float32]

# Neighbouring windows overlap by three quarters.
_STEPS_A_BOX = 4


@dataclass(frozen=True, eq=False)
class Windows:
    """A rows x columns arrangement of windows of one size, in cells."""

    tops: Floats  # (A,)
    lefts: Floats  # (B,)
    height: float
    width: float

    @property
    def num(self) -> int:
        """Rows times columns."""
        return len(self.tops) * len(self.lefts)

    def only(self, index: int) -> "Windows":
        """The window of that number, counted row after row."""
        row, column = divmod(index, len(self.lefts))
        return single_window(float(self.lefts[column]), float(self.tops[row]), self.width, self.height)


def arrange_windows(window: Windows, num: tuple[int, int], *, rows: int, columns: int) -> Windows:
    """Windows of that size: so many above and beside each other, evenly from edge to edge, and last its own."""
    tops = np.append(np.linspace(0, rows - window.height, num[0]), window.tops)
    lefts = np.append(np.linspace(0, columns - window.width, num[1]), window.lefts)
    return Windows(tops.astype(np.float32), lefts.astype(np.float32), window.height, window.width)


def single_window(left: float, top: float, width: float, height: float) -> Windows:
    """One window, in cells."""
    return Windows(np.array([top], np.float32), np.array([left], np.float32), height, width)


def second_moments(maps: Floats, windows: Windows) -> Floats:
    """The mean over each window of the products of all pairs of maps, each with signed square root.

    Sums over rows are taken first and shared by all windows of a row, so that many windows cost little more than one.

    Args:
        maps: float32 (C, rows, columns), of one frame.
        windows: A x B of them.

    Returns:
        float32 (A * B, C (C + 1) / 2). *Source:* second-order pooling, Carreira, Caseiro, Batista, Sminchisescu, 2012.
    """
    num_maps, rows, columns = maps.shape
    by_column = np.ascontiguousarray(maps.transpose(2, 0, 1))  # (columns, C, rows)
    horizontal = cell_shares(windows.lefts, windows.width, columns)  # (B, columns)
    pairs = np.flatnonzero(np.triu(np.ones((num_maps, num_maps))))
    found = np.empty((len(windows.tops), len(windows.lefts), len(pairs)), np.float32)
    for number, vertical in enumerate(cell_shares(windows.tops, windows.height, rows)):
        products = (by_column * vertical) @ by_column.transpose(0, 2, 1)  # (columns, C, C)
        found[number] = (horizontal @ products.reshape(columns, -1))[:, pairs]
    flat = found.reshape(windows.num, -1)
    rooted: Floats = np.copysign(np.sqrt(np.abs(flat)), flat)
    return rooted


def cell_shares(starts: Floats, length: float, num_cells: int) -> Floats:
    """The share of each interval in each cell: (len(starts), num_cells), rows that sum to 1.

    Cell i covers i to i + 1. An interval of no length, or outside, counts the nearest cell.
    """
    cells = np.arange(num_cells)
    ends = np.minimum(starts[:, None] + length, cells + 1)
    overlap = np.maximum(ends - np.maximum(starts[:, None], cells), 0)
    nearest = np.clip((starts + length / 2).astype(int), 0, num_cells - 1)
    nothing = overlap.sum(axis=1) <= 0
    overlap[nothing] = np.eye(num_cells)[nearest[nothing]]
    found: Floats = (overlap / overlap.sum(axis=1, keepdims=True)).astype(np.float32)
    return found


def num_windows(length: float, num_cells: int) -> int:
    """How many windows of that length fit along so many cells, no closer than a cell."""
    step = max(length / _STEPS_A_BOX, 1.0)
    return int(np.ceil(max(0.0, num_cells - length) / step)) + 1


_BATCH = 16  # frames whose maps are held at once
_MIN_INPUT_PIXELS = 2  # of a side of a box: filters are 5 pixels wide


@dataclass(frozen=True, eq=False)
class Placement:
    """The windows of a box's size in any picture: rows and columns of them, from edge to edge, and the box itself."""

    view: "EncoderView"
    box: Box
    size: tuple[int, int]  # width and height of the picture that the box was drawn in
    rows: int  # of windows, the box's own included
    columns: int

    def box_of(self, window: int, size: tuple[int, int]) -> Box:
        """A window as a box in a picture of that width and height; the last one is the box itself."""
        crop, drawn_in = (self.view.crop(*each) for each in (size, self.size))
        across, down = crop.scale_x / drawn_in.scale_x, crop.scale_y / drawn_in.scale_y
        width = min(crop.width, max(1, round(self.box.width * across)))
        height = min(crop.height, max(1, round(self.box.height * down)))
        row, column = divmod(window, self.columns)
        x, y = (self.box.x - drawn_in.x) * across, (self.box.y - drawn_in.y) * down
        if column < self.columns - 1:
            x = column / max(1, self.columns - 2) * (crop.width - width)
        if row < self.rows - 1:
            y = row / max(1, self.rows - 2) * (crop.height - height)
        left, top = min(max(0, round(x)), crop.width - width), min(max(0, round(y)), crop.height - height)
        return Box(crop.x + left, crop.y + top, width, height)

    def window_and_mirrored(self, random: np.random.Generator) -> tuple[int, int]:
        """The numbers of a random window, and of the same in the picture turned upside down."""
        row, column = random.integers(max(1, self.rows - 1)), random.integers(max(1, self.columns - 1))
        mirrored = max(1, self.rows - 1) - 1 - row
        return int(row * self.columns + column), int(mirrored * self.columns + column)


@dataclass(frozen=True, eq=False)
class RegionMatcher:
    """A box in a picture, and all windows of its size, on the grid of each level that is compared."""

    encoder: "Encoder"
    placement: Placement
    levels: tuple[int, ...]
    box_windows: tuple[Windows, ...]  # the box itself, for each level
    windows: tuple[Windows, ...]  # all of its size, for each level, in the same order on every level

    def described(self, inputs: NDArray[np.uint8], *, windows: Sequence[Sequence[int]] | None = None) -> Floats:
        """The descriptor of the box of each picture, or of some of its windows: (N, D), each of unit length.

        Args:
            inputs: uint8 (N, H, W, 3), pictures or the encoder's inputs made of them.
            windows: numbers of windows for each picture; their descriptors come one after the other.
        """
        found = []
        for number, maps in enumerate(self.maps(inputs)):
            if windows is None:
                found.append(_joined(maps, self.box_windows))
            else:
                found += [_joined(maps, [one.only(chosen) for one in self.windows]) for chosen in windows[number]]
        return np.concatenate(found)

    def best(self, inputs: NDArray[np.uint8], regions: Floats) -> tuple[Floats, NDArray[np.intp]]:
        """The similarity of the best window of each picture to each region, and its number: (N, R) and (N, R).

        The similarity is the mean over the levels of the cosines of the second moments, -1 to 1.

        Args:
            inputs: uint8 (N, H, W, 3), pictures or the encoder's inputs made of them.
            regions: (R, D), made by `described`.
        """
        found = [self.best_in(maps, regions) for maps in self.maps(inputs)]
        similarities, windows = zip(*found, strict=True)
        return np.stack(similarities), np.stack(windows)

    def best_in(self, maps: Sequence[Floats], regions: Floats) -> tuple[Floats, NDArray[np.intp]]:
        """As `best`, of one picture by its maps of each level of `levels`: (R,) and (R,)."""
        alike = _joined(maps, self.windows) @ regions.T
        return alike.max(axis=0).clip(-1, 1), alike.argmax(axis=0)

    def maps(self, inputs: NDArray[np.uint8]) -> Iterator[list[Floats]]:
        """Of each picture the maps of each level, (maps, rows, columns)."""
        for start in range(0, len(inputs), _BATCH):
            batch = inputs[start : start + _BATCH]
            levels = [self.encoder.features(batch, level=level) for level in self.levels]
            if not self.encoder.model.maps_are_centred:
                # The closed form's maps have mean 0 over the footage; others would be similar by their means alone.
                levels = [maps - maps.mean(axis=(2, 3), keepdims=True) for maps in levels]
            yield from ([maps[number] for maps in levels] for number in range(len(batch)))


def match_region(encoder: "Encoder", box: Box, size: tuple[int, int], *, level: int | None = None) -> RegionMatcher:
    """Compares a box with all windows of its size.

    Args:
        encoder: whose maps are compared.
        box: in pixels of the upright picture.
        size: width and height of that picture.
        level: whose maps; by default those of all levels where the read-out takes all, else the last.

    Raises:
        SettingsError: the box is not in the picture, outside of the encoder's crop or too small for it; no such level.
    """
    box.check_inside(size)
    number = encoder.compared_level(level)
    levels = tuple(range(1, len(encoder.shapes) + 1)) if number is None else (number,)
    crop = encoder.view.crop(*size)
    _check_large_enough(box, crop)
    grids = [(encoder.shapes[number - 1].rows, encoder.shapes[number - 1].columns) for number in levels]
    box_windows = tuple(single_window(*cells_of(box, encoder.model.cell_centres(number), crop)) for number in levels)
    num = num_windows(box_windows[0].height, grids[0][0]), num_windows(box_windows[0].width, grids[0][1])
    windows = tuple(
        arrange_windows(window, num, rows=rows, columns=columns)
        for window, (rows, columns) in zip(box_windows, grids, strict=True)
    )
    placement = Placement(encoder.view, box, size, len(windows[0].tops), len(windows[0].lefts))
    return RegionMatcher(encoder, placement, levels, box_windows, windows)


def least_size(crop: Crop) -> tuple[int, int]:
    """Width and height of the smallest box: a few pixels of the encoder's input."""
    width, height = (math.ceil(_MIN_INPUT_PIXELS * scale) for scale in (crop.scale_x, crop.scale_y))
    return width, height


def _check_large_enough(box: Box, crop: Crop) -> None:
    """Raises a SettingsError if a side is too short."""
    width, height = least_size(crop)
    if box.width < width or box.height < height:
        raise SettingsError(
            f"box {box} is too small for this encoder, which uses the picture at {crop.out_width}x{crop.out_height}; "
            f"valid is at least {width}x{height} pixels"
        )


def _joined(maps: Sequence[Floats], windows: Sequence[Windows]) -> Floats:
    """The moments of each window, each level's of unit length, side by side, of unit length together."""
    parts = [_unit(second_moments(of_level, window)) for of_level, window in zip(maps, windows, strict=True)]
    joined: Floats = np.concatenate(parts, axis=1) / np.float32(len(parts) ** 0.5)
    return joined


def _unit(rows: Floats) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Floats = rows / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit
