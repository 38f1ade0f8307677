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
from firstsight.closed_form.augment import augmented
from firstsight.closed_form.filters import fit_level
from firstsight.closed_form.footage_kind import FootageKind, look, probe_indices
from firstsight.closed_form.model import ClosedFormModel, PoolingConfig, of_mirror_image, pooled
from firstsight.closed_form.projection import Differences, fit_projection, principal, unit
from firstsight.closed_form.pyramid import PatchLevelConfig, Pyramid
from firstsight.encoder.encoder import in_batches, to_inputs
from firstsight.encoder.views import WholeFrame
from firstsight.errors import SourceError
from firstsight.process import Precision
from firstsight.quality.self_test import Embed, Times, self_test

_BATCH = 16
_CHUNK = 512  # frames between two reports


@dataclass(frozen=True)
class Features:
    """What was read from N frames."""

    values: Tensor  # float32 (N, dim), the parts side by side, those of the first level first
    part_dims: list[int]  # the length of each part

    def first(self, share: float) -> "Features":
        """Of that share of the parts alone, copied, so that the rest can be freed."""
        dims = self.part_dims[: round(share * len(self.part_dims))]
        return Features(self.values[:, : sum(dims)].clone(), dims)


@dataclass(frozen=True)
class Reader:
    """Reads parts from frames, a batch at a time."""

    network: Pyramid
    precision: Precision

    def __call__(self, frames: NDArray[np.uint8], pooling: PoolingConfig) -> list[Tensor]:
        """The parts of the read-out, float32 (N, dim of the part) each."""
        where = self.network.device
        with torch.inference_mode(), device.arithmetic(where, self.precision):
            parts = [pooled(self.network, to_inputs(batch, where), pooling) for batch in in_batches(frames, _BATCH)]
        return [torch.cat(part).float() for part in zip(*parts, strict=True)]

    def everything(
        self, frames: NDArray[np.uint8], pooling: PoolingConfig, *, report: Callable[[float], None]
    ) -> Features:
        """The parts side by side; `report` is told the share that is done."""
        dims = [part.shape[1] for part in self(frames[:1], pooling)]
        values = torch.empty(len(frames), sum(dims))  # the largest thing in memory: filled in place, never copied
        for start in range(0, len(frames), _CHUNK):
            report(start / len(frames))
            parts = self(frames[start : start + _CHUNK], pooling)
            values[start : start + _CHUNK] = torch.cat(parts, dim=1)
        return Features(values, dims)

    def first(self, num_levels: int) -> "Reader":
        """The same of the first levels alone."""
        return Reader(self.network.first(num_levels), self.precision)


_PROBE_FRAMES = 80  # that are asked about
_CONTRIBUTION_FRAMES = 1_000  # that the read-outs are made from for the question


@dataclass(frozen=True)
class Contribution:
    """A level together with those before it; None where the footage does not allow the question."""

    level: int
    after_change: float | None  # share of frames found again after a change of view, light or noise, 0 to 1
    stands_out: float | None  # by how many standard deviations of the others' similarity the right frame stands out
    kept: bool


def contributions(
    read: Reader,
    frames: NDArray[np.uint8],
    features: Features,
    pooling: PoolingConfig,
    *,
    ordered: bool,
    seed: int,
) -> list[Contribution]:
    """What the levels give, one after the other. A level is kept if with it the right frame stands out more.

    With one that is not kept the levels after it go as well.

    Args:
        read: reads the parts of all levels.
        frames: uint8 (N, height, width, channels).
        features: what was read from them.
        pooling: what is read.
        ordered: whether the frame that follows shows the same thing.
        seed: of the changes.
    """
    probe = frames[_spread(len(frames), _PROBE_FRAMES)]
    times = Times.of_positions(len(probe)) if ordered else None
    fitted = Features(features.values[torch.from_numpy(_spread(len(frames), _CONTRIBUTION_FRAMES))], features.part_dims)
    num_levels = len(read.network.levels)
    replay = _Replay(read, pooling)
    found: list[Contribution] = []
    for number in range(1, num_levels + 1):
        embed = _embedding(replay, fitted.first(number / num_levels))
        answer = self_test(embed, probe, times, generator=device.generator(seed))
        replay.rewind()
        found.append(Contribution(number, answer.after_change, answer.stands_out, _adds(answer.stands_out, found)))
    return found


