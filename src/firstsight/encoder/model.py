"""What every encoder is made of: its view of a frame, and the protocol of a network with its read-out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from firstsight.device import sent
from firstsight.encoder.descriptions import CellStage
from firstsight.errors import PixelsError, SettingsError, check_count
from firstsight.footage.frames import View
from firstsight.pixels import Crop, as_pictures, crop_and_resize, writable
from firstsight.process import Precision

# Enlarged further than this, a picture is interpolation rather than detail.
MAX_ENLARGEMENT = 10


@dataclass(frozen=True)
class CentralSquare:
    """A square from the middle of the frame, resized to the network's input. A `View` for video and for arrays.

    The article crops 360x360 and resizes to 224x224. A frame smaller than the crop gives its largest centred square;
    the published code pads it with black instead, which teaches the network the padding.
    """

    crop_size: int = 360  # pixels of the upright frame
    input_size: int = 224  # pixels of the network's input
    channels: int = 3  # 3 for RGB, 1 for grey

    def __post_init__(self) -> None:
        if self.crop_size < 1 or self.input_size < 1:
            raise SettingsError(f"crop size {self.crop_size} and input size {self.input_size} must be at least 1 pixel")
        if self.channels not in (1, 3):
            raise SettingsError(f"channels {self.channels}; valid are 3 for colour and 1 for grey")

    def crop(self, width: int, height: int) -> Crop:
        """The centred square of a frame of that size.

        Raises:
            PixelsError: the frame is so small that the input would be an enlargement of more than tenfold.
        """
        side = min(self.crop_size, width, height)
        if self.input_size > side * MAX_ENLARGEMENT:
            min_side = -(-self.input_size // MAX_ENLARGEMENT)
            raise PixelsError(
                f"frames of {width}x{height} are too small for an input of {self.input_size} pixels; "
                f"valid is a square of at least {min_side} pixels: use larger footage, or a smaller input size"
            )
        # Rounded to even as torchvision's CenterCrop rounds, which the article used.
        x, y = round((width - side) / 2), round((height - side) / 2)
        return Crop(x, y, side, side, self.input_size, self.input_size)

    @property
    def shows_whole_frame(self) -> bool:
        """False: the network gets the square alone."""
        return False

    def describe(self, size: tuple[int, int] | None = None) -> str:
        """The input in words: of frames of that width and height, or of any."""
        if size is None:
            crop, at_most = self.crop_size, " at most"
        else:
            crop, at_most = self.crop(*size).width, ""
        colour = "colour" if self.channels == 3 else "grey"
        return f"the square in the middle, {crop}x{crop}{at_most}, at {self.input_size}x{self.input_size}, {colour}"

    def apply(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The network's input as pictures. Frames that are inputs already come back unchanged.

        Args:
            frames: uint8 (N, H, W, 3) or (N, H, W).

        Returns:
            uint8 (N, input_size, input_size, channels).

        Raises:
            PixelsError: another shape or dtype, or frames that are too small.
        """
        pictures = as_pictures(frames)
        height, width = pictures.shape[1:3]
        return crop_and_resize(pictures, self.crop(width, height), self.channels)


_AREA = 3_200  # pixels of the input; more cost time and add detail that does not repeat
# Pixels of the shorter side: patches must fit into half the size, and nothing is enlarged.
_MIN_SIDE = 24
MAX_WHOLE_PIXELS = 2**18  # 80 times that; more is a line and no picture, and would take all memory


