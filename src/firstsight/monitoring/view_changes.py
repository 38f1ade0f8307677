"""What happens to the view of a camera that should stand still: it is moved, covered, dark or frozen; or only its light
changes, which is no alarm.

Light makes edges stronger or weaker and leaves them where they are; a camera that is turned or bumped has its edges
elsewhere, and a covered one has none. So a frame is compared with what is usual by the gradients of its cells: their
correlation does not depend on light, noise lowers it evenly, and a person or a tree lowers it in some cells only. If
most cells disagree, phase correlation finds by how much the view has shifted.

Sources: Li, Leung, "Integrating intensity and texture differences for robust change detection", 2002, for gradients
that light leaves alone; Kuglin, Hines, "The phase correlation image alignment method", 1975, here of gradients as
complex numbers, Argyriou, Vlachos, "Estimation of sub-pixel motion using gradient cross-correlation", 2003.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from firstsight.monitoring import light_steps
from firstsight.monitoring.light_steps import SETTLING_SECONDS, Steps
from firstsight.monitoring.sketch import HEIGHT, WIDTH, Floats, Sketch, find_shift, gradients

NUM_ROWS, NUM_COLUMNS = 6, 8  # cells of 20x20 pixels: some 50 independent gradients, so chance correlates by 0.15
_CELL = HEIGHT // NUM_ROWS
_BORDER = 2  # pixels that a gradient reaches

State = Literal["usual", "light", "moved", "covered", "dark"]

# Of the structured cells: most of them, which a person close to the camera does not reach, and so many that it is
# worth looking for a shift.
_MOST, _MANY = 0.7, 0.4
# A cell keeps its structure if its gradients correlate by half as much as they usually do.
_KEPT = 0.5
# Less than this usual correlation, as of leaves in the wind or of a flat wall, says nothing.
_STEADY = 0.3
# Mean correlation over all structured cells; by chance 0.02, of a view in another light above 0.2.
_NO_LIKENESS = 0.12
# Grey levels, 0 to 255: of 8-bit video black is 16, and what is below shows nothing.
_DARK = 26.0
# Of the usual contrast: out of focus, as all is that touches the lens.
_FLAT = 0.35
# Grey levels by which a cell must be brighter or darker to be in another light; 4 of its usual deviations at least.
_LIGHT, _DEVIATIONS = 6.0, 4.0
# Pixels of a sketch; a bump of less leaves most of each cell as it was.
_LEAST_SHIFT = 1.5
# Squared gradient that the soft edge of a shadow draws into a flat cell; one of 20 grey levels draws ten times that.
_SOFT = 0.5
ADAPTING_SECONDS = 60.0  # of the usual picture
_WARM_UP_FRAMES = 4
# Share of the cells at or beside something else than the usual view: one cell and those around it.
_ALONE = 0.19
# A moved view that never stands still is usual after so long.
_RESTLESS_SECONDS = 30.0
# For so long after the light has changed, cells that keep their edges are no news: clouds come again.
_UNSTEADY_SECONDS = 60.0
_MAX_STEP_SECONDS = 10.0
# Leaves in the wind are no thing: cells that do not keep their edges in more than this share of the last time.
_RESTLESS_SHARE, _FOLLOWED_SECONDS = 0.2, 100.0


@dataclass(frozen=True, eq=False)
class Usual:
    """What the view usually is, after a frame."""

    light: NDArray[np.float64]  # (HEIGHT, WIDTH), mean
    correlation: NDArray[np.float64]  # (cells,), usual correlation of a frame's gradients with those of the mean
    deviation: NDArray[np.float64]  # (cells,), usual squared deviation of the light of a cell, grey levels
    noise: float  # squared gradient, mean over pixels, that noise has
    last: Floats  # (HEIGHT, WIDTH) of the frame before
    num_frames: int
    seconds: float  # of the last frame
    steps: Steps  # in which the light was switched
    state: State = "usual"
    since: float = 0.0  # when it was last seen to be moved, or no longer
    still_since: float = 0.0  # since when each frame is like the one before
    lit_seconds: float = -math.inf  # when the light last was another
    foreign: NDArray[np.bool_] | None = None  # (cells,), and beside them: they did not show the usual edges
    restless: NDArray[np.float64] | None = None  # (cells,), share of the time in which they do not


@dataclass(frozen=True, eq=False)
class Judged:
    """A frame beside the usual view."""

    state: State
    seconds: float
    gone: float  # share of the structured cells whose structure is not where it was, 0 to 1
    only_light: NDArray[np.bool_]  # (NUM_ROWS, NUM_COLUMNS): no more than the light has changed there
    shift: tuple[float, float] | None = None  # of a moved view: right and down, as shares of width and height
    is_switching: bool = False  # most of the view changed within half a second, so that nothing can be judged
    settled: NDArray[np.bool_] | None = None  # (NUM_ROWS, NUM_COLUMNS): what they show in another light is usual now
    starts_again: bool = False  # what is usual starts again, as the view was moved
    is_frozen: bool = False  # one picture again and again


def update(usual: Usual | None, one: Sketch, seconds: float) -> tuple[Usual, Judged]:
    """What is usual after one more frame, and how the frame was beside what was usual before it.

    Args:
        usual: after the frame before; None for the first.
        one: the frame.
        seconds: its time; where it is before the last frame's, what is usual is resumed.
    """
    none = np.zeros((NUM_ROWS, NUM_COLUMNS), np.bool_)
    if usual is None:
        return _begun(one.light, seconds), Judged("usual", seconds, 0.0, none)
    usual = resumed(usual, seconds) if seconds < usual.seconds else usual
    noise = _noise_of(one.light, usual.last)
    compared = _compare(usual, one.light)
    if usual.num_frames < _WARM_UP_FRAMES:
        followed = _followed(usual, one.light, compared, noise, seconds, share=1 / (usual.num_frames + 1))
        steps = light_steps.update(usual.steps, _cells_of(one.light), seconds, foreign=none.ravel())
        return replace(followed, steps=steps), Judged("usual", seconds, 0.0, none)
    state, shift = _state_of(usual, one.light, compared)
    foreign = none.ravel() if usual.foreign is None else usual.foreign
    restless = np.zeros(foreign.shape) if usual.restless is None else usual.restless
    unlike = _around(~compared.is_calm & (restless < _RESTLESS_SHARE))
    if foreign.any():  # somebody came into the view, and the camera changed its gain
        foreign = foreign | unlike
    steps = light_steps.update(usual.steps, _cells_of(one.light), seconds, foreign=foreign)
    lit = seconds if state == "light" or steps.is_switching else usual.lit_seconds
    is_unsteady = 0 <= seconds - lit <= _UNSTEADY_SECONDS
    by_light = compared.only_light | steps.by_light | (compared.is_calm & is_unsteady)
    judged = Judged(state, seconds, compared.gone, _as_grid(by_light), shift, is_switching=steps.is_switching)
    if state == "light" or (state == "usual" and is_unsteady):
        still = steps.still_for(SETTLING_SECONDS)
        # Cells that are taken over one by one, as while a shadow passes, would have seams between them.
        alone = unlike.mean() <= _ALONE  # whatever is in front of the view must not become usual
        settled = alone & (steps.settled | (compared.is_calm & ~unlike & still)) & (still.mean() >= _MOST)
        usual, steps = _in_this_light(usual, one.light, settled), light_steps.without(steps, settled)
        judged = replace(judged, settled=_as_grid(settled))
    is_known = state in ("usual", "light") and not steps.is_switching
    if is_known:
        share = -math.expm1(-_step(usual, seconds) / _FOLLOWED_SECONDS)
        restless = restless + share * (~compared.is_calm - restless)
        usual = replace(usual, foreign=unlike, restless=restless)
    usual = replace(usual, steps=steps, lit_seconds=lit)
    return _after(usual, one.light, compared, judged, noise)


def _after(usual: Usual, light: Floats, compared: "_Compared", judged: Judged, noise: float) -> tuple[Usual, Judged]:
    """What is usual after a frame that was judged; what is covered or dark teaches nothing."""
    seconds, state = judged.seconds, judged.state
    still = seconds if _is_moving(light, usual, noise) else usual.still_since
    since = seconds if (state == "moved") != (usual.state == "moved") else usual.since
    marked = replace(usual, state=state, since=since, still_since=still)
    if state == "usual":
        share = -math.expm1(-_step(usual, seconds) / ADAPTING_SECONDS)
        return _followed(marked, light, compared, noise, seconds, share=share), judged
    settled = seconds - max(since, still) >= SETTLING_SECONDS or seconds - since >= _RESTLESS_SECONDS
    if state == "moved" and settled:
        return _begun(light, seconds), replace(judged, starts_again=True)
    return replace(marked, last=light, seconds=seconds), judged


def _step(usual: Usual, seconds: float) -> float:
    """The time since the last frame that counts."""
    return min(max(seconds - usual.seconds, 0.0), _MAX_STEP_SECONDS)


def resumed(usual: Usual, seconds: float) -> Usual:
    """What is usual before a frame that does not follow the last one, as that of the next file or of a stream that was
    lost: how long something has lasted is counted from now on.
    """
    lit = usual.lit_seconds if seconds >= usual.seconds else -math.inf
    return replace(usual, seconds=seconds, since=seconds, still_since=seconds, lit_seconds=lit)


def _begun(light: Floats, seconds: float) -> Usual:
    cells = NUM_ROWS * NUM_COLUMNS
    return Usual(
        light.astype(np.float64),
        correlation=np.ones(cells),
        deviation=np.zeros(cells),
        noise=1.0,
        last=light,
        num_frames=1,
        seconds=seconds,
        steps=light_steps.begin(_cells_of(light), seconds),
        since=seconds,
        still_since=seconds,
    )


def _in_this_light(usual: Usual, light: Floats, lit: NDArray[np.bool_]) -> Usual:
    """The usual view with the light of the frame in those cells (cells,)."""
    mask = np.repeat(np.repeat(_as_grid(lit), _CELL, axis=0), _CELL, axis=1)
    return replace(usual, light=np.where(mask, light, usual.light))


def _cells_of(light: Floats) -> Floats:
    """Light (HEIGHT, WIDTH) cell by cell: (cells, pixels)."""
    parts = light.reshape(NUM_ROWS, _CELL, NUM_COLUMNS, _CELL).swapaxes(1, 2)
    return parts.reshape(NUM_ROWS * NUM_COLUMNS, -1)


def _as_grid(cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return cells.reshape(NUM_ROWS, NUM_COLUMNS)


def _around(cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Those cells (cells,) and the ones beside them."""
    wide: NDArray[np.bool_] = ndimage.binary_dilation(_as_grid(cells), np.ones((3, 3)))
    return wide.ravel()


