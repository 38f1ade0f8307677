"""Labelled sets that the encoder is scored on, without being shown a label: read, and scored as is usual for each.

Expects in a folder: `ie_tower/` (videos and frames.csv), `cifar10_small.npz`, `mnist_small.npz`; and any further
`*.npz`, also in `places/`: with query uint8 (Q, H, W, 3), reference (R, H, W, 3), and which show the same, right bool
(Q, R), by default those of the same number; or with frames uint8 (N, H, W, 3), labels (N,), and groups (N,) that a
nearest neighbour must not share (-1: none). Of `places/essex_a.npz` there are variants, mixed with `places/sped_a.npz`.
"""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from firstsight.evaluation.baselines import Method
from firstsight.evaluation.metrics import found_at, knn_labels, linear_probe_labels

Scores = dict[str, float]

_HEIGHT = 128  # pixels that frames of videos are read at
# Byte for byte another of its videos, and so not another video.
_SAME_FILE = "f22_central_alt.mp4"


@dataclass(frozen=True)
class LabelledSet:
    """Frames to learn from, and how to score what was learned."""

    name: str
    learn_from: NDArray[np.uint8]  # (N, H, W, 3)
    score: Callable[[Method], Scores]


def labelled_sets(folder: Path) -> dict[str, Callable[[], LabelledSet]]:
    """What there is in the folder, by name; each is read when it is called for."""
    known: dict[str, Callable[[], LabelledSet]] = {}
    if (folder / "ie_tower" / "frames.csv").exists():
        known["ie_tower"] = lambda: _ie_tower(folder / "ie_tower")
    for file in (*sorted(folder.glob("*.npz")), *sorted((folder / "places").glob("*.npz"))):
        read = _split if file.stem.endswith("_small") else _paired if "query" in np.load(file) else _grouped
        known[file.stem.removesuffix("_small")] = lambda file=file, read=read: read(file)
    places = [folder / "places" / name for name in ("essex_a.npz", "sped_a.npz")]
    return known | _variants(*places) if all(file.exists() for file in places) else known


Pairs = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_]]  # queries, references, (Q, R) which are the same


def _paired(file: Path) -> LabelledSet:
    return _of_pairs(file.stem, _pairs(file))


def _pairs(file: Path) -> Pairs:
    data = np.load(file)
    queries, references = (in_colour(data[name]) for name in ("query", "reference"))
    right = data["right"].astype(bool) if "right" in data else np.eye(len(queries), dtype=bool)
    return queries[right.any(axis=1)], references, right[right.any(axis=1)]


def _of_pairs(name: str, pairs: Pairs) -> LabelledSet:
    """Is the reference most similar to a query one of those that show the same?"""
    queries, references, right = pairs

    def score(method: Method) -> Scores:
        return {"R@1": float(100 * found_at(method.similarities(queries, references), right, k=1).mean())}

    return LabelledSet(name, np.concatenate([references, queries]), score)


def _variants(places: Path, others: Path) -> dict[str, Callable[[], LabelledSet]]:
    """Places in no order, in one channel, 50 of them, and mixed with those of other cameras."""

    def named(name: str, change: Callable[[Pairs], Pairs]) -> tuple[str, Callable[[], LabelledSet]]:
        return name, lambda: _of_pairs(name, change(_pairs(places)))

    return dict(
        (
            named(f"{places.stem}_shuffled", _shuffled),
            named(f"{places.stem}_grey", lambda pairs: (_grey(pairs[0]), _grey(pairs[1]), pairs[2])),
            named(f"{places.stem}_50", lambda pairs: (pairs[0][:50], pairs[1][:50], pairs[2][:50, :50])),
            named(f"{places.stem}_and_{others.stem}", lambda pairs: _together(pairs, _pairs(others))),
        )
    )


def _shuffled(pairs: Pairs) -> Pairs:
    queries, references, right = pairs
    random = np.random.default_rng(0)
    rows, columns = random.permutation(len(queries)), random.permutation(len(references))
    return queries[rows], references[columns], right[rows][:, columns]


