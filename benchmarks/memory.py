"""Peak memory of what is done with a video of an hour, beside one of a minute.

python benchmarks/memory.py                          # 1280x720; generates both videos; about ten minutes on two cores
python benchmarks/memory.py --size 320x240 --task index --task watch
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from peak_memory import peak_megabytes

if TYPE_CHECKING:
    import firstsight

TASKS = ("article", "default", "compare", "index", "scenes", "watch")
_RATE = 5
# A small network, so that an hour's frames are learned from in minutes; what could grow is not the network.
_SMALL = {"input_size": 48, "crop_size": 240, "num_levels": 3, "maps": 4, "hidden_maps": 8}
_ARTICLE = {"method": "article", "frames_per_level": 6_000, **_SMALL}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--size", default="1280x720", help="width x height of both videos (default: %(default)s)")
    parser.add_argument("--task", choices=TASKS, action="append", help="all by default")
    commands = parser.add_subparsers(dest="command")
    one = commands.add_parser("measure", help="one task, in this process; prints its peak memory in MB")
    one.add_argument("task", choices=TASKS)
    one.add_argument("video")
    arguments = parser.parse_args()
    if arguments.command == "measure":
        print(json.dumps(measure(arguments.task, arguments.video)))
        return
    with tempfile.TemporaryDirectory() as folder:
        width, height = (int(side) for side in arguments.size.split("x"))
        videos = {
            minutes: generate(Path(folder, f"{minutes}.mp4"), minutes, size=(width, height))
            for minutes in (1, arguments.minutes)
        }
        print(f"| peak memory in MB | 1 minute | {arguments.minutes} minutes | more |\n|---|---|---|---|")
        for task in arguments.task or TASKS:
            short, long = (in_own_process(task, video) for video in videos.values())
            print(f"| {task} | {short:.0f} | {long:.0f} | {long - short:+.0f} |", flush=True)


def generate(path: Path, minutes: int, *, size: tuple[int, int]) -> Path:
    """A bright square that wanders over a textured ground, 5 frames a second; each side an even number."""
    from firstsight.footage.encoding import VideoWriter

    width, height = size
    side = height // 6
    ground = np.random.default_rng(0).integers(60, 120, (height, width, 3), dtype=np.uint8)
    with VideoWriter(path, size=size) as writer:
        for index in range(minutes * 60 * _RATE):
            frame = ground.copy()
            x = int((width - side) * (1 + np.sin(index / 90)) / 2)
            y = int((height - side) * (1 + np.cos(index / 70)) / 2)
            frame[y : y + side, x : x + side] = (250, 200, index % 256)
            writer.write(frame, seconds=index / _RATE)
    return path


def measure(task: str, video: str) -> float:
    """Does the task and gives the peak of resident memory in MB."""
    import firstsight

    if task == "compare":
        encoder = firstsight.learn(video, end_seconds=20, frames_per_level=20, **_SMALL)
        for _ in firstsight.compare(encoder, video):
            pass
    elif task in ("article", "default"):
        firstsight.learn(video, **(_ARTICLE if task == "article" else {}))
    else:
        use(task, video, firstsight.learn(video, end_seconds=20))
    return peak_megabytes()


def use(task: str, video: str, encoder: "firstsight.Encoder") -> None:
    """Indexes, watches, or finds scenes."""
    import firstsight

    if task == "index":
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder) / "made.library"
            firstsight.Library.create(made, video, encoder=encoder, frames_per_second=2).close()
    elif task == "watch":
        for _ in firstsight.watch(encoder, video, novel=True, speed=0):
            pass
    else:
        firstsight.detect_scenes(video)


def in_own_process(task: str, video: Path) -> float:
    """The peak of a process that does nothing else."""
    command = [sys.executable, __file__, "measure", task, str(video)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    found = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return float(json.loads(found.stdout))


if __name__ == "__main__":
    main()
