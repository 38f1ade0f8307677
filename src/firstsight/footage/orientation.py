"""Decoded frames to upright pictures: FFmpeg filter graphs that square the pixels, crop, resize and convert.

The conversion follows the colour matrix and range that each frame states. High dynamic range (PQ, HLG) is converted
without tone mapping: such footage is flat, but always in the same way.
"""

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import cast

import numpy as np
from av.filter import Graph
from av.sidedata.sidedata import SideDataContainer, Type
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from firstsight.footage.frames import View
from firstsight.pixels import Crop

# A filter and its arguments, as on FFmpeg's command line.
Filter = tuple[str, str]

# Bilinear widens its support when shrinking, as antialiased resizing does; the other two avoid a bias of one to two
# grey levels in the conversion from YUV. One thread, because the pictures are small and learning needs the cores.
_SCALING = "flags=bilinear+accurate_rnd+full_chroma_int:threads=1"


@dataclass(frozen=True)
class Orientation:
    """How a stored picture is turned upright: a mirroring left to right, then turns counter-clockwise."""

    quarter_turns: int = 0  # 0 to 3
    mirrored: bool = False

    @classmethod
    def from_display_matrix(cls, matrix: NDArray[np.int32]) -> "Orientation":
        """The orientation nearest to a display matrix, nine fixed-point numbers in FFmpeg's order.

        A point (x, y) of the stored picture, y downwards, is shown at (a x + c y, b x + d y).
        Source: FFmpeg, libavutil/display.h.
        """
        a, b, _, c, d = (float(value) for value in matrix[:5])
        mirrored = a * d - b * c < 0
        right = (-a, -b) if mirrored else (a, b)  # where the right-hand side goes, once the mirroring is undone
        return cls(round(math.atan2(-right[1], right[0]) / (math.pi / 2)) % 4, mirrored)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the upright picture, from those of the stored one."""
        return (height, width) if self.quarter_turns % 2 else (width, height)

    def stored(self, crop: Crop, width: int, height: int) -> Crop:
        """Where a rectangle of the upright picture of that size lies in the stored one."""
        for _ in range(self.quarter_turns):  # each undoes one turn, clockwise
            x, y = height - crop.y - crop.height, crop.x
            crop = Crop(x, y, crop.height, crop.width, crop.out_height, crop.out_width)
            width, height = height, width
        return replace(crop, x=width - crop.x - crop.width) if self.mirrored else crop

    def upright(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The stored picture (H, W, C) made upright."""
        facing = picture[:, ::-1] if self.mirrored else picture
        return np.ascontiguousarray(np.rot90(facing, self.quarter_turns))


class Viewer:
    """Frames through views. Its graphs are rebuilt when size, pixel format, colours or orientation change."""

    def __init__(self, views: tuple[View, ...], pixel_aspect: Fraction) -> None:
        self.size = (0, 0)  # width and height of the last frame, upright and with square pixels
        self._views = views
        self._pixel_aspect = pixel_aspect
        self._state: object = None
        self._orientation = Orientation()
        self._graphs: list[Graph] = []

    def pictures(self, frame: VideoFrame) -> tuple[NDArray[np.uint8], ...]:
        """The frame through every view: uint8 (H, W, C) each, upright and with square pixels."""
        pixel_aspect = frame.opaque if isinstance(frame.opaque, Fraction) else self._pixel_aspect  # see `OpenVideo`
        state = (layout(frame), frame.rotation, pixel_aspect)
        if state != self._state:
            self._orientation = _orientation(frame)
            self.size = upright_size(frame, pixel_aspect)
            self._graphs = [_view_graph(view, frame, pixel_aspect) for view in self._views]
            self._state = state
        return tuple(self._orientation.upright(_through(graph, frame)) for graph in self._graphs)


def upright_size(frame: VideoFrame, pixel_aspect: Fraction) -> tuple[int, int]:
    """Width and height of the frame, upright and with square pixels."""
    return _orientation(frame).size(*_square_size(frame, pixel_aspect))


def layout(frame: VideoFrame) -> str:
    """The properties of frames that a graph depends on, as arguments of FFmpeg's buffer filter."""
    return (
        f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base=1/1000:pixel_aspect=1/1"
        f":colorspace={int(frame.colorspace)}:range={int(frame.color_range)}"
    )


def build_graph(frame: VideoFrame, filters: list[Filter]) -> Graph:
    """The filters one after the other, for frames of the same layout."""
    graph = Graph()
    steps = [("buffer", layout(frame)), *filters, ("buffersink", None)]
    graph.link_nodes(*(graph.add(name, arguments) for name, arguments in steps)).configure()
    return graph


def _orientation(frame: VideoFrame) -> Orientation:
    # Not for every frame: PyAV makes a reference cycle of a frame and its side data, and memory grows until the garbage
    # collector runs.
    side_data = cast("SideDataContainer", frame.side_data)  # the annotation is a dictionary
    for data in side_data:
        if data.type is Type.DISPLAYMATRIX:
            return Orientation.from_display_matrix(np.frombuffer(bytes(data), np.int32))
    return Orientation()


def _square_size(frame: VideoFrame, pixel_aspect: Fraction) -> tuple[int, int]:
    return max(1, round(frame.width * pixel_aspect)), frame.height


def _view_graph(view: View, frame: VideoFrame, pixel_aspect: Fraction) -> Graph:
    width, height = upright_size(frame, pixel_aspect)
    crop = _orientation(frame).stored(view.crop(width, height), width, height)
    return build_graph(frame, _view_filters(frame, crop, _square_size(frame, pixel_aspect), view.channels))


def _view_filters(frame: VideoFrame, crop: Crop, square: tuple[int, int], channels: int) -> list[Filter]:
    filters: list[Filter] = []
    if square != (frame.width, frame.height):
        filters.append(("scale", f"{square[0]}:{square[1]}:{_SCALING}"))
    filters.append(("crop", f"{crop.width}:{crop.height}:{crop.x}:{crop.y}:exact=1"))
    if any(component.is_alpha for component in frame.format.components):
        filters += [("scale", _SCALING), ("format", "gbrap"), ("premultiply", "inplace=1")]  # laid over black
    filters += [("scale", f"{crop.out_width}:{crop.out_height}:{_SCALING}"), ("format", "rgb24")]
    if channels == 1:  # via RGB, so that grey is the same luma whatever the colour matrix of the file
        filters += [("scale", f"{_SCALING}:out_range=full:out_color_matrix=bt601"), ("format", "gray")]
    return filters


def _through(graph: Graph, frame: VideoFrame) -> NDArray[np.uint8]:
    graph.vpush(frame)
    picture = graph.vpull().to_ndarray().astype(np.uint8, copy=False)
    return picture.reshape(*picture.shape[:2], -1)
