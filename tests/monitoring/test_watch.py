"""A watcher of a made-up stream: what comes, goes, is lost and is back."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from library_made import small_encoder

from firstsight.errors import SettingsError
from firstsight.footage.frames import Frame
from firstsight.footage.stream import Back, Lost
from firstsight.monitoring.novelty import sentry_for
from firstsight.monitoring.watch import Watcher
from firstsight.normality.memory import Memory

ENCODER = small_encoder()
GROUND = np.repeat(np.repeat(np.random.default_rng(0).integers(60, 160, (6, 8, 3), np.uint8), 8, 0), 8, 1)
RED = GROUND.copy()
RED[8:40, 16:56] = (250, 20, 20)


def frame(pixels: np.ndarray, seconds: float) -> Frame:
    view = ENCODER.view.apply(pixels[None])[0]
    return Frame((view,), seconds, round(seconds * 2), "hall", (64, 48))


def shown(begin: float, end: float, *, red: tuple[float, float]) -> list[Frame]:
    """Two frames a second; red between those times."""
    times = np.arange(begin, end, 0.5)
    return [frame(RED if red[0] <= time < red[1] else GROUND, float(time)) for time in times]


MEMORY = Memory(np.zeros((0, 4), np.float32), np.full((10, 4), 0.02), np.ones(100))
ANCHORS = {"red.png": ENCODER.encode(RED[None])[0]}


def test_what_comes_and_goes_is_an_event_once_each() -> None:
    watcher = Watcher(ENCODER, anchors=ANCHORS, novel=True)
    events = [one for arrival in shown(0, 20, red=(8, 12)) for one in watcher.update(arrival)]
    assert watcher.finish() == []
    assert [one.kind for one in events] == ["match begins", "novel begins", "match ends", "novel ends"]
    begun, _, ended, _ = (one for one in events)
    assert (begun.start_seconds, begun.seconds, begun.end_seconds, begun.anchor) == (8.0, 8.5, None, "red.png")
    assert (ended.start_seconds, ended.end_seconds, ended.seconds) == (8.0, 11.5, 13.5)
    assert begun.value == pytest.approx(1, abs=0.05)
    assert events[0].frame.seconds == 8.5
    assert (watcher.num_frames, watcher.num_judged) == (40, 29)


def test_frames_without_a_view_are_not_judged_and_set_nothing() -> None:
    """A minute of darkness after 15 s."""
    watcher, random = Watcher(ENCODER, novel=True), np.random.default_rng(0)
    view = np.repeat(np.repeat(random.integers(60, 160, (6, 8, 3), np.uint8), 8, 0), 8, 1)
    for time in np.arange(0, 75, 0.5):
        picture = view + random.integers(0, 9, view.shape, np.uint8) if time < 15 else np.zeros_like(view)
        shown = frame(picture, float(time))
        watcher.update(replace(shown, pictures=(*shown.pictures, picture)))
    setting_usual = watcher.num_frames - watcher.num_judged - watcher.num_blind
    assert setting_usual == 11
    assert 110 <= watcher.num_blind <= 120


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"stays": True}, "stays is for what is new; give novel=True as well, or leave it out"),
        ({"novel_from": 3}, "novel_from 3 is for what is new"),
        ({"false_alarms": "2/h"}, "false_alarms '2/h' is for what is new"),
        ({"state": Path("a.state")}, "state a.state is for what is new"),
        ({"memory": MEMORY}, "memory is for what is new; give novel=True as well, or leave it out"),
        ({"novel": True, "anchors": None, "match_from": 0.4}, "match_from 0.4 is for anchors"),
        ({"novel": True, "false_alarms": "2/h"}, "false alarms '2/h' need a memory"),
        ({"novel": True, "novel_from": 3, "false_alarms": "2/h"}, "leave one out"),
    ],
)
def test_what_would_do_nothing_is_refused(given: dict, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        Watcher(ENCODER, **{"anchors": ANCHORS, **given})


def test_what_has_begun_ends_at_the_end() -> None:
    watcher = Watcher(ENCODER, anchors=ANCHORS)
    events = [one.kind for arrival in shown(0, 10, red=(8, 99)) for one in watcher.update(arrival)]
    assert events == ["match begins"]
    assert [one.kind for one in watcher.finish()] == ["match ends"]
    assert watcher.finish() == []


def test_anchors_are_changed_while_it_watches() -> None:
    """What has begun of one that is kept goes on; a new one learns what is usual first; a dropped one ends."""
    other = {"ground.png": ENCODER.encode(GROUND[None])[0]}
    watcher, events = Watcher(ENCODER, novel=True), []
    for arrival in [*shown(0, 40, red=(20, 24)), *shown(40, 50, red=(42, 99))]:
        if arrival.seconds in (10, 22, 46):
            watcher.watch_for({10: ANCHORS, 22: other | ANCHORS, 46: other}[arrival.seconds])
        events += [one for one in watcher.update(arrival) if one.anchor == "red.png"]
    begun, ended, again = events
    assert (begun.kind, begun.start_seconds) == ("match begins", 20.0)
    assert (ended.kind, ended.start_seconds, ended.end_seconds) == ("match ends", 20.0, 23.5)
    assert (again.kind, again.start_seconds) == ("match begins", 42.0)
    assert "red.png" not in watcher.latest


def test_events_of_an_anchor_do_not_depend_on_the_others() -> None:
    """Another anchor may be nearly the usual view, and so hardly vary."""
    other = {"ground.png": ENCODER.encode(GROUND[None])[0]}
    random = np.random.default_rng(0)
    footage = []
    for arrival in [*shown(0, 20, red=(8, 12)), *shown(20, 40, red=(30, 31))]:
        noisy = np.clip(arrival.pixels + random.normal(0, 12, arrival.pixels.shape), 0, 255).astype(np.uint8)
        footage.append(Frame((noisy,), arrival.seconds, arrival.index, arrival.source, arrival.size))

    def of_red(anchors: dict[str, np.ndarray]) -> list[dict]:
        watcher = Watcher(ENCODER, anchors=anchors, clock=lambda: "now")
        events = [one for arrival in footage for one in watcher.update(arrival)]
        events += watcher.finish()
        return [one.to_json() for one in events if one.anchor == "red.png"]

    alone = of_red(ANCHORS)
    assert [one["kind"] for one in alone] == ["match begins", "match ends"] * 2
    assert of_red(ANCHORS | other) == of_red(other | ANCHORS) == alone


def test_the_two_clocks_of_an_event_tell_one_moment() -> None:
    """Whatever happens at one arrival has its time by both clocks, and lines are in order of time by either."""
    machine = iter(range(10_000))
    watcher = Watcher(ENCODER, anchors=ANCHORS, clock=lambda: f"{next(machine):05d}")
    arrivals = [
        *shown(0, 10, red=(8, 99)),
        Lost(20.0, "hall", "hall ended"),
        Back(30.0, "hall", 10.0),
        *shown(30, 40, red=(30, 99)),
    ]
    of_stream, events = {}, []
    for number, arrival in enumerate(arrivals):
        of_stream[f"{number:05d}"] = arrival.seconds
        events += watcher.update(arrival)
    events += watcher.finish()
    assert [one.kind for one in events] == ["match begins", "match ends", "lost", "back", "match begins", "match ends"]
    assert [one.seconds for one in events] == [of_stream[one.time] for one in events]
    assert (events[1].seconds, events[1].end_seconds) == (20.0, 9.5)
    for clock in ([one.seconds for one in events], [one.time for one in events]):
        assert clock == sorted(clock)


def test_what_has_begun_ends_with_its_file() -> None:
    """Whether the next one begins at an earlier time or a later one."""
    for begin in (0, 10):
        watcher = Watcher(ENCODER, anchors=ANCHORS)
        stairs = shown(begin, 24, red=(15, 18))
        files = shown(0, 10, red=(8, 99)), [replace(one, source="stairs", duration_seconds=0.5) for one in stairs]
        events = [one for file in files for arrival in file for one in watcher.update(arrival)]
        assert [(one.kind, one.source) for one in events] == [
            ("match begins", "hall"),
            ("match ends", "hall"),
            ("match begins", "stairs"),
            ("match ends", "stairs"),
        ]
        assert (events[1].seconds, events[1].end_seconds, events[2].start_seconds) == (9.5, 9.5, 15.0)


def test_a_short_file_is_judged_by_its_own_frames() -> None:
    judge = sentry_for(ENCODER, memory=MEMORY)
    for name, seconds, pixels in [("a", 8.0, GROUND), ("b", 0.4, GROUND), ("c", 0.4, RED), ("d", 0.4, GROUND)]:
        frames = [
            Frame((ENCODER.view.apply(pixels[None])[0], pixels[..., :1], pixels), index / 12.5, index, name, (64, 48))
            for index in range(round(seconds * 12.5))
        ]
        deviations = [one.deviation for one in judge.update(frames)]
        judge.finish()
        assert (max(one or 0.0 for one in deviations) > 8) == (name == "c"), name


@pytest.mark.parametrize("num", [0, 1, 2])
def test_hardly_any_frames_make_no_event(num: int) -> None:
    watcher = Watcher(ENCODER, anchors=ANCHORS | {"again": ANCHORS["red.png"]}, novel=True)
    assert [one for arrival in shown(0, num / 2, red=(0, 9)) for one in watcher.update(arrival)] == []
    assert watcher.finish() == []
    assert (watcher.num_frames, watcher.num_judged) == (num, 0)
    assert [one.kind for one in watcher.update(Lost(9.0, "hall", "gone"))] == ["lost"]


def test_lost_and_back_are_passed_on() -> None:
    watcher = Watcher(ENCODER, novel=True)
    (lost,) = watcher.update(Lost(3.0, "hall", "hall gave no picture for 10 s"))
    (back,) = watcher.update(Back(9.0, "hall", 6.0))
    assert lost.words() == "     3.00 s  lost: hall gave no picture for 10 s"
    assert back.words() == "     9.00 s  back after 6.0 s"
    assert {"kind": "back", "away_seconds": 6.0, "source": "hall"}.items() <= back.to_json().items()
    assert "reason" not in back.to_json()


def test_what_has_begun_ends_when_the_stream_is_lost_and_may_begin_again() -> None:
    watcher = Watcher(ENCODER, anchors=ANCHORS)
    before = [*shown(0, 10, red=(8, 99)), Lost(20.0, "hall", "hall ended"), Back(3000.0, "hall", 2980.0)]
    events = [one for arrival in [*before, *shown(3000, 3002, red=(0, 9999))] for one in watcher.update(arrival)]
    assert [one.kind for one in events] == ["match begins", "match ends", "lost", "back", "match begins"]
    assert (events[1].end_seconds, events[4].start_seconds) == (9.5, 3000.0)


def test_nothing_to_watch_for_is_refused() -> None:
    with pytest.raises(SettingsError, match="nothing to watch for"):
        Watcher(ENCODER)
