"""The folder of a run while it is being learned.

config.json            view, levels, and how it came to be
model.safetensors      the weights
metrics.jsonl          a line for each thing that was measured
learning.safetensors   the article's method: what is needed to go on; gone when learning has ended
"""

import json
from pathlib import Path
from typing import Any

from firstsight.encoder.encoder import Encoder
from firstsight.encoder.saved import CONFIG_FILE, NEXT_CONFIG_FILE, WEIGHTS_FILE, is_run
from firstsight.errors import RunError
from firstsight.files import make_folder, write_atomically

METRICS_FILE = "metrics.jsonl"
LEARNING_FILE = "learning.safetensors"
_OURS = (CONFIG_FILE, NEXT_CONFIG_FILE, WEIGHTS_FILE, METRICS_FILE, LEARNING_FILE)


class RunFolder:
    """Where a run is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._num_lines = 0  # of metrics.jsonl that are of this run
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

    def write_line(self, content: dict[str, Any]) -> None:
        """Adds a line to `metrics.jsonl`; the first line of a new run begins the file anew."""
        path = self.folder / METRICS_FILE
        try:
            with path.open("a" if self._num_lines else "w", encoding="utf-8") as file:
                file.write(json.dumps(content) + "\n")
        except OSError as error:
            raise RunError(
                f"{path} cannot be written: {error.strerror}; "
                "free some space and go on with `firstsight learn --resume`"
            ) from error
        self._num_lines += 1

    def go_on(self, num_lines: int) -> None:
        """Continues the run that is there, of whose `metrics.jsonl` so many lines are kept."""
        path = self.folder / METRICS_FILE
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        write_atomically(path, b"".join(lines[:num_lines]))
        self._num_lines, self._is_begun = num_lines, True

    @property
    def learning_file(self) -> Path:
        """What is needed to go on with an interrupted run."""
        return self.folder / LEARNING_FILE

    def end_learning(self) -> None:
        """Nothing is left to go on with."""
        self.learning_file.unlink(missing_ok=True)


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
