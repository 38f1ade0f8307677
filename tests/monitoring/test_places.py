"""Episodes place by place: what is at two places is two, what moves is one."""

import numpy as np

from firstsight.monitoring.episodes import Trigger
from firstsight.monitoring.places import PlaceChange, Places

TRIGGER = Trigger(8.0, 6.0)


def grid(*cells: tuple[int, int], value: float = 20.0) -> np.ndarray:
    values = np.ones((6, 8))
    for cell in cells:
        values[cell] = value
    return values


def changes(*grids: np.ndarray | None) -> list[tuple[float, PlaceChange]]:
    """Of frames half a second apart, and what ends after the last."""
    places, found = Places(TRIGGER), []
    for index, values in enumerate(grids):
        found += [(index / 2, one) for one in places.update(values, index / 2)]
    return found + [(len(grids) / 2, one) for one in places.finish()]


def begun(*grids: np.ndarray | None) -> list[float]:
    """When each episode began."""
    return [one.episode.start_seconds for _, one in changes(*grids) if one.begins]


def test_two_things_at_two_places_are_two_events() -> None:
    one, both = grid((2, 1)), grid((2, 1), (3, 6))
    assert begun(*[one] * 4, *[both] * 6) == [0.0, 2.0]
    assert begun(*[both] * 6) == [0.0, 0.0]


def test_a_thing_that_stays_does_not_hide_the_next() -> None:
    lamp, person = (0, 0), [(3, column) for column in range(7, 2, -1)]
    assert begun(*[grid(lamp)] * 10, *(grid(lamp, one) for one in person)) == [0.0, 5.0]


def test_what_moves_is_one_event_however_fast() -> None:
    assert begun(*(grid((3, column)) for column in range(8))) == [0.0]
    assert begun(*(grid((3, column), (3, column + 1)) for column in (0, 3, 6, 2))) == [0.0]


def test_what_comes_elsewhere_later_is_another() -> None:
    assert begun(*[grid((3, 1))] * 4, grid(), *[grid((3, 7))] * 4) == [0.0, 2.5]


def test_things_that_meet_and_part_stay_two() -> None:
    apart, met = grid((2, 0), (2, 6)), grid((2, 2), (2, 3))
    near = grid((2, 1), (2, 5))
    found = changes(apart, apart, apart, near, met, near, apart, apart)
    assert len([1 for _, one in found if one.begins]) == 2


def test_parts_of_a_thing_that_meet_before_they_count_are_one_event() -> None:
    parts, whole = grid((0, 3), (4, 3)), grid(*((row, 3) for row in range(5)))
    assert begun(parts, *[whole] * 6) == [0.0]


def test_what_is_seen_beside_a_thing_for_a_moment_is_a_part_of_it() -> None:
    places = Places(Trigger(8.0, 6.0, min_seconds=0.0))
    frames = [grid((2, 1)), *[grid((2, 1), (2, 5))] * 3, *[grid((2, 1))] * 5, *[grid((2, 1), (2, 5))] * 10]
    began = [
        (index / 8, one.episode.start_seconds)
        for index, values in enumerate(frames)
        for one in places.update(values, index / 8)
        if one.begins
    ]
    assert began == [(0.0, 0.0), (1.625, 1.125)]


def test_what_is_reported_by_other_numbers_begins_when_that_is_over() -> None:
    places, reported = Places(TRIGGER), grid((2, 2)) > 8
    found = [
        (index / 2, one.episode.start_seconds)
        for index in range(12)
        for one in places.update(grid((2, 1), (5, 7)), index / 2, reported=reported if index < 8 else None)
        if one.begins
    ]
    assert found == [(1.0, 0.0), (4.0, 0.0)]


def test_an_event_has_its_largest_value_and_where_it_was() -> None:
    found = changes(grid((2, 1)), grid((2, 1), (2, 2), value=50.0), grid((2, 1)), None)
    end = found[-1][1]
    assert (end.begins, end.episode.peak, end.episode.peak_seconds) == (False, 50.0, 0.5)
    assert [tuple(cell) for cell in np.argwhere(end.cells)] == [(2, 1), (2, 2)]


def test_without_a_view_things_end() -> None:
    found = changes(*[grid((2, 1))] * 4, *[None] * 6)
    assert [one.begins for _, one in found] == [True, False]
    assert changes(*[grid((2, 1))] * 2, None, None) == []
