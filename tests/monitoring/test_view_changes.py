"""A view that is moved, covered, dark or frozen is reported as such within two seconds; another light is no event."""

from collections.abc import Callable

import numpy as np
import pytest

from firstsight.errors import PixelsError
from firstsight.monitoring.sketch import sketch
from firstsight.monitoring.view_watch import ViewEvent, ViewWatch, is_blind
from firstsight.normality.motion import cells_in

HEIGHT, WIDTH = 120, 160


def made_view(seed: int) -> np.ndarray:
    """Rectangles of all sizes: float (HEIGHT, WIDTH)."""
    random = np.random.default_rng(seed)
    view = np.full((HEIGHT, WIDTH), 110.0)
    for _ in range(150):
        row, column = random.integers(HEIGHT), random.integers(WIDTH)
        high, wide = random.integers(5, 25, 2)
        view[row : row + high, column : column + wide] = random.uniform(50, 180)
    return view


VIEW, OTHER = made_view(0), made_view(1)
RANDOM = np.random.default_rng(2)


def noisy(view: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(int(view.sum()) % 1000).normal(0, 2, view.shape)
    picture = np.clip(np.roll(noise, noisy.calls * 7) + view, 0, 255).astype(np.uint8)
    noisy.calls += 1
    return np.repeat(picture[..., None], 3, axis=2)


noisy.calls = 0


def events_of(change: Callable[[int], np.ndarray], *, after: int = 20, raw: bool = False) -> list[ViewEvent]:
    """Ten seconds of the view at two frames a second, then what `change` makes of each frame."""
    watch, found = ViewWatch(), []
    for index in range(20 + after):
        picture = noisy(VIEW) if index < 20 else (change(index - 20) if raw else noisy(change(index - 20)))
        found += watch.update(picture, index / 2)[1]
    return found


@pytest.mark.parametrize(
    "change",
    [
        lambda _: VIEW,
        lambda _: 0.5 * VIEW,
        lambda _: 1.4 * VIEW,
        lambda index: VIEW * (1 - 0.5 * min(1, index / 15)),
        lambda _: 255 * (VIEW / 255) ** 0.6 * np.linspace(1.3, 0.7, WIDTH)[None],
        lambda _: VIEW + RANDOM.normal(0, 10, VIEW.shape),
        lambda index: np.roll(VIEW, (-1) ** index, axis=1),
    ],
    ids=["nothing", "darker", "brighter", "fades", "infrared", "noise", "shake"],
)
def test_another_light_noise_and_a_shake_are_no_event(change: Callable[[int], np.ndarray]) -> None:
    assert events_of(change) == []


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda _: np.roll(VIEW, 12, axis=1), "moved"),
        (lambda _: OTHER, "moved"),
        (lambda _: np.full(VIEW.shape, 120.0), "covered begins"),
        (lambda _: np.full(VIEW.shape, 6.0), "dark begins"),
    ],
    ids=["bumped", "turned", "covered", "dark"],
)
def test_what_happens_to_the_camera_is_reported_once_and_soon(change: Callable, kind: str) -> None:
    watch, found = ViewWatch(), []
    for index in range(60):
        found += [(index / 2, one) for one in watch.update(noisy(change(0) if index >= 20 else VIEW), index / 2)[1]]
    ((seconds, event),) = found
    assert event.kind == kind
    assert seconds - 10 <= 2
    assert event.start_seconds == 10
    assert [one.kind for one in watch.finish()] == ([] if kind == "moved" else [kind.replace("begins", "ends")])


def test_the_shift_of_a_bump_is_a_share_of_the_view() -> None:
    (event,) = events_of(lambda _: np.roll(VIEW, (-6, 16), axis=(0, 1)))
    assert event.shift == pytest.approx((0.1, -0.05))


def test_after_a_move_the_new_view_is_usual() -> None:
    kinds = [one.kind for one in events_of(lambda index: OTHER if index < 30 else VIEW, after=60)]
    assert kinds == ["moved", "moved"]


def test_a_camera_that_was_covered_shows_its_view_again() -> None:
    cover = np.full(VIEW.shape, 120.0)
    first, second = events_of(lambda index: cover if index < 20 else VIEW, after=40)
    assert (first.kind, second.kind) == ("covered begins", "covered ends")
    assert (second.start_seconds, second.end_seconds) == (10.0, 19.5)


def looked(watch: ViewWatch, view: np.ndarray, *, start: float, seconds: float, fps: float = 2.0) -> list[tuple]:
    """How each picture of a view is judged, and its events."""
    return [watch.update(noisy(view), start + index / fps) for index in range(round(seconds * fps))]


def kinds_of(found: list[tuple]) -> list[str]:
    return [one.kind for _, events in found for one in events]


