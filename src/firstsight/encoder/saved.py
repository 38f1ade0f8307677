"""A run folder holds config.json and model.safetensors: written atomically, checked when read, never a pickle."""

import hashlib
import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from firstsight.encoder.model import Model
from firstsight.errors import FirstsightError, RunError, SettingsError
from firstsight.files import read_regular, write_atomically
from firstsight.from_json import from_json, read_json


class LevelEnd(TypedDict):
    """How a level of the article's method ended."""

    level: int
    frame: int
    outcome: Literal["threshold", "cap", "go on"]


class LevelHealth(TypedDict):
    """A level, measured over some frames."""

    level: int
    mean_max_similarity: float
    mean_similarity: float
    num_dead_maps: int
    num_frames: int


class Contribution(TypedDict):
    """What a level of the default method adds."""

    level: int
    after_change: float | None
    kept: bool


class Evidence(TypedDict):
    """What the frames of the footage show about each other; empty where the method was told not to ask."""

    order: NotRequired[float]
    position: NotRequired[float]
    weight: NotRequired[float]
    num_matches: NotRequired[float]


class FootageFacts(TypedDict):
    """What the default method found about the footage."""

    ordered: bool
    mirror: bool
    dim: int
    contributions: list[Contribution]
    evidence: NotRequired[Evidence]


class EmbeddingFacts(TypedDict):
    """The embedding over some frames."""

    spread: float
    effective_rank: float


class Outcome(TypedDict):
    """How learning went."""

    finished: NotRequired[bool]
    levels: NotRequired[list[LevelEnd]]
    health: NotRequired[list[LevelHealth]]
    health_before: NotRequired[list[LevelHealth]]
    frames_in_a_pass: NotRequired[int | None]
    frames_skipped: NotRequired[int]
    skipped_by_file: NotRequired[dict[str, Any]]
    frames_learned_from: NotRequired[int]
    seconds: NotRequired[float]
    footage: NotRequired[FootageFacts]
    embedding: NotRequired[EmbeddingFacts]
    warnings: NotRequired[list[str]]


class Footage(TypedDict):
    """What was learned from, to be read again."""

    paths: list[str]
    start_seconds: float | None
    end_seconds: float | None
    every: int | None
    frames_per_second: float | None


class Provenance(TypedDict):
    """How an encoder was learned; everything may be missing."""

    method: NotRequired[str | None]
    settings: NotRequired[dict[str, Any]]
    seed: NotRequired[int]
    held_out: NotRequired[float | None]
    source: NotRequired[str]
    weights_file: NotRequired[str]
    firstsight: NotRequired[str]
    footage: NotRequired[Footage]
    extended_by: NotRequired[list[Footage]]
    machine: NotRequired[dict[str, Any]]
    outcome: NotRequired[Outcome]


FORMAT = "firstsight"
FORMAT_VERSION = 1
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
NEXT_CONFIG_FILE = "config.next.json"  # here while the weights are being written
# What makes a model of a configuration. By name, so that a method is loaded only for a run of its own.
_CLOSED_FORM, _ARTICLE = "firstsight.closed_form.model", "firstsight.article.model"


def save(folder: Path, model: Model, provenance: Mapping[str, Any]) -> None:
    """Writes configuration and weights; a reader finds both of one run, even if the writing was interrupted.

    The new configuration has a temporary name until its weights are written.

    Raises:
        RunError: the folder cannot be written.
    """
    weights = safetensors.torch.save(_tensors(model))
    config = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        **model.config(),
        "weights": _digest(weights),
        "provenance": dict(provenance),
    }
    write_atomically(folder / NEXT_CONFIG_FILE, (json.dumps(config, indent=2) + "\n").encode())
    write_atomically(folder / WEIGHTS_FILE, weights)
    try:
        (folder / NEXT_CONFIG_FILE).replace(folder / CONFIG_FILE)
    except OSError as error:
        raise RunError(f"{folder / CONFIG_FILE} cannot be written: {error.strerror}; choose another folder") from error