class _Replay:
    """Reads all levels once: each round asks about the same frames in the same order."""

    def __init__(self, read: Reader, pooling: PoolingConfig) -> None:
        self._read, self._pooling = read, pooling
        self._parts: list[list[Tensor]] = []
        self._next = 0

    def __call__(self, frames: NDArray[np.uint8]) -> list[Tensor]:
        if self._next == len(self._parts):
            self._parts.append(self._read(frames, self._pooling))
        self._next += 1
        return self._parts[self._next - 1]

    def rewind(self) -> None:
        """Another round begins."""
        self._next = 0


def _embedding(replay: _Replay, features: Features) -> Embed:
    """As the encoder's, of the levels that the features are of, but without pairs."""
    projection = fit_projection(features.values, features.part_dims, None)
    num_parts = len(features.part_dims)
    return lambda frames: unit(projection(replay(frames)[:num_parts])).numpy()


def _adds(stands_out: float | None, before: list[Contribution]) -> bool:
    if not before or stands_out is None:
        return True
    last = before[-1]
    return last.kept and (last.stands_out is None or stands_out > last.stands_out)


def _spread(num_frames: int, most: int) -> NDArray[np.intp]:
    return np.unique(np.linspace(0, num_frames - 1, most).round().astype(np.intp))


_FIT_FRAMES = 800  # that filters are taken from
_PAIR_FRAMES = 1_500  # of which two augmented views each are made, where time gives no pairs
_KERNEL_SIZE = 5
# Neighbours in time less alike than nine tenths of strangers' pairs are taken for a cut.
_STRANGERS_QUANTILE = 0.9
_LEAST_FRAMES = 3


@dataclass(frozen=True)
class Recipe:
    """What the method is made of; every part can be left out, to see what it gives."""

    scales: tuple[float, ...] = (1.0, 0.5)  # of each level, as a part of the working size
    learned_filters: bool = True  # else drawn
    unlike_maps: bool = True  # maps made uncorrelated; else the 1x1 layers are drawn
    pairs: bool = True  # whiten what differs between pairs known to show the same thing
    mirror: bool = True  # average with the mirror image, where the footage allows it
    mean_grids: tuple[int, ...] | None = None  # None: derived from the footage; () leaves the means out
    covariances: bool = True
    drop: bool = True  # a level that adds nothing, and those after it

    def pooling(self, kind: FootageKind) -> PoolingConfig:
        """What is read out. Where things are in the picture says something only if the view stands still."""
        derived = (1,) if kind.moving else (1, 2, 4)
        grids = derived if self.mean_grids is None else self.mean_grids
        return PoolingConfig(grids, (1,) if self.covariances else (), mirror=kind.mirror and self.mirror)


DEFAULT = Recipe()
# The floor that learning has to beat.
RANDOM = Recipe(learned_filters=False, unlike_maps=False, pairs=False, drop=False)


@dataclass(frozen=True)
class ClosedForm:
    """What was learned: a model for the view of the frames, and what was found out about the footage."""

    model: ClosedFormModel
    kind: FootageKind
    contributions: tuple[Contribution, ...]  # of each level; empty if none was asked for

    def facts(self) -> dict[str, object]:
        """For the record of the run."""
        kind = self.kind
        derived = {"ordered": kind.ordered, "moving": kind.moving, "mirror": kind.mirror}
        levels = [asdict(one) for one in self.contributions]
        return {**asdict(kind), **derived, "dim": self.model.dim, "contributions": levels}


