"""The article's network: levels one after another, each a convolution, ReLU, average pooling and a 1x1 convolution."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from firstsight import device
from firstsight.article.settings import POOL_SIZE, LevelConfig, cell_centres, map_sizes
from firstsight.encoder.model import level_number
from firstsight.errors import SettingsError


class Level(nn.Module):
    """The article's level: conv k x k, stride 1 -> ReLU -> average pool 2x2 -> conv 1x1.

    The article applies the 1x1 convolution before the pool. Both are linear and commute, so the output is the same,
    for a quarter of the multiplications. Its predecessor has no pool, the earliest form no 1x1 convolution either:
    conv -> ReLU.

    Source: Ozmermer, "Multi-Perspective Neural Networks", class SSNet; `hidden` is its conv1, `maps` its conv2.
    """

    def __init__(self, config: LevelConfig, *, generator: torch.Generator) -> None:
        super().__init__()
        self.config = config
        with torch.random.fork_rng(devices=[]):  # making a convolution draws weights that are replaced
            self.hidden = nn.Conv2d(
                config.in_channels,
                config.hidden_maps or config.maps,
                config.kernel_size,
                padding=config.border,
                padding_mode="zeros" if config.padding == "none" else "reflect",
            )
            self.maps = nn.Identity() if config.hidden_maps is None else nn.Conv2d(config.hidden_maps, config.maps, 1)
        for convolution in (self.hidden, self.maps):
            if isinstance(convolution, nn.Conv2d):
                _initialise(convolution, generator)

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


class Network(nn.Module):
    """The article's MPNN, class SSNetMultiple: levels in a row. Level numbers count from 1, as its `queue` does.

    Args:
        levels: the shape of each level.
        input_size: side of the square input in pixels.
        seed: of the initial weights; equal to `torch.manual_seed(seed)` before building the article's network.

    Raises:
        SettingsError: a level has no cell left, or reads another number of channels than the level before gives.
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

    def cell_centres(self, level: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where the rows and the columns of the level's maps lie, in pixels of the input."""
        centres = cell_centres(self.configs[:level], self.map_sizes[level - 1])
        return centres, centres

    @property
    def device(self) -> torch.device:
        """Of the weights."""
        return next(self.parameters()).device

    def forward(self, inputs: Tensor, *, level: int | None = None) -> Tensor:
        """The maps of a level, the last by default: (N, maps, H, W) of inputs (N, channels, H, W) in [0, 1]."""
        outputs = inputs
        for stage in self.levels[: level_number(level, len(self.levels))]:
            outputs = stage(outputs)
        return outputs

    def every_level(self, inputs: Tensor) -> list[Tensor]:
        """The maps of each level, the first level first."""
        outputs = [inputs]
        for stage in self.levels:
            outputs.append(stage(outputs[-1]))
        return outputs[1:]


def _check_chain(levels: Sequence[LevelConfig]) -> None:
    if not levels:
        raise SettingsError("0 levels; a network has at least 1")
    for number, (before, after) in enumerate(pairwise(levels), start=2):
        if before.maps != after.in_channels:
            raise SettingsError(
                f"level {number} reads {after.in_channels} channels of {before.maps} maps; make them equal"
            )
