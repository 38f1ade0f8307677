"""The timeline of a comparison as a table and a plot, and an alignment of two videos as a picture."""

import csv
import math
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from firstsight.comparison.compare import Comparison
from firstsight.errors import RunError
from firstsight.files import unfinished
from firstsight.report.drawing import figure_png, figure_text
from firstsight.text import printable, safe_cell, shortened

if TYPE_CHECKING:
    from firstsight.comparison.align import Alignment
    from firstsight.comparison.similarities import Embedded

COLUMNS = ("seconds", "frame", "anchor_seconds", "similarity", "source", "anchor_source")
BOX_COLUMNS = ("x", "y", "width", "height")  # of the window most similar to the anchor's box, if it has one
# More points than a plot has columns of pixels are drawn as the range they span.
_MAX_POINTS = 2_000
_NAME_LETTERS = 28  # of a video in a title, beside the legend


class TimelineWriter:
    """Writes `timeline.csv` as the comparisons come; `boxes`: those of an anchor with a box.

    It takes its name at the end, also of what was interrupted; without a comparison what was there stays.
    """

    def __init__(self, path: Path, *, boxes: bool = False) -> None:
        self._path, self._unfinished, self._is_begun = path, unfinished(path), False
        try:
            self._file = self._unfinished.open("w", newline="", encoding="utf-8")
        except OSError as error:
            raise RunError(f"{printable(path)} cannot be written: {error.strerror}; choose another folder") from error
        self._writer = csv.writer(self._file)
        self._writer.writerow(COLUMNS + BOX_COLUMNS if boxes else COLUMNS)

    def write(self, comparison: Comparison) -> None:
        """Adds a line. Times have microseconds; an anchor that is a picture has no time."""
        self._is_begun = True
        self._writer.writerow(
            [
                f"{comparison.frame.seconds:.6f}",
                comparison.frame.index,
                "" if math.isnan(comparison.anchor.seconds) else f"{comparison.anchor.seconds:.6f}",
                "" if comparison.similarity is None else f"{comparison.similarity:.6f}",
                safe_cell(comparison.frame.source),
                safe_cell(comparison.anchor.source),
                *(astuple(comparison.box) if comparison.box else ()),
            ]
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._is_begun:
            self._unfinished.replace(self._path)
        else:
            self._unfinished.unlink()


@dataclass(frozen=True)
class Curve:
    """A timeline in at most so many parts of equally many frames, however long it is."""

    position: NDArray[np.float64]  # (P,) where each part begins: in seconds if they rise throughout, else in frames
    least: NDArray[np.float64]  # (P,) similarity, NaN where none is defined
    largest: NDArray[np.float64]  # (P,)
    anchor: NDArray[np.float64]  # (P,) position of the first anchor that is new in the part; NaN where none is known
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
    anchors = np.full(parts, np.nan)
    anchor_before = None
    for index, (seconds, similarity, anchor) in enumerate(_lines(path)):
        part = index * parts // num_frames
        if np.isnan(position[part]):
            position[part] = seconds if rising else index
        least[part], largest[part] = np.fmin(least[part], similarity), np.fmax(largest[part], similarity)
        if anchor != anchor_before and np.isnan(anchors[part]):
            anchors[part] = _anchor_position(anchor, index, in_seconds=rising)
        anchor_before = anchor
    return Curve(position, least, largest, anchors, last if rising else num_frames - 1, rising, num_frames)


def _anchor_position(anchor: str, index: int, *, in_seconds: bool) -> float:
    """Its own time; among compared frames, of which it is none, between the last and the next; NaN of a picture."""
    if in_seconds:
        return float(anchor or "nan")
    return index - 0.5 if index else math.nan  # the first one may be from anywhere


def _lines(path: Path) -> Iterator[tuple[float, float, str]]:
    """Seconds, similarity, and what names the anchor."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        next(rows)
        for seconds, _, anchor, similarity, *_ in rows:
            yield float(seconds), float(similarity or "nan"), anchor


def plot_timeline(path: Path, *, title: str) -> bytes:
    """The curve of a `timeline.csv` as PNG; a thin line marks the time of each anchor that has one.

    Where several files follow one another, or times do not rise, the axis counts compared frames. Of more frames than
    the plot has columns, each part is drawn as the range it spans, with at most one line for new anchors.
    """
    curve = read_curve(path)
    figure = Figure(figsize=(10, 3.2), dpi=150, layout="constrained")
    axes = figure.subplots()
    top = axes.get_xaxis_transform()
    anchors = curve.anchor[~np.isnan(curve.anchor)]
    axes.vlines(anchors, 0, 1, transform=top, color="#d08a2e", linewidth=0.9, alpha=0.8, label="anchor")
    _draw(axes, curve)
    axes.set_ylim(min(0.0, float(np.nanmin(curve.least, initial=0.0))) - 0.02, 1.02)
    begin, end = min([curve.position[0], *anchors]), max([curve.end, curve.position[0] + 1e-3, *anchors])
    margin = 0.005 * (end - begin)  # or a line at the edge would be cut
    axes.set_xlim(begin - margin, end + margin)
    if len(anchors):
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0, frameon=False)
    label = "seconds" if curve.in_seconds else "compared frame"
    axes.set(xlabel=label, ylabel="similarity to the anchor", title=figure_text(shortened(title, 2 * _NAME_LETTERS)))
    axes.spines[["top", "right"]].set_visible(False)
    return figure_png(figure)


def _draw(axes: Axes, curve: Curve) -> None:
    if curve.num_frames == len(curve.position):
        axes.plot(curve.position, curve.least, color="#1f5f8b", linewidth=1.2)
    else:
        axes.fill_between(curve.position, curve.least, curve.largest, color="#1f5f8b", linewidth=0.4)


_MAX_CELLS = 800  # a side of the picture; of longer videos the largest of each block is drawn
_MIN_SIDE, _MAX_SIDE = 3.0, 9.0  # inches


def alignment_picture(alignment: "Alignment") -> bytes:
    """Two videos as PNG: darker is more similar than usual; the second video goes right, the first one down."""
    first, second, path = alignment.first, alignment.second, alignment.path
    (rows, down), (columns, across) = (_axis(one) for one in (first, second))
    height = float(np.clip(_MAX_SIDE * len(rows) / max(len(columns), 1), _MIN_SIDE, _MAX_SIDE))
    figure = Figure(figsize=(_MAX_SIDE, height), dpi=120, layout="constrained")
    axes = figure.subplots()
    cells, row_starts, column_starts = _thinned(alignment.gains)
    x, y = (_edges(positions, starts) for positions, starts in ((columns, column_starts), (rows, row_starts)))
    drawn = axes.pcolorfast(x, y, cells, cmap="Blues", vmin=0, vmax=1)
    axes.plot(columns[path.second], rows[path.first], color="#d08a2e", linewidth=2, label="the same moments")
    axes.set(xlim=(x[0], x[-1]), ylim=(y[-1], y[0]), xlabel=across, ylabel=down)
    names = (figure_text(shortened(one.name, _NAME_LETTERS)) for one in (first, second))
    axes.set_title(" and ".join(names), loc="left")
    if len(path.first):
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0, frameon=False)
    figure.colorbar(drawn, label="0: as usual, 1: the same frame", aspect=40)
    return figure_png(figure)


def _axis(video: "Embedded") -> tuple[NDArray[np.float64], str]:
    """Where its frames lie on an axis, and the axis' name: seconds, or frames if the times do not rise, of pictures."""
    seconds = video.frames.seconds
    name = figure_text(video.name)
    if (np.diff(seconds) > 0).all():
        return seconds, f"seconds of {name}"
    return np.arange(len(seconds), dtype=np.float64), f"frames of {name}"


def _edges(positions: NDArray[np.float64], starts: NDArray[np.intp]) -> NDArray[np.float64]:
    """Where cells begin that begin with those frames, and the end of the last: halfway between neighbouring frames."""
    between = (positions[1:] + positions[:-1]) / 2
    if not len(between):
        return np.array([positions[0] - 0.5, positions[0] + 0.5])
    ends = np.array([2 * positions[0] - between[0], *between, 2 * positions[-1] - between[-1]])
    return np.append(ends[starts], ends[-1])


def _thinned(gains: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.intp], NDArray[np.intp]]:
    """The largest of each block, so that a thin path is still visible in fewer cells; its first rows and columns."""
    rows, columns = (np.arange(0, size, -(-size // _MAX_CELLS)) for size in gains.shape)
    blocks = np.maximum.reduceat(np.maximum.reduceat(gains, rows, axis=0), columns, axis=1)
    return blocks, rows, columns
