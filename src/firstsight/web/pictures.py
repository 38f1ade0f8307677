"""Pictures that a client sends, and pictures as files for the page."""

import io
import tempfile
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from firstsight.errors import SourceError
from firstsight.footage.images import read_picture
from firstsight.pixels import with_channels

MAX_MEGAPIXELS = 64  # of an upload
MAX_SIDE = 1_920  # of a picture that is kept or shown
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
_VALID = "valid are pictures: JPEG, PNG, WebP, BMP, GIF, TIFF"

Picture = NDArray[np.uint8]


def read_upload(content: bytes) -> Picture:
    """The picture (H, W, 3), upright, at most 1,920 pixels a side, whatever name or type the client stated.

    Raises:
        SourceError: it is no picture, a damaged one, or has more than 64 megapixels.
    """
    if not content:
        raise SourceError(f"an empty file; {_VALID}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content), formats=_FORMATS) as image:  # reads its header alone
                width, height = image.size
    except Exception as error:  # Pillow raises nearly every kind for what is damaged
        raise SourceError(f"this is no picture; {_VALID}") from error
    if width * height > MAX_MEGAPIXELS * 1_000_000:
        raise SourceError(f"a picture of {width}x{height} pixels; valid are up to {MAX_MEGAPIXELS} megapixels")
    with tempfile.TemporaryDirectory(prefix="firstsight-") as folder:
        file = Path(folder) / "upload"
        file.write_bytes(content)
        return bounded(read_picture(file, name="this picture").pixels)


def bounded(pixels: Picture, most: int = MAX_SIDE) -> Picture:
    """The picture in colour (H, W, 3), made smaller if a side is longer than that."""
    colour = np.ascontiguousarray(with_channels(pixels[None], 3)[0])
    scale = most / max(colour.shape[:2])
    if scale >= 1:
        return colour
    height, width = (max(1, round(side * scale)) for side in colour.shape[:2])
    return np.array(Image.fromarray(colour).resize((width, height), Image.Resampling.BILINEAR))


def as_png(pixels: Picture) -> bytes:
    """The picture (H, W, 3) as a file, without loss."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "png", compress_level=3)
    return content.getvalue()


def as_shown(pixels: Picture, *, most: int = MAX_SIDE, quality: int = 88) -> bytes:
    """The picture as a JPEG for the page."""
    content = io.BytesIO()
    Image.fromarray(bounded(pixels, most)).save(content, "jpeg", quality=quality)
    return content.getvalue()
