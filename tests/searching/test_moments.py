"""Moments against a slow, obvious version, and what has to hold of any of them."""

import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstsight.errors import SettingsError
from firstsight.library.embeddings import Embeddings
from firstsight.searching.moments import Moment, find_moments, nearest_moments
from firstsight.searching.search import Match
from firstsight.searching.verdict import interval_text, moment_text


def footage(steps: list[list[float]]) -> Embeddings:
    """Frames of several sources, each given by the seconds from one frame to the next."""
    seconds = [np.cumsum([0.0, *one]) for one in steps]
    indices = np.repeat(np.arange(len(steps)), [len(one) for one in seconds])
    times = np.concatenate(seconds)
    names = tuple(f"{number}.mp4" for number in range(len(steps)))
    return Embeddings(np.zeros((len(times), 1), np.float32), times, np.arange(len(times)), indices, names)


def slow_moments(scores: np.ndarray, frames: Embeddings, threshold: float, gap: float) -> list[tuple]:
    """One frame after the other: does it go on with the moment before?"""
    runs: list[list[int]] = []
    for row, score in enumerate(scores):
        if score < threshold:
            continue
        goes_on = False
        if runs:
            last = runs[-1][-1]
            same = frames.source_indices[last] == frames.source_indices[row]
            goes_on = same and (row == last + 1 or frames.seconds[row] - frames.seconds[last] <= gap)
        if goes_on:
            runs[-1].append(row)
        else:
            runs.append([row])
    best = [max(run, key=lambda row: (scores[row], -row)) for run in runs]
    rows = sorted(zip(best, runs, strict=True), key=lambda one: (-scores[one[0]], one[0]))
    return [(frames.source_of(top), frames.seconds[run[0]], frames.seconds[top], scores[top], run) for top, run in rows]


cases = st.lists(st.lists(st.sampled_from([0.25, 0.5, 1.0, 3.0, 10.0]), max_size=12), min_size=1, max_size=4).flatmap(
    lambda steps: st.tuples(
        st.just(footage(steps)),
        st.lists(
            st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]),
            min_size=sum(len(one) + 1 for one in steps),
            max_size=sum(len(one) + 1 for one in steps),
        ).map(np.array),
    )
)


@given(case=cases, gap=st.sampled_from([0.0, 0.5, 2.0, 100.0]), threshold=st.sampled_from([0.25, 0.5, 1.0, 2.0]))
def test_equals_the_slow_version(case: tuple, gap: float, threshold: float) -> None:
    frames, scores = case
    found = find_moments(scores, frames, threshold=threshold, gap_seconds=gap)
    expected = slow_moments(scores, frames, threshold, gap)
    assert [(one.source, one.start_seconds, one.best_seconds, one.score, one.num_frames) for one in found] == [
        (*row[:4], len(row[4])) for row in expected
    ]
    assert [(one.first_frame_index, one.last_frame_index) for one in found] == [
        (row[4][0], row[4][-1]) for row in expected
    ]


@given(case=cases, gap=st.sampled_from([0.0, 0.5, 2.0]))
def test_moments_of_a_source_do_not_overlap_and_are_further_apart_than_the_gap(case: tuple, gap: float) -> None:
    frames, scores = case
    found = find_moments(scores, frames, threshold=0.5, gap_seconds=gap)
    assert sum(one.num_frames for one in found) == int((scores >= 0.5).sum())
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    by_time = sorted(found, key=lambda one: (one.source, one.start_seconds))
    for one, following in pairwise(by_time):
        if one.source == following.source:
            assert one.end_seconds <= following.start_seconds
            assert following.start_seconds - one.best_seconds > gap


@given(case=cases, threshold=st.sampled_from([0.25, 0.5, 1.0]))
def test_a_stricter_score_never_gives_more_matching_frames(case: tuple, threshold: float) -> None:
    frames, scores = case
    loose, strict = (
        {row for one in slow_moments(scores, frames, value, 2.0) for row in one[4]}
        for value in (threshold, threshold + 0.25)
    )
    assert strict <= loose
    assert {one.best_frame_index for one in find_moments(scores, frames, threshold=threshold)} <= loose


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0, 1, 1, 0, 0, 0, 1, 0], [(1, 3, 1), (6, 7, 6)]),
        ([0, 1, 0, 1, 0, 0, 0, 0], [(1, 4, 1)]),  # a gap of two seconds is bridged
        ([0, 0, 0, 0, 0, 0, 0, 1], [(7, 8, 7)]),  # the last frame lasts as long as the one before
        ([0, 0, 0, 0, 0, 0, 0, 0], []),
        ([0.9, 1, 0.8, 0, 0, 0, 0.8, 0.95], [(0, 3, 1), (6, 8, 7)]),
    ],
)
def test_at_one_frame_a_second(scores: list[float], expected: list[tuple]) -> None:
    found = find_moments(np.array(scores), footage([[1.0] * 7]), threshold=0.5)
    assert [(one.start_seconds, one.end_seconds, one.best_seconds) for one in found] == expected


