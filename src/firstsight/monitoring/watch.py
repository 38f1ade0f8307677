"""Watches a stream: when an anchor is visible, when something is new, and when the stream is lost.

How close a frame is to an anchor is measured on the scale of the stream: 0 is as usual, 1 is the anchor. Which cosine
is unusual differs from camera to camera, as frames of a still camera are similar even when they show nothing. So the
usual similarity is followed as for novelty: by a running mean and variance, in which what is unusual counts for little.
(Search uses decoys instead, which need many sources: an upside-down part of a picture is far from every frame of one
still view.)
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from firstsight.backoff import Backoff
from firstsight.encoder.encoder import Encoder, check_encoder
from firstsight.errors import SettingsError, check_number
from firstsight.footage.frames import Frame, PixelByPixel, View
from firstsight.footage.live import TIMEOUT_SECONDS
from firstsight.footage.source import Source, Spec
from firstsight.footage.stream import Arrival, Back, Lost, Stream
from firstsight.library.thumbnails import as_jpeg, gallery
from firstsight.monitoring import episodes, novelty
from firstsight.monitoring.episodes import Change, Trigger, TriggerState
from firstsight.monitoring.novelty import Novelty, Usual, new_from, rarer_than
from firstsight.normality.memory import Judge, Judged, Memory
from firstsight.normality.motion import MotionView
from firstsight.normality.rarity import once_in
from firstsight.searching.query import Picture, read_anchors
from firstsight.text import printable

# Half-way from the usual to the anchor. Before a still camera, a person matched itself with 0.5 to 0.85 and others
# with 0.3 at most.
CLOSE_FROM = 0.5
_UNTIL_SHARE = 0.7
# Two of the two frames a second that are used: one alone may be a flaw of the stream, and what passes by is like a
# still of itself for no longer.
_MIN_SECONDS = 0.5
# Where the similarity fluctuates, 10 standard deviations above the usual are 1. As what is unusual is cut off, the
# standard deviation that is followed is three quarters of a Gaussian's.
_DEVIATIONS = 10.0 / 0.75


def close_from(least: float | None = None) -> Trigger:
    """When a match begins and ends; None is the default.

    Raises:
        SettingsError: not between 0 and 1.
    """
    valid = "between 0, as usual, and 1, the anchor"
    given = CLOSE_FROM if least is None else least
    begins_from = check_number("a match from closeness {}", given, valid, lambda closeness: 0 < closeness < 1)
    return Trigger(begins_from, _UNTIL_SHARE * begins_from, min_seconds=_MIN_SECONDS)


def closeness(usual: Usual | None, similarity: float, seconds: float) -> tuple[Usual, float | None]:
    """The usual similarity to an anchor after one more frame, and how close the frame is to the anchor.

    Args:
        usual: after the frame before; None for the first. Each anchor has its own.
        similarity: the frame's cosine to the anchor.
        seconds: time of the frame.

    Returns:
        The new state, and the closeness, below 0 if less similar than usual; None during the warm-up.
    """
    after, score = novelty.update(usual, np.full((1, 1), similarity), seconds)
    if usual is None or score is None:
        return after, None
    mean = float(usual.mean[0, 0])
    way = max(1 - mean, _DEVIATIONS * float(np.sqrt(usual.variance[0])), 1e-6)
    return after, (similarity - mean) / way


_NOTEBOOK_WIDTH = 320  # pixels, about, of the picture of an event

Kind = Literal["match begins", "match ends", "novel begins", "novel ends", "lost", "back"]


@dataclass(frozen=True)
class Event:
    """Something begins or ends. Fields that do not apply are None."""

    kind: Kind
    seconds: float  # when it is reported, by the time of the stream
    time: str  # the same moment by the clock of this machine, ISO 8601 in UTC
    source: str  # for people
    anchor: str | None = None  # of a match: name of the anchor
    start_seconds: float | None = None  # of a match or something new: since when
    end_seconds: float | None = None  # and until when
    value: float | None = None  # the largest so far: closeness of a match, deviation of something new
    peak_seconds: float | None = None  # when it was the largest
    box: tuple[int, int, int, int] | None = None  # of something new, by a memory: x, y, width, height in pixels
    part: str | None = (
        None  # of something new, by a memory: "motion" or "appearance"; with a `box`, `value` is a rarity
    )
    reason: str | None = None  # why the stream counts as lost
    away_seconds: float | None = None  # how long it was lost
    snapshot: str | None = None  # file with the frame
    frame: Frame | None = field(default=None, repr=False, compare=False)  # at which it is reported, as `watch` views it

    def to_json(self) -> dict[str, Any]:
        """The fields that apply, without the frame, as plain values."""
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "frame"}
        return {name: value for name, value in values.items() if value is not None}

    def words(self) -> str:
        """A line for people."""
        return f"{self.seconds:>9.2f} s  {self._what()}"

    def _repr_html_(self) -> str:
        """For a notebook: the words, and the frame."""
        if self.frame is None:
            return gallery(self.words(), ())
        step = max(1, self.frame.whole.shape[1] // _NOTEBOOK_WIDTH)
        return gallery(self.words(), [(as_jpeg(self.frame.whole[::step, ::step]), self.source)])

    def _how_new(self) -> str:
        if self.box is not None:
            return f"{self.part}, normally {once_in(self.value or 0)}"
        part = f"{self.part}, " if self.part else ""
        return f"{part}{self.value:.1f} times" + (" the usual deviation" if self.end_seconds is None else "")

    def _what(self) -> str:
        anchor = printable(self.anchor or "")
        lasted = (self.end_seconds or 0) - (self.start_seconds or 0)
        match self.kind:
            case "match begins":
                return f"match begins: {anchor}, closeness {self.value:.2f}"
            case "match ends":
                return f"match ends: {anchor}, after {lasted:.1f} s, closeness at most {self.value:.2f}"
            case "novel begins":
                return f"something new: {self._how_new()}"
            case "novel ends":
                return f"nothing new any more, after {lasted:.1f} s, at most {self._how_new()}"
            case "lost":
                return f"lost: {printable(self.reason or '')}"
            case "back":
                return f"back after {self.away_seconds:.1f} s"


def wall_clock() -> str:
    """Now, ISO 8601 in UTC with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class _Watched:
    """One kind of thing that is watched for."""

    trigger: Trigger
    anchor: str | None = None  # None is what is new
    part: str | None = None  # of what is new, beside a memory
    by_memory: bool = False  # judged by it