@dataclass(frozen=True)
class WholeFrame:
    """All of the picture, any aspect ratio. A `View` for video and for arrays."""

    width: int  # pixels of the network's input
    height: int
    channels: int = 3

    def __post_init__(self) -> None:
        if min(self.width, self.height) < 1 or self.channels not in (1, 3):
            raise SettingsError(f"{self}: sizes must be at least 1 pixel, channels 1 or 3")

    @classmethod
    def for_size(cls, width: int, height: int) -> "WholeFrame":
        """For frames of that size: about 3,200 pixels of the same aspect ratio, and not more than there are.

        Raises:
            PixelsError: the frames are too small, or much too long.
        """
        if min(width, height) < _MIN_SIDE:
            raise PixelsError(f"frames of {width}x{height} are too small; valid is at least {_MIN_SIDE} pixels a side")
        scale = min(1.0, (_AREA / (width * height)) ** 0.5)
        scale = max(scale, _MIN_SIDE / min(width, height))
        if width * height * scale**2 > MAX_WHOLE_PIXELS:
            most = MAX_WHOLE_PIXELS // _MIN_SIDE**2
            raise PixelsError(f"frames of {width}x{height}; valid is at most {most} times as long as wide, or as high")
        return cls(round(width * scale), round(height * scale))

    @property
    def shows_whole_frame(self) -> bool:
        """True."""
        return True

    def crop(self, width: int, height: int) -> Crop:
        """All of a picture of that size."""
        return Crop(0, 0, width, height, self.width, self.height)

    def describe(self, size: tuple[int, int] | None = None) -> str:  # noqa: ARG002  # all of a frame of any size
        """The input in words."""
        return f"the entire picture, at {self.width}x{self.height}, {'colour' if self.channels == 3 else 'grey'}"

    def apply(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The network's input as pictures, uint8 (N, height, width, channels), of frames (N, H, W, 3) or (N, H, W).

        Raises:
            PixelsError: another shape or dtype.
        """
        pictures = as_pictures(frames)
        return crop_and_resize(pictures, self.crop(pictures.shape[2], pictures.shape[1]), self.channels)


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

    def describe(self, size: tuple[int, int] | None = None) -> str:
        """In words, of frames of that width and height, or of any: "the entire picture, at 75x42, colour"."""

    def apply(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The network's input as pictures, uint8 (N, h, w, channels), of frames uint8 (N, H, W, 3) or (N, H, W).

        Raises:
            PixelsError: another shape or dtype, or frames that are too small.
        """


class Levels(Protocol):
    """A network of levels."""

    @property
    def device(self) -> torch.device:
        """Of the weights."""

    def every_level(self, inputs: Tensor) -> list[Tensor]:
        """The maps of each level (N, maps, rows, columns), the first level first."""


class SecondStage(CellStage, Protocol):
    """Compares the most similar frames once more, by more than their embeddings."""

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of a frame's cells."""

    def window_descriptors(self, cells: Tensor, vertical: Tensor, horizontal: Tensor) -> Tensor:
        """Of frames with cells (N, ...) the parts inside A x B windows, (N, A * B, D), each of length 1 or 0.

        Args:
            cells: of N frames.
            vertical: (A, rows), the share of each row of cells in a window; each row sums to 1.
            horizontal: (B, columns), likewise.
        """

    def window_similarities(self, cells: Tensor, regions: Tensor, vertical: Tensor, horizontal: Tensor) -> Tensor:
        """The cosines (N, A * B, R) of the same descriptors with others (R, D), without making them."""

    def supported(self, first: NDArray[np.int8], second: NDArray[np.int8]) -> NDArray[np.float32]:
        """How well each cell of a frame is matched with each of another: (rows, columns, rows, columns), 0 to 1.

        The sum over the cells of either frame is at most 1: a cell of the other that is matched as with itself.
        """

    def similarities(self, cosines: Tensor, queries: tuple[Tensor, ...], references: tuple[Tensor, ...]) -> Tensor:
        """Similarities (Q, R), at most 1, from cosines of embeddings (Q, R), and cells and vectors in place of both."""


class Model(Levels, Protocol):
    """A network with its view of a frame and its read-out. Levels count from 1."""

    @property
    def view(self) -> EncoderView:
        """How frames become the network's input."""

    @property
    def shapes(self) -> tuple[MapShape, ...]:
        """Of each level."""

    @property
    def dim(self) -> int:
        """Numbers in an embedding."""

    @property
    def precision(self) -> Precision:
        """In which embeddings are computed by default."""

    @property
    def compared_level(self) -> int | None:
        """The level that comparisons use by default; None: the embedding itself, of all levels."""

    @property
    def compared_dims(self) -> int | None:
        """How many of its most varying numbers a comparison uses by default; None: all."""

    @property
    def second_stage(self) -> SecondStage | None:
        """None where the cosine of the embeddings is all there is."""

    @property
    def maps_are_centred(self) -> bool:
        """Whether every map has mean 0 over the footage."""

    def embed(self, inputs: Tensor) -> Tensor:
        """Embeddings (N, dim), not of unit length, of inputs (N, channels, h, w) in [0, 1]."""

    def describe(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Embeddings as by `embed`; then, for the second stage, cells and vectors in place. N rows each."""

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


def level_number(level: int | None, num_levels: int) -> int:
    """The level's number, from 1; None means the last.

    Raises:
        SettingsError: there is no such level.
    """
    number = num_levels if level is None else check_count("level {}", level, at_least=None)
    if not 1 <= number <= num_levels:
        raise SettingsError(f"level {level}; valid are 1 to {num_levels}")
    return number


def to_inputs(pictures: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Float32 (N, C, H, W) in [0, 1], channels last, of uint8 pictures (N, H, W, C)."""
    tensor = sent(torch.from_numpy(writable(pictures)), device).permute(0, 3, 1, 2)
    return tensor.to(torch.float32, memory_format=torch.channels_last).div_(255)


def in_batches(frames: NDArray[np.uint8], size: int) -> Iterable[NDArray[np.uint8]]:
    """The frames, so many at a time."""
    return (frames[start : start + size] for start in range(0, len(frames), size))
