"""A region of a picture: what the maps do inside a box, and where in other frames they do most nearly the same.

The levels' maps are grids whose places in the picture are known (`cell_centres`). A region is described by the second
moments of the maps over the cells inside its box, level by level; it is compared with every window of the same size.
The read-out's projection is fitted to whole frames and is wrong for windows: it is left out (docs/returning-object.md).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import SettingsError
from firstsight.model.encoder import Encoder
from firstsight.model.readout import Pooled
from firstsight.pixels import Crop
from firstsight.retrieval.regions.box import Box
from firstsight.retrieval.regions.cells import cells_of
from firstsight.retrieval.regions.windows import Windows, at, counts, moments, spread

Floats = NDArray[np.float32]
_BATCH = 16  # frames whose maps are held at once
_MIN_INPUT_PIXELS = 2  # of a side of a box: filters are 5 pixels wide


@dataclass(frozen=True, eq=False)
class Look:
    """A box in a picture, and all windows of its size, on the grid of each level that is looked at."""

    encoder: Encoder
    box: Box
    size: tuple[int, int]  # width and height of the picture that the box was drawn in
    levels: tuple[int, ...]
    places: tuple[Windows, ...]  # the box itself, a level each
    windows: tuple[Windows, ...]  # all of its size, a level each, in the same order on every level

    @property
    def num_windows(self) -> int:
        """How many windows a frame is compared at."""
        return self.windows[0].num

    def described(self, inputs: NDArray[np.uint8], *, windows: Sequence[Sequence[int]] | None = None) -> Floats:
        """What lies in the box of each picture, or in some of its windows: (N, D), each of unit length.

        Args:
            inputs: uint8 (N, H, W, 3), pictures or what the encoder's preprocessing made of them.
            windows: numbers of windows for each picture; what lies in them comes one after the other.
        """
        found = []
        for number, maps in enumerate(self.maps(inputs)):
            if windows is None:
                found.append(_joined(maps, self.places))
            else:
                found += [_joined(maps, [one.only(chosen) for one in self.windows]) for chosen in windows[number]]
        return np.concatenate(found)

    def best(self, inputs: NDArray[np.uint8], regions: Floats) -> tuple[Floats, NDArray[np.intp]]:
        """How alike the best window of each picture is to each region, and the window's number: (N, R) and (N, R).

        The similarity is the mean over the levels of the cosines of the second moments, -1 to 1.

        Args:
            inputs: uint8 (N, H, W, 3), pictures or what the encoder's preprocessing made of them.
            regions: (R, D), made by `described`.
        """
        found = [self.best_in(maps, regions) for maps in self.maps(inputs)]
        similarities, windows = zip(*found, strict=True)
        return np.stack(similarities), np.stack(windows)

    def best_in(self, maps: Sequence[Floats], regions: Floats) -> tuple[Floats, NDArray[np.intp]]:
        """The same of one picture by its maps, those of each level of `levels`: (R,) and (R,)."""
        alike = _joined(maps, self.windows) @ regions.T
        return alike.max(axis=0).clip(-1, 1), alike.argmax(axis=0)

    def box_of(self, window: int, size: tuple[int, int]) -> Box:
        """Where a window lies in a picture of that width and height; of the last one it is the box itself."""
        crop, drawn_in = (self.encoder.preprocessing.crop(*one) for one in (size, self.size))
        across, down = crop.scale_x / drawn_in.scale_x, crop.scale_y / drawn_in.scale_y
        width = min(crop.width, max(1, round(self.box.width * across)))
        height = min(crop.height, max(1, round(self.box.height * down)))
        row, column = divmod(window, self._columns)
        x, y = (self.box.x - drawn_in.x) * across, (self.box.y - drawn_in.y) * down
        if column < self._columns - 1:
            x = column / max(1, self._columns - 2) * (crop.width - width)
        if row < self._rows - 1:
            y = row / max(1, self._rows - 2) * (crop.height - height)
        return Box(*_inside(crop, x, y, width, height))

    def window_and_mirrored(self, random: np.random.Generator) -> tuple[int, int]:
        """The numbers of a window somewhere, and of the one that it becomes in the picture turned upside down."""
        row, column = random.integers(max(1, self._rows - 1)), random.integers(max(1, self._columns - 1))
        mirrored = max(1, self._rows - 1) - 1 - row
        return int(row * self._columns + column), int(mirrored * self._columns + column)

    @property
    def _rows(self) -> int:
        return len(self.windows[0].tops)

    @property
    def _columns(self) -> int:
        return len(self.windows[0].lefts)

    def maps(self, inputs: NDArray[np.uint8]) -> Iterator[list[Floats]]:
        """Of each picture the maps of each level, (maps, rows, columns)."""
        for start in range(0, len(inputs), _BATCH):
            batch = inputs[start : start + _BATCH]
            levels = [self.encoder.features(batch, level=level) for level in self.levels]
            if not isinstance(self.encoder.readout, Pooled):
                # The closed form's maps have mean 0 over the footage; others would be alike in their means alone.
                levels = [maps - maps.mean(axis=(2, 3), keepdims=True) for maps in levels]
            yield from ([maps[number] for maps in levels] for number in range(len(batch)))


def look_for(encoder: Encoder, box: Box, size: tuple[int, int], *, level: int | None = None) -> Look:
    """Ready to compare what is in a box with all windows of its size.

    Args:
        encoder: what sees.
        box: in pixels of the upright picture.
        size: width and height of that picture.
        level: whose maps; by default those of all levels where the read-out takes all, else the last.

    Raises:
        SettingsError: the box does not lie in the picture, or in no part of it that the encoder sees; no such level.
    """
    box.check_inside(size)
    if level is None and isinstance(encoder.readout, Pooled):
        levels = tuple(range(1, len(encoder.network.configs) + 1))
    else:
        levels = (encoder.network.number_of(level),)
    crop = encoder.preprocessing.crop(*size)
    _check_large_enough(box, crop)
    cells = [cells_of(box, encoder.network.cell_centres(number), crop) for number in levels]
    grids = [encoder.network.map_shapes[number - 1] for number in levels]
    places = tuple(at(*one) for one in cells)
    num = counts(places[0], rows=grids[0][0], columns=grids[0][1])
    windows = tuple(
        spread(place, num, rows=rows, columns=columns) for place, (rows, columns) in zip(places, grids, strict=True)
    )
    return Look(encoder, box, size, levels, places, windows)


def _check_large_enough(box: Box, crop: Crop) -> None:
    """Raises if the encoder sees next to nothing of what lies in a box.

    Raises:
        SettingsError: a side is shorter than a few pixels of the encoder's input.
    """
    least = tuple(math.ceil(_MIN_INPUT_PIXELS * scale) for scale in (crop.scale_x, crop.scale_y))
    if box.width < least[0] or box.height < least[1]:
        raise SettingsError(
            f"box {box} is too small for this encoder, which sees the picture at {crop.out_width}x{crop.out_height}; "
            f"valid is at least {least[0]}x{least[1]} pixels"
        )


def _joined(maps: Sequence[Floats], windows: Sequence[Windows]) -> Floats:
    """The moments of each window, each level's of unit length, side by side, of unit length together."""
    parts = [_unit(moments(one, places)) for one, places in zip(maps, windows, strict=True)]
    joined: Floats = np.concatenate(parts, axis=1) / np.float32(len(parts) ** 0.5)
    return joined


def _unit(rows: Floats) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Floats = rows / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit


def _inside(crop: Crop, x: float, y: float, width: int, height: int) -> tuple[int, int, int, int]:
    """The box at x, y of the crop, moved into it, in pixels of the picture."""
    left, top = min(max(0, round(x)), crop.width - width), min(max(0, round(y)), crop.height - height)
    return crop.x + left, crop.y + top, width, height
