"""Episodes of time from a number a frame, by a trigger with hysteresis: two thresholds and two durations.

With a single threshold, a number that fluctuates about it would begin and end an episode at each crossing.

Where frames are a second or more apart, and no two come within the shortest duration, a single frame is an episode: it
lasts until the next one. That the last two gaps are so long shows that it is no dropout of a stream.

Source: Schmitt, "A thermionic trigger", 1938.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from firstsight.errors import SettingsError

# From so long between two frames on, footage is a time lapse: a single frame may be all that shows a thing.
_LAPSE_SECONDS = 1.0


@dataclass(frozen=True)
class Trigger:
    """When an episode begins and ends."""

    begins_from: float  # lowest value that may begin one
    ends_below: float  # values below this may end it
    min_seconds: float = 1.0  # that it has to last before it counts
    quiet_seconds: float = 2.0  # that it has to be absent before it is over

    def __post_init__(self) -> None:
        if not self.ends_below <= self.begins_from or min(self.min_seconds, self.quiet_seconds) < 0:
            raise SettingsError(f"{self}: valid are an end not above the beginning, and times from 0")


@dataclass(frozen=True)
class Episode:
    """A time during which values are high."""

    start_seconds: float  # of its first frame
    last_seconds: float  # of its last frame
    peak: float  # the largest value
    peak_seconds: float


@dataclass(frozen=True)
class TriggerState:
    """State of a trigger between two frames."""

    episode: Episode | None = None  # in progress, or still too short to count
    counts: bool = False  # whether its beginning was reported
    last_seconds: float | None = None  # of the last frame
    lasts: tuple[float, float] = (0.0, 0.0)  # the last two frames, the later one first


@dataclass(frozen=True)
class Change:
    """An episode that begins or ends."""

    episode: Episode  # so far
    begins: bool


def update(
    trigger: Trigger, state: TriggerState, value: float | None, seconds: float
) -> tuple[TriggerState, Change | None]:
    """The state after one more frame, and what begins or ends with it; None counts as a low value.

    Episodes shorter than `min_seconds` from first to last frame are not reported; in a time lapse a single one is.
    """
    episode = state.episode
    if state.last_seconds is not None and seconds < state.last_seconds:  # the next file begins
        return TriggerState(), finish(state)
    gap = 0.0 if state.last_seconds is None else seconds - state.last_seconds
    lasts = (gap, state.lasts[0])
    holds = value is not None and value >= (trigger.begins_from if episode is None else trigger.ends_below)
    if holds and value is not None:
        episode = _longer(episode, value, seconds)
        is_lapse = min(lasts) >= max(trigger.min_seconds, _LAPSE_SECONDS)
        is_long = is_lapse or seconds - episode.start_seconds >= trigger.min_seconds
        if not state.counts and is_long:
            return TriggerState(episode, True, seconds, lasts), Change(episode, begins=True)
        return TriggerState(episode, state.counts, seconds, lasts), None
    if episode is None or seconds - episode.last_seconds < (trigger.quiet_seconds if state.counts else 0.0):
        return replace(state, last_seconds=seconds, lasts=lasts), None
    return TriggerState(None, False, seconds, lasts), finish(state)


def finish(state: TriggerState) -> Change | None:
    """The end of the episode in progress, if it counts, when no frame will follow."""
    return Change(state.episode, begins=False) if state.counts and state.episode else None


def find_episodes(trigger: Trigger, values: Iterable[tuple[float, float | None]]) -> tuple[Episode, ...]:
    """All episodes of (seconds, value) in order of time."""
    state, found = TriggerState(), []
    for seconds, value in values:
        state, change = update(trigger, state, value, seconds)
        if change and not change.begins:
            found.append(change.episode)
    last = finish(state)
    return (*found, last.episode) if last else tuple(found)


def _longer(episode: Episode | None, value: float, seconds: float) -> Episode:
    if episode is None:
        return Episode(seconds, seconds, value, seconds)
    if value > episode.peak:
        return replace(episode, last_seconds=seconds, peak=value, peak_seconds=seconds)
    return replace(episode, last_seconds=seconds)
