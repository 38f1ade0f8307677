"""Views of a frame: a square from its middle (the article's), or all of it at a small fixed size."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import PixelsError, SettingsError
from firstsight.pixels import Crop, as_pictures, crop_and_resize

# Enlarged further than this, a picture is interpolation rather than detail.
MAX_ENLARGEMENT = 10


@dataclass(frozen=True)
class CentralSquare:
    """A square from the middle of the frame, resized to the network's input. A `View` for video and for arrays.

    The article crops 360x360 and resizes to 224x224. A frame smaller than the crop gives its largest centred square;
    the published code pads it with black instead, which teaches the network the padding.
    """

    crop_size: int = 360  # pixels of the upright frame
    input_size: int = 224  # pixels of the network's input
    channels: int = 3  # 3 for RGB, 1 for grey

    def __post_init__(self) -> None:
        if self.crop_size < 1 or self.input_size < 1:
            raise SettingsError(f"crop size {self.crop_size} and input size {self.input_size} must be at least 1 pixel")
        if self.channels not in (1, 3):
            raise SettingsError(f"channels {self.channels}; valid are 3 for colour and 1 for grey")

    def crop(self, width: int, height: int) -> Crop:
        """The centred square of a frame of that size.

        Raises:
            PixelsError: the frame is so small that the input would be an enlargement of more than tenfold.
        """
        side = min(self.crop_size, width, height)
        if self.input_size > side * MAX_ENLARGEMENT:
            min_side = -(-self.input_size // MAX_ENLARGEMENT)
            raise PixelsError(
                f"frames of {width}x{height} are too small for an input of {self.input_size} pixels; "
                f"valid is a square of at least {min_side} pixels: use larger footage, or a smaller input size"
            )
        # Rounded to even as torchvision's CenterCrop rounds, which the article used.
        x, y = round((width - side) / 2), round((height - side) / 2)
        return Crop(x, y, side, side, self.input_size, self.input_size)

    @property
    def shows_whole_frame(self) -> bool:
        """False: the network gets the square alone."""
        return False

    def describe(self) -> str:
        """The input in words."""
        colour = "colour" if self.channels == 3 else "grey"
        crop, size = self.crop_size, self.input_size
        return f"the {crop}x{crop} square in the middle, at {size}x{size}, {colour}"

    def apply(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The network's input as pictures. Frames that are inputs already come back unchanged.

        Args:
            frames: uint8 (N, H, W, 3) or (N, H, W).

        Returns:
            uint8 (N, input_size, input_size, channels).

        Raises:
            PixelsError: another shape or dtype, or frames that are too small.
        """
        pictures = as_pictures(frames)
        height, width = pictures.shape[1:3]
        return crop_and_resize(pictures, self.crop(width, height), self.channels)


_AREA = 3_200  # pixels of the input; more cost time and add detail that does not repeat
# Pixels of the shorter side: patches must fit into half the size, and nothing is enlarged.
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

    @property
    def shows_whole_frame(self) -> bool:
        """True."""
        return True

    def crop(self, width: int, height: int) -> Crop:
        """All of a picture of that size."""
        return Crop(0, 0, width, height, self.width, self.height)

    def describe(self) -> str:
        """The input in words."""
        return f"the entire picture, at {self.width}x{self.height}, {'colour' if self.channels == 3 else 'grey'}"

    def apply(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The network's input as pictures, uint8 (N, height, width, channels), of frames (N, H, W, 3) or (N, H, W).

        Raises:
            PixelsError: another shape or dtype.
        """
        pictures = as_pictures(frames)
        return crop_and_resize(pictures, self.crop(pictures.shape[2], pictures.shape[1]), self.channels)
