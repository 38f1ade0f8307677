"""Motion in boxes: directions, frames that follow fast or slowly, and the one-sided memory."""

import numpy as np
import pytest
import torch

from firstsight.footage.frames import Frame
from firstsight.normality.motion import (
    Motion,
    MotionView,
    blocks_of,
    box_at,
    boxes_for,
    excess,
    in_boxes,
    largest_of,
    of_things,
    remembered,
    units_of,
)

GROUND = np.repeat(np.repeat(np.random.default_rng(0).integers(0, 255, (20, 30), np.uint8), 8, 0), 8, 1)


def frame(index: int, seconds: float, *, moved: int = 0, source: str = "a.mp4") -> Frame:
    return Frame((np.roll(GROUND, moved, axis=1)[..., None],), seconds, index, source, (240, 160))


def test_directions_stay_apart() -> None:
    flow = torch.zeros(1, 2, 80, 120)
    flow[:, 0], flow[:, 1] = 2.0, -3.0
    right, down, left, up = in_boxes(flow)[0].amax(dim=(1, 2)).tolist()
    assert (right, down, left, up) == pytest.approx((2, 0, 0, 3))


@pytest.mark.parametrize("size", [(640, 480), (1280, 720), (333, 251), (64, 48), (1920, 400), (120, 700)])
def test_how_many_boxes_a_picture_has_is_known_before_anything_moves(size: tuple[int, int]) -> None:
    crop = MotionView().crop(*size)
    picture = np.random.default_rng(0).integers(0, 255, (crop.out_height, crop.out_width, 1), np.uint8)
    _, boxes = Motion().update([Frame((picture,), index / 10, index, "a.mp4", size) for index in range(2)])
    assert boxes is not None
    assert boxes.shape[1:] == boxes_for(size)


def test_what_moves_everywhere_is_no_thing() -> None:
    """Noise, rain, a shaken camera. A thing among them moves as before; so does what fills the view, if it is fast."""
    boxes = np.random.default_rng(0).uniform(0.01, 0.03, (2, 4, 17, 24)).astype(np.float32)
    assert of_things(boxes).max() == 0
    boxes[1, 0, 3:6, 3:6] = 0.5
    beyond = of_things(boxes)
    assert beyond[0].max() == 0
    assert beyond[1, 0, 4, 4] == pytest.approx(0.44, abs=0.02)
    assert (beyond[1] > 0).sum() == 9
    assert of_things(np.full((4, 17, 24), 0.8, np.float32)).min() == pytest.approx(0.65)


def test_speed_is_in_picture_heights_a_second_at_any_rate() -> None:
    for rate, step in ((25, 1), (12.5, 2), (8, 3)):
        frames = [frame(index, index / rate, moved=index * step) for index in range(6)]
        boxes = Motion().update(frames)[-1]
        assert boxes is not None
        assert np.median(boxes[0]) == pytest.approx(step * rate / 160, rel=0.1)


def test_a_frame_lasts_until_the_next_and_one_too_late_has_no_motion() -> None:
    motion = Motion()
    first, second, third = motion.update([frame(0, 0.0), frame(1, 0.1, moved=2), frame(2, 0.12, moved=2)])
    assert first is None
    assert second is third is not None
    assert motion.update([frame(3, 1.0, moved=9)]) == [None]
    assert motion.update([frame(0, 1.1, moved=9, source="b.mp4")]) == [None]


def test_frames_of_the_same_time_have_the_same_motion() -> None:
    times = [0.0, 0.1, 0.1, 0.2, 0.3, 0.3, 0.3, 0.4]
    motion = Motion().update([frame(index, at, moved=round(20 * at)) for index, at in enumerate(times)])
    once = Motion().update([frame(index, index / 10, moved=2 * index) for index in range(5)])
    for at, boxes in zip(times[1:], motion[1:], strict=True):
        np.testing.assert_allclose(boxes, once[round(10 * at)], atol=1e-4)


def test_batches_do_not_change_the_result() -> None:
    frames = [frame(index, index / 12.5, moved=index) for index in range(11)]
    together, one_by_one = Motion(), Motion()
    for all_at_once, (alone,) in zip(
        together.update(frames), [one_by_one.update([one]) for one in frames], strict=True
    ):
        assert (all_at_once is None) == (alone is None)
        if alone is not None:
            np.testing.assert_allclose(all_at_once, alone, atol=1e-4)


def test_what_is_slower_than_something_normal_is_never_unusual() -> None:
    units = np.ones(4, np.float32)
    vectors = remembered([np.array([[4, 0, 0, 1], [3, 0, 0, 0.9], [0, 2, 0, 0]], np.float32)], units)
    assert sorted(map(tuple, vectors.tolist())) == [(0, 2, 0, 0), (4, 0, 0, 1)]
    boxes = np.array([[3, 0, 0, 1], [0, 4, 0, 0], [0.2, 0.3, 0, 0]], np.float32).T.reshape(1, 4, 1, 3)
    assert excess(boxes, vectors, units)[0, 0].tolist() == pytest.approx([1.5, 2 + 2, 0.15])


def test_units_are_twice_the_deviation_of_the_largest_in_a_block_and_above_the_noise() -> None:
    assert units_of(np.array([[0.0, 0, 1, 0], [2.0, 0, 1, 0]])).tolist() == pytest.approx([2, 0.02, 0.02, 0.02])


def test_blocks_of_four_seconds_and_a_rest() -> None:
    assert [len(one) for one in blocks_of(np.arange(0, 9, 0.5))] == [8, 10]
    assert [len(one) for one in blocks_of(np.arange(0, 2, 0.5))] == [4]


def test_short_clips_are_put_together_until_they_are_a_block() -> None:
    """24 s in clips of 1.2 s are no more blocks than 24 s in one; each block has its largest score."""
    seconds = np.linspace(0, 1.2, 16)
    short = [(np.full((16, 1), float(number)), seconds) for number in range(20)]
    assert [one.tolist() for one in largest_of(short)] == [[3], [7], [11], [15], [19]]
    assert len(largest_of([(np.zeros((300, 1)), np.linspace(0, 24, 300, endpoint=False))])) == 6
    assert largest_of(short[:2]) == largest_of([]) == []


def test_the_view_is_never_larger_than_the_picture_and_the_box_is_in_its_pixels() -> None:
    assert (MotionView().crop(1280, 720).out_width, MotionView().crop(1280, 720).out_height) == (284, 160)
    assert MotionView().crop(64, 48).out_height == 48
    assert box_at(16, 23, (17, 24), (1080, 800)) == (920, 640, 160, 160)
