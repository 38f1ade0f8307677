"""The clock of packets in order of decoding: it runs forward, wraps, jumps by a fault, or begins anew."""

import heapq
import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from statistics import median
from typing import Generic, TypeVar

from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

Item = TypeVar("Item")

# Stamps this much before or after what is expected are doubted until the frames that follow say which is right.
_DOUBT_SECONDS = 1.0

# A jump is believed when so many frames have not taken it back.
_AGREEING_FRAMES = 8

# Of so many steps the middle one is usual.
_RECENT_STEPS = 9


@dataclass(frozen=True)
class Timed(Generic[Item]):
    """What was put on a time line."""

    item: Item
    seconds: float | None  # None: it has no time, because it has no picture or because its stamp is wild


@dataclass(frozen=True)
class _Put(Generic[Item]):
    """What waits for its time."""

    item: Item
    stamp: float | None  # as the file states it
    has_picture: bool


class TimeLine(Generic[Item]):
    """Gives frames in order of presentation their times, each as soon as it is certain.

    A frame without a stamp follows the one before by the usual distance. A stamp far ahead that the following frames
    take back is wild, and its frame has no time. Of stamps that fall behind, a few count as the time of the frame
    before them. If they fall behind for good, or run ahead of what is possible, another recording follows: time goes on
    without a gap.

    Args:
        frame_seconds: how long a frame lasts that is followed by one without a stamp.
        start_seconds: when the first frame is expected.
        end_seconds: when the last one ends, if that is known.
        longest_gap_seconds: what is longer is no pause, but another clock.
    """

    def __init__(
        self,
        *,
        frame_seconds: float,
        start_seconds: float = 0.0,
        end_seconds: float | None = None,
        longest_gap_seconds: float = math.inf,
    ) -> None:
        self._frame_seconds = frame_seconds
        self._expected = start_seconds  # at first when the first frame is expected, then the time of the last one
        self._last: float | None = None
        self._end_seconds = math.inf if end_seconds is None else end_seconds + _DOUBT_SECONDS
        self._longest_gap_seconds = longest_gap_seconds
        self._steps: deque[float] = deque(maxlen=_RECENT_STEPS)
        self._offset = 0.0  # of the clock that runs now
        self._doubted: list[_Put[Item]] = []

    def put(self, item: Item, stamp: float | None) -> list[Timed[Item]]:
        """Adds a frame and its stamp, in seconds; gives the frames whose times are certain now."""
        return self._take(_Put(item, stamp, has_picture=True))

    def put_without_picture(self, item: Item) -> list[Timed[Item]]:
        """Adds what has a place in the order, but no picture and no time."""
        return self._take(_Put(item, None, has_picture=False))

    def finish(self) -> list[Timed[Item]]:
        """What remains when no frame follows."""
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
        if sum(one.has_picture for one in self._doubted) < _AGREEING_FRAMES:
            return []
        if self._is_behind(self._doubt) or self._is_impossible(self._doubt):
            follows = self._expected if self._last is None else self._last + self._frame_seconds
            self._offset += follows - self._doubt
            self._end_seconds = math.inf  # it was stated of one recording
        return self._settle(is_wild=False)

    def _settle(self, *, is_wild: bool) -> list[Timed[Item]]:
        """Decides about the frame that is doubted, and looks at those that waited with it anew."""
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
        """Whether a stamp shows that the doubted one was a fault of its own."""
        return stamp >= self._expected if self._is_behind(self._doubt) else stamp < self._doubt

    def _is_ahead(self, stamp: float) -> bool:
        usual = max(self._frame_seconds, median(self._steps) if self._steps else 0.0)
        return stamp - self._expected > max(_DOUBT_SECONDS, 10 * usual)

    def _is_behind(self, stamp: float) -> bool:
        return self._last is not None and self._last - stamp > _DOUBT_SECONDS

    def _is_impossible(self, stamp: float) -> bool:
        return stamp - self._expected > self._longest_gap_seconds or stamp > self._end_seconds


class WrappingClock:
    """Makes the clock of MPEG run on, which has 33 bits and starts again from 0 after 26.5 hours.

    FFmpeg would do so, but takes every recording whose clock is a minute behind for such a wrap.
    """

    _PERIOD = 1 << 33
    _NEAR = 60 * 90_000  # a minute: what falls back by a whole period but for so much has wrapped

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
        return now if dts is None else min((now, now + self._PERIOD), key=lambda one: abs(one - dts))


