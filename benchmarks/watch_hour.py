"""An hour of a still view, made of real frames in light that changes as by day and night, and watched in minutes."""

import json
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firstsight.footage.encoding import VideoWriter
from firstsight.footage.frames import PixelByPixel
from firstsight.footage.source import open_source

_MINUTES = 60
_RATE = 2.0  # frames a second, as watched
_PERSON_AT_MINUTES = (10, 30, 50)
Pictures = list[NDArray[np.uint8]]


def an_hour(
    model: Path, clip: Path, folder: Path, *, empty_until: float, person: tuple[float, float]
) -> dict[str, object]:
    """What `firstsight watch` tells of it, how fast it is, and its memory after a quarter and at the end.

    Args:
        model: run folder.
        clip: real footage.
        folder: for the hour's video.
        empty_until: seconds from the clip's beginning in which nothing is to be seen.
        person: when somebody is.
    """
    video = generate(folder / "hour.mp4", frames_of(clip, (0, empty_until), 10), frames_of(clip, person, _RATE))
    log = folder / "events.jsonl"
    program = "from firstsight.cli.main import main; main()"
    command = [sys.executable, "-c", program, "watch", str(model), str(video), "--novel", "--speed", "0"]
    begin, megabytes = time.monotonic(), []
    with subprocess.Popen([*command, "--events", str(log)], stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            time.sleep(1)
            megabytes += resident(process.pid)
    lasted = time.monotonic() - begin
    events = [json.loads(line) for line in log.read_text().splitlines()]
    novel = [(one["start_seconds"], one["end_seconds"]) for one in events if one["kind"] == "novel ends"]
    length = person[1] - person[0]
    shown = [(60.0 * minute, 60.0 * minute + length) for minute in _PERSON_AT_MINUTES]
    near = [[abs(begin - start) < 5 for begin, _ in shown] for start, _ in novel]
    return {
        "minutes": _MINUTES,
        "persons": len(shown),
        "found": sum(any(column) for column in zip(*near, strict=True)) if near else 0,
        "false": sum(not any(row) for row in near),
        "frames": int(_MINUTES * 60 * _RATE),
        "frames_a_second": round(_MINUTES * 60 * _RATE / lasted, 1),
        "mb_after_a_quarter": round(float(np.mean(megabytes[len(megabytes) // 4 : len(megabytes) // 3]))),
        "mb_at_the_end": round(float(np.mean(megabytes[-len(megabytes) // 10 : -2]))),
        "mb_at_most": max(megabytes),
    }


def frames_of(clip: Path, span: tuple[float, float], rate: float) -> Pictures:
    """Half as wide and high."""
    source = open_source(clip, start_seconds=span[0], end_seconds=span[1], frames_per_second=rate)
    with closing(source.read(PixelByPixel())) as reading:
        return [frame.pixels[::2, ::2] for frame in reading]


def generate(path: Path, empty: Pictures, person: Pictures) -> Path:
    """Empty frames at random, a person now and then; light and its colour make one wave, the camera's noise doubles."""
    random = np.random.default_rng(0)
    begins = {int(minute * 60 * _RATE): person for minute in _PERSON_AT_MINUTES}
    waiting: Pictures = []
    height, width = empty[0].shape[:2]
    with VideoWriter(path, size=(width, height)) as writer:
        for index in range(int(_MINUTES * 60 * _RATE)):
            waiting = list(begins.get(index, waiting))
            picture = waiting.pop(0) if waiting else empty[random.integers(len(empty))]
            wave = np.sin(2 * np.pi * index / (_MINUTES * 60 * _RATE))
            light = (1 + 0.3 * wave) * (1 + 0.1 * wave * np.array([1, 0, -1]))
            noise = random.normal(0, 1 + index / (_MINUTES * 60 * _RATE), picture.shape)
            lit = np.clip(picture * light + noise, 0, 255).round().astype(np.uint8)
            writer.write(lit, seconds=index / _RATE)
    return path


def resident(process: int) -> list[int]:
    """Its memory in MB; nothing once it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return []
    return [int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS")]
