"""Clusters and the map of a library, as a picture and as pages of one file with thumbnails."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from firstsight.exploration.clusters import Cluster, Clusters
from firstsight.exploration.layout import FrameMap, evenly_spaced
from firstsight.library.records import SourceRecord
from firstsight.library.store import Store
from firstsight.library.thumbnails import as_picture
from firstsight.report.drawing import figure_png, figure_text, file_uri, load_template, recorded_uri
from firstsight.text import shortened

_CLUSTERS_TEMPLATE = "clusters_page.html"
_PICTURES_SHOWN = 8  # of moments, besides the exemplar
_SOURCES_SHOWN = 6


def render_clusters_page(found: Clusters, library: Store) -> str:
    """The page as HTML, with thumbnails from the library."""
    return load_template(_CLUSTERS_TEMPLATE).render(
        library=library.path.name,
        num_frames=found.num_frames,
        num_sources=len(library.sources),
        silhouette=found.silhouette,
        num_shown=_PICTURES_SHOWN,
        clusters=[_shown(cluster, library) for cluster in found.clusters],
    )


def _shown(cluster: Cluster, library: Store) -> dict[str, Any]:
    chosen = [cluster.moments[row] for row in evenly_spaced(len(cluster.moments), _PICTURES_SHOWN)]
    frames = [(cluster.exemplar_source, cluster.exemplar_frame_index)]
    frames += [(moment.source, moment.best_frame_index) for moment in chosen]
    names = [name for name, _ in frames]
    times = [cluster.exemplar_seconds, *(moment.best_seconds for moment in chosen)]
    uris = [file_uri(jpeg, "jpeg") for jpeg in library.thumbnails(frames)]
    records = {record.name: record for record in library.sources}
    return {
        "share": 100 * cluster.share,
        "num_frames": cluster.num_frames,
        "num_moments": len(cluster.moments),
        "pictures": [
            {
                "uri": uri,
                "name": name,
                "time": "" if records[name].is_picture else f"{seconds:.1f} s",
                "opens": recorded_uri(records[name], seconds),
            }
            for uri, name, seconds in zip(uris, names, times, strict=True)
        ],
        "silhouette": cluster.silhouette,
        "is_mixed": cluster.is_mixed,
        "sources": [{"name": name, "num_frames": count} for name, count in cluster.sources[:_SOURCES_SHOWN]],
        "num_more": max(0, len(cluster.sources) - _SOURCES_SHOWN),
    }


_MAP_TEMPLATE = "map_page.html"
_CELLS = 12  # a side: at most one thumbnail for each cell of this grid
_SHARE = 0.9  # of a cell that its thumbnail fills
_MARGIN = 0.06  # of the drawing's side, around the map
_SIDE = 1_000  # of the page's drawing, in its own units
# Of sources, those with the most frames first; the others share the last one. All have a contrast of 3:1 or more both
# on a light and on a dark ground (WCAG 2, 1.4.11), and neighbours in the list differ in hue.
_COLOURS = (
    *("#2f7fc1", "#d1582a", "#2f8f4e", "#a15fc0", "#ad7a12", "#d0508c"),
    *("#1f8f94", "#9a6a4f", "#6a6fd8", "#6f8b1f", "#c2464d"),
)
_OTHERS = "#7d8087"
_NAME_LETTERS = 40  # of a source in the picture's legend
# Where a thumbnail may lie: so many sides of it away from its dot, in so many directions.
_STEPS = (0.0, 0.6, 0.9, 1.2, 1.6, 2.0, 2.6, 3.2)
_NUM_DIRECTIONS = 16
_GAP = 0.004  # of the drawing's side, between thumbnails


@dataclass(frozen=True, eq=False)
class _Thumbnail:
    row: int  # of its frame
    jpeg: bytes
    middle: tuple[float, float]  # in parts of the drawing's side
    size: tuple[float, float]


@dataclass(frozen=True, eq=False)
class _Drawing:
    """Where everything is, in parts of the drawing's side: dots above, thumbnails below them that do not overlap."""

    shown: FrameMap
    library: Store

    @cached_property
    def dots(self) -> NDArray[np.float64]:
        """(N, 2)."""
        return _MARGIN + (1 - 2 * _MARGIN) * self.shown.points.astype(np.float64)

    @cached_property
    def thumbnails(self) -> list[_Thumbnail]:
        """Of the frame nearest to the middle of each cell that holds one, where there is room for it."""
        rows = _rows_with_pictures(self.shown.points)
        frames = self.shown.frames
        jpegs = self.library.thumbnails([(frames.source_of(row), int(frames.frame_indices[row])) for row in rows])
        sizes = [_size(as_picture(jpeg)) for jpeg in jpegs]
        middles = place(self.dots, rows, sizes)
        return [
            _Thumbnail(row, jpeg, middle, size)
            for row, jpeg, middle, size in zip(rows, jpegs, middles, sizes, strict=True)
            if middle is not None
        ]

    @cached_property
    def legend(self) -> list[tuple[str, str]]:
        """Name and colour, the source with the most frames first; of many sources the last entry is the rest."""
        counts = np.bincount(self.shown.frames.source_indices, minlength=len(self.shown.frames.sources))
        order = [int(one) for one in np.argsort(-counts, kind="stable") if counts[one]]
        named = [(self.shown.frames.sources[one], colour) for one, colour in zip(order, _COLOURS, strict=False)]
        num_more = len(order) - len(named)
        return [*named, *([(f"{num_more} more", _OTHERS)] if num_more else [])]

    @cached_property
    def records(self) -> dict[str, SourceRecord]:
        """By name."""
        return {record.name: record for record in self.library.sources}

    @cached_property
    def colours(self) -> list[str]:
        """Of each dot."""
        by_name = dict(self.legend)
        frames = self.shown.frames
        return [by_name.get(frames.source_of(row), _OTHERS) for row in range(len(frames))]


