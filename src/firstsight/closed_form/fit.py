"""The default method: filters taken from the footage, maps made exactly uncorrelated, no gradient.

Steps and symbols are those of `docs/method.md`: filters, the kind of footage, what each level adds, the projection.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from firstsight import device
from firstsight.closed_form.agreement import LayoutConfig
from firstsight.closed_form.evidence import Evidence, Judge, Sample, cross_fitted, gather, spread
from firstsight.closed_form.filters import fit_colours, fit_filters, fit_level
from firstsight.closed_form.footage_kind import NEGLIGIBLE, FootageKind, classify_footage, probe_indices
from firstsight.closed_form.layout import Layout, Layouts, to_grey
from firstsight.closed_form.model import ClosedFormModel
from firstsight.closed_form.pairs import KnownPairs, deviations_of, only_of
from firstsight.closed_form.projection import Space, projection_without_pairs, unit
from firstsight.closed_form.pyramid import Colours, PatchLevelConfig, PoolingConfig, Pyramid, of_mirror_image, pooled
from firstsight.encoder.model import WholeFrame, in_batches, to_inputs
from firstsight.errors import SourceError
from firstsight.process import Precision
from firstsight.quality.self_test import Times, found_again

_MIN_FRAMES = 3
_FIT_FRAMES = 800  # that filters are taken from
_KERNEL_SIZE = 5
_BATCH = 16
_CHUNK = 512  # frames between two reports
_PROBE_FRAMES = 80  # that are perturbed and searched for, to measure what a level adds
_CONTRIBUTION_FRAMES = 1_000  # that the projections for this are fitted to
_CELL_FRAMES = 400  # that cells are fitted to
_CELLS_AT_ONCE = 64  # frames whose cells are described, 0.6 MB each
_NUM_GREY_PATCHES = 30_000  # that grey filters are taken from: they have a third of the numbers
_POSITIONAL = ("means 2x2", "means 4x4")
_NUM_COLOURS = 512
# Colours are as much of the light as of things. Pairs in time tell the one from the other: with so many pairs colours
# weigh half as much as another part, with many more the same; with a quarter of that or less they are not read.
_PAIRS_FOR_COLOURS = 256


@dataclass(frozen=True)
class Recipe:
    """The parts of the method; each can be left out, to measure what it adds."""

    scales: tuple[float, ...] = (1.0, 0.5)  # of each level, relative to the working size
    learned_filters: bool = True  # else drawn
    decorrelate: bool = True  # maps made uncorrelated; else the 1x1 layers are drawn
    pairs: bool = True  # whiten what differs between pairs known to show the same thing
    mirror: bool = True  # average with the mirror image, as far as the footage allows it
    mean_grids: tuple[int, ...] = (1, 2, 4)  # () leaves the means out
    covariances: bool = True
    drop: bool = True  # a level that adds nothing, and those after it
    layout: bool = True  # a second stage that compares what is where
    position: float | None = None  # weight of positions in the frame, 0 to 1; None: derived from the footage
    colours: float | None = None  # weight of the colours, 0 to 1; None: derived from the footage
    weight: float | None = None  # of the layout, 0 to 1; None: derived from the footage

    def pooling(self, kind: FootageKind) -> PoolingConfig:
        """What is read from the maps."""
        handedness = kind.handedness if self.mirror else 1.0
        covariance_grids = (1,) if self.covariances else ()
        return PoolingConfig(self.mean_grids, covariance_grids, mirror=not handedness, odd_weight=handedness or 1.0)


DEFAULT = Recipe()
# The baseline that learning has to beat.
RANDOM = Recipe(learned_filters=False, decorrelate=False, pairs=False, drop=False)


@dataclass(frozen=True)
class Contribution:
    """A level together with those before it; None where the footage does not allow the question."""

    level: int
    after_change: float | None  # share of frames found again after a change of view, light or noise, 0 to 1
    stands_out: float | None  # standard deviations of the other frames' similarity by which the right one is above them
    kept: bool


@dataclass(frozen=True)
class ClosedForm:
    """What was learned."""

    model: ClosedFormModel
    kind: FootageKind
    evidence: Evidence | None  # None if the recipe has no layout
    colours_weight: float  # in the embedding, 0 to 1
    contributions: tuple[Contribution, ...]  # of each level; empty if the recipe drops none

    def facts(self) -> dict[str, object]:
        """For the record of the run."""
        kind = self.kind
        derived = {"ordered": kind.ordered, "handedness": kind.handedness, "mirror": not kind.handedness}
        evidence = asdict(self.evidence) if self.evidence else {}
        evidence["pairs"] = len(evidence.get("pairs", ()))
        levels = [asdict(contribution) for contribution in self.contributions]
        found = {"evidence": evidence, "colours": self.colours_weight, "dim": self.model.dim, "contributions": levels}
        return {**asdict(kind), **derived, **found}


def fit(
    frames: NDArray[np.uint8],
    *,
    seed: int,
    recipe: Recipe = DEFAULT,
    precision: Precision,
    report: Callable[[str, float], None] = lambda _what, _share: None,
) -> ClosedForm:
    """Learns from frames (N, height, width, channels) at the network's input size, in the footage's order.

    Args:
        frames: uint8.
        seed: of everything that is drawn.
        recipe: the parts of the method to use.
        precision: of the matrix products.
        report: called with the step under way, and its share done, 0 to 1.

    Raises:
        SourceError: fewer than three frames.
    """
    if len(frames) < _MIN_FRAMES:
        raise SourceError(f"{len(frames)} frames to learn from; give at least {_MIN_FRAMES}")
    generator = device.generator(seed)
    with device.arithmetic(torch.device("cpu"), precision):
        network = _fit_network(frames, generator, recipe, report)
    read = Reader(network, precision)
    kind = _kind_of(read, frames)
    pooling = recipe.pooling(kind)
    features = read.everything(frames, pooling, report=lambda share: report("reading", share))
    contributions: list[Contribution] = []
    if recipe.drop:
        report("what each level adds", 0)
        contributions = _contributions(read, frames, features, pooling, ordered=kind.ordered, seed=seed)
        num_kept = sum(contribution.kept for contribution in contributions)
        if num_kept < len(contributions):
            read = Reader(network.first(num_kept), precision)
            features = features.first(num_kept * len(pooling.names))
    layout, judge, evidence = None, None, None
    if recipe.layout:
        report("layout", 0)
        layout, judge = _fit_layout(read, frames, generator, recipe)
        evidence = gather(_first_vectors(features, pooling, judge.sample), judge)
    report("projection", 0)
    pooling, features, weights = _weighed(pooling, features, recipe, evidence)
    known = _known_pairs(evidence, len(frames)) if recipe.pairs else KnownPairs()
    colours_weight = _colours_weight(recipe, known)
    if colours_weight:
        read.network.colours = _fit_colours(frames, seed=seed, learned=recipe.learned_filters)
        pooling = replace(pooling, num_colours=_NUM_COLOURS)
        features = features.with_part(read.colours(frames))
        weights.append(colours_weight)
    if recipe.pairs:
        space = Space.of(features.values, features.part_dims, weights)
        kinds = deviations_of(known, space, frames, lambda views: torch.cat(read(views, pooling), dim=1), generator)
        projection = space.projection(kinds)
        if evidence and judge and known.in_time >= 1:
            rows = torch.from_numpy(judge.sample.numbers)
            evidence = cross_fitted(evidence, judge, lambda chosen: space.vectors(only_of(kinds, chosen), rows))
    else:
        projection = projection_without_pairs(features.values, features.part_dims, weights)
    if evidence and layout:
        weight = evidence.weight if recipe.weight is None else recipe.weight
        layout.config = replace(layout.config, weight=weight, unrelated=evidence.unrelated)
    height, width, channels = frames.shape[1:]
    model = ClosedFormModel(WholeFrame(width, height, channels), read.network, pooling, projection, layout)
    return ClosedForm(model, kind, evidence, colours_weight, tuple(contributions))


def _fit_layout(
    read: "Reader", frames: NDArray[np.uint8], generator: torch.Generator, recipe: Recipe
) -> tuple[Layout, Judge]:
    """The layout, and a judge of a sample of the frames."""
    colour = read.network
    layout = Layout(LayoutConfig.for_network(colour), [replace(one, in_channels=1, maps=2) for one in colour.configs])
    chosen = np.sort(torch.randperm(len(frames), generator=generator)[:_FIT_FRAMES].numpy())
    with device.arithmetic(torch.device("cpu"), read.precision):
        batches = in_batches(frames[chosen], _BATCH)
        inputs = torch.cat([to_grey(to_inputs(batch, colour.device)) for batch in batches])
        for level in layout.grey.levels:
            scaled = layout.grey.scaled(inputs, level)
            fit_filters(
                level, scaled, generator=generator, learned=recipe.learned_filters, num_patches=_NUM_GREY_PATCHES
            )
    sample = Sample.of(len(frames))
    fitted = spread(len(sample.numbers), _CELL_FRAMES)
    means = read.cell_means(layout, frames[sample.numbers[fitted]])
    layout.fit(means)
    rest = np.setdiff1d(np.arange(len(sample.numbers)), fitted)
    chunks = [rest[start : start + _CELLS_AT_ONCE] for start in range(0, len(rest), _CELLS_AT_ONCE)]
    described = [
        layout.read_cells(means),
        *(layout.read_cells(read.cell_means(layout, frames[sample.numbers[chunk]])) for chunk in chunks),
    ]
    order = torch.from_numpy(np.argsort(np.concatenate([fitted, rest])))
    return layout, Judge(sample, Layouts.joined(described)[order])


def _first_vectors(features: "Features", pooling: PoolingConfig, sample: Sample) -> Tensor:
    """Vectors of the sample's frames (S, dim), unit length, that know of no pairs and no positions."""
    num_levels = len(features.part_dims) // len(pooling.names)
    without = [name not in _POSITIONAL for name in pooling.names] * num_levels
    chosen = features.only(without if any(without) else None, torch.from_numpy(sample.numbers))
    projection = projection_without_pairs(chosen.values.clone(), chosen.part_dims)
    return unit(projection([chosen.values]))


