"""The closed-form encoder: the whole frame, levels side by side, and a projection of what is read from all of them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from firstsight import device as devices
from firstsight.closed_form.pyramid import PatchLevel, PatchLevelConfig, Pyramid
from firstsight.encoder.encoder import MapShape
from firstsight.encoder.saved import check_input_size, check_num_weights, fill
from firstsight.encoder.views import WholeFrame
from firstsight.errors import SettingsError
from firstsight.from_json import from_json
from firstsight.process import Precision

_AT_THE_MEAN = 1e-9
# Means are taken over this grid first, and coarser ones from it.
_FINEST = 4


@dataclass(frozen=True)
class PoolingConfig:
    """What is read from each level's maps."""

    mean_grids: tuple[int, ...] = (1,)  # cells per side, each 1, 2 or 4: mean responses of the filters in each cell
    covariance_grids: tuple[int, ...] = (1,)  # cells per side: covariances of the maps in each cell
    mirror: bool = False  # average with what would be read from the mirror image, leaving out what that makes double

    def __post_init__(self) -> None:
        grids = (*self.mean_grids, *self.covariance_grids)
        if not grids or not set(grids) <= {1, 2, _FINEST}:
            raise SettingsError(f"{self}; valid is at least one grid, each of 1, 2 or {_FINEST} cells a side")

    @property
    def names(self) -> tuple[str, ...]:
        """Of the parts read from a level, in order."""
        means = (f"means {grid}x{grid}" for grid in self.mean_grids)
        return (*means, *(f"covariances {grid}x{grid}" for grid in self.covariance_grids))


def pooled(network: Pyramid, inputs: Tensor, config: PoolingConfig) -> list[Tensor]:
    """What is read from the inputs (N, channels, H, W): for each level, the parts of `config.names`, (N, dim) each."""
    return [part for level in network.levels for part in _level_parts(level, network.scaled(inputs, level), config)]


def part_dims(network: Pyramid, config: PoolingConfig) -> list[int]:
    """The lengths of what `pooled` gives."""
    dims = []
    for level in network.configs:
        half, even = level.filters // 2, level.maps // 2
        num_means = half if config.mirror else 2 * half
        num_pairs = even * (even + 1) + (0 if config.mirror else even * even)
        dims += [grid * grid * num_means for grid in config.mean_grids]
        dims += [grid * grid * num_pairs for grid in config.covariance_grids]
    return dims


def of_mirror_image(means: Tensor, grid: int) -> Tensor:
    """What the mirror images would have given, of means over a grid (N, cells * filters) as `pooled` gives them."""
    return means.view(len(means), grid, grid, 2, -1).flip(2, 3).flatten(1)


class Projection(nn.Module):
    """Removes the mean and projects: whitening, invariances and choice of dimensions are all in one matrix.

    The matrix is kept in 8 bits, which costs about 0.1 point of accuracy and makes the saved model four times smaller:
    entry (i, j) is `quantised[i, j] * step[j] * scale[i]`.
    """

    mean: Tensor  # (in_dim,)
    scale: Tensor  # (in_dim,), 1 / standard deviation
    quantised: Tensor  # (in_dim, dim), int8
    step: Tensor  # (dim,)

    def __init__(self, in_dim: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(in_dim))
        self.register_buffer("scale", torch.zeros(in_dim))
        self.register_buffer("quantised", torch.zeros(in_dim, dim, dtype=torch.int8))
        self.register_buffer("step", torch.zeros(dim))

    @classmethod
    def of(cls, matrix: Tensor, *, mean: Tensor, deviation: Tensor) -> "Projection":
        """The projection (features - mean) @ matrix, for features of that standard deviation each."""
        projection = cls(*matrix.shape)
        deviation = deviation.clamp_min(1e-9)
        even = matrix * deviation[:, None]  # entries that matter alike, so that one step a column suits all
        step = even.abs().amax(dim=0).clamp_min(1e-30) / torch.iinfo(torch.int8).max
        projection.mean[:], projection.scale[:], projection.step[:] = mean, 1 / deviation, step
        projection.quantised[:] = (even / step).round().to(torch.int8)
        return projection

    @property
    def dim(self) -> int:
        """Numbers in an embedding."""
        return len(self.step)

    def forward(self, parts: list[Tensor]) -> Tensor:
        """Projections (N, dim), not of unit length. A row exactly at the mean becomes the first axis, not zero."""
        with torch.autocast(self.mean.device.type, enabled=False):
            features = (torch.cat([part.float() for part in parts], dim=1) - self.mean) * self.scale
            projected = (features @ self.quantised.float()) * self.step
        projected[projected.norm(dim=1) < _AT_THE_MEAN, 0] = 1
        return projected


