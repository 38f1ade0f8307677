"""The read-out: from a network's maps to one embedding a frame."""

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from firstsight.errors import SettingsError
from firstsight.model.network import Network
from firstsight.model.patch_level import PatchLevel
from firstsight.model.pyramid import Pyramid

_AT_THE_MEAN = 1e-9
# Means are taken over this grid first, and coarser ones from it.
_FINEST = 4


@dataclass(frozen=True)
class PoolingConfig:
    """What is read from each level's maps."""

    mean_grids: tuple[int, ...] = (1,)  # cells per side, each 1, 2 or 4: mean responses of the filters in each cell
    covariance_grids: tuple[int, ...] = (1,)  # cells per side: covariances of the maps in each cell
    mirror: bool = False  # average with what is read from the mirror image

    @property
    def names(self) -> tuple[str, ...]:
        """Of the parts read from a level, in order."""
        means = (f"means {grid}x{grid}" for grid in self.mean_grids)
        return (*means, *(f"covariances {grid}x{grid}" for grid in self.covariance_grids))


def pooled(network: Pyramid, inputs: Tensor, config: PoolingConfig) -> list[Tensor]:
    """What is read from the inputs (N, channels, H, W): for each level, the parts of `config.names`, (N, dim) each."""
    parts = _parts(network, inputs, config)
    if config.mirror:
        mirrored = _parts(network, inputs.flip(-1), config)
        parts = [(part + other) / 2 for part, other in zip(parts, mirrored, strict=True)]
    return parts


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


class Flattened:
    """The article's read-out: the last level's maps, flattened."""

    def __call__(self, network: Network | Pyramid, inputs: Tensor) -> Tensor:
        """(N, maps * rows * columns) of inputs (N, channels, H, W)."""
        maps: Tensor = network(inputs)
        return maps.flatten(1)


class Pooled(nn.Module):
    """The closed-form read-out: means and covariances over cells of every level, projected."""

    def __init__(self, config: PoolingConfig, projection: Projection) -> None:
        super().__init__()
        self.config = config
        self.projection = projection

    def forward(self, network: Network | Pyramid, inputs: Tensor) -> Tensor:
        """(N, dim) of inputs (N, channels, H, W)."""
        if not isinstance(network, Pyramid):
            raise SettingsError("this read-out needs a pyramid of levels; make both by one call of `learn`")
        projected: Tensor = self.projection(pooled(network, inputs, self.config))
        return projected


def _parts(network: Pyramid, inputs: Tensor, config: PoolingConfig) -> list[Tensor]:
    return [part for level in network.levels for part in _level_parts(level, network.scaled(inputs, level), config)]


def _level_parts(level: PatchLevel, pictures: Tensor, config: PoolingConfig) -> list[Tensor]:
    responses = level.responses(pictures)
    parts = _grid_means(responses, config.mean_grids) if config.mean_grids else []
    if config.covariance_grids:
        maps = level.maps_of(responses)
        parts += [_covariances(maps, grid) for grid in config.covariance_grids]
    return parts


def _grid_means(responses: Tensor, grids: tuple[int, ...]) -> list[Tensor]:
    """Square roots of the mean responses in each cell, (N, cells * filters) for each grid.

    The square root makes counts of rare and frequent things comparable. Source: power normalisation, Perronnin,
    Sanchez, Mensink, "Improving the Fisher kernel", 2010.
    """
    num, rows, columns, filters = responses.shape
    cells = _cell_weights(rows, columns, responses.device).to(responses.dtype)
    finest = torch.matmul(cells, responses.flatten(1, 2)).float().view(num, _FINEST, _FINEST, filters)
    means = []
    for grid in grids:
        inner = _FINEST // grid
        cell = finest.view(num, grid, inner, grid, inner, filters).mean(dim=(2, 4))
        means.append(cell.flatten(1).sqrt())
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


def _covariances(maps: Tensor, grid: int) -> Tensor:
    """Second moments of all pairs of maps in each cell, with signed square root: (N, cells * maps (maps + 1) / 2).

    Over the footage the maps are uncorrelated; what this frame departs from that is what tells it from others.
    Source: second-order pooling, Carreira, Caseiro, Batista, Sminchisescu, ECCV 2012.
    """
    num, rows, columns, num_maps = maps.shape
    first, second = torch.triu_indices(num_maps, num_maps, device=maps.device)
    cells = []
    with torch.autocast(maps.device.type, enabled=False):
        for i in range(grid):
            for j in range(grid):
                cell = maps[
                    :, rows * i // grid : rows * (i + 1) // grid, columns * j // grid : columns * (j + 1) // grid
                ]
                flat = cell.reshape(num, -1, num_maps)
                moments = (flat.transpose(1, 2) @ flat / flat.shape[1])[:, first, second]
                cells.append(moments.sign() * moments.abs().sqrt())
    return torch.cat(cells, dim=1)
