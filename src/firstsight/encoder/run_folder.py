"""The folder of a run while it is being learned.

config.json            view, levels, and how it came to be
model.safetensors      the weights
metrics.jsonl          a line for each thing that was measured
normal.safetensors     what is normal before a fixed camera; only of a run learned from one
learning.safetensors   the article's method: the state to resume from; deleted when learning has ended
"""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from firstsight.encoder.encoder import Encoder
from firstsight.encoder.run_config import CONFIG_FILE, NEXT_CONFIG_FILE, WEIGHTS_FILE, is_run
from firstsight.errors import RunError
from firstsight.files import (
    Closing,
    check_local,
    check_path,
    is_unfinished,
    make_folder,
    only_writer,
    unfinished,
    write_atomically,
)

METRICS_FILE = "metrics.jsonl"
LEARNING_FILE = "learning.safetensors"
MEMORY_FILE = "normal.safetensors"
_OURS = (CONFIG_FILE, NEXT_CONFIG_FILE, WEIGHTS_FILE, METRICS_FILE, LEARNING_FILE, MEMORY_FILE)


class RunFolder(Closing):
    """The folder of one run, into which nobody else learns until it is closed.

    Raises:
        RunError: somebody does already.
    """

    def __init__(self, folder: Path) -> None:
        check_local(folder, purpose="the run")
        self.folder = folder
        self._held = ExitStack()
        self._held.enter_context(only_writer(folder))
        self._num_lines = 0  # of metrics.jsonl that are of this run
        self._is_begun = False  # whether what is in the folder is of this run

    def close(self) -> None:
        """Others may learn into it."""
        self._held.close()

    @classmethod
    def create(cls, folder: str | Path, *, force: bool) -> "RunFolder":
        """A new run in the folder, which is made. With `force` an old run stays until the first save.

        Raises:
            RunError: there is a run already and `force` is off, something else is there, it cannot be made, or somebody
                else learns into it.
        """
        folder = check_path(folder, name="run", error=RunError)
        if folder.exists() and not folder.is_dir():
            raise RunError(f"{folder} is a file; give the name of a folder for the run")
        make_folder(folder, purpose="the run")
        made = cls(folder)
        try:
            _check_free(folder, force=force)
        except RunError:
            made.close()
            raise
        return made

    def save(self, encoder: Encoder) -> None:
        """Writes the encoder as it is now, in place of another run's."""
        if self._is_begun:
            encoder.save(self.folder)
            return
        others = [path for path in (self.learning_file, self.folder / MEMORY_FILE) if path.exists()]
        aside = [(path, unfinished(path)) for path in others]  # another run's state and memory are not of this one
        for path, kept in aside:
            path.replace(kept)
        try:
            encoder.save(self.folder)
        except BaseException:
            for path, kept in aside:
                kept.replace(path)
            raise
        for _, kept in aside:
            kept.unlink(missing_ok=True)
        self._is_begun = True

    def write_line(self, content: dict[str, Any]) -> None:
        """Adds a line to `metrics.jsonl`; the first line of a new run replaces the file."""
        path = self.folder / METRICS_FILE
        try:
            with path.open("a" if self._num_lines else "w", encoding="utf-8") as file:
                file.write(json.dumps(content) + "\n")
        except OSError as error:
            raise RunError(
                f"{path} cannot be written: {error.strerror}; "
                "free some space and continue with `firstsight learn --resume`"
            ) from error
        self._num_lines += 1

    def resume(self, num_lines: int) -> None:
        """Continues the run in the folder; so many lines of its `metrics.jsonl` are kept."""
        path = self.folder / METRICS_FILE
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        write_atomically(path, b"".join(lines[:num_lines]))
        self._num_lines, self._is_begun = num_lines, True

    @property
    def learning_file(self) -> Path:
        """The state of an interrupted run."""
        return self.folder / LEARNING_FILE

    def end_learning(self) -> None:
        """Deletes the state to resume from."""
        self.learning_file.unlink(missing_ok=True)


def can_be_resumed(folder: Path) -> bool:
    """Whether there is a state to resume from."""
    return (folder / LEARNING_FILE).is_file()


def _check_free(folder: Path, *, force: bool) -> None:
    """Raises a RunError if there is a run that must not be overwritten, or something else."""
    if is_run(folder):
        if not force:
            raise RunError(f"{folder} holds a run already; choose another folder, or overwrite it with --force")
    elif others := _other_files(folder):
        raise RunError(f"{folder} holds other files, such as {others[0]}; choose a folder for the run alone")


def _other_files(folder: Path) -> list[str]:
    """Files that no run killed early leaves; a config without a run is another program's."""
    names = [path.name for path in folder.iterdir() if not is_unfinished(path)] if folder.exists() else []
    ours = [name for name in _OURS if name != CONFIG_FILE]
    return sorted(
        name for name in names if name not in ours and not name.startswith(tuple(f".{one}." for one in _OURS))
    )