def _grey(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return in_colour(np.stack([np.asarray(Image.fromarray(one).convert("L")) for one in pictures]))


def _together(first: Pairs, second: Pairs) -> Pairs:
    """Of pictures of one size; none of the one shows the same as any of the other."""
    right = np.zeros((len(first[0]) + len(second[0]), len(first[1]) + len(second[1])), np.bool_)
    right[: len(first[0]), : len(first[1])], right[len(first[0]) :, len(first[1]) :] = first[2], second[2]
    return np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]]), right


def in_colour(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Frames (N, H, W), (N, H, W, 1) or (N, H, W, 3) as (N, H, W, 3)."""
    frames = frames[..., None] if frames.ndim == 3 else frames
    return np.ascontiguousarray(np.broadcast_to(frames, (*frames.shape[:3], 3)))


def _ie_tower(folder: Path) -> LabelledSet:
    """2,877 frames of 124 walks through a building; the label is the floor."""
    rows = list(csv.DictReader((folder / "frames.csv").open()))
    decoded = {name: _decoded(folder / name) for name in sorted({row["video"] for row in rows})}
    frames = np.stack([decoded[row["video"]][int(row["frame"])] for row in rows])
    labels, videos = (np.unique([row[key] for row in rows], return_inverse=True)[1] for key in ("label", "video"))
    gallery = np.array([row["split"] == "gallery" for row in rows])
    distinct = np.array([row["video"] != _SAME_FILE for row in rows])

    def score(method: Method) -> Scores:
        similarities = method.similarities(frames[~gallery], frames[gallery])
        relevant = labels[~gallery, None] == labels[gallery]
        elsewhere = _elsewhere(method, frames[distinct], labels[distinct], videos[distinct])
        found = {f"top-{k}": 100 * found_at(similarities, relevant, k=k).mean() for k in (1, 5)}
        return {**found, "another video": elsewhere}

    return LabelledSet("ie_tower", frames[gallery], score)


def _split(file: Path) -> LabelledSet:
    """Pictures to learn from and to vote, and pictures to test."""
    data = np.load(file)
    train, test = (in_colour(data[f"{part}_images"][..., :3]) for part in _PARTS)
    labels, asked = (data[f"{part}_labels"].astype(np.int64) for part in _PARTS)
    held_out = np.arange(len(labels)) >= len(labels) * 4 // 5

    def score(method: Method) -> Scores:
        vectors, queries = vectors_of(method, train), vectors_of(method, test)
        nearest = knn_labels(queries @ vectors.T, labels)
        linear = linear_probe_labels(vectors, labels, held_out, queries)
        return {"kNN(20)": 100 * (nearest == asked).mean(), "linear": 100 * (linear == asked).mean()}

    return LabelledSet(file.stem.removesuffix("_small"), train, score)


_PARTS = ("train", "test")


def _grouped(file: Path) -> LabelledSet:
    """Pictures of which the nearest in another group, or the nearest other where there are no groups, should agree."""
    data = np.load(file)
    frames, labels, groups = data["frames"], data["labels"], data["groups"]
    groups = np.where(groups < 0, np.arange(len(groups)), groups)
    return LabelledSet(file.stem, frames, lambda method: {"R@1": _elsewhere(method, frames, labels, groups)})


def vectors_of(method: Method, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The method's vectors."""
    if method.encode is None:
        raise SystemExit(f"{method.name} makes no vectors")
    return method.encode(frames)


def _elsewhere(
    method: Method, frames: NDArray[np.uint8], labels: NDArray[np.int64], groups: NDArray[np.int64]
) -> float:
    """Of the frames of each group asked among all others, how often the nearest has the label, in percent."""
    hits = 0
    for group in np.unique(groups):
        own = groups == group
        nearest = method.similarities(frames[own], frames[~own]).argmax(axis=1)
        hits += int((labels[~own][nearest] == labels[own]).sum())
    return 100 * hits / len(frames)


def _decoded(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        return [
            frame.reformat(round(frame.width * _HEIGHT / frame.height / 2) * 2, _HEIGHT, "rgb24").to_ndarray()
            for frame in container.decode(video=0)
        ]
