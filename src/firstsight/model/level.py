"""One level: a convolution to hidden maps, ReLU, average pooling, and a 1x1 convolution to the level's maps."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

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
