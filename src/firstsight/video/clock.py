"""The time line of a recording: times that never run backwards, from stamps stated, left out or damaged."""

import heapq
import math
from collections import deque
from dataclasses import dataclass
from statistics import median
from typing import Generic, TypeVar

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
