"""Which moments of one video are which moments of another? A path through the matrix of their similarities.

Local alignment: the path with the highest sum of similarities above the usual. It goes forwards in both videos, may
begin and end anywhere, and may stand still in one of them while the other goes on, at a cost. So the same walk at
another speed is followed, and footage without a counterpart is left out.

Some path is found in any two videos. So what chance reaches is measured on this pair: the second video backwards, begun
at several of its frames, is as like the first, frame by frame, and as slow, and comes in no order of the first.

Sources: Smith, Waterman, "Identification of common molecular subsequences", 1981, for local alignment; of similarity
matrices, Serra, Gomez, Herrera, Serra, "Chroma binary similarity and local alignment applied to cover song
identification", 2008. That the best score by chance has a Gumbel distribution: Karlin, Altschul, "Methods for assessing
the statistical significance of molecular sequence features by using general scoring schemes", 1990.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from firstsight.comparison.similarities import Embedded, Target
from firstsight.encoder.encoder import Encoder
from firstsight.errors import LibraryError, SettingsError
from firstsight.footage.source import Spec
from firstsight.progress import Progress, Report, silent
from firstsight.searching.calibration import rarest_rate
from firstsight.text import printable

# Standing still in one video costs this share of the gain of a perfect match, for each frame.
_GAP_COST = 0.2
# On the scale of `gains_of`: pairs that gain less shorten a path.
_MIN_GAIN = 0.25
# A gigabyte of numbers: two hours against two hours at one frame a second.
_MAX_PAIRS = 50_000_000
# Two videos certainly have something in common if chance reaches the score of their path with at most this probability.
MAX_FALSE_MATCH = 0.01
# Frames of either on a path that is certain: three are in one order of six by chance, four in one of twenty-four.
MIN_FRAMES = 4
_NUM_BACKWARDS = 20
# What chance reaches is known to a frame more or less: by so much a pair of the same frames raises a score.
_MIN_DEVIATION = 1 - _MIN_GAIN


@dataclass(frozen=True, eq=False)
class WarpingPath:
    """Pairs of frames that show the same, in order of both."""

    first: NDArray[np.intp]  # (P,) rows of the matrix, never falling
    second: NDArray[np.intp]  # (P,) its columns, never falling
    similarities: NDArray[np.float32]  # (P,)
    score: float  # sum of gains along the path, less 0.25 a pair: some 0.75 for each frame that is the same

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True, eq=False)
class Alignment:
    """Two videos, and which moments of one are which moments of the other."""

    first: Embedded
    second: Embedded
    path: WarpingPath  # empty if no pair is more similar than usual
    gains: NDArray[np.float32]  # (N, M), how much more similar than usual each frame is to each of the other video
    false_match_probability: float = 1.0  # that videos with nothing in common have a path of such a score, 0 to 1

    @property
    def is_certain(self) -> bool:
        """Whether chance does not explain the path: at least four frames of either, in 1 % of pairs at most."""
        frames = (self.path.first, self.path.second)
        return self.false_match_probability <= MAX_FALSE_MATCH and all(
            len(np.unique(one)) >= MIN_FRAMES for one in frames
        )

    def to_arrow(self) -> pa.Table:
        """A row a pair of the path: time and frame in both videos, and their similarity."""
        first, second, path = self.first.frames, self.second.frames, self.path
        return pa.table(
            {
                "first_seconds": first.seconds[path.first],
                "second_seconds": second.seconds[path.second],
                "first_frame": first.frame_indices[path.first],
                "second_frame": second.frame_indices[path.second],
                "similarity": path.similarities,
            }
        )

    def to_json(self) -> dict[str, Any]:
        """Both videos, the score, how certain it is, and all pairs."""
        return {
            "first": self.first.target,
            "second": self.second.target,
            "score": self.path.score,
            "false_match_probability": self.false_match_probability,
            "is_certain": self.is_certain,
            "num_frames": [len(self.first.frames), len(self.second.frames)],
            "pairs": self.to_arrow().to_pylist(),
        }


def align(
    first: Spec,
    second: Spec,
    *,
    encoder: Encoder | None = None,
    frames_per_second: float | None = 2.0,
    progress: Report = silent,
) -> Alignment:
    """The part that two videos share, and which moment of it is which, also at another speed.

    Some path is found in any two videos: `is_certain` states whether chance explains it. Two walks of the same way
    correspond, as two recordings of the same thing do. Time and memory are proportional to the number of pairs of
    frames.

    Args:
        first: one video, or a library of one.
        second: the other.
        encoder: of videos; a library has its own.
        frames_per_second: of videos, at most.
        progress: called now and then.

    Raises:
        SettingsError: a video without an encoder, several videos, or more pairs of frames than memory should hold.
        LibraryError: an encoder that is not the library's, libraries of two encoders, or one without a frame.
        SourceError: no footage, or none of it can be read.

    Example:
        >>> align("monday.mp4", "tuesday.mp4", encoder=encoder).to_arrow()  # doctest: +SKIP
    """
    targets = [Target(spec, encoder, frames_per_second=frames_per_second) for spec in (first, second)]
    for target in targets:
        _check_single(target.name, target.num_files)
    known = [target.fingerprint for target in targets]
    if known[0] != known[1]:
        raise LibraryError(
            f"{printable(targets[0].name)} was made with encoder {known[0]}, {printable(targets[1].name)} with "
            f"{known[1]}: their embeddings cannot be compared; index both with one (--model)"
        )
    one, other = (target.embed(progress=progress) for target in targets)
    for embedded in (one, other):
        _check_single(embedded.name, len(embedded.frames.sources))
    check_pairs(len(one.frames), len(other.frames))
    path, gains = best_path((one.frames.vectors @ other.frames.vectors.T).clip(-1, 1), progress=progress)
    return Alignment(one, other, path, gains, false_match_probability(gains, path.score, progress=progress))


def _check_single(name: str, num_files: int | None) -> None:
    if num_files is not None and num_files > 1:
        raise SettingsError(f"{printable(name)} holds {num_files} videos; valid is one against one: name it")


def best_path(
    similarities: NDArray[np.float32], *, progress: Report = silent
) -> tuple[WarpingPath, NDArray[np.float32]]:
    """The path with the highest score, empty if no pair is more similar than usual; and the gains (N, M).

    Args:
        similarities: (N, M), cosine of each frame of one video to each of the other.
        progress: called after each row.

    Raises:
        SettingsError: no frame in one of them, or more pairs than memory should hold.
    """
    if similarities.ndim != 2 or not similarities.size:
        raise SettingsError(f"similarities {similarities.shape}; valid are N x M, at least one frame in each video")
    check_pairs(*similarities.shape)
    gains = gains_of(similarities)
    steps, end, score = _accumulated(gains, progress)
    return _followed(similarities, steps, end, score), gains


def false_match_probability(gains: NDArray[np.float32], score: float, *, progress: Report = silent) -> float:
    """That the best path of two videos with nothing in common scores so high, 0 to 1; 1 of no path.

    By the scores of the second video backwards, begun at up to 20 of its frames; at least the `rarest_rate` of these.

    Args:
        gains: (N, M), by `gains_of`.
        score: of the best path through them.
        progress: called after each of the scores, in rows as by `best_path`.
    """
    if not score > 0:
        return 1.0
    backwards = np.arange(gains.shape[1])[::-1]
    begins = np.unique(np.linspace(0, gains.shape[1], _NUM_BACKWARDS, endpoint=False).astype(int)).tolist()
    scores = []
    for begin in begins:
        scores.append(_best_score(gains, np.roll(backwards, begin)))
        progress(Progress("aligning", len(gains) * len(scores) // len(begins), len(gains)))
    scale = math.sqrt(6) / math.pi * max(float(np.std(scores)), _MIN_DEVIATION)  # of a Gumbel distribution
    middle = float(np.mean(scores)) - np.euler_gamma * scale
    exceeded = -math.expm1(-math.exp(min(50.0, (middle - score) / scale)))
    return max(exceeded, rarest_rate(len(scores)))


def check_pairs(num_first: int, num_second: int) -> None:
    """Raises a SettingsError if so many frames of two videos are more pairs than memory should hold."""
    num_pairs = num_first * num_second
    if num_pairs > _MAX_PAIRS:
        raise SettingsError(
            f"{num_first} frames against {num_second} are {num_pairs:.1e} pairs; valid is up to {_MAX_PAIRS:.0e}: "
            "use fewer frames a second: --fps, in Python frames_per_second="
        )


def gains_of(similarities: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much more similar than usual each pair is, up to 1 for a pair that is the same.

    The usual similarity of a pair is the larger of the medians of its row and its column. So a frame that is similar to
    everything, as most are before a camera that stands still, gains nothing by it. A median of one number is not used:
    of a video of one frame only the other's median counts, and of two such videos 0, the cosine of unrelated frames.
    """
    num_rows, num_columns = similarities.shape
    unknown = np.float32(0 if num_rows == num_columns == 1 else -1)
    rows = np.median(similarities, axis=1)[:, None] if num_columns > 1 else unknown
    columns = np.median(similarities, axis=0)[None] if num_rows > 1 else unknown
    usual = np.maximum(rows, columns)
    gains: NDArray[np.float32] = ((similarities - usual) / np.maximum(1 - usual, 1e-3)).astype(np.float32)
    return gains


