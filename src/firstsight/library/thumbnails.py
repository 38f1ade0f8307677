"""Thumbnails of the frames of a library."""

import base64
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from firstsight.errors import LibraryError
from firstsight.footage.finding import is_picture
from firstsight.pixels import Crop
from firstsight.text import printable

_QUALITY = 75  # Pillow's default: 3 to 5 kB at 160 pixels
_MAX_SIDE = 4_096


@dataclass(frozen=True)
class Thumbnail:
    """A view of the entire frame, its longer side at most so many pixels, both sides even for FFmpeg's scaler."""

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
    """The picture (H, W, 3) in a JPEG file.

    Raises:
        LibraryError: it is damaged, or larger than any thumbnail.
    """
    with opened(jpeg) as image:
        return np.array(image.convert("RGB"))


def gallery(title: str, pictures: Iterable[tuple[bytes, str]]) -> str:
    """HTML for a notebook: JPEG files side by side, each with a caption; all text is escaped."""
    figures = "".join(
        '<figure style="display:inline-block;margin:4px;max-width:170px;font-size:small;overflow-wrap:anywhere">'
        + (f'<img src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"/>' if jpeg else "")
        + f"<figcaption>{escape(caption)}</figcaption></figure>"
        for jpeg, caption in pictures
    )
    return f"<div><p>{escape(title)}</p>{figures}</div>"


def frame_caption(source: str, seconds: float) -> str:
    """What names a frame beside its thumbnail: "walk.mp4 at 3.20 s", or a picture, which has no time, by its name."""
    return printable(source) if is_picture(Path(source)) else f"{printable(source)} at {seconds:.2f} s"


@contextmanager
def opened(jpeg: bytes) -> Iterator[Image.Image]:
    """A thumbnail as an image of Pillow, to be decoded in the block.

    Raises:
        LibraryError: it is damaged, or larger than any thumbnail.
    """
    try:
        with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as image:
            if max(image.size) > _MAX_SIDE:
                raise LibraryError(
                    f"a thumbnail of {image.size[0]}x{image.size[1]} pixels; valid are up to {_MAX_SIDE}"
                )
            yield image
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise LibraryError(
            f"a thumbnail of the library is damaged ({error}); `firstsight library check` counts them"
        ) from error
