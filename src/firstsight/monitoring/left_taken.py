"""What is left in a view or taken from it: a change at one place that stays.

Each pixel has a picture of before and one of now. Where now has stood still for some seconds and differs from before,
something was left or taken. An object has edges along its border, the ground behind it hardly any: if the border has
more edge now than before, it was left, otherwise taken. Shadows and light keep the texture of the ground and are none.

Sources: Porikli, "Detection of temporarily static regions by processing video at different frame rates", 2007; Spagnolo
et al., "An abandoned/removed objects detection algorithm and its evaluation on PETS datasets", 2006, for the edges.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from firstsight.monitoring.sketch import HEIGHT, WIDTH, Floats

STAYS_SECONDS = 10.0  # somebody who waits or sits moves within that
_STILL_LEVELS = 5.0  # grey levels from frame to frame; sketches average noise away
_LEAST_LEVELS = 12.0  # grey levels between before and now, and more where the view varies: see `_DEVIATIONS`
_DEVIATIONS = 4.0
_LEAST_PIXELS = 25  # of 19,200; a bottle across a room
_MOST_SHARE = 0.4  # of the view: more is a change of the view
_ADAPTING_SECONDS = 60.0
_TEXTURE = 0.8  # correlation of the region's texture before and now, from which only its light has changed
_EDGE = 1.25  # times as much edge along the border


@dataclass(frozen=True, eq=False)
class Before:
    """The view before any change that has not been reported, after a frame."""

    light: NDArray[np.float64]  # (HEIGHT, WIDTH)
    deviation: NDArray[np.float64]  # (HEIGHT, WIDTH), usual squared deviation
    now: Floats  # (HEIGHT, WIDTH), of the last frame
    still_since: NDArray[np.float64]  # (HEIGHT, WIDTH), seconds
    seconds: float


@dataclass(frozen=True)
class Stayed:
    """Something was left or taken."""

    kind: Literal["left", "taken"]
    seconds: float  # since when it stays
    box: tuple[float, float, float, float]  # left, top, width, height as shares of the view


def update(
    before: Before | None, light: Floats, seconds: float, *, is_calm: bool = True
) -> tuple[Before, tuple[Stayed, ...]]:
    """The state after one more frame, and what has been left or taken.

    Args:
        before: after the frame before; None for the first, and where what is usual starts again.
        light: of the frame's sketch.
        seconds: its time.
        is_calm: whether the view is as usual; while it is moved, covered or in changing light nothing is reported.
    """
    if before is None or seconds < before.seconds:
        still = np.full(light.shape, seconds)
        return Before(light.astype(np.float64), np.zeros(light.shape), light, still, seconds), ()
    is_still = np.abs(light - before.now) < _STILL_LEVELS
    since = np.where(is_still, before.still_since, seconds)
    least = np.maximum(_LEAST_LEVELS, _DEVIATIONS * np.sqrt(before.deviation))
    differs = np.abs(light - before.light) > least
    share = -math.expm1(-min(max(seconds - before.seconds, 0.0), 10.0) / _ADAPTING_SECONDS)
    follow = np.where(differs, 0.0, share)
    away = light - before.light
    after = replace(
        before,
        light=before.light + follow * away,
        deviation=before.deviation + follow * (away**2 - before.deviation),
        now=light,
        still_since=since,
        seconds=seconds,
    )
    if not is_calm:
        return replace(after, still_since=np.full(light.shape, seconds)), ()
    return _reported(after, differs, seconds)


def _reported(state: Before, differs: NDArray[np.bool_], seconds: float) -> tuple[Before, tuple[Stayed, ...]]:
    """Regions that differ and all of which stand still; reported ones belong to the view from now on."""
    labels, num = ndimage.label(ndimage.binary_closing(differs, iterations=2) | differs)
    found, light, deviation = [], state.light, state.deviation
    for number in range(1, num + 1):
        region = labels == number
        size = int(region.sum())
        stays = seconds - state.still_since[region] >= STAYS_SECONDS
        if size < _LEAST_PIXELS or stays.mean() < 0.9:
            continue
        kind = _kind(state.light, state.now, region) if size <= _MOST_SHARE * region.size else None
        if kind is not None:
            found.append(Stayed(kind, float(state.still_since[region].max()), _box(region)))
        wide = ndimage.binary_dilation(region, iterations=3)
        light, deviation = np.where(wide, state.now, light), np.where(wide, 0.0, deviation)
    return replace(state, light=light, deviation=deviation), tuple(found)


def _kind(before: NDArray[np.float64], now: Floats, region: NDArray[np.bool_]) -> Literal["left", "taken"] | None:
    """Which of the two it is; None for a shadow or light."""
    ring = ndimage.binary_dilation(region, iterations=2) & ~ndimage.binary_erosion(region, iterations=2)
    core = ndimage.binary_erosion(region, iterations=5)
    edges, inside = [], []
    for picture in (before, now.astype(np.float64)):
        strength = np.hypot(ndimage.sobel(picture, 0), ndimage.sobel(picture, 1)) / 8
        edges.append(float(strength[ring].mean()) + 0.5)
        inside.append((picture - ndimage.uniform_filter(picture, 9))[core])
    if len(inside[0]) >= _LEAST_PIXELS and min(one.std() for one in inside) > 0.7:
        alike = float(np.corrcoef(inside[0], inside[1])[0, 1])
        if alike > _TEXTURE:
            return None
    ratio = edges[1] / edges[0]
    if 1 / _EDGE < ratio < _EDGE and max(edges) < 3:  # soft on either side: light
        return None
    return "left" if ratio >= 1 else "taken"


def _box(region: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    left, top = columns[0] / WIDTH, rows[0] / HEIGHT
    return float(left), float(top), float((columns[-1] + 1) / WIDTH - left), float((rows[-1] + 1) / HEIGHT - top)
