"""The configuration of a run folder: what it is of, and how it came to be. Does not load PyTorch."""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

from firstsight.errors import RunError, SettingsError
from firstsight.files import read_regular
from firstsight.from_json import from_json, read_json
from firstsight.text import printable


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
    handedness: NotRequired[float]  # 0 to 1; earlier versions know only whether it is 0
    colours: NotRequired[float]  # weight in the embedding, 0 to 1; earlier versions read none
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
    health_held_out: NotRequired[bool]  # whether that was measured on frames not learned from
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
_NOT_OF_THE_MODEL = ("format", "format_version", "weights", "provenance")


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
        file = config_file(folder)
        config = read_json(file)
    except FileNotFoundError as error:
        check_no_library(folder)
        raise RunError(
            f"{folder} is not a run: it has no {CONFIG_FILE}; give a folder made by `firstsight learn`"
        ) from error
    except (OSError, ValueError) as error:
        raise RunError(
            f"{folder / CONFIG_FILE} cannot be read ({first_line(error)}); remove the folder, and learn the run again"
        ) from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise RunError(f"{file} is not a firstsight configuration; give a folder made by `firstsight learn`")
    if config.get("format_version") != FORMAT_VERSION:
        raise RunError(
            f"{folder} is a run of format version {json.dumps(config.get('format_version'))[:20]}; this program reads "
            f"version {FORMAT_VERSION}: use the firstsight that made it, or learn it again"
        )
    return config


def check_no_library(folder: Path) -> None:
    """Raises a RunError that names the run within, if the folder is a library."""
    if (folder / "library.json").is_file() and (folder / "model").is_dir():
        raise RunError(f"{printable(folder)} is a library; its encoder is in {printable(folder / 'model')}: give that")


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
        config = read_json(config_file(folder))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("format") == FORMAT


def config_file(folder: Path) -> Path:
    """The configuration of the weights: the one with the temporary name, if the weights are already its own.

    Raises:
        FileNotFoundError: there is none.
        OSError, ValueError: the temporary one cannot be read.
    """
    temporary, weights = folder / NEXT_CONFIG_FILE, folder / WEIGHTS_FILE
    if temporary.is_file() and weights.is_file():
        config = read_json(temporary)
        if isinstance(config, dict) and config.get("weights") == digest(weights.read_bytes()):
            return temporary
    if not (folder / CONFIG_FILE).is_file():
        raise FileNotFoundError(CONFIG_FILE)
    return folder / CONFIG_FILE


def fingerprint_of(config: dict[str, Any], weights: bytes) -> str:
    """16 hexadecimal digits of a model's own configuration and its weights, as a file of safetensors."""
    return digest(json.dumps(config, sort_keys=True).encode() + weights)


def model_config(folder: Path, *, fingerprint: str) -> dict[str, Any] | None:
    """The configuration of the model saved in the folder, if that is the one of the fingerprint; else None.

    None also of one saved in another order or with fewer fields, which a loaded model would complete.
    """
    try:
        config, weights = read_config(folder), read_regular(folder / WEIGHTS_FILE)
    except (OSError, RunError):
        return None
    own = {name: value for name, value in config.items() if name not in _NOT_OF_THE_MODEL}
    return own if fingerprint_of(own, weights) == fingerprint else None


def digest(content: bytes) -> str:
    """16 hexadecimal digits of bytes."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()
