"""A run folder: config.json and model.safetensors. The article's weights files too. Never a pickle that runs code."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from firstsight.errors import FirstsightError, RunError
from firstsight.files import write_whole
from firstsight.model.level import LevelConfig
from firstsight.model.network import Network
from firstsight.model.patch_level import PatchLevelConfig
from firstsight.model.preprocessing import Preprocessing
from firstsight.model.pyramid import Pyramid
from firstsight.model.readout import Flattened, Pooled, PoolingConfig, Projection
from firstsight.model.whole_frame import WholeFrame

FORMAT = "firstsight"
FORMAT_VERSION = 1
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
_READOUT = "readout."


@dataclass(frozen=True)
class Saved:
    """What a run folder holds of an encoder."""

    preprocessing: Preprocessing | WholeFrame
    network: Network | Pyramid
    readout: Flattened | Pooled
    provenance: Mapping[str, Any] = field(default_factory=dict)


def save(folder: Path, saved: Saved) -> None:
    """Writes the weights, then the configuration that makes them count as a run.

    Raises:
        RunError: the folder cannot be written.
    """
    config = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        **_shape(saved),
        "provenance": dict(saved.provenance),
    }
    write_whole(folder / WEIGHTS_FILE, safetensors.torch.save(_tensors(saved)))
    write_whole(folder / CONFIG_FILE, (json.dumps(config, indent=2) + "\n").encode())


def fingerprint(saved: Saved) -> str:
    """16 hexadecimal digits of shape and weights, whatever the provenance."""
    content = json.dumps(_shape(saved), sort_keys=True).encode() + safetensors.torch.save(_tensors(saved))
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def _shape(saved: Saved) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "preprocessing": asdict(saved.preprocessing),
        "levels": [asdict(level) for level in saved.network.configs],
    }
    return shape | ({"pooling": asdict(saved.readout.config)} if isinstance(saved.readout, Pooled) else {})


def _tensors(saved: Saved) -> dict[str, Tensor]:
    weights = saved.network.state_dict()
    if isinstance(saved.readout, Pooled):
        weights |= {_READOUT + name: tensor for name, tensor in saved.readout.state_dict().items()}
    return {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(weights.items())}


def load(path: Path) -> Saved:
    """What was saved at the path: a run folder, or a weights file of the article's author.

    Raises:
        RunError: nothing there, damaged, or of another version.
    """
    if path.is_file():
        return load_article_weights(path)
    config = read_config(path)
    try:
        tensors = safetensors.torch.load_file(path / WEIGHTS_FILE)
        make = _closed_form if "pooling" in config else _article
        return make(config, tensors)
    except FileNotFoundError as error:
        raise RunError(f"{path} has no {WEIGHTS_FILE}; learn it anew with `firstsight learn`") from error
    except (KeyError, TypeError, ValueError, RuntimeError, FirstsightError, safetensors.SafetensorError) as error:
        raise RunError(f"{path} is damaged ({_first_line(error)}); learn it anew with `firstsight learn`") from error


def _article(config: dict[str, Any], tensors: dict[str, Tensor]) -> Saved:
    preprocessing = Preprocessing(**config["preprocessing"])
    levels = [LevelConfig(**level) for level in config["levels"]]
    network = Network(levels, input_size=preprocessing.input_size, seed=0)
    network.load_state_dict(tensors)
    return Saved(preprocessing, network, Flattened(), config.get("provenance", {}))


def _closed_form(config: dict[str, Any], tensors: dict[str, Tensor]) -> Saved:
    network = Pyramid([PatchLevelConfig(**level) for level in config["levels"]])
    network.load_state_dict({name: tensor for name, tensor in tensors.items() if not name.startswith(_READOUT)})
    stored = config["pooling"]
    pooling = PoolingConfig(tuple(stored["mean_grids"]), tuple(stored["covariance_grids"]), mirror=stored["mirror"])
    readout = Pooled(pooling, Projection(*tensors[f"{_READOUT}projection.quantised"].shape))
    readout.load_state_dict(
        {name.removeprefix(_READOUT): tensor for name, tensor in tensors.items() if name.startswith(_READOUT)}
    )
    return Saved(WholeFrame(**config["preprocessing"]), network, readout, config.get("provenance", {}))


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration of a run folder, of a version that this program reads.

    Raises:
        RunError: no run there, not readable, or of another version.
    """
    file = folder / CONFIG_FILE
    if not folder.exists():
        raise RunError(
            f"no run at {folder}; give a folder made by `firstsight learn`, or an article weights file (.pth)"
        )
    if not file.is_file():
        raise RunError(f"{folder} is not a run: it has no {CONFIG_FILE}; give a folder made by `firstsight learn`")
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{file} cannot be read ({_first_line(error)}); learn the run anew") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise RunError(f"{file} is not a firstsight configuration; give a folder made by `firstsight learn`")
    if config.get("format_version") != FORMAT_VERSION:
        raise RunError(
            f"{folder} is a run of format version {config.get('format_version')}; this program reads version "
            f"{FORMAT_VERSION}: use the firstsight that made it, or learn it anew"
        )
    return config


def load_article_weights(path: Path) -> Saved:
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
        preprocessing = Preprocessing(channels=levels[0].in_channels)
        network = Network(levels, input_size=preprocessing.input_size, seed=0)
        network.load_state_dict(renamed)
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError, FirstsightError) as error:
        raise RunError(
            f"{path} does not hold the article's network ({_first_line(error)}); "
            "valid are tensors named main.0.conv1.conv2d.weight and so on"
        ) from error
    return Saved(preprocessing, network, Flattened(), {"method": "article", "weights_file": path.name})


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
    if not isinstance(tensors, dict) or not tensors or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise RunError(f"{path} does not hold named tensors; give a .pth file of the article's author")
    return tensors


def _level_name(article_name: str) -> str:
    """`levels.0.hidden.weight` for `main.0.conv1.conv2d.weight`."""
    _, index, convolution, _, parameter = article_name.split(".")
    ours = {"conv1": "hidden", "conv2": "maps"}[convolution]
    return f"levels.{index}.{ours}.{parameter}"


def _level_config(tensors: Mapping[str, Tensor], index: int) -> LevelConfig:
    hidden_maps, in_channels, kernel_size, _ = tensors[f"levels.{index}.hidden.weight"].shape
    maps = tensors[f"levels.{index}.maps.weight"].shape[0]
    return LevelConfig(in_channels, maps=maps, hidden_maps=hidden_maps, kernel_size=kernel_size)


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
