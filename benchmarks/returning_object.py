"""When one thing comes back, does the similarity to its first appearance say so? Whole frames and boxes, every method.

    python benchmarks/returning_object.py --clips ../shared/data/clips          # prints the table of the document
    python benchmarks/returning_object.py --clips ../shared/data/clips --only one-by-one-person-detection

In the clips several persons (bottles, cars) come into view one after the other; `benchmarks/spans/` has when, and a
frame and a box of each, marked by eye. Each marked frame is an anchor. The question to every frame outside the anchor's
own span: is anything of the kind in view? The score is the AUROC of the similarity to the anchor, 0.5 for a coin.

Each method learns from every second frame of the clip itself. The article's takes its defaults, but each level may
see no more than `--article-frames` frames. A box is compared with all windows of its size, and the best counts: by maps
as `compare` does, and "by cells" as `search` does in a library.
"""

import argparse
import csv
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

import firstsight
from firstsight.article.model import untrained
from firstsight.device import describe_machine
from firstsight.encoder.encoder import Encoder
from firstsight.errors import SettingsError
from firstsight.evaluation.baselines import thumbnail
from firstsight.footage.source import open_source
from firstsight.pixels import Crop
from firstsight.quality.self_test import auroc
from firstsight.searching.region_search import match_cells
from firstsight.searching.regions import Box, RegionMatcher, match_region

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "returning_object.json"
PICTURE = HERE.parent / "docs" / "pictures" / "returning-object.png"
CLIPS = ("one-by-one-person-detection", "bottle-detection", "car-detection")
THUMBNAIL = "16x16 thumbnail"
BY_CELLS = "default, by cells"
METHODS = ("untrained article", "article", THUMBNAIL, "random", "default", BY_CELLS)
_LEARN_EVERY = 2  # frames
_SIDE = 16  # of a thumbnail

Similarities = NDArray[np.float32]  # (anchors, frames)


@dataclass(frozen=True, eq=False)
class Clip:
    """Some frames of a clip, and what a person marked in it."""

    name: str
    path: Path
    pictures: NDArray[np.uint8]  # (N, H, W, 3)
    seconds: NDArray[np.float64]
    spans: list[tuple[float, float]]  # seconds in which something of the kind is in view
    anchors: list[int]  # which of the frames, one a span
    boxes: list[Box]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.pictures.shape[2], self.pictures.shape[1]

    def scores(self, similarities: Similarities) -> list[float | None]:
        """The AUROC of each anchor, over the frames outside its span; None of one that is not seen."""
        in_span = np.array([(self.seconds >= start) & (self.seconds <= end) for start, end in self.spans])
        in_view = in_span.any(axis=0)
        return [
            None if np.isnan(values).any() else auroc(values[~own & in_view], values[~own & ~in_view])
            for own, values in zip(in_span, similarities, strict=True)
        ]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--only", nargs="+", default=CLIPS)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--every", type=int, default=6, help="of the clip's frames one in so many is compared")
    parser.add_argument("--article-frames", type=int, default=500)
    parser.add_argument("--table", action="store_true", help="print the table of what was measured before")
    arguments = parser.parse_args()
    if not arguments.table:
        rows: list[dict[str, Any]] = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
        for name in arguments.only:
            clip = read_clip(arguments.clips / f"{name}.mp4", HERE / "spans" / f"{name}.csv", every=arguments.every)
            curves = {}
            for row, whole, boxes in measured(clip, arguments.methods, arguments.article_frames):
                rows = [one for one in rows if (one["clip"], one["method"]) != (row["clip"], row["method"])]
                rows.append({**row, **provenance(arguments)})
                curves[row["method"]] = whole, boxes
                print(json.dumps(row), flush=True)
                RESULTS.write_text(json.dumps({"machine": describe_machine(), "rows": rows}, indent=1) + "\n")
            if name == CLIPS[0] and "default" in curves and THUMBNAIL in curves:
                draw(clip, curves)
    print(table(json.loads(RESULTS.read_text())["rows"]))


def read_clip(path: Path, marked: Path, *, every: int) -> Clip:
    """The clip, with the marked frames among those that are kept."""
    with marked.open(newline="") as file:
        rows = list(csv.DictReader(file))
    spans = [(float(row["start_seconds"]), float(row["end_seconds"])) for row in rows]
    wanted = [float(row["anchor_seconds"]) for row in rows]
    boxes = [Box(*(int(row[side]) for side in ("x", "y", "width", "height"))) for row in rows]
    source = open_source(path, every=every)
    view = Everything()
    with source.read(view) as reading:
        frames = [(frame.pixels, frame.seconds) for frame in reading]
    seconds = np.array([time_ for _, time_ in frames])
    anchors = [int(np.argmin(np.abs(seconds - one))) for one in wanted]
    return Clip(path.stem, path, np.stack([pixels for pixels, _ in frames]), seconds, spans, anchors, boxes)


