import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from firstsight.cli.main import main
from firstsight.footage.encoding import VideoWriter


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


@pytest.fixture
def firstsight(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs the command line in this process."""

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["firstsight", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        on_ctrl_c = signal.getsignal(signal.SIGINT)  # left behind changed, as the process ends after it
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        finally:
            signal.signal(signal.SIGINT, on_ctrl_c)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory, moving_square: np.ndarray) -> Path:
    """240 frames of 64x48 at 25 frames/s, in a folder whose name has a blank and a quote."""
    folder = tmp_path_factory.mktemp("it's footage")
    with VideoWriter(folder / "moving square.mp4", size=(64, 48)) as writer:
        for index, frame in enumerate(moving_square):
            writer.write(frame, seconds=index / 25)
    return folder / "moving square.mp4"


@pytest.fixture(scope="session")
def still_view() -> Callable[..., Path]:
    """Writes 16 s of a still view, 64x48, 10 frames/s; from 8 to 12 s something red stands at that place."""

    def write(path: Path, *, rows: slice, columns: slice) -> Path:
        ground = np.repeat(np.repeat(np.random.default_rng(0).integers(60, 160, (6, 8, 3), np.uint8), 8, 0), 8, 1)
        with VideoWriter(path, size=(64, 48)) as writer:
            for index in range(160):
                frame = ground.copy()
                if 80 <= index < 120:
                    frame[rows, columns] = (250, 20, 20)
                writer.write(frame, seconds=index / 10)
        return path

    return write


_SMALL = ("--levels", 2, "--maps", 4, "--hidden-maps", 8, "--crop", 48, "--input-size", 32, "--frames-per-level", 30)


@pytest.fixture(scope="session")
def small() -> tuple:
    """Options that make learning a matter of a second."""
    return _SMALL


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory, clip: Path) -> Path:
    """A small run learned from the clip."""
    from firstsight import learn

    folder = tmp_path_factory.mktemp("runs") / "small"
    learn(clip, out=folder, num_levels=2, maps=4, hidden_maps=8, crop_size=48, input_size=32, frames_per_level=30)
    return folder
