"""Are two passages that change alike certainly copies, perhaps, or look-alikes? Their details decide.

The thumbnails of each alignment are registered (`registration.py`). How well look-alikes agree is measured in the
library itself: passages are registered with the passage most like them that is not the same, of another source or of
another time. So a library full of one architecture asks for more than one of films does.

Sources that may be copies make no look-alikes of each other. That some pair barely is, or barely is no candidate, must
not decide about the others. So a link of two sources counts for a share of the passages: for none where the candidate
is at the limit, for all from half of it on.
"""

import math
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from firstsight.copies.alignments import FALSE_ALIGNMENTS, Alignment
from firstsight.copies.passages import LENGTH, Measures, Ticks, find_lookalikes, num_moving
from firstsight.copies.registration import Frames, Registration, register, small_luma
from firstsight.copies.signature import Bars, Track
from firstsight.library.tables import Tables
from firstsight.progress import Progress, Report, silent
from firstsight.searching.calibration import minus_log_distance, rarest_rate

# A finding is certain if at most this number is expected by chance in the library.
_MAX_BY_CHANCE = 0.05
# Two clips are copies if at least this share of one of them is in the other.
_MIN_SHARE = 0.5
_NUM_LOOKALIKES = 200
_PASSAGES_A_LOOKALIKE = 20  # at most, without overlap
_MIN_LOOKALIKES = 40  # of fewer, passages upside down are added
_NUM_PASSAGES = 4  # of an alignment, evenly spaced
_ALIGNMENTS_AT_ONCE = 256  # whose frames are held in memory: at most 70 MB
# The look-alikes that agree best make up the tail. Its scale follows from its median, so that a few undetected copies
# among them do not matter.
_TAIL_SHARE = 0.2
# Passages that agree much less than the best one do not show well where one picture lies in the other.
_NEAR_BEST = 0.7
_SAME_EDGE = 0.08  # of half a picture

Finding = Literal["identical files", "copy", "part", "perhaps"]


def is_certain(expected_by_chance: float) -> bool:
    """Whether chance does not explain a finding, by the number of such findings that it brings in the library."""
    return expected_by_chance <= _MAX_BY_CHANCE


def verdict(expected_by_chance: float, share: float = 1.0) -> Finding:
    """Whether two sources are certainly copies, have only a part in common, or are perhaps two takes or look-alikes.

    Args:
        expected_by_chance: number of findings as strong in this library, if none of its footage were there twice.
        share: the larger of the shares of either that is in the other, 0 to 1.
    """
    if not is_certain(expected_by_chance):
        return "perhaps"
    return "copy" if share >= _MIN_SHARE else "part"


@dataclass(frozen=True, eq=False)
class Lookalikes:
    """How well passages that are alike and not the same agree in detail."""

    agreements: NDArray[np.float64]  # (N,), ascending

    @property
    def rarest(self) -> float:
        """The smallest probability that so many look-alikes support."""
        return rarest_rate(len(self.agreements))

    def probability(self, agreement: float) -> float:
        """That a look-alike agrees at least so well, 0 to 1: counted, and in their tail by its exponential fit.

        Not below `rarest`: how certain a finding is does not depend on how far a fit can be drawn out.
        """
        num = len(self.agreements)
        num_in_tail = max(1, round(_TAIL_SHARE * num))
        begin = float(self.agreements[-num_in_tail - 1]) if num > num_in_tail else 0.0
        if agreement <= begin:
            return 1 - int(np.searchsorted(self.agreements, agreement)) / num
        usual = float(np.median(self.agreements[-num_in_tail:]))
        start = minus_log_distance(begin)
        scale = max((minus_log_distance(usual) - start) / math.log(2), 1e-3)
        return max(num_in_tail / num * math.exp((start - minus_log_distance(agreement)) / scale), self.rarest)