def _followed(
    usual: Usual, light: Floats, compared: "_Compared", noise: float, seconds: float, *, share: float
) -> Usual:
    """The usual view, moved that share of the way to the frame."""
    first = 1 / usual.num_frames if usual.num_frames < _WARM_UP_FRAMES else share
    return replace(
        usual,
        light=usual.light + share * (light - usual.light),
        correlation=usual.correlation + first * (compared.correlation - usual.correlation),
        deviation=usual.deviation + share * (compared.brighter**2 - usual.deviation),
        noise=usual.noise + max(first, share) * (noise - usual.noise),
        last=light,
        num_frames=usual.num_frames + 1,
        seconds=seconds,
    )


@dataclass(frozen=True, eq=False)
class _Compared:
    """A frame and the usual view, cell by cell: (cells,) each."""

    correlation: NDArray[np.float64]  # of the gradients, -1 to 1; of their strengths if that is higher
    signed: NDArray[np.float64]  # of the gradients
    sharpness: float  # of the frame's strongest cells, as a share of that of the usual view's
    brighter: NDArray[np.float64]  # grey levels
    is_structured: NDArray[np.bool_]  # usually
    is_kept: NDArray[np.bool_]
    only_light: NDArray[np.bool_]  # brighter or darker, and all its edges are where they were
    is_calm: NDArray[np.bool_]  # its edges are mostly where they were; where it has none, it had none
    altered: float  # share of all cells that have lost, gained or changed edges, or are flat in another light
    gradients: tuple[NDArray[np.float64], NDArray[np.float64]]  # of the frame, of the usual view

    @property
    def gone(self) -> float:
        """Share of the structured cells that have not kept their structure."""
        num = int(self.is_structured.sum())
        return float((self.is_structured & ~self.is_kept).sum()) / num if num else 0.0


