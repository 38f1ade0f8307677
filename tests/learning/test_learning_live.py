"""Learning from what does not end by itself: for a time, or until Ctrl-C, which keeps what was read."""

import io
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import closing

import av
import numpy as np
import pytest
from library_made import small_encoder

from firstsight.cli.options import duration_seconds
from firstsight.errors import SettingsError, SourceError
from firstsight.learning.learn import learn
from firstsight.normality.learning import learn_memory
from firstsight.normality.memory import Memory
from firstsight.progress import Progress

RATE = 10  # frames a second


class _Pipe:
    """A file that can only be written to."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.is_broken = False

    def write(self, content: bytes) -> int:
        left = bytes(content)
        try:
            while left and not self.is_broken:
                left = left[os.write(self._descriptor, left) :]
        except BrokenPipeError:
            self.is_broken = True
        return len(content)

    def close(self) -> None:
        os.close(self._descriptor)


NOISE = np.random.default_rng(0).integers(0, 256, (16, 64, 96, 3), np.uint8)


def _feed(descriptor: int, num_frames: int | None, pictures: np.ndarray) -> None:
    """Writes these pictures again and again until nobody reads them any more, or so many frames."""
    pipe, number = _Pipe(descriptor), 0
    with closing(pipe), av.open(pipe, "w", format="matroska") as container:
        stream = container.add_stream("mjpeg", rate=RATE, width=96, height=64, pix_fmt="yuvj420p")
        while not pipe.is_broken and (num_frames is None or number < num_frames):
            frame = av.VideoFrame.from_ndarray(pictures[number % len(pictures)], format="rgb24")
            frame.pts, number = number, number + 1
            container.mux(stream.encode(frame))


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Makes standard input a pipe into which so many frames are written, or frames without end."""
    opened: list[tuple[io.TextIOWrapper, threading.Thread]] = []

    def pipe(num_frames: int | None = None, pictures: np.ndarray = NOISE) -> None:
        reader, writer = os.pipe()
        thread = threading.Thread(target=_feed, args=(writer, num_frames, pictures), daemon=True)
        thread.start()
        stdin = io.TextIOWrapper(os.fdopen(reader, "rb"))
        monkeypatch.setattr(sys, "stdin", stdin)
        opened.append((stdin, thread))

    yield pipe
    for stdin, thread in opened:
        stdin.close()
        thread.join(10)


class Interrupting:
    """Presses Ctrl-C when so many frames were seen, and keeps what was told."""

    def __init__(self, *at: int) -> None:
        self.news: list[str] = []
        self._at = list(at)

    def __call__(self, progress: Progress) -> None:
        self.news += progress.news
        if self._at and progress.what == "reading" and progress.done == self._at[0]:
            self._at.pop(0)
            raise KeyboardInterrupt


def test_for_a_time(piped, tmp_path) -> None:
    piped()
    told = Interrupting()
    encoder = learn("-", live_seconds=4, method="random", max_frames=8, out=tmp_path / "run", progress=told)
    assert encoder.provenance["outcome"]["frames_in_a_pass"] == 4 * RATE
    assert not [line for line in told.news if "reading" in line]
    assert (tmp_path / "run" / "model.safetensors").exists()


def test_until_the_keyboard_says_so(piped, tmp_path) -> None:
    piped()
    told = Interrupting(60)
    encoder = learn("-", method="random", max_frames=8, out=tmp_path / "run", progress=told)
    assert encoder.provenance["outcome"]["frames_in_a_pass"] == 60
    assert "standard input: reading until it ends or until Ctrl-C; --for 10min sets a time" in told.news
    assert told.news[-2:] == [
        "reading ended by Ctrl-C; learning from the 60 frames that were read",
        "no memory of what is normal is kept: the camera moves, its frames are too far apart, or it is under a second",
    ]
    assert (tmp_path / "run" / "model.safetensors").exists()


def test_a_second_time_the_keyboard_ends_it(piped, tmp_path) -> None:
    piped()
    with pytest.raises(KeyboardInterrupt):
        learn("-", out=tmp_path / "run", progress=Interrupting(60, 60))
    assert not (tmp_path / "run" / "model.safetensors").exists()


def still() -> np.ndarray:
    """A still view that something crosses in 2 s."""
    view = np.kron(np.random.default_rng(1).integers(60, 160, (8, 12, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
    pictures = np.repeat(view[None], 2 * RATE, axis=0)
    for index, picture in enumerate(pictures):
        picture[20:36, 5 * index // 2 :][:, :16] = (250, 20, 20)
    return pictures


def test_of_a_camera_that_stands_still_what_is_normal_is_kept_too(piped, tmp_path) -> None:
    piped(pictures=still())
    told = Interrupting()
    encoder = learn("-", live_seconds=24, method="random", max_frames=8, out=tmp_path / "run", progress=told)
    memory = Memory.load(tmp_path / "run")
    assert memory is not None
    assert memory.appearance is not None
    assert memory.appearance.fingerprint == encoder.fingerprint
    assert memory.seconds == 24
    assert told.news[-1].startswith("the camera stands still: what is normal is kept; 0.4 min of normal footage: ")


@pytest.mark.parametrize("pressed", [False, True])
def test_a_run_without_a_memory_learns_what_is_normal_from_what_is_live(piped, pressed: bool) -> None:
    piped(pictures=still())
    told: list[str] = []

    def report(progress: Progress) -> None:
        told.extend(progress.news)
        if pressed and not told and progress.done >= 21:
            raise KeyboardInterrupt

    memory = learn_memory("-", encoder=small_encoder(), live_seconds=24, progress=report)
    assert memory is not None
    assert memory.seconds == (20 if pressed else 24)
    assert told == ["reading ended by Ctrl-C"] * pressed


def test_what_ends_by_itself_ends_sooner(piped) -> None:
    piped(80)
    assert learn("-", live_seconds=3600, method="random", max_frames=8).provenance["outcome"]["frames_in_a_pass"] == 80


def test_files_are_not_read_for_a_time(bikes, piped) -> None:
    with pytest.raises(SettingsError, match=r"bikes\.mp4 ends by itself; choose a part of it by its start and end"):
        learn(bikes, live_seconds=5)
    with pytest.raises(KeyboardInterrupt):
        learn(bikes, progress=Interrupting(60))
    piped()
    with pytest.raises(SettingsError, match="valid is a time above 0"):
        learn("-", live_seconds=0)
    with pytest.raises((SettingsError, SourceError), match="the article's method reads its footage again"):
        learn("-", live_seconds=5, method="article")


@pytest.mark.parametrize(
    ("text", "seconds"), [("600", 600), ("90s", 90), ("10min", 600), ("2h", 7200), ("1.5 h", 5400), ("0.5min", 30)]
)
def test_times_as_people_write_them(text: str, seconds: float) -> None:
    assert duration_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0s", "10 minutes", "-5", "h", "1e9", "nan"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(SettingsError, match="valid is a time such as 600, 90s, 10min or 2h"):
        duration_seconds(text)
