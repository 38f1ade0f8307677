"""What is looked for: a picture, or a frame of a video written as `video.mp4@83.2`, whole or a region of it."""

import math
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firstsight.encoder.encoder import Encoder
from firstsight.errors import SettingsError, SourceError
from firstsight.footage.finding import find_files
from firstsight.footage.frame_at import frame_at
from firstsight.footage.frames import Frame, PixelByPixel, View
from firstsight.footage.source import open_source

_VALID = "valid are a picture, or a video and a time in seconds such as walk.mp4@83.2"


@dataclass(frozen=True)
class Place:
    """A picture file, or a moment of a video file."""

    path: Path
    seconds: float | None  # None for a picture

    @property
    def name(self) -> str:
        """As a person would write it."""
        return self.path.name if self.seconds is None else f"{self.path.name}@{self.seconds:g}"


@dataclass(frozen=True, eq=False)
class Query:
    """A picture to look for, and its embedding."""

    place: Place
    frame: Frame  # `pictures`: what the network saw, and the whole picture
    vector: NDArray[np.float32]  # (dim,), of unit length


def parse_place(text: str) -> Place:
    """What `photo.jpg` or `walk.mp4@83.2` names. A file whose own name holds an @ is taken as it is.

    Raises:
        SourceError: there is no such file; a video without a time; a picture with one.
        SettingsError: what follows the @ is not a number of seconds from 0.
    """
    if Path(text).is_file():
        return _without_time(text)
    name, at, time = text.rpartition("@")
    if not at:
        raise SourceError(f"there is no file {text!r}: {_VALID}")
    if not Path(name).is_file():
        raise SourceError(f"there is no file {name!r} nor {text!r}: {_VALID}")
    if _is_picture(name):
        raise SourceError(f"{name} is a picture and has no time: leave out @{time}")
    return Place(Path(name), _seconds(time, text))


def read_query(text: str, encoder: Encoder) -> Query:
    """The picture or the frame that is named, seen by the encoder as it sees footage.

    Raises:
        SourceError: no such file, it cannot be read, or the video is over before that time.
        SettingsError: the time is not a number of seconds from 0.
    """
    place = parse_place(text)
    views = (encoder.view, PixelByPixel())
    frame = _still(place.path, views) if place.seconds is None else frame_at(place.path, place.seconds, views=views)
    return Query(place, frame, encoder.encode(frame.pixels[None])[0])


def _is_picture(name: str) -> bool:
    return find_files(name).are_images


def _without_time(text: str) -> Place:
    if not _is_picture(text):
        raise SourceError(f"{text} is not a picture, so it needs a time: write {text}@12.5 for the frame at 12.5 s")
    return Place(Path(text), None)


def _seconds(time: str, text: str) -> float:
    try:
        seconds = float(time)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise SettingsError(f"{time!r} in {text!r} is not a time: {_VALID}")
    return seconds


def _still(path: Path, views: tuple[View, ...]) -> Frame:
    with closing(open_source(path).read(*views)) as reading:
        return next(reading)
