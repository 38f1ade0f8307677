"""Clusters and the map of a library, as a picture and as pages of one file with thumbnails."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from numpy.typing import NDArray

from firstsight.exploration.clusters import Cluster, Clusters
from firstsight.exploration.layout import FrameMap
from firstsight.library.store import Store
from firstsight.library.thumbnails import as_picture
from firstsight.report.drawing import figure_png, figure_text, file_uri, load_template

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
        clusters=[_shown(cluster, library) for cluster in found.clusters],
    )


def _shown(cluster: Cluster, library: Store) -> dict[str, Any]:
    step = max(1, len(cluster.moments) // _PICTURES_SHOWN)
    chosen = cluster.moments[::step][:_PICTURES_SHOWN]
    frames = [(cluster.exemplar_source, cluster.exemplar_frame_index)]
    frames += [(moment.source, moment.best_frame_index) for moment in chosen]
    names = [name for name, _ in frames]
    times = [cluster.exemplar_seconds, *(moment.best_seconds for moment in chosen)]
    uris = [file_uri(jpeg, "jpeg") for jpeg in library.thumbnails(frames)]
    return {
        "share": 100 * cluster.share,
        "num_frames": cluster.num_frames,
        "num_moments": len(cluster.moments),
        "pictures": [
            {"uri": uri, "name": name, "seconds": seconds}
            for uri, name, seconds in zip(uris, names, times, strict=True)
        ],
        "silhouette": cluster.silhouette,
        "is_mixed": cluster.is_mixed,
        "sources": [{"name": name, "num_frames": count} for name, count in cluster.sources[:_SOURCES_SHOWN]],
        "num_more": max(0, len(cluster.sources) - _SOURCES_SHOWN),
    }


_MAP_TEMPLATE = "map_page.html"
_CELLS = 12  # a side: at most one thumbnail in each cell of this grid
_SHARE = 0.9  # of a cell that its thumbnail fills
_SIDE = 1_000  # of the page's drawing, in its own units
_NAMED = 12  # sources in the legend


def map_picture(shown: FrameMap, library: Store) -> bytes:
    """PNG: thumbnails where there are frames, a dot for each of the others in the colour of its source."""
    figure = Figure(figsize=(10, 10), dpi=130, layout="constrained")
    axes = figure.subplots()
    x, y = shown.points.T
    axes.scatter(x, y, s=9, c=[_colour(shown, row) for row in range(len(shown.frames))])
    for row, jpeg in _thumbnails(shown, library):
        picture = as_picture(jpeg)
        width, height = _size(picture)
        left, top = shown.points[row] - (width / 2, height / 2)
        extent = (left, left + width, top + height, top)
        axes.imshow(picture, extent=extent, zorder=2, interpolation="antialiased")
    axes.set(
        xlim=(-0.05, 1.05),
        ylim=(1.05, -0.05),
        xticks=[],
        yticks=[],
        title=f"{figure_text(library.path.name)}: {shown.summary()}",
    )
    axes.set_aspect("equal")
    return figure_png(figure)


def render_map_page(shown: FrameMap, library: Store) -> str:
    """The page as HTML; the title of a dot is the source and time of its frame."""
    names = shown.frames.sources[:_NAMED]
    return load_template(_MAP_TEMPLATE).render(
        library=library.path.name,
        summary=shown.summary(),
        dots=[{**_placed(shown, row), "colour": _colour(shown, row)} for row in range(len(shown.frames))],
        pictures=[_placed_picture(shown, row, jpeg) for row, jpeg in _thumbnails(shown, library)],
        sources=[{"name": name, "colour": _of_source(number)} for number, name in enumerate(names)],
    )


def _thumbnails(shown: FrameMap, library: Store) -> Iterator[tuple[int, bytes]]:
    """The frame nearest to the middle of each cell that holds one, and its thumbnail."""
    cells = np.minimum((shown.points * _CELLS).astype(int), _CELLS - 1)
    away = np.linalg.norm(shown.points - (cells + 0.5) / _CELLS, axis=1)
    nearest: dict[tuple[int, ...], int] = {}
    for row in np.argsort(away, kind="stable"):
        nearest.setdefault(tuple(cells[row].tolist()), int(row))
    rows = sorted(nearest.values())
    frames = shown.frames
    jpegs = library.thumbnails([(frames.source_of(row), int(frames.frame_indices[row])) for row in rows])
    yield from zip(rows, jpegs, strict=True)


def _size(picture: NDArray[np.uint8]) -> tuple[float, float]:
    """Width and height of a thumbnail on the map, in parts of the map's side."""
    height, width = picture.shape[:2]
    scale = _SHARE / _CELLS / max(width, height)
    return width * scale, height * scale


def _placed(shown: FrameMap, row: int) -> dict[str, Any]:
    x, y = (_margin(float(value)) for value in shown.points[row])
    title = f"{shown.frames.source_of(row)} at {shown.frames.seconds[row]:.2f} s"
    return {"x": round(x, 1), "y": round(y, 1), "title": title}


def _placed_picture(shown: FrameMap, row: int, jpeg: bytes) -> dict[str, Any]:
    width, height = (round(side * _SIDE, 1) for side in _size(as_picture(jpeg)))
    placed = _placed(shown, row)
    corner = {"x": round(placed["x"] - width / 2, 1), "y": round(placed["y"] - height / 2, 1)}
    return {**placed, **corner, "width": width, "height": height, "uri": file_uri(jpeg, "jpeg")}


def _margin(value: float) -> float:
    """Into the drawing, leaving room for half a thumbnail at its edges."""
    return _SIDE * (0.05 + 0.9 * value)


def _colour(shown: FrameMap, row: int) -> str:
    return _of_source(int(shown.frames.source_indices[row]))


def _of_source(number: int) -> str:
    return to_hex(colormaps["tab20"](number % 20))
