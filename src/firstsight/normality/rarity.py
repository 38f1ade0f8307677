"""How rare a score is among those of normal footage, and the score that a rate of false alarms asks for.

Normal footage is cut into blocks of 4 s. The largest score of each block, by a memory that was learned without it, is
kept. As far as blocks are many, their own shares count; above that, an exponential tail with the mean excess over it,
enlarged by a standard error so that little footage promises less. The tail is of half of the blocks, of 30 if there are
more than 60, and of n^(2/3) of n if that is more: what fits the tail of minutes does not fit that of days, in which
most blocks are empty.

Sources: Coles, "An Introduction to Statistical Modeling of Extreme Values", 2001, section 4 (excesses over a
threshold); Loretan, Phillips, "Testing the covariance stationarity of heavy-tailed time series", 1994 (n^(2/3)).
"""

import math
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import SettingsError, brief
from firstsight.normality.motion import BLOCK_SECONDS

_UNITS = {"s": 1, "min": 60, "h": 3600, "hour": 3600, "d": 86_400, "day": 86_400, "week": 604_800}
FALSE_ALARMS = "1/day"
_SCORE_SECONDS = 0.25
# With no footage to speak of, the score that half of the blocks reach, and the tail, are so many least tails.
_FEW_BLOCKS, _UNKNOWN = 3, 8.0
_TAIL_BLOCKS = 30
_MAX_STEPS = 64  # between the median and the tail
_LEAST_SHARE = 1e-8  # below it, parts add up


@dataclass(frozen=True)
class Rarity:
    """Turns scores into how rare they are: 2 is the rarest of a hundred blocks of 4 s."""

    scores: tuple[float, ...]  # rising, of blocks that are more and more rare, the first one above 0
    rarities: tuple[float, ...]  # of these, rising: minus the decimal logarithm of the share that reaches the score
    tail: float  # mean excess over the last score

    @classmethod
    def of(cls, largest: NDArray[np.float64], *, least_tail: float) -> "Rarity":
        """From the largest score of each block of normal footage.

        Args:
            largest: (blocks,).
            least_tail: of a view in which hardly anything happens, whose own tail would promise too much; in the unit
                of the scores.
        """
        num = len(largest)
        if num < _FEW_BLOCKS:
            unknown = _UNKNOWN * least_tail
            return cls((max(float(largest.max(initial=0.0)), unknown),), (math.log10(2),), unknown)
        in_tail = _num_in_tail(num)
        shares = np.geomspace(0.5, in_tail / num, _MAX_STEPS if in_tail < num / 2 else 1)
        quantiles = np.maximum(np.quantile(largest, 1 - shares), 1e-3)
        scores, from_last = np.unique(quantiles[::-1], return_index=True)  # of equal scores the rarest
        rarities = -np.log10(shares[::-1][from_last])
        start = float(scores[-1])
        above = largest[largest > start] - start
        tail = float(above.mean()) * (1 + 1 / math.sqrt(len(above))) if len(above) else 0.0
        return cls(tuple(scores.tolist()), tuple(rarities.tolist()), max(tail, 0.1 * start, least_tail))

    def __call__(self, score: float) -> float:
        """From 0: minus the decimal logarithm of the share of normal blocks whose largest score reaches this one."""
        return float(self.of_each(np.array([score]))[0])

    def of_each(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same of an array of scores."""
        found: NDArray[np.float64] = np.interp(scores, (0.0, *self.scores), (0.0, *self.rarities))
        beyond = scores > self.scores[-1]
        found[beyond] = self.rarities[-1] + (scores[beyond] - self.scores[-1]) / self.tail / math.log(10)
        return found


class Trailing:
    """The trailing mean of a number a frame, starting again with each file."""

    def __init__(self) -> None:
        self._value, self._last = 0.0, ("", 0.0)

    def update(self, source: str, seconds: float, value: float) -> float:
        """After one more frame."""
        last_source, last_seconds = self._last
        if source != last_source or seconds < last_seconds:
            self._value = value
        else:
            keep = float(np.exp(-(seconds - last_seconds) / _SCORE_SECONDS))
            self._value = keep * self._value + (1 - keep) * value
        self._last = source, seconds
        return self._value


def rate_of(given: str) -> float:
    """False alarms a second: "1/day", "2/h", "1/week".

    Raises:
        SettingsError: something else, or more than one in four seconds.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*/\s*([a-z]+)\s*", given) if isinstance(given, str) else None
    rate = float(match[1]) / _UNITS[match[2]] if match and match[2] in _UNITS else 0.0
    if not 0 < rate * BLOCK_SECONDS < 0.5:
        raise SettingsError(
            f"false alarms {brief(given)}; valid is a number, a slash and a time, less than 7.5/min: 1/day, 2/h, 1/week"
        )
    return rate


def rarity_for(rate: float) -> float:
    """The rarity that normal footage reaches so often a second."""
    return -math.log10(rate * BLOCK_SECONDS)


def of_either(rarities: NDArray[np.float64], num_parts: float) -> NDArray[np.float64]:
    """How rare it is that one of several parts is as rare as that: -log10(1 - (1 - p)^n) of p = 10^-rarity.

    Args:
        rarities: of the rarer part.
        num_parts: n, of parts that had nothing to do with each other; 1 if they always come together.

    Source: Smith, "Max-stable processes and spatial extremes", 1990 (n is the extremal coefficient).
    """
    share = np.maximum(10.0**-rarities, _LEAST_SHARE)
    with np.errstate(divide="ignore"):  # all of normal footage reaches 0
        times = -np.expm1(num_parts * np.log1p(-share)) / share
    found: NDArray[np.float64] = rarities - np.log10(times)
    return found


def num_parts_of(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """The n of `of_either`, 1 to 2: blocks in the tail of either part, over those of one; 2 if that is not known.

    Args:
        first: (blocks,), the largest scores of one part.
        second: those of the other part in the same blocks.
    """
    if len(first) != len(second) or len(first) < _FEW_BLOCKS:
        return 2.0
    in_tail = round(_num_in_tail(len(first)))
    tails = [one > np.sort(one)[-in_tail - 1] for one in (first, second)]
    most = max(int(tail.sum()) for tail in tails)
    return float((tails[0] | tails[1]).sum() / most) if most else 2.0


def _num_in_tail(num: int) -> float:
    """Of so many blocks."""
    return max(min(num / 2, _TAIL_BLOCKS), float(num ** (2 / 3)))


def once_in(rarity: float) -> str:
    """How often that is normal, for people: "once in 3 h"."""
    seconds = BLOCK_SECONDS * 10 ** min(rarity, 12.0)
    for unit, size in (("years", 31_557_600), ("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            number = seconds / size
            return f"once in {number:.0f} {unit}" if number < 1000 else f"less than once in 1000 {unit}"
    return f"once in {seconds:.0f} s"