class Watcher:
    """Turns the arrivals of one stream into events.

    Args:
        encoder: embeds the frames.
        anchors: vectors (dim,) of unit length by name, as `read_anchors` makes them with the same encoder.
        novel: whether something new is an event.
        match_from: closeness, between 0 and 1; None is the default.
        novel_from: deviation; None is the default.
        memory: of what is normal before this camera: it judges motion from the first frame on.
        false_alarms: how often normal footage may be reported, as "2/h", by what the memory calibrates. None is
            "1/day", and the deviation of appearance beside it.
        clock: the time by this machine; called once for each arrival.

    Attributes:
        num_frames: so far.
        num_judged: of these, those after the ones that set the usual view, which make no event.

    Raises:
        SettingsError: neither anchors nor `novel`, or a threshold out of its range.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        anchors: Mapping[str, NDArray[np.float32]] | None = None,
        novel: bool = False,
        match_from: float | None = None,
        novel_from: float | None = None,
        memory: Memory | None = None,
        false_alarms: str | None = None,
        clock: Callable[[], str] = wall_clock,
    ) -> None:
        if not anchors and not novel:
            raise SettingsError("nothing to watch for; give anchors, or novel=True, or both")
        self.num_frames = self.num_judged = 0
        self._encoder = encoder
        self._anchors = dict(anchors or {})
        looks = novel and (memory is None or false_alarms is None)
        self._novelty = Novelty(encoder) if looks else None
        self._judge = (
            Judge(memory, view_index=1, encoder=encoder, encoder_view_index=0) if novel and memory is not None else None
        )
        self._peak: Judged | None = None  # of the event in progress
        self._usual: list[Usual | None] = [None] * len(self._anchors)  # before each anchor
        match = close_from(match_from)
        self._watched = [_Watched(match, anchor) for anchor in self._anchors]
        if looks:
            self._watched.append(_Watched(new_from(novel_from), part="appearance" if memory else None))
        if self._judge:
            self._watched.append(_Watched(rarer_than(false_alarms), by_memory=True))
        self._states = [TriggerState()] * len(self._watched)
        self._clock = clock
        self._last: Frame | None = None
        self._last_time = ""  # by the clock of this machine

    @property
    def views(self) -> tuple[View, ...]:
        """Of the stream: what the encoder embeds, with a memory what motion is found in, and the complete picture."""
        return (self._encoder.view, *([MotionView()] if self._judge else []), PixelByPixel())

    def update(self, arrival: Arrival) -> list[Event]:
        """The events of one more arrival."""
        now = self._clock()
        if isinstance(arrival, Lost):  # what had begun ended with the last frame, and is reported now
            lost = Event("lost", arrival.seconds, now, arrival.source, reason=arrival.reason)
            return [*self._ended(arrival.seconds, now), lost]
        if isinstance(arrival, Back):
            return [Event("back", arrival.seconds, now, arrival.source, away_seconds=arrival.away_seconds)]
        is_next_file = self._last is not None and arrival.source != self._last.source
        events = self.finish() if is_next_file else []
        self.num_frames += 1
        self._last, self._last_time = arrival, now
        values = self._values(arrival)
        self.num_judged += self._judge is not None or None not in values
        for number, value in enumerate(values):
            trigger = self._watched[number].trigger
            self._states[number], change = episodes.update(trigger, self._states[number], value, arrival.seconds)
            if change:
                events.append(self._event(number, change, arrival, arrival.seconds, now))
        return events

    def finish(self) -> list[Event]:
        """The events that end because no frame will follow; reported at the time of the last one."""
        return self._ended(self._last.seconds, self._last_time) if self._last else []

    def _ended(self, seconds: float, time: str) -> list[Event]:
        """The events that end with the last frame; reported at those times by the stream and by this machine."""
        ended = [(number, episodes.finish(state)) for number, state in enumerate(self._states)]
        self._states = [TriggerState()] * len(self._states)
        last = self._last
        return [self._event(number, change, last, seconds, time) for number, change in ended if change and last]

    def _values(self, frame: Frame) -> list[float | None]:
        """Closeness to each anchor, and the deviation if novelty is watched."""
        pictures: NDArray[np.uint8] = frame.pixels[None]
        values: list[float | None] = []
        if self._anchors:
            vector = self._encoder.encode(pictures)[0]
            for number, anchor in enumerate(self._anchors.values()):
                # One by one: how a product of several is rounded depends on how many there are.
                self._usual[number], value = closeness(self._usual[number], float(anchor @ vector), frame.seconds)
                values.append(value)
        if self._novelty and self._judge:
            values.append(self._novelty.update_now_and_then(frame.pixels, frame.seconds))
        elif self._novelty:
            values += self._novelty.update(pictures, [frame.seconds])
        if self._judge:
            (judged,) = self._judge.update([frame])
            values.append(judged.score)
            running = self._states[-1].episode
            if running is None or judged.score > running.peak:
                self._peak = judged
        return values

    def _event(self, number: int, change: Change, frame: Frame, seconds: float, time: str) -> Event:
        episode, watched, begins = change.episode, self._watched[number], change.begins
        kind: Kind
        if watched.anchor is None:
            kind = "novel begins" if begins else "novel ends"
        else:
            kind = "match begins" if begins else "match ends"
        peak = self._peak if watched.by_memory else None
        return Event(
            kind,
            seconds,
            time,
            frame.source,
            anchor=watched.anchor,
            start_seconds=episode.start_seconds,
            end_seconds=None if begins else episode.last_seconds,
            value=round(episode.peak, 4),
            peak_seconds=episode.peak_seconds,
            box=peak.box if peak else None,
            part=peak.part if peak else watched.part,
            frame=frame,
        )


def watch(
    encoder: Encoder,
    source: Spec,
    *,
    anchors: Picture | Sequence[Picture] = (),
    novel: bool = False,
    match_from: float | None = None,
    novel_from: float | None = None,
    memory: Memory | None = None,
    false_alarms: str | None = None,
    frames_per_second: float | None = 2.0,
    speed: float = 1.0,
    timeout_seconds: float = TIMEOUT_SECONDS,
    backoff: Backoff | None = None,
) -> Generator[Event, None, None]:
    """Events of a camera that stands still, as they happen: an anchor is visible, something is new, the stream is lost.

    What is usual is learned from the first five seconds, and followed from then on. The stream is opened for the first
    event, and closed when the generator is closed or ends. If something else ends it, such as Ctrl-C while it waits,
    what has begun ends first. `monitoring.outlets` sends events to their destinations.

    Args:
        encoder: best one that was learned from the same camera.
        source: an address (rtsp://...), a camera (0), "-" for a pipe, or what `open_source` takes.
        anchors: what to match; see `read_anchors`.
        novel: whether something that the camera has not shown before is an event.
        match_from: closeness of a match: 0 is as usual, 1 the anchor; None is 0.5.
        novel_from: something is new from this multiple of the usual deviation; None is 8.
        memory: of what is normal before this camera, as `Memory.load(run)` gives it: it judges motion from the first
            frame on; watch 8 frames a second or more then.
        false_alarms: how often normal footage may be reported, as "2/h", by what the memory calibrates. None is
            "1/day", and the deviation of appearance beside it.
        frames_per_second: at most; an opened source keeps its own rate.
        speed: of a video: 2 plays it twice as fast, 0 as fast as possible.
        timeout_seconds: without a picture, before a stream counts as lost.
        backoff: pauses before it is connected again.

    Returns:
        A generator of events. `frame.whole` of an event is its picture, uint8 (H, W, 3).

    Raises:
        SettingsError: nothing to watch for, or an option outside its range.
        SourceError: an anchor cannot be read, or, with the first event, no such stream.
        PixelsError: an anchor of another shape or dtype.

    Example:
        >>> for event in watch(encoder, "rtsp://hall", anchors=["door.jpg"], novel=True):  # doctest: +SKIP
        ...     print(event.words())
    """
    check_encoder(encoder)
    vectors = read_anchors(anchors, encoder)
    watcher = Watcher(
        encoder,
        anchors=vectors,
        novel=novel,
        match_from=match_from,
        novel_from=novel_from,
        memory=memory,
        false_alarms=false_alarms,
    )
    rate = None if isinstance(source, Source) else frames_per_second
    stream = partial(Stream, source, views=watcher.views, frames_per_second=rate, speed=speed)
    open_stream = partial(stream, timeout_seconds=timeout_seconds, backoff=backoff)
    return _events(watcher, open_stream)


def _events(watcher: Watcher, open_stream: Callable[[], Stream]) -> Generator[Event, None, None]:
    with open_stream() as stream:
        try:
            for arrival in stream:
                yield from watcher.update(arrival)
        except GeneratorExit:  # closed by its consumer, which takes no more events
            raise
        except BaseException:
            yield from watcher.finish()
            raise
        yield from watcher.finish()
