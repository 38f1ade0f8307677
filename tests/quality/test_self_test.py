"""The label-free test: encoders whose answer is known, footage in which a question makes no sense."""

import numpy as np
import pytest
import torch

import firstsight
from firstsight.device import generator
from firstsight.quality.self_test import SelfTest, Times, _stands_out, by_cosine, found_again, perturbed, self_test


def pictures(num: int, *, seed: int = 0, height: int = 40, width: int = 64) -> np.ndarray:
    """Smooth random pictures, no two alike."""
    noise = torch.rand(num, 3, 6, 9, generator=generator(seed))
    large = torch.nn.functional.interpolate(noise, (height, width), mode="bicubic").clamp(0, 1)
    return (large * 255).byte().permute(0, 2, 3, 1).numpy()


def pixels(frames: np.ndarray) -> np.ndarray:
    rows = frames.reshape(len(frames), -1).astype(np.float32) - 127
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)


def constant(frames: np.ndarray) -> np.ndarray:
    return np.ones((len(frames), 1), np.float32)


def noise(frames: np.ndarray) -> np.ndarray:
    """Of each frame by its pixels, so that it does not depend on which are embedded together."""
    seeds = frames.reshape(len(frames), -1).sum(axis=1, dtype=np.int64)
    rows = np.stack([np.random.default_rng(int(seed)).normal(size=16) for seed in seeds]).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("kind", ["view", "light", "noise"])
@pytest.mark.parametrize("channels", [1, 3])
def test_changes_are_pictures_that_differ_and_depend_on_the_generator_alone(kind: str, channels: int) -> None:
    frames = pictures(6)[..., :channels]
    first, again, other = (perturbed(frames, kind, generator=generator(seed)) for seed in (0, 0, 1))
    assert first.shape == frames.shape
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert (first != other).any(axis=(1, 2, 3)).all()
    assert 4 < np.abs(first.astype(int) - frames).mean() < 90


def test_another_view_shows_a_part_of_the_picture_turned_but_not_bent() -> None:
    """Columns numbered by red, rows by green: what is seen tells where."""
    frames = np.zeros((50, 100, 200, 3), np.uint8)
    frames[..., 0], frames[..., 1] = np.arange(200), np.arange(100)[:, None]
    seen = perturbed(frames, "view", generator=generator(0)).astype(int)
    right = (seen[:, 50, 190] - seen[:, 50, 10])[:, :2]  # 180 pixels to the right
    down = (seen[:, 90, 100] - seen[:, 10, 100])[:, :2]  # 80 pixels down
    sides = np.linalg.norm(right, axis=1) / 180
    assert 0.58 < sides.min() < sides.max() < 0.82
    np.testing.assert_allclose(np.linalg.norm(down, axis=1) / 80, sides, atol=0.04)
    np.testing.assert_allclose((right * down).sum(axis=1), 0, atol=250)
    assert np.degrees(np.abs(np.arctan2(right[:, 1], right[:, 0]))).max() < 9
    assert np.ptp(seen[:, 50, 100, 0]) > 20  # from another place each time


def test_an_encoder_that_sees_nothing_is_at_chance() -> None:
    frames = pictures(100)
    for embed in (constant, noise):
        test = self_test(by_cosine(embed), frames, None, generator=generator(0))
        assert test.after_change < 0.05
    assert self_test(by_cosine(constant), frames, None, generator=generator(0)).after_change == pytest.approx(1 / 100)


def test_an_encoder_that_ignores_the_light_finds_every_frame_in_another_light() -> None:
    def edges(frames: np.ndarray) -> np.ndarray:
        return pixels(np.where(np.diff(frames.mean(axis=-1), axis=2) > 0, 255, 0))

    frames = pictures(60)
    test = self_test(by_cosine(edges), frames, None, generator=generator(0))
    assert test.after_light > 0.95
    assert test.after_view < 0.5
    assert test.after_change == pytest.approx((test.after_view + test.after_light + test.after_noise) / 3)
    assert test.neighbours is None
    assert len(test.queries) == len(test.found) == 60


def test_it_is_the_same_every_time_and_leaves_the_frames_as_they_were() -> None:
    frames = pictures(30)
    before = frames.copy()
    first, again = (self_test(by_cosine(pixels), frames, None, generator=generator(3)) for _ in range(2))
    assert first == again
    np.testing.assert_array_equal(frames, before)
    assert self_test(by_cosine(pixels), frames, None, generator=generator(4)) != first


def drifting(num: int) -> np.ndarray:
    """A view that pans over a wide picture, three pixels a frame."""
    wide = pictures(1, width=64 + 3 * num, seed=5)[0]
    detail = np.random.default_rng(0).integers(0, 60, wide.shape, dtype=np.uint8)
    wide = wide // 2 + detail
    return np.stack([wide[:, 3 * index : 3 * index + 64] for index in range(num)])


