"""The article's encoder: a square from the middle of the frame, the levels, and the last level's maps flattened."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from firstsight.article.network import Network
from firstsight.article.settings import MAX_INPUT_PIXELS, LevelConfig, article_levels
from firstsight.encoder.encoder import Encoder
from firstsight.encoder.model import CentralSquare, MapShape
from firstsight.encoder.run_config import first_line
from firstsight.encoder.saved import check_finite, check_input_size, check_num_weights, fill
from firstsight.errors import FirstsightError, RunError, SettingsError, check_seed
from firstsight.from_json import from_json
from firstsight.process import Precision


@dataclass(frozen=True, eq=False)
class ArticleModel:
    """A `Model` of the article's method: the flattened last level is the embedding."""

    view: CentralSquare
    network: Network
    precision: Precision = "float32"
    compared_dims: int | None = 64  # as the article compares
    maps_are_centred: bool = False
    second_stage: None = None

    def __post_init__(self) -> None:
        self.network.eval()

    @property
    def shapes(self) -> tuple[MapShape, ...]:
        """Of each level."""
        levels = zip(self.network.configs, self.network.map_sizes, strict=True)
        return tuple(MapShape(config.maps, size, size) for config, size in levels)

    @property
    def dim(self) -> int:
        """Numbers in an embedding."""
        last = self.shapes[-1]
        return last.maps * last.rows * last.columns

    @property
    def compared_level(self) -> int:
        """The last level."""
        return len(self.shapes)

    @property
    def device(self) -> torch.device:
        """Of the weights."""
        return self.network.device

    def embed(self, inputs: Tensor) -> Tensor:
        """The last level's maps, flattened: (N, dim), not of unit length."""
        maps: Tensor = self.network(inputs)
        return maps.flatten(1)

    def describe(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Embeddings alone: there is no second stage."""
        return (self.embed(inputs),)

    def maps(self, inputs: Tensor, level: int) -> Tensor:
        """The maps of one level (N, maps, rows, columns)."""
        maps: Tensor = self.network(inputs, level=level)
        return maps

    def every_level(self, inputs: Tensor) -> list[Tensor]:
        """The maps of each level."""
        return self.network.every_level(inputs)

    def filters(self, level: int) -> NDArray[np.float32]:
        """The level's filters (out, in, k, k)."""
        weights: NDArray[np.float32] = self.tensors()[f"levels.{level - 1}.hidden.weight"].cpu().numpy()
        return weights

    def cell_centres(self, level: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where the rows and the columns of the level's maps lie, in pixels of the network's input."""
        return self.network.cell_centres(level)

    def initial(self, *, seed: int) -> "ArticleModel":
        """The same network with its initial weights of that seed."""
        return ArticleModel(self.view, Network(self.network.configs, input_size=self.network.input_size, seed=seed))

    def to(self, device: torch.device) -> None:
        """Moves the weights."""
        self.network.to(device)

    def config(self) -> dict[str, Any]:
        """Everything but the weights, as plain JSON values."""
        return {"preprocessing": asdict(self.view), "levels": [asdict(level) for level in self.network.configs]}

    def tensors(self) -> Mapping[str, Tensor]:
        """The weights, by name."""
        return self.network.state_dict()


def untrained(*, seed: int = 0) -> Encoder:
    """The article's network with its initial weights: the baseline that learning has to beat.

    Raises:
        SettingsError: the seed is no integer from 0 to 2**32 - 1.
    """
    view = CentralSquare()
    network = Network(article_levels(), input_size=view.input_size, seed=check_seed(seed))
    return Encoder(ArticleModel(view, network))


def from_saved(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> ArticleModel:
    """The model of which `config` and `tensors` were saved.

    Raises:
        SettingsError, KeyError, RuntimeError: they do not fit each other.
    """
    view = from_json(CentralSquare, config["preprocessing"], name="preprocessing")
    levels = from_json(tuple[LevelConfig, ...], config["levels"], name="levels")
    if not levels or levels[0].in_channels != view.channels:
        raise SettingsError(f"the first level does not read the {view.channels} channels of the input")
    check_input_size(view.input_size, view.input_size, most=MAX_INPUT_PIXELS)
    check_num_weights(sum(_num_weights(level) for level in levels), tensors)
    network = Network(levels, input_size=view.input_size, seed=0)
    fill(network, tensors)
    return ArticleModel(view, network)


def load_article_weights(path: Path) -> ArticleModel:
    """The network in a weights file of the article's author: `main.{0..}.conv{1,2}.conv2d.{weight,bias}`.

    Only tensors are read (`weights_only`), so a file cannot run code.

    Raises:
        RunError: no such file, or not such weights.
    """
    tensors = _read_tensors(path)
    try:
        num_levels = 1 + max(int(name.split(".")[1]) for name in tensors)
        renamed = {_level_name(name): tensor for name, tensor in tensors.items()}
        levels = [_level_config(renamed, index) for index in range(num_levels)]
        view = CentralSquare(channels=levels[0].in_channels)
        network = Network(levels, input_size=view.input_size, seed=0)
        network.load_state_dict(renamed)
        check_finite(network.state_dict())
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError, FirstsightError) as error:
        raise RunError(
            f"{path} does not hold the article's network ({first_line(error)}); "
            "valid are tensors named main.0.conv1.conv2d.weight and so on"
        ) from error
    return ArticleModel(view, network)


def _read_tensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise RunError(f"no weights file at {path}; give a .pth file of the article's author")
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except PermissionError as error:
        raise RunError(f"{path} cannot be read: permission denied") from error
    except Exception as error:  # a damaged archive can raise anything
        raise RunError(
            f"{path} is not a weights file: it is damaged, or holds more than tensors; it was not run"
        ) from error
    pairs: list[tuple[object, object]] = list(tensors.items()) if isinstance(tensors, dict) else []
    named = {name: value for name, value in pairs if isinstance(name, str) and isinstance(value, Tensor)}
    if not named or len(named) < len(pairs):
        raise RunError(f"{path} does not hold named tensors; give a .pth file of the article's author")
    if sum(value.nbytes for value in named.values()) > path.stat().st_size:  # of repeated numbers
        raise RunError(f"{path} holds fewer numbers than its tensors state; give a .pth file of the article's author")
    return named


def _level_name(article_name: str) -> str:
    """`levels.0.hidden.weight` for `main.0.conv1.conv2d.weight`."""
    _, index, convolution, _, parameter = article_name.split(".")
    ours = {"conv1": "hidden", "conv2": "maps"}[convolution]
    return f"levels.{index}.{ours}.{parameter}"


def _level_config(tensors: Mapping[str, Tensor], index: int) -> LevelConfig:
    hidden_maps, in_channels, kernel_size, _ = tensors[f"levels.{index}.hidden.weight"].shape
    maps = tensors[f"levels.{index}.maps.weight"].shape[0]
    return LevelConfig(in_channels, maps=maps, hidden_maps=hidden_maps, kernel_size=kernel_size)


def _num_weights(level: LevelConfig) -> int:
    hidden = level.hidden_maps or level.maps
    return level.in_channels * hidden * level.kernel_size**2 + (level.hidden_maps or 0) * level.maps
