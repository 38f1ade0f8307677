"""A live stream, for days: its newest frames, and events when it is lost and when it is back."""

import logging
import math
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from typing import Self

from firstsight.backoff import Backoff
from firstsight.errors import SourceError, check_number
from firstsight.files import Closing
from firstsight.footage.container import OpenVideo
from firstsight.footage.decoding import decode_on
from firstsight.footage.frames import Frame, Reading, Skipped, View
from firstsight.footage.live import (
    RECORDING,
    TIMEOUT_SECONDS,
    Endpoint,
    LiveSource,
    StreamKind,
    ended_early,
    endpoint_of,
)
from firstsight.footage.queues import EndedError, Newest
from firstsight.footage.sampling import Sampling
from firstsight.footage.source import Spec, open_source

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Broken:
    """A connection has ended, or could not be made."""

    reason: str  # in one line
    seconds: float = 0.0  # when, on the clock of the stream


@dataclass(frozen=True)
class Connected:
    """A connection was made."""

    kind: StreamKind  # of what was found there


Clock = Callable[[], float]
Arrivals = Generator[Frame | Skipped | Connected | Broken, None, None]


def arrivals(
    endpoint: Endpoint,
    views: tuple[View, ...],
    sampling: Sampling,
    *,
    opened: AbstractContextManager[OpenVideo] | None = None,
    backoff: Backoff,
    now: Clock,
    stopped: threading.Event,
) -> Arrivals:
    """The frames of all connections, and when each is made or breaks, until it is stopped.

    A kind that does not reconnect ends with its first connection.

    Raises:
        SourceError: a kind that does not reconnect has no video, no frame to use, or breaks off.

    Args:
        endpoint: what to connect to.
        views: of every frame.
        sampling: which frames to use.
        opened: the first connection, if there is one already.
        backoff: pauses between connections.
        now: the time of a frame on arrival; called once a frame, used or not, by kinds without a clock of their own.
        stopped: once set, no more connections are made.
    """
    pauses, has_frames = backoff.pauses(), False
    while not stopped.is_set():
        begun, kind = time.monotonic(), endpoint.kind
        try:
            connecting, opened = opened or endpoint.open(), None
            with connecting as video:
                kind = endpoint.kind_of(video)
                yield Connected(kind)
                clock = None if kind.has_own_clock else now
                for event in decode_on(video, name=endpoint.name, views=views, sampling=sampling, now=clock):
                    has_frames = has_frames or isinstance(event, Frame)
                    yield event
            reason = f"{endpoint.name} ended"
        except SourceError as error:
            if not kind.reconnects:
                raise SourceError(f"{error}; {endpoint.cure}") from error
            reason = str(error)
        if not kind.reconnects:
            if not has_frames:
                raise ended_early(endpoint.name, sampling)
            return
        if has_frames and sampling.end_seconds is not None and now() >= sampling.end_seconds:
            return
        yield Broken(reason)
        if time.monotonic() - begun > backoff.max_seconds:  # it lasted: try again soon
            pauses = backoff.pauses()
        stopped.wait(next(pauses))


# How long closing waits for the reader. One that hangs in a read ends when the read times out.
_CLOSE_SECONDS = 1.0


@dataclass(frozen=True)
class Lost:
    """Nothing arrives any more; the reader keeps trying."""

    seconds: float  # on the clock of the stream
    source: str  # for people
    reason: str  # in one line
    last_seconds: float | None = None  # of the last frame, on the same clock; None if there was none


@dataclass(frozen=True)
class Back:
    """Frames arrive again."""

    seconds: float  # on the clock of the stream
    source: str  # for people
    away_seconds: float


Arrival = Frame | Lost | Back


def check_speed(speed: float) -> float:
    """That speed of a recording; a SettingsError if it is none."""
    valid = "0, as fast as possible, or a factor above it such as 1"
    return check_number("speed {}", speed, valid, lambda factor: factor >= 0)