def load(path: Path) -> tuple[Model, Mapping[str, Any]]:
    """The model saved at the path and how it came to be: a run folder, or a weights file of the article's author.

    Raises:
        RunError: there is none, or it is damaged or of another version.
    """
    if path.is_file():
        model: Model = import_module(_ARTICLE).load_article_weights(path)
        return model, {"method": "article", "weights_file": path.name}
    config = read_config(path)
    try:
        tensors = _read_weights(path, config)
        model = import_module(_CLOSED_FORM if "pooling" in config else _ARTICLE).from_saved(config, tensors)
        provenance: Any = from_json(Provenance, config.get("provenance", {}), name="provenance")
    except FileNotFoundError as error:
        raise RunError(f"{path} has no {WEIGHTS_FILE}; learn it again with `firstsight learn`") from error
    except OSError as error:
        raise RunError(f"{path / WEIGHTS_FILE} cannot be read ({error.strerror}); check its rights and disk") from error
    except (KeyError, TypeError, ValueError, RuntimeError, FirstsightError, safetensors.SafetensorError) as error:
        raise RunError(f"{path} is damaged ({first_line(error)}); learn it again with `firstsight learn`") from error
    return model, provenance


def fingerprint(model: Model) -> str:
    """16 hexadecimal digits of configuration and weights, whatever the provenance."""
    return _digest(json.dumps(model.config(), sort_keys=True).encode() + safetensors.torch.save(_tensors(model)))


def quick_digest(model: Model) -> bytes:
    """Differs wherever the fingerprint differs, in a fifth of its time, as nothing is copied."""
    state = hashlib.blake2b(json.dumps(model.config(), sort_keys=True).encode(), digest_size=16)
    for name, tensor in _tensors(model).items():
        state.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        state.update(tensor.numpy().data)
    return state.digest()


def check_input_size(width: int, height: int, *, most: int) -> None:
    """Raises a SettingsError for more pixels than that, before memory is taken for them."""
    if width * height > most:
        raise SettingsError(f"an input of {width}x{height}; valid is at most {most} pixels")


def check_num_weights(stated: int, tensors: Mapping[str, Tensor]) -> None:
    """Raises a SettingsError for levels larger than their weights, before memory is taken for them."""
    there = sum(tensor.numel() for tensor in tensors.values())
    if stated > there:
        raise SettingsError(f"the levels stated have {stated} weights, and there are {there} numbers")


def check_finite(tensors: Mapping[str, Tensor]) -> None:
    """Raises a SettingsError for weights that are not finite."""
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise SettingsError(f"{name} holds numbers that are not finite")


def fill(module: nn.Module, tensors: Mapping[str, Tensor], *, prefix: str = "") -> None:
    """Loads the weights with that prefix into the module, each of the type that it has there."""
    mine = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    for name, own in module.state_dict().items():
        if name in mine and mine[name].dtype != own.dtype:
            raise SettingsError(f"{name} is of {mine[name].dtype}; valid is {own.dtype}")
    module.load_state_dict(mine)


def first_line(error: Exception) -> str:
    """The first line of the error's message."""
    return (str(error) or type(error).__name__).splitlines()[0]


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
        raise RunError(f"{folder / CONFIG_FILE} cannot be read ({first_line(error)}); learn the run again") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise RunError(f"{file} is not a firstsight configuration; give a folder made by `firstsight learn`")
    if config.get("format_version") != FORMAT_VERSION:
        raise RunError(
            f"{folder} is a run of format version {json.dumps(config.get('format_version'))[:20]}; this program reads "
            f"version {FORMAT_VERSION}: use the firstsight that made it, or learn it again"
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
        raise RunError(f"{folder} is damaged ({error}); learn it again with `firstsight learn`") from error


def is_run(folder: Path) -> bool:
    """Whether the folder has the configuration of a run."""
    try:
        config = read_json(_config_file(folder))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("format") == FORMAT


def _config_file(folder: Path) -> Path:
    """The configuration of the weights: the one with the temporary name, if the weights are already its own.

    Raises:
        FileNotFoundError: there is none.
        OSError, ValueError: the temporary one cannot be read.
    """
    temporary, weights = folder / NEXT_CONFIG_FILE, folder / WEIGHTS_FILE
    if temporary.is_file() and weights.is_file():
        config = read_json(temporary)
        if isinstance(config, dict) and config.get("weights") == _digest(weights.read_bytes()):
            return temporary
    if not (folder / CONFIG_FILE).is_file():
        raise FileNotFoundError(CONFIG_FILE)
    return folder / CONFIG_FILE


def _read_weights(folder: Path, config: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors that the configuration is of, every number finite."""
    content = read_regular(folder / WEIGHTS_FILE)
    if config.get("weights", _digest(content)) != _digest(content):
        raise SettingsError(f"{WEIGHTS_FILE} does not hold the weights that {CONFIG_FILE} was written for")
    tensors = safetensors.torch.load(content)
    check_finite(tensors)
    return tensors


def _tensors(model: Model) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(model.tensors().items())}


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()
