"""Labelled sets that the encoder is scored on, without being shown a label: read, and scored as is usual for each.

Expects in a folder: `ie_tower/` (videos and frames.csv), `cifar10_small.npz`, `mnist_small.npz`; `places/*.npz` with
query and reference uint8 (N, H, W, 3), of which the same number is the same place; and any further `*.npz` with frames
uint8 (N, H, W, 3), labels (N,), and groups (N,) that a nearest neighbour must not share (-1: none).
"""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from firstsight.evaluation.metrics import found_at, knn_labels, linear_probe_labels

Encode = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
Scores = dict[str, float]

_HEIGHT = 128  # pixels that frames of videos are read at
# Byte for byte another of its videos, and so not another video.
_SAME_FILE = "f22_central_alt.mp4"


@dataclass(frozen=True)
class LabelledSet:
    """Frames to learn from, and how to score what was learned."""

    name: str
    learn_from: NDArray[np.uint8]  # (N, H, W, 3)
    score: Callable[[Encode], Scores]


def labelled_sets(folder: Path) -> dict[str, Callable[[], LabelledSet]]:
    """What there is in the folder, by name; each is read when it is called for."""
    known: dict[str, Callable[[], LabelledSet]] = {}
    if (folder / "ie_tower" / "frames.csv").exists():
        known["ie_tower"] = lambda: _ie_tower(folder / "ie_tower")
    for file in sorted(folder.glob("*.npz")):
        split = file.stem.endswith("_small")
        known[file.stem.removesuffix("_small")] = lambda file=file, split=split: (_split if split else _grouped)(file)
    for file in sorted((folder / "places").glob("*.npz")):
        known[file.stem] = lambda file=file: _places(file)
    return known


def _places(file: Path) -> LabelledSet:
    """Photographs of places, each taken twice: is the one most similar to a query that of the same place?"""
    data = np.load(file)
    queries, references = data["query"], data["reference"]

    def score(encode: Encode) -> Scores:
        nearest = (encode(queries) @ encode(references).T).argmax(axis=1)
        return {"R@1": float(100 * (nearest == np.arange(len(queries))).mean())}

    return LabelledSet(file.stem, np.concatenate([references, queries]), score)


def _ie_tower(folder: Path) -> LabelledSet:
    """2,877 frames of 124 walks through a building; the label is the floor."""
    rows = list(csv.DictReader((folder / "frames.csv").open()))
    decoded = {name: _decoded(folder / name) for name in sorted({row["video"] for row in rows})}
    frames = np.stack([decoded[row["video"]][int(row["frame"])] for row in rows])
    labels, videos = (np.unique([row[key] for row in rows], return_inverse=True)[1] for key in ("label", "video"))
    gallery = np.array([row["split"] == "gallery" for row in rows])
    distinct = np.array([row["video"] != _SAME_FILE for row in rows])

    def score(encode: Encode) -> Scores:
        vectors = encode(frames)
        similarities = vectors[~gallery] @ vectors[gallery].T
        relevant = labels[~gallery, None] == labels[gallery]
        elsewhere = _elsewhere(vectors[distinct], labels[distinct], videos[distinct])
        found = {f"top-{k}": 100 * found_at(similarities, relevant, k=k).mean() for k in (1, 5)}
        return {**found, "another video": elsewhere}

    return LabelledSet("ie_tower", frames[gallery], score)


def _split(file: Path) -> LabelledSet:
    """Pictures to learn from and to vote, and pictures to test."""
    data = np.load(file)
    train, test = (np.broadcast_to(data[f"{part}_images"], (*data[f"{part}_images"].shape[:3], 3)) for part in _PARTS)
    labels, asked = (data[f"{part}_labels"].astype(np.int64) for part in _PARTS)
    held_out = np.arange(len(labels)) >= len(labels) * 4 // 5

    def score(encode: Encode) -> Scores:
        vectors, queries = encode(train), encode(test)
        nearest = knn_labels(queries @ vectors.T, labels)
        linear = linear_probe_labels(vectors, labels, held_out, queries)
        return {"kNN(20)": 100 * (nearest == asked).mean(), "linear": 100 * (linear == asked).mean()}

    return LabelledSet(file.stem.removesuffix("_small"), np.ascontiguousarray(train), score)


_PARTS = ("train", "test")


def _grouped(file: Path) -> LabelledSet:
    """Pictures of which the nearest in another group, or the nearest other where there are no groups, should agree."""
    data = np.load(file)
    frames, labels, groups = data["frames"], data["labels"], data["groups"]
    groups = np.where(groups < 0, np.arange(len(groups)), groups)
    return LabelledSet(file.stem, frames, lambda encode: {"R@1": _elsewhere(encode(frames), labels, groups)})


def _elsewhere(vectors: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.int64]) -> float:
    similarities = vectors @ vectors.T
    similarities[groups[:, None] == groups] = -np.inf
    return float(100 * found_at(similarities, labels[:, None] == labels, k=1).mean())


def _decoded(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        return [
            frame.reformat(round(frame.width * _HEIGHT / frame.height / 2) * 2, _HEIGHT, "rgb24").to_ndarray()
            for frame in container.decode(video=0)
        ]
