"""The default method: levels of filters taken from the footage, maps made exactly uncorrelated, no gradient anywhere.

One pass over the footage keeps a bounded sample; everything else is done on that. See `docs/method.md`.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from firstsight import device
from firstsight.errors import SourceError
from firstsight.learning.filters import fit_level
from firstsight.learning.footage_kind import FootageKind, look, probe_indices
from firstsight.learning.projection import Differences, fit_projection, principal, unit
from firstsight.learning.shaken import shaken
from firstsight.model.network import to_inputs
from firstsight.model.patch_level import PatchLevelConfig
from firstsight.model.pyramid import Pyramid
from firstsight.model.readout import PoolingConfig, Projection, pooled

_FIT_FRAMES = 800  # that filters are taken from
_PAIR_FRAMES = 1_500  # of which two shaken views each are made, where time does not give pairs
_BATCH = 16
_CHUNK = 512  # frames between two reports
_KERNEL_SIZE = 5
# Neighbours in time less alike than nine tenths of strangers' pairs are taken for a cut.
_STRANGERS_QUANTILE = 0.9
_LEAST_FRAMES = 3


@dataclass(frozen=True)
class Recipe:
    """What the method is made of; every part can be left out, to see what it gives."""

    scales: tuple[float, ...] = (1.0, 0.5)  # of each level, as a part of the working size
    learned_filters: bool = True  # else drawn, and the 1x1 layers with them
    pairs: bool = True  # whiten what differs between pairs known to show the same thing
    mirror: bool = True  # average with the mirror image, where the footage allows it
    mean_grids: tuple[int, ...] | None = None  # None: derived from the footage; () leaves the means out
    covariances: bool = True

    def pooling(self, kind: FootageKind) -> PoolingConfig:
        """What is read out. Where things are in the picture says something only if the view stands still."""
        derived = (1,) if kind.moving else (1, 2, 4)
        grids = derived if self.mean_grids is None else self.mean_grids
        return PoolingConfig(grids, (1,) if self.covariances else (), mirror=kind.mirror and self.mirror)


DEFAULT = Recipe()
RANDOM = Recipe(learned_filters=False, pairs=False)  # the floor that learning has to beat


@dataclass(frozen=True)
class ClosedForm:
    """What was learned."""

    network: Pyramid
    pooling: PoolingConfig
    projection: Projection
    kind: FootageKind

    def facts(self) -> dict[str, object]:
        """For the record of the run."""
        kind = self.kind
        derived = {"ordered": kind.ordered, "moving": kind.moving, "mirror": kind.mirror}
        return {**asdict(kind), **derived, "dim": self.projection.dim}


def fit(
    frames: NDArray[np.uint8],
    *,
    seed: int,
    recipe: Recipe = DEFAULT,
    precision: device.Precision,
    report: Callable[[str, float], None] = lambda _what, _share: None,
) -> ClosedForm:
    """Learns from frames (N, height, width, channels), already at the network's input size.

    Args:
        frames: in the footage's order.
        seed: of everything that is drawn.
        recipe: what of the method is used.
        precision: of the matrix products.
        report: told what is being done, and its share done, 0 to 1.

    Raises:
        SourceError: fewer than three frames.
    """
    if len(frames) < _LEAST_FRAMES:
        raise SourceError(f"{len(frames)} frames to learn from; give at least {_LEAST_FRAMES}")
    drawn = device.generator(seed)
    with device.arithmetic(torch.device("cpu"), precision):
        network = _fit_network(frames, drawn, recipe, report)
    read = _Reader(network, precision)
    kind = _kind_of(read, frames)
    pooling = recipe.pooling(kind)
    features, dims = _read_all(read, frames, pooling, report)
    report("projection", 0)
    differences = _differences(read, frames, pooling, ordered=kind.ordered, drawn=drawn) if recipe.pairs else None
    return ClosedForm(network, pooling, fit_projection(features, dims, differences), kind)


@dataclass(frozen=True)
class _Reader:
    """Reads parts from frames, a batch at a time."""

    network: Pyramid
    precision: device.Precision

    def __call__(self, frames: NDArray[np.uint8], pooling: PoolingConfig) -> list[Tensor]:
        """The parts of the read-out, float32 (N, dim of the part) each."""
        place = self.network.device
        batches = [frames[start : start + _BATCH] for start in range(0, len(frames), _BATCH)]
        with torch.inference_mode(), device.arithmetic(place, self.precision):
            parts = [pooled(self.network, to_inputs(batch, place), pooling) for batch in batches]
        return [torch.cat(part).float() for part in zip(*parts, strict=True)]


def _fit_network(
    frames: NDArray[np.uint8], drawn: torch.Generator, recipe: Recipe, report: Callable[[str, float], None]
) -> Pyramid:
    height, width, channels = frames.shape[1:]
    configs = [
        PatchLevelConfig(round(height * scale), round(width * scale), _KERNEL_SIZE, in_channels=channels)
        for scale in recipe.scales
    ]
    network = Pyramid(configs)
    chosen = np.sort(torch.randperm(len(frames), generator=drawn)[:_FIT_FRAMES].numpy())
    inputs = to_inputs(frames[chosen], network.device)
    for number, level in enumerate(network.levels):
        report("filters", number / len(network.levels))
        fit_level(level, network.scaled(inputs, level), generator=drawn, learned=recipe.learned_filters)
    return network


def _kind_of(read: _Reader, frames: NDArray[np.uint8]) -> FootageKind:
    indices = probe_indices(len(frames))
    probe = frames[indices]
    config = PoolingConfig(mean_grids=(1, 4), covariance_grids=())
    straight, mirrored = read(probe, config), read(np.ascontiguousarray(probe[:, :, ::-1]), config)
    whole, cells, cells_mirrored = (
        torch.cat(parts, dim=1) for parts in (straight[::2], straight[1::2], mirrored[1::2])
    )
    return look(whole, cells, cells_mirrored, indices)


def _read_all(
    read: _Reader, frames: NDArray[np.uint8], pooling: PoolingConfig, report: Callable[[str, float], None]
) -> tuple[Tensor, list[int]]:
    """The parts side by side (N, dim), and their lengths."""
    dims = [part.shape[1] for part in read(frames[:1], pooling)]
    features = torch.empty(len(frames), sum(dims))  # the largest thing in memory: filled in place, never copied
    for start in range(0, len(frames), _CHUNK):
        report("reading", start / len(frames))
        parts = read(frames[start : start + _CHUNK], pooling)
        features[start : start + _CHUNK] = torch.cat(parts, dim=1)
    return features, dims


def _differences(
    read: _Reader, frames: NDArray[np.uint8], pooling: PoolingConfig, *, ordered: bool, drawn: torch.Generator
) -> Differences:
    """The differences of pairs of frames known to show the same thing."""
    if ordered:
        return lambda seen, _: _neighbours_in_time(seen, drawn)
    chosen = np.sort(torch.randperm(len(frames), generator=drawn)[:_PAIR_FRAMES].numpy())

    def of_shaken(seen: Tensor, inner: Callable[[Tensor], Tensor]) -> Tensor:
        views = [seen[torch.from_numpy(chosen)]]
        for _ in range(2):
            parts = read(shaken(frames[chosen], generator=drawn), pooling)
            views.append(inner(torch.cat(parts, dim=1)))
        mean = torch.stack(views).mean(dim=0)
        unbiased: Tensor = torch.cat([view - mean for view in views]) * (3 / 2) ** 0.5
        return unbiased

    return of_shaken


def _neighbours_in_time(inner: Tensor, drawn: torch.Generator) -> Tensor:
    """Of each frame and the next, unless they look like strangers, as across a cut."""
    variances, directions = principal(inner, 256)
    seen = unit(inner @ directions / variances.pow(0.375))
    strangers = (seen * seen[torch.randperm(len(seen), generator=drawn)]).sum(dim=1)
    same = (seen[1:] * seen[:-1]).sum(dim=1) > strangers.quantile(_STRANGERS_QUANTILE)
    differences = inner[1:] - inner[:-1]
    scaled: Tensor = (differences[same] if bool(same.any()) else differences) / 2**0.5
    return scaled
