"""How unlike are frames a few apart? Cell by cell, so that what passes in one corner is told from a change of scene.

Every frame is looked at twice, each time in cells: as a small picture, and by what an encoder's last level sees in it.
The picture is exact, but takes a turned head for a new face; the learned maps know what matters, but in footage of one
scene make much of little. So a frame is unlike another as far as both say so.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import PixelsError, SettingsError
from firstsight.pixels import Crop

NUM_COLUMNS, NUM_ROWS = 4, 3  # cells
_CELL_WIDTH, _CELL_HEIGHT = 8, 6  # pixels
# Grey levels of contrast that are as likely noise as structure: a cell with less counts for little.
_NOISE = 4.0
# The same for the maps, whose values have variance 1: the squared length that a cell's mean responses have by chance.
_MAP_NOISE = 1.0
# Grey levels by which a third of the pixels of a cell have to vary in time, or the cell lies in a black bar.
_BAR = 4.0
# A change of scene changes more than this share of the cells; what passes by does not.
_UNCHANGED_SHARE = 0.4


@dataclass(frozen=True)
class SmallPicture:
    """A view of the whole frame at 32x18 pixels, whatever its shape. A `View`."""

    channels: int = 3

    def crop(self, width: int, height: int) -> Crop:
        """All of the picture."""
        return Crop(0, 0, width, height, NUM_COLUMNS * _CELL_WIDTH, NUM_ROWS * _CELL_HEIGHT)


@dataclass(frozen=True, eq=False)
class Looks:
    """What is remembered of N frames that follow each other."""

    pictures: NDArray[np.uint8]  # (N, 18, 32, 3), as `SmallPicture` sees them
    maps: NDArray[np.float16]  # (N, 12, maps): mean responses in each cell, of maps with mean 0 and variance 1

    def __post_init__(self) -> None:
        shape = self.pictures.shape[1:]
        if shape != (NUM_ROWS * _CELL_HEIGHT, NUM_COLUMNS * _CELL_WIDTH, 3) or self.pictures.dtype != np.uint8:
            raise PixelsError(f"pictures are {self.pictures.dtype} (N, {shape}); valid is uint8 (N, 18, 32, 3)")
        if self.maps.ndim != 3 or self.maps.shape[:2] != (len(self.pictures), NUM_ROWS * NUM_COLUMNS):
            raise SettingsError(f"maps {self.maps.shape} of {len(self.pictures)} pictures; valid is (N, 12, maps)")

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, chosen: slice) -> "Looks":
        """Some of the frames."""
        return Looks(self.pictures[chosen], self.maps[chosen])


@dataclass(frozen=True, eq=False)
class Bands:
    """Distances of frames `first` and `first + apart`; of pairs that do not exist NaN."""

    structure: NDArray[np.float32]  # (span + 1, N): 0 is the same, about 1 unrelated, in most cells
    light: NDArray[np.float32]  # (span + 1, N, cells): mean squared difference of pixels, in grey levels squared
    detail: NDArray[np.float32]  # (span + 1, N): the same of pixels without their cell's mean, over the picture
    contrast: NDArray[np.float32]  # (N,): mean square of pixels without their cell's mean


def measure(looks: Looks, *, span: int) -> Bands:
    """The distances of all pairs of frames at most `span` apart."""
    pixels = _cells(looks.pictures)
    centred = pixels - pixels.mean(axis=-1, keepdims=True)
    energy = np.square(centred).mean(axis=-1)
    detail = _squared(centred, span) / pixels.shape[-1]
    shown = (np.ptp(pixels, axis=0) > _BAR).mean(axis=-1) > 1 / 3
    of_picture = _unlike(centred[:, shown] / pixels.shape[-1] ** 0.5, span, noise=_NOISE**2)
    of_maps = _unlike(looks.maps[:, shown].astype(np.float32), span, noise=_MAP_NOISE)
    light = _squared(pixels, span) / pixels.shape[-1]
    return Bands(np.sqrt(of_picture * of_maps), light, detail.mean(axis=-1), energy.mean(axis=-1))


def is_blank(pictures: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether there is nothing to be seen in each picture (N, 18, 32, 3), as in the black between two fades: (N,)."""
    cells = _cells(pictures)
    spread: NDArray[np.float32] = cells.std(axis=-1).max(axis=-1)
    return spread < _NOISE


def _cells(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The pixels of each cell: (N, 12, 144)."""
    num = len(pictures)
    blocks = pictures.astype(np.float32).reshape(num, NUM_ROWS, _CELL_HEIGHT, NUM_COLUMNS, _CELL_WIDTH, 3)
    return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(num, NUM_ROWS * NUM_COLUMNS, -1)


def _unlike(cells: NDArray[np.float32], span: int, *, noise: float) -> NDArray[np.float32]:
    """1 minus the cosine in all but two fifths of the cells (N, cells, numbers): (span + 1, N).

    So light that is turned up or down changes nothing.
    """
    if not cells.shape[1]:
        return np.zeros((span + 1, len(cells)), np.float32)
    unit = cells / np.sqrt(np.square(cells).sum(axis=-1, keepdims=True) + noise)
    return np.quantile(_squared(unit, span) / 2, _UNCHANGED_SHARE, axis=-1).astype(np.float32)


def _squared(rows: NDArray[np.float32], span: int) -> NDArray[np.float32]:
    """Squared Euclidean distances (span + 1, N, cells) of rows (N, cells, numbers)."""
    num, num_cells, _ = rows.shape
    squares = np.square(rows).sum(axis=-1)
    band = np.full((span + 1, num, num_cells), np.nan, np.float32)
    for apart in range(min(span + 1, num)):
        products = np.einsum("ncd,ncd->nc", rows[: num - apart], rows[apart:])
        band[apart, : num - apart] = np.maximum(squares[: num - apart] + squares[apart:] - 2 * products, 0)
    return band
