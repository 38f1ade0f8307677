"""The central claim made visible: each level's filters, maps and similarities, before and after learning."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from firstsight.article import objective
from firstsight.article.network import LevelConfig, Network, to_inputs
from firstsight.closed_form.pyramid import PatchLevelConfig, Pyramid
from firstsight.encoder.encoder import Encoder
from firstsight.report.drawing import filters_picture, maps_picture, png_uri, similarity_picture


@dataclass(frozen=True)
class LevelPictures:
    """One level of one network, looking at one frame."""

    filters: str  # pictures as `data:` addresses
    maps: str
    similarities: str
    largest_similarity: float  # |cosine| of the most similar pair of maps, 0 to 1


@dataclass(frozen=True)
class LevelStory:
    """One level before and after."""

    number: int
    shape: str
    ended: str  # "threshold", "cap", or nothing known
    before: LevelPictures | None
    after: LevelPictures
    health: dict[str, Any] | None  # on frames not learned from, if the run measured it
    health_before: dict[str, Any] | None


def initial_network(encoder: Encoder) -> tuple[Network | None, str]:
    """The network before learning, and how to call it: from the run's seed, or random if that is not known.

    None for the closed form, which starts from nothing.
    """
    if not isinstance(encoder.network, Network):
        return None, ""
    seed = encoder.provenance.get("seed")
    network = Network(encoder.network.configs, input_size=encoder.network.input_size, seed=seed or 0).eval()
    return network, "random weights" if seed is None else "before learning"


def level_stories(encoder: Encoder, pixels: NDArray[np.uint8]) -> list[LevelStory]:
    """Every level of the encoder, looking at that frame: uint8 (input_size, input_size, channels)."""
    initial, _ = initial_network(encoder)
    inputs = to_inputs(pixels[None], torch.device("cpu"))
    before = _pictures(initial, inputs) if initial else None
    after = _pictures(encoder.network, inputs.to(encoder.network.device))
    outcome = encoder.provenance.get("outcome", {})
    configs: Sequence[LevelConfig | PatchLevelConfig] = encoder.network.configs
    return [
        LevelStory(
            number=index + 1,
            shape=f"{config.maps} maps of {rows}x{columns}",
            ended=(_at(outcome.get("levels"), index) or {}).get("outcome", ""),
            before=before[index] if before else None,
            after=after[index],
            health=_at(outcome.get("health"), index),
            health_before=_at(outcome.get("health_before"), index),
        )
        for index, (config, (rows, columns)) in enumerate(zip(configs, encoder.network.map_shapes, strict=True))
    ]


@torch.inference_mode()
def _pictures(network: Network | Pyramid, inputs: torch.Tensor) -> list[LevelPictures]:
    return [_level_pictures(_filters(network, index), maps) for index, maps in enumerate(network.every_level(inputs))]


def _filters(network: Network | Pyramid, index: int) -> NDArray[np.float32]:
    """The level's filters (out, in, k, k)."""
    if isinstance(network, Pyramid):
        level = network.levels[index]
        size = level.config.kernel_size
        return level.weight.T.reshape(-1, level.config.in_channels, size, size).cpu().numpy()
    weights: NDArray[np.float32] = network.state_dict()[f"levels.{index}.hidden.weight"].cpu().numpy()
    return weights


def _level_pictures(weights: NDArray[np.float32], maps: torch.Tensor) -> LevelPictures:
    similarities = objective.map_similarities(maps)
    return LevelPictures(
        filters=png_uri(filters_picture(weights), enlarge=4 if weights.shape[1] in (1, 3) else 2),
        maps=png_uri(maps_picture(maps[0].cpu().numpy()), enlarge=max(1, 100 // maps.shape[-1])),
        similarities=png_uri(similarity_picture(similarities[0].cpu().numpy()), enlarge=max(1, 192 // maps.shape[1])),
        largest_similarity=objective.largest_similarity(objective.pairs(similarities)).item(),
    )


def _at(values: list[dict[str, Any]] | None, index: int) -> dict[str, Any] | None:
    return values[index] if values and index < len(values) else None