_STOP, _BOTH, _FIRST, _SECOND = 0, 1, 2, 3  # where a pair's score came from
# Scores that differ by less are equal; rounding of running sums over millions of columns is less.
_SAME_SCORE = 1e-6


def _accumulated(gains: NDArray[np.float32], progress: Report) -> tuple[NDArray[np.uint8], tuple[int, int], float]:
    """The last step of the best path to each pair (N, M), the pair where the best of all ends, and its score.

    In float64, as rounding the sum of a long row in float32 exceeds the differences between paths.
    """
    num_rows, num_columns = gains.shape
    steps = np.zeros((num_rows, num_columns), np.uint8)
    before = np.zeros(num_columns + 1)  # the highest scores of paths that end in the row before, after a border of 0
    end, score = (0, 0), 0.0
    for row in range(num_rows):
        before[1:] = best = _next_row(before, gains[row], steps[row])
        if best.max() > score:
            end, score = (row, int(best.argmax())), float(best.max())
        progress(Progress("aligning", row + 1, num_rows))
    return steps, end, score


def _best_score(gains: NDArray[np.float32], columns: NDArray[np.intp]) -> float:
    """The score of the best path, with the second video's frames in that order."""
    before, steps, score = np.zeros(len(columns) + 1), np.zeros(len(columns), np.uint8), 0.0
    for row in gains:
        before[1:] = best = _next_row(before, row[columns], steps)
        score = max(score, float(best.max()))
    return score


