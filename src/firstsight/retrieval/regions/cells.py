"""Where a box of a picture lies on the grid of cells that a level's maps are."""

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import SettingsError
from firstsight.pixels import Crop
from firstsight.retrieval.regions.box import Box

_LEAST = 0.5  # cells: of a narrower box nothing would be left beside the edge of a picture

Centres = tuple[NDArray[np.float64], NDArray[np.float64]]


def cells_of(box: Box, centres: Centres, crop: Crop) -> tuple[float, float, float, float]:
    """Left, top, width and height of the box in cells, cut to the grid; cell i covers i to i + 1.

    Args:
        box: in pixels of the picture.
        centres: of the level's rows and columns, in pixels of the network's input (`cell_centres`).
        crop: the rectangle of the picture that became the network's input.

    Raises:
        SettingsError: no part of it is what the network sees.
    """
    rows, columns = centres
    left, right = _along(box.x, box.width, crop.x, crop.scale_x, columns)
    top, bottom = _along(box.y, box.height, crop.y, crop.scale_y, rows)
    if right <= left or bottom <= top:
        seen = Box(crop.x, crop.y, crop.width, crop.height)
        raise SettingsError(f"box {box} is outside of what the encoder sees of the picture, which is {seen}")
    return left, top, right - left, bottom - top


def _along(start: int, length: int, crop_start: int, scale: float, centres: NDArray[np.float64]) -> tuple[float, float]:
    """From where to where, in cells. A box between the edge of the picture and the first cell gets that cell's edge."""
    step = float(centres[1] - centres[0]) if len(centres) > 1 else 1.0
    ends = (np.array([start, start + length]) - crop_start) / scale  # in pixels of the input, where i covers i to i + 1
    if ends[1] <= 0:
        return 0.0, 0.0
    first, last = np.clip((ends - 0.5 - centres[0]) / step + 0.5, 0, len(centres))
    if last - first < _LEAST:
        first, last = max(0.0, first - _LEAST / 2), min(float(len(centres)), last + _LEAST / 2)
    return float(first), float(last)