def _compare(usual: Usual, light: Floats) -> _Compared:
    now, then = gradients(light), gradients(usual.light)
    squares, usual_squares = (now**2).sum(axis=0), (then**2).sum(axis=0)
    energy, usual_energy, shared = map(_per_cell, (squares, usual_squares, (now * then).sum(axis=0)))
    both = np.sqrt(energy * usual_energy) + usual.noise
    signed = shared / both
    strengths = np.sqrt(squares), np.sqrt(usual_squares)
    correlation = np.maximum(signed, _correlation(*strengths, energy, usual_energy))
    brighter = _per_cell(light - usual.light)
    # Contrast is relative to light, as in half the light gradients are half as strong.
    level, usual_level = _per_cell(light), _per_cell(usual.light)
    sharp, usual_sharp = (
        float(np.quantile(np.sqrt(np.maximum(one - usual.noise, 0)) / (of + 8), 0.9))
        for one, of in ((energy, level), (usual_energy, usual_level))
    )
    is_structured = (usual_energy > 4 * usual.noise) & (usual.correlation > _STEADY)
    scale = shared / np.maximum(usual_energy, 1e-9)
    rest = energy - scale**2 * usual_energy  # of the frame's gradients, what no change of light explains
    least = np.maximum(_LIGHT, _DEVIATIONS * np.sqrt(usual.deviation))
    explained = rest < 4 * usual.noise * (1 + scale**2) + 0.1 * scale**2 * usual_energy
    is_kept = correlation >= _KEPT * usual.correlation
    has_edges, had_edges = energy > 4 * usual.noise, usual_energy > 4 * usual.noise
    is_other_light = np.abs(brighter) > least
    gain = ((level + 8) / (usual_level + 8)) ** 2  # of the energy of edges, by light
    rough, usual_rough = energy - _even(now), usual_energy - _even(then)
    is_weak, had_rough = usual_rough < 16 * usual.noise, usual_rough > 4 * usual.noise
    is_comparable = (rough <= 4 * np.maximum(gain, 1) * np.maximum(usual_rough, max(usual.noise, _SOFT))) & (
        4 * rough + 4 * usual.noise >= gain * usual_rough
    )
    altered = np.where(has_edges | had_edges, ~is_kept, is_other_light).mean()
    return _Compared(
        correlation,
        signed,
        sharp / max(usual_sharp, 1e-9),
        brighter,
        is_structured,
        is_kept,
        is_other_light & explained,
        np.where(had_rough, is_kept | (is_weak & is_comparable), is_comparable),
        float(altered),
        (now, then),
    )


