"""Questions asked of methods whose answer is known."""

from dataclasses import replace

import numpy as np
import pytest

from firstsight.errors import SettingsError, SourceError
from firstsight.evaluation.baselines import Method, by_vectors, mean_colours
from firstsight.evaluation.questions import (
    labels_question,
    novelty_question,
    second_pass_question,
    self_test_question,
)
from firstsight.evaluation.sample import Sample, view_moves


def sample_of(codes: np.ndarray, *, labels: tuple = (), sources: list | None = None, pictures: bool = False) -> Sample:
    """Frames whose pixels are the code, so that a method can be anything: 24x24, a second apart."""
    frames = np.repeat(codes.astype(np.uint8), 24 * 24).reshape(len(codes), 24, 24, 1).repeat(3, axis=-1)
    return Sample(
        inputs=frames,
        full_frames=frames,
        seconds=np.arange(len(codes), dtype=np.float64),
        sources=np.zeros(len(codes), np.int64) if sources is None else np.array(sources),
        names=tuple(f"{number}.mp4" for number in range(1 + max(sources or [0]))),
        labels=labels,
        of_pictures=pictures,
        num_read=len(codes),
        num_unlabelled=0,
    )


def codes_of(frames: np.ndarray) -> np.ndarray:
    return frames[:, 0, 0, 0].astype(int)


def turned(angles: np.ndarray) -> np.ndarray:
    """Unit vectors at those angles, in units of a hundredth of a half turn."""
    return np.stack([np.cos(angles * np.pi / 100), np.sin(angles * np.pi / 100)], axis=1).astype(np.float32)


def one_hot_vectors(frames: np.ndarray) -> np.ndarray:
    return np.eye(256, dtype=np.float32)[codes_of(frames)]


one_hot = by_vectors("one hot", one_hot_vectors)
blind = by_vectors("blind", lambda frames: np.ones((len(frames), 1), np.float32))
angles = by_vectors("angles", lambda frames: turned(codes_of(frames)))


def in_videos(labels: str, length: int) -> Sample:
    """A video for each letter, of so many frames: the code's tens say the label, its units the video."""
    videos = [10 * "abcdef".index(label) + labels[:place].count(label) for place, label in enumerate(labels)]
    return sample_of(
        np.repeat(videos, length),
        labels=tuple(label for label in labels for _ in range(length)),
        sources=np.repeat(np.arange(len(labels)), length).tolist(),
    )


