"""How rare a score is among those of normal footage, and the score that a rate of false alarms asks for.

Normal footage is cut into blocks of 4 s. The largest score of each block, by a memory that was learned without it, is
kept. Up to their median their own shares count; above it, an exponential tail with the mean excess over the median,
enlarged by a standard error so that little footage promises less.

Source: Coles, "An Introduction to Statistical Modeling of Extreme Values", 2001, section 4 (excesses over a threshold).
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
# With no footage to speak of, scores are in units of motion: 2 is the deviation of the largest in a block.
_FEW_BLOCKS, _UNKNOWN_TAIL = 3, 2.0


@dataclass(frozen=True)
class Rarity:
    """Turns scores into how rare they are: 2 is the rarest of a hundred blocks of 4 s."""

    middle: float  # the median of the blocks' largest scores
    tail: float  # mean excess over it

    @classmethod
    def of(cls, largest: NDArray[np.float64]) -> "Rarity":
        """From the largest score of each block of normal footage."""
        if len(largest) < _FEW_BLOCKS:
            return cls(max(float(largest.max(initial=0.0)), _UNKNOWN_TAIL), _UNKNOWN_TAIL)
        middle = float(np.median(largest))
        above = largest[largest > middle] - middle
        tail = float(above.mean()) * (1 + 1 / math.sqrt(len(above))) if len(above) else 0.0
        return cls(max(middle, 1e-3), max(tail, 0.1 * middle, 1e-3))

    def __call__(self, score: float) -> float:
        """From 0: minus the decimal logarithm of the share of normal blocks whose largest score reaches this one."""
        half = math.log10(2)
        if score < self.middle:
            return half * max(score, 0.0) / self.middle
        return half + (score - self.middle) / self.tail / math.log(10)

    def of_each(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same of an array of scores."""
        half = math.log10(2)
        below = half * np.maximum(scores, 0.0) / self.middle
        beyond = half + (scores - self.middle) / self.tail / math.log(10)
        found: NDArray[np.float64] = np.where(scores < self.middle, below, beyond)
        return found


class Trailing:
    """The trailing mean of a number a frame, starting again with each file."""

    def __init__(self) -> None:
        self._value, self._last = 0.0, ("", 0.0)

    def update(self, source: str, seconds: float, value: float) -> float:
        """After one more frame."""
        last_source, last_seconds = self._last
        if source != last_source or seconds <= last_seconds:
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
            f"false alarms {brief(given)}; valid is a number, a slash and a time, at most 7/min: 1/day, 2/h, 1/week"
        )
    return rate


def rarity_for(rate: float) -> float:
    """The rarity that normal footage reaches so often a second."""
    return -math.log10(rate * BLOCK_SECONDS)


def once_in(rarity: float) -> str:
    """How often that is normal, for people: "once in 3 h"."""
    seconds = BLOCK_SECONDS * 10 ** min(rarity, 12.0)
    for unit, size in (("years", 31_557_600), ("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            number = seconds / size
            return f"once in {number:.0f} {unit}" if number < 1000 else f"less than once in 1000 {unit}"
    return f"once in {seconds:.0f} s"
