"""Watches a stream: tells when an anchor is to be seen, when something is new, and when nothing comes any more.

How near a frame is to an anchor is told on a scale that the stream itself gives: 0 is as usual, 1 is the anchor. A
cosine of 0.3 means much before one camera and nothing before another. Before a camera that stands still even frames
that show nothing are alike, so what is usual is followed as it is for novelty: by a running mean and spread of the
similarity, in which what is unusual counts for little. (Search counts decoys instead, which belong to many sources: an
upside-down part of a picture is far from every frame of one still view.)
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from firstsight.encoder.encoder import Encoder
from firstsight.errors import SettingsError
from firstsight.footage.frames import Frame
from firstsight.footage.stream import Arrival, Back, Lost, Stream
from firstsight.monitoring import episodes, novelty
from firstsight.monitoring.episodes import Begun, Ended, Trigger, TriggerState
from firstsight.monitoring.novelty import Novelty, Usual, new_from
from firstsight.searching.query import Query
from firstsight.text import printable

# Half-way from the usual to the anchor. Before a still camera, a person matched itself with 0.5 to 0.85 and others
# with 0.3 at most.
CLOSE_FROM = 0.5
_UNTIL_SHARE = 0.7
# Two frames of the two a second that are looked at: one alone may be a flaw of the stream, and what passes by is like a
# still of itself for no longer.
_LEAST_SECONDS = 0.5
# Where the similarity is restless, 10 standard deviations above the usual are 1. As what is unusual is cut off, the
# spread that is followed is three quarters of a Gaussian's.
_DEVIATIONS = 10.0 / 0.75


def close_from(least: float | None = None) -> Trigger:
    """When a match begins and ends; None is the default.

    Raises:
        SettingsError: not between 0 and 1.
    """
    begins_from = CLOSE_FROM if least is None else least
    if not 0 < begins_from < 1:
        raise SettingsError(f"a match from closeness {begins_from}; valid is between 0, as usual, and 1, the anchor")
    return Trigger(begins_from, _UNTIL_SHARE * begins_from, least_seconds=_LEAST_SECONDS)


def closeness(usual: Usual | None, similarity: float, seconds: float) -> tuple[Usual, float | None]:
    """What is usual before one anchor after one more frame, and how close the frame is to it.

    Args:
        usual: after the frame before; None for the first. Each anchor has its own.
        similarity: the frame's cosine to the anchor.
        seconds: time of the frame.

    Returns:
        The new state, and the closeness, below 0 if less alike than usual; None during the warm-up.
    """
    after, score = novelty.update(usual, np.full((1, 1), similarity), seconds)
    if usual is None or score is None:
        return after, None
    mean = float(usual.mean[0, 0])
    way = max(1 - mean, _DEVIATIONS * float(np.sqrt(usual.variance[0])), 1e-6)
    return after, (similarity - mean) / way


Kind = Literal["match begins", "match ends", "novel begins", "novel ends", "lost", "back"]


@dataclass(frozen=True)
class Event:
    """One line of what is told. What does not apply is None."""

    kind: Kind
    seconds: float  # when it is told, on the clock of the stream
    time: str  # the same moment by the clock of this machine, ISO 8601 in UTC
    source: str  # for people
    anchor: str | None = None  # of a match: what is looked for
    start_seconds: float | None = None  # of a match or something new: since when
    end_seconds: float | None = None  # and until when
    value: float | None = None  # the largest so far: closeness of a match, deviation of something new
    peak_seconds: float | None = None  # when it was the largest
    reason: str | None = None  # why the stream counts as lost
    away_seconds: float | None = None  # how long it was
    snapshot: str | None = None  # file with the frame at which it is told

    def record(self) -> dict[str, Any]:
        """What applies, as plain JSON values."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def words(self) -> str:
        """A line for people."""
        return f"{self.seconds:>9.2f} s  {self._what()}"

    def _what(self) -> str:
        anchor = printable(self.anchor or "")
        lasted = (self.end_seconds or 0) - (self.start_seconds or 0)
        match self.kind:
            case "match begins":
                return f"match begins: {anchor}, closeness {self.value:.2f}"
            case "match ends":
                return f"match ends: {anchor}, after {lasted:.1f} s, closeness at most {self.value:.2f}"
            case "novel begins":
                return f"something new: {self.value:.1f} times the usual deviation"
            case "novel ends":
                return f"nothing new any more, after {lasted:.1f} s, at most {self.value:.1f} times"
            case "lost":
                return f"lost: {printable(self.reason or '')}"
            case "back":
                return f"back after {self.away_seconds:.1f} s"


