import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstsight.errors import SettingsError
from firstsight.footage.sampling import Sampler, Sampling, check_share

TOLERANCE = 0.001


def kept(sampling: Sampling, times: list[float]) -> list[int]:
    sampler = Sampler(sampling)
    return [index for index, seconds in enumerate(times) if sampler.keeps(index, seconds)]


def kept_slowly(sampling: Sampling, times: list[float]) -> list[int]:
    """The definition, tick by tick."""
    start, end = sampling.start_seconds or 0.0, sampling.end_seconds or math.inf
    stretch = [index for index, seconds in enumerate(times) if start <= seconds < end]
    if sampling.frames_per_second is None:
        return stretch[:: sampling.every or 1]
    found = set()
    for tick in range(int((max(times) - start + 1) * sampling.frames_per_second) + 1):
        due = start + tick / sampling.frames_per_second - TOLERANCE
        found.update([index for index in stretch if times[index] >= due][:1])
    return sorted(found)


milliseconds = st.lists(st.integers(0, 4000), min_size=1, max_size=60, unique=True).map(
    lambda values: [value / 1000 for value in sorted(values)]
)
# Odd ticks never coincide with a time of whole milliseconds, so rounding cannot decide.
rates = st.sampled_from([0.3, 0.7, 1.9, 3.1, 7.3, 29.3, 61.7])
starts = st.none() | st.integers(0, 4000).map(lambda value: value / 1000)


@given(milliseconds, rates, starts)
def test_agrees_with_the_definition_at_any_frame_rate(times, rate, start):
    sampling = Sampling(start_seconds=start, frames_per_second=rate)
    assert kept(sampling, times) == kept_slowly(sampling, times)


@given(milliseconds, st.integers(1, 7), starts, st.integers(4001, 5000))
def test_agrees_with_the_definition_for_every_nth(times, every, start, end):
    sampling = Sampling(start_seconds=start, end_seconds=end / 1000, every=every)
    assert kept(sampling, times) == kept_slowly(sampling, times)


@given(milliseconds, rates)
def test_no_tick_gets_two_frames(times, rate):
    chosen = kept(Sampling(frames_per_second=rate), times)
    ticks = [math.floor((times[index] + TOLERANCE) * rate) for index in chosen]
    assert len(set(ticks)) == len(ticks)


@given(st.integers(1, 3000), st.sampled_from([10, 23.976, 25, 29.97, 30, 50, 59.94]))
def test_footage_slower_than_asked_is_used_whole(count, rate):
    times = [index / rate for index in range(count)]
    assert kept(Sampling(frames_per_second=60), times) == list(range(count))


@pytest.mark.parametrize("rate", [24_000 / 1001, 25, 30, 30_000 / 1001, 50, 60])
@pytest.mark.parametrize("digits", [3, 6, 12])
def test_the_rate_of_the_footage_keeps_each_frame_however_times_are_rounded(rate, digits):
    times = [round(index / rate, digits) for index in range(5000)]
    assert kept(Sampling(frames_per_second=rate), times) == list(range(5000))


def test_does_not_drift():
    times = [index / 29.97 for index in range(100_000)]
    chosen = kept(Sampling(frames_per_second=10), times)
    assert np.abs(np.array(times)[chosen] - np.arange(len(chosen)) / 10).max() < 1 / 29.97


def test_start_is_inclusive_and_end_exclusive():
    times = [index / 25 for index in range(100)]
    assert kept(Sampling(start_seconds=1.2, end_seconds=1.4), times) == [30, 31, 32, 33, 34]


def test_every_counts_from_the_first_frame_at_or_after_the_start():
    times = [index / 25 for index in range(20)]
    assert kept(Sampling(start_seconds=0.1, every=5), times) == [3, 8, 13, 18]


def test_a_lost_frame_does_not_shift_every():
    sampler = Sampler(Sampling(every=3))
    assert [index for index in (0, 1, 2, 4, 5, 6, 7, 8, 9) if sampler.keeps(index, index)] == [0, 4, 6, 9]


@given(
    st.integers(1, 400),
    st.sampled_from([10, 25, 30]),
    st.builds(
        Sampling,
        start_seconds=st.none() | st.integers(0, 20),
        end_seconds=st.none() | st.integers(21, 50),
        frames_per_second=st.none() | st.sampled_from([0.4, 1, 2.5, 10, 60]),
    )
    | st.builds(Sampling, start_seconds=st.none() | st.integers(0, 20), every=st.integers(1, 9)),
)
def test_counts_ahead_what_it_will_keep(count, rate, sampling):
    times = [index / rate for index in range(count)]
    assert sampling.num_frames(0.0, rate, count) == len(kept(sampling, times))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 2, "frames_per_second": 5}, "contradict each other"),
        ({"every": 0}, "valid is an integer from 1"),
        ({"every": 1.5}, "valid is an integer from 1"),
        ({"frames_per_second": 0}, "valid is a number above 0"),
        ({"frames_per_second": math.nan}, "valid is a number above 0"),
        ({"frames_per_second": math.inf}, "valid is a number above 0"),
        ({"start_seconds": -1}, "start -1 s; valid is"),
        ({"end_seconds": math.nan}, "end nan s; valid is"),
        ({"start_seconds": 5, "end_seconds": 5}, "the end, 5 s, is not after the start, 5 s"),
        ({"end_seconds": 0}, "the end, 0 s, is not after the start, 0 s"),
    ],
)
def test_refuses_options_that_make_no_sense(options, message):
    with pytest.raises(SettingsError, match=message):
        Sampling(**options)


@pytest.mark.parametrize("share", [0, -0.1, 0.6, math.nan])
def test_refuses_a_share_that_leaves_nothing(share):
    with pytest.raises(SettingsError, match="valid is a number above 0, up to a half"):
        check_share(share)
