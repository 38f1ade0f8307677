"""Small pictures that a library keeps of its frames."""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from firstsight.pixels import Crop

_QUALITY = 75  # Pillow's default: 3 to 5 kB at 160 pixels


@dataclass(frozen=True)
class Thumbnail:
    """A view of the whole frame, its longer side at most so many pixels, both sides even as FFmpeg's scaler asks."""

    longer_side: int
    channels: int = 3

    def crop(self, width: int, height: int) -> Crop:
        """All of the picture."""
        scale = min(1.0, self.longer_side / max(width, height))
        out_width, out_height = (max(2, round(side * scale / 2) * 2) for side in (width, height))
        return Crop(0, 0, width, height, out_width, out_height)


def as_jpeg(picture: NDArray[np.uint8]) -> bytes:
    """The picture (H, W, 3) as a JPEG file."""
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "jpeg", quality=_QUALITY)
    return content.getvalue()


def as_picture(jpeg: bytes) -> NDArray[np.uint8]:
    """The picture (H, W, 3) in a JPEG file."""
    return np.array(Image.open(io.BytesIO(jpeg)).convert("RGB"))
