"""What the default method found, in words for the end of a run and for the report."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from firstsight.article import objective
from firstsight.article.network import Network, to_inputs
from firstsight.article.settings import Similarity
from firstsight.closed_form.pyramid import Pyramid

# All maps of a level this alike are one map, many times.
_COLLAPSED = 0.999
_NO_SPREAD = 0.001
_STILL = 0.05  # grey levels
# A map whose values differ by less than this part of the largest shows nothing.
_DEAD = 1e-6


@dataclass(frozen=True)
class LevelHealth:
    """One level, measured over some frames."""

    level: int
    mean_max_similarity: float  # mean over frames of the largest |similarity| of two maps, 0 to 1
    mean_similarity: float  # mean over frames and pairs of |similarity|, 0 to 1
    num_dead_maps: int  # the same value everywhere, on every frame
    num_frames: int

    @property
    def collapsed(self) -> bool:
        """Whether all maps of the level show the same."""
        return self.mean_similarity > _COLLAPSED


@torch.inference_mode()
def measure(
    network: Network | Pyramid, batches: Iterable[Tensor], *, similarity: Similarity = "cosine"
) -> tuple[LevelHealth, ...]:
    """The health of every level over those inputs, (N, channels, H, W) in [0, 1] each; empty without inputs."""
    parts: list[list[tuple[Tensor, ...]]] = [[] for _ in network.configs]
    for inputs in batches:
        for level, maps in enumerate(network.every_level(inputs)):
            parts[level].append(_summarise(maps, similarity))
    if not parts[0]:
        return ()
    return tuple(_health(number, seen) for number, seen in enumerate(parts, start=1))


def measure_frames(network: Network | Pyramid, frames: NDArray[np.uint8]) -> tuple[LevelHealth, ...]:
    """The health of every level over frames that are inputs already: uint8 (N, H, W, C)."""
    parts = np.array_split(frames, max(1, len(frames) // 16))
    return measure(network, (to_inputs(part, network.device) for part in parts))


@dataclass(frozen=True)
class EmbeddingHealth:
    """The embedding as a whole, measured over some frames."""

    spread: float  # mean distance of two frames, 1 - cosine: 0 when all are alike, about 1 when they are all different
    effective_rank: float  # exp of the entropy of the variances: how many directions are in use
    pixel_spread: float  # grey levels: mean standard deviation of a pixel over the frames

    def warnings(self) -> list[str]:
        """What a user should know, a line each; empty if all is well."""
        if self.pixel_spread < _STILL:
            return ["the frames are all alike (black, constant or a frozen camera): there is nothing to tell apart"]
        if self.spread < _NO_SPREAD:
            return ["collapsed: all frames get nearly the same embedding"]
        return []


def measure_embedding(frames: NDArray[np.uint8], vectors: NDArray[np.float32]) -> EmbeddingHealth:
    """The health of an embedding: frames (N, H, W, C), and their vectors (N, dim) of unit length.

    Source of the effective rank: Roy, Vetterli, "The effective rank", EUSIPCO 2007.
    """
    num = len(vectors)
    similarities = vectors @ vectors.T
    others = (similarities.sum() - np.trace(similarities)) / max(1, num * (num - 1))
    variances = np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False).astype(np.float64) ** 2
    total = variances.sum()
    shares = variances[variances > 0] / total if total > 0 else np.ones(1)
    return EmbeddingHealth(
        spread=float(1 - others),
        effective_rank=float(np.exp(-(shares * np.log(shares)).sum())),
        pixel_spread=float(frames.std(axis=0, dtype=np.float64).mean()),
    )


def _summarise(maps: Tensor, similarity: Similarity) -> tuple[Tensor, ...]:
    """Per frame the largest and the mean |similarity|; per map the least and the largest value."""
    similarities = objective.pairs(objective.map_similarities(maps, similarity=similarity)).abs()
    least, largest = torch.aminmax(maps.transpose(0, 1).flatten(1), dim=1)
    return similarities.amax(dim=1), similarities.mean(dim=1), least, largest


def _health(level: int, seen: list[tuple[Tensor, ...]]) -> LevelHealth:
    largest_similarities, mean_similarities, least, largest = zip(*seen, strict=True)
    low, high = torch.stack(least).amin(dim=0), torch.stack(largest).amax(dim=0)
    scale = torch.maximum(low.abs(), high.abs()).amax()
    observed = torch.cat(largest_similarities)
    return LevelHealth(
        level=level,
        mean_max_similarity=observed.mean().item(),
        mean_similarity=torch.cat(mean_similarities).mean().item(),
        num_dead_maps=int((high - low <= _DEAD * scale).sum()),
        num_frames=len(observed),
    )


def findings(outcome: Mapping[str, Any]) -> list[str]:
    """Lines on what the footage is, how far the embedding spreads, and what each level adds.

    Args:
        outcome: as in the provenance of an encoder; one of the article's method gives no line.
    """
    if not {"embedding", "footage"} <= outcome.keys():
        return []
    kind, embedding = outcome["footage"], outcome["embedding"]
    order = "frames in order of time" if kind["ordered"] else "pictures in no order"
    view = ", the view moves" if kind["moving"] else ", the view stands still" if kind["ordered"] else ""
    mirror = ", left and right alike" if kind["mirror"] else ""
    lines = [
        f"footage: {order}{view}{mirror}",
        (
            f"embedding: {kind['dim']} numbers, effective rank {embedding['effective_rank']:.0f}, "
            f"mean distance of two frames {embedding['spread']:.2f}"
        ),
    ]
    return [*lines, *_contribution_lines(kind["contributions"])]


def _contribution_lines(levels: list[dict[str, Any]]) -> list[str]:
    """What each level adds: how many frames are found again after a change of view, light or noise."""
    if any(level["after_change"] is None for level in levels) or not any(level["kept"] for level in levels):
        return []
    shares = [f"{100 * level['after_change']:.0f} %" for level in levels if level["kept"]]
    steps = [f"level 1 {shares[0]}", *(f"with level {n} {share}" for n, share in enumerate(shares[1:], start=2))]
    line = f"found again after a change of view, light or noise: {', '.join(steps)}"
    return [line, *(f"level {level['level']} adds nothing: not kept" for level in levels if not level["kept"])]
