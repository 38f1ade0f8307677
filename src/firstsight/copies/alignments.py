"""From similar passages to alignments, parts of two sources that are the same: many matches at one offset in time.

*Sources:* voting for the distance in time, Douze, Jegou, Schmid, "An image-based approach to video copy detection with
spatio-temporal post-filtering", 2010. Evidence: the expected number of false alignments, as in "a contrario" methods,
Desolneux, Moisan, Morel 2000.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from firstsight.copies.passages import LENGTH, Matches
from firstsight.searching.calibration import Background

# So many alignments are expected by chance in a library of unrelated footage.
FALSE_ALIGNMENTS = 0.05
# A tick belongs to an alignment if of the passages that hold it at least this share match.
_MIN_SHARE = 0.5
_MIN_TICKS = 6  # that are the same: three seconds
_MIN_PROBABILITY = 1e-12  # smaller ones are not known of any passage


@dataclass(frozen=True, eq=False)
class Alignment:
    """Where two sources show the same, at the same speed."""

    sources: tuple[int, int]
    offset: int  # ticks by which the second is later
    ticks: NDArray[np.int64]  # of the first that are the same, ascending
    mirrored: bool
    shows_more: int  # -1 the first does, 1 the second, the other is cropped; 0 neither
    similarity: float  # median correlation of what changes
    evidence: float  # natural logarithm of 1 / the number of such alignments expected by chance in the library

    @property
    def expected_by_chance(self) -> float:
        """The number of such alignments in the library, by the fit of how alike its passages are."""
        return math.exp(-self.evidence)

    @classmethod
    def at(cls, first: tuple[int, int], second: tuple[int, int]) -> Self:
        """Of two passages, each given by its source and the tick at which it begins."""
        ticks = first[1] + np.arange(LENGTH)
        return cls(
            (first[0], second[0]), second[1] - first[1], ticks, mirrored=False, shows_more=0, similarity=0, evidence=0
        )


def find_alignments(
    matches: Matches,
    background: Background,
    repetition: Sequence[Background | None],
    *,
    num_passages: int,
    num_ticks: NDArray[np.int64],
) -> list[Alignment]:
    """All alignments that chance does not explain, by their sources.

    The number expected by chance is the product of the false-match probabilities of passages that do not overlap, as
    if they were independent, times the number of passages, each of which could have begun one.

    Args:
        matches: of passages.
        background: of the library's passages.
        repetition: of each source, how alike its own passages are; a match has to be unusual by that, too.
        num_passages: in which something moves, in the library.
        num_ticks: (S,) of each source.
    """
    evidence = np.array(
        [
            -math.log(max(_MIN_PROBABILITY, *(one.fitted_probability(similarity) for one in judges if one)))
            for similarity, judges in (
                (float(similarity), (background, repetition[first], repetition[second]))
                for similarity, (first, second) in zip(matches.similarity, matches.sources.tolist(), strict=True)
            )
        ]
    )
    least = math.log(num_passages / FALSE_ALIGNMENTS) if num_passages else math.inf
    found = []
    for of_pair in _by_pair(matches):
        rows = of_pair
        while evidence[rows].any():  # where a source is as like itself, nothing speaks for the other
            chosen = _best_offset(matches, evidence, rows)
            alignment = _alignment(matches, evidence, chosen, num_ticks, num_passages)
            if alignment.evidence < least - math.log(num_passages):
                break
            if len(alignment.ticks) >= _MIN_TICKS:
                found.append(alignment)
            # Without its own matches and their echoes: what moves slowly is like itself a little later, too.
            distances = np.abs(_offsets(matches, rows) - alignment.offset)
            within = np.isin(matches.ticks[rows, 0], alignment.ticks)
            rows = rows[~((distances <= 1) | (distances < LENGTH) & within)]
    return found


def _by_pair(matches: Matches) -> Iterator[NDArray[np.intp]]:
    """The matches of two sources, mirrored ones apart."""
    if not len(matches.similarity):
        return
    keys = np.column_stack([matches.sources, matches.mirrored])
    order = np.lexsort(keys.T[::-1])
    changes = np.flatnonzero((np.diff(keys[order], axis=0) != 0).any(axis=1)) + 1
    yield from np.split(order, changes)


def _offsets(matches: Matches, rows: NDArray[np.intp]) -> NDArray[np.int64]:
    offsets: NDArray[np.int64] = matches.ticks[rows, 1] - matches.ticks[rows, 0]
    return offsets


def _best_offset(matches: Matches, evidence: NDArray[np.float64], rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """The matches at the offset with the most evidence, a tick more or less."""
    offsets = _offsets(matches, rows)
    votes = np.bincount(offsets - offsets.min(), weights=evidence[rows])
    best = int(np.convolve(votes, [0.5, 1, 0.5])[1:-1].argmax()) + int(offsets.min())
    near: NDArray[np.intp] = rows[np.abs(offsets - best) <= 1]
    return near


def _alignment(
    matches: Matches,
    evidence: NDArray[np.float64],
    rows: NDArray[np.intp],
    num_ticks: NDArray[np.int64],
    num_passages: int,
) -> Alignment:
    first, second = (int(one) for one in matches.sources[rows[0]])
    weights = evidence[rows]
    offset = round(float(np.average(_offsets(matches, rows), weights=weights)))
    begins = np.unique(matches.ticks[rows, 0])
    strongest = np.array([weights[matches.ticks[rows, 0] == begin].max() for begin in begins])
    apart = max(float(strongest[begins % LENGTH == phase].sum()) for phase in range(LENGTH))
    kinds, counts = np.unique(matches.shows_more[rows], return_counts=True)
    return Alignment(
        sources=(first, second),
        offset=offset,
        ticks=_held(begins, offset, int(num_ticks[first]), int(num_ticks[second])),
        mirrored=bool(matches.mirrored[rows[0]]),
        shows_more=int(kinds[counts.argmax()]),
        similarity=float(np.median(matches.similarity[rows])),
        evidence=apart - math.log(num_passages),
    )


def _held(begins: NDArray[np.int64], offset: int, num_first: int, num_second: int) -> NDArray[np.int64]:
    """The ticks of the first around which most of the passages match."""
    ticks = np.arange(num_first)
    possible = np.arange(num_first - LENGTH + 1)
    possible = possible[(possible + offset >= 0) & (possible + offset <= num_second - LENGTH)]
    could = _num_around(possible, num_first)
    do = _num_around(np.intersect1d(begins, possible), num_first)
    held: NDArray[np.int64] = ticks[(do > 0) & (do >= _MIN_SHARE * could)]
    return held


def _num_around(begins: NDArray[np.int64], num_ticks: int) -> NDArray[np.int64]:
    """How many of the passages that begin there hold each tick."""
    steps = np.zeros(num_ticks + 1, np.int64)
    np.add.at(steps, begins, 1)
    np.add.at(steps, begins + LENGTH, -1)
    around: NDArray[np.int64] = np.cumsum(steps)[:-1]
    return around
