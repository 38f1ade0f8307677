"""What is drawn along the axis of time, at every zoom: values of frames in bins, and strips of thumbnails.

A tile is 256 bins of 2**level seconds, or 16 thumbnails of 2**level seconds each; so at any zoom a page asks for a few
tiles, however many frames there are.
"""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from firstsight.errors import SettingsError
from firstsight.library.store import Store
from firstsight.library.thumbnails import opened
from firstsight.web.rows import Row

NUM_BINS = 256
NUM_SLOTS = 16
LEVELS = (-10, 30)  # a millisecond to 34 years
_MAX_TILES = 1 << 40
SLOT_HEIGHT = 90  # pixels
_MAX_SLOT_WIDTH = 240
_QUALITY = 72
_GROUND = (24, 26, 30)

Bytes = NDArray[np.uint8]


def check_tile(level: int, number: int) -> None:
    """Raises a SettingsError for a tile that no zoom has."""
    if not LEVELS[0] <= level <= LEVELS[1] or not 0 <= number < _MAX_TILES:
        raise SettingsError(
            f"tile {number} of level {level}; valid are tiles from 0, of levels {LEVELS[0]} to {LEVELS[1]}"
        )


def as_bytes(similarities: NDArray[np.float32]) -> Bytes:
    """Similarities (N,) as 1 (0 or less) to 255 (1), in steps of 1/254."""
    values: Bytes = (1 + np.rint(254 * np.nan_to_num(similarities, neginf=0.0).clip(0, 1))).astype(np.uint8)
    return values


def binned(row: Row, values: Bytes, *, level: int, number: int, largest: bool) -> Bytes:
    """A tile (256,): of each bin the largest value of its frames, or that of the middle one; 0 where no frame is shown.

    Args:
        row: with N frames.
        values: (N,), from 1.
        level: bins are 2**level seconds wide.
        number: of the tile, from 0.
        largest: for curves; else the middle, for what has no order, as clusters.
    """
    edges = 2.0**level * (number * NUM_BINS + np.arange(NUM_BINS + 1))
    first = np.searchsorted(row.ends, edges[:-1], "right")
    last = np.searchsorted(row.seconds, edges[1:], "left")
    padded = np.append(values, np.uint8(0))
    if largest:
        pairs = np.stack([first, np.maximum(last, first)], axis=1).ravel()
        found = np.maximum.reduceat(padded, pairs)[::2]
    else:
        found = padded[np.minimum((first + last) // 2, len(values))]
    return np.where(first < last, found, np.uint8(0))


def slots(row: Row, *, level: int, number: int) -> NDArray[np.intp]:
    """(16,): which frame of the row is shown at the start of each slot; -1 where none is within it."""
    starts = 2.0**level * (number * NUM_SLOTS + np.arange(NUM_SLOTS))
    first = np.searchsorted(row.ends, starts, "right")
    is_there = first < len(row.seconds)
    is_there[is_there] = row.seconds[first[is_there]] < starts[is_there] + 2.0**level
    return np.where(is_there, first, -1)


def strip(store: Store, row: Row, *, level: int, number: int, aspect: float) -> bytes:
    """A JPEG of 16 thumbnails side by side, each 90 pixels high."""
    width = slot_width(aspect)
    shown = slots(row, level=level, number=number)
    sheet = Image.new("RGB", (width * NUM_SLOTS, SLOT_HEIGHT), _GROUND)
    wanted = np.unique(shown[shown >= 0])
    jpegs = dict(zip(wanted.tolist(), thumbnails(store, row, wanted.tolist()), strict=True))
    for slot, frame in enumerate(shown.tolist()):
        if frame >= 0:
            with opened(jpegs[frame]) as image:
                sheet.paste(image.convert("RGB").resize((width, SLOT_HEIGHT)), (slot * width, 0))
    return _jpeg(sheet)


def slot_width(aspect: float) -> int:
    """Of a thumbnail in a strip, in pixels."""
    return int(np.clip(round(SLOT_HEIGHT * aspect), 24, _MAX_SLOT_WIDTH))


def thumbnails(store: Store, row: Row, frames: Sequence[int]) -> list[bytes]:
    """The library's JPEG of frames 0 to N - 1 of a row."""
    timeline = store.timeline.frames
    positions = row.positions[list(frames)]
    return store.thumbnails([(timeline.source_of(one), int(timeline.frame_indices[one])) for one in positions])


def atlas(jpegs: Sequence[bytes], *, side: int, columns: int) -> bytes:
    """A JPEG of thumbnails as squares of that side, row by row."""
    num_rows = max(1, -(-len(jpegs) // columns))
    sheet = Image.new("RGB", (columns * side, num_rows * side), _GROUND)
    for number, jpeg in enumerate(jpegs):
        with opened(jpeg) as image:
            square = min(image.size)
            left, top = (image.width - square) // 2, (image.height - square) // 2
            small = image.convert("RGB").resize((side, side), box=(left, top, left + square, top + square))
        sheet.paste(small, (number % columns * side, number // columns * side))
    return _jpeg(sheet)


def _jpeg(sheet: Image.Image) -> bytes:
    content = io.BytesIO()
    sheet.save(content, "jpeg", quality=_QUALITY)
    return content.getvalue()
