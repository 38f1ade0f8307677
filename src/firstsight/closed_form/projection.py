"""The read-out's last layer, in closed form: what changes while the scene stays the same counts less.

The differences of pairs known to show the same thing (`pairs.py`) are whitened; then the directions of largest variance
are kept, half whitened.

Source: within-class covariance normalisation, Hatch, Kajarekar, Stolcke, 2006, with the pairs in place of classes;
relevant component analysis, Bar-Hillel, Hertz, Shental, Weinshall, 2003.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

_AT_THE_MEAN = 1e-9
# Added to each eigenvalue of the differences, as a share of their mean: few pairs do not vary in most directions. This
# much with very many pairs, twice as much with 1,000, ten times as much with 333.
_SHRINKAGE, _FEW_PAIRS = 0.05, 1_000
# What is left after whitening the differences is whitened by this power of the variance, halved.
_POWER_WITH_PAIRS = 0.5
_POWER_WITHOUT = 0.75
_MIN_DIM, _MAX_DIM = 64, 496
_MAX_NUMBERS = 4_440_000  # of the projection, a byte each: a saved model stays under 5 MB
# An embedding gets a dimension for every so many frames: directions are estimated, and estimates need data.
_FRAMES_PER_DIM = 8
_MAX_INNER_DIM = 1024
_ROUNDING = 1e-5  # what varies by less than this share of its mean does not vary


@dataclass(frozen=True)
class Deviations:
    """What differs between views of the same things, of one kind of pairs."""

    things: Tensor  # (P, views, inner_dim); the variance is that of one view: of a pair one difference / sqrt(2)
    weight: float  # of the kind, in pairs
    numbers: Tensor | None = None  # (P,), the frame of the footage that a pair in time begins with


class Projection(nn.Module):
    """Removes the mean and multiplies by one matrix, which whitens, and chooses the dimensions.

    The matrix is kept in 8 bits, at about 0.1 point of accuracy for a model four times smaller: entry (i, j) is
    `quantised[i, j] * step[j] * scale[i]`.
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
        equalised = matrix * deviation[:, None]  # entries of equal weight, so that one step a column suits all
        step = equalised.abs().amax(dim=0).clamp_min(1e-30) / torch.iinfo(torch.int8).max
        projection.mean[:], projection.scale[:], projection.step[:] = mean, 1 / deviation, step
        projection.quantised[:] = (equalised / step).round().to(torch.int8)
        return projection

    @property
    def dim(self) -> int:
        """Numbers in an embedding."""
        return len(self.step)

    def forward(self, parts: list[Tensor]) -> Tensor:
        """(N, dim), not of unit length. A row exactly at the mean becomes the first axis, not zero."""
        with torch.autocast(self.mean.device.type, enabled=False):
            features = (torch.cat([part.float() for part in parts], dim=1) - self.mean) * self.scale
            projected = (features @ self.quantised.float()) * self.step
        projected[projected.norm(dim=1) < _AT_THE_MEAN, 0] = 1
        return projected


