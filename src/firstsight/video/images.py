"""Still images, read with Pillow and brought to 8 bits."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from firstsight.errors import SourceError

# Recognised in folders and by name; Pillow reads all of these wherever it is installed.
IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})


def read_image(path: Path, *, name: str) -> NDArray[np.uint8]:
    """The picture in a file, turned upright as its EXIF data says.

    16 bits become 8 by division by 257, floating point is taken as 0 to 1, transparency is laid over black, CMYK and
    palettes become RGB. Of a file with several pictures the first is read.

    Args:
        path: the file.
        name: what to call it in an error.

    Returns:
        uint8 (H, W, 1) for grey or (H, W, 3) for RGB.

    Raises:
        SourceError: the file is damaged or not a picture.
    """
    try:
        with Image.open(path) as image:
            return _as_pixels(ImageOps.exif_transpose(image))
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise SourceError(f"{name} cannot be read as a picture: {reason}") from error


def _as_pixels(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode == "F":
        return _to_bytes(np.asarray(image), full_scale=1.0)
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _to_bytes(np.asarray(image), full_scale=65_535)
    if image.has_transparency_data:
        return _over_black(image)
    if image.mode in ("1", "L"):
        return np.array(image.convert("L"))[..., None]
    return np.array(image.convert("RGB"))


def _to_bytes(values: NDArray[np.generic], *, full_scale: float) -> NDArray[np.uint8]:
    brightness = np.nan_to_num(values.astype(np.float32)) * (255 / full_scale)
    pixels: NDArray[np.uint8] = np.rint(brightness.clip(0, 255)).astype(np.uint8)
    return pixels[..., None]


def _over_black(image: Image.Image) -> NDArray[np.uint8]:
    *colour, alpha = np.moveaxis(np.asarray(image.convert("LA" if image.mode in ("1", "L", "LA") else "RGBA")), -1, 0)
    opacity = alpha.astype(np.float32) / 255
    pixels: NDArray[np.uint8] = np.rint(np.stack(colour, axis=-1) * opacity[..., None]).astype(np.uint8)
    return pixels
