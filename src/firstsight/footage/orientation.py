"""How a stored picture is turned to be upright, as the display matrix of a video states it."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from firstsight.pixels import Crop


@dataclass(frozen=True)
class Orientation:
    """What makes a stored picture upright: a mirroring left to right, then turns counter-clockwise."""

    quarter_turns: int = 0  # 0 to 3
    mirrored: bool = False

    @classmethod
    def from_display_matrix(cls, matrix: NDArray[np.int32]) -> "Orientation":
        """The orientation nearest to a display matrix, nine fixed-point numbers in FFmpeg's order.

        A point (x, y) of the stored picture, y downwards, is shown at (a x + c y, b x + d y).
        Source: FFmpeg, libavutil/display.h.
        """
        a, b, _, c, d = (float(value) for value in matrix[:5])
        mirrored = a * d - b * c < 0
        right = (-a, -b) if mirrored else (a, b)  # where the right-hand side goes, once the mirroring is undone
        return cls(round(math.atan2(-right[1], right[0]) / (math.pi / 2)) % 4, mirrored)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the upright picture, from those of the stored one."""
        return (height, width) if self.quarter_turns % 2 else (width, height)

    def stored(self, crop: Crop, width: int, height: int) -> Crop:
        """Where a rectangle of the upright picture of that size lies in the stored one."""
        for _ in range(self.quarter_turns):  # each undoes one turn, clockwise
            x, y = height - crop.y - crop.height, crop.x
            crop = Crop(x, y, crop.height, crop.width, crop.out_height, crop.out_width)
            width, height = height, width
        return replace(crop, x=width - crop.x - crop.width) if self.mirrored else crop

    def upright(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The stored picture (H, W, C) made upright."""
        facing = picture[:, ::-1] if self.mirrored else picture
        return np.ascontiguousarray(np.rot90(facing, self.quarter_turns))