@dataclass(frozen=True)
class Space:
    """Features centred, scaled, and in an inner space of fewer dimensions in which differences can be whitened."""

    mean: Tensor  # (in_dim,)
    deviation: Tensor  # (in_dim,)
    scale: Tensor  # (in_dim,), which brings every part to its variance
    basis: Tensor  # (in_dim, inner_dim)
    values: Tensor  # (N, inner_dim)

    @classmethod
    def of(cls, features: Tensor, part_dims: list[int], weights: list[float] | None = None) -> "Space":
        """The space of features (N, dim), the parts of the read-out side by side.

        Args:
            features: float32, N at least 2. Centred and scaled in place.
            part_dims: the length of each part; every part is scaled to the same total variance first.
            weights: of each part, as a factor of its deviation; None: all 1.
        """
        mean, scale, deviation = _equalise(features, part_dims, weights)
        _, basis = of_rank(*principal(features, min(_MAX_INNER_DIM, max(2, len(features) // 2))))
        return cls(mean, deviation, scale, basis, features @ basis)

    def to_inner(self, raw: Tensor) -> Tensor:
        """Raw features (M, in_dim) in this space."""
        return (raw - self.mean) * self.scale @ self.basis

    def projection(self, kinds: list[Deviations]) -> Projection:
        """The projection that whitens the differences, then half whitens what is left."""
        matrix = self._matrix(kinds, slice(None))
        return Projection.of((self.scale[:, None] * self.basis) @ matrix, mean=self.mean, deviation=self.deviation)

    def vectors(self, kinds: list[Deviations], rows: Tensor) -> Tensor:
        """Unit vectors of some of the features' rows, as a projection fitted to these rows would give them."""
        return unit(self.values[rows] @ self._matrix(kinds, rows))

    def _matrix(self, kinds: list[Deviations], rows: Tensor | slice) -> Tensor:
        whitening = _whitening(kinds)
        whitened = self.values[rows] @ whitening
        variances, directions = of_rank(*principal(whitened, _num_dims(len(self.values), len(self.mean))))
        matrix: Tensor = whitening @ (directions / variances.pow(_POWER_WITH_PAIRS / 2))
        return matrix


def projection_without_pairs(features: Tensor, part_dims: list[int], weights: list[float] | None = None) -> Projection:
    """The projection for features (N, dim) of which no pairs are known; the arguments are those of `Space.of`."""
    mean, scale, deviation = _equalise(features, part_dims, weights)
    variances, directions = of_rank(*principal(features, _num_dims(*features.shape)))
    return Projection.of(
        scale[:, None] * directions / variances.pow(_POWER_WITHOUT / 2), mean=mean, deviation=deviation
    )


def _equalise(features: Tensor, part_dims: list[int], weights: list[float] | None) -> tuple[Tensor, Tensor, Tensor]:
    """Centres and scales in place; the mean, the scale and the deviation of each feature before scaling."""
    mean = features.mean(dim=0)
    features -= mean
    scale = _equal_variance(features, mean, part_dims)
    if weights is not None:
        each = [torch.full((size,), weight) for size, weight in zip(part_dims, weights, strict=True)]
        scale = scale * torch.cat(each)
    deviation = features.std(dim=0)
    features *= scale
    return mean, scale, deviation


def _num_dims(num: int, in_dim: int) -> int:
    return min(most_dims(in_dim), max(_MIN_DIM, num // _FRAMES_PER_DIM), num - 1, in_dim)


def most_dims(in_dim: int) -> int:
    """The most dimensions of an embedding of so many features."""
    return min(_MAX_DIM, _MAX_NUMBERS // in_dim)


def principal(rows: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """The largest variances (dim,), descending and above 0, and their directions (in_dim, dim), of centred rows."""
    num, in_dim = rows.shape
    dim = max(1, min(dim, num - 1, in_dim))
    exact = _EXACT if dim < num // 3 else _EXACT_OF_MANY
    if in_dim <= min(num, exact):
        variances, directions = eigh(rows.T @ rows / num)
        variances, directions = variances.flip(0), directions.flip(1)
    elif num <= exact:
        variances, left = eigh(rows @ rows.T / num)
        variances, left = variances.flip(0)[:dim], left.flip(1)[:, :dim]
        directions = rows.T @ left / (variances.clamp_min(1e-12) * num).sqrt()
    else:
        variances, directions = _subspace_iteration(rows, dim)
    least = max(1e-12, 1e-7 * float(variances[0]))
    return variances[:dim].clamp_min(least), directions[:, :dim]


def eigh(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues, ascending, and eigenvectors, float32, of a symmetric matrix.

    In double precision where LAPACK gives up in single, as on numbers that are all rounding: of flat pictures.
    """
    try:
        values, vectors = torch.linalg.eigh(matrix)
    except RuntimeError:  # LinAlgError, which PyTorch's types do not know
        values, vectors = torch.linalg.eigh(matrix.double())
    return values.float(), vectors.float()  # whatever the matrix was: a product may be in 16 bits


def of_rank(variances: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """Those of `principal` along which rows vary at all; where many frames are the same there are fewer than wanted."""
    num = max(1, int((variances > _LEAST_SHARE * variances[0]).sum()))
    return variances[:num], directions[:, :num]


# Of the largest variance; what is less is rounding.
_LEAST_SHARE = 1e-6

# Up to this side an exact eigenvalue problem is faster than an approximate one: of few directions, and of many.
_EXACT, _EXACT_OF_MANY = 1200, 2500


def _subspace_iteration(rows: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Source: Halko, Martinsson, Tropp, "Finding structure with randomness", 2011, algorithm 4.4."""
    num, in_dim = rows.shape
    width = min(dim + dim // 4 + 16, num - 1, in_dim)
    start = torch.randn(num, width, generator=torch.Generator().manual_seed(0))
    basis = torch.linalg.qr(rows.T @ start)[0]
    basis = torch.linalg.qr(rows.T @ (rows @ basis))[0]  # once: more takes longer and does not change a score
    inside = rows @ basis
    variances, directions = eigh(inside.T @ inside / num)
    return variances.flip(0), basis @ directions.flip(1)


def unit(rows: Tensor) -> Tensor:
    """Rows of length 1."""
    return nn.functional.normalize(rows, dim=1)


def _equal_variance(centred: Tensor, mean: Tensor, part_dims: list[int]) -> Tensor:
    """A factor for each feature (dim,) that brings every part to a total variance of 1; 0 for what is rounding."""
    parts, means = torch.split(centred, part_dims, dim=1), torch.split(mean, part_dims)
    factors = []
    for size, part, level in zip(part_dims, parts, means, strict=True):
        total = float(torch.linalg.vector_norm(part)) / len(centred) ** 0.5
        least = max(1e-6, _ROUNDING * float(torch.linalg.vector_norm(level)))
        factors.append(torch.full((size,), 1 / total if total > least else 0.0))
    return torch.cat(factors)


def _whitening(kinds: list[Deviations]) -> Tensor:
    total, num = sum(kind.weight for kind in kinds), sum(len(kind.things) for kind in kinds)
    each = (kind.weight / total * _second_moment(kind.things.flatten(0, 1)) for kind in kinds)
    scatter = sum(each, torch.zeros(()))
    variances, directions = eigh(scatter)
    shrinkage = _SHRINKAGE * (1 + (_FEW_PAIRS / num) ** 2)
    whitening: Tensor = directions / (variances.clamp_min(0) + shrinkage * variances.mean() + 1e-12).sqrt()
    return whitening


def _second_moment(rows: Tensor) -> Tensor:
    return rows.T @ rows / len(rows)
