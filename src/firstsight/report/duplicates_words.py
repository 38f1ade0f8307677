"""What is said of copies, the same on a terminal and on a page."""

import math
from collections.abc import Sequence
from typing import Protocol

from firstsight.retrieval.copies.repeated_frames import RepeatedFrame

# Repeated frames belong to one run if they repeat frames of one source and lie no further apart.
_MAX_GAP_SECONDS = 2.5
_LEAST_CHANCE = 1e-12


class Judged(Protocol):
    """What has a certainty."""

    @property
    def similarity(self) -> float: ...  # noqa: D102
    @property
    def detail_similarity(self) -> float: ...  # noqa: D102
    @property
    def expected_by_chance(self) -> float: ...  # noqa: D102


def certainty(one: Judged) -> str:
    """Such as "similarity 1.00, in detail 0.98, by chance once in 10^9 such libraries"."""
    alike = f"similarity {one.similarity:.2f}, in detail {one.detail_similarity:.2f}"
    return f"{alike}, {chance(one.expected_by_chance)}"


def chance(expected: float) -> str:
    """How many such findings there are by chance."""
    if expected >= 1:
        return f"{expected:.0f} such by chance in a library like this"
    if expected > 1e-3:
        return f"by chance in 1 of {1 / expected:.0f} libraries like this"
    exponent = math.floor(-math.log10(max(expected, _LEAST_CHANCE)))
    return f"by chance in 1 of 10^{exponent} libraries like this" + (" or fewer" if expected < _LEAST_CHANCE else "")


def repeated_runs(frames: Sequence[RepeatedFrame]) -> list[list[RepeatedFrame]]:
    """Repeated frames that follow each other in one source and repeat another, the longest run first."""
    runs: list[list[RepeatedFrame]] = []
    for one in sorted(frames, key=lambda one: (one.source, one.of_source, one.frame_index)):
        last = runs[-1][-1] if runs else None
        is_next = (
            last is not None
            and (one.source, one.of_source) == (last.source, last.of_source)
            and one.seconds - last.seconds <= _MAX_GAP_SECONDS
        )
        if is_next:
            runs[-1].append(one)
        else:
            runs.append([one])
    return sorted(runs, key=lambda run: -len(run))