class Everything:
    """A view of all of a picture, pixel by pixel."""

    channels = 3

    def crop(self, width: int, height: int) -> Crop:
        """All of it."""
        return Crop(0, 0, width, height, width, height)


def measured(
    clip: Clip, methods: list[str], article_frames: int
) -> Iterator[tuple[dict[str, Any], Similarities, Similarities]]:
    """A row for each method, with the curves it comes from."""
    for method in methods:
        begin = time.perf_counter()
        if method == THUMBNAIL:
            whole, boxes = of_thumbnails(clip)
        else:
            whole, boxes = of_encoder(clip, learned(method, clip, article_frames), by_cells=method == BY_CELLS)
        row = {
            "clip": clip.name,
            "method": method,
            "whole": clip.scores(whole),
            "box": clip.scores(boxes),
            "num_frames": len(clip.seconds),
            "seconds": round(time.perf_counter() - begin, 1),
        }
        yield row, whole, boxes


def learned(method: str, clip: Clip, article_frames: int) -> Encoder:
    """The encoder of that method."""
    source = open_source(clip.path, every=_LEARN_EVERY)
    if method == "untrained article":
        return untrained(seed=0)
    if method == "article":
        return firstsight.learn(source, method="article", seed=0, frames_per_level=article_frames)
    return firstsight.learn(source, method="default" if method == BY_CELLS else method, seed=0)  # type: ignore[arg-type]


def of_encoder(clip: Clip, encoder: Encoder, *, by_cells: bool = False) -> tuple[Similarities, Similarities]:
    """Similarities to the whole anchor and to its box, as `compare` has them; by cells the box as `search` has it."""
    inputs = in_batches(encoder.view.apply, clip.pictures)
    vectors = encoder.compared(inputs).astype(np.float64)
    deviations = np.argsort(-vectors.std(axis=0), kind="stable")[: encoder.model.compared_dims]
    vectors = vectors[:, deviations]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    whole = (vectors[clip.anchors] @ vectors.T).astype(np.float32)
    return whole, boxes_by_cells(clip, encoder, inputs) if by_cells else boxes_by_maps(clip, encoder, inputs)


def boxes_by_cells(clip: Clip, encoder: Encoder, inputs: NDArray[np.uint8]) -> Similarities:
    """Of each box, as `search` has them in a library."""
    cells = encoder.describe(inputs).cells
    found = []
    for anchor, box in zip(clip.anchors, clip.boxes, strict=True):
        matcher = match_cells(encoder, box, clip.size)
        found.append(matcher.best(cells, matcher.described(inputs[[anchor]]))[0][:, 0])
    return np.stack(found)


def boxes_by_maps(clip: Clip, encoder: Encoder, inputs: NDArray[np.uint8]) -> Similarities:
    """Of each box, as `compare` has them; NaN of one that the encoder does not see."""
    looks = {number: look for number, box in enumerate(clip.boxes) if (look := seen(encoder, box, clip.size))}
    boxes = np.full((len(clip.boxes), len(inputs)), np.nan, np.float32)
    regions = {number: look.described(inputs[[clip.anchors[number]]]) for number, look in looks.items()}
    for index, maps in enumerate(next(iter(looks.values())).maps(inputs) if looks else ()):  # once for all anchors
        for number, look in looks.items():
            boxes[number, index] = look.best_in(maps, regions[number])[0][0]
    return boxes


def seen(encoder: Encoder, box: Box, size: tuple[int, int]) -> RegionMatcher | None:
    """The box, unless it lies outside of the square that the article's encoder sees."""
    try:
        return match_region(encoder, box, size)
    except SettingsError:
        return None


def of_thumbnails(clip: Clip) -> tuple[Similarities, Similarities]:
    """The same of 16x16 pixels: of the whole frame minus the mean frame; of a window minus the mean window."""
    vectors = thumbnail(clip.pictures[::4]).encode(clip.pictures)
    boxes = [windows_of_thumbnails(clip, *one) for one in zip(clip.anchors, clip.boxes, strict=True)]
    return vectors[clip.anchors] @ vectors.T, np.stack(boxes)


