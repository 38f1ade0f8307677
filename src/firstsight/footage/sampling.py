"""Which frames of a video are used: a span of time, and in it every n-th frame or so many a second."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from firstsight.errors import SettingsError, check_count, check_number, check_seconds

# Matroska and others round times to a millisecond, so the frame of a tick can be that much before it.
_TICK_TOLERANCE_SECONDS = 0.001

# Of fewer frames nothing is held out: learning needs them all.
MIN_FRAMES_TO_SPLIT = 200


@dataclass(frozen=True)
class Sampling:
    """The frames to use. Times are seconds from the presentation zero of the file."""

    start_seconds: float | None = None  # the first frame used is at or after it
    end_seconds: float | None = None  # the last frame used is before it
    every: int | None = None  # one frame in so many, counted from the first used
    frames_per_second: float | None = None  # the first frame at or after each tick start + k / frames_per_second
    one_in: int = 1  # of the frames that would be used, one in so many
    keyframes: bool = False  # of the keyframes alone, which are decoded without the frames between

    def __post_init__(self) -> None:
        self._check_kinds()
        if self.end_seconds is not None and (self.start_seconds or 0) >= self.end_seconds:
            raise SettingsError(
                f"the end, {self.end_seconds:g} s, is not after the start, {self.start_seconds or 0:g} s: "
                "give an end that is later"
            )
        if self.every is not None and self.frames_per_second is not None:
            raise SettingsError(
                f"every {self.every} and {self.frames_per_second:g} frames per second contradict each other: give one"
            )

    def _check_kinds(self) -> None:
        """Checks each number by itself, and makes Python's of those of NumPy, which are written to files."""
        for name, check in _CHECKS.items():
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, check(value))

    def step(self, nth: int, seconds: float) -> int:
        """The step of the sampling that a frame falls into; the first frame of each step is used.

        Args:
            nth: index of the frame, counted from the first at or after the start.
            seconds: its time.
        """
        if self.frames_per_second is not None:
            since_start = seconds - (self.start_seconds or 0) + _TICK_TOLERANCE_SECONDS
            return math.floor(since_start * self.frames_per_second)
        return nth // (self.every or 1)

    def num_frames(self, first_seconds: float, rate: float, count: int) -> int:
        """How many frames are used of `count` frames at a fixed rate, the first of them at `first_seconds`."""
        start, end = self.start_seconds or -math.inf, self.end_seconds
        skipped = max(0, math.ceil((start - first_seconds) * rate - 1e-6)) if start > first_seconds else 0
        ended = count if end is None else min(count, math.ceil((end - first_seconds) * rate - 1e-6))
        used = max(0, ended - skipped)
        if self.frames_per_second is not None and used:
            last = self.step(0, first_seconds + (ended - 1) / rate)
            used = min(used, last - self.step(0, first_seconds + skipped / rate) + 1)
        return -(-used // ((self.every or 1) * self.one_in))


class Sampler:
    """Decides frame by frame, in order of presentation, whether a frame is used."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._first_index: int | None = None
        self._step: int | None = None
        self._num_steps = 0

    def keeps(self, index: int, seconds: float) -> bool:
        """Whether the frame with that index and time is used. Call it once for each frame."""
        start, end = self._sampling.start_seconds, self._sampling.end_seconds
        if (start is not None and seconds < start) or (end is not None and seconds >= end):
            return False
        if self._first_index is None:
            self._first_index = index
        step = self._sampling.step(index - self._first_index, seconds)
        if self._step is not None and step <= self._step:
            return False
        self._step = step
        self._num_steps += 1
        return (self._num_steps - 1) % self._sampling.one_in == 0


def check_share(share: float) -> None:
    """Raises SettingsError unless a share to hold out is above 0 and at most a half."""
    if not 0 < share <= 0.5:
        raise SettingsError(f"a share of {share} to hold out; valid is a number above 0, up to a half")


def check_rate(value: object) -> float:
    """The value as a float, if it is a rate of frames. Raises a SettingsError if it is not."""
    return check_number("{} frames per second", value, "a number above 0, such as 0.5 or 10", lambda rate: rate > 0)


_CHECKS: dict[str, Callable[[object], float]] = {
    "start_seconds": partial(check_seconds, "start {} s"),
    "end_seconds": partial(check_seconds, "end {} s"),
    "every": partial(check_count, "every {}"),
    "frames_per_second": check_rate,
}
