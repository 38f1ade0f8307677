"""All that is needed to go on with an interrupted run: weights, optimiser, stopping rule at one step."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import safetensors
import safetensors.torch
import torch

from firstsight.article.footage import Footage
from firstsight.article.loop import ArticleLoop
from firstsight.article.stopping import Check, StoppingState
from firstsight.encoder.run_folder import RunFolder
from firstsight.errors import RunError, SettingsError
from firstsight.files import write_whole
from firstsight.from_json import from_json


def save_learning(
    folder: RunFolder, loop: ArticleLoop, footage: Footage, *, checks: Sequence[Check], frames_drawn: int
) -> None:
    """Writes the state of learning atomically."""
    tensors = {f"network.{name}": tensor for name, tensor in loop.network.state_dict().items()}
    for index, values in loop.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": torch.as_tensor(value) for name, value in values.items()}
    record = {
        "state": asdict(loop.state),
        "frames_drawn": frames_drawn,
        "passed": footage.passed,
        "checks": [asdict(check) for check in checks],
    }
    content = safetensors.torch.save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        metadata={"learning": json.dumps(record)},
    )
    write_whole(folder.learning_file, content)


def load_learning(folder: RunFolder, loop: ArticleLoop, footage: Footage) -> tuple[int, list[Check]]:
    """Puts the loop where `save_learning` found it, forgets later checks; gives frames drawn and checks until then.

    Raises:
        RunError: nothing to go on from, or it is damaged.
    """
    path = folder.learning_file
    if not path.is_file():
        raise RunError(f"{folder.folder} has nothing to resume; learn it anew with --force")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            record: dict[str, Any] = json.loads(file.metadata()["learning"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        _restore(loop, tensors)
        loop.state = from_json(StoppingState, record["state"], name="state")
        checks = [from_json(Check, check, name="check") for check in record["checks"]]
        frames_drawn = from_json(int, record["frames_drawn"], name="frames_drawn")
        footage.know(record.get("passed", {}))
        folder.go_on(len(checks))
    except (
        *(KeyError, TypeError, ValueError, IndexError, RuntimeError, RecursionError, OSError),
        *(SettingsError, safetensors.SafetensorError),
    ) as error:
        raise RunError(f"{path} is damaged; learn the run anew with --force") from error
    return frames_drawn, checks


def _restore(loop: ArticleLoop, tensors: dict[str, torch.Tensor]) -> None:
    weights = {name.removeprefix("network."): value for name, value in tensors.items() if name.startswith("network.")}
    loop.network.load_state_dict(weights)
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimiser."):
            _, index, key = name.split(".", 2)
            state.setdefault(int(index), {})[key] = value
    loop.optimiser.load_state_dict({**loop.optimiser.state_dict(), "state": state})