def _next_row(before: NDArray[np.float64], gains: NDArray[np.float32], steps: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The highest scores of paths that end in the next row, (M,), by those of the row before; their steps in place."""
    gain = gains.astype(np.float64) - _MIN_GAIN
    cost = np.minimum(gain, 0) - _GAP_COST
    both, first = before[:-1] + gain, before[1:] + cost
    best: NDArray[np.float64] = np.maximum(np.maximum(both, first), 0)
    steps[:] = np.where(best <= 0, _STOP, np.where(both >= first, _BOTH, _FIRST))
    _stand_still(best, cost, steps)
    return best


def _stand_still(best: NDArray[np.float64], costs: NDArray[np.float64], steps: NDArray[np.uint8]) -> None:
    """Lets the second video go on while the first stands still: along a row, in place.

    The score that arrives from the left at a pair is the largest of the scores further left plus the (negative) costs
    in between. With C the running sum of the costs that is C + the running maximum of best - C, without a loop.
    """
    total = np.cumsum(costs)
    reached = np.maximum.accumulate(best - total) + total
    still = (reached > best + _SAME_SCORE) & (reached > 0)
    best[still], steps[still] = reached[still], _SECOND


def _followed(
    similarities: NDArray[np.float32], steps: NDArray[np.uint8], end: tuple[int, int], score: float
) -> WarpingPath:
    (row, column), pairs = end, []
    while row >= 0 and column >= 0 and steps[row, column] != _STOP:
        step = steps[row, column]
        pairs.append((row, column))
        row, column = row - int(step in (_BOTH, _FIRST)), column - int(step in (_BOTH, _SECOND))
    first, second = np.array(pairs[::-1], np.intp).reshape(-1, 2).T
    return WarpingPath(first, second, similarities[first, second], score)
