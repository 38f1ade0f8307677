"""Two thresholds and two waits, by hand and against all sequences of a few values."""

import itertools
from dataclasses import replace

import pytest

from firstsight.errors import SettingsError
from firstsight.monitoring.episodes import Trigger, TriggerState, find_episodes, finish, update

TRIGGER = Trigger(8, 6, min_seconds=1, quiet_seconds=2)


def spans(values: list[float | None]) -> list[tuple[float, float]]:
    """Start and last second of what is found, at one value a second."""
    return [(one.start_seconds, one.last_seconds) for one in find_episodes(TRIGGER, enumerate(values))]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 9, 9, 0, 0, 0], [(1, 2)]),
        ([0, 9, 0, 0, 9, 0], [(4, 4)]),  # a frame lasts until the next, once two gaps show that none is missing
        ([0, 9, 7, 7, 0, 0, 0], [(1, 3)]),  # between the thresholds it goes on
        ([0, 7, 7, 7, 0], []),  # but does not begin
        ([9, 9, 0, 9, 9, 0, 0, 0], [(0, 4)]),  # a short gap
        ([9, 9, 0, 0, 0, 9, 9, 0, 0, 0], [(0, 1), (5, 6)]),
        ([0, 9, 9], [(1, 2)]),  # cut off by the end
        ([None, None, 9, 9, None, None, None], [(2, 3)]),
        ([], []),
    ],
)
def test_by_hand(values: list[float | None], expected: list[tuple[float, float]]) -> None:
    assert spans(values) == expected


def test_a_single_frame_is_too_short_where_others_could_have_come() -> None:
    values = [0, 9, 0, 0, 9, 0, 0, 0, 9, 9, 9, 0]
    found = find_episodes(TRIGGER, [(0.5 * number, value) for number, value in enumerate(values)])
    assert [(one.start_seconds, one.last_seconds) for one in found] == [(4, 5)]
    assert find_episodes(TRIGGER, [(0, 0), (0.1, 0), (0.2, 0), (60, 9), (60.1, 0)]) == ()  # after a dropout


@pytest.mark.parametrize("gap", [1, 60, 3600])
def test_a_single_picture_of_a_time_lapse_is_found(gap: int) -> None:
    found = find_episodes(TRIGGER, [(gap * number, 9 if number in {3, 6} else 0) for number in range(7)])
    assert [one.start_seconds for one in found] == [3 * gap, 6 * gap]


def test_every_beginning_has_one_end_and_the_largest_value() -> None:
    trigger = replace(TRIGGER, min_seconds=1.5)
    for values in itertools.product([0.0, 7.0, 9.0, None], repeat=7):
        state, changes = TriggerState(), []
        for seconds, value in enumerate(values):
            state, news = update(trigger, state, value, float(seconds))
            changes += [news] if news else []
        changes += [last] if (last := finish(state)) else []
        assert [change.begins for change in changes] == [True, False] * (len(changes) // 2)
        for begun, ended in zip(changes[::2], changes[1::2], strict=True):
            episode = ended.episode
            first, last = int(episode.start_seconds), int(episode.last_seconds)
            assert begun.episode.start_seconds == first
            assert episode.peak == max(value or 0 for value in values[first : last + 1])
            assert values[int(episode.peak_seconds)] == episode.peak
            assert last - first >= 2
            assert values[first] == 9


def test_the_next_file_has_its_own_episodes() -> None:
    times = [(8.0, 9.0), (9.0, 9.0), (0.0, 9.0), (1.0, 9.0), (2.0, 9.0), (3.0, 0.0)]
    found = [(one.start_seconds, one.last_seconds) for one in find_episodes(TRIGGER, times)]
    assert found == [(8, 9), (1, 2)]


def test_a_trigger_that_ends_above_its_beginning_is_refused() -> None:
    with pytest.raises(SettingsError, match="an end not above the beginning"):
        Trigger(6, 8)
    with pytest.raises(SettingsError, match="times from 0"):
        Trigger(8, 6, min_seconds=-1)


def test_a_single_frame_counts_where_frames_are_far_apart() -> None:
    trigger = Trigger(8.0, 6.0)
    for apart, num in ((60.0, 1), (1.5, 1), (0.5, 0)):
        values = [(apart * index, 36.0 if index == 5 else 1.0) for index in range(10)]
        assert len(find_episodes(trigger, values)) == num
