"""What a camera shows now, or a file played as one: frame, closeness to the anchors, novelty, events.

A process of its own watches it, as `firstsight watch` does, and ends when nobody has asked for three minutes.
"""

import base64
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import FirstsightError, LibraryError
from firstsight.progress import Progress, Report
from firstsight.web.anchors import Anchor, Anchors
from firstsight.web.jobs import end_worker, lines_of, start_worker
from firstsight.web.pictures import Picture, as_shown

if TYPE_CHECKING:
    from firstsight.api import Library
    from firstsight.encoder.encoder import Encoder
    from firstsight.footage.frames import Frame

State = Literal["off", "starting", "on", "ended", "failed"]
_MAX_POINTS, _MAX_EVENTS = 2_400, 200  # ten minutes of curves
_UNASKED_SECONDS = 180.0  # browsers let a hidden page ask about once a minute
_FRAMES_PER_SECOND = 4.0
_SHOWN = 960  # pixels
_CELLS_EVERY = 2  # frames
_FOLLOW_EVERY = 4  # frames: once a second it is asked whether the anchors have changed


class Live:
    """The one view of what is live. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._state: State = "off"
        self._jpeg = b""  # kept when the view ends: a page that has just read of a frame asks for its picture next
        self._clear("off", "")

    def start(self, source: str, task: dict[str, Any]) -> None:
        """Watches a source, in place of another; `source` is what people call it."""
        with self._lock:
            self._end()
            self._clear("starting", source)
            self._asked = time.monotonic()
            self._process = process = start_worker(task)
        threading.Thread(target=self._read, args=(process,), name="firstsight-live", daemon=True).start()

    def stop(self) -> None:
        """Ends the view."""
        with self._lock:
            self._end()
            self._clear("off", "")

    def show(self, after: int) -> dict[str, Any]:
        """The state, the points after that number, the events, and how the latest frame agrees with the anchors."""
        with self._lock:
            self._asked = time.monotonic()
            return {
                "state": self._state,
                "source": self._source,
                "error": self._error,
                "number": self._number,
                "points": [point for point in self._points if point["number"] > after],
                "events": list(self._events),
                "cells": self._cells,
            }

    def picture(self) -> bytes:
        """The latest frame, a JPEG, also after the end. Raises a LibraryError if there was none."""
        with self._lock:
            if not self._jpeg:
                raise LibraryError("nothing is live now")
            return self._jpeg

    def _clear(self, state: State, source: str) -> None:
        self._state = state
        self._source, self._error, self._number = source, "", 0
        self._points: deque[dict[str, Any]] = deque(maxlen=_MAX_POINTS)
        self._events: deque[dict[str, Any]] = deque(maxlen=_MAX_EVENTS)
        self._cells: dict[str, Any] = {}
        self._asked = 0.0

    def _end(self) -> None:
        if self._process is not None:
            end_worker(self._process)
        self._process = None

    def _read(self, process: "subprocess.Popen[str]") -> None:
        last: dict[str, Any] = {}
        for last in lines_of(process):
            with self._lock:
                if self._process is not process:
                    return
                self._take(last)
                if time.monotonic() - self._asked > _UNASKED_SECONDS:
                    self._end()
                    self._state = "off"
        code = process.wait()
        with self._lock:
            if self._process is process:
                self._process = None
                is_done = bool(last.get("is_done"))
                self._state = "ended" if is_done else "failed"
                self._error = "" if is_done else last.get("error") or f"its process ended, with code {code}"

    def _take(self, line: dict[str, Any]) -> None:
        for event in line.get("events", ()):
            self._events.appendleft(event)
        if "jpeg" in line:
            self._state, self._number = "on", self._number + 1
            self._jpeg, self._cells = base64.b64decode(line["jpeg"]), line["cells"]
            point = {name: line[name] for name in ("seconds", "closeness", "novelty")}
            self._points.append({"number": self._number, **point})


def watch_live(library: "Library", source: str, *, speed: float, write: Callable[..., None], progress: Report) -> str:
    """Watches a source with the encoder and the anchors of a library, and writes each frame with its values.

    Args:
        library: the anchors are those of the page, as they are at each time.
        source: a file, an address or a camera.
        speed: of a file.
        write: takes the values of a frame: seconds, closeness by anchor, novelty, events, jpeg in base64, and cells,
            where it agrees with each anchor.
        progress: called for each frame; to cancel, it raises.

    Returns:
        A line on what it was.
    """
    from firstsight.footage.frames import Frame  # what follows is for that process alone
    from firstsight.footage.stream import Stream
    from firstsight.monitoring.watch import Watcher

    pinned = _Pinned(library)
    watcher = Watcher(library.encoder, novel=True)
    num_frames = 0
    with Stream(source, views=watcher.views, frames_per_second=_FRAMES_PER_SECOND, speed=speed) as stream:
        for arrival in stream:
            if num_frames % _FOLLOW_EVERY == 0 and pinned.follow():
                watcher.watch_for(pinned.vectors)
            events = [event.to_json() for event in watcher.update(arrival)]
            progress(Progress("watching", num_frames, None))
            if not isinstance(arrival, Frame):
                write(events=events)
                continue
            values = watcher.latest
            cells = _cells(library.encoder, arrival, pinned.pictures) if num_frames % _CELLS_EVERY == 0 else None
            jpeg = base64.b64encode(as_shown(arrival.whole, most=_SHOWN, quality=80)).decode("ascii")
            closeness = {name: _plain(values[name]) for name in pinned.vectors}
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


class _Pinned:
    """The anchors of a library as they are now, by id."""

    def __init__(self, library: "Library") -> None:
        self._anchors, self._encoder = Anchors(library.path), library.encoder
        self._version: str | None = None
        self.pictures: dict[str, Picture] = {}  # or what is in the box
        self.vectors: dict[str, NDArray[np.float32]] = {}

    def follow(self) -> bool:
        """Reads what is new, and drops what was removed; whether anything has changed."""
        version = self._anchors.version
        if version == self._version:
            return False
        self._version = version
        found = self._anchors.all()
        for one in found:
            if one.id not in self.pictures:
                with suppress(FirstsightError):  # its picture is gone, or damaged: the page says so
                    self._read(one)
        kept = [one.id for one in found if one.id in self.pictures]
        self.pictures = {name: self.pictures[name] for name in kept}
        self.vectors = {name: self.vectors[name] for name in kept}
        return True

    def _read(self, anchor: Anchor) -> None:
        from firstsight.searching.query import read_anchors

        picture = self._anchors.picture(anchor.id)
        if anchor.box is not None:
            x, y, width, height = anchor.box
            picture = picture[y : y + height, x : x + width]
        picture = np.ascontiguousarray(picture)
        (self.vectors[anchor.id],) = read_anchors([picture], self._encoder).values()
        self.pictures[anchor.id] = picture


def _cells(encoder: "Encoder", frame: "Frame", pictures: dict[str, Picture]) -> dict[str, Any]:
    """Where the frame agrees with each anchor; empty for an encoder that compares no cells."""
    if encoder.model.second_stage is None:
        return {}
    found = {name: encoder.agreement(frame.whole, picture) for name, picture in list(pictures.items())[:2]}
    return {name: np.round(one.first, 2).tolist() for name, one in found.items()}


def _plain(value: float | None) -> float | None:
    return None if value is None else round(float(value), 4)
