"""What is new in the footage of a camera that stands still, and what happens to its view: by frame and by episode.

`deviation` judges appearance and `normality` motion; `sentry` asks both, place by place.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from os import PathLike
from typing import Any, cast

import pyarrow as pa

from firstsight.encoder.encoder import Encoder
from firstsight.errors import SettingsError, brief
from firstsight.footage.frames import Frame, View
from firstsight.footage.queues import read_batches
from firstsight.footage.source import Source, Spec, open_source
from firstsight.monitoring.deviation import Appearance, new_from, rarer_than
from firstsight.monitoring.event import plain
from firstsight.monitoring.sentry import Heat, Looked, Sentry
from firstsight.monitoring.sketch import SketchView
from firstsight.monitoring.view_watch import ViewChangeKind
from firstsight.normality.growth import Growth
from firstsight.normality.memory import Judge, Memory
from firstsight.normality.motion import MotionView
from firstsight.normality.rarity import FALSE_ALARMS
from firstsight.process import passive_waiting
from firstsight.progress import Progress, Report, silent
from firstsight.text import printable

_BATCH_SIZE = 64


@dataclass(frozen=True)
class Scored:
    """How new a frame is."""

    source: str  # name of the file
    seconds: float
    frame_index: int
    # from 0, usually 1 to 5; None during the warm-up, and while there is no view. By a memory: rarity, 2 is the rarest
    # of a hundred times 4 s
    score: float | None
    box: tuple[int, int, int, int] | None = None  # by a memory: where, x, y, width, height in pixels
    part: str | None = None  # by a memory: what is unusual, "motion" or "appearance"
    deviation: float | None = None  # beside a memory: that of appearance, in multiples of the usual one
    is_blind: bool = False  # whether there is no view to judge: the camera is moved, covered or dark, or light switches


@dataclass(frozen=True)
class NovelEpisode:
    """Something new, from its first frame to its last."""

    source: str  # name of the file, of several pictures that of the first
    start_seconds: float
    end_seconds: float
    peak_seconds: float  # when it was the most unusual
    novelty: float  # the largest, in multiples of the usual deviation; by a memory: rarity
    box: tuple[int, int, int, int] | None = None  # where it was then, x, y, width, height in pixels
    part: str | None = None  # by a memory: "motion" or "appearance"; beside it "deviation", which `novelty` then is
    heat: Heat | None = field(default=None, repr=False, compare=False)  # of the frame then
    last_source: str | None = None  # of several pictures: name of the last one

    def to_json(self) -> dict[str, Any]:
        """What applies of it, without the heat."""
        return _given(self, without=("heat",))


@dataclass(frozen=True)
class ViewChange:
    """Something that happened to the view. What does not apply is None."""

    source: str  # name of the file, of several pictures that of the first
    kind: ViewChangeKind
    start_seconds: float
    end_seconds: float | None = None  # of what lasts
    shift: tuple[float, float] | None = None  # of a moved view: right and down, as shares of width and height
    box: tuple[int, int, int, int] | None = None  # of what is left or taken, x, y, width, height in pixels
    last_source: str | None = None  # of several pictures: name of the last one

    def to_json(self) -> dict[str, Any]:
        """What applies of it."""
        return _given(self)


def files_text(one: NovelEpisode | ViewChange) -> str:
    """The file it is in, or the pictures from which to which it lasts."""
    return one.source if one.last_source is None else f"{one.source} to {one.last_source}"


def _given(one: NovelEpisode | ViewChange, without: tuple[str, ...] = ()) -> dict[str, Any]:
    values = {name.name: getattr(one, name.name) for name in fields(one) if name.name not in without}
    return plain(values)


@dataclass(frozen=True)
class NoveltyScores:
    """The novelty of each frame of some footage, and the episodes in which something is new."""

    frames: tuple[Scored, ...]
    episodes: tuple[NovelEpisode, ...]  # file by file, in order of time
    view_changes: tuple[ViewChange, ...] = ()  # likewise

    @property
    def num_judged(self) -> int:
        """Frames with a score: neither of those that set the usual view, nor without a view to judge."""
        return sum(one.score is not None for one in self.frames)

    @property
    def num_blind(self) -> int:
        """Frames without a view to judge; by a memory, which gives them the score 0, they are judged as well."""
        return sum(one.is_blind for one in self.frames)

    def to_json(self) -> dict[str, Any]:
        """The number of frames, how many of them were judged, showed no view, and set the usual one, the episodes, and
        what happened to the view.
        """
        setting_usual = sum(one.score is None and not one.is_blind for one in self.frames)
        return {
            "num_frames": len(self.frames),
            "num_judged": self.num_judged,
            "num_blind": self.num_blind,
            "num_setting_usual": setting_usual,
            "episodes": [one.to_json() for one in self.episodes],
            "view_changes": [one.to_json() for one in self.view_changes],
        }

    def to_arrow(self) -> pa.Table:
        """A row a frame; `novelty` is null where there is no score. By a memory `deviation` is that of appearance."""
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
    stays: bool = False,
    state: str | PathLike[str] | None = None,
    progress: Report = silent,
) -> NoveltyScores:
    """When a camera that stands still shows something that it has not shown before.

    Args:
        encoder: whose last level describes the frames, best one that was learned from this camera.
        source: one camera's footage, in order of time; two frames a second are enough.
        novel_from: without a memory: something is new from this multiple of the usual deviation; None is 8.
        memory: of what is normal before this camera, as `Memory.load(run)` gives it: motion and appearance are judged
            by it from the first frame on, and the deviation beside it, as without one; give 8 frames a second or more.
        false_alarms: how often normal footage may be reported, as "2/h", by what the memory calibrates. None is
            "1/day", and the deviation of appearance beside it.
        stays: also report what is left or taken.
        state: a file in which the memory goes on learning, from what was judged and shows no event: at the end, also
            by an error or Ctrl-C, and every five minutes of that, it is written, with what other sessions and watchers
            of this camera have written meanwhile. If there is none yet, it begins with `memory`.
        progress: called after each frame.

    Raises:
        SourceError: no footage, or none of it can be read.
        RunError: the file of `state` is damaged, of another encoder, or cannot be written, or there is no memory.
        SettingsError: `novel_from` is not above 0, no such rate of false alarms, or one without a memory or beside
            `novel_from`.
    """
    found, footage, by_memory = _Found(), open_source(source), memory is not None or state is not None
    sentry = sentry_for(
        encoder, memory=memory, novel_from=novel_from, false_alarms=false_alarms, stays=stays, state=state
    )
    total = footage.num_frames()
    try:
        for frame, looked in _look(sentry, footage, encoder, by_memory=by_memory):
            sentry.keep(if_due=True)
            found.frames.append(_scored(frame, looked, by_memory=by_memory))
            found.add(frame, looked)
            progress(Progress("comparing frames", len(found.frames), total))
    finally:
        sentry.keep()
    return found.scores()


def sentry_for(
    encoder: Encoder,
    *,
    memory: Memory | None,
    novel_from: float | None = None,
    false_alarms: str | None = None,
    stays: bool = False,
    state: str | PathLike[str] | None = None,
) -> Sentry:
    """The judge of one camera, whose frames have the pictures `views_for` names. Arguments as of `detect_novelty`.

    Raises:
        SettingsError, RunError: as `detect_novelty`.
    """
    if false_alarms is not None and novel_from is not None:
        raise SettingsError(f"false alarms {brief(false_alarms)} and novel from {novel_from}; leave one out")
    if false_alarms is not None and memory is None and state is None:
        raise SettingsError(f"false alarms {brief(false_alarms)} need a memory of what is normal; give one, or neither")
    growth = None if state is None else Growth(state, memory, encoder)
    memory = growth.memory if growth else memory
    looks = memory is None or false_alarms is None
    return Sentry(
        encoder,
        appearance=Appearance(encoder) if looks else None,
        judge=Judge(memory, view_index=1, encoder=encoder, encoder_view_index=0) if memory else None,
        looks_from=new_from(novel_from),
        moves_from=rarer_than(false_alarms),
        stays=stays,
        growth=growth,
    )


def views_for(encoder: Encoder, whole: View, *, by_memory: bool) -> tuple[View, ...]:
    """Of the frames that a sentry judges; the last one is of the entire frame."""
    return (encoder.view, *([MotionView()] if by_memory else []), whole)


class _Found:
    """What was found so far."""

    def __init__(self) -> None:
        self.frames: list[Scored] = []
        self.episodes: list[NovelEpisode] = []
        self.view_changes: list[ViewChange] = []

    def add(self, frame: Frame, looked: Looked) -> None:
        """Adds what ends with a frame."""
        for one in looked.changes:
            if not one.begins:
                new = one.episode
                first, last = self._sources(frame, new.start_seconds, new.last_seconds)
                span = new.start_seconds, new.last_seconds, new.peak_seconds
                self.episodes.append(NovelEpisode(first, *span, new.peak, one.box, one.part, one.heat, last))
        for event in looked.view_events:
            if not event.kind.endswith("begins"):
                kind = cast("ViewChangeKind", event.kind.removesuffix(" ends"))
                first, last = self._sources(frame, event.start_seconds, event.end_seconds)
                at, box = (event.start_seconds, event.end_seconds), event.box_in(frame.size)
                self.view_changes.append(ViewChange(first, kind, *at, event.shift, box, last))

    def _sources(self, frame: Frame, start: float, end: float | None) -> tuple[str, str | None]:
        """The file of what is found with a frame; of pictures that of its first, and of its last if that is another."""
        if frame.duration_seconds is not None:
            return frame.source, None
        first, last = (
            next((one.source for one in reversed(self.frames) if one.seconds <= at), frame.source)
            for at in (start, start if end is None else end)
        )
        return first, None if last == first else last

    def scores(self) -> NoveltyScores:
        """File by file, in order of time."""
        files = {name: number for number, name in enumerate(dict.fromkeys(one.source for one in self.frames))}
        episodes = sorted(self.episodes, key=lambda one: (files[one.source], one.start_seconds))
        changes = sorted(self.view_changes, key=lambda one: (files[one.source], one.start_seconds))
        return NoveltyScores(tuple(self.frames), tuple(episodes), tuple(changes))


def score_novelty(
    encoder: Encoder, source: Spec, *, memory: Memory | None = None, appearance: bool = True
) -> Iterator[Scored]:
    """The novelty of each frame, as a stream: memory does not grow with the footage. Arguments as of `detect_novelty`.

    With a memory `appearance` adds the deviation of what the encoder sees, which the memory does not calibrate.

    Example:
        >>> for one in score_novelty(encoder, "hall.mp4"):  # doctest: +SKIP
        ...     print(one.seconds, one.score)
    """
    by_memory = memory is not None
    sentry = sentry_for(encoder, memory=memory, false_alarms=FALSE_ALARMS if by_memory and not appearance else None)
    for frame, looked in _look(sentry, open_source(source), encoder, by_memory=by_memory):
        yield _scored(frame, looked, by_memory=by_memory)


def _look(sentry: Sentry, source: Source, encoder: Encoder, *, by_memory: bool) -> Iterator[tuple[Frame, Looked]]:
    """Each frame and what it shows; with the last one of a file, or of pictures, what ends with it."""
    last: tuple[Frame, Looked] | None = None
    for batch in read_batches(source, *views_for(encoder, SketchView(), by_memory=by_memory), size=_BATCH_SIZE):
        starts = [number for number in range(1, len(batch)) if not batch[number].continues(batch[number - 1])]
        for start, end in pairwise((0, *starts, len(batch))):
            frames = batch[start:end]
            if last and not frames[0].continues(last[0]):
                yield _ended(sentry, *last)
            elif last:
                yield last
            shown = list(zip(frames, sentry.update(frames), strict=True))
            yield from shown[:-1]
            last = shown[-1]
    if last:
        yield _ended(sentry, *last)


def _ended(sentry: Sentry, frame: Frame, looked: Looked) -> tuple[Frame, Looked]:
    changes, view_events = sentry.finish()
    both = (*looked.changes, *changes), (*looked.view_events, *view_events)
    return frame, replace(looked, changes=both[0], view_events=both[1])


def _scored(frame: Frame, looked: Looked, *, by_memory: bool) -> Scored:
    if not by_memory:
        return Scored(frame.source, frame.seconds, frame.index, looked.score, is_blind=looked.is_blind)
    at = frame.source, frame.seconds, frame.index
    return Scored(*at, looked.score, looked.box, looked.part, looked.deviation, looked.is_blind)
