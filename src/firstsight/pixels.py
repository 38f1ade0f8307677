"""Pictures as arrays: which rectangle of a picture is used, and how it is cut out and resized.

This is the array path. Video applies the same `Crop` in an FFmpeg graph (`footage/orientation.py`); a test bounds their
mean difference by one grey level.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import PixelsError

# Luma of ITU-R BT.601, the weights that FFmpeg and PIL use to turn RGB into grey.
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True)
class Crop:
    """A rectangle of a picture, in pixels from its top left corner, and the size it is resized to."""

    x: int
    y: int
    width: int
    height: int
    out_width: int
    out_height: int

    def __post_init__(self) -> None:
        if min(self.width, self.height, self.out_width, self.out_height) < 1 or min(self.x, self.y) < 0:
            raise PixelsError(f"crop {self} is empty or starts outside the picture: sizes from 1, positions from 0")

    @property
    def area(self) -> tuple[int, int, int, int]:
        """x, y, width, height in pixels of the picture."""
        return self.x, self.y, self.width, self.height

    @property
    def scale_x(self) -> float:
        """Source pixels per output pixel, left to right."""
        return self.width / self.out_width

    @property
    def scale_y(self) -> float:
        """Source pixels per output pixel, top to bottom."""
        return self.height / self.out_height

    def share_of(self, width: int, height: int) -> float:
        """The share of a picture of that size that is inside the rectangle, 0 to 1."""
        return self.width * self.height / (width * height)


def as_pictures(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Pictures as uint8 (N, H, W, C) with C 1 or 3, from (N, H, W, 3), (N, H, W, 1) or grey (N, H, W).

    16 bits become 8 by division by 257, as for picture files.

    Raises:
        PixelsError: another dtype or shape, or no pixels at all.
    """
    if not isinstance(pixels, np.ndarray) or pixels.dtype not in (np.uint8, np.uint16):
        given = getattr(pixels, "dtype", type(pixels).__name__)
        raise PixelsError(f"pictures are {given}; valid are NumPy arrays of uint8 or uint16: convert them first")
    deep = pixels.dtype == np.uint16
    in_bytes: NDArray[np.uint8] = np.rint(pixels / np.float32(257)).astype(np.uint8) if deep else pixels.view(np.uint8)
    if pixels.ndim == 3 and is_single(pixels):
        raise PixelsError(f"pictures have shape {pixels.shape}, which is one picture; give picture[None]")
    pictures = in_bytes[..., None] if pixels.ndim == 3 else in_bytes
    if pictures.ndim != 4 or pictures.shape[-1] not in (1, 3):
        raise PixelsError(
            f"pictures have shape {pixels.shape}; valid are (N, H, W, 3) and (N, H, W): one picture is pixels[None]"
        )
    if pictures.size == 0:
        raise PixelsError(f"pictures have shape {pixels.shape}: there is no pixel in them")
    return pictures


def is_single(pixels: NDArray[Any]) -> bool:
    """Whether an array is one picture: (H, W), (H, W, 3) or (H, W, 1). Grey pictures (N, H, W) are never so narrow."""
    return pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[-1] in (1, 3))


def single_picture(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.uint8]:
    """One picture as uint8 (1, H, W, C) with C 1 or 3, from (H, W, 3), (H, W, 1) or grey (H, W).

    Raises:
        PixelsError: another dtype or shape, or no pixels at all.
    """
    if isinstance(pixels, np.ndarray) and (pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (1,), (3,))):
        raise PixelsError(f"a picture has shape {pixels.shape}; valid is a uint8 array (H, W, 3) or (H, W)")
    with_axis = pixels[..., None] if isinstance(pixels, np.ndarray) and pixels.ndim == 2 else pixels
    return as_pictures(with_axis[None] if isinstance(pixels, np.ndarray) else pixels)


def with_channels(pictures: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """The pictures (N, H, W, 1 or 3) with that number of channels: grey is repeated, colour becomes BT.601 luma."""
    if pictures.shape[-1] == channels:
        return pictures
    if channels == 3:
        return np.repeat(pictures, 3, axis=-1)
    luma: NDArray[np.float32] = pictures.astype(np.float32) @ _LUMA
    return np.rint(luma).astype(np.uint8)[..., None]


def writable(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The pictures themselves; a copy of those that must not be written to, of which PyTorch warns."""
    return np.require(pictures, requirements="W")


def crop_and_resize(pictures: NDArray[np.uint8], crop: Crop, channels: int) -> NDArray[np.uint8]:
    """The rectangle of every picture, resized to its output size.

    Bilinear with the filter widened when shrinking (antialiased), as PIL does and as the article's torchvision
    transform did.

    Args:
        pictures: uint8 (N, H, W, 1 or 3).
        crop: lies inside the pictures.
        channels: 1 or 3.

    Returns:
        uint8 (N, crop.out_height, crop.out_width, channels).
    """
    import torch  # a second to import, and not needed to name a video

    height, width = pictures.shape[1:3]
    if crop.x + crop.width > width or crop.y + crop.height > height:
        raise PixelsError(f"{crop} does not lie inside pictures of {width}x{height}")
    cut = pictures[:, crop.y : crop.y + crop.height, crop.x : crop.x + crop.width]
    cut = np.ascontiguousarray(with_channels(cut, channels))
    if (crop.width, crop.height) == (crop.out_width, crop.out_height):
        return cut
    planes = torch.from_numpy(writable(cut)).permute(0, 3, 1, 2)
    size = (crop.out_height, crop.out_width)
    resized = torch.nn.functional.interpolate(planes, size, mode="bilinear", antialias=True, align_corners=False)
    return np.ascontiguousarray(resized.permute(0, 2, 3, 1).numpy())
