"""How similar the maps of a picture are, and whether levels and embedding have collapsed, measured without labels."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from firstsight.encoder.model import Levels, to_inputs

Similarity = Literal["cosine", "pearson"]

# Above this mean similarity all maps of a level are the same.
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
        """Whether all maps of the level are the same."""
        return self.mean_similarity > _COLLAPSED


@torch.inference_mode()
def measure(
    network: Levels, batches: Iterable[Tensor], *, similarity: Similarity = "cosine"
) -> tuple[LevelHealth, ...]:
    """The health of every level over those inputs, (N, channels, H, W) in [0, 1] each; empty without inputs."""
    summaries = [[_summarise(maps, similarity) for maps in network.every_level(inputs)] for inputs in batches]
    levels = zip(*summaries, strict=True)
    return tuple(_health(number, parts) for number, parts in enumerate(levels, start=1))


def measure_frames(network: Levels, frames: NDArray[np.uint8]) -> tuple[LevelHealth, ...]:
    """The health of every level over frames that are inputs already: uint8 (N, H, W, C)."""
    parts = np.array_split(frames, max(1, len(frames) // 16))
    return measure(network, (to_inputs(part, network.device) for part in parts))


@dataclass(frozen=True)
class EmbeddingHealth:
    """The embedding, measured over some frames."""

    spread: float  # mean distance of two frames, 1 - cosine: 0 when all are equal, about 1 when all are different
    effective_rank: float  # exp of the entropy of the variances: how many directions are in use
    pixel_spread: float  # grey levels: mean standard deviation of a pixel over the frames

    def warnings(self) -> list[str]:
        """For the user, a line each; empty if all is well."""
        if self.pixel_spread < _STILL:
            return ["the frames are all alike (black, constant or a frozen camera): there is nothing to learn"]
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


def map_similarities(maps: Tensor, *, similarity: Similarity = "cosine") -> Tensor:
    """The similarity of every map of an image to every other.

    With x_i the i-th map flattened to n values:

    - cosine (the article): s_ij = <x_i, x_j> / (|x_i| |x_j|), without removing the mean;
    - pearson (the predecessor): the mean of each map is removed and the sample standard deviation is divided by, so
      that s_ij = (n - 1) / n times the correlation, and a map's similarity to itself is (n - 1) / n.

    Args:
        maps: float (N, C, H, W), any precision; computed in float32, or float64 if they are that.
        similarity: which of the two.

    Returns:
        float (N, C, C), symmetric, within -1 and 1. A map that is zero everywhere has similarity 0 to all.
    """
    with torch.autocast(maps.device.type, enabled=False):
        flat = maps.to(torch.promote_types(maps.dtype, torch.float32)).flatten(2)
        num_cells = flat.shape[2]
        if similarity == "pearson":
            flat = flat - flat.mean(dim=2, keepdim=True)
        unit = nn.functional.normalize(flat, dim=2)
        similarities = unit @ unit.transpose(1, 2)
    return similarities * ((num_cells - 1) / num_cells) if similarity == "pearson" else similarities


def pairs(similarities: Tensor) -> Tensor:
    """The similarities (N, C (C - 1) / 2) of all pairs of different maps, each pair once, from (N, C, C)."""
    num_maps = similarities.shape[1]
    first, second = torch.triu_indices(num_maps, num_maps, offset=1, device=similarities.device)
    return similarities[:, first, second]


def _summarise(maps: Tensor, similarity: Similarity) -> tuple[Tensor, ...]:
    """Per frame the largest and the mean |similarity|; per map the smallest and the largest value."""
    similarities = pairs(map_similarities(maps, similarity=similarity)).abs()
    smallest, largest = torch.aminmax(maps.transpose(0, 1).flatten(1), dim=1)
    return similarities.amax(dim=1), similarities.mean(dim=1), smallest, largest


def _health(level: int, parts: Sequence[tuple[Tensor, ...]]) -> LevelHealth:
    largest_similarities, mean_similarities, smallest, largest = zip(*parts, strict=True)
    low, high = torch.stack(smallest).amin(dim=0), torch.stack(largest).amax(dim=0)
    scale = torch.maximum(low.abs(), high.abs()).amax()
    observed = torch.cat(largest_similarities)
    return LevelHealth(
        level=level,
        mean_max_similarity=observed.mean().item(),
        mean_similarity=torch.cat(mean_similarities).mean().item(),
        num_dead_maps=int((high - low <= _DEAD * scale).sum()),
        num_frames=len(observed),
    )


def is_held_out(outcome: Mapping[str, Any]) -> bool:
    """Whether the health of the levels was measured on frames not learned from; earlier versions did nothing else."""
    return bool(outcome.get("health_held_out", outcome.get("health_before")))


def findings(outcome: Mapping[str, Any]) -> list[str]:
    """Lines on what the footage is, with the evidence, how far the embedding spreads, and what each level adds.

    Args:
        outcome: as in the provenance of an encoder; one of the article's method gives no line.
    """
    if not {"embedding", "footage"} <= outcome.keys():
        return []
    kind, embedding = outcome["footage"], outcome["embedding"]
    order = "frames in order of time" if kind["ordered"] else "pictures in no order"
    handedness = kind.get("handedness", 1.0)  # runs of earlier versions know only all or nothing
    differ = f", what tells left from right counts {100 * handedness:.0f} %" if handedness < 1 else ""
    mirror = ", left and right alike" if kind["mirror"] else differ
    colours = f", colours count {100 * kind['colours']:.0f} %" if kind.get("colours") else ""
    lines = [
        f"footage: {order}{mirror}{colours}",
        *_evidence_lines(kind.get("evidence", {})),
        (
            f"embedding: {kind['dim']} numbers, effective rank {embedding['effective_rank']:.0f}, "
            f"mean distance of two frames {embedding['spread']:.2f}"
        ),
    ]
    return [*lines, *_contribution_lines(kind["contributions"])]


def _evidence_lines(evidence: Mapping[str, Any]) -> list[str]:
    """What the footage shows about its frames; nothing of a version that did not ask."""
    if "weight" not in evidence:
        return []
    order, position, weight = (f"{100 * evidence[name]:.0f} %" for name in ("order", "position", "weight"))
    num = round(evidence["num_matches"])
    return [
        f"matches found in the footage: {num:,}, {position} in place; of next frames {order} match",
        f"layout counts {weight} in a comparison, the embedding the rest",
    ]


def _contribution_lines(levels: list[dict[str, Any]]) -> list[str]:
    """What each level adds: how many frames are found again after a change of view, light or noise."""
    if any(level["after_change"] is None for level in levels) or not any(level["kept"] for level in levels):
        return []
    shares = [f"{100 * level['after_change']:.0f} %" for level in levels if level["kept"]]
    steps = [f"level 1 {shares[0]}", *(f"with level {n} {share}" for n, share in enumerate(shares[1:], start=2))]
    line = f"found again after a change of view, light or noise: {', '.join(steps)}"
    return [line, *(f"level {level['level']} adds nothing: not kept" for level in levels if not level["kept"])]
