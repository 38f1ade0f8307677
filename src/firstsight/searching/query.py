"""Queries and anchors: a picture, or a frame of a video written as `video.mp4@83.2`."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from firstsight.encoder.descriptions import Descriptions
from firstsight.errors import SettingsError, SourceError, brief
from firstsight.files import is_folder
from firstsight.footage.finding import FrameReference, find_files, parse_reference
from firstsight.footage.frame_at import frame_at
from firstsight.footage.frames import Frame, PixelByPixel, View
from firstsight.footage.source import Source, open_source
from firstsight.pixels import is_single, single_picture

if TYPE_CHECKING:
    from firstsight.encoder.encoder import Encoder

# A picture's file, a frame of a video as `walk.mp4@83.2`, or pixels: uint8 (H, W, 3) or (H, W).
Picture = str | PathLike[str] | NDArray[np.uint8]
_VALID = "a picture's file, a frame of a video as walk.mp4@83.2, or pixels, uint8 (H, W, 3) or (H, W)"


@dataclass(frozen=True, eq=False)
class Query:
    """A picture to search for, and its embedding."""

    reference: FrameReference
    frame: Frame  # `pictures`: the encoder's view, and the complete picture, which is all there is of a stored frame
    vector: NDArray[np.float32]  # (dim,), of unit length
    described: Descriptions | None = None  # of this one picture, with what a second stage compares


def read_query(picture: Picture, encoder: "Encoder") -> Query:
    """The picture or frame, given by name or as pixels, and its embedding.

    Args:
        picture: its name, or pixels.
        encoder: whose embedding it is. Of a frame of a library `stored_query` needs none.

    Raises:
        SourceError: no such file, it cannot be read, or the video ends before that time.
        SettingsError: the time is not a number of seconds from 0.
        PixelsError: pixels of another shape or dtype, or too few.
    """
    check_picture(picture)
    views = (encoder.view, PixelByPixel())
    if isinstance(picture, np.ndarray):
        reference = FrameReference(Path("picture"), None, is_file=False)
        frame = _still(open_source(single_picture(picture)), views)
    else:
        reference = parse_reference(str(picture))
        frame = frame_of(reference, views)
    described = encoder.describe(frame.pixels[None])
    return Query(reference, frame, described.vectors[0], described)


def read_anchors(anchors: Picture | Sequence[Picture], encoder: "Encoder") -> dict[str, NDArray[np.float32]]:
    """The vector (dim,) of each anchor by its name: pictures, folders of pictures, or moments as `walk.mp4@83.2`.

    One picture, or one name, is one anchor; an array of pictures (N, H, W, 3) or (N, H, W) is N.

    An anchor has the name of its file; where two files have the same name, each has its path. Pixels are called
    "picture", and where there are several, "picture 1" and so on.

    Raises:
        SourceError: no such file, a folder without pictures, or one that cannot be read.
        SettingsError: the same anchor twice, or an invalid time.
        PixelsError: pixels of another shape or dtype.
    """
    return vectors_of(anchors, partial(read_query, encoder=encoder))


def vectors_of(
    anchors: Picture | Sequence[Picture], read: Callable[[Picture], Query]
) -> dict[str, NDArray[np.float32]]:
    """The vector of each anchor by its name, as of `read_anchors`, by queries that are read in that way."""
    one_by_one = [picture for given in _listed(anchors) for picture in _pictures_of(given)]
    files = [str(picture) for picture in one_by_one if not isinstance(picture, np.ndarray)]
    if len(set(files)) < len(files):
        twice = next(file for file in files if files.count(file) > 1)
        raise SettingsError(f"anchor {twice} is given twice; give each once")
    queries = [read(picture) for picture in one_by_one]
    names = _names([query.reference.name for query in queries], one_by_one)
    return {name: query.vector for name, query in zip(names, queries, strict=True)}


def _listed(anchors: Picture | Sequence[Picture]) -> Sequence[Picture]:
    if isinstance(anchors, np.ndarray):
        return [anchors] if is_single(anchors) else list(anchors)
    if isinstance(anchors, str | PathLike):
        return [anchors]
    given: Any = anchors
    if not isinstance(given, Sequence) or isinstance(given, bytes):
        raise SettingsError(f"anchors {brief(anchors)}; valid are pictures: {_VALID}")
    return anchors


def check_picture(given: object) -> None:
    """Raises a SourceError for what can be no picture; pixels and names are checked where they are read."""
    if not isinstance(given, str | PathLike | np.ndarray):
        raise SourceError(f"picture {brief(given)}; valid are {_VALID}")


def _pictures_of(given: Picture) -> Sequence[Picture]:
    """The picture itself; of a folder its pictures."""
    check_picture(given)
    if isinstance(given, np.ndarray) or not is_folder(given):
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
