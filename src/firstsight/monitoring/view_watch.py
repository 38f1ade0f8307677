"""Follows the view of one stream, and says when it is moved, covered, dark or frozen, and what is left or taken."""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from firstsight.monitoring import episodes, frozen, left_taken, view_changes
from firstsight.monitoring.episodes import Trigger, TriggerState
from firstsight.monitoring.sketch import sketch
from firstsight.monitoring.view_changes import NUM_COLUMNS, NUM_ROWS, Judged, State

ViewKind = Literal[
    "moved",
    "covered begins",
    "covered ends",
    "dark begins",
    "dark ends",
    "frozen begins",
    "frozen ends",
    "left",
    "taken",
]
ViewChangeKind = Literal["moved", "covered", "dark", "frozen", "left", "taken"]
_LASTING: tuple[tuple[Literal["covered", "dark"], ViewKind, ViewKind], ...] = (
    ("covered", "covered begins", "covered ends"),
    ("dark", "dark begins", "dark ends"),
)
# A hand that passes the lens is none; whoever covers a camera does so for longer.
_TRIGGER = Trigger(begins_from=0.5, ends_below=0.5, min_seconds=1.0, quiet_seconds=1.0)
_AT_ONCE = Trigger(begins_from=0.5, ends_below=0.5, min_seconds=0.0, quiet_seconds=0.0)
_FIFTH = 0.2
# Between two pictures that are judged: what happens to a view lasts longer.
_DUE_SECONDS = 0.06
BLIND: tuple[State, ...] = ("moved", "covered", "dark")


@dataclass(frozen=True)
class ViewEvent:
    """Something happened to the view."""

    kind: ViewKind
    start_seconds: float
    end_seconds: float | None = None  # of what ends
    shift: tuple[float, float] | None = None  # of a moved view, right and down, as shares of width and height
    box: tuple[float, float, float, float] | None = None  # of what is left or taken, as shares of the view

    def box_in(self, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
        """The box in pixels of a picture of that size: x, y, width, height."""
        if self.box is None:
            return None
        (left, top, wide, high), (width, height) = self.box, size
        return round(left * width), round(top * height), round(wide * width), round(high * height)


class ViewWatch:
    """The view of one camera.

    Args:
        stays: also report what is left or taken. Off by default: a person who stands still for seconds, as in a room
            with people, is still reported as such too often.
    """

    def __init__(self, *, stays: bool = False) -> None:
        self._stays = stays
        self._usual: view_changes.Usual | None = None
        self._liveliness: frozen.Liveliness | None = None
        self._before: left_taken.Before | None = None
        self._states: dict[str, TriggerState] = {}
        self._last: Judged | None = None  # after `finish` None again
        self._frozen_since = 0.0  # the last picture that differed from the one before
        self._is_told = False  # that the view was moved, until it is the usual one again or what it shows is usual

    def update(self, picture: NDArray[np.uint8], seconds: float) -> tuple[Judged, tuple[ViewEvent, ...]]:
        """How the view is in one more picture, uint8 (H, W, C), and what begins or ends with it.

        Pictures that follow faster than 16 a second are as the one before.
        """
        if self._last and 0 <= seconds - self._last.seconds < _DUE_SECONDS:
            state: State = "usual" if self._last.starts_again else self._last.state
            return replace(self._last, state=state, settled=None, starts_again=False), ()
        one = sketch(picture)
        usual = view_changes.resumed(self._usual, seconds) if self._usual and not self._last else self._usual
        self._usual, judged = view_changes.update(usual, one, seconds)
        events = [*self._moved(judged), *self._lasting(judged), *self._frozen(one.pixels, judged)]
        self._last = judged = replace(judged, is_frozen=bool(self._liveliness and self._liveliness.is_frozen))
        if judged.starts_again:
            self._before = None
        if self._stays:
            is_calm = judged.state == "usual"
            self._before, stayed = left_taken.update(self._before, one.light, seconds, is_calm=is_calm)
            events += [
                ViewEvent(found.kind, found.seconds, box=found.box)
                for found in stayed
                if not _is_only_light(found.box, judged.only_light)
            ]
        return judged, tuple(events)

    def finish(self) -> tuple[ViewEvent, ...]:
        """What ends because no picture will follow for now. What is usual is kept."""
        events = []
        for name, _, ends in (*_LASTING, ("frozen", "", "frozen ends")):
            change = episodes.finish(self._states.get(name, TriggerState()))
            if change:
                since = self._frozen_since if name == "frozen" else change.episode.start_seconds
                events.append(ViewEvent(ends, since, change.episode.last_seconds))
        self._states, self._liveliness, self._before, self._last = {}, None, None, None
        return tuple(events)

    def _moved(self, judged: Judged) -> list[ViewEvent]:
        change = self._trigger("moved", _TRIGGER, judged.state == "moved", judged.seconds)
        if judged.state == "usual" or judged.starts_again:
            self._is_told = False
        if change is None or not change.begins or self._is_told:
            return []
        self._is_told = not judged.starts_again
        return [ViewEvent("moved", change.episode.start_seconds, shift=judged.shift)]

    def _lasting(self, judged: Judged) -> list[ViewEvent]:
        events = []
        for name, begins, ends in _LASTING:
            change = self._trigger(name, _TRIGGER, judged.state == name, judged.seconds)
            if change:
                events.append(_event(change, begins, ends))
        return events

    def _frozen(self, pixels: NDArray[np.uint8], judged: Judged) -> list[ViewEvent]:
        self._liveliness = frozen.update(self._liveliness, pixels, judged.seconds)
        is_frozen = self._liveliness.is_frozen and judged.state not in ("covered", "dark")
        change = self._trigger("frozen", _AT_ONCE, is_frozen, judged.seconds)
        if change and change.begins:
            self._frozen_since = self._liveliness.alive_seconds
        if change is None:
            return []
        event = _event(change, "frozen begins", "frozen ends")
        return [replace(event, start_seconds=self._frozen_since)]

    def _trigger(self, name: str, trigger: Trigger, holds: bool, seconds: float) -> episodes.Change | None:
        before = self._states.get(name, TriggerState())
        self._states[name], change = episodes.update(trigger, before, float(holds), seconds)
        return change


def _event(change: episodes.Change, begins: ViewKind, ends: ViewKind) -> ViewEvent:
    episode = change.episode
    if change.begins:
        return ViewEvent(begins, episode.start_seconds)
    return ViewEvent(ends, episode.start_seconds, episode.last_seconds)


def _is_only_light(box: tuple[float, float, float, float], only_light: NDArray[np.bool_]) -> bool:
    """Whether in all cells that a box (shares of the view) touches no more than the light has changed."""
    left, top, wide, high = box
    rows = slice(int(top * NUM_ROWS), math.ceil((top + high) * NUM_ROWS))
    columns = slice(int(left * NUM_COLUMNS), math.ceil((left + wide) * NUM_COLUMNS))
    return bool(only_light[rows, columns].all())


def is_blind(judged: Judged) -> bool:
    """Whether nothing can be new, as the camera is moved, covered or dark, or its light is being switched.

    A view that has moved by a fifth of a cell can be judged, as each cell shows nearly what it did.
    """
    has_no_view = judged.state in BLIND and not judged.starts_again and not _is_nudged(judged)
    return has_no_view or judged.is_switching


def _is_nudged(judged: Judged) -> bool:
    if judged.state != "moved" or judged.shift is None:
        return False
    across, down = judged.shift
    return abs(across) * NUM_COLUMNS <= _FIFTH and abs(down) * NUM_ROWS <= _FIFTH