class Stream(Closing, Iterator[Arrival]):
    """An iterator over what arrives, to be closed, which a `with` block does.

    A thread reads, as the `StreamKind` of the footage demands. Cameras and addresses are connected again when they
    break, and their frames have the seconds since the stream was opened; one that hangs is lost too. If the user is
    slower, the newest frame replaces older ones, which are counted. There is one thread and one connection at any time.
    Recordings (files, folders, pictures, and at an address what states its duration) are played at their own pace with
    their own times, and end. A pipe is read completely, as fast as it is filled and used.

    Args:
        spec: as for `open_source`.
        views: of every frame.
        frames_per_second: use at most so many.
        speed: of recordings: 2 is twice as fast, 0 as fast as frames are used; then none is dropped.
        timeout_seconds: without a picture, before a stream counts as lost.
        backoff: pauses before new connections.

    Attributes:
        name: of the source, for people.
        num_skipped: frames so far that could not be decoded, or whose time is wrong.

    Raises:
        SourceError: there is no such file. An endpoint that cannot be opened is an error of the first frame.
        SettingsError: an option is out of its range.

    Example:
        with Stream("rtsp://camera/1", views=(view,), frames_per_second=2) as stream:
            for arrival in stream:
                print(arrival)
    """

    def __init__(
        self,
        spec: Spec,
        *,
        views: tuple[View, ...],
        frames_per_second: float | None = None,
        speed: float = 1.0,
        timeout_seconds: float = TIMEOUT_SECONDS,
        backoff: Backoff | None = None,
    ) -> None:
        valid = "a number of seconds above 0"
        timeout_seconds = check_number("time-out {} s", timeout_seconds, valid, lambda seconds: seconds > 0)
        self.num_skipped = 0
        self._timeout_seconds = timeout_seconds
        self._backoff = backoff or Backoff()
        self._speed = check_speed(speed)
        self._stopped = threading.Event()
        self._has_begun = False
        self._pace = _Pace(self._speed)
        self._box: Newest[Frame | Broken] = Newest()
        self._last_seconds: float | None = None
        self._endpoint, self.name, read = self._reader(spec, views, Sampling(frames_per_second=frames_per_second))
        self._kind = self._endpoint.kind if self._endpoint else RECORDING
        self._begun = time.monotonic()
        self._heard = self._begun  # when the last frame arrived, used or not
        self._thread = threading.Thread(target=self._fill, args=(read,), name="stream", daemon=True)
        self._thread.start()
        self._arrivals = self._arrive()

    @property
    def num_dropped(self) -> int:
        """Frames so far that a newer one replaced."""
        return self._box.num_dropped

    def now(self) -> float:
        """Seconds since the stream was opened: the clock of what is live."""
        return time.monotonic() - self._begun

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Arrival:
        while (arrival := self.poll()) is None:
            pass
        return arrival

    def poll(self) -> Arrival | None:
        """The next arrival; None if there is none within a second. StopIteration after the last."""
        return next(self._arrivals)

    def close(self) -> None:
        """Stops reading. A reader that hangs is left behind; it ends when its read times out."""
        self._stopped.set()
        self._box.stop()
        self._thread.join(_CLOSE_SECONDS)

    def _arrive(self) -> Iterator[Arrival | None]:
        lost_at: float | None = None
        while True:
            try:
                item = self._box.take(min(1.0, self._timeout_seconds / 4))
            except EndedError:
                return
            if isinstance(item, Frame):
                if lost_at is not None:
                    back_at = max(item.seconds, lost_at)  # it may have waited here while the stream counted as lost
                    yield Back(back_at, self.name, back_at - lost_at)
                self._has_begun, lost_at, self._last_seconds = True, None, item.seconds
                yield item
            elif lost_at is None and (trouble := item or self._silence()):
                if not self._has_begun:
                    raise SourceError(f"{trouble.reason}; {self._endpoint.cure if self._endpoint else ''}")
                lost_at = trouble.seconds
                yield Lost(lost_at, self.name, trouble.reason, self._last_seconds)
            else:
                yield None

    def _silence(self) -> Broken | None:
        """That the stream counts as lost, as nothing has arrived for too long; None if it does not."""
        # Opening has a time-out of its own, with a better message.
        max_silence = self._timeout_seconds * (1 if self._has_begun else 3)
        now = self.now()  # before what was heard last is read, so that this is not of later
        silence = now - (self._heard - self._begun)
        is_lost = self._kind.reconnects and silence > max_silence
        return Broken(f"{self.name} gave no picture for {silence:.0f} s", now) if is_lost else None

    def _reader(
        self, spec: Spec, views: tuple[View, ...], sampling: Sampling
    ) -> tuple[Endpoint | None, str, Reading | Arrivals]:
        """The endpoint, if it is one; the name; and what is read."""
        endpoint, opened = endpoint_of(spec), None
        if endpoint is None:
            source = open_source(spec, frames_per_second=sampling.frames_per_second)
            if not isinstance(source, LiveSource):
                return None, source.name, source.read(*views)
            if not source.endpoint.kind.reconnects:
                return source.endpoint, source.name, source.read(*views)
            endpoint, sampling, opened = source.endpoint, source.sampling, source.video()
        if endpoint.timeout_seconds is not None:
            endpoint = replace(endpoint, timeout_seconds=self._timeout_seconds)
        clock, backoff = self._note_arrival, self._backoff
        read = arrivals(endpoint, views, sampling, opened=opened, backoff=backoff, now=clock, stopped=self._stopped)
        return endpoint, endpoint.name, read

    def _fill(self, read: Reading | Arrivals) -> None:
        """Runs in the thread."""
        try:
            with closing(read):
                for item in read:
                    if self._stopped.is_set():
                        break
                    if isinstance(read, Reading):
                        self.num_skipped = read.num_skipped
                    self._put(item)
                if isinstance(read, Reading):  # what was skipped after the last frame
                    self.num_skipped = read.num_skipped
        except Exception as error:  # raised where the frame would have been
            self._box.end(error)
        else:
            self._box.end()

    def _put(self, item: Frame | Skipped | Connected | Broken) -> None:
        if isinstance(item, Skipped):
            self.num_skipped += item.num_frames
        elif isinstance(item, Connected):
            self._kind = item.kind
        elif isinstance(item, Broken):
            self._box.put(replace(item, seconds=self.now()), droppable=False)
        else:
            self._put_frame(item)

    def _put_frame(self, frame: Frame) -> None:
        if self._kind.is_paced and self._speed:
            self._heard = self._pace.due(frame.seconds, time.monotonic())
            self._stopped.wait(max(0.0, self._heard - time.monotonic()))
        may_drop = self._kind.may_drop and (self._speed > 0 or not self._kind.is_paced)
        self._box.put(frame, droppable=may_drop)
        if not may_drop:
            self._box.wait_until_empty()
            self._heard = time.monotonic()

    def _note_arrival(self) -> float:
        self._heard = time.monotonic()
        return self._heard - self._begun