class OutputOrder:
    """Presentation stamps for a container that states decoding stamps alone.

    A decoder gives as many frames as it takes, in order of presentation; so each takes the earliest stamp that is free.
    """

    def __init__(self) -> None:
        self._free: list[int] = []

    def decoded(self, dts: int) -> None:
        """A packet went into the decoder, which did not refuse it."""
        heapq.heappush(self._free, dts)

    def next(self, *, num_held: int, has_more: bool) -> int | None:
        """The stamp of the next frame.

        Args:
            num_held: frames that the decoder holds back to put them in order.
            has_more: whether packets still go in; at the end all that is held back comes out.
        """
        while has_more and len(self._free) > num_held + 1:
            heapq.heappop(self._free)  # of a frame that the decoder has dropped
        return heapq.heappop(self._free) if self._free else None


# The clock of MPEG has 33 bits; no other has its unit and so few.
_MPEG_TIME_BASE = Fraction(1, 90_000)

# The clock of MPEG starts again after twice that.
_HALF_A_CLOCK_SECONDS = (1 << 32) // 90_000

# Decoding stamps only run forward; a step this long, ahead or back, is more than noise.
_JUMP_SECONDS = 1.0

# A clock that comes back from a jump is that near to where it was, and to the frames that came since.
_BACK_WITHIN_SECONDS = 10.0

# So many jumps ahead are remembered, to know it when the clock comes back from them.
_REMEMBERED_JUMPS = 8


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
        """Makes the stamps of a packet go on where a clock of 33 bits has wrapped. To be asked of each packet."""
        if self._wrapping is None:
            return
        if packet.dts is not None:
            packet.dts = self._wrapping.dts(packet.dts)
        if packet.pts is not None:
            packet.pts = self._wrapping.pts(packet.pts, packet.dts)

    def falls_back(self, packet: "Packet[VideoStream]") -> bool:
        """Whether a packet is far behind the one before."""
        return self._last is not None and packet.dts is not None and self._is_jump(self._last - packet.dts)

    def starts_again(self, packet: "Packet[VideoStream]", following: "Iterable[Packet[VideoStream]]") -> bool:
        """Whether another recording begins with a packet that falls back: transport streams are appended.

        It does not if the packets before it were ahead by a fault, nor if it and few others are behind.
        """
        for jump in reversed(self._jumps):
            num_since = self._num_packets - jump.num_packets
            back = (packet.dts or 0) - jump.dts_before
            if 0 < back <= _BACK_WITHIN_SECONDS / self._time_base + num_since * self._frame_ticks:
                self.reached = jump.reached
                self._note_anew(packet)
                return False
        return all(one.dts is None or one.dts < (self._last or 0) for one in following)

    def start_again(self, packet: "Packet[VideoStream]") -> int:
        """Notes the first packet of another recording; gives how far it has to be moved to follow the one before."""
        first = stamp_of(packet) or 0
        distance = (first if self.reached is None else self.reached) - first
        self.reached = None
        self._note_anew(packet)
        return distance

    def note(self, packet: "Packet[VideoStream]") -> None:
        """Notes a packet that follows the one before."""
        if self._last is not None and packet.dts is not None and self._is_jump(packet.dts - self._last):
            self._jumps.append(_Jump(self._last, self.reached, self._num_packets))
        self._last = self._last if packet.dts is None else packet.dts
        self._num_packets += 1
        stamp = stamp_of(packet)
        if stamp is not None:
            end = stamp + (packet.duration or self._frame_ticks)
            self.reached = end if self.reached is None else max(self.reached, end)

    def _note_anew(self, packet: "Packet[VideoStream]") -> None:
        self._jumps.clear()
        self._last = None
        self.note(packet)

    def _is_jump(self, ticks: int) -> bool:
        return ticks * self._time_base > _JUMP_SECONDS


def stamp_of(timed: "VideoFrame | Packet[VideoStream]") -> int | None:
    """The presentation stamp of a frame or packet, or failing that the decoding stamp."""
    return timed.dts if timed.pts is None else timed.pts


def first_stamp(container: InputContainer) -> Fraction:
    """The first stamp of all streams, in seconds; 0 if none states one."""
    stamps = [
        stream.start_time * stream.time_base
        for stream in container.streams
        if stream.start_time is not None and stream.time_base is not None
    ]
    first = min(stamps, default=Fraction(0))
    # If the clock wraps at the very beginning, a stream that begins before it is the first.
    return max(stamps) if stamps and max(stamps) - first > _HALF_A_CLOCK_SECONDS else first
