"""What each part of the memory of what is normal finds before a fixed camera, and what joining them adds.

    python benchmarks/novelty_parts.py [FOLDER]      # the falls in ../shared/data/novelty; 2 minutes of processor time

FOLDER holds normal-*.mp4, test-*.mp4 and truth.csv (clip, frames, first_new_frame, last_new_frame, used_frames). An
encoder and a memory are learned from the normal clips. Printed: the area under the ROC curve, in percent, over the used
frames of all test clips together, one threshold for all: of motion, of the appearance of what moves, of that of all
that is not as usual, and of the rarer of the first two, which is the score. Beside them what needs no learning: the
difference to the frame before, the same as a trailing mean, and OpenCV's MOG2 (which sees the first normal clip first).
"""

import argparse
import csv
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

import firstsight
from firstsight.footage.source import open_source
from firstsight.normality.appearance import Looks
from firstsight.normality.memory import Judge, Memory, batches

sys.path.insert(0, str(Path(__file__).parent))
import watch_baselines as baselines

DATA = Path(__file__).parents[2] / "shared" / "data" / "novelty"
PARTS = ("motion", "what moves", "what is there", "joined")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=DATA)
    folder = parser.parse_args().folder
    rows = list(csv.DictReader((folder / "truth.csv").open()))
    started = time.process_time()
    with tempfile.TemporaryDirectory() as kept:
        normal = [str(folder / row["clip"]) for row in rows if row["clip"].startswith("normal")]
        encoder = firstsight.learn(normal, out=Path(kept) / "run")
        memory = Memory.load(Path(kept) / "run")
    print(f"learned in {time.process_time() - started:.0f} s of processor time")
    if "MOG2" not in baselines.names():
        print(baselines.NO_MOG2)
    tests = [row for row in rows if row["clip"].startswith("test")]
    scores = np.concatenate([judged(encoder, memory, folder / row["clip"])[: int(row["used_frames"])] for row in tests])
    new = np.concatenate([is_new(row) for row in tests])
    before = [open_source(normal[0])]
    plain = [baselines.scores(open_source(folder / row["clip"]), before)[1][: int(row["used_frames"])] for row in tests]
    scores = np.hstack([scores, np.concatenate(plain)])
    for name, column in zip((*PARTS, *baselines.names()), scores.T, strict=True):
        area = mannwhitneyu(column[new], column[~new]).statistic / (new.sum() * (~new).sum())
        print(f"{name:<20} {100 * area:5.1f}")


def judged(encoder: firstsight.Encoder, memory: Memory, clip: Path) -> NDArray[np.float64]:
    """(frames, parts): the rarity by each part."""
    motion, joined = Judge(memory), Judge(memory, encoder=encoder)
    moves, there = (Looks(memory.appearance, encoder, 1) for _ in range(2))
    found = []
    for frames in batches(open_source(str(clip)), encoder.view):
        by_part = (
            [one.score for one in motion.update(frames)],
            [one.rarity for one in moves.update(frames, [True] * len(frames))],
            [one.rarity for one in there.update(frames, [False] * len(frames))],
            [one.score for one in joined.update(frames)],
        )
        found += list(zip(*by_part, strict=True))
    return np.array(found)


def is_new(row: dict[str, str]) -> NDArray[np.bool_]:
    """Of each used frame."""
    numbers = np.arange(int(row["used_frames"]))
    if not row["first_new_frame"]:
        return np.zeros(len(numbers), bool)
    return (numbers >= int(row["first_new_frame"])) & (numbers <= int(row["last_new_frame"]))


if __name__ == "__main__":
    main()
