"""The timeline of a comparison as a table and a plot, and an alignment of two videos as a picture."""

import csv
import math
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from firstsight.comparison.align import Alignment
from firstsight.comparison.compare import Comparison
from firstsight.errors import RunError
from firstsight.report.drawing import figure_png, figure_text
from firstsight.text import printable

COLUMNS = ("seconds", "frame", "anchor_seconds", "similarity")
BOX_COLUMNS = ("x", "y", "width", "height")  # of the window most similar to the anchor's box, if it has one
# More points than a plot has columns of pixels are drawn as the range they span.
_MAX_POINTS = 2_000


class TimelineWriter:
    """Writes `timeline.csv` as the comparisons come; `boxes`: those of an anchor with a box."""

    def __init__(self, path: Path, *, boxes: bool = False) -> None:
        try:
            self._file = path.open("w", newline="", encoding="utf-8")
        except OSError as error:
            raise RunError(f"{printable(path)} cannot be written: {error.strerror}; choose another folder") from error
        self._writer = csv.writer(self._file)
        self._writer.writerow(COLUMNS + BOX_COLUMNS if boxes else COLUMNS)

    def write(self, comparison: Comparison) -> None:
        """Adds a line. Times have microseconds; an anchor that is a picture has no time."""
        self._writer.writerow(
            [
                f"{comparison.frame.seconds:.6f}",
                comparison.frame.index,
                "" if math.isnan(comparison.anchor.seconds) else f"{comparison.anchor.seconds:.6f}",
                "" if comparison.similarity is None else f"{comparison.similarity:.6f}",
                *(astuple(comparison.box) if comparison.box else ()),
            ]
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


@dataclass(frozen=True)
class Curve:
    """A timeline in at most so many parts of equally many frames, however long it is."""

    position: NDArray[np.float64]  # (P,) where each part begins: in seconds if they rise throughout, else in frames
    least: NDArray[np.float64]  # (P,) similarity, NaN where none is defined
    largest: NDArray[np.float64]  # (P,)
    has_new_anchor: NDArray[np.bool_]  # (P,)
    end: float  # position of the last frame
    in_seconds: bool
    num_frames: int


def read_curve(path: Path, *, max_parts: int = _MAX_POINTS) -> Curve:
    """The curve of a `timeline.csv`. The file is read twice, a line at a time: memory does not grow with it."""
    num_frames, rising, last = 0, True, -math.inf
    for seconds, _, _ in _lines(path):
        num_frames, rising, last = num_frames + 1, rising and seconds > last, seconds
    parts = min(num_frames, max_parts)
    position, least, largest = np.full((3, parts), np.nan)
    has_new_anchor = np.zeros(parts, dtype=np.bool_)
    anchor_before = None
    for index, (seconds, similarity, anchor) in enumerate(_lines(path)):
        part = index * parts // num_frames
        if np.isnan(position[part]):
            position[part] = seconds if rising else index
        least[part], largest[part] = np.fmin(least[part], similarity), np.fmax(largest[part], similarity)
        has_new_anchor[part] |= anchor != anchor_before
        anchor_before = anchor
    return Curve(position, least, largest, has_new_anchor, last if rising else num_frames - 1, rising, num_frames)


def _lines(path: Path) -> Iterator[tuple[float, float, str]]:
    """Seconds, similarity, and what names the anchor."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        next(rows)
        for seconds, _, anchor, similarity, *_ in rows:
            yield float(seconds), float(similarity or "nan"), anchor


def plot_timeline(path: Path, *, title: str) -> bytes:
    """The curve of a `timeline.csv` as PNG; a thin line marks each new anchor.

    Where several files follow one another, or times do not rise, the axis counts compared frames. Of more frames than
    the plot has columns, each part is drawn as the range it spans, with at most one line for new anchors.
    """
    curve = read_curve(path)
    figure = Figure(figsize=(10, 3.2), dpi=150, layout="constrained")
    axes = figure.subplots()
    top = axes.get_xaxis_transform()
    axes.vlines(curve.position[curve.has_new_anchor], 0, 1, transform=top, color="#d08a2e", linewidth=0.6, alpha=0.8)
    _draw(axes, curve)
    axes.set_ylim(min(0.0, float(np.nanmin(curve.least, initial=0.0))) - 0.02, 1.02)
    axes.set_xlim(curve.position[0], max(curve.end, curve.position[0] + 1e-3))
    label = "seconds" if curve.in_seconds else "compared frame"
    axes.set(xlabel=label, ylabel="similarity to the anchor", title=figure_text(title))
    axes.spines[["top", "right"]].set_visible(False)
    return figure_png(figure)


def _draw(axes: Axes, curve: Curve) -> None:
    if curve.num_frames == len(curve.position):
        axes.plot(curve.position, curve.least, color="#1f5f8b", linewidth=1.2)
    else:
        axes.fill_between(curve.position, curve.least, curve.largest, color="#1f5f8b", linewidth=0.4)


_MAX_CELLS = 800  # a side of the picture; of longer videos the largest of each block is drawn
_MIN_SIDE, _MAX_SIDE = 3.0, 9.0  # inches


def alignment_picture(alignment: Alignment) -> bytes:
    """Two videos as PNG: darker is more similar than usual; the second video goes right, the first one down."""
    first, second, path = alignment.first, alignment.second, alignment.path
    rows, columns = first.frames.seconds, second.frames.seconds
    height = float(np.clip(_MAX_SIDE * len(rows) / max(len(columns), 1), _MIN_SIDE, _MAX_SIDE))
    figure = Figure(figsize=(_MAX_SIDE, height), dpi=120, layout="constrained")
    axes = figure.subplots()
    extent = (columns[0], columns[-1] or 1.0, rows[-1] or 1.0, rows[0])
    axes.imshow(
        _thinned(alignment.gains), extent=extent, aspect="auto", cmap="Blues", vmin=0, vmax=1, interpolation="nearest"
    )
    axes.plot(columns[path.second], rows[path.first], color="#d08a2e", linewidth=2)
    axes.set(xlabel=f"seconds of {figure_text(second.name)}", ylabel=f"seconds of {figure_text(first.name)}")
    return figure_png(figure)


def _thinned(gains: NDArray[np.float32]) -> NDArray[np.float32]:
    """The largest of each block, so that a thin path is still visible when the picture has fewer cells."""
    for axis in (0, 1):
        step = -(-gains.shape[axis] // _MAX_CELLS)
        gains = np.maximum.reduceat(gains, np.arange(0, gains.shape[axis], step), axis=axis)
    return gains
