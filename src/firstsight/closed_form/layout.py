"""What a frame shows where: cells of a colour and of a grey network.

A frame is described by about 96 cells. A cell is the square root of the mean responses of both levels there, fully
whitened over the footage, at unit length, once by the colour network and once by a grey one, which light changes less.
Where two frames agree: `agreement.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from firstsight.closed_form.agreement import LayoutConfig
from firstsight.closed_form.projection import principal
from firstsight.closed_form.pyramid import PatchLevelConfig, Pyramid

_STEPS = 7  # a number of a cell is kept as one of -7 to 7: four bits
_CLIP = 2.5  # standard deviations that 7 stands for
_MAX_CELLS = 60_000  # that directions are fitted to
_LUMA = (0.299, 0.587, 0.114)  # Rec. 601
_LEAST = 1e-9
NUM_CANDIDATES = 20
_LEADING = 16  # numbers of a cell, of which windows take the second moments
_COLOUR_SHARE = 2 / 3  # of the colour network's cells in how alike two windows are: a red car is not a black one


@dataclass(frozen=True)
class Layouts:
    """The descriptions of N frames."""

    cells: Tensor  # int8 (N, 2, rows, columns, dim), -7 to 7: by the colour network and by the grey one
    in_place: Tensor  # float32 (N, dim), unit length: what is where; its cosine proposes candidates

    def __len__(self) -> int:
        return len(self.cells)

    @classmethod
    def joined(cls, parts: Sequence["Layouts"]) -> "Layouts":
        """Several, at least one, one after the other."""
        return cls(torch.cat([part.cells for part in parts]), torch.cat([part.in_place for part in parts]))

    def __getitem__(self, chosen: Tensor | slice) -> "Layouts":
        return Layouts(self.cells[chosen], self.in_place[chosen])


class Layout(nn.Module):
    """Describes frames by their cells."""

    centre: Tensor  # (2, in_dim), mean of the two networks' cells
    matrix: Tensor  # (2, in_dim, dim), which scales the levels alike and whitens
    coarse_centre: Tensor  # (levels, coarse rows, coarse columns, filters)
    coarse_matrix: Tensor  # (levels, filters, in_place_dim)

    def __init__(self, config: LayoutConfig, levels: Sequence[PatchLevelConfig]) -> None:
        super().__init__()
        self.config = config
        self.grey = Pyramid(levels)
        in_dim, filters = sum(level.filters for level in levels), levels[0].filters
        self.register_buffer("centre", torch.zeros(2, in_dim))
        self.register_buffer("matrix", torch.zeros(2, in_dim, config.dim))
        self.register_buffer("coarse_centre", torch.zeros(len(levels), *config.coarse, filters))
        self.register_buffer("coarse_matrix", torch.zeros(len(levels), filters, config.in_place_dim))

    def read(self, colour: Sequence[Tensor], inputs: Tensor) -> Layouts:
        """The descriptions of inputs (N, channels, H, W) in [0, 1], given the colour network's responses to them."""
        return self.read_cells(self.cell_means(colour, inputs))

    def read_cells(self, both: Sequence[Sequence[Tensor]]) -> Layouts:
        """The descriptions, given the `cell_means`."""
        cells = torch.stack([self._cells(each, number) for number, each in enumerate(both)], dim=1)
        return Layouts(cells, self._in_place(both[1]))

    def fit(self, both: Sequence[Sequence[Tensor]]) -> None:
        """Takes means and directions from the `cell_means` of some frames."""
        for number, levels in enumerate(both):
            self._fit_cells(levels, number)
        self._fit_in_place(both[1])

    @property
    def spread(self) -> Tensor:
        """The square root of the standard deviation of each number before it was whitened, (2, dim), up to a factor."""
        lengths = self.matrix.norm(dim=1)
        return torch.where(lengths > 0, lengths.clamp_min(_LEAST).rsqrt(), 0.0)

    def cell_means(self, colour: Sequence[Tensor], inputs: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Of both networks and each of their levels the square roots of the mean responses in each cell.

        Args:
            colour: responses of the colour network, (N, rows, columns, filters) of each level.
            inputs: in [0, 1], (N, channels, H, W).

        Returns:
            float32 (N, rows of cells, columns of cells, filters) each.
        """
        grid = (self.config.rows, self.config.columns)
        grey = self.grey.responses(to_grey(inputs))
        return [_over_cells(level, grid) for level in colour], [_over_cells(level, grid) for level in grey]

    def _cells(self, levels: Sequence[Tensor], number: int) -> Tensor:
        whitened = (torch.cat(list(levels), dim=-1) - self.centre[number]) @ self.matrix[number]
        step = _CLIP / self.config.dim**0.5 / _STEPS
        steps: Tensor = (_unit(whitened) / step).round().clamp(-_STEPS, _STEPS).to(torch.int8)
        return steps

    def _in_place(self, levels: Sequence[Tensor]) -> Tensor:
        parts = []
        for level, centre, matrix in zip(levels, self.coarse_centre, self.coarse_matrix, strict=True):
            parts.append(_unit(((self._coarse(level) - centre) @ matrix).float()).flatten(1))
        return _unit(torch.cat(parts, dim=1))

    def _coarse(self, level: Tensor) -> Tensor:
        """The square roots of mean responses over coarser cells, from those over cells."""
        means: Tensor = nn.functional.adaptive_avg_pool2d(level.square().permute(0, 3, 1, 2), self.config.coarse)
        return means.permute(0, 2, 3, 1).sqrt()

    def _fit_cells(self, levels: Sequence[Tensor], number: int) -> None:
        centres = [level.mean(dim=(0, 1, 2)) for level in levels]
        scales = [
            (level - centre).square().sum(dim=-1).mean().clamp_min(_LEAST).rsqrt().expand(level.shape[-1])
            for level, centre in zip(levels, centres, strict=True)
        ]
        centre, scale = torch.cat(centres), torch.cat(scales)
        rows = ((torch.cat(list(levels), dim=-1) - centre) * scale).flatten(0, 2)
        variances, directions = principal(rows[:: max(1, len(rows) // _MAX_CELLS)], self.config.dim)
        self.centre[number] = centre
        self.matrix[number, :, : len(variances)] = scale[:, None] * directions / variances.sqrt()

    def _fit_in_place(self, levels: Sequence[Tensor]) -> None:
        for number, level in enumerate(levels):
            coarse = self._coarse(level)
            centre = coarse.mean(dim=0)
            variances, directions = principal((coarse - centre).flatten(0, 2), self.config.in_place_dim)
            self.coarse_centre[number] = centre
            self.coarse_matrix[number, :, : len(variances)] = directions / variances.pow(0.25)


def to_grey(inputs: Tensor) -> Tensor:
    """One channel (N, 1, H, W) of inputs (N, 3 or 1, H, W) in [0, 1]."""
    if inputs.shape[1] == 1:
        return inputs
    luma = torch.tensor(_LUMA, device=inputs.device).view(1, 3, 1, 1)
    return (inputs * luma).sum(dim=1, keepdim=True)


def _over_cells(responses: Tensor, grid: tuple[int, int]) -> Tensor:
    means = nn.functional.adaptive_avg_pool2d(responses.permute(0, 3, 1, 2), grid).permute(0, 2, 3, 1)
    return means.float().clamp_min(0).sqrt()


def window_descriptors(cells: Tensor, spread: Tensor, vertical: Tensor, horizontal: Tensor) -> Tensor:
    """What lies in A x B windows of N frames, wherever in the window it is: (N, A * B, D), each of length 1 or 0.

    Of each network the mean cell, half whitened, and the second moments of the leading numbers of the fully whitened
    cells; each at unit length, all side by side. Cells cut by a window's border count in proportion.

    Args:
        cells: int8 (N, 2, rows, columns, dim).
        spread: (2, dim), by `Layout.spread`.
        vertical: (A, rows), the share of each row of cells in a window; each row sums to 1.
        horizontal: (B, columns), likewise.

    Source: second-order pooling, Carreira, Caseiro, Batista, Sminchisescu, 2012.
    """
    parts = []
    for values in _window_parts(cells, spread):
        unit = _unit(_over_windows(values, vertical, horizontal)) * _shares_of_networks().sqrt()
        parts.append(unit.permute(0, 2, 3, 1, 4).flatten(3))
    return torch.cat(parts, dim=-1).flatten(1, 2)


def window_similarities(cells: Tensor, spread: Tensor, regions: Tensor, vertical: Tensor, horizontal: Tensor) -> Tensor:
    """The cosines (N, A * B, R) of `window_descriptors` with others (R, D): products first, means over windows then."""
    total, start = torch.zeros(()), 0
    for values in _window_parts(cells, spread):
        num, nets, dim = len(values), values.shape[1], values.shape[-1]
        those = regions[:, start : start + nets * dim].view(len(regions), nets, dim).permute(1, 2, 0)
        start += nets * dim
        lengths = _over_windows(values, vertical, horizontal).norm(dim=-1, keepdim=True).clamp_min(_LEAST)
        products = (values.flatten(2, 3) @ those).view(num, nets, *values.shape[2:4], len(regions))
        along = _over_windows(products, vertical, horizontal) / lengths * _shares_of_networks().sqrt()
        total = total + along.sum(dim=1)
    return total.flatten(1, 2)


def _window_parts(cells: Tensor, spread: Tensor) -> list[Tensor]:
    """What windows take means of, (N, 2, rows, columns, numbers) each: half-whitened cells, and products of pairs."""
    numbers = cells.float()
    leading = numbers[..., :_LEADING] / numbers.norm(dim=-1, keepdim=True).clamp_min(_LEAST)
    pairs = (leading[..., :, None] * leading[..., None, :]).flatten(-2)
    half = numbers * spread[:, None, None]
    return [half / half.norm(dim=-1, keepdim=True).clamp_min(_LEAST), pairs]


def _over_windows(values: Tensor, vertical: Tensor, horizontal: Tensor) -> Tensor:
    """Means (N, 2, A, B, numbers) of values of cells (N, 2, rows, columns, numbers)."""
    num, nets, rows, columns, dim = values.shape
    by_row = (vertical @ values.reshape(num * nets, rows, columns * dim)).view(-1, columns, dim)
    return (horizontal @ by_row).view(num, nets, len(vertical), len(horizontal), dim)


def _shares_of_networks() -> Tensor:
    """Of each network in one part of a similarity, (2, 1, 1, 1)."""
    return torch.tensor([_COLOUR_SHARE, 1 - _COLOUR_SHARE]).view(2, 1, 1, 1) / 2


def _unit(rows: Tensor) -> Tensor:
    unit: Tensor = nn.functional.normalize(rows, dim=-1, eps=_LEAST)
    return unit


def candidates(similarities: Tensor, in_place: Tensor, num: int) -> Tensor:
    """The numbers (Q, num) of the references taken in turn, without repeats, from the best of two lists (Q, R)."""
    num = min(num, similarities.shape[1])
    keys = torch.full_like(similarities, 4.0 * num)
    for turn, scores in enumerate((similarities, in_place)):
        best = scores.topk(num, dim=1).indices
        ranks = (2.0 * torch.arange(num) + turn).expand_as(best)
        keys.scatter_reduce_(1, best, ranks, "amin")
    return keys.topk(num, dim=1, largest=False).indices
