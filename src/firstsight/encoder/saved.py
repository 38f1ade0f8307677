"""A run folder holds config.json and model.safetensors: written atomically, checked when read, never a pickle."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from firstsight.encoder.model import Model
from firstsight.encoder.run_config import (
    CONFIG_FILE,
    FORMAT,
    FORMAT_VERSION,
    NEXT_CONFIG_FILE,
    WEIGHTS_FILE,
    Provenance,
    digest,
    fingerprint_of,
    first_line,
    read_config,
)
from firstsight.errors import FirstsightError, RunError, SettingsError
from firstsight.files import read_regular, write_atomically
from firstsight.from_json import from_json

# Two files are read, and a process that learns may save between them.
_ATTEMPTS = 3
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
        "weights": digest(weights),
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
    for _ in range(_ATTEMPTS - 1):
        with suppress(RunError):
            return _load(path)
    return _load(path)


def _load(path: Path) -> tuple[Model, Mapping[str, Any]]:
    config = read_config(path)
    try:
        tensors = _read_weights(path, config)
        model: Model = import_module(_CLOSED_FORM if "pooling" in config else _ARTICLE).from_saved(config, tensors)
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
    return fingerprint_of(model.config(), safetensors.torch.save(_tensors(model)))


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


def _read_weights(folder: Path, config: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors that the configuration is of, every number finite."""
    content = read_regular(folder / WEIGHTS_FILE)
    if config.get("weights", digest(content)) != digest(content):
        raise SettingsError(f"{WEIGHTS_FILE} does not hold the weights that {CONFIG_FILE} was written for")
    tensors = safetensors.torch.load(content)
    check_finite(tensors)
    return tensors


def _tensors(model: Model) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(model.tensors().items())}