def _level_parts(level: PatchLevel, pictures: Tensor, config: PoolingConfig) -> list[Tensor]:
    responses = level.responses(pictures)
    parts = _grid_means(responses, config.mean_grids, mirror=config.mirror) if config.mean_grids else []
    if config.covariance_grids:
        halves = level.halves(responses)
        parts += [_covariances(level, halves, grid, mirror=config.mirror) for grid in config.covariance_grids]
    return parts


def _grid_means(responses: Tensor, grids: tuple[int, ...], *, mirror: bool) -> list[Tensor]:
    """Square roots of the mean responses in each cell, (N, cells * filters) for each grid; with `mirror` half as many.

    The square root makes counts of rare and frequent things comparable. Source: power normalisation, Perronnin,
    Sanchez, Mensink, "Improving the Fisher kernel", 2010.
    """
    num, rows, columns, filters = responses.shape
    cells = _cell_weights(rows, columns, responses.device).to(responses.dtype)
    finest = torch.matmul(cells, responses.flatten(1, 2)).float().view(num, _FINEST, _FINEST, filters)
    means = []
    for grid in grids:
        inner = _FINEST // grid
        cell = finest.view(num, grid, inner, grid, inner, filters).mean(dim=(2, 4)).flatten(1).sqrt()
        if mirror:
            both = (cell + of_mirror_image(cell, grid)) / 2
            cell = both.view(num, grid * grid, filters)[:, :, : filters // 2].flatten(1)
        means.append(cell)
    return means


@cache
def _cell_weights(rows: int, columns: int, device: torch.device) -> Tensor:
    """(16, rows * columns): the mean over each of 4x4 equal cells; a row on a border is shared in proportion."""
    vertical, horizontal = _shares(rows, device), _shares(columns, device)
    return torch.einsum("ah,bw->abhw", vertical, horizontal).reshape(_FINEST**2, rows * columns)


def _shares(length: int, device: torch.device) -> Tensor:
    starts = torch.arange(_FINEST, device=device)[:, None] * length / _FINEST
    places = torch.arange(length, device=device)[None]
    overlap = (torch.minimum(starts + length / _FINEST, places + 1) - torch.maximum(starts, places)).clamp_min(0)
    shares: Tensor = overlap / overlap.sum(dim=1, keepdim=True)
    return shares


def _covariances(level: PatchLevel, halves: tuple[Tensor, Tensor], grid: int, *, mirror: bool) -> Tensor:
    """Second moments of all pairs of maps in each cell, with signed square root: (N, cells * pairs).

    Over the footage the maps are uncorrelated; what this frame departs from that is what tells it from others. With
    `mirror` those of an even and an odd map are left out: in the mirror image they have the other sign.

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
                moments = _second_moments(level, even, odd, mirror=mirror)
                cells.append(moments.sign() * moments.abs().sqrt())
    return torch.cat(cells, dim=1)


def _second_moments(level: PatchLevel, even: Tensor, odd: Tensor, *, mirror: bool) -> Tensor:
    """Of the maps in a cell, (N, pairs), from what they are made of, (N, places, filters / 2) each."""
    sides = _Side(even, level.mix_even, level.shift), _Side(odd, level.mix_odd, torch.zeros(()))
    moments = [_upper_triangle(_moments_of(side, side)) for side in sides]
    if not mirror:
        moments.append(_moments_of(*sides).flatten(1))
    return torch.cat(moments, dim=1)


class _Side:
    """What the even or the odd maps are made of, and their means."""

    def __init__(self, values: Tensor, mix: Tensor, shift: Tensor) -> None:
        self.values = values  # (N, places, dim)
        self.mix = mix  # (dim, maps)
        self.mean = values.mean(dim=1)  # (N, dim)
        self.map_mean = self.mean @ mix + shift  # (N, maps)


def _moments_of(one: _Side, other: _Side) -> Tensor:
    """Second moments (N, maps, maps) of maps y = A' x + b, without making the maps: A' Cov(x) A + mean(y) mean(y)'."""
    products = one.values.transpose(1, 2) @ other.values / one.values.shape[1]
    covariances = products - one.mean[:, :, None] * other.mean[:, None]
    return one.mix.T @ covariances @ other.mix + one.map_mean[:, :, None] * other.map_mean[:, None]


def _upper_triangle(moments: Tensor) -> Tensor:
    first, second = torch.triu_indices(*moments.shape[1:], device=moments.device)
    return moments[:, first, second]


# 80 times what the network looks at; more is a damaged file that takes all memory.
_MAX_INPUT_PIXELS = 2**18
_PROJECTION = "readout.projection."


@dataclass(frozen=True, eq=False)
class ClosedFormModel:
    """A `Model` of the default method: means and covariances over cells of every level, projected."""

    view: WholeFrame
    network: Pyramid
    pooling: PoolingConfig
    projection: Projection
    compared_level: int | None = None
    compared_dims: int | None = None
    maps_are_centred: bool = True

    def __post_init__(self) -> None:
        self.network.eval()

    @property
    def shapes(self) -> tuple[MapShape, ...]:
        """Of each level."""
        return tuple(MapShape(config.maps, *config.map_shape) for config in self.network.configs)

    @property
    def dim(self) -> int:
        """Numbers in an embedding."""
        return self.projection.dim

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.network.device

    @property
    def precision(self) -> Precision:
        """bfloat16 where the processor has it: retrieval is the same, and it is faster."""
        return "bfloat16" if devices.has_fast_bfloat16(self.device) else "float32"

    def embed(self, inputs: Tensor) -> Tensor:
        """Embeddings (N, dim), not of unit length, of inputs (N, channels, h, w) in [0, 1]."""
        projected: Tensor = self.projection(pooled(self.network, inputs, self.pooling))
        return projected

    def maps(self, inputs: Tensor, level: int) -> Tensor:
        """The maps of one level (N, maps, rows, columns)."""
        maps: Tensor = self.network(inputs, level=level)
        return maps

    def every_level(self, inputs: Tensor) -> list[Tensor]:
        """The maps of each level."""
        return self.network.every_level(inputs)

    def filters(self, level: int) -> NDArray[np.float32]:
        """The level's filters (out, in, k, k)."""
        own = self.network.levels[level - 1]
        size = own.config.kernel_size
        return own.weight.T.reshape(-1, own.config.in_channels, size, size).cpu().numpy()

    def cell_centres(self, level: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where the rows and the columns of the level's maps lie, in pixels of the network's input."""
        return self.network.cell_centres(level)

    def initial(self, *, seed: int) -> None:
        """None: this method starts from nothing."""

    def to(self, device: torch.device) -> None:
        """Moves the weights."""
        self.network.to(device)
        self.projection.to(device)

    def config(self) -> dict[str, Any]:
        """Everything but the weights, as plain JSON values."""
        return {
            "preprocessing": asdict(self.view),
            "levels": [asdict(level) for level in self.network.configs],
            "pooling": asdict(self.pooling),
        }

    def tensors(self) -> Mapping[str, Tensor]:
        """The weights, by name."""
        projection = {_PROJECTION + name: tensor for name, tensor in self.projection.state_dict().items()}
        return {**self.network.state_dict(), **projection}


def from_saved(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> ClosedFormModel:
    """What `config` and `tensors` gave.

    Raises:
        SettingsError, KeyError, RuntimeError: they do not fit each other.
    """
    view = from_json(WholeFrame, config["preprocessing"], name="preprocessing")
    levels = from_json(tuple[PatchLevelConfig, ...], config["levels"], name="levels")
    pooling = from_json(PoolingConfig, config["pooling"], name="pooling")
    for level in levels:
        check_input_size(max(view.width, level.width), max(view.height, level.height), most=_MAX_INPUT_PIXELS)
        if level.in_channels != view.channels:
            raise SettingsError(f"a level reads {level.in_channels} channels of {view.channels}")
        if min(level.map_shape) < max((*pooling.mean_grids, *pooling.covariance_grids)):
            raise SettingsError(f"maps of {level.map_shape} cells are too small for {pooling}")
    check_num_weights(sum(level.filters * level.patch_dim for level in levels), tensors)
    network = Pyramid(levels)
    fill(network, {name: tensor for name, tensor in tensors.items() if not name.startswith(_PROJECTION)})
    projection = Projection(*tensors[f"{_PROJECTION}quantised"].shape)
    fill(projection, tensors, prefix=_PROJECTION)
    if sum(part_dims(network, pooling)) != len(projection.mean):
        raise SettingsError(f"what {pooling} reads is not what the read-out's projection takes")
    return ClosedFormModel(view, network, pooling, projection)
