"""One level: a convolution to hidden maps, ReLU, average pooling, and a 1x1 convolution to the level's maps."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from firstsight.errors import SettingsError

POOL_SIZE = 2


@dataclass(frozen=True)
class LevelConfig:
    """The shape of one level."""

    in_channels: int
    maps: int = 16
    hidden_maps: int = 64
    kernel_size: int = 5  # pixels, square, stride 1, no padding

    def __post_init__(self) -> None:
        sizes = (self.in_channels, self.maps, self.hidden_maps, self.kernel_size)
        if min(sizes) < 1:
            raise SettingsError(f"{self}: channels, maps, hidden maps and kernel size must be at least 1")

    def out_size(self, in_size: int) -> int:
        """Side of the output for an input of that side; 0 or less when nothing is left."""
        return (in_size - self.kernel_size + 1) // POOL_SIZE


class Level(nn.Module):
    """conv k x k, stride 1, no padding -> ReLU -> average pool 2x2 -> conv 1x1.

    The article applies the 1x1 convolution before the pool. Both are linear and commute, so the output is the same,
    for a quarter of the multiplications.

    Source: Ozmermer, "Multi-Perspective Neural Networks", class SSNet.
    """

    def __init__(self, config: LevelConfig, *, generator: torch.Generator) -> None:
        super().__init__()
        self.config = config
        self.hidden = nn.Conv2d(config.in_channels, config.hidden_maps, config.kernel_size)
        self.maps = nn.Conv2d(config.hidden_maps, config.maps, 1)
        _initialise(self.hidden, generator)
        _initialise(self.maps, generator)

    def forward(self, inputs: Tensor) -> Tensor:
        """Maps (N, maps, H', W') of inputs (N, in_channels, H, W), with H' = (H - kernel_size + 1) // 2."""
        # In place: nothing else needs the values before the ReLU, and they are the largest tensor of the level.
        hidden = nn.functional.relu(self.hidden(inputs), inplace=True)
        maps: Tensor = self.maps(nn.functional.avg_pool2d(hidden, POOL_SIZE))
        return maps


@torch.no_grad()
def _initialise(convolution: nn.Conv2d, generator: torch.Generator) -> None:
    """PyTorch's default for Conv2d, drawn from the generator in PyTorch's order: uniform within 1 / sqrt(fan in)."""
    bound = 1 / math.sqrt(convolution.weight[0].numel())
    assert convolution.bias is not None
    for parameter in (convolution.weight, convolution.bias):
        parameter.uniform_(-bound, bound, generator=generator)
