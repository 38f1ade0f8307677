"""Queries and anchors: a picture, or a frame of a video written as `video.mp4@83.2`.

Of a frame that a library holds, what its encoder makes of it is stored, so none is loaded.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
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
from firstsight.footage.finding import find_files
from firstsight.footage.frame_at import frame_at
from firstsight.footage.frames import Frame, PixelByPixel, View
from firstsight.footage.reference import FrameReference, parse_reference
from firstsight.footage.source import Source, open_source
from firstsight.object_store import to_absolute
from firstsight.pixels import is_single, single_picture
from firstsight.text import printable

if TYPE_CHECKING:
    from firstsight.encoder.encoder import Encoder
    from firstsight.library.records import SourceRecord
    from firstsight.library.store import Store

# A picture's file, a frame of a video as `walk.mp4@83.2`, or pixels: uint8 (H, W, 3) or (H, W).
Picture = str | PathLike[str] | NDArray[np.uint8]
# Times of one frame, read from the file and from the library, differ by rounding alone.
SAME_SECONDS = 0.001
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
        reference = parse_reference(os.fspath(picture))
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
    files = [os.fspath(picture) for picture in one_by_one if not isinstance(picture, np.ndarray)]
    given = [(to_absolute(one.path), one.seconds) for one in map(parse_reference, files)]
    if len(set(given)) < len(given):
        twice = next(file for file, one in zip(files, given, strict=True) if given.count(one) > 1)
        raise SettingsError(f"anchor {printable(twice)} is given twice; give each once")
    named = [(query.reference.name, query.vector) for query in map(read, one_by_one)]  # a picture at a time in memory
    names = _names([name for name, _ in named], one_by_one)
    return {name: vector for name, (_, vector) in zip(names, named, strict=True)}


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
            distinct.append(os.fspath(picture))
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


def stored_query(picture: Picture, library: "Store") -> Query:
    """As `read_query` by the library's encoder, which is loaded only if the picture is no frame of the library."""
    check_picture(picture)
    return _of_own_frame(picture, library) or read_query(picture, library.encoder)


def stored_anchors(anchors: Picture | Sequence[Picture], library: "Store") -> dict[str, NDArray[np.float32]]:
    """As `read_anchors` by the library's encoder, likewise."""
    return vectors_of(anchors, partial(stored_query, library=library))


def record_of(library: "Store", path: Path) -> "SourceRecord | None":
    """The source of the library that is this file, unchanged since; None without one."""
    from firstsight.library.source_files import stamp_of  # who has no library loads none

    stamp = stamp_of(path)
    return next((one for one in sources_at(library, path) if one.stamp == stamp), None)


def sources_at(library: "Store", path: Path) -> "Sequence[SourceRecord]":
    """The sources of the library that are that file, whether it has changed or not."""
    return _sources_by(library, "path").get(to_absolute(path), ())


def sources_of_size(library: "Store", num_bytes: int) -> "Sequence[SourceRecord]":
    """The sources of the library whose files have so many bytes."""
    return _sources_by(library, "num_bytes").get(num_bytes, ())


def _sources_by(library: "Store", field: str) -> "Mapping[Any, Sequence[SourceRecord]]":
    """The sources of the library by what a field of theirs is.

    They are looked through once: with ten thousand of them that takes longer than a search.
    """
    key = f"sources by {field}"
    if key not in library.derived:
        grouped: defaultdict[Any, list[SourceRecord]] = defaultdict(list)
        for record in library.sources:
            grouped[getattr(record, field)].append(record)
        library.derived[key] = grouped
    found: Mapping[Any, Sequence[SourceRecord]] = library.derived[key]
    return found


def _of_own_frame(picture: Picture, library: "Store") -> Query | None:
    """Of a frame that the library holds, of a file that has not changed; None of any other picture."""
    if isinstance(picture, np.ndarray):
        return None
    reference = parse_reference(os.fspath(picture))
    record = record_of(library, reference.path)
    if record is None:
        return None
    frame = frame_of(reference, (PixelByPixel(),))
    (position,) = library.timeline.find(np.array([record.id]), np.array([frame.index]))
    if position < 0 or abs(library.timeline.frames.seconds[position] - frame.seconds) > SAME_SECONDS:
        return None
    described = _stored(library, int(position))
    return Query(reference, frame, described.vectors[0], described)


def stored_at(library: "Store", content: str, seconds: float | None) -> Descriptions | None:
    """What is stored of the frame at that time of a file, given the hash of its bytes; None if no such frame is.

    Args:
        library: where.
        content: hash of the file's bytes.
        seconds: None for a picture.
    """
    frames = library.timeline.frames
    numbers = [library.timeline.numbers[record.id] for record in _sources_by(library, "content").get(content, ())]
    rows = np.flatnonzero(np.isin(frames.source_indices, numbers[:1]))
    if seconds is not None:
        rows = rows[np.abs(frames.seconds[rows] - seconds) <= SAME_SECONDS]
    return _stored(library, int(rows[0])) if len(rows) else None


def _stored(library: "Store", position: int) -> Descriptions:
    """What is stored of a frame of the library's timeline."""
    where = np.array([position])
    return Descriptions(library.vectors_at(where), *(library.layouts.parts_of(where) if library.has_layouts else ()))