def test_a_view_that_moved_as_a_file_ended_is_usual_soon_in_the_next_one() -> None:
    watch = ViewWatch()
    looked(watch, VIEW, start=0, seconds=90)
    assert kinds_of(looked(watch, OTHER, start=90, seconds=1.5)) == ["moved"]
    watch.finish()
    blind = [is_blind(judged) for judged, _ in looked(watch, OTHER, start=0, seconds=20)]
    assert blind[0]
    assert not any(blind[10:])


def test_a_camera_that_was_turned_as_the_stream_was_lost_is_moved() -> None:
    watch = ViewWatch()
    looked(watch, VIEW, start=0, seconds=10, fps=4)
    found = looked(watch, OTHER, start=10, seconds=0.5, fps=4)
    watch.finish()
    assert kinds_of(found + looked(watch, OTHER, start=40, seconds=5, fps=4)) == ["moved"]


@pytest.mark.parametrize("grey", [120.0, 6.0])
@pytest.mark.parametrize("seconds", [10, 40])
def test_a_camera_that_was_turned_while_it_was_covered_is_moved(grey: float, seconds: int) -> None:
    watch = ViewWatch()
    looked(watch, VIEW, start=0, seconds=10)
    looked(watch, np.full(VIEW.shape, grey), start=10, seconds=seconds)
    assert "moved" in kinds_of(looked(watch, OTHER, start=10 + seconds, seconds=10))


@pytest.mark.parametrize("fps", [2.0, 5.0, 12.5])
def test_somebody_who_stands_there_as_the_light_is_switched_is_no_light(fps: float) -> None:
    watch, person, cells = ViewWatch(), VIEW.copy(), np.zeros((6, 8), np.bool_)
    person[42:98, 62:98] = OTHER[42:98, 62:98]
    cells[2:5, 3:5] = True
    looked(watch, VIEW, start=0, seconds=6, fps=fps)
    looked(watch, person, start=6, seconds=6, fps=fps)
    after = [judged for judged, _ in looked(watch, 0.6 * person, start=12, seconds=6, fps=fps)]
    assert (after[-1].only_light & cells).sum() <= 1
    assert sum((judged.settled & cells).sum() for judged in after if judged.settled is not None) <= 1


def test_pictures_that_follow_faster_than_16_a_second_are_as_the_one_before() -> None:
    slow, fast = ViewWatch(), ViewWatch()
    for index in range(120):
        picture = noisy(VIEW if index < 60 else OTHER)
        judged, events = slow.update(picture, index / 10)
        at_once = [fast.update(picture if again == 0 else noisy(OTHER), index / 10 + again / 50) for again in range(3)]
        after = "usual" if judged.starts_again else judged.state  # what starts again is no longer moved
        assert [one.state for one, _ in at_once] == [judged.state, after, after]
        assert (at_once[0][0].starts_again, at_once[0][1]) == (judged.starts_again, events)
        assert not any(one.starts_again or found for one, found in at_once[1:])


def test_one_picture_again_and_again_is_frozen() -> None:
    frozen = noisy(VIEW)
    begins, ends = events_of(lambda index: frozen if index < 20 else noisy(VIEW), after=40, raw=True)
    assert (begins.kind, ends.kind) == ("frozen begins", "frozen ends")
    assert begins.start_seconds == ends.start_seconds == 10  # not 11, when that is known


def test_a_turn_is_told_once_however_often_the_stream_breaks_off() -> None:
    watch, kinds = ViewWatch(), []
    for index in range(160):
        picture = noisy(VIEW if index < 60 else OTHER)
        kinds += [event.kind for event in watch.update(picture, index / 10)[1]]
        if index > 60 and index % 20 == 0:
            kinds += [event.kind for event in watch.finish()]
    assert kinds == ["moved"]


def test_while_a_stream_is_frozen_every_picture_is_judged_so() -> None:
    watch, frozen = ViewWatch(), noisy(VIEW)
    looked(watch, VIEW, start=0, seconds=10)
    judged = [watch.update(frozen, 10 + index / 2)[0].is_frozen for index in range(20)]
    assert all(judged[5:])


def test_a_view_that_never_had_noise_cannot_freeze() -> None:
    watch, still = ViewWatch(), np.repeat(VIEW.astype(np.uint8)[..., None], 3, axis=2)
    assert [one for index in range(60) for one in watch.update(still, index / 2)[1]] == []


def test_cells_of_a_crop_are_those_at_its_place() -> None:
    cells = np.zeros((6, 8), np.bool_)
    cells[:, 4:] = True
    right = cells_in((320, 0, 320, 480), cells, (640, 480), (6, 8))
    both = cells_in((0, 0, 640, 480), cells, (640, 480), (6, 8))
    assert right.all()
    assert np.array_equal(both, cells.ravel())


@pytest.mark.parametrize("picture", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_what_is_no_picture_is_refused(picture: np.ndarray) -> None:
    with pytest.raises(PixelsError, match="valid is uint8"):
        sketch(picture)