def windows_of_thumbnails(clip: Clip, anchor: int, box: Box) -> NDArray[np.float32]:
    """How alike the best of all windows of a box's size is, each at 16x16; neighbours overlap by three quarters."""
    places = [(box.y, box.x), *places_of(clip.size[1], clip.size[0], box)]
    shown = np.stack([cut(clip.pictures, top, left, box) for top, left in places], axis=1)  # (N, windows, numbers)
    shown -= shown[::4, 1:].mean(axis=(0, 1))
    shown /= np.maximum(np.linalg.norm(shown, axis=2, keepdims=True), 1e-9)
    best: NDArray[np.float32] = (shown @ shown[anchor, 0]).max(axis=1)
    return best


def places_of(height: int, width: int, box: Box) -> list[tuple[int, int]]:
    """Top and left of each window, from edge to edge."""
    tops = np.linspace(0, height - box.height, int(np.ceil(4 * (height - box.height) / box.height)) + 1).astype(int)
    lefts = np.linspace(0, width - box.width, int(np.ceil(4 * (width - box.width) / box.width)) + 1).astype(int)
    return [(int(top), int(left)) for top in tops for left in lefts]


def cut(pictures: NDArray[np.uint8], top: int, left: int, box: Box) -> NDArray[np.float32]:
    """A window of each picture at 16x16, (N, 768): the mean of nine pixels of each of its cells."""
    rows, columns = (
        start + ((np.arange(3 * _SIDE) + 0.5) * length / (3 * _SIDE)).astype(int)
        for start, length in ((top, box.height), (left, box.width))
    )
    found = pictures[:, rows[:, None], columns].reshape(len(pictures), _SIDE, 3, _SIDE, 3, 3)
    small: NDArray[np.float32] = found.mean(axis=(2, 4), dtype=np.float32).reshape(len(pictures), -1)
    return small


def in_batches(
    apply: Callable[[NDArray[np.uint8]], NDArray[np.uint8]], pictures: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """What the encoder is shown, without all pictures at once as numbers of 32 bits."""
    return np.concatenate([apply(pictures[start : start + 32]) for start in range(0, len(pictures), 32)])


def draw(clip: Clip, curves: dict[str, tuple[Similarities, Similarities]]) -> None:
    """Similarity over time to the second person, whose span is hatched; the true spans are shaded."""
    number = 1
    figure = Figure(figsize=(10, 5.6), dpi=130, layout="constrained")
    shown = [
        ("default, box", curves["default"][1][number]),
        ("default, whole frame", curves["default"][0][number]),
        (THUMBNAIL, curves[THUMBNAIL][0][number]),
    ]
    rows = figure.subplots(len(shown), 1, sharex=True, sharey=True)
    rows[len(shown) // 2].set_ylabel("similarity to the marked frame: cosine")
    for axes, (label, values) in zip(rows, shown, strict=True):
        for index, (start, end) in enumerate(clip.spans):
            axes.axvspan(start, end, color="#d08a2e", alpha=0.5 if index == number else 0.2, linewidth=0)
        axes.plot(clip.seconds, values, color="#1f5f8b", linewidth=1.1)
        axes.axvline(clip.seconds[clip.anchors[number]], color="#7a4a10", linewidth=0.8)
        score = clip.scores(values[None].repeat(len(clip.spans), axis=0))[number]
        axes.set_title(f"{label}: AUROC {score:.3f}", loc="left", fontsize=10)
        axes.set_xlim(clip.seconds[0], clip.seconds[-1])
        axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("seconds; a person is in view where it is shaded, the anchor's own span is darker")
    figure.savefig(PICTURE)


def table(rows: list[dict[str, Any]]) -> str:
    """Of the document: the mean over the anchors, the least in brackets."""
    names = list(dict.fromkeys(row["clip"] for row in rows))
    heads = "".join(f" {name}: whole frame | box |" for name in names)
    lines = [f"| method |{heads}", "|---|" + "---|" * (2 * len(names))]
    for method in (one for one in METHODS if any(row["method"] == one for row in rows)):
        cells = []
        for name in names:
            found = [row for row in rows if (row["clip"], row["method"]) == (name, method)]
            cells += [cell(found[-1][what]) if found else "" for what in ("whole", "box")]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(scores: list[float | None]) -> str:
    """Mean and least; of how many, if not of all."""
    found = [one for one in scores if one is not None]
    if not found:
        return "not seen"
    of_how_many = "" if len(found) == len(scores) else f", {len(found)} of {len(scores)} seen"
    return f"{np.mean(found):.3f} ({min(found):.2f}{of_how_many})"


def provenance(arguments: argparse.Namespace) -> dict[str, Any]:
    """How a row was measured; another may come from another commit."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    settings = {"every": arguments.every, "learn_every": _LEARN_EVERY, "article_frames": arguments.article_frames}
    return {"commit": commit.stdout.strip(), "seed": 0, **settings}


if __name__ == "__main__":
    main()
