"""Levels one after another, and where in the picture their cells lie."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from firstsight import device
from firstsight.errors import SettingsError

POOL_SIZE = 2

Padding = Literal["none", "reflect"]


@dataclass(frozen=True)
class LevelConfig:
    """The shape of one level. The defaults are the article's."""

    in_channels: int
    maps: int = 16
    hidden_maps: int | None = 64  # None: the k x k convolution gives the maps itself, and there is no 1x1 convolution
    kernel_size: int = 5  # pixels, square, stride 1
    pool: bool = True  # average pool 2x2
    padding: Padding = "none"  # "reflect" mirrors the picture at its border, which keeps its size

    def __post_init__(self) -> None:
        sizes = (self.in_channels, self.maps, self.kernel_size, 1 if self.hidden_maps is None else self.hidden_maps)
        if min(sizes) < 1:
            raise SettingsError(f"{self}: channels, maps, hidden maps and kernel size must be at least 1")
        if self.padding not in get_args(Padding):
            raise SettingsError(f"padding {self.padding!r}; valid are {', '.join(get_args(Padding))}")
        if self.padding == "reflect" and self.kernel_size % 2 == 0:
            raise SettingsError(f"kernel size {self.kernel_size} with reflection; it has no middle: use an odd one")

    @property
    def border(self) -> int:
        """Cells added at each side before the convolution."""
        return self.kernel_size // 2 if self.padding == "reflect" else 0

    @property
    def step(self) -> int:
        """Input cells from one output cell to the next."""
        return POOL_SIZE if self.pool else 1

    @property
    def offset(self) -> float:
        """Where the centre of the first output cell lies, in input cells."""
        return (self.kernel_size - 1) / 2 - self.border + (self.step - 1) / 2

    def out_size(self, in_size: int) -> int:
        """Side of the output for an input of that side; 0 or less when nothing is left."""
        if in_size <= self.border:
            return 0  # too small to be mirrored
        return (in_size + 2 * self.border - self.kernel_size + 1) // self.step


class Level(nn.Module):
    """conv k x k, stride 1 -> ReLU -> average pool 2x2 -> conv 1x1.

    The article applies the 1x1 convolution before the pool. Both are linear and commute, so the output is the same,
    for a quarter of the multiplications. Its predecessor has no pool, the earliest form no 1x1 convolution either:
    conv -> ReLU.

    Source: Ozmermer, "Multi-Perspective Neural Networks", class SSNet.
    """

    def __init__(self, config: LevelConfig, *, generator: torch.Generator) -> None:
        super().__init__()
        self.config = config
        self.hidden = nn.Conv2d(
            config.in_channels,
            config.hidden_maps or config.maps,
            config.kernel_size,
            padding=config.border,
            padding_mode="zeros" if config.padding == "none" else "reflect",
        )
        _initialise(self.hidden, generator)
        self.maps: nn.Module = nn.Identity()
        if config.hidden_maps is not None:
            self.maps = nn.Conv2d(config.hidden_maps, config.maps, 1)
            _initialise(self.maps, generator)

    def forward(self, inputs: Tensor) -> Tensor:
        """Maps (N, maps, H', W') of inputs (N, in_channels, H, W), with H' = config.out_size(H)."""
        # In place: nothing else needs the values before the ReLU, and they are the largest tensor of the level.
        hidden = nn.functional.relu(self.hidden(inputs), inplace=True)
        if self.config.pool:
            hidden = nn.functional.avg_pool2d(hidden, POOL_SIZE)
        maps: Tensor = self.maps(hidden)
        return maps


@torch.no_grad()
def _initialise(convolution: nn.Conv2d, generator: torch.Generator) -> None:
    """PyTorch's default for Conv2d, drawn from the generator in PyTorch's order: uniform within 1 / sqrt(fan in)."""
    bound = 1 / math.sqrt(convolution.weight[0].numel())
    assert convolution.bias is not None
    for parameter in (convolution.weight, convolution.bias):
        parameter.uniform_(-bound, bound, generator=generator)


def article_levels(
    *,
    num_levels: int = 4,
    channels: int = 3,
    maps: int | Sequence[int] = 16,
    hidden_maps: int | None = 64,
    kernel_size: int = 5,
    pool: bool = True,
    padding: Padding = "none",
) -> tuple[LevelConfig, ...]:
    """The article's levels: the first reads the picture's channels, each later one the maps of the level before.

    Args:
        num_levels: how many.
        channels: of the picture.
        maps: of every level, or of each.
        hidden_maps: see `LevelConfig`, as all that follow.
        kernel_size: pixels.
        pool: whether there is one.
        padding: "none" or "reflect".

    Raises:
        SettingsError: no level, or another number of maps than of levels.
    """
    if num_levels < 1:
        raise SettingsError(f"{num_levels} levels; a network has at least 1")
    outputs = [maps] * num_levels if isinstance(maps, int) else list(maps)
    if len(outputs) != num_levels:
        raise SettingsError(
            f"maps of {len(outputs)} levels for {num_levels} levels; give one number for all, or one for each"
        )
    return tuple(
        LevelConfig(read, maps=out, hidden_maps=hidden_maps, kernel_size=kernel_size, pool=pool, padding=padding)
        for read, out in zip((channels, *outputs), outputs, strict=False)
    )