def place(
    dots: NDArray[np.float64], rows: Sequence[int], sizes: Sequence[tuple[float, float]]
) -> list[tuple[float, float] | None]:
    """The middle of a picture for each of those dots: near its dot, off the others, never over another picture.

    Args:
        dots: (N, 2), in the unit square.
        rows: numbers of the dots that have a picture.
        sizes: width and height of each picture.

    Returns:
        None where there is no room.
    """
    placed: list[tuple[float, float] | None] = []
    taken = np.empty((0, 4))  # middle, width, height
    for row, size in zip(rows, sizes, strict=True):
        middles, steps = _candidates(dots[row], size)
        apart = np.abs(middles[:, None] - taken[None, :, :2])
        overlap = (apart < (np.array(size) + taken[:, 2:]) / 2 + _GAP).all(axis=2)
        inside = np.abs(middles - 0.5) <= 0.5 - np.array(size) / 2
        fits = inside.all(axis=1) & (overlap.sum(axis=1) == 0)
        if not fits.any():
            placed.append(None)
            continue
        covered = (np.abs(middles[:, None] - dots[None]) <= np.array(size) / 2).all(axis=2).sum(axis=1)
        best = middles[np.where(fits, covered + steps, np.inf).argmin()]
        placed.append((float(best[0]), float(best[1])))
        taken = np.vstack([taken, [*best, *size]])
    return placed


