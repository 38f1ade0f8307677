"""What a source yields: frames, each with its time, seen through the views that were asked for."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from firstsight.pixels import Crop


class View(Protocol):
    """How a frame is to be seen: which rectangle, at which size, in grey or in colour."""

    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB."""

    def crop(self, width: int, height: int) -> Crop:
        """The rectangle to use of an upright picture with square pixels of that size."""


@dataclass(frozen=True)
class PixelByPixel:
    """A view of all of a picture, as it is."""

    channels: int = 3

    def crop(self, width: int, height: int) -> Crop:
        """All of it, at its own size."""
        return Crop(0, 0, width, height, width, height)


@dataclass(frozen=True)
class Frame:
    """One moment of a source.

    The first picture is `pixels`; a reader that asked for several views (the network's input, a thumbnail) finds them
    all in `pictures`, made from one decoding.
    """

    pictures: tuple[NDArray[np.uint8], ...]  # (H, W, C) each, one per view, in the order asked for
    seconds: float  # presentation time
    index: int  # position in its video, from 0, counting frames that were left out
    source: str  # the file it came from, as a person would name it
    size: tuple[int, int]  # width, height of the upright picture with square pixels, before any view

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The frame through the first view: uint8 (H, W, C)."""
        return self.pictures[0]

    def __repr__(self) -> str:
        shapes = ", ".join(str(picture.shape) for picture in self.pictures)
        return f"Frame({self.source!r}, index={self.index}, seconds={self.seconds:.3f}, pictures={shapes})"
