"""A picture of anchors and their neighbours: a row each, the anchor first, label and similarity below each picture."""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from firstsight.comparison.neighbours import Neighbourhood
from firstsight.pixels import with_channels
from firstsight.text import printable

_TILE = 112  # pixels; four times a digit of 28
_CAPTION = 16  # pixels below a tile
_GAP = 6  # pixels between tiles
_ACCENT = (208, 138, 46)  # frames the anchor, as in the other pictures of this package


def neighbours_picture(rows: Sequence[Neighbourhood]) -> bytes:
    """PNG of a row for each anchor: the anchor, and its neighbours."""
    num_columns = 1 + max(len(row.neighbours) for row in rows)
    size = (num_columns * (_TILE + _GAP) + _GAP, len(rows) * (_TILE + _CAPTION + _GAP) + _GAP)
    canvas = Image.new("RGB", size, "white")
    for line, row in enumerate(rows):
        _put(canvas, row.pixels, f"anchor {printable(row.label)}".rstrip(), line=line, column=0)
        for column, one in enumerate(row.neighbours, start=1):
            caption = f"{printable(one.label)} ({one.similarity:.2f})".lstrip()
            _put(canvas, one.frame.pixels, caption, line=line, column=column)
    content = io.BytesIO()
    canvas.save(content, "png")
    return content.getvalue()


def _put(canvas: Image.Image, pixels: NDArray[np.uint8], caption: str, *, line: int, column: int) -> None:
    left, top = _GAP + column * (_TILE + _GAP), _GAP + line * (_TILE + _CAPTION + _GAP)
    picture = Image.fromarray(with_channels(pixels[None], 3)[0])
    small = max(picture.size) < _TILE
    scale = _TILE / max(picture.size)
    fitted = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    # The pixels of a small picture are shown as they are.
    canvas.paste(picture.resize(fitted, Image.Resampling.NEAREST if small else Image.Resampling.LANCZOS), (left, top))
    draw = ImageDraw.Draw(canvas)
    draw.text((left, top + _TILE + 1), caption, fill="black")
    if column == 0:
        draw.rectangle((left, top, left + _TILE - 1, top + _TILE - 1), outline=_ACCENT, width=2)
