"""Deviation: how much a frame deviates from what its camera usually shows, cell by cell, as new things are often small.

The maps of the encoder's last level are averaged over the cells of a grid. Each cell keeps a running mean and variance;
a frame's score is the deviation of its most unusual cell, in multiples of the usual deviation there. Both adapt slowly:
they follow day and night, and an object that appears is new for minutes before it belongs to the view.

Something new must not quickly raise the variance, or the second person would go undetected. So a deviation counts for
at most the square root of two times the usual one: the mean moves by at most that share, and the variance can only
grow e-fold in the time constant of adapting. So an object that stays is usual after a quarter of an hour or so, the
later the more it stands out.

Sources: Stauffer, Grimson, "Adaptive background mixture models", 1999, for means and variances that adapt; Huber,
"Robust estimation of a location parameter", 1964, for deviations cut off.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from firstsight import device
from firstsight.encoder.encoder import Encoder
from firstsight.errors import SettingsError, check_number
from firstsight.footage.frames import Frame
from firstsight.monitoring.episodes import Trigger
from firstsight.monitoring.view_changes import Judged as JudgedView
from firstsight.monitoring.view_watch import is_blind
from firstsight.normality.appearance import grid_of, in_cells, least_square
from firstsight.normality.motion import cells_in
from firstsight.normality.rarity import FALSE_ALARMS, rarity_for, rate_of
from firstsight.process import Precision

# Shadows move through a view in tens of minutes, clouds in minutes.
ADAPTING_SECONDS = 300.0
# Times the usual deviation of a cell. In a quiet view the most unusual cell reaches 5; a person 15 and more.
NEW_FROM = 8.0
# Of that: an episode goes on while the deviation is at least this share.
_UNTIL_SHARE = 0.75
# Long enough to measure noise and flicker, short enough that the view is empty.
WARM_UP_SECONDS = 5.0
_WARM_UP_FRAMES = 8
# Between two frames of which the appearance is judged beside a memory, which needs more frames than that does.
DUE_SECONDS = 0.45
# Squared deviations count up to so many times the usual square.
_CUT = 2.0
# After a stream was lost for a night, its first frame must not replace all that was learned.
_MAX_STEP_SECONDS = 10.0


@dataclass(frozen=True, eq=False)
class Usual:
    """What a camera usually shows, after a frame."""

    mean: NDArray[np.float64]  # (maps, cells)
    variance: NDArray[np.float64]  # (cells,), of a map in the mean
    num_frames: int
    watched_seconds: float  # without the times when the stream was lost
    seconds: float  # time of the last frame
    before: NDArray[np.float64] | None = None  # (maps, cells), the mean in the light before this one

    @property
    def is_warm(self) -> bool:
        """Whether enough frames came to call anything unusual."""
        return self.num_frames >= _WARM_UP_FRAMES and self.watched_seconds >= WARM_UP_SECONDS


def deviations(usual: Usual, cells: NDArray[np.float32]) -> NDArray[np.float64] | None:
    """How unusual each of the cells (maps, cells) is, in multiples of the usual deviation; None during the warm-up."""
    if not usual.is_warm:
        return None
    square = ((cells - usual.mean) ** 2).mean(axis=0)
    unusual: NDArray[np.float64] = np.sqrt(square / (usual.variance + least_square(usual.mean)))
    return unusual


def update(usual: Usual | None, cells: NDArray[np.float32], seconds: float) -> tuple[Usual, float | None]:
    """What is usual after one more frame, and how unusual the frame was before it.

    Args:
        usual: after the frame before; None for the first.
        cells: (maps, cells), of one frame.
        seconds: its time; where it is before the last frame's, as in the next file, no time passes.

    Returns:
        The new state, and the score; None during the warm-up.

    Raises:
        SettingsError: another shape than before, or values that are not finite.
    """
    if cells.ndim != 2 or not np.isfinite(cells).all() or (usual and usual.mean.shape != cells.shape):
        expected = usual.mean.shape if usual else "(maps, cells)"
        raise SettingsError(f"cells {cells.shape}; valid are finite numbers of the shape {expected}")
    if usual is None:
        return Usual(cells.astype(np.float64), np.zeros(cells.shape[1]), 1, 0.0, seconds), None
    step = min(max(seconds - usual.seconds, 0.0), _MAX_STEP_SECONDS)
    difference = cells - usual.mean
    square = (difference**2).mean(axis=0)
    score = None
    if usual.is_warm:
        share = -math.expm1(-step / ADAPTING_SECONDS)
        usual_square = usual.variance + least_square(usual.mean)
        unusual = square / usual_square
        score = float(np.sqrt(unusual.max()))
        difference *= np.sqrt(_CUT / np.maximum(unusual, _CUT))
        square = np.minimum(square, _CUT * usual_square)
    else:
        share = 1 / (usual.num_frames + 1)
    after = replace(
        usual,
        mean=usual.mean + share * difference,
        variance=usual.variance + share * (square - usual.variance),
        num_frames=usual.num_frames + 1,
        watched_seconds=usual.watched_seconds + step,
        seconds=seconds,
    )
    return after, score


def in_this_light(usual: Usual, cells: NDArray[np.float32], lit: NDArray[np.bool_]) -> Usual:
    """What is usual where the light has changed and stays so: the frame itself, in those of the cells (cells,) in which
    another light makes it look new. Cells whose maps hardly depend on light keep what they have.

    The light before is not forgotten: see `in_known_light`.
    """
    taken = lit & _looks_new(usual, usual.mean, cells)
    before = usual.mean if usual.before is None else usual.before
    return replace(usual, mean=np.where(taken, cells, usual.mean), before=np.where(taken, usual.mean, before))


def in_known_light(usual: Usual, cells: NDArray[np.float32]) -> Usual:
    """What is usual in the light of now: the light before is back in cells that look new without it and not with it."""
    if usual.before is None:
        return usual
    back = _looks_new(usual, usual.mean, cells) & ~_looks_new(usual, usual.before, cells)
    mean, before = (np.where(back, *pair) for pair in ((usual.before, usual.mean), (usual.mean, usual.before)))
    return replace(usual, mean=mean, before=before)


def _looks_new(usual: Usual, mean: NDArray[np.float64], cells: NDArray[np.float32]) -> NDArray[np.bool_]:
    square = ((cells - mean) ** 2).mean(axis=0)
    new: NDArray[np.bool_] = square >= (_UNTIL_SHARE * NEW_FROM) ** 2 * (usual.variance + least_square(usual.mean))
    return new


def new_from(least: float | None = None) -> Trigger:
    """When something new begins and ends, in multiples of the usual deviation; None is the default.

    Raises:
        SettingsError: not above 0.
    """
    given, what = NEW_FROM if least is None else least, "new from a deviation of {} times the usual one"
    begins_from = check_number(what, given, "above 0, such as 8", lambda deviation: deviation > 0)
    return Trigger(begins_from, _UNTIL_SHARE * begins_from)


def rarer_than(false_alarms: str | None = None) -> Trigger:
    """When something begins and ends that is rarer than this rate in normal footage, as "1/day"; None is that.

    Raises:
        SettingsError: no such rate.
    """
    begins_from = rarity_for(rate_of(FALSE_ALARMS if false_alarms is None else false_alarms))
    return Trigger(begins_from, _UNTIL_SHARE * begins_from, min_seconds=0.0)


def judged_text(num_frames: int, num_judged: int, num_blind: int = 0) -> str:
    """For people, how many frames were judged, and why the others were not: so many of them showed no view."""
    first = f"the first {WARM_UP_SECONDS:g} s, {_WARM_UP_FRAMES} frames or more, set the usual view"
    blind = f", and {num_blind} showed none to judge" if num_blind else ""
    more = "" if num_judged else "; more footage is needed"
    return f"{num_judged} of {num_frames} frames were judged: {first}{blind}{more}"


class Appearance:
    """How much the frames of one camera deviate from what it usually shows."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._precision: Precision = "bfloat16" if device.has_fast_bfloat16() else "float32"
        self._usual: Usual | None = None
        self._last_due: Frame | None = None  # the last frame that was judged
        self._last_grid: NDArray[np.float64] | None = None  # None during the warm-up
        self._settled: NDArray[np.bool_] | None = None  # cells of the view that show what is usual from now on

    def update(
        self, frames: Sequence[Frame], views: Sequence[JudgedView], *, every: bool = True
    ) -> list[NDArray[np.float64] | None]:
        """How new each cell of some more frames is, beside what happens to their view.

        Args:
            frames: whose first picture is of the encoder's view.
            views: how the view is in each of them.
            every: whether each frame is judged, or two a second, however many come; between them the last one counts.

        Returns:
            Deviations (rows, columns); 0 where only the light has changed. None during the warm-up, and while there is
            no view.
        """
        is_due = [self._is_due(*one, every=every) for one in zip(frames, views, strict=True)]
        due = [frame.pixels for frame, needed in zip(frames, is_due, strict=True) if needed]
        maps = iter(self._encoder.features(np.stack(due), precision=self._precision)) if due else iter(())
        for_each = []
        for frame, view, needed in zip(frames, views, is_due, strict=True):
            self._settle(view)
            if needed:
                self._last_grid = self._in_view(next(maps), frame, view)
            elif is_blind(view):
                self._last_grid = None
                self._usual = _without_a_view(self._usual, frame.seconds) if self._usual else None
            for_each.append(self._last_grid)
        return for_each

    def _is_due(self, frame: Frame, view: JudgedView, *, every: bool) -> bool:
        if is_blind(view):
            return False
        last = self._last_due
        is_early = last and frame.source == last.source and 0 <= frame.seconds - last.seconds < DUE_SECONDS
        is_due = every or view.starts_again or not is_early
        self._last_due = frame if is_due else last
        return is_due

    def _settle(self, view: JudgedView) -> None:
        """Notes what is usual from the next frame on that is judged."""
        if view.starts_again:
            self._usual = self._settled = None  # the view is another
        elif view.settled is not None:
            self._settled = view.settled if self._settled is None else self._settled | view.settled

    def _in_view(self, maps: NDArray[np.float32], frame: Frame, view: JudgedView) -> NDArray[np.float64] | None:
        (cells,), shape = in_cells(maps[None]), grid_of(maps)
        area = self._encoder.view.crop(*frame.size).area
        if self._settled is not None and self._usual is not None:
            self._usual = in_this_light(self._usual, cells, cells_in(area, self._settled, frame.size, shape))
        self._settled = None
        self._usual = in_known_light(self._usual, cells) if self._usual else None
        deviation = deviations(self._usual, cells) if self._usual else None
        self._usual, _ = update(self._usual, cells, frame.seconds)
        if deviation is None:
            return None
        by_light = cells_in(area, view.only_light, frame.size, shape)
        return (deviation * ~by_light).reshape(shape)


def _without_a_view(usual: Usual, seconds: float) -> Usual:
    """What is usual after a frame that shows no view: time passes, and what follows soon is no part of the warm-up."""
    step = min(max(seconds - usual.seconds, 0.0), _MAX_STEP_SECONDS)
    return replace(usual, watched_seconds=usual.watched_seconds + step, seconds=seconds)