_GRACE_SECONDS = 10.0  # that may be waited longer


def first_frames(stream: Stream, *, seconds: float | None) -> Iterator[Frame]:
    """The frames of the first seconds of what is live, by their own times; None is until it ends or is lost.

    A camera that is lost is waited for. A pipe may hang, or state times that stand still: what is waited for frames is
    a little longer than that time, by the clock here. What their user takes meanwhile does not count.

    Raises:
        SourceError: it is lost, and no time is given.
    """
    first: float | None = None
    left = math.inf if seconds is None else seconds + _GRACE_SECONDS
    while left > 0:
        begun = time.monotonic()
        try:
            arrival = stream.poll()
        except StopIteration:
            return
        left -= time.monotonic() - begun
        if isinstance(arrival, Lost):
            if seconds is None:
                raise SourceError(arrival.reason)
            _LOG.warning("%s; reading goes on when it is back", arrival.reason)
        elif isinstance(arrival, Frame):
            first = arrival.seconds if first is None else first
            if seconds is not None and arrival.seconds - first >= seconds:
                return
            yield arrival


def reading_ended(error: KeyboardInterrupt | SourceError) -> str:
    """In words, that a reading is over before its time, and why."""
    return "reading ended by Ctrl-C" if isinstance(error, KeyboardInterrupt) else f"reading ended: {error}"


class _Pace:
    """When the frames of a recording are due, on the clock of the machine."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._offset: float | None = None
        self._last_seconds = 0.0

    def due(self, seconds: float, now: float) -> float:
        """When to show a frame of that time. The first frame, and the first of the next file, is due now."""
        if self._offset is None or seconds < self._last_seconds:
            self._offset = now - seconds / self._speed
        self._last_seconds = seconds
        return self._offset + seconds / self._speed
