"""Is it learning, or has it collapsed? What can be said of each level without labels."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from firstsight.learning import objective
from firstsight.model.network import Network

# All maps of a level this alike are one map, many times.
_COLLAPSED = 0.999
# A map whose values differ by less than this part of the largest shows nothing.
_DEAD = 1e-6


@dataclass(frozen=True)
class LevelHealth:
    """One level, measured over some frames."""

    level: int
    mean_max_similarity: float  # mean over frames of the largest |cosine| between two maps, 0 to 1
    mean_similarity: float  # mean over frames and pairs of |cosine|, 0 to 1
    num_dead_maps: int  # the same value everywhere, on every frame
    num_frames: int

    @property
    def collapsed(self) -> bool:
        """Whether all maps of the level show the same."""
        return self.mean_similarity > _COLLAPSED


@torch.inference_mode()
def measure(network: Network, batches: Iterable[Tensor]) -> tuple[LevelHealth, ...]:
    """The health of every level over those inputs, (N, channels, H, W) in [0, 1] each; empty without inputs."""
    parts: list[list[tuple[Tensor, ...]]] = [[] for _ in network.configs]
    for inputs in batches:
        for level, maps in enumerate(network.every_level(inputs)):
            parts[level].append(_summarise(maps))
    if not parts[0]:
        return ()
    return tuple(_health(number, seen) for number, seen in enumerate(parts, start=1))


def _summarise(maps: Tensor) -> tuple[Tensor, ...]:
    """Per frame the largest and the mean |similarity|; per map the least and the largest value."""
    similarities = objective.pairs(objective.map_similarities(maps)).abs()
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
