"""A run folder: config.json and model.safetensors. The article's weights files too. Never a pickle that runs code."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from firstsight.article.network import LevelConfig, Network
from firstsight.closed_form.pyramid import PatchLevelConfig, Pyramid
from firstsight.closed_form.readout import Flattened, Pooled, PoolingConfig, Projection, part_dims
from firstsight.encoder.provenance import Provenance
from firstsight.encoder.views import Preprocessing, WholeFrame
from firstsight.errors import FirstsightError, RunError, SettingsError
from firstsight.files import read_regular, write_whole
from firstsight.from_json import from_json, read_json

FORMAT = "firstsight"
FORMAT_VERSION = 1
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
NEXT_CONFIG_FILE = "config.next.json"  # here while the weights are being written
_READOUT = "readout."
# 40 times what either method's network looks at unless told otherwise; more is a damaged file that takes all memory.
_MAX_SQUARE_PIXELS, _MAX_VIEW_PIXELS = 2**21, 2**18


@dataclass(frozen=True)
class Saved:
    """What a run folder holds of an encoder."""

    preprocessing: Preprocessing | WholeFrame
    network: Network | Pyramid
    readout: Flattened | Pooled
    provenance: Mapping[str, Any] = field(default_factory=dict)


def save(folder: Path, saved: Saved) -> None:
    """Writes configuration and weights; whoever reads finds both of one run, whenever the writing was cut short.

    The new configuration waits under a name of its own until the weights that it is of are in place.

    Raises:
        RunError: the folder cannot be written.
    """
    weights = safetensors.torch.save(_tensors(saved))
    config = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        **_shape(saved),
        "weights": _digest(weights),
        "provenance": dict(saved.provenance),
    }
    write_whole(folder / NEXT_CONFIG_FILE, (json.dumps(config, indent=2) + "\n").encode())
    write_whole(folder / WEIGHTS_FILE, weights)
    try:
        (folder / NEXT_CONFIG_FILE).replace(folder / CONFIG_FILE)
    except OSError as error:
        raise RunError(f"{folder / CONFIG_FILE} cannot be written: {error.strerror}; choose another folder") from error


def fingerprint(saved: Saved) -> str:
    """16 hexadecimal digits of shape and weights, whatever the provenance."""
    return _digest(json.dumps(_shape(saved), sort_keys=True).encode() + safetensors.torch.save(_tensors(saved)))


def quick_digest(saved: Saved) -> bytes:
    """Differs wherever the fingerprint differs, and takes a fifth of its time, as nothing is copied."""
    state = hashlib.blake2b(json.dumps(_shape(saved), sort_keys=True).encode(), digest_size=16)
    for name, tensor in _tensors(saved).items():
        state.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        state.update(tensor.numpy().data)
    return state.digest()


def _digest(content: bytes) -> str:
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
        tensors = _read_weights(path, config)
        make = _closed_form if "pooling" in config else _article
        saved = make(config, tensors)
        provenance: Any = from_json(Provenance, config.get("provenance", {}), name="provenance")
    except FileNotFoundError as error:
        raise RunError(f"{path} has no {WEIGHTS_FILE}; learn it anew with `firstsight learn`") from error
    except OSError as error:
        raise RunError(f"{path / WEIGHTS_FILE} cannot be read ({error.strerror}); check its rights and disk") from error
    except (KeyError, TypeError, ValueError, RuntimeError, FirstsightError, safetensors.SafetensorError) as error:
        raise RunError(f"{path} is damaged ({_first_line(error)}); learn it anew with `firstsight learn`") from error
    return replace(saved, provenance=provenance)


def _read_weights(folder: Path, config: dict[str, Any]) -> dict[str, Tensor]:
    """The tensors that the configuration is of, every number finite."""
    content = read_regular(folder / WEIGHTS_FILE)
    if config.get("weights", _digest(content)) != _digest(content):
        raise SettingsError(f"{WEIGHTS_FILE} does not hold the weights that {CONFIG_FILE} was written for")
    tensors = safetensors.torch.load(content)
    _check_finite(tensors)
    return tensors


def _check_finite(tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise SettingsError(f"{name} holds numbers that are not finite")


def _article(config: dict[str, Any], tensors: dict[str, Tensor]) -> Saved:
    preprocessing = from_json(Preprocessing, config["preprocessing"], name="preprocessing")
    levels = from_json(tuple[LevelConfig, ...], config["levels"], name="levels")
    if not levels or levels[0].in_channels != preprocessing.channels:
        raise SettingsError(f"the first level does not read the {preprocessing.channels} channels of the input")
    _check_size(preprocessing.input_size, preprocessing.input_size, most=_MAX_SQUARE_PIXELS)
    _check_num_weights(sum(_num_weights(level) for level in levels), tensors)
    network = Network(levels, input_size=preprocessing.input_size, seed=0)
    _fill(network, tensors)
    return Saved(preprocessing, network, Flattened())


def _closed_form(config: dict[str, Any], tensors: dict[str, Tensor]) -> Saved:
    view = from_json(WholeFrame, config["preprocessing"], name="preprocessing")
    levels = from_json(tuple[PatchLevelConfig, ...], config["levels"], name="levels")
    pooling = from_json(PoolingConfig, config["pooling"], name="pooling")
    for level in levels:
        _check_size(max(view.width, level.width), max(view.height, level.height), most=_MAX_VIEW_PIXELS)
        if level.in_channels != view.channels:
            raise SettingsError(f"a level reads {level.in_channels} channels of {view.channels}")
        if min(level.map_shape) < max((*pooling.mean_grids, *pooling.covariance_grids)):
            raise SettingsError(f"maps of {level.map_shape} cells are too small for {pooling}")
    _check_num_weights(sum(level.filters * level.patch_dim for level in levels), tensors)
    network = Pyramid(levels)
    _fill(network, {name: tensor for name, tensor in tensors.items() if not name.startswith(_READOUT)})
    readout = Pooled(pooling, Projection(*tensors[f"{_READOUT}projection.quantised"].shape))
    _fill(
        readout, {name.removeprefix(_READOUT): tensor for name, tensor in tensors.items() if name.startswith(_READOUT)}
    )
    if sum(part_dims(network, pooling)) != len(readout.projection.mean):
        raise SettingsError(f"what {pooling} reads is not what the read-out's projection takes")
    return Saved(view, network, readout)


def _check_size(width: int, height: int, *, most: int) -> None:
    """Refuses sizes that would take more memory than any run has asked for."""
    if width * height > most:
        raise SettingsError(f"an input of {width}x{height}; valid is at most {most} pixels")


def _num_weights(level: LevelConfig) -> int:
    hidden = level.hidden_maps or level.maps
    return level.in_channels * hidden * level.kernel_size**2 + (level.hidden_maps or 0) * level.maps


def _check_num_weights(stated: int, tensors: Mapping[str, Tensor]) -> None:
    """Refuses levels larger than their weights before memory is taken for them."""
    there = sum(tensor.numel() for tensor in tensors.values())
    if stated > there:
        raise SettingsError(f"the levels stated have {stated} weights, and there are {there} numbers")


def _fill(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Puts the weights in, each of the type that it is kept in."""
    for name, own in module.state_dict().items():
        if name in tensors and tensors[name].dtype != own.dtype:
            raise SettingsError(f"{name} is of {tensors[name].dtype}; valid is {own.dtype}")
    module.load_state_dict(dict(tensors))


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration of a run folder, of a version that this program reads.

    Raises:
        RunError: no run there, not readable, or of another version.
    """
    if not folder.exists():
        raise RunError(
            f"no run at {folder}; give a folder made by `firstsight learn`, or an article weights file (.pth)"
        )
    try:
        file = _config_file(folder)
        config = read_json(file)
    except FileNotFoundError as error:
        raise RunError(
            f"{folder} is not a run: it has no {CONFIG_FILE}; give a folder made by `firstsight learn`"
        ) from error
    except (OSError, ValueError) as error:
        raise RunError(f"{folder / CONFIG_FILE} cannot be read ({_first_line(error)}); learn the run anew") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise RunError(f"{file} is not a firstsight configuration; give a folder made by `firstsight learn`")
    if config.get("format_version") != FORMAT_VERSION:
        raise RunError(
            f"{folder} is a run of format version {json.dumps(config.get('format_version'))[:20]}; this program reads "
            f"version {FORMAT_VERSION}: use the firstsight that made it, or learn it anew"
        )
    return config


def read_provenance(folder: Path) -> Provenance:
    """How the run in the folder came to be, checked.

    Raises:
        RunError: as `read_config`, or it is damaged.
    """
    try:
        return from_json(Provenance, read_config(folder).get("provenance", {}), name="provenance")
    except SettingsError as error:
        raise RunError(f"{folder} is damaged ({error}); learn it anew with `firstsight learn`") from error


def is_run(folder: Path) -> bool:
    """Whether something there claims to be a run."""
    try:
        config = read_json(_config_file(folder))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("format") == FORMAT


def _config_file(folder: Path) -> Path:
    """The configuration that the weights are of: the one that waits, if they are in place and it is not yet.

    Raises:
        FileNotFoundError: there is none.
        OSError, ValueError: the one that waits cannot be read.
    """
    waiting, weights = folder / NEXT_CONFIG_FILE, folder / WEIGHTS_FILE
    if waiting.is_file() and weights.is_file():
        config = read_json(waiting)
        if isinstance(config, dict) and config.get("weights") == _digest(weights.read_bytes()):
            return waiting
    if not (folder / CONFIG_FILE).is_file():
        raise FileNotFoundError(CONFIG_FILE)
    return folder / CONFIG_FILE


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
        _check_finite(renamed)
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
