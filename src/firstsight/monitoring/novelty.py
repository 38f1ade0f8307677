"""Novelty: how much a frame deviates from what its camera usually shows, cell by cell, as new things are often small.

The maps of the encoder's last level are averaged over the cells of a grid. Each cell keeps a running mean and variance;
a frame's score is the deviation of its most unusual cell, in multiples of the usual deviation there. Both adapt slowly:
they follow day and night, and an object that appears is new for minutes before it belongs to the view.

Something new must not quickly raise the variance, or the second person would go undetected. So a deviation counts for
at most the square root of two times the usual one: the mean moves by at most that share, and the variance can only
grow e-fold in the time constant of adapting. So an object that stays is usual after a quarter of an hour or so, the
later the more it stands out.

Sources: Stauffer, Grimson, "Adaptive background mixture models", 1999, for means and variances that adapt; Huber,
"Robust estimation of a location parameter", 1964, for deviations cut off.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from firstsight import device
from firstsight.encoder.encoder import Encoder
from firstsight.errors import SettingsError, check_number
from firstsight.footage.queues import read_batches
from firstsight.footage.source import Spec, open_source
from firstsight.monitoring.episodes import Episode, Trigger, find_episodes
from firstsight.normality.memory import Judge, Memory, batches
from firstsight.normality.rarity import FALSE_ALARMS, rarity_for, rate_of
from firstsight.process import Precision, passive_waiting
from firstsight.progress import Progress, Report, silent
from firstsight.text import printable

# A person across a room fills a few of these cells; smaller ones show the noise of single patches.
NUM_ROWS, NUM_COLUMNS = 6, 8
# Shadows move through a view in tens of minutes, clouds in minutes.
ADAPTING_SECONDS = 300.0
# Times the usual deviation of a cell. In a quiet view the most unusual cell reaches 5; a person 15 and more.
NEW_FROM = 8.0
# Of that: an episode goes on while the deviation is at least this share.
_UNTIL_SHARE = 0.75
# Long enough to measure noise and flicker, short enough that the view is empty.
WARM_UP_SECONDS = 5.0
_WARM_UP_FRAMES = 8
# Between two frames of which the appearance is judged beside a memory, which needs more frames than that does.
DUE_SECONDS = 0.45
# Squared deviations count up to so many times the usual square.
_CUT = 2.0
# Smallest usual deviation, as a share of how much the cells of a view differ among themselves. Between frames of a
# still view that was filmed indoors each cell varies by 3 to 12 percent of that.
_FLOOR = 0.03
# The same for a view without any structure, as a share of the maps' values: by rounding.
_ROUNDING = 0.003
# After a stream was lost for a night, its first frame must not replace all that was learned.
_MAX_STEP_SECONDS = 10.0
_BATCH_SIZE = 64


@dataclass(frozen=True, eq=False)
class Usual:
    """What a camera usually shows, after a frame."""

    mean: NDArray[np.float64]  # (maps, cells)
    variance: NDArray[np.float64]  # (cells,), of a map in the mean
    num_frames: int
    watched_seconds: float  # without the times when the stream was lost
    seconds: float  # time of the last frame

    @property
    def is_warm(self) -> bool:
        """Whether enough frames came to call anything unusual."""
        return self.num_frames >= _WARM_UP_FRAMES and self.watched_seconds >= WARM_UP_SECONDS


@dataclass(frozen=True)
class Scored:
    """How new a frame is."""

    source: str  # name of the file
    seconds: float
    frame_index: int
    # from 0, usually 1 to 5; None during the warm-up. By a memory: rarity, 2 is the rarest of a hundred times 4 s
    score: float | None
    box: tuple[int, int, int, int] | None = None  # by a memory: where, x, y, width, height in pixels
    part: str | None = None  # by a memory: what is unusual, "motion" or "appearance"
    deviation: float | None = None  # beside a memory: that of appearance, in multiples of the usual one


def in_cells(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Maps (N, maps, rows, columns) averaged over a grid: (N, maps, cells). Maps with fewer cells keep their own."""
    shape = min(NUM_ROWS, features.shape[2]), min(NUM_COLUMNS, features.shape[3])
    pooled: NDArray[np.float32] = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(features), shape).numpy()
    return pooled.reshape(*features.shape[:2], -1)


