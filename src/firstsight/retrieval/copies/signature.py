"""What a frame looks like, in 64 numbers that hardly change when a video is made grey, small, or saved anew.

The encoder is no help here: it sees colours, and a copy in grey is another picture to it. A copy is a matter of light
and dark in coarse places, which the lowest cosine coefficients of the luma hold. Their signs alone tell what the
picture would be in a mirror or upside down, so neither has to be looked at again.

*Source:* the perceptual hash by cosine transform, Zauner, "Implementation and benchmarking of perceptual image hash
functions", 2010; here its coefficients are kept whole instead of one bit of each.
"""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 16  # cells of a picture, each way
_NUM_WAVES = 8  # of the cosine transform, each way
NUM_COEFFICIENTS = _NUM_WAVES**2
# Beside the whole picture its middle is kept: with these two, crops from none to a quarter of each side are near one.
MIDDLE = 0.85
# A border is a bar if most of it is what saving as JPEG makes of black, always; a logo may lie on it.
_BLACK = 12.0  # grey levels, of 255
_MOST_OF_IT = 0.7
_MOST_BARS = 0.3  # of the picture, at each side

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_WAVES = np.cos(np.pi * np.arange(_NUM_WAVES)[:, None] * (2 * np.arange(SIDE) + 1) / (2 * SIDE)).astype(np.float32)
_WAVES *= np.sqrt(np.where(np.arange(_NUM_WAVES) == 0, 1, 2) / SIDE).astype(np.float32)[:, None]
_ODD = np.where(np.arange(_NUM_WAVES) % 2, -1, 1).astype(np.float32)
IN_A_MIRROR = np.tile(_ODD, _NUM_WAVES)  # (64,): times a signature, that of the picture with left and right exchanged
UPSIDE_DOWN = np.repeat(_ODD, _NUM_WAVES)  # (64,): with top and bottom exchanged

Pictures = NDArray[np.uint8]  # (N, H, W, 3)


@dataclass(frozen=True)
class Bars:
    """How much of a picture is border around it, as shares of its height and width."""

    top: float = 0.0
    bottom: float = 0.0
    left: float = 0.0
    right: float = 0.0

    @property
    def share(self) -> float:
        """Of the picture's area."""
        return 1 - (1 - self.top - self.bottom) * (1 - self.left - self.right)


def find_bars(pictures: Pictures) -> Bars:
    """The border that is black in all pictures of a source."""
    luma = pictures @ _LUMA
    top, bottom = _black_ends(luma)
    left, right = _black_ends(luma.transpose(0, 2, 1))
    return Bars(top, bottom, left, right)


def decode_small(jpeg: bytes) -> Image.Image:
    """A thumbnail at half its size or a little more, which JPEG gives in a fraction of the time."""
    image = Image.open(io.BytesIO(jpeg))
    image.draft("RGB", (image.width // 2, image.height // 2))
    return image.convert("RGB")


def cells(image: Image.Image, bars: Bars, *, part: float = 1.0) -> NDArray[np.uint8]:
    """The mean colours of 16x16 cells of the picture without its bars, (16, 16, 3); of its middle part, if so said."""
    width, height = image.size
    left, top = width * bars.left, height * bars.top
    inner_width, inner_height = width * (1 - bars.right) - left, height * (1 - bars.bottom) - top
    margin_x, margin_y = inner_width * (1 - part) / 2, inner_height * (1 - part) / 2
    box = (left + margin_x, top + margin_y, left + inner_width - margin_x, top + inner_height - margin_y)
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX, box=box))


def signatures(cells_of_frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The lowest 8x8 coefficients of the luma's cosine transform, orthonormal: (..., 16, 16, 3) -> (..., 64)."""
    luma = cells_of_frames @ _LUMA - 128  # a middle grey is 0, so that 16 bits are enough for what follows
    waves = _WAVES @ luma @ _WAVES.T
    flat: NDArray[np.float32] = waves.reshape(*waves.shape[:-2], NUM_COEFFICIENTS)
    return flat


def spread_of_hues(cells_of_frames: NDArray[np.uint8]) -> float:
    """How far hues are from what the luma tells, in grey levels; a quarter is farther. Grey and sepia have none."""
    colours = cells_of_frames.reshape(-1, 3).astype(np.float32)
    luma = colours @ _LUMA
    hues = colours[:, [0, 2]] - luma[:, None]  # red and blue, as in YCbCr
    known = np.column_stack([luma, np.ones_like(luma)])
    left = hues - known @ np.linalg.lstsq(known, hues, rcond=None)[0]
    return float(np.quantile(np.linalg.norm(left, axis=1), 0.75))  # a coloured logo on grey does not count


def coarse_luma(signatures_of_frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """The luma that a signature tells of, in 8x8 cells: (N, 64) -> (N, 8, 8)."""
    fine = _WAVES.T @ signatures_of_frames.reshape(-1, _NUM_WAVES, _NUM_WAVES) @ _WAVES
    coarse: NDArray[np.float32] = fine.reshape(len(fine), _NUM_WAVES, 2, _NUM_WAVES, 2).mean(axis=(2, 4))
    return coarse


def _black_ends(luma: NDArray[np.float32]) -> tuple[float, float]:
    """The shares of rows at the beginning and at the end of (N, rows, columns) that show nothing, ever."""
    tones = np.quantile(luma, _MOST_OF_IT, axis=2).max(axis=0)
    seen = np.flatnonzero(tones > _BLACK)
    num = luma.shape[1]
    if not len(seen):
        return 0.0, 0.0
    # The row next to a bar is half bar: it is left out too.
    ends = [(gap + 1) / num if gap else 0.0 for gap in (int(seen[0]), num - 1 - int(seen[-1]))]
    first, last = (end if end <= _MOST_BARS else 0.0 for end in ends)
    return first, last
