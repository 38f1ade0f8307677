"""What is asked about: bounded, spread evenly, with neighbours where the frames kept lie apart."""

import numpy as np
import pytest

from firstsight.article.model import untrained
from firstsight.errors import SourceError
from firstsight.evaluation.sample import Labels, Sample, take_sample
from firstsight.footage.source import open_source


def numbered(num: int) -> np.ndarray:
    return np.repeat(np.arange(num, dtype=np.uint8)[:, None], 30 * 40, axis=1).reshape(num, 30, 40)


def sampled(num: int, most: int, **options: object) -> Sample:
    return take_sample(untrained(), open_source(numbered(num)), max_frames=most, **options)


@pytest.mark.parametrize(("num", "most"), [(20, 20), (20, 500), (57, 20), (57, 30), (240, 100), (250, 21)])
def test_it_is_bounded_and_spread_evenly(num: int, most: int) -> None:
    for labels in (None, Labels(lambda _: "a")):
        sample = sampled(num, most, labels=labels)
        assert min(num, most) * 0.6 < len(sample) <= most
        assert sample.num_read == num
        assert (np.diff(sample.seconds) > 0).all()
        assert np.diff(sample.seconds).max() <= 4 * -(-num // most)
        assert (sample.full_frames[:, 0, 0, 0] == sample.seconds).all()
    assert sample.labels == ("a",) * len(sample)


def test_neighbours_come_along_where_frames_lie_apart() -> None:
    apart = np.diff(sampled(240, 30).seconds)
    assert apart[::2].max() <= 3  # pictures count as one a second
    assert apart[1::2].min() >= 7
    assert (np.diff(sampled(240, 30, labels=Labels(lambda _: "a")).seconds) > 1).all()
    assert (np.diff(sampled(60, 60).seconds) == 1).all()


def test_frames_without_a_label_are_left_out_before_anything_is_counted() -> None:
    sample = sampled(200, 50, labels=Labels(lambda frame: "odd" if frame.index % 2 and frame.index < 90 else None))
    assert sample.seconds.tolist() == list(range(1, 90, 2))
    assert sample.num_unlabelled == 155


def test_the_encoder_sees_its_part_and_the_others_the_whole() -> None:
    frames = np.random.default_rng(0).integers(0, 255, (20, 180, 500, 3), dtype=np.uint8)
    sample = take_sample(untrained(), open_source(frames), max_frames=20)
    assert sample.inputs.shape == (20, 224, 224, 3)
    assert sample.full_frames.shape == (20, 128, 356, 3)


def test_too_few_frames() -> None:
    with pytest.raises(SourceError, match="array of 19 frames has 19 frames to ask about; give at least 20"):
        sampled(19, 100)
    with pytest.raises(SourceError, match="has 3 frames with a label"):
        sampled(50, 100, labels=Labels(lambda frame: "a" if frame.index < 3 else None))
