"""Dense optical flow: where each part of a picture moved, by polynomial expansion.

The neighbourhood of each pixel is fitted by a quadratic polynomial, f(x) = x'Ax + b'x + c. A displacement d changes b
by -2Ad, so d follows from the two polynomials, averaged over a window so that noise and the aperture problem weigh
less; from coarse to fine, so that large displacements are found.

Source: Farneback, "Two-frame motion estimation based on polynomial expansion", SCIA 2003; equations are numbered as
there.
"""

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

# Half a neighbourhood and the width of its Gaussian weights, in pixels.
_RADIUS, _SIGMA = 5, 1.1
# Pixels a side of the window that displacements are averaged over.
_WINDOW = 13
# Rounds at each level, the finest first: at the coarsest the first estimate is far off.
_ROUNDS = (1, 1, 2)
# Pixels between those that are compared at each level: at the finest one every second pixel of every second row.
_SPACING = (2, 1, 1)
# Keeps a window without any structure at rest; of squares of grey levels.
_FLATNESS = 1e-3

# Of each level, the finest first: (N, 5, h, w), the coefficients b_x, b_y, a_xx, a_yy and a_xy of the pixels compared.
Expansion = list[Tensor]


def expand(pictures: Tensor) -> Expansion:
    """The polynomial expansion of pictures on three levels, each half as large as the one before.

    Args:
        pictures: float32 (N, H, W), grey levels.
    """
    levels = [pictures[:, None]]
    while len(levels) < len(_ROUNDS):
        levels.append(_halved(levels[-1]))
    return [polynomials(level, spacing) for level, spacing in zip(levels, _SPACING, strict=True)]


def polynomials(pictures: Tensor, spacing: int = 1) -> Tensor:
    """For each pixel, the weighted least-squares fit of c + b_x x + b_y y + a_xx x^2 + a_yy y^2 + a_xy xy around it.

    Outside the picture its border is repeated.

    Args:
        pictures: float32 (N, 1, H, W).
        spacing: every so many-th pixel of every so many-th row.

    Returns:
        float32 (N, 5, H / spacing, W / spacing), rounded up: b_x, b_y, a_xx, a_yy, a_xy.

    *Source:* section 3; the weights are separable, and so are the six products with the basis.
    """
    vertical, horizontal = _fit_filters()
    # Of a single channel a product with a matrix is faster than a convolution.
    down = torch.cat([_sliding(pictures.shape[2], weights, spacing) for weights in vertical])
    rows = (down @ pictures[:, 0]).view(len(pictures), len(vertical), -1, pictures.shape[3])
    padded = functional.pad(rows, (_RADIUS, _RADIUS, 0, 0), mode="replicate")
    return functional.conv2d(padded, horizontal, stride=(1, spacing))


def optical_flow(before: Expansion, after: Expansion) -> Tensor:
    """How far what is in the later picture moved since the earlier one.

    Args:
        before: of N earlier pictures, by `expand`.
        after: of N later ones, of the same size.

    Returns:
        float32 (N, 2, H / 2, W / 2), rounded up: displacements (x, y) in pixels of the picture, positive to the right
        and downwards, of every second pixel of every second row.
    """
    flow = torch.zeros(len(before[-1]), 2, *before[-1].shape[-2:])
    for late, early, rounds, spacing in reversed(list(zip(after, before, _ROUNDS, _SPACING, strict=True))):
        flow = _resized(flow, late.shape[-2:]) * spacing
        for _ in range(rounds):
            flow = _improved(late, early, flow, spacing)
    return -flow


