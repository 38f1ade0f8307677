"""Similarity over time: `timeline.csv`, a line a compared frame, and its plot."""

import csv
import io
import math
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from firstsight.errors import RunError
from firstsight.retrieval.compare import Comparison

COLUMNS = ("seconds", "frame", "anchor_seconds", "similarity")
# More points than a plot has columns of pixels are drawn as the range they span.
_MAX_POINTS = 2_000


class TimelineWriter:
    """Writes `timeline.csv` as the comparisons come."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = path.open("w", newline="", encoding="utf-8")
        except OSError as error:
            raise RunError(f"{path} cannot be written: {error.strerror}; choose another folder") from error
        self._writer = csv.writer(self._file)
        self._writer.writerow(COLUMNS)

    def write(self, comparison: Comparison) -> None:
        """Adds a line. Times have microseconds; an anchor that is a picture has no time."""
        self._writer.writerow(
            [
                f"{comparison.frame.seconds:.6f}",
                comparison.frame.index,
                _number(comparison.anchor.seconds),
                _number(comparison.similarity),
            ]
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6f}"


def read_timeline(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Seconds, similarity (NaN where there is none), and whether the anchor is new, of each line: (N,) each."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    seconds = np.array([float(row[0]) for row in rows])
    similarity = np.array([float(row[3] or "nan") for row in rows])
    anchors = [row[2] for row in rows]
    is_new = np.array([i == 0 or anchor != anchors[i - 1] for i, anchor in enumerate(anchors)], dtype=np.bool_)
    return seconds, similarity, is_new


def plot_timeline(path: Path, *, title: str) -> bytes:
    """The curve of a `timeline.csv` as PNG; a thin line marks each new anchor.

    Where several files follow one another, or times do not rise, the axis counts compared frames.
    """
    seconds, similarity, is_new = read_timeline(path)
    rising = bool(np.all(np.diff(seconds) > 0))
    position = seconds if rising else np.arange(len(seconds), dtype=np.float64)
    figure = Figure(figsize=(10, 3.2), dpi=150, layout="constrained")
    axes = figure.subplots()
    for start in position[is_new]:
        axes.axvline(start, color="#d08a2e", linewidth=0.6, alpha=0.8)
    _draw_curve(axes, position, similarity)
    axes.set_ylim(min(0.0, float(np.nanmin(similarity, initial=0.0))) - 0.02, 1.02)
    axes.set_xlim(position[0], max(position[-1], position[0] + 1e-3))
    axes.set(xlabel="seconds" if rising else "compared frame", ylabel="similarity to the anchor", title=title)
    axes.spines[["top", "right"]].set_visible(False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _draw_curve(axes: Axes, position: NDArray[np.float64], similarity: NDArray[np.float64]) -> None:
    if len(position) <= _MAX_POINTS:
        axes.plot(position, similarity, color="#1f5f8b", linewidth=1.2)
        return
    edges = np.linspace(0, len(position), _MAX_POINTS + 1).astype(int)
    parts = [similarity[a:b] for a, b in pairwise(edges)]
    low, high = (np.array([pick(part) for part in parts]) for pick in (np.nanmin, np.nanmax))
    axes.fill_between(position[edges[:-1]], low, high, color="#1f5f8b", linewidth=0.4)
