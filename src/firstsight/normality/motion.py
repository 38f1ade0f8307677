"""Motion before a fixed camera: how much moves which way, in boxes of the size of an object, and how unusual that is.

What moves is averaged over boxes of a fifth of the picture's height, background included: speed times the share of the
box that moves. That takes away noise and counts size. The four directions stay apart, as people walk fast sideways and
hardly downwards. One-sided: what is slower or smaller than something normal is never unusual.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from firstsight.footage.frames import Frame
from firstsight.normality.optical_flow import Expansion, expand, optical_flow
from firstsight.pixels import Crop

# Pixels: of larger pictures, flow costs more and finds no more.
_HEIGHT, _MAX_WIDTH = 160, 480
# Rows that a picture is divided into, and rows and columns of a box.
_NUM_ROWS, _BOX = 20, 4
# Frames that follow each other faster show no more motion; slower, flow loses what moves.
MIN_GAP_SECONDS, MAX_GAP_SECONDS = 1 / 30, 0.26
TRAILING_SECONDS = 0.2
# Units: twice the standard deviation of the largest motion in so many seconds; people come and go in seconds.
BLOCK_SECONDS = 4.0
MAX_BLOCKS = 151_200  # whose largest scores a memory keeps: a week
# Below so many units nothing is unusual, nor worth remembering; two memories closer than the grid are one.
_LEAST, _GRID = 0.5, 0.25
# Picture heights a second that compression and noise move a still view by.
_NOISE = 0.02
# Of noise, rain and a camera that shakes, no box has more than three times the motion of the median one; and more than
# so much, in picture heights a second, is none of them.
_EVERYWHERE, _MOST_EVERYWHERE = 3.0, 0.15
_MAX_VECTORS = 2_000
_BATCH = 4  # larger ones leave the processor's cache
_CHUNK = 2**22

Boxes = NDArray[np.float32]  # (4, rows, columns): to the right, downwards, left, upwards, picture heights a second


@dataclass(frozen=True)
class MotionView:
    """The entire picture in grey, at most 160 pixels high."""

    channels: int = 1

    def crop(self, width: int, height: int) -> Crop:
        """All of a picture of that size."""
        scale = min(1.0, _HEIGHT / height, _MAX_WIDTH / width)
        return Crop(0, 0, width, height, max(16, round(width * scale)), max(16, round(height * scale)))


class Motion:
    """The motion of the frames of one camera, one after the other."""

    def __init__(self, view_index: int = 0) -> None:
        self._view_index = view_index  # which of a frame's pictures is through a `MotionView`
        self._expansion: Expansion | None = None  # of the last frame that was compared
        self._last: Frame | None = None
        self._boxes: Boxes | None = None  # trailing mean; None after a single frame

    def update(self, frames: Sequence[Frame]) -> list[Boxes | None]:
        """Of each frame the motion that leads to it; the last one's if the frame follows faster than 30 a second.

        None where no frame came within the quarter of a second before. Frames are in order of time.
        """
        found: list[Boxes | None] = []
        for start in range(0, len(frames), 2 * _BATCH):
            found += self._updated(frames[start : start + 2 * _BATCH])
        return found

    def _updated(self, frames: Sequence[Frame]) -> list[Boxes | None]:
        used: list[int] = []
        last = self._last
        for index, frame in enumerate(frames):
            if last is None or not _follows(frame, last) or frame.seconds - last.seconds >= MIN_GAP_SECONDS - 0.002:
                used.append(index)
                last = frame
        if not used:
            return [self._boxes] * len(frames)
        boxes = iter(self._compared([frames[index] for index in used]))
        found, chosen = [], set(used)
        for index in range(len(frames)):
            if index in chosen:
                self._boxes = next(boxes)
            found.append(self._boxes)
        return found

    @torch.inference_mode()
    def _compared(self, frames: Sequence[Frame]) -> list[Boxes | None]:
        """The trailing means after each of the frames, all of which are used."""
        pictures = [frame.pictures[self._view_index][..., 0] for frame in frames]
        if len({picture.shape for picture in pictures}) > 1:  # files of other sizes
            return [one for frame in frames for one in self._compared([frame])]
        height = pictures[0].shape[0]
        new = expand(torch.from_numpy(np.stack(pictures)).float())
        fits = self._expansion is not None and self._expansion[0].shape[1:] == new[0].shape[1:]
        both = [torch.cat(pair) for pair in zip(self._expansion, new, strict=True)] if self._expansion and fits else new
        before = [self._last, *frames] if self._last is not None and fits else [None, *frames]
        moved = optical_flow([one[:-1] for one in both], [one[1:] for one in both]) if len(both[0]) > 1 else None
        now, found = self._boxes, []
        first = len(frames) + 1 - len(both[0])
        for index, frame in enumerate(frames):
            last = before[index]
            gap = frame.seconds - last.seconds if last is not None and _follows(frame, last) else 0.0
            if gap <= 0 or moved is None:
                now = None
            else:
                one = in_boxes(moved[index - first : index - first + 1] / (height * gap))[0].numpy()
                keep = float(np.exp(-gap / TRAILING_SECONDS))
                now = (
                    one
                    if now is None or now.shape != one.shape
                    else np.asarray(keep * now + (1 - keep) * one, np.float32)
                )
            found.append(now)
        self._expansion, self._last = [one[-1:] for one in new], frames[-1]
        return found


def _follows(frame: Frame, last: Frame) -> bool:
    """Whether the frame comes so soon after the last one that what moved between them can be found."""
    return frame.source == last.source and 0 <= frame.seconds - last.seconds <= MAX_GAP_SECONDS


def in_boxes(flow: Tensor) -> Tensor:
    """Flow (N, 2, h, w) as motion in four directions, averaged over boxes that overlap: (N, 4, rows, columns)."""
    right_down = flow.clamp_min(0)
    directed = torch.cat([right_down, right_down - flow], dim=1)
    rows, columns = _boxes_of(*flow.shape[2:])
    cells = functional.adaptive_avg_pool2d(directed, (rows + _BOX - 1, columns + _BOX - 1))
    return functional.avg_pool2d(cells, _BOX, stride=1)


def of_things(boxes: Boxes) -> Boxes:
    """Motion (..., 4, rows, columns) beyond what moves everywhere that way, as noise, rain and a shaken camera do."""
    everywhere = np.median(boxes, axis=(-2, -1), keepdims=True)
    beyond: Boxes = np.maximum(boxes - np.minimum(_EVERYWHERE * everywhere, _MOST_EVERYWHERE), 0)
    return beyond


def box_at(row: float, column: float, shape: tuple[int, ...], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The box (x, y, width, height) in pixels of a picture of that size (width, height), of a map of that shape."""
    down, across = size[1] / (shape[0] + _BOX - 1), size[0] / (shape[1] + _BOX - 1)
    return round(column * across), round(row * down), round(_BOX * across), round(_BOX * down)