def _state_of(usual: Usual, light: Floats, compared: _Compared) -> tuple[State, tuple[float, float] | None]:
    cells = compared.is_structured
    if cells.sum() < NUM_COLUMNS:  # hardly anything that could move or vanish
        is_dark = compared.altered >= _MOST and _is_dark(usual, light)
        return "dark" if is_dark else "light" if compared.only_light.mean() >= _MANY else "usual", None
    if compared.gone >= _MANY:
        shift = find_shift(*compared.gradients)
        if shift is not None and max(map(abs, shift)) >= _LEAST_SHIFT and _fits(usual, light, shift, compared.gone):
            return "moved", (shift[0] / WIDTH, shift[1] / HEIGHT)
    if min(compared.gone, compared.altered) >= _MOST:
        if _is_dark(usual, light):
            return "dark", None
        if compared.sharpness < _FLAT:
            return "covered", None
        if compared.signed[cells].mean() < _NO_LIKENESS:
            return "moved", None
    least = np.maximum(_LIGHT, _DEVIATIONS * np.sqrt(usual.deviation))
    is_other_light = (np.abs(compared.brighter) > least) & compared.is_calm
    return ("light" if is_other_light.mean() >= _MANY else "usual"), None


def _is_dark(usual: Usual, light: Floats) -> bool:
    return bool(light.mean() < min(_DARK, usual.light.mean() / 2))


