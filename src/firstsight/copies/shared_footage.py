"""What two clips have in common, in seconds and shares; and which of them is cropped, covered or faded."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from firstsight.copies.alignments import Alignment
from firstsight.copies.passages import LENGTH, Ticks
from firstsight.copies.signature import IN_A_MIRROR, Track, coarse_luma
from firstsight.copies.verification import Finding, Framing, Verified, is_certain, verdict
from firstsight.library.records import SourceRecord

# Of two clips that certainly share footage, an alignment counts if look-alikes agree as well with at most this
# probability.
_MAX_PROBABILITY = 0.05
# A clip is cropped if it lacks more than this share of what another shows, and clearly more than that lacks of it.
_CROPPED = 0.07
_CLEARLY = 0.02
# Natural logarithms of ratios of standard deviations. Under a logo, less than three quarters is left of what
# changes; elsewhere copies agree within a tenth, unless they differ in more than that.
_COVERED = 0.3
_ELSEWHERE = 0.1
_MAX_COVERED = 0.15  # of the picture
_MIN_TICKS = 8
# Cells that change less than this share of the median are left out: their ratios are those of noise.
_MIN_CHANGE = 0.1
_QUIET = 0.1  # of the cells: elsewhere, what moves differs too, as frames of two clips are not of the same moment

# A clip fades if at times less than three quarters of its usual contrast is left beside that of another.
_FADED = 0.3
_SAME_PICTURE = 0.8  # correlation of two signatures without their mean brightness
_MIN_CONTRAST = 8.0  # of a signature that shows anything: half a grey level in each cell

Which = Literal[-1, 0, 1]  # the first of two, neither, the second


@dataclass(frozen=True)
class Stretch:
    """The same footage in two clips, in seconds of each."""

    first_start: float
    first_end: float
    second_start: float
    second_end: float


@dataclass(frozen=True)
class Shared:
    """What two sources have in common, or may have."""

    first: str
    second: str
    finding: Finding  # "part": less than half of either is in the other; "perhaps": similar, may be unrelated
    similarity: float  # correlation of coarse changes, of pictures of coarse content; 0 to 1
    detail_similarity: float  # correlation of details after registration; -1 to 1
    expected_by_chance: float  # number of such findings in this library, if none of its footage were there twice
    first_share: float = 1.0  # of what moves in it, 0 to 1
    second_share: float = 1.0
    first_moving: float = 0.0  # seconds in which something moves in it; 0 of pictures and of identical files
    second_moving: float = 0.0
    stretches: tuple[Stretch, ...] = ()  # by time in the first; none of pictures
    mirrored: bool = False
    cropped: str | None = None  # the one that shows less of the picture, at least at times
    covered: str | None = None  # the one that something was put on, such as a logo
    faded: str | None = None  # the one that is dimmed at times
    same_edges: bool = False  # both pictures end at the same positions: a black margin is part of them
    is_upper_bound: bool = (
        False  # fewer are expected by chance: this is the least that the library's look-alikes support
    )

    @property
    def is_copy(self) -> bool:
        """Whether one of them is certainly superfluous."""
        return self.finding in ("identical files", "copy")


def identical_files(records: Iterable[SourceRecord]) -> tuple[Shared, ...]:
    """Each file that has the same bytes as an earlier one, with the first of them: not all pairs, of many too many."""
    firsts: dict[str, SourceRecord] = {}
    pairs = [(firsts.setdefault(record.content, record), record) for record in records]
    return tuple(identical(first.name, record.name) for first, record in pairs if first is not record)


def identical(first: str, second: str) -> Shared:
    """Two sources whose files have the same bytes."""
    return Shared(first, second, "identical files", 1.0, 1.0, 0.0, same_edges=True)


def shared_footage(
    found: Iterable[Verified],
    tracks: Sequence[Track],
    ticks: Sequence[Ticks],
    moving: Sequence[NDArray[np.int64]],
    tick_seconds: float,
) -> tuple[Shared, ...]:
    """What each pair of aligned sources has in common; `moving` holds, of each source, the ticks at which it moves."""
    pairs: dict[tuple[int, int], list[Verified]] = {}
    for one in found:
        pairs.setdefault(one.alignment.sources, []).append(one)
    return tuple(_shared(of_pair, tracks, ticks, moving, tick_seconds) for of_pair in pairs.values())


def _shared(
    found: Sequence[Verified],
    tracks: Sequence[Track],
    ticks: Sequence[Ticks],
    moving: Sequence[NDArray[np.int64]],
    tick_seconds: float,
) -> Shared:
    first, second = found[0].alignment.sources
    num_passages = max(1.0, sum(map(len, moving)) / LENGTH)  # without overlap, in which something moves
    chances = [max(one.alignment.expected_by_chance, num_passages * one.probability) for one in found]
    # Of those as certain as can be known, the one with most evidence.
    strongest = found[min(range(len(found)), key=lambda row: (chances[row], -found[row].alignment.evidence))]
    if is_certain(min(chances)):
        found = [one for one in found if one.probability <= _MAX_PROBABILITY]
    alignments = [one.alignment for one in found]
    shares = (
        _share([one.ticks for one in alignments], moving[first]),
        _share([one.ticks + one.offset for one in alignments], moving[second]),
    )
    of_pair = (ticks[first], ticks[second])
    framings = [one.framing for one in found if one.agreement >= strongest.agreement / 2]
    cropped = 0 if strongest.framing.same_edges else find_cropped(framings)
    covered: Which = 0 if cropped else find_covered(strongest.alignment, of_pair)
    by_sign = {-1: tracks[first].record.name, 0: None, 1: tracks[second].record.name}
    return Shared(
        tracks[first].record.name,
        tracks[second].record.name,
        verdict(min(chances), max(shares)),
        similarity=strongest.alignment.similarity,
        detail_similarity=strongest.agreement,
        expected_by_chance=min(chances),
        first_share=shares[0],
        second_share=shares[1],
        first_moving=tick_seconds * len(moving[first]),
        second_moving=tick_seconds * len(moving[second]),
        stretches=tuple(sorted(_stretches(alignments, ticks, tick_seconds), key=lambda one: one.first_start)),
        mirrored=strongest.alignment.mirrored,
        cropped=by_sign[cropped],
        covered=by_sign[covered],
        # Contrast of what only one of them shows is no dimming.
        faded=by_sign[0 if cropped or covered else find_faded(strongest.alignment, of_pair)],
        same_edges=strongest.framing.same_edges,
        is_upper_bound=strongest.is_rarest and min(chances) > strongest.alignment.expected_by_chance,
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


def find_cropped(framings: Sequence[Framing]) -> Which:
    """The one that, where it shows least, lacks more of the other's picture than that lacks of its own there."""
    first = min(framing.first_shows for framing in framings)
    second = min(framing.second_shows for framing in framings)
    if min(first, second) > 1 - _CROPPED or abs(first - second) < _CLEARLY:
        return 0
    return -1 if first < second else 1


