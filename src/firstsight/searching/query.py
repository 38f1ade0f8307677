"""Queries and anchors: a picture, or a frame of a video written as `video.mp4@83.2`."""

import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firstsight.encoder.encoder import Encoder
from firstsight.errors import SettingsError, SourceError
from firstsight.footage.finding import find_files
from firstsight.footage.frame_at import frame_at
from firstsight.footage.frames import Frame, PixelByPixel, View
from firstsight.footage.source import Source, open_source
from firstsight.pixels import single_picture

# A picture's file, a frame of a video as `walk.mp4@83.2`, or pixels: uint8 (H, W, 3) or (H, W).
Picture = str | PathLike[str] | NDArray[np.uint8]

_VALID = "valid are a picture, or a video and a time in seconds such as walk.mp4@83.2"


@dataclass(frozen=True)
class FrameReference:
    """A picture file, or a moment of a video file."""

    path: Path
    seconds: float | None  # None for a picture
    is_file: bool = True  # otherwise pixels, and the path is only a name

    @property
    def name(self) -> str:
        """Such as "walk.mp4@83.2"."""
        return self.path.name if self.seconds is None else f"{self.path.name}@{self.seconds:g}"


@dataclass(frozen=True, eq=False)
class Query:
    """A picture to search for, and its embedding."""

    reference: FrameReference
    frame: Frame  # `pictures`: the encoder's view, and the complete picture
    vector: NDArray[np.float32]  # (dim,), of unit length


def parse_reference(text: str) -> FrameReference:
    """The reference written as `photo.jpg` or `walk.mp4@83.2`. An existing file may have an @ in its name.

    Raises:
        SourceError: there is no such file; a video without a time; a picture with one.
        SettingsError: what follows the @ is not a number of seconds from 0.
    """
    if Path(text).is_file():
        if not find_files(text).are_images:
            raise SourceError(f"{text} is not a picture, so it needs a time: write {text}@12.5 for the frame at 12.5 s")
        return FrameReference(Path(text), None)
    name, at, time = text.rpartition("@")
    if not at:
        raise SourceError(f"there is no file {text!r}: {_VALID}")
    if not Path(name).is_file():
        raise SourceError(f"there is no file {name!r} nor {text!r}: {_VALID}")
    if find_files(name).are_images:
        raise SourceError(f"{name} is a picture and has no time: leave out @{time}")
    return FrameReference(Path(name), _seconds(time, text))


def read_query(picture: Picture, encoder: Encoder) -> Query:
    """The picture or frame, given by name or as pixels, and its embedding.

    Raises:
        SourceError: no such file, it cannot be read, or the video ends before that time.
        SettingsError: the time is not a number of seconds from 0.
        PixelsError: pixels of another shape or dtype, or too few.
    """
    views = (encoder.view, PixelByPixel())
    if isinstance(picture, np.ndarray):
        reference = FrameReference(Path("picture"), None, is_file=False)
        frame = _still(open_source(single_picture(picture)), views)
    else:
        reference = parse_reference(str(picture))
        frame = frame_of(reference, views)
    return Query(reference, frame, encoder.encode(frame.pixels[None])[0])


def read_anchors(anchors: Sequence[Picture], encoder: Encoder) -> dict[str, NDArray[np.float32]]:
    """The vector (dim,) of each anchor by its name: pictures, folders of pictures, or moments as `walk.mp4@83.2`.

    An anchor has the name of its file; where two files have the same name, each has its path. Pixels are called
    "picture", and where there are several, "picture 1" and so on.

    Raises:
        SourceError: no such file, a folder without pictures, or one that cannot be read.
        SettingsError: the same anchor twice, or an invalid time.
        PixelsError: pixels of another shape or dtype.
    """
    one_by_one = [picture for given in anchors for picture in _pictures_of(given)]
    files = [str(picture) for picture in one_by_one if not isinstance(picture, np.ndarray)]
    if len(set(files)) < len(files):
        twice = next(file for file in files if files.count(file) > 1)
        raise SettingsError(f"anchor {twice} is given twice; give each once")
    queries = [read_query(picture, encoder) for picture in one_by_one]
    names = _names([query.reference.name for query in queries], one_by_one)
    return {name: query.vector for name, query in zip(names, queries, strict=True)}


def _pictures_of(given: Picture) -> Sequence[Picture]:
    """The picture itself; of a folder its pictures."""
    if isinstance(given, np.ndarray) or not Path(given).is_dir():
        return [given]
    found = find_files(given)
    if not found.are_images:
        raise SourceError(f"{given} holds videos; anchors are pictures, folders of pictures, or video.mp4@SECONDS")
    return found.paths


def _names(names: Sequence[str], pictures: Sequence[Picture]) -> list[str]:
    """The names, with the path in place of each that occurs twice, and of pixels the number."""
    distinct: list[str] = []
    for name, picture in zip(names, pictures, strict=True):
        if names.count(name) == 1:
            distinct.append(name)
        elif isinstance(picture, np.ndarray):
            number = 1 + sum(before.startswith(f"{name} ") for before in distinct)
            distinct.append(f"{name} {number}")
        else:
            distinct.append(str(picture))
    return distinct


def _seconds(time: str, text: str) -> float:
    try:
        seconds = float(time)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise SettingsError(f"{time!r} in {text!r} is not a time: {_VALID}")
    return seconds


def frame_of(reference: FrameReference, views: tuple[View, ...]) -> Frame:
    """The picture or frame, upright, through those views.

    Raises:
        SourceError: it cannot be read, or the video ends before that time.
    """
    if reference.seconds is None:
        return _still(open_source(reference.path), views)
    return frame_at(reference.path, reference.seconds, views=views)


def _still(source: Source, views: tuple[View, ...]) -> Frame:
    with closing(source.read(*views)) as reading:
        return next(reading)
