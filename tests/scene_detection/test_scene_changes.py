"""Cuts and gradual changes: made ones at known frames, and what is no change however much it moves or flashes."""

import numpy as np
import pytest

from firstsight.errors import PixelsError, SettingsError
from firstsight.pixels import crop_and_resize
from firstsight.scene_detection.changes import Change, Descriptors, SmallPicture, find_changes, measure, passage_lengths

RATE = 25


def picture(seed: int) -> np.ndarray:
    """A smooth random scene, float (180, 320, 3)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (1, 9, 16, 3), dtype=np.uint8)
    rows = np.repeat(np.repeat(coarse, 20, axis=1), 20, axis=2)
    return rows[0].astype(float)


def descriptors_of(frames: list[np.ndarray]) -> Descriptors:
    """Those of an encoder whose maps are the centred pixels of a cell."""
    stacked = np.clip(np.stack(frames), 0, 255).astype(np.uint8)
    small = crop_and_resize(stacked, SmallPicture().crop(320, 180), 3)
    cells = small.reshape(len(small), 3, 6, 4, 8, 3).transpose(0, 1, 3, 2, 4, 5).reshape(len(small), 12, -1)
    maps = (cells - cells.mean(axis=2, keepdims=True)) / 50
    return Descriptors(small, maps.astype(np.float16))


def found(frames: list[np.ndarray]) -> list[tuple[str, int, int]]:
    return [(one.kind, one.first, one.last) for one in find_changes(descriptors_of(frames), frames_per_second=RATE)]


A, B, C = picture(1), picture(2), picture(3)
STILL = [A] * 20


def mixed(weights: np.ndarray) -> list[np.ndarray]:
    return [(1 - weight) * A + weight * B for weight in weights]


@pytest.mark.parametrize("frames", [20, 8, 2])
def test_a_cut_is_found_to_the_frame(frames: int) -> None:
    assert found([*STILL, *[B] * frames]) == [("cut", 20, 20)]


@pytest.mark.parametrize("length", [5, 9, 14, 22, 30, 40])
def test_a_dissolve_is_found_with_its_ends(length: int) -> None:
    ((kind, first, last),) = found([*STILL, *mixed(np.arange(1, length + 1) / (length + 1)), *[B] * 20])
    assert kind == "gradual"
    assert abs(first - 20) <= 2
    assert abs(last - 20 - length) <= 2


def test_a_fade_out_and_in_again_is_one_change() -> None:
    down = np.linspace(1, 0, 14)[1:]
    ((kind, first, last),) = found([*STILL, *[A * one for one in down], *[B * one for one in down[::-1]], *[B] * 20])
    assert kind == "gradual"
    assert first <= 24
    assert last >= 42


def test_changes_that_follow_each_other_are_separate() -> None:
    frames = [*STILL, *[B] * 12, *[(1 - w) * B + w * C for w in np.arange(1, 11) / 11], *[C] * 15, *STILL]
    assert [kind for kind, _, _ in found(frames)] == ["cut", "gradual", "cut"]


NO_CHANGE = {
    "nothing": [A] * 60,
    "a white flash": [*STILL, np.full_like(A, 255), np.full_like(A, 255), *STILL],
    "black frames": [*STILL, *[np.zeros_like(A)] * 3, *STILL],
    "a bright flash": [*STILL, 0.4 * A + 150, *STILL],
    "light turned down": [*STILL, *[A * one for one in np.linspace(1, 0.3, 12)], *[0.3 * A] * 20],
    "light switched off": [*STILL, *[0.3 * A] * 20],
    "another scene for three frames": [*STILL, B, B, B, *STILL],
    "a pan": [np.roll(np.concatenate([A, B, C], axis=1), -6 * step, axis=1)[:, :320] for step in range(80)],
    "noise": [A + np.random.default_rng(step).normal(0, 10, A.shape) for step in range(40)],
}


@pytest.mark.parametrize("name", NO_CHANGE)
def test_what_is_no_change(name: str) -> None:
    assert found(NO_CHANGE[name]) == []


def test_someone_passing_close_by_is_no_change() -> None:
    frames = []
    for x in range(-120, 330, 12):
        frame = A.copy()
        frame[:, max(0, x) : max(0, x + 110)] = (40, 60, 50)
        frames.append(frame)
    assert found([*STILL, *frames, *STILL]) == []


def test_what_appears_before_a_camera_that_stands_still_is_no_change() -> None:
    with_something = A.copy()
    with_something[60:120, 80:240] = B[60:120, 80:240]
    assert found([*STILL, *[with_something] * 20]) == []


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (20, 90, 160)])
def test_bars_hide_nothing_whatever_their_colour(colour: tuple[int, int, int]) -> None:
    frames = [*STILL, *[B] * 20]
    for index, frame in enumerate(frames):
        frames[index] = frame.copy()
        frames[index][:, :80] = frames[index][:, 240:] = colour
    assert found(frames) == [("cut", 20, 20)]


def test_a_long_video_is_looked_at_in_parts_that_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [*STILL, *[B] * 31, *mixed(np.arange(12, 0, -1) / 13), *[A] * 25, *[C] * 40]
    expected = found(frames)
    monkeypatch.setattr("firstsight.scene_detection.changes._CHUNK", 16)
    assert found(frames) == expected
    assert len(expected) == 3


def test_distances_are_those_of_every_pair() -> None:
    drawn = np.random.default_rng(0)
    descriptors = Descriptors(
        drawn.integers(0, 256, (9, 18, 32, 3), np.uint8), drawn.normal(size=(9, 12, 5)).astype(np.float16)
    )
    bands = measure(descriptors, span=12)
    cells = descriptors.pictures.astype(float).reshape(9, 3, 6, 4, 8, 3).transpose(0, 1, 3, 2, 4, 5).reshape(9, 12, -1)
    for apart in range(9):
        for first in range(9 - apart):
            expected = ((cells[first] - cells[first + apart]) ** 2).mean(axis=1)
            np.testing.assert_allclose(bands.light[apart, first], expected, rtol=1e-4, atol=0.1)
    assert np.isnan(bands.structure[9:]).all()
    np.testing.assert_allclose(bands.structure[0], 0, atol=1e-3)


def test_passages_are_tried_up_to_a_time_not_a_number_of_frames() -> None:
    assert passage_lengths(60)[-1] == 108
    assert passage_lengths(25)[0] == 5
    assert all(
        later / earlier < 1.4 for earlier, later in zip(passage_lengths(25), passage_lengths(25)[1:], strict=False)
    )


def test_what_cannot_be_looked_at_is_refused() -> None:
    with pytest.raises(PixelsError, match=r"valid is uint8 \(N, 18, 32, 3\)"):
        Descriptors(np.zeros((2, 9, 16, 3), np.uint8), np.zeros((2, 12, 4), np.float16))
    with pytest.raises(SettingsError, match=r"valid is \(N, 12, maps\)"):
        Descriptors(np.zeros((2, 18, 32, 3), np.uint8), np.zeros((3, 12, 4), np.float16))
    with pytest.raises(SettingsError, match="valid is above 0"):
        find_changes(descriptors_of([A, A]), frames_per_second=0)


def test_one_frame_has_no_change() -> None:
    assert find_changes(descriptors_of([A]), frames_per_second=25) == ()
    assert Change("cut", 3, 3, 1.0).first == 3
