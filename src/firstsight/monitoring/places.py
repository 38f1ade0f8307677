"""Episodes place by place: two things at two places of a view are two episodes, and a thing that moves is one.

Cells that are new and touch, or nearly do, are one thing. From frame to frame things are paired by the cells that they
share, then by distance; each has a trigger of its own. What comes while another thing is there may be a part of that:
it counts once it has been apart for half a second.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from firstsight.monitoring import episodes
from firstsight.monitoring.episodes import Episode, Trigger, TriggerState

Cells = NDArray[np.bool_]  # (rows, columns)

_AROUND = np.ones((3, 3), np.bool_)
# Of the longer side of the grid: so far from where it was a thing may be found again; farther if it was there in the
# frame before, as a car at two frames a second.
_FAR, _FAST = 0.25, 1.0
_APART_SECONDS = 0.5


@dataclass(frozen=True, eq=False)
class PlaceChange:
    """An episode at one place that begins or ends."""

    episode: Episode  # so far
    begins: bool
    values: NDArray[np.float64]  # (rows, columns) of the whole grid, at its peak
    cells: Cells  # (rows, columns), those of the thing at its peak
    part: str  # which gave the numbers then


@dataclass(frozen=True, eq=False)
class _Thing:
    state: TriggerState
    cells: Cells  # in the last frame in which it was there
    peak_cells: Cells
    values: NDArray[np.float64]  # of the whole grid at its peak
    part: str = ""  # which gave the numbers then
    is_there: bool = True  # in the last frame


@dataclass(frozen=True, eq=False)
class _Grid:
    """The numbers of a frame."""

    values: NDArray[np.floating] | None
    seconds: float
    part: str


class Places:
    """The episodes of a grid of numbers a frame.

    Args:
        trigger: when a thing begins and ends, by its largest number.
    """

    def __init__(self, trigger: Trigger) -> None:
        self._trigger = trigger
        self._things: list[_Thing] = []
        self._idle = TriggerState()  # of what is not there yet: it knows how far apart frames are

    def update(
        self, values: NDArray[np.floating] | None, seconds: float, part: str = "", *, reported: Cells | None = None
    ) -> list[PlaceChange]:
        """What begins or ends with one more frame.

        Args:
            values: (rows, columns), from 0; None if nothing can be judged.
            seconds: its time.
            part: which gives the numbers.
            reported: (rows, columns), where something new is under way by other numbers: what touches it begins only
                when that is over.
        """
        known = self._things if values is None or not self._things else self._of_shape(values.shape)
        found = [] if values is None else _regions(values >= self._trigger.ends_below)
        largest = [] if values is None else [float(values[cells].max()) for cells in found]
        known, of_thing = _without_parts(known, _paired(known, found))
        used = {number for number in of_thing if number is not None}
        begin = sorted(set(range(len(found))) - used, key=lambda number: -largest[number])
        nothing = np.zeros((1, 1), np.bool_)
        fresh = [_Thing(self._idle, nothing, nothing, np.zeros((1, 1))) for _ in begin]
        reported = None if reported is None else ndimage.binary_dilation(reported, _AROUND)
        changes: list[PlaceChange] = []
        things: list[_Thing] = []
        for thing, number in zip([*known, *fresh], [*of_thing, *begin], strict=True):
            cells = None if number is None else found[number]
            is_reported = reported is not None and cells is not None and bool((cells & reported).any())
            is_beside = any(other.state.counts for other in (*known, *things) if other is not thing)
            trigger = self._trigger_for(is_reported=is_reported, is_beside=is_beside)
            after, change = _followed(trigger, thing, cells, _Grid(values, seconds, part))
            changes += [change] if change else []
            things += [after] if after.state.episode else []
        self._things = things
        self._idle, _ = episodes.update(self._trigger, self._idle, None, seconds)
        return changes

    @property
    def is_calm(self) -> bool:
        """Whether no episode is under way."""
        return not any(thing.state.counts for thing in self._things)

    @property
    def under_way(self) -> Cells | None:
        """The cells (rows, columns) of all episodes under way; None without one."""
        cells = [thing.cells for thing in self._things if thing.state.counts]
        return np.any([one for one in cells if one.shape == cells[0].shape], axis=0) if cells else None

    def finish(self) -> list[PlaceChange]:
        """What ends because no frame will follow."""
        ended = [_change(thing, episodes.finish(thing.state)) for thing in self._things]
        self._things, self._idle = [], TriggerState()
        return [one for one in ended if one]

    def _of_shape(self, shape: tuple[int, ...]) -> list[_Thing]:
        return [
            thing if thing.cells.shape == shape else replace(thing, cells=np.zeros(shape, np.bool_))
            for thing in self._things
        ]

    def _trigger_for(self, *, is_reported: bool, is_beside: bool) -> Trigger:
        """When a thing begins that meets what is reported already, or comes beside others."""
        if is_reported:
            return replace(self._trigger, min_seconds=math.inf)
        if is_beside:
            return replace(self._trigger, min_seconds=max(self._trigger.min_seconds, _APART_SECONDS))
        return self._trigger


def _followed(trigger: Trigger, thing: _Thing, cells: Cells | None, grid: _Grid) -> tuple[_Thing, PlaceChange | None]:
    """A thing after one more frame, in which it has these cells, and what that begins or ends."""
    values = grid.values
    value = None if cells is None or values is None else float(values[cells].max())
    before = thing.state.episode
    state, change = episodes.update(trigger, thing.state, value, grid.seconds)
    episode = state.episode
    if cells is not None and values is not None and episode:
        thing = replace(thing, cells=cells)
        if before is None or episode.peak > before.peak or episode.start_seconds != before.start_seconds:
            thing = replace(thing, peak_cells=cells, values=values.astype(np.float64), part=grid.part)
    thing = replace(thing, state=state, is_there=cells is not None)
    return thing, _change(thing, change)


def _change(thing: _Thing, change: episodes.Change | None) -> PlaceChange | None:
    return PlaceChange(change.episode, change.begins, thing.values, thing.peak_cells, thing.part) if change else None


def _regions(new: Cells) -> list[Cells]:
    """Things: cells that touch, or are one cell apart."""
    labels, num = ndimage.label(ndimage.binary_dilation(new, _AROUND), _AROUND)
    return [(labels == number) & new for number in range(1, num + 1)]


def _paired(things: list[_Thing], found: list[Cells]) -> list[int | None]:
    """For each thing the number of its region; None if it is gone. Things that meet share one."""
    pairs: list[int | None] = [None] * len(things)
    if not things or not found:
        return pairs
    near = [ndimage.binary_dilation(thing.cells, _AROUND) for thing in things]
    shared = np.array([[int((one & region).sum()) for region in found] for one in near])
    taken: set[int] = set()
    for thing, region in zip(
        *np.unravel_index(np.argsort(-shared, axis=None, kind="stable"), shared.shape), strict=True
    ):
        if shared[thing, region] and pairs[thing] is None and int(region) not in taken:
            pairs[thing] = int(region)
            taken.add(int(region))
    for thing in range(len(things)):  # things that have met
        if pairs[thing] is None and shared[thing].any():
            pairs[thing] = int(shared[thing].argmax())
    return _with_fast(things, found, pairs, taken)


def _with_fast(things: list[_Thing], found: list[Cells], pairs: list[int | None], taken: set[int]) -> list[int | None]:
    """Pairs also of what is left, by distance: what is fast shares no cell with where it was."""
    lost = [number for number, pair in enumerate(pairs) if pair is None and things[number].cells.any()]
    rest = [number for number in range(len(found)) if number not in taken]
    if not lost or not rest:
        return pairs
    before, now = _middles(things[number].cells for number in lost), _middles(found[number] for number in rest)
    far = np.linalg.norm(before[:, None] - now, axis=2)
    most = [(_FAST if things[number].is_there else _FAR) * max(found[0].shape) for number in lost]
    for thing, region in zip(*np.unravel_index(np.argsort(far, axis=None, kind="stable"), far.shape), strict=True):
        is_near = far[thing, region] <= most[thing]
        if is_near and pairs[lost[thing]] is None and rest[region] not in taken:
            pairs[lost[thing]] = rest[region]
            taken.add(rest[region])
    return pairs


def _without_parts(things: list[_Thing], pairs: list[int | None]) -> tuple[list[_Thing], list[int | None]]:
    """Without things that meet another before they count: they were a part of it."""
    kept = [
        number
        for number, thing in enumerate(things)
        if pairs[number] is None or thing.state.counts or not _meets(number, things, pairs)
    ]
    return [things[number] for number in kept], [pairs[number] for number in kept]


def _meets(number: int, things: list[_Thing], pairs: list[int | None]) -> bool:
    """Whether a thing shares its region with one that counts, or that came before it."""
    return any(
        pairs[other] == pairs[number] and (things[other].state.counts or other < number)
        for other in range(len(things))
        if other != number
    )


def _middles(regions: Iterable[Cells]) -> NDArray[np.float64]:
    """(regions, 2): row and column."""
    return np.stack([np.argwhere(cells).mean(axis=0) for cells in regions])
