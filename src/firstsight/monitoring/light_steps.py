"""Light that is switched: most of a view changes in one frame, and then stands still.

What changes with everything else is light, whatever becomes of its edges: a lamp draws shadows, infrared turns dark on
bright into bright on dark. Somebody who passes close to the camera may change most of a view too, but does not stand
still after it. So cells that changed with most others count as light while they stand still, and soon belong to the
view.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

# Of the cells: more than a person close to the camera fills.
_MOST = 0.6
# Grey levels, mean over the pixels of a cell, beyond three times the usual flicker.
_CHANGED, _STILL, _FLICKERS = 2.0, 1.5, 3.0
# A switch takes no longer; what goes on changing moves, as a car that fills the view, or is shaken.
_WINDOW_SECONDS = 0.5
# Without a change of most cells, until the next one is another switch.
_QUIET_SECONDS = 1.0
# Frames further apart are pictures of a time lapse, in which everything changes at once anyway.
_FAR_APART_SECONDS = 2.0
# Of standing still, until what changed with all others belongs to the view; the second for what moved in between.
SETTLING_SECONDS, LONG_SETTLING_SECONDS = 3.0, 60.0
_ADAPTING_FRAMES = 50
_WARM_UP_FRAMES = 4


@dataclass(frozen=True, eq=False)
class Steps:
    """The changes of light of a view after a frame. Of cells: (cells,)."""

    last: NDArray[np.float32]  # (cells, pixels) of the frame before
    still_since: NDArray[np.float64]  # seconds
    changed: NDArray[np.bool_]  # with most others, and not settled since
    by_light: NDArray[np.bool_]  # of these, those that have stood still since then
    seconds: float
    flicker: float = 0.0  # usual change from frame to frame of the median cell, grey levels
    num_frames: int = 1
    begun: float = -np.inf  # when most cells began to change, in the latest run of frames in which they did
    latest: float = -np.inf  # and when they last did

    @property
    def is_switching(self) -> bool:
        """Whether light is being switched just now, so that nothing can be judged."""
        return self.seconds - self.begun <= _WINDOW_SECONDS

    @property
    def settled(self) -> NDArray[np.bool_]:
        """Cells that changed with most others and stand still."""
        still = self.seconds - np.maximum(self.still_since, self.begun + _WINDOW_SECONDS)
        return self.changed & (still >= np.where(self.by_light, SETTLING_SECONDS, LONG_SETTLING_SECONDS))

    def still_for(self, seconds: float) -> NDArray[np.bool_]:
        """Cells in which nothing has moved for so long."""
        return self.seconds - self.still_since >= seconds


def begin(cells: NDArray[np.float32], seconds: float) -> Steps:
    """The state after a first frame of cells (cells, pixels) of grey levels."""
    none = np.zeros(len(cells), np.bool_)
    return Steps(cells, np.full(len(cells), seconds), none, none, seconds)


def update(state: Steps, cells: NDArray[np.float32], seconds: float, *, foreign: NDArray[np.bool_]) -> Steps:
    """The state after one more frame.

    Args:
        state: after the frame before.
        cells: (cells, pixels), grey levels.
        seconds: its time; where it is before the last frame's, as in the next file, all begins again.
        foreign: (cells,), those that show something else than the usual view: it is no light.
    """
    gap = seconds - state.seconds
    if not 0 <= gap <= _FAR_APART_SECONDS:
        return begin(cells, seconds)
    change = np.abs(cells - state.last).mean(axis=1)
    strong = change > _CHANGED + _FLICKERS * state.flicker
    is_step = state.num_frames >= _WARM_UP_FRAMES and strong.mean() >= _MOST
    is_new_run = is_step and seconds - state.latest > _QUIET_SECONDS
    begun = seconds if is_new_run else state.begun
    changed, by_light = state.changed, state.by_light
    # A shake moves edges and leaves flat cells alone, noise does not.
    noise = max(state.flicker, float(np.quantile(change, 0.2)))
    is_moving = change > _STILL + _FLICKERS * noise
    if is_step and seconds - begun <= _WINDOW_SECONDS:
        changed, by_light = changed | strong, (by_light | strong) & ~foreign
    elif seconds - begun > _WINDOW_SECONDS:
        by_light = by_light & ~is_moving
    share = 1 / min(state.num_frames, _ADAPTING_FRAMES)
    usual = float(np.median(change)) if not is_step else state.flicker
    return Steps(
        cells,
        np.where(is_moving | (strong & is_step), seconds, state.still_since),
        changed,
        by_light,
        seconds,
        flicker=state.flicker + share * (usual - state.flicker),
        num_frames=state.num_frames + 1,
        begun=begun,
        latest=seconds if is_step else state.latest,
    )


def without(state: Steps, settled: NDArray[np.bool_]) -> Steps:
    """The state when those cells belong to the view."""
    return replace(state, changed=state.changed & ~settled, by_light=state.by_light & ~settled)