def fit(
    frames: NDArray[np.uint8],
    *,
    seed: int,
    recipe: Recipe = DEFAULT,
    precision: Precision,
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
    read = Reader(network, precision)
    kind = _kind_of(read, frames)
    pooling = recipe.pooling(kind)
    features = read.everything(frames, pooling, report=lambda share: report("reading", share))
    added: list[Contribution] = []
    if recipe.drop:
        report("what each level adds", 0)
        added = contributions(read, frames, features, pooling, ordered=kind.ordered, seed=seed)
        read, features = _without_useless(read, features, added)
    report("projection", 0)
    differences = _differences(read, frames, pooling, in_time=kind.moving, drawn=drawn) if recipe.pairs else None
    projection = fit_projection(features.values, features.part_dims, differences)
    model = ClosedFormModel(_view_of(frames), read.network, pooling, projection)
    return ClosedForm(model, kind, tuple(added))


def _view_of(frames: NDArray[np.uint8]) -> WholeFrame:
    height, width, channels = frames.shape[1:]
    return WholeFrame(width, height, channels)


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
        learned, unlike = recipe.learned_filters, recipe.unlike_maps
        fit_level(level, network.scaled(inputs, level), generator=drawn, learned=learned, unlike=unlike)
    return network


def _kind_of(read: Reader, frames: NDArray[np.uint8]) -> FootageKind:
    indices = probe_indices(len(frames))
    probe = frames[indices]
    config = PoolingConfig(mean_grids=(1, 4), covariance_grids=())
    parts = read(probe, config)
    images = [of_mirror_image(part, 4) for part in parts[1::2]]
    whole, cells, cells_mirrored = (torch.cat(each, dim=1) for each in (parts[::2], parts[1::2], images))
    return look(whole, cells, cells_mirrored, indices)


def _without_useless(read: Reader, features: Features, added: list[Contribution]) -> tuple[Reader, Features]:
    """Without the levels that are not kept, if there are any."""
    num_kept = sum(one.kept for one in added)
    if num_kept == len(added):
        return read, features
    return read.first(num_kept), features.first(num_kept / len(added))


def _differences(
    read: Reader, frames: NDArray[np.uint8], pooling: PoolingConfig, *, in_time: bool, drawn: torch.Generator
) -> Differences:
    """The differences of pairs known to show the same thing: neighbours in time, or views of one frame.

    In time only where the view moves: before a camera that stands still, what differs from one frame to the next is
    what there is to see.
    """
    if in_time:
        return lambda seen, _: _neighbours_in_time(seen, drawn)
    chosen = np.sort(torch.randperm(len(frames), generator=drawn)[:_PAIR_FRAMES].numpy())

    def of_augmented(seen: Tensor, inner: Callable[[Tensor], Tensor]) -> Tensor:
        views = [seen[torch.from_numpy(chosen)]]
        for _ in range(2):
            parts = read(augmented(frames[chosen], generator=drawn), pooling)
            views.append(inner(torch.cat(parts, dim=1)))
        seen_as = torch.stack(views, dim=1)
        unbiased: Tensor = (seen_as - seen_as.mean(dim=1, keepdim=True)) * (3 / 2) ** 0.5
        return unbiased

    return of_augmented


def _neighbours_in_time(inner: Tensor, drawn: torch.Generator) -> Tensor:
    """Of each frame and the next, unless they look like strangers, as across a cut."""
    variances, directions = principal(inner, 256)
    seen = unit(inner @ directions / variances.pow(0.375))
    strangers = (seen * seen[torch.randperm(len(seen), generator=drawn)]).sum(dim=1)
    same = (seen[1:] * seen[:-1]).sum(dim=1) > strangers.quantile(_STRANGERS_QUANTILE)
    differences = inner[1:] - inner[:-1]
    scaled: Tensor = (differences[same] if bool(same.any()) else differences) / 2**0.5
    return scaled[:, None]