def test_neighbours_are_more_similar_to_an_encoder_that_recognises_them() -> None:
    frames = drifting(120)
    times = Times(np.arange(120) / 10, np.zeros(120, np.int64))
    place = {frame.tobytes(): (index + 1) / 120 for index, frame in enumerate(frames)}

    def knows_the_time(given: np.ndarray) -> np.ndarray:
        angles = np.array([place.get(frame.tobytes(), np.nan) for frame in given])
        vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
        return np.where(np.isnan(vectors), noise(given)[:, :2], vectors)  # of changed frames it knows nothing

    assert self_test(by_cosine(knows_the_time), frames, times, generator=generator(0)).neighbours == 1
    assert self_test(by_cosine(constant), frames, times, generator=generator(0)).neighbours == 0.5
    assert self_test(by_cosine(noise), frames, times, generator=generator(0)).neighbours == pytest.approx(0.5, abs=0.1)


def test_frames_of_one_moment_count_as_right_and_those_of_another_time_do_not() -> None:
    """Twice the same pan: the frame found is as often that of the other pan, which is another time."""
    frames = np.concatenate([drifting(60), drifting(60) + (np.arange(60) % 2)[:, None, None, None].astype(np.uint8)])
    seconds = np.arange(120) / 10

    def slow(given: np.ndarray) -> np.ndarray:
        return pixels(given // 2 * 2)

    own = self_test(by_cosine(slow), frames, Times(seconds, np.zeros(120, np.int64)), generator=generator(0))
    wide = self_test(
        by_cosine(slow), frames, Times(seconds, np.zeros(120, np.int64), same_seconds=20), generator=generator(0)
    )
    narrow = self_test(
        by_cosine(slow), frames, Times(seconds, np.zeros(120, np.int64), same_seconds=0), generator=generator(0)
    )
    assert narrow.after_change < own.after_change < wide.after_change == 1


def test_equal_frames_are_all_right_answers() -> None:
    frames = pictures(40)
    single = self_test(by_cosine(pixels), frames, None, generator=generator(0))
    twice = self_test(by_cosine(pixels), np.repeat(frames, 2, axis=0), None, generator=generator(0))
    assert twice.after_noise == pytest.approx(single.after_noise, abs=0.1)


def _shares(test: SelfTest) -> tuple[float | None, ...]:
    return test.after_view, test.after_light, test.after_noise, test.neighbours


@pytest.mark.parametrize(
    "frames",
    [
        np.empty((0, 30, 30, 3), np.uint8),
        pictures(3),
        np.zeros((50, 30, 40, 3), np.uint8),
        np.full((50, 30, 40, 1), 200, np.uint8),
        np.repeat(pictures(1), 40, axis=0),
    ],
)
def test_where_there_is_nothing_to_ask_the_answer_is_none(frames: np.ndarray) -> None:
    test = self_test(by_cosine(pixels), frames, Times.of_positions(len(frames)), generator=generator(0))
    assert len(test.queries) == 0
    assert {test.after_change, *_shares(test), test.stands_out} == {None}


@pytest.mark.parametrize("num", [10, 12, 40])
def test_few_frames_give_numbers_or_none_and_never_nan(num: int) -> None:
    for times in (None, Times.of_positions(num), Times(np.zeros(num), np.zeros(num, np.int64))):
        test = self_test(by_cosine(pixels), pictures(num), times, generator=generator(0))
        assert np.isfinite(test.stands_out)  # in standard deviations, not a share
        assert len(test.queries) == num
        assert all(value is None or 0 <= value <= 1 for value in (test.after_change, *_shares(test)))


def test_rounding_does_not_say_how_far_the_right_one_stands_out() -> None:
    """All wrong frames are equally similar, up to the last digits."""
    right = np.eye(20, dtype=bool)
    exact = np.where(right, 0.9, 0.5).astype(np.float32)
    rounded = exact + np.random.default_rng(0).choice([-3e-8, 0, 3e-8], exact.shape).astype(np.float32)
    assert _stands_out(rounded, right) == pytest.approx(400, rel=1e-3)
    assert _stands_out(exact, right) == pytest.approx(_stands_out(rounded, right), rel=1e-3)


def test_several_encoders_are_asked_the_same_as_each_alone() -> None:
    frames = pictures(60)
    encoders = (pixels, constant, noise)

    def by_each(changed: np.ndarray) -> list[np.ndarray]:
        return [embed(changed) for embed in encoders]

    together = found_again(by_each(frames), by_each, frames, None, generator=generator(0))
    assert together == [self_test(by_cosine(embed), frames, None, generator=generator(0)) for embed in encoders]


def test_on_real_footage_a_thumbnail_is_neither_blind_nor_perfect(bikes) -> None:
    from firstsight.encoder.model import WholeFrame
    from firstsight.evaluation.baselines import thumbnail
    from firstsight.footage.source import open_source

    with open_source(bikes, every=3).read(WholeFrame(150, 64)) as reading:
        seen = list(reading)
    frames = np.stack([frame.pixels for frame in seen])
    times = Times(np.array([frame.seconds for frame in seen]), np.zeros(len(seen), np.int64))
    test = self_test(thumbnail(frames).similarities, frames, times, generator=generator(0))
    for share in (test.after_view, test.after_light, test.after_noise):
        assert 0.1 < share < 1
    assert 0.6 < test.neighbours < 1


def test_learning_from_footage_is_worth_it_and_an_encoder_fits_in(moving_square: np.ndarray) -> None:
    encoder = firstsight.learn(moving_square[:20])
    test = self_test(by_cosine(encoder.encode), moving_square[:80], Times.of_positions(80), generator=generator(0))
    assert test.neighbours > 0.8