def update(usual: Usual | None, cells: NDArray[np.float32], seconds: float) -> tuple[Usual, float | None]:
    """What is usual after one more frame, and how unusual the frame was before it.

    Args:
        usual: after the frame before; None for the first.
        cells: (maps, cells), of one frame.
        seconds: its time; where it is before the last frame's, as in the next file, no time passes.

    Returns:
        The new state, and the score; None during the warm-up.

    Raises:
        SettingsError: another shape than before, or values that are not finite.
    """
    if cells.ndim != 2 or not np.isfinite(cells).all() or (usual and usual.mean.shape != cells.shape):
        expected = usual.mean.shape if usual else "(maps, cells)"
        raise SettingsError(f"cells {cells.shape}; valid are finite numbers of the shape {expected}")
    if usual is None:
        return Usual(cells.astype(np.float64), np.zeros(cells.shape[1]), 1, 0.0, seconds), None
    step = min(max(seconds - usual.seconds, 0.0), _MAX_STEP_SECONDS)
    difference = cells - usual.mean
    square = (difference**2).mean(axis=0)
    score = None
    if usual.is_warm:
        share = -math.expm1(-step / ADAPTING_SECONDS)
        structure, size = np.mean(usual.mean.var(axis=1)), np.mean(usual.mean**2)
        floor = float(_FLOOR**2 * structure + _ROUNDING**2 * size + np.finfo(np.float32).tiny)
        usual_square = usual.variance + floor
        unusual = square / usual_square
        score = float(np.sqrt(unusual.max()))
        difference *= np.sqrt(_CUT / np.maximum(unusual, _CUT))
        square = np.minimum(square, _CUT * usual_square)
    else:
        share = 1 / (usual.num_frames + 1)
    after = replace(
        usual,
        mean=usual.mean + share * difference,
        variance=usual.variance + share * (square - usual.variance),
        num_frames=usual.num_frames + 1,
        watched_seconds=usual.watched_seconds + step,
        seconds=seconds,
    )
    return after, score


def new_from(least: float | None = None) -> Trigger:
    """When something new begins and ends, in multiples of the usual deviation; None is the default.

    Raises:
        SettingsError: not above 0.
    """
    given, what = NEW_FROM if least is None else least, "new from a deviation of {} times the usual one"
    begins_from = check_number(what, given, "above 0, such as 8", lambda deviation: deviation > 0)
    return Trigger(begins_from, _UNTIL_SHARE * begins_from)


def rarer_than(false_alarms: str | None = None) -> Trigger:
    """When something begins and ends that is rarer than this rate in normal footage, as "1/day"; None is that.

    Raises:
        SettingsError: no such rate.
    """
    begins_from = rarity_for(rate_of(FALSE_ALARMS if false_alarms is None else false_alarms))
    return Trigger(begins_from, _UNTIL_SHARE * begins_from, min_seconds=0.0)


def judged_text(num_frames: int, num_judged: int) -> str:
    """For people, how many frames were judged, and why the others were not."""
    first = f"the first {WARM_UP_SECONDS:g} s, {_WARM_UP_FRAMES} frames or more, set the usual view"
    if not num_judged:
        return f"0 of {num_frames} frames were judged: {first}; more footage is needed"
    return f"{num_judged} of {num_frames} frames were judged: {first}"


class Novelty:
    """The novelty of the frames of one camera."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._precision: Precision = "bfloat16" if device.has_fast_bfloat16() else "float32"
        self._usual: Usual | None = None
        self._last_due: float | None = None
        self._last_score: float | None = None

    def update(self, pictures: NDArray[np.uint8], seconds: list[float]) -> list[float | None]:
        """The scores of some more frames (N, H, W, 3) in order of time; None during the warm-up."""
        cells = in_cells(self._encoder.features(pictures, precision=self._precision))
        scores = []
        for one, time in zip(cells, seconds, strict=True):
            self._usual, score = update(self._usual, one, time)
            scores.append(score)
        return scores

    def update_now_and_then(self, picture: NDArray[np.uint8], seconds: float) -> float | None:
        """The score of a frame (H, W, 3) as of the last one that was due: two a second, however many come."""
        is_due = self._last_due is None or not 0 <= seconds - self._last_due < DUE_SECONDS
        if is_due:
            (self._last_score,), self._last_due = self.update(picture[None], [seconds]), seconds
        return self._last_score


@dataclass(frozen=True)
class NovelEpisode:
    """Something new, from its first frame to its last."""

    source: str  # name of the file
    start_seconds: float
    end_seconds: float
    peak_seconds: float  # when it was the most unusual
    novelty: float  # the largest, in multiples of the usual deviation; by a memory: rarity
    box: tuple[int, int, int, int] | None = None  # by a memory: where it was then, x, y, width, height in pixels
    part: str | None = None  # by a memory: what was unusual; of "appearance" `novelty` is a deviation

    def to_json(self) -> dict[str, Any]:
        """What applies of it."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class NoveltyScores:
    """The novelty of each frame of some footage, and the episodes in which something is new."""

    frames: tuple[Scored, ...]
    episodes: tuple[NovelEpisode, ...]  # file by file, in order of time

    @property
    def num_judged(self) -> int:
        """Frames after those that set the usual view, which have no score."""
        return sum(one.score is not None for one in self.frames)

    def to_json(self) -> dict[str, Any]:
        """The number of frames, how many of them were judged and how many set the usual view, and the episodes."""
        return {
            "num_frames": len(self.frames),
            "num_judged": self.num_judged,
            "num_setting_usual": len(self.frames) - self.num_judged,
            "episodes": [one.to_json() for one in self.episodes],
        }

    def to_arrow(self) -> pa.Table:
        """A row a frame; `novelty` is null during the warm-up. By a memory `deviation` is that of appearance."""
        frames = self.frames
        deviations = pa.array([one.deviation for one in frames], pa.float64())
        return pa.table(
            {
                "source": pa.array([printable(one.source) for one in frames], pa.string()),
                "seconds": pa.array([one.seconds for one in frames], pa.float64()),
                "frame": pa.array([one.frame_index for one in frames], pa.int64()),
                "novelty": pa.array([one.score for one in frames], pa.float64()),
                **({"deviation": deviations} if deviations.null_count < len(frames) else {}),
            }
        )