def find_covered(alignment: Alignment, ticks: tuple[Ticks, Ticks]) -> Which:
    """The one with an overlay such as a logo or a caption: beneath it nothing changes. 0 if neither or undecided."""
    if len(alignment.ticks) < _MIN_TICKS:
        return 0
    return which_is_covered(log_ratio(*map(coarse_luma, _side_by_side(alignment, ticks, alignment.ticks))))


def find_faded(alignment: Alignment, ticks: tuple[Ticks, Ticks]) -> Which:
    """The one whose contrast, relative to the other, at times falls clearly below its median, as where it fades.

    Frames of two clips are up to half a step apart in time. So contrast that the other clip has from one tick
    before to one tick after is no difference: a picture that itself swings, as by automatic exposure, is not dimmed.
    """
    num_first, num_second = (len(one.signatures) for one in ticks)
    both = np.arange(max(0, -alignment.offset), min(num_first, num_second - alignment.offset))
    first, second = (one[:, 1:] for one in _side_by_side(alignment, ticks, both))
    lengths = np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1)
    same = (first * second).sum(axis=1) >= _SAME_PICTURE * lengths[0] * lengths[1]
    same &= np.minimum(*lengths) >= _MIN_CONTRAST
    if same.sum() < _MIN_TICKS:
        return 0
    first_log, second_log = (np.log(np.maximum(one, 1e-6)) for one in lengths)
    second_log += np.median((first_log - second_log)[same])
    beyond = np.minimum(_beyond_swing(first_log, second_log), _beyond_swing(second_log, first_log))
    ratio = (np.sign(first_log - second_log) * beyond)[same]
    if max(-ratio.min(), ratio.max()) < _FADED or abs(ratio.min() + ratio.max()) < _ELSEWHERE:
        return 0
    return -1 if -ratio.min() > ratio.max() else 1


def _beyond_swing(values: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """(T,): how far each is from the range of the others from one before it to one after it; 0 within."""
    around = np.stack([np.r_[others[:1], others[:-1]], others, np.r_[others[1:], others[-1:]]])
    beyond: NDArray[np.float32] = np.maximum(np.maximum(values - around.max(axis=0), around.min(axis=0) - values), 0)
    return beyond


def _side_by_side(
    alignment: Alignment, ticks: tuple[Ticks, Ticks], at: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The signatures at those ticks of the first, and at the same of the second, mirrored back if need be."""
    first, second = (one.signatures[:, 0] for one in ticks)
    there = np.clip(at + alignment.offset, 0, len(second) - 1)
    return first[at], second[there] * (IN_A_MIRROR if alignment.mirrored else np.float32(1))


def log_ratio(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """(C,): the log ratio of change in the first to change in the second, of each cell that changes; each (T, 8, 8).

    Two encodings of one picture differ by noise, which is most of the change where little moves. Three times what they
    differ by in their quietest cells is added to the change of both, so that a cell of noise is alike in both.
    """
    changes = _deviation(first), _deviation(second)
    most = np.maximum(*changes)
    ratio = np.log(changes[0] / changes[1])
    contrast = np.exp(np.quantile(ratio, 0.5, weights=most**2, method="inverted_cdf"))
    noise = 3 * np.quantile(_deviation(first - contrast * second), _QUIET)
    steadied = np.log(np.hypot(changes[0], noise) / np.hypot(contrast * changes[1], noise))
    chosen: NDArray[np.float32] = steadied[most >= _MIN_CHANGE * np.median(most)]
    return chosen


def which_is_covered(ratios: NDArray[np.float32]) -> Which:
    """The one with an overlay, by the log ratio of change in the first to change in the second, of each cell."""
    relative = ratios - np.median(ratios)
    low, high = np.quantile(relative, [_MAX_COVERED, 1 - _MAX_COVERED])
    if max(-low, high) > _ELSEWHERE:
        return 0
    for which, less in ((-1, -relative), (1, relative)):
        if 0 < np.mean(less > _COVERED) <= _MAX_COVERED and less.min() > -_COVERED / 2:
            return -1 if which == -1 else 1
    return 0


def _deviation(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """(8, 8): the standard deviation over time of each cell."""
    deviation: NDArray[np.float32] = np.maximum(cells.std(axis=0), 1e-3)
    return deviation
