"""Times of frames from the stamps of a file: stamps that are missing, wrong, wrapped or of another recording."""

import heapq
import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from statistics import median
from typing import Generic, TypeVar

from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

Item = TypeVar("Item")

# Stamps this much before or after the expected time are doubted until the frames that follow decide.
_DOUBT_SECONDS = 1.0

# A jump is real when so many frames have not taken it back.
_AGREEING_FRAMES = 8

# The usual step is the median of so many.
_RECENT_STEPS = 9


@dataclass(frozen=True)
class Timed(Generic[Item]):
    """An item of a time line, with its time."""

    item: Item
    seconds: float | None  # None: it has no picture, or its stamp is wrong


@dataclass(frozen=True)
class _Put(Generic[Item]):
    """An item that waits for its time."""

    item: Item
    stamp: float | None  # as the file states it
    has_picture: bool


class TimeLine(Generic[Item]):
    """Assigns times to frames in order of presentation, each as soon as it is certain.

    A frame without a stamp follows the one before by the usual step. A stamp far ahead that the following frames take
    back is wrong, and its frame has no time. A few stamps that fall behind count as the time of the frame before them.
    If stamps stay behind, or run ahead of the stated end, another recording follows: time continues without a gap.

    Args:
        frame_seconds: the usual duration of a frame.
        start_seconds: when the first frame is expected.
        end_seconds: when the last one ends, if known.
        max_gap_seconds: a longer gap is another clock.
    """

    def __init__(
        self,
        *,
        frame_seconds: float,
        start_seconds: float = 0.0,
        end_seconds: float | None = None,
        max_gap_seconds: float = math.inf,
    ) -> None:
        self._frame_seconds = frame_seconds
        self._expected = start_seconds  # later the time of the last frame
        self._last: float | None = None
        self._end_seconds = math.inf if end_seconds is None else end_seconds + _DOUBT_SECONDS
        self._max_gap_seconds = max_gap_seconds
        self._steps: deque[float] = deque(maxlen=_RECENT_STEPS)
        self._offset = 0.0  # of the current clock
        self._doubted: list[_Put[Item]] = []

    def put(self, item: Item, stamp: float | None) -> list[Timed[Item]]:
        """Adds a frame and its stamp, in seconds; returns the frames whose times are certain now."""
        return self._take(_Put(item, stamp, has_picture=True))

    def put_without_picture(self, item: Item) -> list[Timed[Item]]:
        """Adds an item that has a position in the order, but no picture and no time."""
        return self._take(_Put(item, None, has_picture=False))

    def finish(self) -> list[Timed[Item]]:
        """The remaining frames, as no other follows."""
        done: list[Timed[Item]] = []
        while self._doubted:
            is_wild = not self._is_behind(self._doubt) and self._doubt > self._end_seconds
            done += self._settle(is_wild=is_wild)
        return done

    def _take(self, put: _Put[Item]) -> list[Timed[Item]]:
        stamp = None if put.stamp is None else put.stamp + self._offset
        if not self._doubted:
            if stamp is not None and (self._is_ahead(stamp) or self._is_behind(stamp)):
                self._doubted.append(put)
                return []
            return [self._timed(put)]
        self._doubted.append(put)
        if stamp is not None and self._takes_back(stamp):
            return self._settle(is_wild=not self._is_behind(self._doubt))
        if sum(put.has_picture for put in self._doubted) < _AGREEING_FRAMES:
            return []
        if self._is_behind(self._doubt) or self._is_impossible(self._doubt):
            follows = self._expected if self._last is None else self._last + self._frame_seconds
            self._offset += follows - self._doubt
            self._end_seconds = math.inf  # it was stated for one recording
        return self._settle(is_wild=False)

    def _settle(self, *, is_wild: bool) -> list[Timed[Item]]:
        """Decides about the doubted frame, then about those that waited with it."""
        (first, *others), self._doubted = self._doubted, []
        done = [Timed(first.item, None) if is_wild else self._timed(first)]
        for put in others:
            done += self._take(put)
        return done

    def _timed(self, put: _Put[Item]) -> Timed[Item]:
        if not put.has_picture:
            return Timed(put.item, None)
        if put.stamp is None:
            seconds = 0.0 if self._last is None else self._last + self._frame_seconds
        elif self._last is None:
            seconds = put.stamp + self._offset
        else:
            seconds = max(self._last, put.stamp + self._offset)
            self._steps.append(seconds - self._last)
        self._last = self._expected = seconds
        return Timed(put.item, seconds)

    @property
    def _doubt(self) -> float:
        return (self._doubted[0].stamp or 0.0) + self._offset

    def _takes_back(self, stamp: float) -> bool:
        """Whether a stamp shows that the doubted one was wrong."""
        return stamp >= self._expected if self._is_behind(self._doubt) else stamp < self._doubt

    def _is_ahead(self, stamp: float) -> bool:
        usual = max(self._frame_seconds, median(self._steps) if self._steps else 0.0)
        return stamp - self._expected > max(_DOUBT_SECONDS, 10 * usual)

    def _is_behind(self, stamp: float) -> bool:
        return self._last is not None and self._last - stamp > _DOUBT_SECONDS

    def _is_impossible(self, stamp: float) -> bool:
        return stamp - self._expected > self._max_gap_seconds or stamp > self._end_seconds


