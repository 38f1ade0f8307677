"""Whether levels and embedding have collapsed, measured without labels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from firstsight.encoder.model import Levels, to_inputs
from firstsight.encoder.similarity import Similarity, map_similarities, pairs

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
