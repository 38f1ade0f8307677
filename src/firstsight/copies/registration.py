"""Registration of two series of frames: where one lies in the other, and how well their details then agree.

A copy, also one that was re-encoded, shrunk, cropped, zoomed or made brighter, agrees with its original in detail,
frame after frame, under one scale and shift. Two corridors of one architecture are similar in coarse features, but
their edges do not match.

*Source:* aligning pictures by Gauss-Newton steps from coarse to fine, Lucas, Kanade, "An iterative image registration
technique", 1981; Baker, Matthews, "Lucas-Kanade 20 years on", 2004.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter1d

from firstsight.copies.signature import MIDDLE, Bars
from firstsight.library.thumbnails import opened

SIDE = 64  # pixels of a frame, each way: four in each cell of a signature
# Standard deviations of the details compared, in pixels, and the step of the grid they are sampled on.
_SCALES = ((3.0, 4), (1.5, 2), (0.75, 1))
_STEPS = 6  # at most, at each scale
_MAX_STEP = 0.1  # of half a picture
_CONVERGED = 1e-3
_MIN_OVERLAP = 0.3  # of the picture
# Scales to start from: both show the same, or the middle of either is all of the other.
_STARTS = (1.0, MIDDLE, 1 / MIDDLE)

Frames = NDArray[np.float32]  # (T, SIDE, SIDE), luma


@dataclass(frozen=True, eq=False)
class Registration:
    """Where in the second series the first lies, and how well they agree there.

    A point x of the first, from -1 at the left to 1 at the right, lies at `scale_x * x + shift_x` of the second; y from
    the top likewise. Each changes steadily from the first frame to the last: (T,).
    """

    scale_x: NDArray[np.float64]
    shift_x: NDArray[np.float64]
    scale_y: NDArray[np.float64]
    shift_y: NDArray[np.float64]
    agreement: float  # correlation of what changes in detail, -1 to 1; of a single frame, of its details


def small_luma(jpeg: bytes, bars: Bars) -> NDArray[np.uint8]:
    """A thumbnail without its bars, (SIDE, SIDE)."""
    with opened(jpeg) as picture:
        image = picture.convert("L")
    width, height = image.size
    box = (width * bars.left, height * bars.top, width * (1 - bars.right), height * (1 - bars.bottom))
    how = Image.Resampling.BOX if min(width, height) > SIDE else Image.Resampling.BILINEAR
    return np.asarray(image.resize((SIDE, SIDE), how, box=box))


def register(first: Frames, second: Frames) -> Registration:
    """Where the first lies in the second: both (T, SIDE, SIDE), frame by frame of the same time."""
    # Scale and shift across, scale and shift down, midway; and by how much each changes until the end.
    starts = [np.array([[scale, 0, scale, 0], [0, 0, 0, 0.0]]) for scale in _STARTS]
    coarse, *finer = (_Details.of(first, second, sigma, step) for sigma, step in _SCALES)
    found = max((_fitted(coarse, start) for start in starts), key=lambda parameters: _agreement(coarse, parameters))
    for details in finer:
        found = _fitted(details, found)
    scale_x, shift_x, scale_y, shift_y = _at_times(found, len(first)).T
    return Registration(scale_x, shift_x, scale_y, shift_y, _agreement(finer[-1], found))


def _times(num: int) -> NDArray[np.float64]:
    return np.linspace(-1, 1, num) if num > 1 else np.zeros(1)


def _at_times(parameters: NDArray[np.float64], num: int) -> NDArray[np.float64]:
    """(T, 4)."""
    at_times: NDArray[np.float64] = parameters[0] + _times(num)[:, None] * parameters[1]
    return at_times


@dataclass(frozen=True, eq=False)
class _Details:
    """What both series show at one scale: the first on a grid, the second everywhere, to be sampled."""

    positions: NDArray[np.float64]  # (n,), of the grid's rows and columns, from -1 to 1
    first: Frames  # (T, n, n)
    second: Frames
    across: Frames  # slopes of the second
    down: Frames

    @classmethod
    def of(cls, first: Frames, second: Frames, sigma: float, step: int) -> "_Details":
        rows, positions = _grid(step)
        details = _blurred(second, sigma) - _blurred(second, 2.5 * sigma)
        wanted = _blurred(first, sigma, rows) - _blurred(first, 2.5 * sigma, rows)
        down, across = (np.gradient(details, axis=axis) * np.float32((SIDE - 1) / 2) for axis in (1, 2))
        return cls(positions, wanted, details, across, down)


def _blurred(frames: Frames, sigma: float, rows: slice = slice(None)) -> Frames:
    """By a Gaussian; at some rows and columns."""
    weights = _gaussian(sigma)[rows]
    blurred: Frames = np.matmul(np.matmul(weights, frames), weights.T)
    return blurred


@cache
def _gaussian(sigma: float) -> Frames:
    """(SIDE, SIDE): the weight of each row of a picture in each row of the blurred one."""
    weights: Frames = gaussian_filter1d(np.eye(SIDE, dtype=np.float32), sigma, axis=0)
    return weights


def _grid(step: int) -> tuple[slice, NDArray[np.float64]]:
    """Rows of pixels, and their positions between -1 and 1."""
    positions: NDArray[np.float64] = 2 * np.arange(step // 2, SIDE, step) / (SIDE - 1) - 1
    return slice(step // 2, SIDE, step), positions


def _sampling(positions: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(T, n, SIDE), weights that interpolate the rows of a picture at those positions; and which are inside it."""
    pixels = (positions + 1) * (SIDE - 1) / 2
    weights = np.maximum(0, 1 - np.abs(pixels[..., None] - np.arange(SIDE))).astype(np.float32)
    return weights, np.abs(positions) <= 1