class WrappingClock:
    """Unwraps the clock of MPEG, which has 33 bits and starts again from 0 after 26.5 hours.

    FFmpeg would do so, but treats every recording whose clock is a minute behind as such a wrap.
    """

    _PERIOD = 1 << 33
    _NEAR = 60 * 90_000  # a minute: what falls back by a period, give or take so much, has wrapped

    def __init__(self) -> None:
        self.offset = 0  # ticks added so far
        self._last: int | None = None

    def dts(self, ticks: int) -> int:
        """The next decoding stamp."""
        now = ticks + self.offset
        if self._last is not None and -self._NEAR < now + self._PERIOD - self._last < self._NEAR:
            self.offset += self._PERIOD
            now += self._PERIOD
        self._last = now
        return now

    def pts(self, ticks: int, dts: int | None) -> int:
        """The presentation stamp beside a decoding stamp, which wraps a little earlier."""
        now = ticks + self.offset
        return now if dts is None else min((now, now + self._PERIOD), key=lambda ticks: abs(ticks - dts))


class OutputOrder:
    """Presentation stamps for a container that states decoding stamps alone.

    A decoder outputs a frame for each packet, in order of presentation; so each gets the earliest stamp that is free.
    """

    def __init__(self) -> None:
        self._free: list[int] = []

    def decoded(self, dts: int) -> None:
        """Notes the stamp of a packet that the decoder has taken."""
        heapq.heappush(self._free, dts)

    def next(self, *, num_held: int, has_more: bool) -> int | None:
        """The stamp of the next frame.

        Args:
            num_held: frames that the decoder holds back to reorder them.
            has_more: whether more packets follow; at the end the decoder holds nothing back.
        """
        while has_more and len(self._free) > num_held + 1:
            heapq.heappop(self._free)  # of a frame that the decoder has dropped
        return heapq.heappop(self._free) if self._free else None


# The unit of MPEG's clock, by which its 33 bits are recognised.
_MPEG_TIME_BASE = Fraction(1, 90_000)

# The clock of MPEG starts again after twice that.
_HALF_A_CLOCK_SECONDS = (1 << 32) // 90_000

# Decoding stamps only run forward; a step this long, ahead or back, is more than noise.
_JUMP_SECONDS = 1.0

# A clock that returns from a jump is that near to its old time, plus the frames since.
_BACK_WITHIN_SECONDS = 10.0

# So many jumps ahead are remembered, to recognise a return from them.
_REMEMBERED_JUMPS = 8

# Another recording has begun where so many packets in a row are behind.
_FALLEN_PACKETS = 8


@dataclass(frozen=True)
class _Jump:
    """A decoding stamp far ahead of the one before."""

    dts_before: int
    reached: int | None  # by the packets before it
    num_packets: int  # before it


