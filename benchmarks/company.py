"""Is learning good company on a busy machine? Two that begin at once, against the same two one after the other.

    python benchmarks/company.py            # about three minutes on two idle cores
    python benchmarks/company.py --rounds 5 --json results.json

Each learns from Python, in a process of its own, from small frames made in memory. The variants take turns, so that a
noisy machine is noisy for all of them, and a figure is the median over the rounds. "spinning" is how GNU OpenMP waits
unless it is told otherwise.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

_PROGRAM = """
import sys
import numpy as np
import firstsight

num_frames = int(sys.argv[1])
random = np.random.default_rng(0)
frames = np.repeat(random.integers(60, 120, (1, 48, 64, 3), dtype=np.uint8), num_frames, axis=0)
for index in range(num_frames):
    x, y = int(24 + 20 * np.sin(index / 9)), int(18 + 14 * np.cos(index / 7))
    frames[index, y : y + 10, x : x + 10] = (250, 200, 40 + index % 200)
print(firstsight.learn(frames).fingerprint)
"""
_SPINNING = {"GOMP_SPINCOUNT": "300000"}  # the default, said so that it is left alone


def learn(num_frames: int, **environment: str) -> "subprocess.Popen[str]":
    """A process that learns, begun."""
    variables = {name: value for name, value in os.environ.items() if name not in {"OMP_NUM_THREADS", *_SPINNING}}
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(num_frames)],
        env={**variables, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )


def timed(num_frames: int, num_processes: int, **environment: str) -> tuple[float, set[str]]:
    """Seconds that so many at once take, and the encoders that they learned."""
    begin = time.monotonic()
    found = {one.communicate()[0] for one in [learn(num_frames, **environment) for _ in range(num_processes)]}
    return time.monotonic() - begin, found


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=1_200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--spinning-at-once", action="store_true", help="measure that too; minutes on a busy machine")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    variants = {"alone": (1, {}), "alone, spinning": (1, _SPINNING), "two at once": (2, {})}
    if options.spinning_at_once:
        variants["two at once, spinning"] = (2, _SPINNING)
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    encoders: set[str] = set()
    load = os.getloadavg()[0]
    for _ in range(options.rounds):
        for name, (num_processes, environment) in variants.items():
            took, found = timed(options.frames, num_processes, **environment)
            seconds[name].append(took)
            encoders |= found
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    result = {
        "num_frames": options.frames,
        "rounds": options.rounds,
        "num_cores": os.cpu_count(),
        "load_before": load,
        "seconds": {name: [round(one, 1) for one in values] for name, values in seconds.items()},
        "at_once_over_one_after_the_other": round(medians["two at once"] / (2 * medians["alone"]), 2),
        "alone_over_alone_spinning": round(medians["alone"] / medians["alone, spinning"], 2),
        "fastest_alone_over_fastest_alone_spinning": round(min(seconds["alone"]) / min(seconds["alone, spinning"]), 2),
        "num_encoders": len(encoders),
    }
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