def wall_clock() -> str:
    """Now, ISO 8601 in UTC with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True, eq=False)
class Told:
    """An event, and the frame at which it was told; None if nothing was to be seen."""

    event: Event
    frame: Frame | None


class Watcher:
    """What is known between two arrivals of one stream.

    Args:
        encoder: what sees.
        name: of the stream, for people.
        anchors: made by `read_query` with the same encoder.
        novel: whether to tell of what is new.
        match_from: closeness, between 0 and 1; None is the default.
        novel_from: deviation; None is the default.
        clock: tells the time by this machine; asked once for each arrival.

    Attributes:
        num_frames: seen so far.

    Raises:
        SettingsError: neither an anchor nor what is new is asked for, or a threshold is out of its range.
    """

    def __init__(
        self,
        encoder: Encoder,
        name: str,
        *,
        anchors: Sequence[Query] = (),
        novel: bool = False,
        match_from: float | None = None,
        novel_from: float | None = None,
        clock: Callable[[], str] = wall_clock,
    ) -> None:
        if not anchors and not novel:
            raise SettingsError("nothing to watch for; give anchors, or ask for what is new, or both")
        self.num_frames = 0
        self._encoder = encoder
        self._name = name
        self._anchors: list[NDArray[np.float32]] = [anchor.vector for anchor in anchors]
        self._match, self._new = close_from(match_from), new_from(novel_from)
        self._novelty = Novelty(encoder) if novel else None
        self._usual: list[Usual | None] = [None] * len(anchors)  # before each anchor
        names = [anchor.place.name for anchor in anchors]
        self._watched: list[str | None] = [*names, *([None] if novel else [])]  # None is what is new
        self._states = [TriggerState()] * len(self._watched)
        self._clock = clock
        self._last: Frame | None = None
        self._last_time = ""  # by the clock of this machine

    def update(self, arrival: Arrival) -> list[Told]:
        """What there is to tell of one more arrival."""
        now = self._clock()
        if isinstance(arrival, Lost):  # what was under way ended with what was seen last, and is told now
            lost = Event("lost", arrival.seconds, now, self._name, reason=arrival.reason)
            return [*self._ended(arrival.seconds, now), Told(lost, None)]
        if isinstance(arrival, Back):
            back = Event("back", arrival.seconds, now, self._name, away_seconds=arrival.away_seconds)
            return [Told(back, None)]
        is_next_file = self._last is not None and arrival.source != self._last.source
        told = self.finish() if is_next_file else []
        self.num_frames += 1
        self._last, self._last_time = arrival, now
        for number, value in enumerate(self._values(arrival)):
            trigger = self._trigger(number)
            self._states[number], news = episodes.update(trigger, self._states[number], value, arrival.seconds)
            if news:
                told.append(self._told(number, news, arrival, arrival.seconds, now))
        return told

    def finish(self) -> list[Told]:
        """What ends because no frame will follow; told at the time of the last one."""
        return self._ended(self._last.seconds, self._last_time) if self._last else []

    def _ended(self, seconds: float, time: str) -> list[Told]:
        """What ends with the last frame, and is told at that time by both clocks."""
        ended = [(number, episodes.finish(state)) for number, state in enumerate(self._states)]
        self._states = [TriggerState()] * len(self._states)
        last = self._last
        return [self._told(number, news, last, seconds, time) for number, news in ended if news and last]

    def _trigger(self, number: int) -> Trigger:
        return self._new if self._watched[number] is None else self._match

    def _values(self, frame: Frame) -> list[float | None]:
        """Closeness to each anchor, and the deviation if what is new is asked for."""
        pictures: NDArray[np.uint8] = frame.pixels[None]
        values: list[float | None] = []
        if self._anchors:
            vector = self._encoder.encode(pictures)[0]
            for number, anchor in enumerate(self._anchors):
                # One by one: what a product of several rounds depends on how many there are.
                self._usual[number], value = closeness(self._usual[number], float(anchor @ vector), frame.seconds)
                values.append(value)
        if self._novelty:
            values += self._novelty.update(pictures, [frame.seconds])
        return values

    def _told(self, number: int, news: Begun | Ended, frame: Frame, seconds: float, time: str) -> Told:
        episode, anchor, begins = news.episode, self._watched[number], isinstance(news, Begun)
        kind: Kind
        if anchor is None:
            kind = "novel begins" if begins else "novel ends"
        else:
            kind = "match begins" if begins else "match ends"
        event = Event(
            kind,
            seconds,
            time,
            frame.source,
            anchor=anchor,
            start_seconds=episode.start_seconds,
            end_seconds=None if begins else episode.last_seconds,
            value=round(episode.peak, 4),
            peak_seconds=episode.peak_seconds,
        )
        return Told(event, frame)


def watch(watcher: Watcher, stream: Stream) -> Iterator[Told]:
    """What there is to tell of a stream, as it comes, until it ends.

    Example:
        >>> with Stream("rtsp://hall", views=(encoder.view,), frames_per_second=2) as stream:  # doctest: +SKIP
        ...     for told in watch(Watcher(encoder, stream.name, novel=True), stream):
        ...         print(told.event.words())
    """
    for arrival in stream:
        yield from watcher.update(arrival)
    yield from watcher.finish()
