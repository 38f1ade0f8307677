"""Clips and their altered copies, for the benchmark of duplicates."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from firstsight.footage.encoding import VideoWriter
from firstsight.footage.source import open_source
from firstsight.library.thumbnails import Thumbnail

CUT_SECONDS = 2.0
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)

Picture = NDArray[np.uint8]


def grey(picture: Picture) -> Picture:
    """Without its colours."""
    return np.repeat((picture @ _LUMA).astype(np.uint8)[..., None], 3, axis=-1)


def half(picture: Picture) -> Picture:
    """At half its size."""
    return np.asarray(Image.fromarray(picture).reduce(2))


def cropped(picture: Picture) -> Picture:
    """Without a tenth of its width and height, a twentieth at each side."""
    rows, columns = (round(side / 20) for side in picture.shape[:2])
    return picture[rows:-rows, columns:-columns]


def with_logo(picture: Picture) -> Picture:
    """A ring, a quarter of the picture high, at the upper right."""
    picture = picture.copy()
    side = picture.shape[0] // 4
    y, x = np.mgrid[:side, :side] - side / 2
    ring = np.abs(np.hypot(x, y) / side - 0.37) < 0.12
    corner = picture[side // 4 : side // 4 + side, -side - side // 4 : -(side // 4)]
    corner[ring] = (240, 220, 30)
    return picture


ALTERED: dict[str, Callable[[Picture], Picture]] = {
    "saved anew": lambda picture: picture,
    "half size": half,
    "cropped": cropped,
    "logo": with_logo,
    "grey": grey,
    "mirrored": lambda picture: picture[:, ::-1],
    "cut": lambda picture: picture,
}


def parts(spec: str) -> Iterator[tuple[str, Path, float, float]]:
    """A clip as it is named; of one before a still camera a second part, which is no copy of the first."""
    path, _, between = spec.partition("@")
    start, end = (float(one) for one in between.split("-")) if between else (0.0, 1e9)
    yield f"{Path(path).stem}-{start:g}", Path(path), start, end


def pictures_of(path: Path, start: float, end: float, side: int = 640) -> Iterator[tuple[float, Picture]]:
    """Frames at most so large, as seconds from the start."""
    source = open_source(path, start_seconds=start or None, end_seconds=end if end < 1e9 else None)
    with source.read(Thumbnail(side)) as reading:
        first = None
        for frame in reading:
            first = frame.seconds if first is None else first
            yield frame.seconds - first, frame.pixels


def write(path: Path, frames: Iterable[tuple[float, Picture]]) -> None:
    """A video of them."""
    writer = None
    for seconds, picture in frames:
        even = np.ascontiguousarray(picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2])
        writer = writer or VideoWriter(path, size=(even.shape[1], even.shape[0]))
        writer.write(even, seconds=seconds)
    if writer:
        writer.close()


def make_copies(folder: Path, specs: list[str]) -> None:
    """Each clip and its altered copies, as NAME.mp4 and NAME+HOW.mp4."""
    for spec in specs:
        for name, path, start, end in parts(spec):
            frames = list(pictures_of(path, start, end))
            write(folder / f"{name}.mp4", frames)
            middle = frames[-1][0] / 2
            for how, alter in ALTERED.items():
                if how == "cut":
                    altered = list(_without(frames, middle - CUT_SECONDS / 2))
                else:
                    altered = [(seconds, alter(picture)) for seconds, picture in frames]
                write(folder / f"{name}+{how}.mp4", altered)


def _without(frames: list[tuple[float, Picture]], cut: float) -> Iterator[tuple[float, Picture]]:
    for seconds, picture in frames:
        if seconds < cut:
            yield seconds, picture
        elif seconds >= cut + CUT_SECONDS:
            yield seconds - CUT_SECONDS, picture
