"""Taken from the footage in closed form: filters, the 1x1 layer that makes the maps of a level uncorrelated, colours.

Source: Coates, Ng, "Learning feature representations with k-means", 2012: whitened patches, spherical k-means.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from firstsight.closed_form.projection import eigh
from firstsight.closed_form.pyramid import Colours, PatchLevel

_NUM_PATCHES = 60_000
_NUM_RESPONSES = 40_000
# Added to each eigenvalue in whitening, as a share of their mean, so that what hardly varies is not amplified.
_WHITENING_SHARE = 0.1
_ITERATIONS = 10
# A patch counts for a filter as far as its response exceeds this.
_THRESHOLD = 0.25
_NUM_PIXELS = 40_000  # that colours are taken from
_AT_ONCE = 8192  # points that are compared with all centres


@torch.inference_mode()
def fit_level(
    level: PatchLevel, pictures: Tensor, *, generator: torch.Generator, learned: bool = True, decorrelate: bool = True
) -> None:
    """Sets the level's weights from pictures (N, channels, height, width) at its scale.

    Args:
        level: changed in place.
        pictures: in [0, 1].
        generator: of what is drawn: patches, first centres, responses.
        learned: filters are taken from the pictures; else they are drawn.
        decorrelate: the 1x1 layer makes the maps uncorrelated; else it is drawn.
    """
    config = level.config
    patches = fit_filters(level, pictures, generator=generator, learned=learned)
    chosen = patches[torch.randperm(len(patches), generator=generator)[:_NUM_RESPONSES]]
    even, odd = level.halves(level.responses_to(torch.cat([chosen, level.mirrored(chosen)])))
    mix = _decorrelating_mix if decorrelate else _random_mix
    level.mix_even[:] = mix(even, config.maps // 2, generator)
    level.mix_odd[:] = mix(odd, config.maps // 2, generator)
    level.shift[:] = -(even.mean(dim=0) @ level.mix_even)


@torch.inference_mode()
def fit_filters(
    level: PatchLevel,
    pictures: Tensor,
    *,
    generator: torch.Generator,
    learned: bool = True,
    num_patches: int = _NUM_PATCHES,
) -> Tensor:
    """Sets the level's filters alone, as `fit_level`, from about so many patches, and returns these, normalised."""
    patches = level.normalised(_sampled(pictures, level.config.kernel_size, num_patches, generator))
    fit = _learned_filters if learned else _random_filters
    weight, bias = fit(level, patches, generator)
    level.weight[:] = torch.cat([weight, level.mirrored(weight.T).T], dim=1)
    level.bias[:] = bias.repeat(2)
    return patches


@torch.inference_mode()
def fit_colours(colours: Colours, pictures: Tensor, *, generator: torch.Generator, learned: bool = True) -> None:
    """Sets the colours to the means that k-means finds among pixels of pictures (N, channels, height, width) in [0, 1].

    Source: Lloyd, "Least squares quantization in PCM", 1982.
    """
    pixels = _sampled(pictures, 1, _NUM_PIXELS, generator)
    if learned:
        centres = pixels[torch.randint(len(pixels), (colours.num,), generator=generator)]
        for _ in range(_ITERATIONS):  # a colour that is drawn twice, or that no pixel is nearest to, stands for nothing
            nearest = _nearest_colour(pixels, centres)
            counts = torch.bincount(nearest, minlength=colours.num)[:, None]
            total = torch.zeros_like(centres).index_add_(0, nearest, pixels)
            centres = torch.where(counts > 0, total / counts.clamp_min(1), centres)
    else:
        centres = torch.rand(colours.num, colours.channels, generator=generator)
    steps = (torch.arange(Colours.STEPS) + 0.5) / Colours.STEPS
    axes = torch.meshgrid(*[steps] * colours.channels, indexing="ij")
    cells = torch.stack(axes[::-1], dim=-1).reshape(-1, colours.channels)  # the first channel changes first
    colours.nearest[:] = _nearest_colour(cells, centres).short()


def _nearest_colour(points: Tensor, centres: Tensor) -> Tensor:
    """The number of the centre nearest to each point (P,)."""
    return torch.cat([torch.cdist(batch, centres).argmin(dim=1) for batch in torch.split(points, _AT_ONCE)])


