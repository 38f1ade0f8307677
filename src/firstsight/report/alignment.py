"""How two videos belong together, as a picture: the matrix of their similarities, and the path through it."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from firstsight.report.drawing import figure_png, figure_text
from firstsight.retrieval.comparing.seen import Seen
from firstsight.retrieval.comparing.warping import Path

_MOST_CELLS = 800  # a side of the picture; of longer videos the largest of each block is drawn
_LEAST_SIDE, _MOST_SIDE = 3.0, 9.0  # inches


def alignment_picture(seen: Sequence[Seen], gains: NDArray[np.float32], path: Path) -> bytes:
    """Two videos as PNG: darker is more alike than usual; the second video goes to the right, the first one down."""
    first, second = seen
    rows, columns = first.frames.seconds, second.frames.seconds
    height = float(np.clip(_MOST_SIDE * len(rows) / max(len(columns), 1), _LEAST_SIDE, _MOST_SIDE))
    figure = Figure(figsize=(_MOST_SIDE, height), dpi=120, layout="constrained")
    axes = figure.subplots()
    extent = (columns[0], columns[-1] or 1.0, rows[-1] or 1.0, rows[0])
    axes.imshow(_thinned(gains), extent=extent, aspect="auto", cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    axes.plot(columns[path.second], rows[path.first], color="#d08a2e", linewidth=2)
    axes.set(xlabel=f"seconds of {figure_text(second.name)}", ylabel=f"seconds of {figure_text(first.name)}")
    return figure_png(figure)


def _thinned(gains: NDArray[np.float32]) -> NDArray[np.float32]:
    """The largest of each block, so that a thin path is still seen when the picture has fewer cells."""
    for axis in (0, 1):
        step = -(-gains.shape[axis] // _MOST_CELLS)
        gains = np.maximum.reduceat(gains, np.arange(0, gains.shape[axis], step), axis=axis)
    return gains
