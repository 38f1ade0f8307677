"""A sketch of a picture: small and grey, so that noise is averaged away; what happens to a view is judged by it.

By its gradients, which say where edges are, and by how far they have shifted.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from firstsight.errors import PixelsError
from firstsight.pixels import Crop

HEIGHT, WIDTH = 120, 160  # 2 pixels of a picture 640 wide are half a pixel here

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Sketch:
    """What is kept of a picture."""

    light: Floats  # (HEIGHT, WIDTH), grey levels 0 to 255
    pixels: NDArray[np.uint8]  # some of the picture's own, as they are, to see whether any changes


@dataclass(frozen=True)
class SketchView:
    """All of a frame in grey, at twice the size of a sketch at most: enough for `sketch`."""

    channels: int = 1

    def crop(self, width: int, height: int) -> Crop:
        """All of a picture of that size."""
        return Crop(0, 0, width, height, min(width, 2 * WIDTH), min(height, 2 * HEIGHT))


def sketch(picture: NDArray[np.uint8]) -> Sketch:
    """What is compared of a picture, uint8 (H, W, 1 or 3).

    Raises:
        PixelsError: another shape or dtype.
    """
    if picture.ndim != 3 or picture.shape[2] not in (1, 3) or picture.dtype != np.uint8 or not picture.size:
        raise PixelsError(f"a picture of shape {picture.shape}, {picture.dtype}; valid is uint8 (H, W, 3) or (H, W, 1)")
    image = Image.fromarray(picture if picture.shape[2] == 3 else picture[..., 0]).convert("L")
    small = image.resize((WIDTH, HEIGHT), Image.Resampling.BOX, reducing_gap=2.0)
    down, across = (max(1, side // most) for side, most in zip(picture.shape[:2], (HEIGHT, WIDTH), strict=True))
    some = picture[down // 2 :: down, across // 2 :: across, picture.shape[2] // 2]
    return Sketch(np.asarray(small, dtype=np.float32), np.ascontiguousarray(some))


def gradients(light: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Gradients (2, H, W), right and down, of the light (H, W) averaged over 2x2 pixels; 0 at the border."""
    rows = light[:-1] + light[1:]
    averaged = rows[:, :-1] + rows[:, 1:]
    found = np.zeros((2, *light.shape))
    np.subtract(averaged[1:-1, 2:], averaged[1:-1, :-2], out=found[0, 1:-2, 1:-2])
    np.subtract(averaged[2:, 1:-1], averaged[:-2, 1:-1], out=found[1, 1:-2, 1:-2])
    found /= 8
    return found


def find_shift(now: NDArray[np.float64], then: NDArray[np.float64]) -> tuple[float, float] | None:
    """By how many pixels the first lies right of and below the second; None if no shift stands out.

    Args:
        now: gradients (2, H, W).
        then: of the other picture.
    """
    product = np.fft.fft2(now[0] + 1j * now[1]) * np.fft.fft2(then[0] + 1j * then[1]).conj()
    surface = np.fft.ifft2(product / (np.abs(product) + 1e-9 + 0.01 * np.abs(product).mean())).real
    row, column = np.unravel_index(int(surface.argmax()), surface.shape)
    deviation = float(surface.std())
    # The largest of 19,200 Gaussian values is 4 deviations; twice that is none of them.
    if surface[row, column] < 8 * deviation:
        return None
    height, width = surface.shape
    across = int(column) - width if column > width // 2 else int(column)
    down = int(row) - height if row > height // 2 else int(row)
    return float(across), float(down)