def _weighed(
    pooling: PoolingConfig, features: "Features", recipe: Recipe, evidence: Evidence | None
) -> tuple[PoolingConfig, "Features", list[float]]:
    """Parts that depend on the position in the frame weigh as much as position counts in the footage."""
    position = recipe.position if recipe.position is not None else evidence.position if evidence else 1.0
    num_levels = len(features.part_dims) // len(pooling.names)
    if position < NEGLIGIBLE and 1 in pooling.mean_grids:
        kept = [name not in _POSITIONAL for name in pooling.names] * num_levels
        features = features.only(kept)
        pooling = replace(pooling, mean_grids=(1,))
    return pooling, features, [position if name in _POSITIONAL else 1.0 for name in pooling.names] * num_levels


def _colours_weight(recipe: Recipe, known: KnownPairs) -> float:
    """How much the colours count, 0 to 1; what would hardly count is 0."""
    derived = known.in_time / (known.in_time + _PAIRS_FOR_COLOURS)
    weight = derived if recipe.colours is None else recipe.colours
    return weight if weight >= NEGLIGIBLE else 0.0


def _fit_colours(frames: NDArray[np.uint8], *, seed: int, learned: bool) -> Colours:
    colours = Colours(_NUM_COLOURS, frames.shape[3])
    pictures = to_inputs(frames[spread(len(frames), _FIT_FRAMES)], torch.device("cpu"))
    fit_colours(colours, pictures, generator=device.generator(seed), learned=learned)
    return colours


