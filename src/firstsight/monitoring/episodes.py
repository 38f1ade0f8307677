"""When does something begin and end? Two thresholds and two waits turn a number a frame into episodes of time.

A single threshold would make an event of each crossing of a number that trembles about it.

Source: Schmitt, "A thermionic trigger", 1938.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from firstsight.errors import SettingsError


@dataclass(frozen=True)
class Trigger:
    """When an episode begins and ends. Times are in seconds."""

    begins_from: float  # a value that is at least so large may begin one
    ends_below: float  # and one below this may end it
    least_seconds: float = 1.0  # that it has to hold before it counts
    quiet_seconds: float = 2.0  # that it has to be absent before it is over

    def __post_init__(self) -> None:
        if not self.ends_below <= self.begins_from or min(self.least_seconds, self.quiet_seconds) < 0:
            raise SettingsError(f"{self}: valid are an end not above the beginning, and times from 0")


@dataclass(frozen=True)
class Episode:
    """Something that holds for a time."""

    start_seconds: float  # of the first frame from which it held
    last_seconds: float  # of the last frame in which it did
    peak: float  # the largest value
    peak_seconds: float


@dataclass(frozen=True)
class TriggerState:
    """Where a trigger stands between two frames."""

    episode: Episode | None = None  # under way, or waiting to count
    counts: bool = False  # whether its beginning was reported


@dataclass(frozen=True)
class Begun:
    """An episode that began."""

    episode: Episode  # so far


@dataclass(frozen=True)
class Ended:
    """An episode that is over."""

    episode: Episode


def update(
    trigger: Trigger, state: TriggerState, value: float | None, seconds: float
) -> tuple[TriggerState, Begun | Ended | None]:
    """The state after one more frame, and what begins or ends with it; a value of None counts as nothing there.

    What lasts less than `least_seconds` from first to last frame is forgotten unreported.
    """
    episode = state.episode
    if episode is not None and seconds < episode.last_seconds:  # the next file begins
        return TriggerState(), finish(state)
    holds = value is not None and value >= (trigger.begins_from if episode is None else trigger.ends_below)
    if holds and value is not None:
        episode = _longer(episode, value, seconds)
        if not state.counts and seconds - episode.start_seconds >= trigger.least_seconds:
            return TriggerState(episode, counts=True), Begun(episode)
        return TriggerState(episode, state.counts), None
    if episode is None or seconds - episode.last_seconds < (trigger.quiet_seconds if state.counts else 0.0):
        return state, None
    return TriggerState(), finish(state)


def finish(state: TriggerState) -> Ended | None:
    """What ends when no frame will follow."""
    return Ended(state.episode) if state.counts and state.episode else None


def find_episodes(trigger: Trigger, values: Iterable[tuple[float, float | None]]) -> tuple[Episode, ...]:
    """All episodes of (seconds, value) in order of time."""
    state, found = TriggerState(), []
    for seconds, value in values:
        state, news = update(trigger, state, value, seconds)
        if isinstance(news, Ended):
            found.append(news.episode)
    last = finish(state)
    return (*found, last.episode) if last else tuple(found)


def _longer(episode: Episode | None, value: float, seconds: float) -> Episode:
    if episode is None:
        return Episode(seconds, seconds, value, seconds)
    if value > episode.peak:
        return replace(episode, last_seconds=seconds, peak=value, peak_seconds=seconds)
    return replace(episode, last_seconds=seconds)
