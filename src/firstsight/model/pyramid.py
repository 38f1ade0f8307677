"""The closed-form network: levels side by side, each looking at the picture at a scale of its own."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from firstsight.errors import SettingsError
from firstsight.model.patch_level import PatchLevel, PatchLevelConfig


class Pyramid(nn.Module):
    """All levels. Level numbers count from 1; level 1 sees the picture at the input's size."""

    def __init__(self, levels: Sequence[PatchLevelConfig]) -> None:
        super().__init__()
        if not levels:
            raise SettingsError("0 levels; a network has at least 1")
        self.levels: list[PatchLevel] = nn.ModuleList(map(PatchLevel, levels))  # type: ignore[assignment]

    def first(self, num_levels: int) -> "Pyramid":
        """A network of the first levels alone, with the same weights."""
        network = Pyramid(self.configs[:num_levels])
        kept = network.state_dict().keys()
        network.load_state_dict({name: value for name, value in self.state_dict().items() if name in kept})
        return network.to(self.device)

    @property
    def configs(self) -> tuple[PatchLevelConfig, ...]:
        """The shape of each level."""
        return tuple(level.config for level in self.levels)

    @property
    def map_shapes(self) -> tuple[tuple[int, int], ...]:
        """Rows and columns of each level's maps."""
        return tuple(config.map_shape for config in self.configs)

    def cell_centres(self, level: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where the rows and the columns of the level's maps lie, in pixels of the input."""
        first, own = self.configs[0], self.configs[level - 1]
        rows, columns = (np.arange(size) + own.kernel_size / 2 for size in own.map_shape)
        return rows * first.height / own.height - 0.5, columns * first.width / own.width - 0.5

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.levels[0].weight.device

    def scaled(self, inputs: Tensor, level: PatchLevel) -> Tensor:
        """The inputs (N, channels, H, W) at that level's scale."""
        size = (level.config.height, level.config.width)
        if inputs.shape[2:] == size:
            return inputs
        return nn.functional.interpolate(inputs, size, mode="bilinear", antialias=True, align_corners=False)

    def forward(self, inputs: Tensor, *, level: int | None = None) -> Tensor:
        """The maps (N, maps, rows, columns) of a level, the last by default, of inputs in [0, 1]."""
        stage = self.levels[self.number_of(level) - 1]
        maps: Tensor = stage(self.scaled(inputs, stage))
        return maps

    def every_level(self, inputs: Tensor) -> list[Tensor]:
        """The maps of each level, the first level first."""
        return [self(inputs, level=number) for number in range(1, len(self.levels) + 1)]

    def number_of(self, level: int | None) -> int:
        """The level's number; None means the last.

        Raises:
            SettingsError: there is no such level.
        """
        number = len(self.levels) if level is None else level
        if not 1 <= number <= len(self.levels):
            raise SettingsError(f"level {level}; valid are 1 to {len(self.levels)}")
        return number