def test_one_that_knows_the_label_is_perfect() -> None:
    sample = in_videos("aabbcc", 6)
    scores = labels_question(sample, seed=0).score(
        by_vectors("tens", lambda frames: one_hot_vectors(frames // 10)), sample.inputs
    )
    assert dict(scores.figures) == {"R@1": 1, "R@5": 1, "mAP": 1, "kNN": 1, "linear": 1}
    assert len(np.unique(scores.blocks)) == 6


def test_one_that_makes_no_vectors_has_no_linear_probe() -> None:
    sample = in_videos("aabbcc", 6)
    question = labels_question(sample, seed=0)
    scores = question.score(Method("no vectors", one_hot.similarities), sample.inputs)
    assert scores.figures == {**question.score(one_hot, sample.inputs).figures, "linear": None}


def test_one_that_knows_the_video_alone_finds_nothing_by_it() -> None:
    """Frames of the same video are all alike, and not to be found."""
    sample = in_videos("aaaabbbbcccc", 5)
    question = labels_question(sample, seed=0)
    by_video = question.score(one_hot, sample.inputs)
    assert by_video.figures["R@1"] == pytest.approx(3 / 11, abs=0.25)  # three of eleven other videos: ties, at random
    assert by_video.figures["kNN"] < 0.7
    assert by_video.figures["R@1"] == pytest.approx(question.score(blind, sample.inputs).figures["R@1"], abs=0.35)


def test_a_file_that_is_there_twice_is_told() -> None:
    sample = in_videos("aabb", 8)
    assert not any("to the pixel" in note for note in labels_question(sample, seed=0).notes)
    twice = replace(
        sample, full_frames=np.concatenate([sample.full_frames[:8], sample.full_frames[:8], sample.full_frames[16:]])
    )
    (told,) = [note for note in labels_question(twice, seed=0).notes if "to the pixel" in note]
    assert told.startswith("8 frames are equal to the pixel")
    assert told.endswith("is a file there twice? 0.mp4 and 1.mp4 (8)")


def test_ties_do_not_profit_from_the_order_of_folders() -> None:
    labels = tuple("abcd"[index // 25] for index in range(100))
    sample = sample_of(np.arange(100), labels=labels, sources=list(range(100)), pictures=True)
    assert labels_question(sample, seed=0).score(blind, sample.inputs).figures["R@1"] == pytest.approx(0.25, abs=0.05)


def test_labels_that_change_within_a_video_are_looked_for_in_another_stretch() -> None:
    labels = tuple("aaaaaabbbbbbaaaaaabbbbbbcccccc")
    sample = sample_of(np.array([" abc".index(label) for label in labels]), labels=labels)
    question = labels_question(sample, seed=0)
    scores = question.score(one_hot, sample.inputs)
    assert scores.figures["R@1"] == 1
    assert len(scores.per_query) == 24  # c is nowhere else
    assert any("1 labels have one video or visit each, such as c" in note for note in question.notes)


def test_a_stretch_without_a_label_parts_two_visits() -> None:
    labels = tuple("a" * 20 + "b" * 20)
    sample = sample_of(np.array([" ab".index(label) for label in labels]), labels=labels)
    with pytest.raises(SettingsError, match="nowhere else"):
        labels_question(sample, seed=0)
    apart = replace(sample, visits=tuple([0] * 10 + [2] * 10 + [3] * 10 + [5] * 10))
    assert len(labels_question(apart, seed=0).score(one_hot, sample.inputs).per_query) == 40


@pytest.mark.parametrize(
    ("labels", "words"),
    [("a" * 30, "all 30 frames have the label 'a'"), ("a" * 15 + "b" * 15, "nowhere else to be found")],
)
def test_labels_that_cannot_be_asked_about(labels: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        labels_question(sample_of(np.zeros(30), labels=tuple(labels)), seed=0)


def walked_twice() -> Sample:
    """The same route twice, the second time a little faster."""
    return sample_of(np.concatenate([np.linspace(0, 99, 100), np.linspace(0, 99, 70)]))


def test_a_second_pass_is_found_by_one_that_knows_the_place() -> None:
    sample = walked_twice()
    scores = second_pass_question(sample, at_seconds=100, seed=0).score(angles, sample.inputs)
    assert scores.figures["on path"] == 1
    assert scores.figures["shuffled"] < 0.3
    assert scores.figures["order"] == pytest.approx(scores.figures["on path"] - scores.figures["shuffled"])
    assert scores.per_query.mean() == pytest.approx(scores.figures["order"])


def test_order_adds_nothing_to_one_that_answers_all_with_one_frame_or_at_random() -> None:
    sample = walked_twice()
    question = second_pass_question(sample, at_seconds=100, seed=0)
    assert question.score(blind, sample.inputs).figures["on path"] == 1  # and so are the shuffled
    assert question.score(blind, sample.inputs).figures["order"] == 0
    noise = np.random.default_rng(0).normal(size=(70, 100)).astype(np.float32)
    assert abs(question.score(Method("noise", lambda *_: noise), sample.inputs).figures["order"]) < 0.15


def test_walking_back_is_not_the_same_route() -> None:
    sample = sample_of(np.concatenate([np.linspace(0, 99, 100), np.linspace(99, 0, 70)]))
    scores = second_pass_question(sample, at_seconds=100, seed=0).score(angles, sample.inputs)
    assert scores.figures["order"] < 0.2


@pytest.mark.parametrize(
    ("at_seconds", "words"), [(0, "0 frames before"), (165, "5 after"), (999, "from 0.0 to 169.0 s")]
)
def test_a_second_pass_that_is_not_there(at_seconds: float, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        second_pass_question(walked_twice(), at_seconds=at_seconds, seed=0)


def test_a_second_pass_is_within_one_video() -> None:
    with pytest.raises(SettingsError, match="within one video"):
        second_pass_question(replace(walked_twice(), sources=np.arange(170) // 100), at_seconds=100, seed=0)


def test_frames_that_are_all_alike_are_said_to_be() -> None:
    sample = sample_of(np.zeros(30))
    with pytest.raises(SourceError, match="all alike"):
        self_test_question(sample, ordered=True, seed=0).score(one_hot, sample.inputs)


def test_pictures_in_no_order_are_not_asked_about_time() -> None:
    sample = sample_of(np.random.default_rng(0).permutation(60) * 4, pictures=True)
    scores = self_test_question(sample, ordered=False, seed=0).score(one_hot, sample.inputs)
    assert scores.figures["neighbours"] is None
    assert len(np.unique(scores.blocks)) == 60


def filmed(*, moving: bool, num: int = 90) -> Sample:
    """A camera in a textured room with a little noise, ten frames a second."""
    random = np.random.default_rng(0)
    room = np.kron(random.integers(30, 200, (12, 60, 3)), np.ones((6, 6, 1)))
    frames = np.stack([room[:, 3 * index : 3 * index + 90] if moving else room[:, :90] for index in range(num)])
    frames = (frames + random.normal(0, 2, frames.shape)).clip(0, 255).astype(np.uint8)
    return replace(sample_of(np.zeros(num)), inputs=frames, full_frames=frames, seconds=np.arange(num) / 5)


def test_a_view_moves_or_stands_still_whatever_the_light() -> None:
    still, moving = filmed(moving=False), filmed(moving=True)
    light = np.linspace(0, 50, 90).astype(np.uint8)[:, None, None, None]
    assert view_moves(still.full_frames) < 0.1
    assert view_moves(still.full_frames + light) < 0.1
    assert view_moves(moving.full_frames) > 0.7


@pytest.mark.parametrize("num", [8, 20, 90, 400])
def test_an_odd_last_frame_moves_no_still_view(num: int) -> None:
    frames = filmed(moving=False, num=num).full_frames.copy()
    frames[-1] = 0
    assert max(view_moves(frames, seed=seed) for seed in range(5)) < 1 / 3


def test_a_piece_put_in_is_newer_than_the_frames_as_they_were() -> None:
    sample = filmed(moving=False)
    question = novelty_question(sample, seed=0)
    scores = question.score(mean_colours(), sample.full_frames)
    assert scores.figures["newer"] > 0.95
    assert scores.figures["called new"] > 0.9
    assert scores.figures["as it was"] == 0
    assert scores.per_query.mean() == pytest.approx(scores.figures["newer"])
    dull = Method("dull", blind.similarities, cells=lambda frames: np.ones((len(frames), 1, 4), np.float32))
    assert question.score(dull, sample.full_frames).figures["newer"] == 0.5


def test_what_truly_happens_does_not_count_against_a_method() -> None:
    """Something fills a corner of half of the later frames: pieces are put into the quiet ones."""
    sample = filmed(moving=False)
    sample.full_frames[60:, :24, :24] = 255
    assert novelty_question(sample, seed=0).score(mean_colours(), sample.full_frames).figures["as it was"] == 0


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        (filmed(moving=True), "the view moves; novelty is of a camera that stands still"),
        (filmed(moving=False, num=40), "14 of 40 frames were judged: the first 5 s, .* 50 judged are needed"),
        (filmed(moving=False, num=20), "0 of 20 frames were judged"),
    ],
)
def test_why_it_cannot_be_asked_what_is_new(sample: Sample, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        novelty_question(sample, seed=0)