def _candidates(dot: NDArray[np.float64], size: tuple[float, float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Middles (C, 2) of a picture around its dot, and how many of its sides each is away."""
    angles = np.linspace(0, 2 * np.pi, _NUM_DIRECTIONS, endpoint=False)
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    steps = np.repeat(_STEPS, _NUM_DIRECTIONS)
    return dot + steps[:, None] * np.tile(directions, (len(_STEPS), 1)) * size, steps


def _rows_with_pictures(points: NDArray[np.float32]) -> list[int]:
    """The frame nearest to the middle of each cell that holds one."""
    cells = np.minimum((points * _CELLS).astype(int), _CELLS - 1)
    away = np.linalg.norm(points - (cells + 0.5) / _CELLS, axis=1)
    nearest: dict[tuple[int, ...], int] = {}
    for row in np.argsort(away, kind="stable"):
        nearest.setdefault(tuple(cells[row].tolist()), int(row))
    return sorted(nearest.values())


def _size(picture: NDArray[np.uint8]) -> tuple[float, float]:
    """Width and height of a thumbnail, in parts of the drawing's side."""
    height, width = picture.shape[:2]
    scale = _SHARE / _CELLS / max(width, height)
    return width * scale, height * scale


def map_picture(shown: FrameMap, library: Store) -> bytes:
    """PNG: a dot for each frame in the colour of its source, and thumbnails with a line to their dots."""
    drawing = _Drawing(shown, library)
    figure = Figure(figsize=(10, 10.4), dpi=130, layout="constrained")
    axes = figure.subplots()
    for one in drawing.thumbnails:
        (x, y), (width, height) = one.middle, one.size
        extent = (x - width / 2, x + width / 2, y + height / 2, y - height / 2)
        axes.plot(*zip(one.middle, drawing.dots[one.row], strict=True), color=_OTHERS, linewidth=0.7, zorder=1)
        axes.imshow(as_picture(one.jpeg), extent=extent, zorder=2, interpolation="antialiased")
    axes.scatter(
        drawing.dots[:, 0], drawing.dots[:, 1], s=22, c=drawing.colours, edgecolors="white", linewidths=0.5, zorder=3
    )
    title = f"{figure_text(library.path.name)}: {shown.summary()}"
    axes.set(xlim=(0, 1), ylim=(1, 0), xticks=[], yticks=[], title=title)
    axes.set_aspect("equal")
    marks = [Line2D([], [], marker="o", linestyle="", color=colour) for _, colour in drawing.legend]
    names = [figure_text(shortened(name, _NAME_LETTERS)) for name, _ in drawing.legend]
    figure.legend(marks, names, loc="outside lower center", ncols=3, frameon=False)
    return figure_png(figure)


def render_map_page(shown: FrameMap, library: Store) -> str:
    """The page as HTML; the title of a dot is the source and time of its frame."""
    drawing = _Drawing(shown, library)
    return load_template(_MAP_TEMPLATE).render(
        library=library.path.name,
        summary=shown.summary(),
        dots=[_dot(drawing, row) for row in range(len(shown.frames))],
        pictures=[_picture(drawing, one) for one in drawing.thumbnails],
        sources=[{"name": name, "colour": colour} for name, colour in drawing.legend],
    )


def _dot(drawing: _Drawing, row: int) -> dict[str, Any]:
    x, y = (round(_SIDE * float(value), 1) for value in drawing.dots[row])
    frames = drawing.shown.frames
    record, seconds = drawing.records[frames.source_of(row)], float(frames.seconds[row])
    title = record.name if record.is_picture else f"{record.name} at {seconds:.2f} s"
    opens = recorded_uri(record, seconds)
    return {"x": x, "y": y, "title": title, "colour": drawing.colours[row], "opens": opens}


def _picture(drawing: _Drawing, one: _Thumbnail) -> dict[str, Any]:
    (x, y), (width, height) = ([_SIDE * value for value in pair] for pair in (one.middle, one.size))
    corner = {"x": round(x - width / 2, 1), "y": round(y - height / 2, 1)}
    size = {"width": round(width, 1), "height": round(height, 1)}
    middle = {"middle_x": round(x, 1), "middle_y": round(y, 1)}
    return {**corner, **size, **middle, "dot": _dot(drawing, one.row), "uri": file_uri(one.jpeg, "jpeg")}
