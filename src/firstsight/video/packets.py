"""The clock of packets in order of decoding: it runs forward, wraps, jumps by a fault, or begins anew."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from firstsight.video.clock import WrappingClock

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