class PacketClock:
    """Follows the decoding stamps of a stream. All its times are ticks.

    Attributes:
        reached: where the last packet in order of presentation ends; None before the first.
    """

    def __init__(self, time_base: Fraction, *, frame_seconds: float) -> None:
        self.reached: int | None = None
        self._time_base = time_base
        self._frame_ticks = round(frame_seconds / time_base)
        self._wrapping = WrappingClock() if time_base == _MPEG_TIME_BASE else None
        self._last: int | None = None  # decoding stamp
        self._num_packets = 0
        self._jumps: deque[_Jump] = deque(maxlen=_REMEMBERED_JUMPS)

    @property
    def has_wrapped(self) -> bool:
        """Whether stamps are not those that are in the file any more."""
        return self._wrapping is not None and self._wrapping.offset > 0

    def unwrap(self, packet: "Packet[VideoStream]") -> None:
        """Unwraps the stamps of a packet in place. Call it for each packet."""
        if self._wrapping is None:
            return
        if packet.dts is not None:
            packet.dts = self._wrapping.dts(packet.dts)
        if packet.pts is not None:
            packet.pts = self._wrapping.pts(packet.pts, packet.dts)

    def follow(self, packets: "Iterator[Packet[VideoStream]]") -> "Iterator[tuple[Packet[VideoStream], int | None]]":
        """The packets; with the first of another recording the ticks by which it moves to follow the one before."""
        following = deque["Packet[VideoStream]"]()
        while packet := following.popleft() if following else next(packets, None):
            moved_ticks = None
            if packet.is_discard:  # an edit list leaves it out: the next part need not follow it
                yield packet, None
                continue
            if self._last is None or packet.dts is None or not self._is_jump(self._last - packet.dts):
                self._note(packet)
            else:
                following.extend(islice(packets, max(0, _FALLEN_PACKETS - len(following))))
                if self._starts_again(packet, following):
                    moved_ticks = self._start_again(packet)
            yield packet, moved_ticks

    def _starts_again(self, packet: "Packet[VideoStream]", following: "Iterable[Packet[VideoStream]]") -> bool:
        """Whether another recording begins with a packet that falls back: transport streams are appended.

        It does not if the packets before it were wrongly ahead, nor if only few are behind.
        """
        for jump in reversed(self._jumps):
            num_since = self._num_packets - jump.num_packets
            back = (packet.dts or 0) - jump.dts_before
            if 0 < back <= _BACK_WITHIN_SECONDS / self._time_base + num_since * self._frame_ticks:
                self.reached = jump.reached
                self._note_first(packet)
                return False
        shown = [later.dts for later in following if later.dts is not None and not later.is_discard]
        return all(dts < (self._last or 0) for dts in shown)

    def _start_again(self, packet: "Packet[VideoStream]") -> int:
        """Notes the first packet of another recording; returns the ticks by which it moves to follow the one before."""
        first = stamp_of(packet) or 0
        distance = (first if self.reached is None else self.reached) - first
        self.reached = None
        self._note_first(packet)
        return distance

    def _note(self, packet: "Packet[VideoStream]") -> None:
        if self._last is not None and packet.dts is not None and self._is_jump(packet.dts - self._last):
            self._jumps.append(_Jump(self._last, self.reached, self._num_packets))
        self._last = self._last if packet.dts is None else packet.dts
        self._num_packets += 1
        stamp = stamp_of(packet)
        if stamp is not None:
            end = stamp + (packet.duration or self._frame_ticks)
            self.reached = end if self.reached is None else max(self.reached, end)

    def _note_first(self, packet: "Packet[VideoStream]") -> None:
        self._jumps.clear()
        self._last = None
        self._note(packet)

    def _is_jump(self, ticks: int) -> bool:
        return ticks * self._time_base > _JUMP_SECONDS


def stamp_of(timed: "VideoFrame | Packet[VideoStream]") -> int | None:
    """The presentation stamp of a frame or packet, or else the decoding stamp."""
    return timed.dts if timed.pts is None else timed.pts


def first_stamp(container: InputContainer) -> Fraction:
    """The first stamp of all streams, in seconds; 0 if none states one."""
    stamps = [
        stream.start_time * stream.time_base
        for stream in container.streams
        if stream.start_time is not None and stream.time_base is not None
    ]
    first = min(stamps, default=Fraction(0))
    # If the clock wraps near the beginning, a stream that begins before the wrap is the first.
    return max(stamps) if stamps and max(stamps) - first > _HALF_A_CLOCK_SECONDS else first
