"""The folder of a run while it is being learned: the encoder so far, the checks, and all that is needed to go on.

config.json            preprocessing, levels, and how it came to be
model.safetensors      the weights
metrics.jsonl          a line a check
learning.safetensors   weights, optimiser and stopping rule at one and the same step; gone when learning has ended
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from firstsight.article.footage import Footage
from firstsight.article.loop import ArticleLoop
from firstsight.article.stopping import Check, StoppingState
from firstsight.encoder.encoder import Encoder
from firstsight.encoder.saved import CONFIG_FILE, NEXT_CONFIG_FILE, WEIGHTS_FILE, is_run
from firstsight.errors import RunError, SettingsError
from firstsight.files import make_folder, write_whole
from firstsight.from_json import from_json

METRICS_FILE = "metrics.jsonl"
LEARNING_FILE = "learning.safetensors"
_OURS = (CONFIG_FILE, NEXT_CONFIG_FILE, WEIGHTS_FILE, METRICS_FILE, LEARNING_FILE)


class RunFolder:
    """Where a run is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checks: list[Check] = []
        self._is_begun = False  # whether what is in the folder is of this run

    @classmethod
    def create(cls, folder: Path, *, force: bool) -> "RunFolder":
        """A new run in the folder, which is made. With `force` a run that is there stays until something is learned.

        Raises:
            RunError: there is a run already and `force` is off, something else is there, or it cannot be made.
        """
        if folder.exists() and not folder.is_dir():
            raise RunError(f"{folder} is a file; give the name of a folder for the run")
        if is_run(folder):
            if not force:
                raise RunError(f"{folder} holds a run already; choose another folder, or overwrite it with --force")
        elif others := _other_files(folder):
            raise RunError(f"{folder} holds other files, such as {others[0]}; choose a folder for the run alone")
        make_folder(folder, purpose="the run")
        return cls(folder)

    def save(self, encoder: Encoder) -> None:
        """Writes the encoder as it is now, in place of one that another run has left."""
        if not self._is_begun:
            self.end_learning()  # what another run would go on with does not belong to this one
            self._is_begun = True
        encoder.save(self.folder)

    def write_check(self, check: Check, **more: float) -> None:
        """Adds a line to `metrics.jsonl`."""
        self.write_line({**asdict(check), **more})
        self.checks.append(check)

    def write_line(self, content: dict[str, Any]) -> None:
        """Adds a line to `metrics.jsonl`; the first line of a new run begins the file anew."""
        path = self.folder / METRICS_FILE
        try:
            with path.open("a" if self.checks else "w", encoding="utf-8") as file:
                file.write(json.dumps(content) + "\n")
        except OSError as error:
            raise RunError(
                f"{path} cannot be written: {error.strerror}; "
                "free some space and go on with `firstsight learn --resume`"
            ) from error

    def save_learning(self, loop: ArticleLoop, footage: Footage, *, frames_drawn: int) -> None:
        """Writes all that is needed to go on from this step, whole or not at all."""
        tensors = {f"network.{name}": tensor for name, tensor in loop.network.state_dict().items()}
        for index, values in loop.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{name}": torch.as_tensor(value) for name, value in values.items()}
        record = {
            "state": asdict(loop.state),
            "frames_drawn": frames_drawn,
            "passed": footage.passed,
            "checks": [asdict(check) for check in self.checks],
        }
        content = safetensors.torch.save(
            {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
            metadata={"learning": json.dumps(record)},
        )
        write_whole(self.folder / LEARNING_FILE, content)

    def load_learning(self, loop: ArticleLoop, footage: Footage) -> tuple[int, list[Check]]:
        """Puts the loop where `save_learning` found it, forgets later checks; gives frames drawn and checks until then.

        Raises:
            RunError: nothing to go on from, or it is damaged.
        """
        path = self.folder / LEARNING_FILE
        if not path.is_file():
            raise RunError(f"{self.folder} has nothing to resume; learn it anew with --force")
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                record: dict[str, Any] = json.loads(file.metadata()["learning"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            _restore(loop, tensors)
            loop.state = from_json(StoppingState, record["state"], name="state")
            self.checks = [from_json(Check, check, name="check") for check in record["checks"]]
            frames_drawn = from_json(int, record["frames_drawn"], name="frames_drawn")
            footage.know(record.get("passed", {}))
            self._is_begun = True
            self._forget_later_lines()
        except (
            *(KeyError, TypeError, ValueError, IndexError, RuntimeError, RecursionError, OSError),
            *(SettingsError, safetensors.SafetensorError),
        ) as error:
            raise RunError(f"{path} is damaged; learn the run anew with --force") from error
        return frames_drawn, list(self.checks)

    def end_learning(self) -> None:
        """Nothing is left to go on with."""
        (self.folder / LEARNING_FILE).unlink(missing_ok=True)

    def _forget_later_lines(self) -> None:
        path = self.folder / METRICS_FILE
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        write_whole(path, b"".join(lines[: len(self.checks)]))


def can_be_resumed(folder: Path) -> bool:
    """Whether there is something to go on from."""
    return (folder / LEARNING_FILE).is_file()


def _other_files(folder: Path) -> list[str]:
    """What lies in the folder and was not left there by a run that was killed early; a config is another program's."""
    names = [path.name for path in folder.iterdir()] if folder.exists() else []
    ours = [name for name in _OURS if name != CONFIG_FILE]
    return sorted(
        name for name in names if name not in ours and not name.startswith(tuple(f".{one}." for one in _OURS))
    )


def _restore(loop: ArticleLoop, tensors: dict[str, torch.Tensor]) -> None:
    weights = {name.removeprefix("network."): value for name, value in tensors.items() if name.startswith("network.")}
    loop.network.load_state_dict(weights)
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimiser."):
            _, index, key = name.split(".", 2)
            state.setdefault(int(index), {})[key] = value
    loop.optimiser.load_state_dict({**loop.optimiser.state_dict(), "state": state})
