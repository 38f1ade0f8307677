"""What two clips have in common, in seconds and shares."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firstsight.retrieval.copies.alignments import Alignment
from firstsight.retrieval.copies.covered import find_covered
from firstsight.retrieval.copies.passages import Ticks

# Two clips are copies if of one of them at least this share is in the other.
LEAST_SHARE = 0.5


@dataclass(frozen=True)
class Stretch:
    """The same footage in two clips, in seconds of each."""

    first_start: float
    first_end: float
    second_start: float
    second_end: float


@dataclass(frozen=True)
class Shared:
    """What two clips have in common."""

    first: str
    second: str
    first_share: float  # of what moves in it, 0 to 1
    second_share: float
    stretches: tuple[Stretch, ...]  # by time in the first
    mirrored: bool
    cropped: str | None  # the one that shows less of the picture
    covered: str | None  # the one that something was put on, such as a logo
    similarity: float  # correlation of what changes, 0 to 1
    expected_by_chance: float  # number of such findings in a library of unrelated footage

    @property
    def is_copy(self) -> bool:
        """Whether most of one is in the other."""
        return max(self.first_share, self.second_share) >= LEAST_SHARE


def shared_footage(
    found: Sequence[Alignment],
    names: Sequence[str],
    ticks: Sequence[Ticks],
    moving: Sequence[NDArray[np.int64]],
    tick_seconds: float,
) -> tuple[Shared, ...]:
    """For each pair of sources what all its alignments come to.

    Args:
        found: in the whole library.
        names: of its sources.
        ticks: of its sources.
        moving: of each source the ticks about which something moves.
        tick_seconds: from one tick to the next.
    """
    pairs: dict[tuple[int, int], list[Alignment]] = {}
    for one in found:
        pairs.setdefault(one.sources, []).append(one)
    return tuple(_shared(of_pair, names, ticks, moving, tick_seconds) for of_pair in pairs.values())


def _shared(
    found: Sequence[Alignment],
    names: Sequence[str],
    ticks: Sequence[Ticks],
    moving: Sequence[NDArray[np.int64]],
    tick_seconds: float,
) -> Shared:
    first, second = found[0].sources
    strongest = max(found, key=lambda one: one.evidence)
    by_sign = {-1: names[first], 0: None, 1: names[second]}
    return Shared(
        names[first],
        names[second],
        first_share=_share([one.ticks for one in found], moving[first]),
        second_share=_share([one.ticks + one.offset for one in found], moving[second]),
        stretches=tuple(sorted(_stretches(found, ticks, tick_seconds), key=lambda one: one.first_start)),
        mirrored=strongest.mirrored,
        cropped=by_sign[-strongest.shows_more],
        covered=by_sign[find_covered(strongest, (ticks[first], ticks[second]))],
        similarity=strongest.similarity,
        expected_by_chance=float(np.exp(-strongest.evidence)),
    )


def _share(held: Sequence[NDArray[np.int64]], moving: NDArray[np.int64]) -> float:
    return len(np.intersect1d(np.concatenate(held), moving)) / max(1, len(moving))


def _stretches(found: Sequence[Alignment], ticks: Sequence[Ticks], tick_seconds: float) -> list[Stretch]:
    stretches = []
    for one in found:
        first, second = (ticks[index].start_seconds for index in one.sources)
        for run in np.split(one.ticks, np.flatnonzero(np.diff(one.ticks) > 1) + 1):
            start, end = tick_seconds * float(run[0]), tick_seconds * float(run[-1] + 1)
            later = tick_seconds * one.offset
            stretches.append(Stretch(first + start, first + end, second + start + later, second + end + later))
    return stretches