def _sampled(
    at: NDArray[np.float64], positions: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32], NDArray[np.bool_]]:
    """The weights across and which columns are inside, the weights down and which rows; at (T, 4) of `_at_times`."""
    return *_sampling(at[:, :1] * positions + at[:, 1:2]), *_sampling(at[:, 2:3] * positions + at[:, 3:])


def _values(frames: Frames, along_x: Frames, along_y: Frames) -> Frames:
    """Of the frames, where the weights of `_sampled` point: (T, n, n)."""
    values: Frames = np.matmul(np.matmul(along_y, frames), along_x.transpose(0, 2, 1))
    return values


def _fitted(details: _Details, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2, 4), improved until it changes no more."""
    found, num = parameters.copy(), len(details.first)
    num_free = 8 if num > 1 else 4
    times = _times(num)[:, None, None].astype(np.float32)
    x, y = details.positions.astype(np.float32), details.positions.astype(np.float32)[:, None]
    for _ in range(_STEPS):
        along_x, in_x, along_y, in_y = _sampled(_at_times(found, num), details.positions)
        inside = (in_y[:, :, None] & in_x[:, None]).astype(np.float32)
        there, slope_x, slope_y = (
            _values(what, along_x, along_y) * inside for what in (details.second, details.across, details.down)
        )
        columns = [slope_x * x, slope_x, slope_y * y, slope_y]
        if num_free == 8:
            columns += [column * times for column in columns]
        visible = details.first * inside
        contrast = np.float32(np.linalg.norm(there) / max(float(np.linalg.norm(visible)), 1e-6))
        change = _solved(columns, visible * contrast - there)
        found.ravel()[:num_free] += change
        if np.abs(change).max() < _CONVERGED:
            break
    return found


def _solved(columns: list[Frames], residual: Frames) -> NDArray[np.float64]:
    """The least-squares step, damped where the pictures do not determine it."""
    jacobian = np.stack([column.ravel() for column in columns], axis=1)
    normal = (jacobian.T @ jacobian).astype(np.float64)
    damping = 1e-3 * np.trace(normal) / len(normal) + 1e-6
    step = np.linalg.solve(normal + damping * np.eye(len(normal)), jacobian.T @ residual.ravel())
    return np.clip(step, -_MAX_STEP, _MAX_STEP)


def _agreement(details: _Details, parameters: NDArray[np.float64]) -> float:
    """Correlation of the changes in both series, where all frames overlap; -1 if that is too small a part."""
    num = len(details.first)
    along_x, in_x, along_y, in_y = _sampled(_at_times(parameters, num), details.positions)
    inside = np.outer(in_y.all(axis=0), in_x.all(axis=0))
    if inside.mean() < _MIN_OVERLAP:
        return -1.0
    one = details.first[:, inside]
    other = _values(details.second, along_x, along_y)[:, inside]
    if num > 1:  # what stands still is the same in two takes of one camera
        one, other = one - one.mean(axis=0), other - other.mean(axis=0)
    lengths = float(np.linalg.norm(one)) * float(np.linalg.norm(other))
    return float((one * other).sum()) / lengths if lengths > 1e-6 else 0.0
