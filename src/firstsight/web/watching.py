"""The part of the live view that runs in a process of its own: a stream, watched frame by frame."""

import base64
from collections.abc import Callable
from typing import Any

import numpy as np

from firstsight.api import Library
from firstsight.encoder.encoder import Encoder
from firstsight.footage.frames import Frame
from firstsight.footage.stream import Stream
from firstsight.monitoring.watch import Watcher
from firstsight.progress import Progress, Report
from firstsight.searching.query import read_anchors
from firstsight.web.anchors import Anchors
from firstsight.web.pictures import Picture, as_shown

_FRAMES_PER_SECOND = 4.0
_SHOWN = 960  # pixels
_CELLS_EVERY = 2  # frames


def watch_live(library: Library, source: str, *, speed: float, write: Callable[..., None], progress: Report) -> str:
    """Watches a source with the encoder and the anchors of a library, and writes each frame with its values.

    Args:
        library: the anchors are those of the page.
        source: a file, an address or a camera.
        speed: of a file.
        write: takes the values of a frame: seconds, closeness by anchor, novelty, events, jpeg in base64, and cells,
            where it agrees with each anchor.
        progress: called for each frame; to cancel, it raises.

    Returns:
        A line on what it was.
    """
    pictures = _pictures(library)
    vectors = read_anchors(list(pictures.values()), library.encoder).values() if pictures else ()
    anchors = dict(zip(pictures, vectors, strict=True))
    watcher = Watcher(library.encoder, anchors=anchors, novel=True)
    num_frames = 0
    with Stream(source, views=watcher.views, frames_per_second=_FRAMES_PER_SECOND, speed=speed) as stream:
        for arrival in stream:
            events = [event.to_json() for event in watcher.update(arrival)]
            progress(Progress("watching", num_frames, None))
            if not isinstance(arrival, Frame):
                write(events=events)
                continue
            values = watcher.latest
            cells = _cells(library.encoder, arrival, pictures) if num_frames % _CELLS_EVERY == 0 else None
            jpeg = base64.b64encode(as_shown(arrival.whole, most=_SHOWN, quality=80)).decode("ascii")
            closeness = {name: _plain(values[name]) for name in anchors}
            write(
                seconds=arrival.seconds,
                closeness=closeness,
                novelty=_plain(values[None]),
                events=events,
                jpeg=jpeg,
                cells=cells or {},
            )
            num_frames += 1
    write(events=[event.to_json() for event in watcher.finish()])
    return f"{num_frames} frames"


def _pictures(library: Library) -> dict[str, Picture]:
    """Of each anchor, by its id, the picture, or what is in its box."""
    anchors = Anchors(library.path)
    found = {}
    for one in anchors.all():
        picture = anchors.picture(one.id)
        if one.box is not None:
            x, y, width, height = one.box
            picture = picture[y : y + height, x : x + width]
        found[one.id] = np.ascontiguousarray(picture)
    return found


def _cells(encoder: Encoder, frame: Frame, pictures: dict[str, Picture]) -> dict[str, Any]:
    """Where the frame agrees with each anchor; empty for an encoder that compares no cells."""
    if encoder.model.second_stage is None:
        return {}
    found = {name: encoder.agreement(frame.whole, picture) for name, picture in list(pictures.items())[:2]}
    return {name: np.round(one.first, 2).tolist() for name, one in found.items()}


def _plain(value: float | None) -> float | None:
    return None if value is None else round(float(value), 4)
