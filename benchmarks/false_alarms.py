"""Whether a rate of false alarms that is asked for is kept, on normal footage that neither memory nor encoder has seen.

    python benchmarks/false_alarms.py [FOLDER]      # the room in ../shared/data/novelty; 8 minutes of processor time

FOLDER holds normal-*.mp4, test-*.mp4 and truth.csv, as for novelty_parts.py. Whole clips are left out: a fifth of the
normal ones in turn, judged by what the others taught; and the test clips until a second before something new happens,
judged by what all normal clips taught. Events are counted as `watch --false-alarms` makes them, at its 12.5 frames a
second. Printed: for each rate the events that it allows in that time, those that came, and their rate as a multiple of
the one asked for, with its 95 % interval (Poisson).
"""

import argparse
import csv
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scipy.stats import chi2

import firstsight
from firstsight.footage.source import Source, open_source
from firstsight.monitoring.deviation import rarer_than
from firstsight.monitoring.places import Places
from firstsight.normality.memory import Judge, Memory, batches
from firstsight.normality.rarity import rate_of

DATA = Path(__file__).parents[2] / "shared" / "data" / "novelty"
RATES = ("6/min", "3/min", "1/min", "30/h", "1/day")
FOLDS, FRAMES_PER_SECOND, TEST_RATE = 5, 12.5, 25.0


@dataclass
class Counted:
    """What came in normal footage that was left out."""

    seconds: float
    events: dict[str, list[str]]  # of each rate, which part spoke

    def line(self, rate: str) -> str:
        """A row of the table."""
        allowed, parts = rate_of(rate) * self.seconds, self.events[rate]
        num = len(parts)
        least, most = (float(chi2.ppf(0.025, 2 * num)) / 2 if num else 0.0), float(chi2.ppf(0.975, 2 * num + 2)) / 2
        multiple = f"{num / allowed:.2f} ({least / allowed:.2f} to {most / allowed:.2f})"
        by = ", ".join(f"{parts.count(part)} {part}" for part in sorted(set(parts))) or "-"
        return f"| {rate} | {allowed:.1f} | {num} | {multiple} | {by} |"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=DATA)
    folder = parser.parse_args().folder
    rows = list(csv.DictReader((folder / "truth.csv").open()))
    normal = [folder / row["clip"] for row in rows if row["clip"].startswith("normal")]
    left_out = Counted(0.0, {rate: [] for rate in RATES})
    for number in range(FOLDS):
        others = [clip for index, clip in enumerate(normal) if index % FOLDS != number]
        taught = learned(others)
        for clip in normal[number::FOLDS]:
            count(left_out, *taught, open_source(clip, frames_per_second=FRAMES_PER_SECOND))
    show("normal clips, each left out", left_out)
    taught, before = learned(normal), Counted(0.0, {rate: [] for rate in RATES})
    for row in rows:
        end = (int(row["first_new_frame"] or 0) / TEST_RATE) - 1.0
        if row["clip"].startswith("test") and end > 1.0:
            source = open_source(folder / row["clip"], end_seconds=end, frames_per_second=FRAMES_PER_SECOND)
            count(before, *taught, source)
    show("test clips, before something new happens", before)


def learned(clips: Sequence[Path]) -> tuple[firstsight.Encoder, Memory]:
    """From those."""
    with tempfile.TemporaryDirectory() as folder:
        encoder = firstsight.learn(list(clips), out=Path(folder) / "run")
        memory = Memory.load(Path(folder) / "run")
    assert memory is not None
    return encoder, memory


def count(counted: Counted, encoder: firstsight.Encoder, memory: Memory, source: Source) -> None:
    """Adds the time and the events of a clip."""
    judge, places = Judge(memory, encoder=encoder), {rate: Places(rarer_than(rate)) for rate in RATES}
    frames = [frame for batch in batches(source, encoder.view) for frame in batch]
    for frame, judged in zip(frames, judge.update(frames), strict=True):
        for rate, place in places.items():
            changes = place.update(judged.rarities, frame.seconds, judged.part)
            counted.events[rate] += [change.part for change in changes if change.begins]
    counted.seconds += frames[-1].seconds - frames[0].seconds


def show(name: str, counted: Counted) -> None:
    """A table for docs/watch.md."""
    print(f"\n{name}: {counted.seconds:.0f} s\n")
    print("| asked for | allows | came | times the rate asked for (95 %) | by |\n|---|---|---|---|---|")
    print("\n".join(counted.line(rate) for rate in RATES), flush=True)


if __name__ == "__main__":
    main()
