"""Watches a stream: when an anchor is visible, when something is new, and when the stream is lost.

How close a frame is to an anchor is measured on the scale of the stream: 0 is as usual, 1 is the anchor. Which cosine
is unusual differs from camera to camera, as frames of a still camera are similar even when they show nothing. So the
usual similarity is followed as for novelty: by a running mean and variance, in which what is unusual counts for little.
(Search uses decoys instead, which need many sources: an upside-down part of a picture is far from every frame of one
still view.)
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from os import PathLike
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from firstsight.backoff import Backoff
from firstsight.encoder.encoder import Encoder, check_encoder
from firstsight.errors import SettingsError, check_number, check_used
from firstsight.footage.frames import Frame, PixelByPixel, View
from firstsight.footage.live import TIMEOUT_SECONDS
from firstsight.footage.source import Source, Spec
from firstsight.footage.stream import Arrival, Back, Lost, Stream
from firstsight.monitoring import deviation, episodes
from firstsight.monitoring.deviation import Usual
from firstsight.monitoring.episodes import Change, Episode, Trigger, TriggerState
from firstsight.monitoring.event import Event, Kind
from firstsight.monitoring.novelty import sentry_for, views_for
from firstsight.monitoring.sentry import NewChange
from firstsight.monitoring.view_watch import ViewEvent
from firstsight.normality.memory import Memory
from firstsight.searching.query import Picture, read_anchors

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
    after, score = deviation.update(usual, np.full((1, 1), similarity), seconds)
    if usual is None or score is None:
        return after, None
    mean = float(usual.mean[0, 0])
    way = max(1 - mean, _DEVIATIONS * float(np.sqrt(usual.variance[0])), 1e-6)
    return after, (similarity - mean) / way


def frames_per_second_for(*, by_memory: bool) -> float:
    """How many a second are judged: things come into a view within a second; motion is found between neighbours."""
    return 12.5 if by_memory else 2.0


def wall_clock() -> str:
    """Now, ISO 8601 in UTC with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Watcher:
    """Turns the arrivals of one stream into events.

    Args:
        encoder: embeds the frames.
        anchors: vectors (dim,) of unit length by name, as `read_anchors` makes them with the same encoder.
        novel: whether something new is an event.
        match_from: closeness, between 0 and 1; None is the default.
        novel_from: deviation; None is the default.
        memory: with `novel`, of what is normal before this camera: it judges from the first frame on.
        false_alarms: how often normal footage may be reported, as "2/h", by what the memory calibrates. None is
            "1/day", and the deviation of appearance beside it.
        stays: with `novel`, what is left or taken is an event too.
        state: with `novel`, a file in which the memory goes on learning, as of `detect_novelty`.
        clock: the time by this machine; called once for each arrival.

    Attributes:
        num_frames: so far.
        num_judged: of these, those with a score: after the ones that set the usual view, and with a view to judge.
        num_blind: those without a view to judge, as the camera is moved, covered or dark.
        latest: of the last frame, by the anchor's name its closeness, and under None how new it is; None during the
            warm-up. With a memory that is the rarity of the rarer part.

    Raises:
        SettingsError: neither anchors nor `novel`, a threshold out of its range, or an option for what is not watched.
        RunError: the file of `state` is damaged, of another encoder, or cannot be read, or there is no memory.
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
        stays: bool = False,
        state: str | PathLike[str] | None = None,
        clock: Callable[[], str] = wall_clock,
    ) -> None:
        if not anchors and not novel:
            raise SettingsError("nothing to watch for; give anchors, or novel=True, or both")
        for_novel = {"novel_from": novel_from, "false_alarms": false_alarms, "stays": stays, "state": state}
        for_novel["memory"] = memory is not None  # not its numbers
        check_used(for_novel, "what is new; give novel=True as well", is_used=novel)
        check_used({"match_from": match_from}, "anchors; give them as well", is_used=bool(anchors))
        self.num_frames = self.num_judged = self.num_blind = 0
        self.latest: dict[str | None, float | None] = {}
        self._encoder = encoder
        self._anchors = dict(anchors or {})
        self._match = close_from(match_from)
        self._by_memory = novel and (memory is not None or state is not None)
        self._sentry = sentry_for(
            encoder, memory=memory, novel_from=novel_from, false_alarms=false_alarms, stays=stays, state=state
        )
        self._novel, self._memory = novel, memory
        self._usual: list[Usual | None] = [None] * len(self._anchors)  # before each anchor
        self._states = [TriggerState()] * len(self._anchors)
        self._clock = clock
        self._last: Frame | None = None
        self._last_time = ""  # by the clock of this machine

    @property
    def views(self) -> tuple[View, ...]:
        """Of the stream: what the encoder embeds, with a memory what motion is found in, and the complete picture."""
        return views_for(self._encoder, PixelByPixel(), by_memory=self._by_memory)

    def update(self, arrival: Arrival) -> list[Event]:
        """The events of one more arrival."""
        now = self._clock()
        if isinstance(arrival, Lost):  # what had begun ended with the last frame, and is reported now
            lost = Event("lost", arrival.seconds, now, arrival.source, reason=arrival.reason)
            return [*self._ended(arrival.seconds, now), lost]
        if isinstance(arrival, Back):
            return [Event("back", arrival.seconds, now, arrival.source, away_seconds=arrival.away_seconds)]
        is_next_file = self._last is not None and not arrival.continues(self._last)
        events = self.finish() if is_next_file else []
        self.num_frames += 1
        self._last, self._last_time = arrival, now
        matched = self._closeness(arrival)
        self.latest = dict(zip(self._anchors, matched, strict=True))
        for number, value in enumerate(matched):
            self._states[number], change = episodes.update(self._match, self._states[number], value, arrival.seconds)
            if change:
                events.append(self._match_event(number, change, arrival, arrival.seconds, now))
        is_judged = None not in matched
        if self._novel:
            (looked,) = self._sentry.update([arrival])
            self.latest[None] = looked.score
            is_judged &= looked.score is not None
            self.num_blind += looked.is_blind
            events += [_new_event(one, arrival, arrival.seconds, now) for one in looked.changes]
            events += [_view_event(one, arrival, arrival.seconds, now) for one in looked.view_events]
        self.num_judged += self._by_memory or is_judged
        return events

    def watch_for(self, anchors: Mapping[str, NDArray[np.float32]]) -> None:
        """Matches these anchors from the next frame on: of a new one what is usual is learned first.

        What is usual, and what has begun, stays with the names that are kept; what has begun of others is dropped.
        """
        before = dict(zip(self._anchors, zip(self._usual, self._states, strict=True), strict=True))
        kept = [before.get(name, (None, TriggerState())) for name in anchors]
        self._anchors = dict(anchors)
        self._usual, self._states = [usual for usual, _ in kept], [state for _, state in kept]

    def finish(self) -> list[Event]:
        """The events that end because no frame will follow; reported at the time of the last one."""
        return self._ended(self._last.seconds, self._last_time) if self._last else []

    @property
    def memory(self) -> Memory | None:
        """What it judges by, with what was learned until now; None if it has no memory."""
        return self._sentry.memory or self._memory

    def keep(self, *, if_due: bool = False) -> None:
        """Writes what was learned into the file of `state`; nothing without one.

        Args:
            if_due: only if it is enough to be worth it: during, not after the last frame.

        Raises:
            RunError: it was damaged meanwhile, or cannot be written.
        """
        self._sentry.keep(if_due=if_due)

    def _ended(self, seconds: float, time: str) -> list[Event]:
        """The events that end with the last frame; reported at those times by the stream and by this machine."""
        last = self._last
        if last is None:
            return []
        ended = [(number, episodes.finish(state)) for number, state in enumerate(self._states)]
        self._states = [TriggerState()] * len(self._states)
        changes, view_events = self._sentry.finish()
        return [
            *(self._match_event(number, change, last, seconds, time) for number, change in ended if change),
            *(_new_event(one, last, seconds, time) for one in changes),
            *(_view_event(one, last, seconds, time) for one in view_events),
        ]

    def _closeness(self, frame: Frame) -> list[float | None]:
        """Closeness to each anchor; None during the warm-up."""
        if not self._anchors:
            return []
        vector, values = self._encoder.encode(frame.pixels[None])[0], []
        for number, anchor in enumerate(self._anchors.values()):
            # One by one: how a product of several is rounded depends on how many there are.
            self._usual[number], value = closeness(self._usual[number], float(anchor @ vector), frame.seconds)
            values.append(value)
        return values

    def _match_event(self, number: int, change: Change, frame: Frame, seconds: float, time: str) -> Event:
        kind: Kind = "match begins" if change.begins else "match ends"
        event = _event(kind, change.episode, frame, seconds, time, begins=change.begins)
        return replace(event, anchor=tuple(self._anchors)[number])


def _event(kind: Kind, episode: Episode, frame: Frame, seconds: float, time: str, *, begins: bool) -> Event:
    return Event(
        kind,
        seconds,
        time,
        frame.source,
        start_seconds=episode.start_seconds,
        end_seconds=None if begins else episode.last_seconds,
        value=round(episode.peak, 4),
        peak_seconds=episode.peak_seconds,
        frame=frame,
    )


def _new_event(one: NewChange, frame: Frame, seconds: float, time: str) -> Event:
    kind: Kind = "novel begins" if one.begins else "novel ends"
    event = _event(kind, one.episode, frame, seconds, time, begins=one.begins)
    return replace(event, box=one.box, part=one.part)


def _view_event(one: ViewEvent, frame: Frame, seconds: float, time: str) -> Event:
    return Event(
        one.kind,
        seconds,
        time,
        frame.source,
        start_seconds=one.start_seconds,
        end_seconds=one.end_seconds,
        shift=one.shift,
        box=one.box_in(frame.size),
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
    stays: bool = False,
    state: str | PathLike[str] | None = None,
    frames_per_second: float | Literal["auto"] | None = "auto",
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
        memory: with `novel`, of what is normal before this camera, as `Memory.load(run)` gives it: it judges from the
            first frame on.
        false_alarms: how often normal footage may be reported, as "2/h", by what the memory calibrates. None is
            "1/day", and the deviation of appearance beside it.
        stays: with `novel`, what is left or taken is an event too.
        state: with `novel`, a file in which the memory goes on learning, from what was judged and shows no event: at
            the end, and every five minutes of that, it is written, with what other sessions and watchers of this camera
            have written meanwhile. If there is none yet, it begins with `memory`.
        frames_per_second: at most; "auto" is 2, and 12.5 with a memory or a state, which judge motion and need 8 or
            more; None is all. An opened source keeps its own rate.
        speed: of a video: 2 plays it twice as fast, 0 as fast as possible.
        timeout_seconds: without a picture, before a stream counts as lost.
        backoff: pauses before it is connected again.

    Returns:
        A generator of events. `frame.whole` of an event is its picture, uint8 (H, W, 3).

    Raises:
        SettingsError: nothing to watch for, or an option outside its range.
        SourceError: an anchor cannot be read, or, with the first event, no such stream.
        RunError: the file of `state` is damaged, of another encoder, or there is no memory; with an event, it cannot be
            written.
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
        stays=stays,
        state=state,
    )
    by_memory = novel and (memory is not None or state is not None)
    rate = frames_per_second_for(by_memory=by_memory) if frames_per_second == "auto" else frames_per_second
    rate = None if isinstance(source, Source) else rate
    stream = partial(Stream, source, views=watcher.views, frames_per_second=rate, speed=speed)
    open_stream = partial(stream, timeout_seconds=timeout_seconds, backoff=backoff)
    return _events(watcher, open_stream)


def _events(watcher: Watcher, open_stream: Callable[[], Stream]) -> Generator[Event, None, None]:
    with open_stream() as stream:
        try:
            for arrival in stream:
                yield from watcher.update(arrival)
                watcher.keep(if_due=True)
        except GeneratorExit:  # closed by its consumer, which takes no more events
            watcher.finish()
            raise
        except BaseException:
            yield from watcher.finish()
            raise
        else:
            yield from watcher.finish()
        finally:
            watcher.keep()