def num_lookalikes(num_passages: int) -> int:
    """How many are registered; in a large library more, so that what they support counts among all its passages."""
    return max(_NUM_LOOKALIKES, num_passages // _PASSAGES_A_LOOKALIKE)


@dataclass(frozen=True)
class Framing:
    """How much of each other's picture two clips show, where they show least."""

    first_shows: float  # share of the second's picture that is in the first's, 0 to 1
    second_shows: float
    same_edges: bool  # the frames, with their black margins, end at the same positions: no margin was added


@dataclass(frozen=True, eq=False)
class Verified:
    """An alignment, and how well its details agree."""

    alignment: Alignment
    agreement: float  # median over passages
    probability: float  # that a look-alike agrees so well
    is_rarest: bool  # look-alikes support no smaller probability: it may be less
    framing: Framing


class Verifier:
    """Compares the details of alignments of a library.

    Args:
        tables: of the library.
        tracks: of its sources.
        ticks: of its sources.
        tick_seconds: from one to the next.
    """

    def __init__(self, tables: Tables, tracks: Sequence[Track], ticks: Sequence[Ticks], tick_seconds: float) -> None:
        self._frames = SmallFrames(tables, tracks)
        self._tracks = tracks
        self._ticks = ticks
        self._tick_seconds = tick_seconds

    def verify(
        self,
        found: Sequence[Alignment],
        measures: Measures,
        *,
        below: float,
        progress: Report = silent,
    ) -> Iterator[Verified]:
        """Each alignment in its turn; passages are matches from the similarity `below`."""
        if not found:
            return
        lookalikes = self._lookalikes(found, measures, below)
        for start in range(0, len(found), _ALIGNMENTS_AT_ONCE):
            some = found[start : start + _ALIGNMENTS_AT_ONCE]
            planned = [[self._frames_of(one, ticks) for ticks in _passages(one.ticks)] for one in some]
            self._frames.load(pair for pairs in planned for pair in pairs)
            for number, (one, pairs) in enumerate(zip(some, planned, strict=True), start=start + 1):
                yield self._verified(one, pairs, lookalikes)
                progress(Progress("verifying", number, len(found)))

    def _verified(self, one: Alignment, pairs: "Sequence[FramePair]", lookalikes: Lookalikes) -> Verified:
        registered = [register(*self._frames.of(pair, mirrored=one.mirrored)) for pair in pairs]
        agreement = float(np.median([each.agreement for each in registered]))
        first, second = (self._tracks[index].bars for index in one.sources)
        if one.mirrored:
            second = second.mirrored()
        probability = lookalikes.probability(agreement)
        is_rarest = probability <= lookalikes.rarest
        return Verified(one, agreement, probability, is_rarest, framing(registered, first, second))

    def _frames_of(self, one: Alignment, ticks: NDArray[np.int64]) -> "FramePair":
        """The frames nearest to those ticks of the first, and of the second those nearest in time to them."""
        first, second = one.sources
        later = self._ticks[second].start_seconds - self._ticks[first].start_seconds + one.offset * self._tick_seconds
        own = _nearest(self._tracks[first], self._ticks[first].start_seconds + ticks * self._tick_seconds)
        return FramePair(first, own, second, _nearest(self._tracks[second], self._tracks[first].seconds[own] + later))

    def _lookalikes(self, found: Sequence[Alignment], measures: Measures, below: float) -> Lookalikes:
        """Of the library; of its passages upside down, too, if there are few."""
        links = Links((*one.sources, share_linked(one.expected_by_chance, FALSE_ALIGNMENTS)) for one in found)
        num = num_lookalikes(num_moving(self._ticks, measures) // LENGTH)
        pairs = find_lookalikes(self._ticks, measures, links.of, below=below, num=num)
        steps = np.arange(LENGTH)
        alike = [self._frames_of(Alignment.at(*pair), pair[0][1] + steps) for pair in pairs]
        self._frames.load(alike)
        agreements = [register(*self._frames.of(pair)).agreement for pair in alike]
        if len(agreements) < _MIN_LOOKALIKES:
            planned = [self._frames_of(one, ticks) for one in found for ticks in _passages(one.ticks)][:_MIN_LOOKALIKES]
            self._frames.load(planned)
            for pair in planned:
                first, second = self._frames.of(pair)
                agreements += [register(first, second[:, ::-1]).agreement, register(second, first[:, ::-1]).agreement]
        return Lookalikes(np.sort(agreements))


@dataclass(frozen=True, eq=False)
class FramePair:
    """Frames of two sources to register: positions in their tracks."""

    first: int
    first_rows: NDArray[np.intp]
    second: int
    second_rows: NDArray[np.intp]


class SmallFrames:
    """Thumbnails of a library, for `register`."""

    def __init__(self, tables: Tables, tracks: Sequence[Track]) -> None:
        self._tables = tables
        self._tracks = tracks
        self._held: dict[tuple[int, int], NDArray[np.uint8]] = {}

    def load(self, pairs: Iterable[FramePair]) -> None:
        """Holds the frames of these pairs, and forgets all others."""
        wanted: dict[int, set[int]] = {}
        for pair in pairs:
            wanted.setdefault(pair.first, set()).update(pair.first_rows.tolist())
            wanted.setdefault(pair.second, set()).update(pair.second_rows.tolist())
        self._held = {
            key: self._held[key] for source in wanted for row in wanted[source] if (key := (source, row)) in self._held
        }
        for source, rows in wanted.items():
            track = self._tracks[source]
            missing = {int(track.frame_indices[row]): row for row in rows if (source, row) not in self._held}
            if missing:
                for index, jpeg in self._tables.jpegs(track.record.id, sorted(missing)).items():
                    self._held[source, missing[index]] = small_luma(jpeg, track.bars)

    def of(self, pair: FramePair, *, mirrored: bool = False) -> tuple[Frames, Frames]:
        """(T, SIDE, SIDE) each; the second optionally in a mirror."""
        first, second = (
            np.stack([self._held[source, row] for row in rows.tolist()]).astype(np.float32)
            for source, rows in ((pair.first, pair.first_rows), (pair.second, pair.second_rows))
        )
        return first, second[:, :, ::-1] if mirrored else second


def framing(registered: Sequence[Registration], first: Bars, second: Bars) -> Framing:
    """What of each other's pictures two series show; the bars are those that were cropped before."""
    best = max(one.agreement for one in registered)
    some = [one for one in registered if one.agreement >= _NEAR_BEST * best] or list(registered)
    across = np.concatenate([[one.shift_x - one.scale_x, one.shift_x + one.scale_x] for one in some], axis=1).T
    down = np.concatenate([[one.shift_y - one.scale_y, one.shift_y + one.scale_y] for one in some], axis=1).T
    overlap = [np.clip(np.minimum(ends[:, 1], 1) - np.maximum(ends[:, 0], -1), 0, None) for ends in (across, down)]
    of_first = np.prod(
        [part / np.ptp(ends, axis=1) for part, ends in zip(overlap, (across, down), strict=True)], axis=0
    )
    of_second = np.prod(overlap, axis=0) / 4
    edges = (
        _with_bars(np.median(across, axis=0), first.left, first.right),
        _with_bars(np.median(down, axis=0), first.top, first.bottom),
    )
    other = (
        _with_bars(np.array([-1.0, 1.0]), second.left, second.right),
        _with_bars(np.array([-1.0, 1.0]), second.top, second.bottom),
    )
    same = bool(np.abs(np.subtract(edges, other)).max() <= _SAME_EDGE)
    return Framing(float(of_second.min()), float(of_first.min()), same)


_Node = TypeVar("_Node", bound=Hashable)


def share_linked(expected: float, limit: float) -> float:
    """For which share of the passages two sources may be copies, if candidates are those expected less than a limit."""
    return min(1.0, 2 * (1 - expected / limit))


class Links:
    """Which sources may show the same, directly or through others, and how surely.

    Args:
        links: two sources each, and how sure it is by `share_linked`. A chain of them is as sure as its weakest.
    """

    def __init__(self, links: Iterable[tuple[int, int, float]]) -> None:
        # Of the links between two sources the chain with the surest weakest one is in the maximum spanning tree.
        self._near: dict[int, list[tuple[int, float]]] = {}
        joined: dict[int, set[int]] = {}
        for one, other, sure in sorted(links, key=lambda link: -link[2]):
            if other in joined.setdefault(one, {one}):
                continue
            both = joined[one] | joined.get(other, {other})
            joined |= dict.fromkeys(both, both)
            self._near.setdefault(one, []).append((other, sure))
            self._near.setdefault(other, []).append((one, sure))

    def of(self, source: int, above: float) -> Collection[int]:
        """All others that it is linked to more surely than that."""
        found, waiting = {source}, [source]
        while waiting:
            near = {other for other, sure in self._near.get(waiting.pop(), ()) if sure > above} - found
            found |= near
            waiting += near
        return found - {source}


def components(pairs: Iterable[tuple[_Node, _Node]]) -> Mapping[_Node, Collection[_Node]]:
    """For each source all others it is joined to, directly or through others."""
    joined: dict[_Node, set[_Node]] = {}
    for one, other in pairs:
        both = joined.get(one, {one}) | joined.get(other, {other})
        joined |= dict.fromkeys(both, both)
    return {source: both - {source} for source, both in joined.items()}


def _with_bars(ends: NDArray[np.float64], before: float, after: float) -> NDArray[np.float64]:
    """The ends of a frame with those shares of bars before and after its content, which lies between `ends`."""
    length = float(ends[1] - ends[0]) / (1 - before - after)
    return ends + np.array([-before, after]) * length


def _passages(ticks: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Some evenly spaced passages among these ticks."""
    runs = np.split(ticks, np.flatnonzero(np.diff(ticks) > 1) + 1)
    parts = [run[start : start + LENGTH] for run in runs for start in range(0, max(1, len(run) - LENGTH // 2), LENGTH)]
    chosen = np.unique(np.linspace(0, len(parts) - 1, _NUM_PASSAGES).round().astype(int))
    return [parts[position] for position in chosen]


def _nearest(track: Track, seconds: NDArray[np.floating]) -> NDArray[np.intp]:
    """Rows of the frames nearest to those times."""
    after = np.clip(np.searchsorted(track.seconds, seconds), 1, max(1, len(track.seconds) - 1))
    after = np.minimum(after, len(track.seconds) - 1)
    before = np.maximum(after - 1, 0)
    nearer_before = np.abs(track.seconds[before] - seconds) <= np.abs(track.seconds[after] - seconds)
    return np.where(nearer_before, before, after)