@passive_waiting()
def detect_novelty(
    encoder: Encoder,
    source: Spec,
    *,
    novel_from: float | None = None,
    memory: Memory | None = None,
    false_alarms: str | None = None,
    progress: Report = silent,
) -> NoveltyScores:
    """When a camera that stands still shows something that it has not shown before.

    Args:
        encoder: whose last level describes the frames, best one that was learned from this camera.
        source: one camera's footage, in order of time; two frames a second are enough.
        novel_from: without a memory: something is new from this multiple of the usual deviation; None is 8.
        memory: of what is normal before this camera, as `Memory.load(run)` gives it: motion is judged by it from the
            first frame on, and appearance by its deviation, as without one; give 8 frames a second or more.
        false_alarms: how often normal footage may be reported, as "2/h", by what the memory calibrates. None is
            "1/day", and the deviation of appearance beside it.
        progress: called after each frame.

    Raises:
        SourceError: no footage, or none of it can be read.
        SettingsError: `novel_from` is not above 0, or no such rate of false alarms.
    """
    by_deviation = new_from(novel_from)
    by_memory = rarer_than(false_alarms)
    footage = open_source(source)
    total, frames = footage.num_frames(), []
    for one in score_novelty(encoder, footage, memory=memory, appearance=false_alarms is None):
        frames.append(one)
        progress(Progress("comparing frames", len(frames), total))
    episodes: list[NovelEpisode] = []
    for name, of_file in groupby(frames, key=lambda one: one.source):
        own = list(of_file)
        scores = ((one.seconds, one.score) for one in own)
        if memory is None:
            episodes += [_episode(name, one) for one in find_episodes(by_deviation, scores)]
            continue
        at = {one.seconds: one for one in own}
        moving = [_located(_episode(name, one), at) for one in find_episodes(by_memory, scores)]
        deviations = ((one.seconds, one.deviation) for one in own)
        looking = [_episode(name, one, part="appearance") for one in find_episodes(by_deviation, deviations)]
        episodes += sorted([*moving, *looking], key=lambda one: one.start_seconds)
    return NoveltyScores(tuple(frames), tuple(episodes))


def _episode(source: str, one: Episode, *, part: str | None = None) -> NovelEpisode:
    return NovelEpisode(source, one.start_seconds, one.last_seconds, one.peak_seconds, one.peak, part=part)


def _located(episode: NovelEpisode, at: dict[float, Scored]) -> NovelEpisode:
    peak = at[episode.peak_seconds]
    return replace(episode, box=peak.box, part=peak.part)


def score_novelty(
    encoder: Encoder, source: Spec, *, memory: Memory | None = None, appearance: bool = True
) -> Iterator[Scored]:
    """The novelty of each frame, as a stream: memory does not grow with the footage. Arguments as of `detect_novelty`.

    With a memory `appearance` adds the deviation of what the encoder sees, which the memory does not calibrate.

    Example:
        >>> for one in score_novelty(encoder, "hall.mp4"):  # doctest: +SKIP
        ...     print(one.seconds, one.score)
    """
    if memory is not None:
        judge, looks = Judge(memory, encoder=encoder), Novelty(encoder) if appearance else None
        for batch in batches(open_source(source), encoder.view):
            for frame, judged in zip(batch, judge.update(batch), strict=True):
                deviation = looks.update_now_and_then(frame.pictures[1], frame.seconds) if looks else None
                yield Scored(frame.source, frame.seconds, frame.index, judged.score, judged.box, judged.part, deviation)
        return
    novelty = Novelty(encoder)
    for batch in read_batches(open_source(source), encoder.view, size=_BATCH_SIZE):
        scores = novelty.update(np.stack([one.pixels for one in batch]), [one.seconds for one in batch])
        for frame, score in zip(batch, scores, strict=True):
            yield Scored(frame.source, frame.seconds, frame.index, score)