class Network(nn.Module):
    """All levels. Level numbers count from 1.

    Args:
        levels: the shape of each level.
        input_size: side of the square input in pixels.
        seed: of the initial weights; equal to `torch.manual_seed(seed)` before building the article's network.

    Raises:
        SettingsError: a level would have nothing left to look at, or reads another number of channels than it is given.
    """

    def __init__(self, levels: Sequence[LevelConfig], *, input_size: int, seed: int) -> None:
        super().__init__()
        _check_chain(levels)
        self.map_sizes = map_sizes(levels, input_size)
        self.input_size = input_size
        random = device.generator(seed)
        self.levels = nn.ModuleList(Level(config, generator=random) for config in levels)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from PyTorch's stubs

    @property
    def configs(self) -> tuple[LevelConfig, ...]:
        """The shape of each level."""
        return tuple(level.config for level in self.levels)  # type: ignore[misc]  # a ModuleList forgets its type

    @property
    def map_shapes(self) -> tuple[tuple[int, int], ...]:
        """Rows and columns of each level's maps."""
        return tuple((size, size) for size in self.map_sizes)

    def cell_centres(self, level: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where the rows and the columns of the level's maps lie, in pixels of the input."""
        centres = cell_centres(self.configs[:level], self.map_sizes[level - 1])
        return centres, centres

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def forward(self, inputs: Tensor, *, level: int | None = None) -> Tensor:
        """The maps of a level, the last by default: (N, maps, H, W) of inputs (N, channels, H, W) in [0, 1]."""
        outputs = inputs
        for stage in self.levels[: self.number_of(level)]:
            outputs = stage(outputs)
        return outputs

    def every_level(self, inputs: Tensor) -> list[Tensor]:
        """The maps of each level, the first level first."""
        outputs = [inputs]
        for stage in self.levels:
            outputs.append(stage(outputs[-1]))
        return outputs[1:]

    def number_of(self, level: int | None) -> int:
        """The level's number; None means the last.

        Raises:
            SettingsError: there is no such level.
        """
        if level is None:
            return len(self.levels)
        if not 1 <= level <= len(self.levels):
            raise SettingsError(f"level {level}; valid are 1 to {len(self.levels)}")
        return level


def to_inputs(pictures: NDArray[np.uint8], device: torch.device) -> Tensor:
    """What a network reads: float32 (N, C, H, W) in [0, 1], channels last, of uint8 pictures (N, H, W, C)."""
    writable = np.require(pictures, requirements="W")  # a copy of what Pillow lends, of which PyTorch warns
    tensor = torch.from_numpy(writable).to(device).permute(0, 3, 1, 2)
    return tensor.to(torch.float32, memory_format=torch.channels_last).div_(255)


def cell_centres(levels: Sequence[LevelConfig], num_cells: int) -> NDArray[np.float64]:
    """Where the cells of the last of these levels lie: pixel coordinates in the network's input, (num_cells,).

    Pixel i covers [i - 0.5, i + 0.5]. A k x k convolution without padding moves the centre by (k - 1) / 2 cells, the
    pool by half a cell, and then doubles the step: for 5x5 kernels 2i + 2.5, 4i + 7.5, 8i + 17.5, 16i + 37.5. Without
    pool the step stays; a reflected border undoes the convolution's shift.
    """
    step, offset = 1.0, 0.0
    for level in levels:
        offset += step * level.offset
        step *= level.step
    return offset + step * np.arange(num_cells, dtype=np.float64)


def _check_chain(levels: Sequence[LevelConfig]) -> None:
    if not levels:
        raise SettingsError("0 levels; a network has at least 1")
    for number, (before, after) in enumerate(pairwise(levels), start=2):
        if before.maps != after.in_channels:
            raise SettingsError(
                f"level {number} reads {after.in_channels} channels of {before.maps} maps; make them equal"
            )


def map_sizes(levels: Sequence[LevelConfig], input_size: int) -> tuple[int, ...]:
    """Side of each level's maps, in cells, for a square input of that side in pixels.

    Raises:
        SettingsError: a level would have nothing left to look at.
    """
    sizes = [input_size]
    for number, level in enumerate(levels, start=1):
        sizes.append(level.out_size(sizes[-1]))
        if sizes[-1] < 1:
            raise SettingsError(
                f"an input of {input_size} pixels is used up at level {number}; "
                f"use fewer levels (at most {number - 1}), a smaller kernel or a larger input size"
            )
    return tuple(sizes[1:])
