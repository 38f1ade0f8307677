"""What every encoder is made of: one protocol, whichever method learned it. And what a network reads of a picture."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from firstsight.footage.frames import View
from firstsight.process import Precision


@dataclass(frozen=True)
class MapShape:
    """What a level gives for one picture."""

    maps: int
    rows: int  # cells
    columns: int

    def __str__(self) -> str:
        return f"{self.maps}x{self.rows}x{self.columns}"


class EncoderView(View, Protocol):
    """How frames become the network's input; works for arrays as well as for footage."""

    @property
    def shows_whole_frame(self) -> bool:
        """Whether it shows all of a frame, so that a thumbnail can stand for the frame."""

    def describe(self) -> str:
        """In words: "the whole picture, at 75x42, colour"."""

    def apply(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The network's input as pictures, uint8 (N, h, w, channels), of frames uint8 (N, H, W, 3) or (N, H, W).

        Raises:
            PixelsError: another shape or dtype, or frames that are too small.
        """


class Levels(Protocol):
    """A network whose levels can be looked at one by one."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""

    def every_level(self, inputs: Tensor) -> list[Tensor]:
        """The maps of each level (N, maps, rows, columns), the first level first."""


class Model(Levels, Protocol):
    """A network with its view of a frame and its read-out. Levels count from 1."""

    @property
    def view(self) -> EncoderView:
        """What becomes of a frame before the network sees it."""

    @property
    def shapes(self) -> tuple[MapShape, ...]:
        """Of each level."""

    @property
    def dim(self) -> int:
        """Numbers in an embedding."""

    @property
    def precision(self) -> Precision:
        """In which embeddings are computed unless another is asked for."""

    @property
    def compared_level(self) -> int | None:
        """The level that comparisons use unless another is asked for; None: the embedding itself, of all levels."""

    @property
    def compared_dims(self) -> int | None:
        """How many of its most varying numbers a comparison uses unless told otherwise; None: all."""

    @property
    def maps_are_centred(self) -> bool:
        """Whether every map has mean 0 over the footage."""

    def embed(self, inputs: Tensor) -> Tensor:
        """Embeddings (N, dim), not of unit length, of inputs (N, channels, h, w) in [0, 1]."""

    def maps(self, inputs: Tensor, level: int) -> Tensor:
        """The maps of one level (N, maps, rows, columns)."""

    def filters(self, level: int) -> NDArray[np.float32]:
        """The level's filters (out, in, k, k)."""

    def cell_centres(self, level: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where the rows and the columns of the level's maps lie, in pixels of the network's input."""

    def initial(self, *, seed: int) -> Self | None:
        """The same network as it was before learning from that seed; None where learning starts from nothing."""

    def to(self, device: torch.device) -> None:
        """Moves the weights."""

    def config(self) -> dict[str, Any]:
        """Everything but the weights, as plain JSON values."""

    def tensors(self) -> Mapping[str, Tensor]:
        """The weights, by name."""


def to_inputs(pictures: NDArray[np.uint8], device: torch.device) -> Tensor:
    """What a network reads: float32 (N, C, H, W) in [0, 1], channels last, of uint8 pictures (N, H, W, C)."""
    writable = np.require(pictures, requirements="W")  # a copy of what Pillow lends, of which PyTorch warns
    tensor = torch.from_numpy(writable).to(device).permute(0, 3, 1, 2)
    return tensor.to(torch.float32, memory_format=torch.channels_last).div_(255)


def in_batches(frames: NDArray[np.uint8], size: int) -> Iterable[NDArray[np.uint8]]:
    """The frames, so many at a time."""
    return (frames[start : start + size] for start in range(0, len(frames), size))
