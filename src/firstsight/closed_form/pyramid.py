"""The closed-form network: levels side by side, each looking at the picture at a scale of its own."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from firstsight.errors import SettingsError

# What no response falls below. Nothing to see, but MKL takes seven times as long for the square root of a plain zero.
_FLOOR = 1e-12


@dataclass(frozen=True)
class PatchLevelConfig:
    """The shape of one level, which looks at the picture at a scale of its own."""

    height: int  # of the picture at this level's scale, in pixels
    width: int
    kernel_size: int  # pixels, square, stride 1, no padding
    filters: int = 128  # in pairs: the second half are the mirror images of the first, in the same order
    maps: int = 80  # the first half even, the second odd
    in_channels: int = 3

    def __post_init__(self) -> None:
        if self.filters % 2 or self.maps % 2 or self.maps > self.filters:
            raise SettingsError(f"{self}: filters and maps are even numbers, and maps at most as many as filters")
        sizes = (self.filters, self.maps, self.kernel_size, self.in_channels, min(self.map_shape))
        if min(sizes) < 1:
            raise SettingsError(f"{self}: filters, maps and kernel size must be at least 1 and fit into the picture")

    @property
    def map_shape(self) -> tuple[int, int]:
        """Rows and columns of the maps."""
        return self.height - self.kernel_size + 1, self.width - self.kernel_size + 1

    @property
    def patch_dim(self) -> int:
        """Numbers in a patch."""
        return self.in_channels * self.kernel_size**2


class PatchLevel(nn.Module):
    """patch -> remove its mean, divide by its deviation -> filters -> ReLU -> square root -> 1x1 layer.

    The deviation is sqrt(variance + `PATCH_EPSILON`), so that a flat patch is not noise blown up. The 1x1 layer makes
    the maps uncorrelated, with mean 0 and variance 1, over the footage learned from and its mirror images: the
    article's idea, maps unlike each other, met exactly.

    To mirror the picture is to mirror the responses and to exchange the filters of each pair. So the sums of pairs give
    maps that are mirrored with the picture (even), and the differences maps that are mirrored and change sign (odd):
    what the mirror image would give is known without looking at it. Even and odd maps are uncorrelated by symmetry.

    Source: patches, whitening and spherical k-means: Coates, Lee, Ng, "An analysis of single-layer networks in
    unsupervised feature learning", 2011; filters closed under a symmetry: Cohen, Welling, "Group equivariant
    convolutional networks", 2016.
    """

    PATCH_EPSILON = 0.003  # of values in [0, 1]: about 14 grey levels

    weight: Tensor  # (patch_dim, filters)
    bias: Tensor  # (filters,)
    mix_even: Tensor  # (filters / 2, maps / 2)
    mix_odd: Tensor  # (filters / 2, maps / 2)
    shift: Tensor  # (maps / 2,), of the even maps; the mean of odd ones is 0

    def __init__(self, config: PatchLevelConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("weight", torch.zeros(config.patch_dim, config.filters))
        self.register_buffer("bias", torch.zeros(config.filters))
        self.register_buffer("mix_even", torch.zeros(config.filters // 2, config.maps // 2))
        self.register_buffer("mix_odd", torch.zeros(config.filters // 2, config.maps // 2))
        self.register_buffer("shift", torch.zeros(config.maps // 2))

    def patches(self, pictures: Tensor) -> Tensor:
        """Normalised patches (N, rows, columns, patch_dim) of pictures (N, in_channels, height, width)."""
        size = self.config.kernel_size
        return self.normalised(pictures.unfold(2, size, 1).unfold(3, size, 1).permute(0, 2, 3, 1, 4, 5).flatten(3))

    def mirrored(self, patches: Tensor) -> Tensor:
        """The mirror images of patches (..., patch_dim)."""
        size, channels = self.config.kernel_size, self.config.in_channels
        return patches.view(*patches.shape[:-1], channels, size, size).flip(-1).flatten(-3)

    def normalised(self, patches: Tensor) -> Tensor:
        """Patches (..., patch_dim) without their mean, divided by their deviation."""
        patches = patches - patches.mean(dim=-1, keepdim=True)
        return patches * (patches.square().mean(dim=-1, keepdim=True) + self.PATCH_EPSILON).rsqrt()

    def responses_to(self, patches: Tensor) -> Tensor:
        """Filter responses after the ReLU (..., filters) to normalised patches (..., patch_dim)."""
        return (patches @ self.weight + self.bias).clamp_min(_FLOOR)

    def responses(self, pictures: Tensor) -> Tensor:
        """`responses_to(patches(pictures))`, (N, rows, columns, filters), by a convolution; no patch is copied out.

        A filter without its mean does not see the patch's mean, and the deviation divides what comes out.
        """
        size, channels = self.config.kernel_size, self.config.in_channels
        pictures = pictures - pictures.mean(dim=(1, 2, 3), keepdim=True)  # small numbers round less, flat pictures not
        mean = nn.functional.avg_pool2d(pictures.mean(dim=1, keepdim=True), size, 1)
        square = nn.functional.avg_pool2d(pictures.square().mean(dim=1, keepdim=True), size, 1)
        scale = ((square - mean.square()).clamp_min(0) + self.PATCH_EPSILON).rsqrt()
        filters = (self.weight - self.weight.mean(dim=0)).T.reshape(-1, channels, size, size)
        along = nn.functional.conv2d(_channels_last(pictures), _channels_last(filters))
        scaled = torch.addcmul(self.bias.view(1, -1, 1, 1).to(along.dtype), along, scale.to(along.dtype))
        return scaled.clamp_min_(_FLOOR).permute(0, 2, 3, 1)

    def halves(self, responses: Tensor) -> tuple[Tensor, Tensor]:
        """What the even and what the odd maps are made of, float32 (..., filters / 2) each, of filter responses.

        Sum and difference of the square roots of each pair.
        """
        first, second = responses.sqrt().chunk(2, dim=-1)
        return (first + second).float(), (first - second).float()

    def maps_of(self, responses: Tensor) -> Tensor:
        """Uncorrelated maps (N, rows, columns, maps) of filter responses, in float32."""
        even, odd = self.halves(responses)
        with torch.autocast(responses.device.type, enabled=False):
            return torch.cat([even @ self.mix_even + self.shift, odd @ self.mix_odd], dim=-1)

    def forward(self, pictures: Tensor) -> Tensor:
        """The maps (N, maps, rows, columns)."""
        return self.maps_of(self.responses(pictures)).permute(0, 3, 1, 2)


def _channels_last(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last)


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
