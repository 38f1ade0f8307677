"""Groups of a library's frames, and a map of them, computed once by a job and kept until its footage changes."""

import io
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firstsight.api import Library
from firstsight.errors import FirstsightError
from firstsight.exploration.clusters import MIN_FRAMES
from firstsight.exploration.layout import FrameMap, place_others
from firstsight.files import write_atomically
from firstsight.progress import Progress, Report, silent
from firstsight.text import counted, printable
from firstsight.web.rows import state_of

_AT_ONCE = 4_096  # frames: some 30 MB of similarities


@dataclass(frozen=True, eq=False)
class Overview:
    """What a job found in a library."""

    state: str  # of the library, see `state_of`
    groups: list[dict[str, Any]]  # the largest first
    labels: NDArray[np.uint8]  # (N,), 1 + group of each frame of the timeline; 0 of one that shows nothing
    points: NDArray[np.float32]  # (M, 2), in the unit square, y downwards
    positions: NDArray[np.int64]  # (M,), of the points' frames in the timeline


def write_overview(library: Library, out: Path, *, progress: Report = silent) -> str:
    """Computes it and writes it to a file; what it found, in a line. Too few frames make no group, and no map."""
    state = state_of(library.store)
    groups: list[dict[str, Any]] = []
    labels = np.zeros(len(library.store.timeline), np.uint8)
    points, chosen = np.empty((0, 2), np.float32), np.empty(0, np.int64)
    if _can_be_grouped(library):
        found = library.clusters(progress=progress)
        labels = (1 + found.labels).astype(np.uint8)
        groups = [
            {
                "source": printable(one.exemplar_source),
                "seconds": one.exemplar_seconds,
                "share": one.share,
                "num_frames": one.num_frames,
                "is_mixed": one.is_mixed,
            }
            for one in found.clusters
        ]
        with suppress(FirstsightError):  # a few frames make no map
            points, chosen = _all_placed(library, library.map(progress=progress), progress)
    content = io.BytesIO()
    np.savez(content, labels=labels, points=points, positions=chosen, about=json.dumps([state, groups]))
    write_atomically(out, content.getvalue())
    return counted(len(groups), "group")


def _can_be_grouped(library: Library) -> bool:
    """Whether enough frames show anything."""
    num = 0
    for _, vectors in library.store.vectors():
        num += int(np.count_nonzero(vectors.any(axis=1)))
        if num >= MIN_FRAMES:
            return True
    return False


def read_overview(file: Path, state: str) -> Overview | None:
    """What was written of a library in that state; None if nothing was, or it is damaged."""
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as content:
            written, groups = json.loads(str(content["about"]))
            if written != state:
                return None
            return Overview(state, groups, content["labels"], content["points"], content["positions"])
    except Exception:  # a damaged archive raises almost any, and is made again
        return None


def _all_placed(library: Library, layout: FrameMap, progress: Report) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """A point (N, 2) for every frame, and the positions (N,) of these frames in the timeline.

    Of many frames some are laid out; the others are put near what they are like, and a little apart from each other.
    """
    chosen = _positions(library, layout.frames.source_indices, layout.frames.frame_indices)
    num = len(library.store.timeline)
    if len(chosen) == num:
        return layout.points, chosen
    points = np.empty((num, 2), np.float32)
    apart = np.random.default_rng(0).normal(scale=0.25 / np.sqrt(num), size=(num, 2)).astype(np.float32)
    for positions, vectors in library.store.vectors():
        for start in range(0, len(positions), _AT_ONCE):
            some = positions[start : start + _AT_ONCE]
            points[some] = place_others(vectors[start : start + _AT_ONCE], layout.frames.vectors, layout.points)
            progress(Progress("laying out the others", float(some[-1]), num))
    return (points + apart).clip(0, 1), np.arange(num, dtype=np.int64)


def _positions(library: Library, sources: NDArray[np.int64], indices: NDArray[np.int64]) -> NDArray[np.int64]:
    ids = np.array([record.id for record in library.store.sources], np.int64)
    return library.store.timeline.find(ids[sources], indices).astype(np.int64)