def _fits(usual: Usual, light: Floats, shift: tuple[float, float], gone: float) -> bool:
    """Whether the frame, shifted back, has the usual structure in most cells that both show, and in more than before.

    Of few structured cells, a thing that hides some may leave others that fit by chance.
    """
    across, down = (round(one) for one in shift)
    if abs(across) > WIDTH * 3 // 4 or abs(down) > HEIGHT * 3 // 4:
        return False
    back = np.roll(light, (-down, -across), axis=(0, 1))
    shown = np.zeros(light.shape)
    shown[max(0, -down) : HEIGHT - max(0, down), max(0, -across) : WIDTH - max(0, across)] = 1
    compared = _compare(usual, back)
    cells = compared.is_structured & (_per_cell(shown) > 0.8)
    return bool(cells.sum() >= 4 and compared.is_kept[cells].mean() >= max(0.6, 1.25 - gone))


def _per_cell(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Means (cells,) of values (HEIGHT, WIDTH), without the borders of cells, where the usual view may have seams."""
    means: NDArray[np.float64] = _SHARES[0] @ values @ _SHARES[1].T
    return means.ravel()


def _shares(num: int) -> NDArray[np.float64]:
    """The share (num, pixels) of each pixel of a side in so many cells."""
    inside = np.zeros((num, num, _CELL))
    inside[np.arange(num), np.arange(num), _BORDER:-_BORDER] = 1 / (_CELL - 2 * _BORDER)
    return inside.reshape(num, -1)


_SHARES = _shares(NUM_ROWS), _shares(NUM_COLUMNS)


def _even(found: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squared gradient (cells,) of what brightens evenly across a cell, as the soft edge of the shadow of a cloud."""
    across, down = map(_per_cell, found)
    return across**2 + down**2


def _correlation(
    now: NDArray[np.float64],
    then: NDArray[np.float64],
    energy: NDArray[np.float64],
    usual_energy: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Correlation (cells,) of strengths of gradients (HEIGHT, WIDTH), whose mean squares by cell are the energies:
    infrared turns dark on bright into bright on dark.
    """
    first, second = _per_cell(now), _per_cell(then)
    product = _per_cell(now * then) - first * second
    spread = (energy - first**2) * (usual_energy - second**2)
    correlation: NDArray[np.float64] = product / (np.sqrt(np.maximum(spread, 0)) + 1e-6)
    return correlation


def _noise_of(light: Floats, last: Floats) -> float:
    """Squared gradient that noise has: half that of the difference of two frames, in the median cell; at least that of
    rounding to whole grey levels.
    """
    change = (gradients(light - last) ** 2).sum(axis=0)
    return max(float(np.median(_per_cell(change))) / 2, 0.05)


def _is_moving(light: Floats, usual: Usual, noise: float) -> bool:
    """Whether most of the view differs from the frame before by more than noise."""
    change = np.abs(_per_cell(light - usual.last))
    return bool((change > 2.0).mean() >= _MANY or noise > 4 * usual.noise + 1.0)
