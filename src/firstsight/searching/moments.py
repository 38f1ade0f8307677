"""From the similarity of each frame to a query to *moments*: runs of matching frames, each a result of its own."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import SettingsError
from firstsight.footage.finding import is_picture
from firstsight.library.embeddings import Embeddings

# What passes in front of the camera hides the match about as long as this.
GAP_SECONDS = 2.0
_MIN_MOMENTS = 100
_LEAST_SECONDS = 1e-3


@dataclass(frozen=True)
class Moment:
    """A run of matching frames in one source."""

    source: str  # name of the file
    start_seconds: float  # of the first matching frame
    end_seconds: float  # when the last matching frame gives way to the next one; the start for a still picture
    best_seconds: float  # of the frame most like the query
    score: float  # of that frame
    first_frame_index: int  # positions of the first, the best and the last matching frame in the source
    best_frame_index: int
    last_frame_index: int
    num_frames: int  # that match

    def __post_init__(self) -> None:
        if not self.start_seconds <= self.best_seconds <= self.end_seconds:
            raise SettingsError(f"{self}: valid is start <= best <= end")

    @property
    def is_picture(self) -> bool:
        """Whether it is a still picture, which has no times; not a video of one frame."""
        return is_picture(Path(self.source))


def find_moments(
    scores: NDArray[np.floating], frames: Embeddings, *, threshold: float, gap_seconds: float = GAP_SECONDS
) -> tuple[Moment, ...]:
    """The runs of frames that score at least the threshold, the best first; of equals the earlier in the library first.

    Runs of one source are joined across a gap of frames that score less; so no two moments are neighbours, and no frame
    is in two of them. Time and memory are linear in the number of frames.

    Args:
        scores: (N,), higher is closer.
        frames: N, source by source and in order of time.
        threshold: lowest score of a match.
        gap_seconds: from one matching frame to the next of the same moment, at most. Frames next to each other in the
            library are never apart, however low its rate.

    Raises:
        SettingsError: not a score a frame, or a gap below 0.
    """
    if not gap_seconds >= 0:  # infinity joins all
        raise SettingsError(f"a gap of {gap_seconds} s within a moment; valid is a number of seconds from 0")
    if scores.shape != (len(frames),):
        raise SettingsError(f"scores {scores.shape} of {len(frames)} frames; valid is a score a frame")
    rows = np.flatnonzero(scores >= threshold)
    if not len(rows):
        return ()
    in_another = np.diff(frames.source_indices[rows]) != 0
    too_late = (np.diff(frames.seconds[rows]) > gap_seconds) & (np.diff(rows) > 1)
    runs = np.split(rows, np.flatnonzero(in_another | too_late) + 1)
    found = [_moment(run, scores, frames) for run in runs]
    return tuple(sorted(found, key=lambda moment: -moment.score))


def nearest_moments(
    scores: NDArray[np.floating],
    frames: Embeddings,
    *,
    k: int,
    below: float,
    gap_seconds: float = GAP_SECONDS,
) -> tuple[Moment, ...]:
    """The k best frames below a score, the best first: each a moment of its own, and no two neighbours; nor is any a
    neighbour of a frame that does not score less.

    Args:
        scores: (N,), higher is closer; minus infinity of a frame that is not chosen.
        frames: as for `find_moments`.
        k: how many at most.
        below: only frames that score less.
        gap_seconds: frames of one source that are no further apart, or lie next to each other, are neighbours.
    """
    if k < 1:
        return ()
    rows = np.flatnonzero((scores < below) & (scores > -np.inf))
    order = rows[np.argsort(-scores[rows], kind="stable")]
    chosen: list[int] = []
    is_left = ~near_frames(frames, np.flatnonzero(scores >= below), gap_seconds)
    for row in order.tolist():
        if not is_left[row]:
            continue
        chosen.append(row)
        if len(chosen) == k:
            break
        number = frames.source_indices[row]
        of_source = slice(*np.searchsorted(frames.source_indices, [number, number + 1]))
        near = np.abs(frames.seconds[of_source] - frames.seconds[row]) <= gap_seconds
        is_left[of_source][near] = False
        is_left[max(of_source.start, row - 1) : min(of_source.stop, row + 2)] = False
    return tuple(_moment(np.array([row]), scores, frames) for row in chosen)


def near_frames(frames: Embeddings, rows: NDArray[np.intp], gap_seconds: float) -> NDArray[np.bool_]:
    """(N,): which frames are no further than the gap from one of these, or the next to it, in the same source."""
    counts = np.zeros(len(frames) + 1, np.int64)
    for number in np.unique(frames.source_indices[rows]):
        first, last = np.searchsorted(frames.source_indices, [number, number + 1])
        own = rows[(rows >= first) & (rows < last)]
        seconds = frames.seconds[first:last]
        begin = np.searchsorted(seconds, frames.seconds[own] - gap_seconds, "left") + first
        end = np.searchsorted(seconds, frames.seconds[own] + gap_seconds, "right") + first
        np.add.at(counts, np.minimum(begin, np.maximum(own - 1, first)), 1)
        np.add.at(counts, np.maximum(end, np.minimum(own + 2, last)), -1)
    near: NDArray[np.bool_] = np.cumsum(counts)[:-1] > 0
    return near


def _end_seconds(frames: Embeddings, row: int) -> float:
    """When a frame ends: at the next of its source; the last one lasts as long as the one before it."""
    seconds, sources = frames.seconds, frames.source_indices
    for start in (row, row - 1):
        if start >= 0 and start + 1 < len(frames) and sources[start] == sources[start + 1] == sources[row]:
            return float(seconds[row] + (seconds[start + 1] - seconds[start]))
    return float(seconds[row])


def _moment(run: NDArray[np.intp], scores: NDArray[np.floating], frames: Embeddings) -> Moment:
    best = int(run[np.argmax(scores[run])])
    return Moment(
        source=frames.source_of(best),
        start_seconds=float(frames.seconds[run[0]]),
        end_seconds=_end_seconds(frames, int(run[-1])),
        best_seconds=float(frames.seconds[best]),
        score=float(scores[best]),
        first_frame_index=int(frames.frame_indices[run[0]]),
        best_frame_index=int(frames.frame_indices[best]),
        last_frame_index=int(frames.frame_indices[run[-1]]),
        num_frames=len(run),
    )


def moments_of(frames: Embeddings) -> NDArray[np.int64]:
    """(N,): the number of each frame's moment, ascending: frames of one source within the same two seconds.

    In little footage moments are shorter, a hundredth of all of it.
    """
    _, first, counts = np.unique(frames.source_indices, return_index=True, return_counts=True)
    spans = frames.seconds[first + counts - 1] - frames.seconds[first]
    length = min(GAP_SECONDS, max(float(spans.sum()) / _MIN_MOMENTS, _LEAST_SECONDS))
    steps = np.floor(frames.seconds / length)
    is_new = (np.diff(frames.source_indices, prepend=-1) != 0) | (np.diff(steps, prepend=np.nan) != 0)
    moments: NDArray[np.int64] = np.cumsum(is_new)
    return moments


def best_of_moments(scores: NDArray[np.float32], moments: NDArray[np.int64], num: int) -> NDArray[np.intp]:
    """The best frame in each of the `num` best moments, for each of M: columns (M, num); -1 where there are fewer.

    Args:
        scores: (M, B); minus infinity of a frame that is not chosen.
        moments: (B,), the number of each frame's moment; those of one moment together.
        num: of moments.
    """
    if not scores.size:
        return np.full((len(scores), num), -1, np.intp)
    starts = np.flatnonzero(np.diff(moments, prepend=-1))
    heights = np.maximum.reduceat(scores, starts, axis=1)
    best = np.argsort(-heights, axis=1, kind="stable")[:, :num]
    found = np.full((len(scores), num), -1, np.intp)
    ends = np.append(starts[1:], len(moments))
    for row, numbers in enumerate(best):
        for place, number in enumerate(numbers[heights[row, numbers] > -np.inf]):
            found[row, place] = starts[number] + scores[row, starts[number] : ends[number]].argmax()
    return found


def taken_in_turn(first: NDArray[np.intp], second: NDArray[np.intp], num: int) -> list[NDArray[np.intp]]:
    """For each of M the first `num` frames of two lists (M, n), best first, taken in turn without repeats or -1."""
    both = np.stack([first, second], axis=2).reshape(len(first), -1)
    return [np.array(list(dict.fromkeys(row[row >= 0].tolist()))[:num], np.intp) for row in both]