def _sampled(pictures: Tensor, size: int, num_patches: int, generator: torch.Generator) -> Tensor:
    """At most about so many raw patches (P, channels * size * size), as many from each picture.

    No more than there are different ones: of few pictures it takes a fraction of the time for the same filters.
    """
    num, channels = pictures.shape[:2]
    windows = pictures.unfold(2, size, 1).unfold(3, size, 1)
    each = max(1, min(num_patches // num, windows.shape[2] * windows.shape[3]))
    rows, columns = (torch.randint(windows.shape[axis], (num, each), generator=generator) for axis in (2, 3))
    patches = windows[torch.arange(num)[:, None], :, rows, columns]
    return patches.reshape(num * each, channels * size**2)


def _learned_filters(level: PatchLevel, patches: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """W c_k as weights (patch_dim, filters / 2), and bias (filters / 2,), for normalised patches p.

    So that <c_k, W (p - mean)> - 0.25 is a product and a sum, with W the whitening and c_k the centres.

    Means and covariances are those of the patches and their mirror images, so that whitening and mirroring commute.
    """
    mirrored = level.mirrored(patches)
    mean = (patches.mean(dim=0) + mirrored.mean(dim=0)) / 2
    both = torch.cat([patches, mirrored]) - mean
    variances, directions = eigh(both.T @ both / len(both))
    ridge = _WHITENING_SHARE * variances.mean() + 1e-9
    whitening = directions / (variances.clamp_min(0) + ridge).sqrt() @ directions.T
    points = (patches - mean) @ whitening
    centres = spherical_kmeans(points, level.config.filters // 2, generator=generator, mirrored=level.mirrored)
    weight = whitening @ centres.T
    return weight, -(mean @ weight) - _THRESHOLD


def _random_filters(level: PatchLevel, patches: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    num = level.config.filters // 2
    weight = torch.randn(patches.shape[1], num, generator=generator)
    weight = weight / (patches @ weight).std(dim=0).clamp_min(1e-6)
    return weight, torch.full((num,), -_THRESHOLD)


def spherical_kmeans(
    points: Tensor,
    num: int,
    *,
    generator: torch.Generator,
    mirrored: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Unit vectors (num, dim) such that each point (P, dim) is close in angle to one; centres without points restart.

    Points count by their length: patches of high contrast count more.

    Args:
        points: in no order.
        num: of centres.
        generator: of the first centres and of those that restart.
        mirrored: gives the mirror images of points. Each point then counts as itself or as its mirror image, whichever
            is closer to a centre, so that the centres stand for their mirror images too.
    """
    first = torch.randperm(len(points), generator=generator)[:num]
    if len(first) < num:
        first = torch.randint(len(points), (num,), generator=generator)
    centres = nn.functional.normalize(points[first], dim=1)
    for _ in range(_ITERATIONS):
        total = torch.zeros_like(centres)
        for batch in torch.split(points, _AT_ONCE):
            facing, along, nearest = _nearest(batch, centres, mirrored)
            total.index_add_(0, nearest, facing * along[:, None])
        empty = total.norm(dim=1) < 1e-6
        restart = torch.randint(len(points), (int(empty.sum()),), generator=generator)
        total[empty] = points[restart]
        centres = nn.functional.normalize(total, dim=1)
    return centres


def _nearest(
    points: Tensor, centres: Tensor, mirrored: Callable[[Tensor], Tensor] | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Each point, or its mirror image if that is closer to a centre; its length along the closest; which that is."""
    along, nearest = (points @ centres.T).max(dim=1)
    if mirrored is None:
        return points, along, nearest
    images = mirrored(points)
    along_image, nearest_image = (images @ centres.T).max(dim=1)
    turn = along_image > along
    return (
        torch.where(turn[:, None], images, points),
        torch.where(turn, along_image, along),
        torch.where(turn, nearest_image, nearest),
    )


def _decorrelating_mix(responses: Tensor, num: int, _: torch.Generator) -> Tensor:
    """The leading principal components of the responses (P, dim) at unit variance, (dim, num)."""
    variances, directions = eigh(torch.cov(responses.T))
    variances, directions = variances.flip(0)[:num], directions.flip(1)[:, :num]
    mix: Tensor = directions / variances.clamp_min(max(1e-6, 1e-5 * float(variances[0]))).sqrt()
    return mix


def _random_mix(responses: Tensor, num: int, generator: torch.Generator) -> Tensor:
    dim = responses.shape[1]
    mix: Tensor = torch.randn(dim, num, generator=generator) / dim**0.5
    return mix
