"""What needs no learning, beside the memory of what is normal: the difference to the frame before, and OpenCV's MOG2.

The score of a frame is that of its most unusual 24-pixel block: the mean difference in grey levels, the same as a
trailing mean of 0.25 s, and the share of foreground by MOG2 with OpenCV's defaults.

Source: Zivkovic, "Improved adaptive Gaussian mixture model for background subtraction", 2004 (MOG2).
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress

import numpy as np
from numpy.typing import NDArray

from firstsight.footage.frames import PixelByPixel
from firstsight.footage.source import Source

_BLOCK = 24
_TRAILING_SECONDS = 0.25
NO_MOG2 = "MOG2 is left out: OpenCV is not installed (pip install -c constraints.txt opencv-python-headless)"


def names() -> tuple[str, ...]:
    """Of the scores; without MOG2 if OpenCV is not installed."""
    return ("frame difference", "with a trailing mean", *(["MOG2"] if _mog2() else []))


def scores(source: Source, before: Sequence[Source] = ()) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The times of the frames (n,), and their scores (n, names).

    Args:
        source: to be judged.
        before: normal footage that MOG2 learns from first.
    """
    apply = _mog2()
    for normal in before if apply else ():
        for _, grey in _greys(normal):
            apply(grey)
    seconds, found = [], []
    last: NDArray[np.float32] | None = None
    trailing = 0.0
    for at, grey in _greys(source):
        now = grey.astype(np.float32)
        value = 0.0 if last is None else _largest(np.abs(now - last))
        keep = float(np.exp(-(at - seconds[-1]) / _TRAILING_SECONDS)) if seconds else 0.0
        trailing = keep * trailing + (1 - keep) * value
        found.append((value, trailing, *([_largest((apply(grey) == 255).astype(np.float32))] if apply else [])))
        seconds.append(at)
        last = now
    return np.array(seconds), np.array(found)


def _greys(source: Source) -> Iterable[tuple[float, NDArray[np.uint8]]]:
    with closing(source.read(PixelByPixel(channels=1))) as reading:
        for frame in reading:
            yield frame.seconds, frame.pixels[..., 0]


def _largest(picture: NDArray[np.float32]) -> float:
    """The largest mean of a block."""
    rows, columns = (side // _BLOCK * _BLOCK for side in picture.shape)
    blocks = picture[:rows, :columns].reshape(rows // _BLOCK, _BLOCK, columns // _BLOCK, _BLOCK)
    return float(blocks.mean((1, 3)).max())


def _mog2() -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None:
    with suppress(ImportError):
        import cv2

        return cv2.createBackgroundSubtractorMOG2().apply
    return None
