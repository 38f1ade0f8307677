"""Time on a machine that is busy with other things: variants take turns in one run, and are compared turn by turn."""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

LEVEL = 0.95  # of the intervals


@dataclass(frozen=True)
class Cost:
    """What one call took."""

    wall: float  # seconds by the clock
    cpu: float  # seconds of all threads of this process


@dataclass(frozen=True)
class Ratio:
    """A geometric mean of ratios, and where it lies with 95 %, by Student's t of their logarithms."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3g} ({self.low:.3g} to {self.high:.3g})"


def cost(call: Callable[[], object]) -> Cost:
    """Of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


def in_turns(variants: Mapping[str, Callable[[], object]], *, turns: int) -> dict[str, list[Cost]]:
    """The costs of each variant, one a turn; a first turn only warms up. Every other turn has the reverse order."""
    costs: dict[str, list[Cost]] = {name: [] for name in variants}
    for turn in range(turns + 1):
        for name in list(variants)[:: 1 if turn % 2 else -1]:
            taken = cost(variants[name])
            print(
                f"turn {turn} of {turns}, {name}: {taken.wall:.2f} s, {taken.cpu:.2f} s of processors", file=sys.stderr
            )
            if turn:
                costs[name].append(taken)
    return costs


def ratio(first: list[float], second: list[float]) -> Ratio:
    """Of the first to the second, which were measured in the same turns, at least two."""
    logs = np.log(np.array(first) / np.array(second))
    half = student.ppf((1 + LEVEL) / 2, len(logs) - 1) * logs.std(ddof=1) / len(logs) ** 0.5
    return Ratio(*(float(np.exp(logs.mean() + shift)) for shift in (0, -half, half)))