def _known_pairs(evidence: Evidence | None, num_frames: int) -> KnownPairs:
    if evidence is None:
        return KnownPairs()
    in_time, found = evidence.known_pairs
    return KnownPairs(in_time * (num_frames - 1), evidence.pairs, found)


def _fit_network(
    frames: NDArray[np.uint8], generator: torch.Generator, recipe: Recipe, report: Callable[[str, float], None]
) -> Pyramid:
    height, width, channels = frames.shape[1:]
    configs = [
        PatchLevelConfig(round(height * scale), round(width * scale), _KERNEL_SIZE, in_channels=channels)
        for scale in recipe.scales
    ]
    network = Pyramid(configs)
    chosen = np.sort(torch.randperm(len(frames), generator=generator)[:_FIT_FRAMES].numpy())
    inputs = to_inputs(frames[chosen], network.device)
    for number, level in enumerate(network.levels):
        report("filters", number / len(network.levels))
        learned, decorrelate = recipe.learned_filters, recipe.decorrelate
        scaled = network.scaled(inputs, level)
        fit_level(level, scaled, generator=generator, learned=learned, decorrelate=decorrelate)
    return network


@dataclass(frozen=True)
class Features:
    """What was read from N frames."""

    values: Tensor  # float32 (N, dim), the parts side by side, those of the first level first
    part_dims: list[int]  # the length of each part

    def only(self, parts: list[bool] | None, rows: Tensor | None = None) -> "Features":
        """Some parts, of all or of some frames, copied."""
        kept = parts or [True] * len(self.part_dims)
        columns = torch.cat([torch.full((size,), is_in) for size, is_in in zip(self.part_dims, kept, strict=True)])
        values = self.values if rows is None else self.values[rows]
        return Features(values[:, columns], [size for size, is_in in zip(self.part_dims, kept, strict=True) if is_in])

    def with_part(self, part: Tensor) -> "Features":
        """With one part more."""
        return Features(torch.cat([self.values, part], dim=1), [*self.part_dims, part.shape[1]])

    def first(self, num_parts: int) -> "Features":
        """The first parts alone, copied, so that the rest can be freed."""
        dims = self.part_dims[:num_parts]
        return Features(self.values[:, : sum(dims)].clone(), dims)