def _improved(first: Tensor, second: Tensor, flow: Tensor, spacing: int) -> Tensor:
    """The displacement from the first to the second, from a first estimate of it: equations 8 to 12, 15 and 16."""
    steps = (flow / spacing).round()  # between pixels nothing is interpolated: the polynomials hold there
    there, inside = _displaced(second, steps, instead=first)
    flow = steps * spacing
    a_xx, a_yy = (first[:, 2] + there[:, 2]) / 2, (first[:, 3] + there[:, 3]) / 2
    a_xy = (first[:, 4] + there[:, 4]) / 4  # off the diagonal of A stands half of the coefficient
    b_x = (first[:, 0] - there[:, 0]) / 2 * inside + a_xx * flow[:, 0] + a_xy * flow[:, 1]
    b_y = (first[:, 1] - there[:, 1]) / 2 * inside + a_xy * flow[:, 0] + a_yy * flow[:, 1]
    products = (
        a_xx * a_xx + a_xy * a_xy,
        a_yy * a_yy + a_xy * a_xy,
        a_xy * (a_xx + a_yy),
        a_xx * b_x + a_xy * b_y,
        a_xy * b_x + a_yy * b_y,
    )
    g_xx, g_yy, g_xy, h_x, h_y = _windowed(torch.stack(products, dim=1), _WINDOW // spacing | 1).unbind(dim=1)
    determinant = g_xx * g_yy - g_xy * g_xy + _FLATNESS
    return torch.stack([g_yy * h_x - g_xy * h_y, g_xx * h_y - g_xy * h_x], dim=1) / determinant[:, None]


def _displaced(second: Tensor, flow: Tensor, *, instead: Tensor) -> tuple[Tensor, Tensor]:
    """The second's coefficients so many pixels further, and whether that is inside: (N, H, W), 0 or 1."""
    rows, columns = second.shape[-2:]
    x = torch.arange(columns, dtype=flow.dtype)[None, None] + flow[:, 0]
    y = torch.arange(rows, dtype=flow.dtype)[None, :, None] + flow[:, 1]
    inside = (x >= 0) & (x <= columns - 1) & (y >= 0) & (y <= rows - 1)
    grid = torch.stack([(x + 0.5) * 2 / columns - 1, (y + 0.5) * 2 / rows - 1], dim=-1)
    there = functional.grid_sample(second, grid, mode="nearest", padding_mode="border", align_corners=False)
    return torch.where(inside[:, None], there, instead), inside.to(flow.dtype)


def _windowed(values: Tensor, width: int) -> Tensor:
    """Means over the window of that odd width around each pixel; the border is repeated."""
    down, across = (_sliding(size, (1 / width,) * width) for size in values.shape[-2:])
    return down @ values @ across.T


@cache
def _sliding(size: int, weights: tuple[float, ...], spacing: int = 1) -> Tensor:
    """(size / spacing, size): what sums a side of that size by those weights around each of its places, or around every
    so many-th; the border is repeated.
    """
    half = len(weights) // 2
    members = torch.arange(0, size, spacing)[:, None] + torch.arange(-half, half + 1)
    shares = torch.tensor(weights).expand(members.shape)
    return torch.zeros(len(members), size).scatter_add_(1, members.clamp(0, size - 1), shares)


def _halved(pictures: Tensor) -> Tensor:
    """Half as large, rounded up, (N, 1, h, w), by a binomial filter."""
    rows, columns = pictures.shape[-2:]
    padded = functional.pad(pictures, (1, 1 + columns % 2, 1, 1 + rows % 2), mode="replicate")
    half = padded[..., 0:-3:2, :] + 3 * (padded[..., 1:-2:2, :] + padded[..., 2:-1:2, :]) + padded[..., 3::2, :]
    both = half[..., 0:-3:2] + 3 * (half[..., 1:-2:2] + half[..., 2:-1:2]) + half[..., 3::2]
    return both / 64


def _resized(flow: Tensor, size: tuple[int, ...]) -> Tensor:
    """The flow of a picture of another size, in its pixels."""
    scale = flow.new_tensor([size[1] / flow.shape[3], size[0] / flow.shape[2]])
    return functional.interpolate(flow, size=list(size), mode="bilinear") * scale[None, :, None, None]


@cache
def _fit_filters() -> tuple[tuple[tuple[float, ...], ...], Tensor]:
    """Three vertical filters of n weights, and horizontal ones (5, 3, 1, n) of what these give: the coefficients of the
    fit.
    """
    at = torch.arange(-_RADIUS, _RADIUS + 1, dtype=torch.float64)
    weight = torch.exp(-(at**2) / (2 * _SIGMA**2))
    weight /= weight.sum()
    one, first, second = weight, at * weight, at**2 * weight
    y, x = torch.meshgrid(at, at, indexing="ij")
    basis = torch.stack([torch.ones_like(x), x, y, x**2, y**2, x * y]).flatten(1)
    metric = (basis * (weight[:, None] * weight).flatten()) @ basis.T  # G of equation 4
    products = torch.zeros(6, 3, len(at), dtype=torch.float64)  # of the picture with the weighted basis
    for row, (vertical, horizontal) in enumerate([(0, one), (0, first), (1, one), (0, second), (2, one), (1, first)]):
        products[row, vertical] = horizontal
    fit = torch.linalg.inv(metric)[1:] @ products.flatten(1)
    filters = tuple(tuple(weights.tolist()) for weights in (one, first, second))
    return filters, fit.reshape(5, 3, 1, -1).float()
