"""The closed-form network: levels side by side, each at its own scale of the picture, and what is pooled from them.

Symbols as in `docs/method.md`: patch p, responses r and r', halves x+ and x-, maps m+ and m-.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from firstsight.encoder.model import level_number
from firstsight.errors import SettingsError

# Lower bound of every response: MKL takes seven times as long for the square root of an exact zero.
_FLOOR = 1e-12


@dataclass(frozen=True)
class PatchLevelConfig:
    """The shape of one level."""

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

    The deviation is sqrt(variance + `PATCH_EPSILON`), so that the noise of a flat patch is not amplified. The 1x1 layer
    makes the maps uncorrelated, with mean 0 and variance 1, over the footage learned from and its mirror images: the
    article's objective, met exactly.

    To mirror the picture mirrors the responses and exchanges the filters of each pair. So the sums of pairs give maps
    that are mirrored with the picture (even), and the differences maps that are mirrored and change sign (odd): the
    maps of the mirror image are known without computing it. Even and odd maps are uncorrelated by symmetry.

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

        A filter without its mean is independent of the patch's mean, and its output is divided by the deviation.
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
        """x+ = sqrt(r) + sqrt(r') and x- = sqrt(r) - sqrt(r'), float32 (..., filters / 2) each, of responses."""
        first, second = responses.sqrt().chunk(2, dim=-1)
        return (first + second).float(), (first - second).float()

    def maps_of(self, responses: Tensor) -> Tensor:
        """m+ and m-, side by side: float32 (N, rows, columns, maps), uncorrelated, of responses."""
        even, odd = self.halves(responses)
        with torch.autocast(responses.device.type, enabled=False):
            return torch.cat([even @ self.mix_even + self.shift, odd @ self.mix_odd], dim=-1)

    def forward(self, pictures: Tensor) -> Tensor:
        """The maps (N, maps, rows, columns)."""
        return self.maps_of(self.responses(pictures)).permute(0, 3, 1, 2)


def _channels_last(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last)


class Colours(nn.Module):
    """How much of a picture has each of at most so many colours: every pixel counts for the one that is nearest.

    Patches are without their mean, so that light changes them less. Where colours stay, this is what they lost.

    Source: Swain, Ballard, "Color indexing", 1991.
    """

    STEPS = 32  # of a channel, eight grey levels each: the colours of a step are not told apart

    nearest: Tensor  # int16 (STEPS ** channels,): number of the colour that is nearest to each cell of colour space

    def __init__(self, num: int, channels: int) -> None:
        super().__init__()
        self.num, self.channels = num, channels
        self.register_buffer("nearest", torch.zeros(self.STEPS**channels, dtype=torch.int16))

    def forward(self, pictures: Tensor) -> Tensor:
        """Square roots of the shares (N, num) of pictures (N, channels, height, width) in [0, 1]."""
        steps = (pictures.float() * 255).round().long().clamp(0, 255).flatten(2) * self.STEPS // 256
        cells = sum(steps[:, channel] * self.STEPS**channel for channel in range(self.channels))
        which = self.nearest.long()[cells]
        ones = torch.ones(which.shape, device=which.device)
        counts = torch.zeros(which.shape[0], self.num, device=which.device).scatter_add(1, which, ones)
        return (counts / which.shape[1]).sqrt()


class Pyramid(nn.Module):
    """All levels. Level numbers count from 1; level 1 has the picture at the input's size."""

    def __init__(self, levels: Sequence[PatchLevelConfig], num_colours: int = 0) -> None:
        super().__init__()
        if not levels:
            raise SettingsError("0 levels; a network has at least 1")
        self.levels: list[PatchLevel] = nn.ModuleList(map(PatchLevel, levels))  # type: ignore[assignment]
        self.colours = Colours(num_colours, levels[0].in_channels) if num_colours else None

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

    def cell_centres(self, level: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where the rows and the columns of the level's maps lie, in pixels of the input."""
        first, own = self.configs[0], self.configs[level - 1]
        rows, columns = (np.arange(size) + own.kernel_size / 2 for size in own.map_shape)
        return rows * first.height / own.height - 0.5, columns * first.width / own.width - 0.5

    @property
    def device(self) -> torch.device:
        """Of the weights."""
        return self.levels[0].weight.device

    def scaled(self, inputs: Tensor, level: PatchLevel) -> Tensor:
        """The inputs (N, channels, H, W) at that level's scale."""
        size = (level.config.height, level.config.width)
        if inputs.shape[2:] == size:
            return inputs
        return nn.functional.interpolate(inputs, size, mode="bilinear", antialias=True, align_corners=False)

    def responses(self, inputs: Tensor) -> list[Tensor]:
        """The filter responses of each level (N, rows, columns, filters), of inputs in [0, 1]."""
        return [level.responses(self.scaled(inputs, level)) for level in self.levels]

    def forward(self, inputs: Tensor, *, level: int | None = None) -> Tensor:
        """The maps (N, maps, rows, columns) of a level, the last by default, of inputs in [0, 1]."""
        stage = self.levels[level_number(level, len(self.levels)) - 1]
        maps: Tensor = stage(self.scaled(inputs, stage))
        return maps

    def every_level(self, inputs: Tensor) -> list[Tensor]:
        """The maps of each level, the first level first."""
        return [self(inputs, level=number) for number in range(1, len(self.levels) + 1)]


_MAX_COLOURS = 2**14
# Means are taken over this grid first, and coarser ones from it.
_FINEST = 4


@dataclass(frozen=True)
class PoolingConfig:
    """What is read from each level's maps."""

    mean_grids: tuple[int, ...] = (1,)  # cells per side, each 1, 2 or 4: mean responses of the filters in each cell
    covariance_grids: tuple[int, ...] = (1,)  # cells per side: covariances of the maps in each cell
    mirror: bool = False  # average with the mirror image, without the values that this makes equal or zero
    odd_weight: float = 1.0  # of what changes its sign in the mirror image, above 0 to 1; not read with `mirror`
    num_colours: int = 0  # shares of so many colours are read of the picture, after the levels' parts

    def __post_init__(self) -> None:
        if not 0 < self.odd_weight <= 1:
            raise SettingsError(f"an odd weight of {self.odd_weight}; valid is above 0 to 1")
        if not 0 <= self.num_colours <= _MAX_COLOURS:
            raise SettingsError(f"{self.num_colours} colours; valid is 0 to {_MAX_COLOURS}")
        grids = (*self.mean_grids, *self.covariance_grids)
        if not grids or not set(grids) <= {1, 2, _FINEST}:
            raise SettingsError(f"{self}; valid is at least one grid, each of 1, 2 or {_FINEST} cells a side")

    @property
    def names(self) -> tuple[str, ...]:
        """Of the parts read from a level, in order."""
        means = (f"means {grid}x{grid}" for grid in self.mean_grids)
        return (*means, *(f"covariances {grid}x{grid}" for grid in self.covariance_grids))


def pooled(network: Pyramid, inputs: Tensor, config: PoolingConfig) -> list[Tensor]:
    """For each level of inputs (N, channels, H, W), the parts of `config.names`, then colours; (N, dim) each."""
    return pooled_from(network, inputs, network.responses(inputs), config)


def pooled_from(network: Pyramid, inputs: Tensor, responses: Sequence[Tensor], config: PoolingConfig) -> list[Tensor]:
    """`pooled` from the responses of each level."""
    levels = zip(network.levels, responses, strict=True)
    parts = [part for level, own in levels for part in _level_parts(level, own, config)]
    if config.num_colours:
        assert network.colours is not None
        parts.append(network.colours(inputs))
    return parts


def part_dims(network: Pyramid, config: PoolingConfig) -> list[int]:
    """The lengths of what `pooled` gives."""
    dims = []
    for level in network.configs:
        half, even = level.filters // 2, level.maps // 2
        num_means = half if config.mirror else 2 * half
        num_pairs = even * (even + 1) + (0 if config.mirror else even * even)
        dims += [grid * grid * num_means for grid in config.mean_grids]
        dims += [grid * grid * num_pairs for grid in config.covariance_grids]
    return [*dims, config.num_colours] if config.num_colours else dims


def of_mirror_image(means: Tensor, grid: int) -> Tensor:
    """The means of the mirror images, from means over a grid (N, cells * filters) as `pooled` gives them."""
    return means.view(means.shape[0], grid, grid, 2, -1).flip(2, 3).flatten(1)


def _level_parts(level: PatchLevel, responses: Tensor, config: PoolingConfig) -> list[Tensor]:
    parts = _grid_means(responses, config) if config.mean_grids else []
    if config.covariance_grids:
        halves = level.halves(responses)
        parts += [_covariances(level, halves, grid, config) for grid in config.covariance_grids]
    return parts


def _grid_means(responses: Tensor, config: PoolingConfig) -> list[Tensor]:
    """Square roots of the mean responses in each cell, (N, cells * filters) for each grid; with `mirror` half as many.

    With an odd weight w the difference to the mirror image is w times as large: ((1 + w) x + (1 - w) x') / 2.

    The square root makes counts of rare and frequent things comparable. Source: power normalisation, Perronnin,
    Sanchez, Mensink, "Improving the Fisher kernel", 2010.
    """
    num, rows, columns, filters = responses.shape
    cells = _cell_weights(rows, columns, responses.device).to(responses.dtype)
    finest = torch.matmul(cells, responses.flatten(1, 2)).float().view(num, _FINEST, _FINEST, filters)
    own = (1 + (0.0 if config.mirror else config.odd_weight)) / 2
    means = []
    for grid in config.mean_grids:
        inner = _FINEST // grid
        cell = finest.view(num, grid, inner, grid, inner, filters).mean(dim=(2, 4)).flatten(1).sqrt()
        if own < 1:
            cell = own * cell + (1 - own) * of_mirror_image(cell, grid)
        if config.mirror:
            cell = cell.view(num, grid * grid, filters)[:, :, : filters // 2].flatten(1)
        means.append(cell)
    return means


@cache
def _cell_weights(rows: int, columns: int, device: torch.device) -> Tensor:
    """(16, rows * columns): the mean over each of 4x4 equal cells; a row on a border is shared in proportion."""
    vertical, horizontal = _shares(rows, device), _shares(columns, device)
    return torch.einsum("ah,bw->abhw", vertical, horizontal).reshape(_FINEST**2, rows * columns)


def _shares(length: int, device: torch.device) -> Tensor:
    starts = torch.arange(_FINEST, device=device)[:, None] * length / _FINEST
    cells = torch.arange(length, device=device)[None]
    overlap = (torch.minimum(starts + length / _FINEST, cells + 1) - torch.maximum(starts, cells)).clamp_min(0)
    shares: Tensor = overlap / overlap.sum(dim=1, keepdim=True)
    return shares


def _covariances(level: PatchLevel, halves: tuple[Tensor, Tensor], grid: int, config: PoolingConfig) -> Tensor:
    """Second moments of all pairs of maps in each cell, with signed square root: (N, cells * pairs).

    Over the footage the maps are uncorrelated; a frame is characterised by how it departs from that. With `mirror`
    those of an even and an odd map are left out: in the mirror image they have the other sign.

    Source: second-order pooling, Carreira, Caseiro, Batista, Sminchisescu, ECCV 2012.
    """
    rows, columns = halves[0].shape[1:3]
    cells = []
    with torch.autocast(halves[0].device.type, enabled=False):
        for i in range(grid):
            for j in range(grid):
                top, bottom = rows * i // grid, rows * (i + 1) // grid
                left, right = columns * j // grid, columns * (j + 1) // grid
                even, odd = (half[:, top:bottom, left:right].flatten(1, 2) for half in halves)
                moments = _second_moments(level, even, odd, config)
                cells.append(moments.sign() * moments.abs().sqrt())
    return torch.cat(cells, dim=1)


def _second_moments(level: PatchLevel, even: Tensor, odd: Tensor, config: PoolingConfig) -> Tensor:
    """Of the maps in a cell, (N, pairs), from x+ and x- there, (N, positions, filters / 2) each."""
    halves = _HalfMaps(even, level.mix_even, level.shift), _HalfMaps(odd, level.mix_odd, torch.zeros(()))
    moments = [_upper_triangle(_moments_of(half, half)) for half in halves]
    if not config.mirror:
        moments.append(config.odd_weight**2 * _moments_of(*halves).flatten(1))  # a square root is taken
    return torch.cat(moments, dim=1)


class _HalfMaps:
    """The even or the odd maps y = A' x + b, by x, A and b."""

    def __init__(self, values: Tensor, mix: Tensor, shift: Tensor) -> None:
        self.values = values  # x, (N, positions, dim)
        self.mix = mix  # A, (dim, maps)
        self.mean = values.mean(dim=1)  # (N, dim)
        self.map_mean = self.mean @ mix + shift  # (N, maps)


def _moments_of(one: _HalfMaps, other: _HalfMaps) -> Tensor:
    """Second moments (N, maps, maps) of maps y = A' x + b, without making the maps: A' Cov(x) A + mean(y) mean(y)'."""
    products = one.values.transpose(1, 2) @ other.values / one.values.shape[1]
    covariances = products - one.mean[:, :, None] * other.mean[:, None]
    return one.mix.T @ covariances @ other.mix + one.map_mean[:, :, None] * other.map_mean[:, None]


def _upper_triangle(moments: Tensor) -> Tensor:
    first, second = _pairs(moments.shape[1], moments.device)
    return moments[:, first, second]


@cache
def _pairs(num: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The rows and the columns of an upper triangle."""
    first, second = torch.triu_indices(num, num, device=device)
    return first, second
