"""The preprocessing of the closed-form encoder: the whole frame at a small fixed size."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import PixelsError, SettingsError
from firstsight.pixels import Crop, as_pictures, crop_and_resize

# What a frame is brought down to. More pixels cost time and bring detail that does not repeat.
_AREA = 3_200
# The shorter side of the picture, which half its size must leave room for patches; nothing is ever enlarged.
_MIN_SIDE = 24


@dataclass(frozen=True)
class WholeFrame:
    """All of the picture, any aspect ratio. A `View` for video and for arrays."""

    width: int  # pixels of the network's input
    height: int
    channels: int = 3

    def __post_init__(self) -> None:
        if min(self.width, self.height) < 1 or self.channels not in (1, 3):
            raise SettingsError(f"{self}: sizes must be at least 1 pixel, channels 1 or 3")

    @classmethod
    def for_size(cls, width: int, height: int) -> "WholeFrame":
        """For frames of that size: about 3,200 pixels of the same aspect ratio, and not more than there are.

        Raises:
            PixelsError: the frames are too small.
        """
        if min(width, height) < _MIN_SIDE:
            raise PixelsError(f"frames of {width}x{height} are too small; valid is at least {_MIN_SIDE} pixels a side")
        scale = min(1.0, (_AREA / (width * height)) ** 0.5)
        scale = max(scale, _MIN_SIDE / min(width, height))
        return cls(round(width * scale), round(height * scale))

    def crop(self, width: int, height: int) -> Crop:
        """All of a picture of that size."""
        return Crop(0, 0, width, height, self.width, self.height)

    def describe(self) -> str:
        """The input in words."""
        return f"the whole picture, at {self.width}x{self.height}, {'colour' if self.channels == 3 else 'grey'}"

    def apply(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The network's input as pictures, uint8 (N, height, width, channels), of frames (N, H, W, 3) or (N, H, W).

        Raises:
            PixelsError: another shape or dtype.
        """
        pictures = as_pictures(frames)
        return crop_and_resize(pictures, self.crop(pictures.shape[2], pictures.shape[1]), self.channels)