def test_frames_kept_seldom_are_neighbours_all_the_same() -> None:
    found = find_moments(np.array([1, 1, 0, 1.0]), footage([[60.0, 60.0, 60.0]]), threshold=0.5)
    assert sorted((one.start_seconds, one.end_seconds) for one in found) == [(0, 120), (180, 240)]


def test_a_picture_is_a_moment_without_length() -> None:
    found = find_moments(np.array([0.7, 0.9]), footage([[], []]), threshold=0.5)
    assert [(one.source, one.start_seconds, one.end_seconds) for one in found] == [("1.mp4", 0, 0), ("0.mp4", 0, 0)]


def test_work_is_linear() -> None:
    """Counts calls and scores read instead of seconds, which vary."""

    class Counted(np.ndarray):
        num_read = 0

        def __getitem__(self, key: object) -> object:
            found = super().__getitem__(key)
            Counted.num_read += np.size(found)
            return found

    def work_for(num: int) -> int:
        frames = footage([[0.04] * (num - 1)])
        scores = np.random.default_rng(0).random(num).view(Counted)
        Counted.num_read, num_calls = 0, 0

        def count(*_: object) -> None:
            nonlocal num_calls
            num_calls += 1

        sys.setprofile(count)
        try:
            find_moments(scores, frames, threshold=0.9, gap_seconds=0.1)
        finally:
            sys.setprofile(None)
        return num_calls + Counted.num_read

    assert work_for(16_000) < 12 * work_for(2_000)  # quadratic would be 64


@pytest.mark.parametrize(("num", "gap"), [(3, 2.0), (2, -1.0), (2, float("nan"))])
def test_what_is_not_valid(num: int, gap: float) -> None:
    with pytest.raises(SettingsError, match="valid"):
        find_moments(np.zeros(num), footage([[1.0]]), threshold=0.5, gap_seconds=gap)
    with pytest.raises(SettingsError, match="start <= best"):
        Moment("a", 2, 3, 1, 0.5, 0, 0, 0, 1)


@pytest.mark.parametrize("gap", [-1, float("nan")])
def test_a_gap_that_is_none_is_named_alone(gap: float) -> None:
    with pytest.raises(SettingsError, match=f"^a gap of {gap} s within a moment; valid is a number of seconds from 0$"):
        find_moments(np.zeros(1), footage([[]]), threshold=0.5, gap_seconds=gap)


def test_the_nearest_that_are_no_match_are_apart_from_those_that_are() -> None:
    scores = np.array([0.1, 0.45, 0.6, 0.4, 0.7, 0.45, 0.2, 0.3])
    frames = footage([[1.0] * (len(scores) - 1)])
    (match,) = find_moments(scores, frames, threshold=0.5, gap_seconds=2.0)
    below = nearest_moments(scores, frames, k=3, below=0.5, gap_seconds=2.0)
    assert all(not match.start_seconds - 2 <= one.best_seconds <= match.end_seconds for one in below)
    assert [one.score for one in below] == [0.3]


@pytest.mark.parametrize(("name", "text"), [("one.mp4", "one.mp4 at 0.00 s"), ("one.PNG", "one.PNG")])
def test_a_video_of_one_frame_is_no_picture(name: str, text: str) -> None:
    frames = Embeddings(np.zeros((1, 1), np.float32), np.zeros(1), np.zeros(1, int), np.zeros(1, int), (name,))
    (moment,) = find_moments(np.ones(1), frames, threshold=0.5)
    match = Match(moment, None, None, is_query=False)
    assert moment.end_seconds == 0
    assert moment_text(moment) == text
    assert str(match) == f"{text}: 1.000"
    assert (interval_text(moment) == "a picture") == moment.is_picture == (name == "one.PNG")