@dataclass(frozen=True)
class Reader:
    """Reads the parts of the read-out from frames, a batch at a time."""

    network: Pyramid
    precision: Precision

    def __call__(self, frames: NDArray[np.uint8], pooling: PoolingConfig) -> list[Tensor]:
        """The parts, float32 (N, dim of the part) each."""
        where = self.network.device
        with torch.inference_mode(), device.arithmetic(where, self.precision):
            parts = [pooled(self.network, to_inputs(batch, where), pooling) for batch in in_batches(frames, _BATCH)]
        return [torch.cat(part).float() for part in zip(*parts, strict=True)]

    def colours(self, frames: NDArray[np.uint8]) -> Tensor:
        """The shares of the network's colours, float32 (N, colours)."""
        colours, where = self.network.colours, self.network.device
        assert colours is not None
        with torch.inference_mode():
            return torch.cat([colours(to_inputs(batch, where)) for batch in in_batches(frames, _BATCH)])

    def cell_means(self, layout: Layout, frames: NDArray[np.uint8]) -> list[list[Tensor]]:
        """`Layout.cell_means` of frames uint8 (N, H, W, C): by both networks, of each level."""
        where, read = self.network.device, []
        with torch.inference_mode(), device.arithmetic(where, self.precision):
            for batch in in_batches(frames, _BATCH):
                inputs = to_inputs(batch, where)
                read.append(layout.cell_means(self.network.responses(inputs), inputs))
        both = (zip(*(means[number] for means in read), strict=True) for number in range(2))
        return [[torch.cat(level) for level in levels] for levels in both]

    def everything(
        self, frames: NDArray[np.uint8], pooling: PoolingConfig, *, report: Callable[[float], None]
    ) -> Features:
        """The parts side by side; calls `report` with the share that is done."""
        dims = [part.shape[1] for part in self(frames[:1], pooling)]
        values = torch.empty(len(frames), sum(dims))  # the largest thing in memory: filled in place
        for start in range(0, len(frames), _CHUNK):
            report(start / len(frames))
            parts = self(frames[start : start + _CHUNK], pooling)
            values[start : start + _CHUNK] = torch.cat(parts, dim=1)
        return Features(values, dims)


def _kind_of(read: Reader, frames: NDArray[np.uint8]) -> FootageKind:
    indices = probe_indices(len(frames))
    parts = read(frames[indices], PoolingConfig(mean_grids=(1, 4), covariance_grids=()))
    mirrored = [of_mirror_image(part, 4) for part in parts[1::2]]
    global_means, cell_means, mirrored_means = (torch.cat(each, dim=1) for each in (parts[::2], parts[1::2], mirrored))
    return classify_footage(global_means, cell_means, mirrored_means, indices)


def _contributions(
    read: Reader, frames: NDArray[np.uint8], features: Features, pooling: PoolingConfig, *, ordered: bool, seed: int
) -> list[Contribution]:
    """What each level adds to those before it. It is kept if with it the right frame stands out more.

    Args:
        read: reads the parts of all levels.
        frames: uint8 (N, height, width, channels).
        features: of the frames.
        pooling: what is read.
        ordered: whether the next frame shows the same thing.
        seed: of the changes.
    """
    fitted_to = torch.from_numpy(spread(len(frames), _CONTRIBUTION_FRAMES))
    sample = Features(features.values[fitted_to], features.part_dims)
    num_parts = [len(pooling.names) * number for number in range(1, len(read.network.levels) + 1)]
    projections = [projection_without_pairs(sample.first(num).values, sample.part_dims[:num]) for num in num_parts]

    def embed_by_each(pictures: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """By level 1, by levels 1 and 2, and so on; read once for all."""
        parts = read(pictures, pooling)
        each = zip(projections, num_parts, strict=True)
        return [unit(projection(parts[:num])).numpy() for projection, num in each]

    probe = frames[spread(len(frames), _PROBE_FRAMES)]
    times = Times.of_positions(len(probe)) if ordered else None
    tests = found_again(embed_by_each(probe), embed_by_each, probe, times, generator=device.generator(seed))
    found: list[Contribution] = []
    for number, test in enumerate(tests, start=1):
        found.append(Contribution(number, test.after_change, test.stands_out, _adds(test.stands_out, found)))
    return found


def _adds(stands_out: float | None, before: list[Contribution]) -> bool:
    if not before or stands_out is None:
        return True
    last = before[-1]
    return last.kept and (last.stands_out is None or stands_out > last.stands_out)
