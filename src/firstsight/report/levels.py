"""Each level's filters, maps and similarities, before and after learning."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from firstsight.encoder.encoder import Encoder
from firstsight.encoder.model import Model, to_inputs
from firstsight.quality.health import is_held_out, map_similarities, pairs
from firstsight.report.drawing import filters_picture, maps_picture, png_uri, similarity_picture


@dataclass(frozen=True)
class LevelPictures:
    """One level of one network, on one frame."""

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
    health: dict[str, Any] | None  # if the run measured it
    health_before: dict[str, Any] | None
    is_held_out: bool  # measured on frames not learned from


def initial_model(encoder: Encoder) -> tuple[Model | None, str]:
    """The network before learning, and how to call it: from the run's seed, or random if that is not known.

    None for the closed form, which starts from nothing.
    """
    seed = encoder.provenance.get("seed")
    return encoder.model.initial(seed=seed or 0), "random weights" if seed is None else "before learning"


def level_stories(encoder: Encoder, pixels: NDArray[np.uint8]) -> list[LevelStory]:
    """Every level of the encoder on that frame: uint8 (height, width, channels) as its view gives it."""
    initial, _ = initial_model(encoder)
    inputs = to_inputs(pixels[None], torch.device("cpu"))
    before = _pictures(initial, inputs) if initial else None
    after = _pictures(encoder.model, inputs.to(encoder.model.device))
    outcome = encoder.provenance.get("outcome", {})
    return [
        LevelStory(
            number=index + 1,
            shape=f"{shape.maps} maps of {shape.rows}x{shape.columns}",
            ended=(_at(outcome.get("levels"), index) or {}).get("outcome", ""),
            before=before[index] if before else None,
            after=after[index],
            health=_at(outcome.get("health"), index),
            health_before=_at(outcome.get("health_before"), index),
            is_held_out=is_held_out(outcome),
        )
        for index, shape in enumerate(encoder.shapes)
    ]


@torch.inference_mode()
def _pictures(model: Model, inputs: torch.Tensor) -> list[LevelPictures]:
    levels = enumerate(model.every_level(inputs), start=1)
    return [_level_pictures(model.filters(number), maps) for number, maps in levels]


def _level_pictures(weights: NDArray[np.float32], maps: torch.Tensor) -> LevelPictures:
    similarities = map_similarities(maps)
    return LevelPictures(
        filters=png_uri(filters_picture(weights), enlarge=4 if weights.shape[1] in (1, 3) else 2),
        maps=png_uri(maps_picture(maps[0].cpu().numpy()), enlarge=max(1, 100 // maps.shape[-1])),
        similarities=png_uri(similarity_picture(similarities[0].cpu().numpy()), enlarge=max(1, 192 // maps.shape[1])),
        largest_similarity=pairs(similarities).abs().max().item(),
    )


def _at(values: list[dict[str, Any]] | None, index: int) -> dict[str, Any] | None:
    return values[index] if values and index < len(values) else None
