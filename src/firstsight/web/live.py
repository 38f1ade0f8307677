"""What a camera shows now, or a file played as one: frame, closeness to the anchors, novelty, events.

A process of its own watches it, as `firstsight watch` does, and ends when nobody has asked for a minute.
"""

import base64
import subprocess
import threading
import time
from collections import deque
from typing import Any, Literal

from firstsight.errors import LibraryError
from firstsight.web.jobs import end_worker, lines_of, start_worker

State = Literal["off", "starting", "on", "ended", "failed"]
_MAX_POINTS, _MAX_EVENTS = 2_400, 200  # ten minutes of curves
_UNASKED_SECONDS = 60.0


class Live:
    """The one view of what is live. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._state: State = "off"
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
        """The latest frame, a JPEG. Raises a LibraryError if there is none."""
        with self._lock:
            if not self._jpeg:
                raise LibraryError("nothing is live now")
            return self._jpeg

    def _clear(self, state: State, source: str) -> None:
        self._state = state
        self._source, self._error, self._number, self._jpeg = source, "", 0, b""
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