def area_of(shape: tuple[int, ...], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The rectangle (x, y, width, height) in pixels that the middles of the boxes of a map of that shape tile."""
    down, across = size[1] / (shape[0] + _BOX - 1), size[0] / (shape[1] + _BOX - 1)
    edge = (_BOX - 1) / 2
    return round(edge * across), round(edge * down), round(shape[1] * across), round(shape[0] * down)


def boxes_for(size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of the map of boxes of a picture of that size (width, height)."""
    crop = MotionView().crop(*size)
    return _boxes_of(-(-crop.out_height // 2), -(-crop.out_width // 2))


def _boxes_of(height: int, width: int) -> tuple[int, int]:
    """The same, of flow of that height and width."""
    return _NUM_ROWS - _BOX + 1, max(_BOX, round(_NUM_ROWS * width / height)) - _BOX + 1


def covered_by(boxes: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The cells of the whole frame that those of a map's boxes cover, 3 rows and columns more than the map has."""
    rows, columns = boxes.shape
    covered = np.zeros((rows + _BOX - 1, columns + _BOX - 1), np.bool_)
    for down, across in np.ndindex(_BOX, _BOX):
        covered[down : down + rows, across : across + columns] |= boxes
    return covered


def block_maxima(boxes: NDArray[np.float32], seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each block of 4 s the largest motion in each direction: (blocks, 4)."""
    return np.stack([boxes[block].max((0, 2, 3)) for block in blocks_of(seconds)]).astype(np.float64)


def blocks_of(seconds: NDArray[np.float64]) -> list[NDArray[np.intp]]:
    """The indices of each block of 4 s; a rest of less than half of that belongs to the last one."""
    number = ((seconds - seconds[0]) // BLOCK_SECONDS).astype(int)
    if number[-1] and seconds[-1] - seconds[0] - number[-1] * BLOCK_SECONDS < BLOCK_SECONDS / 2:
        number[number == number[-1]] -= 1
    return [np.flatnonzero(number == one) for one in np.unique(number)]


def largest_of(clips: Iterable[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> list[NDArray[np.float64]]:
    """The largest scores in each 4 s of clips. Those shorter than half of that are put together; a rest is left out.

    Args:
        clips: scores (frames, n) and seconds (frames,) of each.

    Returns:
        (n,) of each block.
    """
    found: list[NDArray[np.float64]] = []
    short: list[NDArray[np.float64]] = []
    total = 0.0
    for scores, seconds in clips:
        lasts = float(seconds[-1] - seconds[0])
        if lasts >= BLOCK_SECONDS / 2:
            found += [scores[block].max(axis=0) for block in blocks_of(seconds)]
            continue
        short.append(scores.max(axis=0))
        total += lasts
        if total >= BLOCK_SECONDS:
            found.append(np.max(short, axis=0))
            short, total = [], 0.0
    return found


def units_of(maxima: NDArray[np.float64]) -> NDArray[np.float32]:
    """Of each direction what varies between blocks: twice the standard deviation of their maxima, above the noise."""
    units: NDArray[np.float32] = np.maximum(2 * maxima.std(axis=0), _NOISE).astype(np.float32)
    return units


def remembered(parts: Iterable[NDArray[np.float32]], units: NDArray[np.float32]) -> NDArray[np.float32]:
    """The normal motion that nothing else normal equals or exceeds in every direction: (vectors, 4).

    Args:
        parts: (frames, 4, rows, columns) each, or vectors (n, 4).
        units: (4,).
    """
    kept = [np.empty((0, 4), np.float32)]
    for part in parts:
        vectors = part.transpose(0, 2, 3, 1).reshape(-1, 4) if part.ndim == 4 else part
        strong = vectors[(vectors / units).max(axis=1) > _LEAST]
        if len(strong):
            _, first = np.unique((strong / units // _GRID).astype(np.int32), axis=0, return_index=True)
            kept.append(_maximal(strong[first]))
    return _maximal(np.concatenate(kept))[:_MAX_VECTORS].astype(np.float32)


def _maximal(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Those that no other equals or exceeds in every number, the largest first."""
    kept = np.empty_like(vectors)
    num = 0
    for vector in vectors[np.argsort(-vectors.sum(axis=1), kind="stable")]:
        if not (kept[:num] >= vector).all(axis=1).any():
            kept[num] = vector
            num += 1
    return kept[:num]


def excess(boxes: NDArray[np.float32], vectors: NDArray[np.float32], units: NDArray[np.float32]) -> NDArray[np.float32]:
    """By how many units the motion of each box exceeds the nearest normal one, plus half of its largest direction.

    Args:
        boxes: (frames, 4, rows, columns).
        vectors: (n, 4), as `remembered` gives them.
        units: (4,).

    Returns:
        (frames, rows, columns), from 0.
    """
    scaled = torch.from_numpy(boxes / units[:, None, None]).movedim(1, -1)
    largest = scaled.amax(dim=-1)
    active = largest > _LEAST
    strong, known = scaled[active], torch.from_numpy(vectors / units)
    beyond = strong.norm(dim=1)  # with nothing in memory, all of it
    if len(known):
        step = max(1, _CHUNK // (4 * len(known)))
        parts = [
            (part[:, None] - known).clamp_min(0).square().sum(-1).amin(1).sqrt() for part in torch.split(strong, step)
        ]
        beyond = torch.minimum(beyond, torch.cat(parts)) if parts else beyond
    found = largest / 2
    found[active] += beyond
    heat: NDArray[np.float32] = found.numpy()
    return heat


def cells_in(
    area: tuple[int, int, int, int], cells: NDArray[np.bool_], size: tuple[int, int], shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """For each cell of a grid over a part of the frame, what the cell of the whole frame at its middle has.

    Args:
        area: the part: x, y, width, height in pixels.
        cells: of the whole frame, (rows, columns).
        size: width and height of the frame.
        shape: rows and columns of the grid over the part.

    Returns:
        (shape[0] * shape[1],).
    """
    left, top, width, height = area
    y = (top + (np.arange(shape[0]) + 0.5) / shape[0] * height) / size[1] * cells.shape[0]
    x = (left + (np.arange(shape[1]) + 0.5) / shape[1] * width) / size[0] * cells.shape[1]
    down, across = (np.minimum(one.astype(np.intp), most - 1) for one, most in zip((y, x), cells.shape, strict=True))
    picked: NDArray[np.bool_] = cells[down][:, across].ravel()
    return picked
