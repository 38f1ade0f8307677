"""Queries and anchors that are frames of a library: it has stored what its encoder makes of them, so none is loaded."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firstsight.encoder.descriptions import Descriptions
from firstsight.footage.finding import parse_reference
from firstsight.footage.frames import PixelByPixel
from firstsight.library.records import SourceRecord
from firstsight.library.selection import Where
from firstsight.library.source_files import stamp_of
from firstsight.library.store import Store
from firstsight.searching.query import Picture, Query, check_picture, frame_of, read_query, vectors_of

# Times of one frame, read from the file and from the library, differ by rounding alone.
SAME_SECONDS = 0.001


def stored_query(picture: Picture, library: Store) -> Query:
    """As `read_query` by the library's encoder, which is loaded only if the picture is no frame of the library."""
    check_picture(picture)
    return _of_own_frame(picture, library) or read_query(picture, library.encoder)


def stored_anchors(anchors: Picture | Sequence[Picture], library: Store) -> dict[str, NDArray[np.float32]]:
    """As `read_anchors` by the library's encoder, likewise."""
    return vectors_of(anchors, partial(stored_query, library=library))


def record_of(library: Store, path: Path) -> SourceRecord | None:
    """The source of the library that is this file, unchanged since; None without one."""
    absolute, stamp = Path(os.path.abspath(path)), stamp_of(path)  # noqa: PTH100  # a link stays a name of its own
    return next((one for one in library.sources if one.path == absolute and one.stamp == stamp), None)


def _of_own_frame(picture: Picture, library: Store) -> Query | None:
    """Of a frame that the library holds, of a file that has not changed; None of any other picture."""
    if isinstance(picture, np.ndarray):
        return None
    reference = parse_reference(str(picture))
    record = record_of(library, reference.path)
    if record is None:
        return None
    frame = frame_of(reference, (PixelByPixel(),))
    (position,) = library.timeline.find(np.array([record.id]), np.array([frame.index]))
    if position < 0 or abs(library.timeline.frames.seconds[position] - frame.seconds) > SAME_SECONDS:
        return None
    described = _stored(library, int(position))
    return Query(reference, frame, described.vectors[0], described)


def _stored(library: Store, position: int) -> Descriptions:
    """What is stored of a frame of the library's timeline."""
    frames = library.timeline.frames
    seconds = float(frames.seconds[position])
    where = Where((frames.source_of(position),), seconds, float(np.nextafter(seconds, np.inf)))
    (vector,) = (own[positions == position] for positions, own in library.vectors(where) if position in positions)
    return Descriptions(vector, *(library.layouts.parts_of(np.array([position])) if library.has_layouts else ()))
