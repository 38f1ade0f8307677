"""Judges the frames of one camera: what is new and where, and what happens to its view.

Novelty is judged place by place, and only where there is a view to judge: while the camera is moved, covered or dark,
and for half a second after light is switched, nothing is new; nor is anything in cells in which only the light has
changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firstsight.encoder.encoder import Encoder
from firstsight.footage.frames import Frame
from firstsight.monitoring.deviation import Appearance
from firstsight.monitoring.episodes import Episode, Trigger
from firstsight.monitoring.places import PlaceChange, Places
from firstsight.monitoring.view_changes import Judged as JudgedView
from firstsight.monitoring.view_watch import ViewEvent, ViewWatch, is_blind
from firstsight.normality.appearance import Lighting
from firstsight.normality.growth import Growth
from firstsight.normality.memory import Judge, Judged, Memory
from firstsight.normality.motion import area_of, box_at, cells_in, covered_by
from firstsight.pixels import Crop

Box = tuple[int, int, int, int]  # x, y, width, height in pixels of the upright picture


@dataclass(frozen=True, eq=False)
class Heat:
    """How new each part of a frame is."""

    values: NDArray[np.float64]  # (rows, columns), deviations or rarities, from 0
    area: Box  # that the grid covers

    def box(self, cells: NDArray[np.bool_]) -> Box:
        """Around cells (rows, columns) of the grid."""
        rows, columns = np.flatnonzero(cells.any(axis=1)), np.flatnonzero(cells.any(axis=0))
        down, across = self.area[3] / cells.shape[0], self.area[2] / cells.shape[1]
        left, top = self.area[0] + columns[0] * across, self.area[1] + rows[0] * down
        wide, high = (columns[-1] + 1 - columns[0]) * across, (rows[-1] + 1 - rows[0]) * down
        return round(left), round(top), round(wide), round(high)


@dataclass(frozen=True, eq=False)
class NewChange:
    """Something new that begins or ends."""

    episode: Episode  # so far
    begins: bool
    part: str | None  # by a memory "motion" or "appearance", whose values are rarities; beside it "deviation"
    box: Box  # where it was the most unusual
    heat: Heat  # of the entire frame then


@dataclass(frozen=True, eq=False)
class Looked:
    """What one frame shows."""

    score: float | None  # rarity of motion by a memory, else the deviation; None while nothing can be judged
    deviation: float | None  # of appearance, if it is judged; of the last frame that was due
    box: Box | None  # by a memory: where motion is the rarest
    changes: tuple[NewChange, ...]
    view_events: tuple[ViewEvent, ...]
    part: str = "motion"  # by a memory: which was the rarer
    goes_on: bool = False  # by a memory: whether something new is under way
    is_blind: bool = False  # whether there is no view to judge: then nothing is new, and without a memory no score


class Sentry:
    """The judge of one camera.

    Args:
        encoder: whose view the first picture of each frame is; the last picture is of the entire frame.
        appearance: judges its deviation; None to judge by a memory alone.
        judge: judges by a memory; None without one.
        looks_from: when the appearance is new.
        moves_from: when motion is.
        stays: also report what is left or taken.
        growth: learns on from what the judge has judged, where nothing happens; None learns nothing.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        appearance: Appearance | None,
        judge: Judge | None,
        looks_from: Trigger,
        moves_from: Trigger,
        stays: bool = False,
        growth: Growth | None = None,
    ) -> None:
        self._encoder, self._appearance, self._judge, self._growth = encoder, appearance, judge, growth
        self._view = ViewWatch(stays=stays)
        self._looking, self._moving = Places(looks_from), Places(moves_from)
        self._size = (1, 1)

    def update(self, frames: Sequence[Frame]) -> list[Looked]:
        """What some more frames of one file show, in order of time."""
        views = [self._view.update(frame.whole, frame.seconds) for frame in frames]
        judged_views = [judged for judged, _ in views]
        appearance, judge = self._appearance, self._judge
        looks = appearance.update(frames, judged_views, every=judge is None) if appearance else [None] * len(frames)
        moves = judge.update(frames, list(map(_lighting, judged_views))) if judge else [None] * len(frames)
        found = [self._looked(*one) for one in zip(frames, views, looks, moves, strict=True)]
        if self._growth:
            for frame, one, view, looked in zip(frames, moves, judged_views, found, strict=True):
                if one:
                    self._growth.update(frame, one, is_calm=self._is_calm(view, looked))
        return found

    @property
    def memory(self) -> Memory | None:
        """What was learned, as of the last time that it was written; None without a growth."""
        return self._growth.memory if self._growth else None

    def keep(self, *, if_due: bool = False) -> None:
        """Writes what was learned since the last time, and judges by that from now on; nothing without a growth.

        Args:
            if_due: only if it is enough to be worth it.

        Raises:
            RunError: its file was damaged meanwhile, or cannot be written.
        """
        if self._growth and self._judge and (self._growth.is_due or not if_due):
            self._judge.adopt(self._growth.save())

    def _is_calm(self, view: JudgedView, looked: Looked) -> bool:
        nothing = not looked.changes and not looked.view_events
        return nothing and not looked.goes_on and not view.is_frozen and not is_blind(view)

    def finish(self) -> tuple[list[NewChange], tuple[ViewEvent, ...]]:
        """What ends because no frame will follow for now. What is usual is kept."""
        if self._growth:
            self._growth.end_clip()
        looking = self._changes(self._looking.finish())
        return [*looking, *self._changes(self._moving.finish())], self._view.finish()

    def _looked(
        self,
        frame: Frame,
        view: tuple[JudgedView, tuple[ViewEvent, ...]],
        grid: NDArray[np.float64] | None,
        motion: Judged | None,
    ) -> Looked:
        judged, events = view
        self._size = frame.size
        nothing = is_blind(judged)
        changes: list[NewChange] = []
        if judged.is_switching:  # what is under way goes on
            return Looked(0.0 if motion else None, None, None, (), events, is_blind=True)
        if motion:
            rarities = None if nothing else motion.rarities
            changes += self._changes(self._moving.update(rarities, frame.seconds, motion.part))
        if self._appearance:
            reported = None if grid is None else self._reported(grid.shape)
            changes += self._changes(self._looking.update(grid, frame.seconds, reported=reported))
        deviation = None if grid is None else float(grid.max())
        if motion is None:
            return Looked(deviation, deviation, None, tuple(changes), events, is_blind=nothing)
        score = 0.0 if nothing else motion.score
        goes_on = not (self._looking.is_calm and self._moving.is_calm)
        return Looked(score, deviation, motion.box, tuple(changes), events, motion.part, goes_on, is_blind=nothing)

    def _reported(self, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
        """In a grid of that shape over the encoder's view, where the memory has something new under way."""
        boxes = self._moving.under_way
        if boxes is None:
            return None
        area = self._encoder.view.crop(*self._size).area
        return cells_in(area, covered_by(boxes), self._size, shape).reshape(shape)

    def _changes(self, changes: Sequence[PlaceChange]) -> list[NewChange]:
        return [self._change(one) for one in changes]

    def _change(self, one: PlaceChange) -> NewChange:
        if one.part:
            box = largest_box(one.values, one.cells, self._size)
            heat = Heat(one.values, area_of(one.values.shape, self._size))
        else:
            crop: Crop = self._encoder.view.crop(*self._size)
            heat = Heat(one.values, crop.area)
            box = heat.box(one.cells)
        part = (one.part or "deviation") if self._judge else None
        return NewChange(one.episode, one.begins, part, box, heat)


def largest_box(values: NDArray[np.float64], cells: NDArray[np.bool_], size: tuple[int, int]) -> Box:
    """Where a frame of that size has its largest value within some boxes of a map (rows, columns); the middle of
    several that have it, as where an appearance is placed.
    """
    own = np.where(cells, values, -1)
    row, column = np.argwhere(own == own.max()).mean(axis=0)
    return box_at(row, column, values.shape, size)


def _lighting(view: JudgedView) -> Lighting:
    """Of a frame: while light is switched, all of it; a moved view that is usual now is known in its light."""
    settled = np.ones_like(view.only_light) if view.starts_again else view.settled
    return Lighting(view.only_light | view.is_switching, settled)
