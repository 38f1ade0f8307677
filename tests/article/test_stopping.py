"""All of the published stopping rule's details, both schedules."""

import math
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstsight.article.settings import ArticleSettings
from firstsight.article.stopping import Check, StoppingRule, StoppingState, finished, update
from firstsight.errors import SettingsError


def checks_of(rule: StoppingRule, value_at: object, *, max_frames: int = 10**6) -> list[Check]:
    """Every check, for values given by a function of the running frame number."""
    state, checks = StoppingState(), []
    for frame in count():
        if finished(rule, state) or frame >= max_frames:
            return checks
        state, check = update(rule, state, value_at(frame))
        if check:
            checks.append(check)
    raise AssertionError


def published_loop(thresholds: list[float], values: list[float], cap: float, pass_length: float) -> list[tuple]:
    """The published loop, written as it stands there: a counter and a sum that are not where one expects them."""
    result, total, level, counter = [], 0.0, 1, 0
    for value in values:
        if level > len(thresholds):
            break
        total += value
        done = False
        if counter % 20 == 0 and counter != 0:
            total /= 20
            if total < thresholds[level - 1]:
                done = "threshold"
            elif counter > cap:
                done = "cap"
            result.append((level, counter, total, done or "go on"))
            if done:
                level += 1
            else:
                total = 0.0
        counter = 0 if done else counter + 1
        if counter >= pass_length:
            counter = 0
    return result


@pytest.mark.parametrize(
    ("schedule", "value", "expected"),
    [
        # (level, frame of the check, outcome) of the checks that end a level
        ("repository", 0.1, [(1, 20, "threshold"), (2, 20, "threshold"), (3, 20, "threshold"), (4, 20, "threshold")]),
        # 21 * 0.28 / 20 = 0.294 ends the first level; carried over, (21 * 0.28 + 0.294) / 20 = 0.3087 does not end the
        # second at its first check, 0.28 does at the next; the last asks for 0.20 and is capped.
        ("repository", 0.28, [(1, 20, "threshold"), (2, 40, "threshold"), (3, 40, "threshold"), (4, 7020, "cap")]),
        # 21 * 0.29 / 20 = 0.3045 is above: the first check sums one value more.
        ("article", 0.29, [(1, 40, "threshold"), (2, 40, "threshold"), (3, 40, "threshold"), (4, 40, "threshold")]),
        # 21 * 0.19 / 20 = 0.1995 would end the last level but for the mean carried over.
        ("repository", 0.19, [(1, 20, "threshold"), (2, 20, "threshold"), (3, 20, "threshold"), (4, 40, "threshold")]),
        ("repository", 0.9, [(1, 7020, "cap"), (2, 7020, "cap"), (3, 7020, "cap"), (4, 7020, "cap")]),
    ],
)
def test_when_levels_end(schedule: str, value: float, expected: list[tuple]) -> None:
    checks = checks_of(ArticleSettings(schedule=schedule).rule, lambda _: value)
    ends = [(check.level, check.frame, check.outcome) for check in checks if check.outcome != "go on"]
    assert ends == expected


def test_below_means_below() -> None:
    checks = checks_of(StoppingRule((0.5,), cap=40), lambda _: 0.5)
    assert [(check.mean, check.outcome) for check in checks] == [(0.525, "go on"), (0.5, "go on"), (0.5, "cap")]


def test_a_capped_level_of_the_repository_has_7021_frames() -> None:
    rule = ArticleSettings().rule
    state = StoppingState()
    num_frames = 0
    while state.level == 1:
        state, _ = update(rule, state, 0.9)
        num_frames += 1
    assert num_frames == 7021


def test_frames_per_level_ends_at_the_first_check_after_it() -> None:
    checks = checks_of(ArticleSettings(frames_per_level=400).rule, lambda _: 0.9)
    assert [check.frame for check in checks if check.outcome == "cap"] == [420] * 4


def test_the_first_sum_of_a_level_has_21_values_and_the_mean_that_ended_the_last() -> None:
    rule = StoppingRule((0.5, 0.0), cap=40)
    checks = checks_of(rule, lambda _: 0.4)
    assert checks[0] == Check(1, 20, pytest.approx(21 * 0.4 / 20), "threshold")
    assert checks[1].mean == pytest.approx((0.42 + 21 * 0.4) / 20)
    assert checks[2].mean == pytest.approx(0.4)  # 20 values
    assert checks[3].outcome == "cap"


def test_the_mean_carries_over_after_a_cap_too() -> None:
    rule = StoppingRule((0.0, 0.0), cap=10)
    first, second = checks_of(rule, lambda _: 1.0)
    assert (first.frame, first.outcome) == (20, "cap")
    assert second.mean == pytest.approx((first.mean + 21) / 20)


def test_a_pass_without_success_starts_the_level_over() -> None:
    rule = ArticleSettings(schedule="article").rule
    checks = checks_of(rule, lambda _: 0.9, max_frames=120_041)
    assert {check.level for check in checks} == {1}
    assert {check.outcome for check in checks} == {"go on"}
    # 119,980 was the last check of the pass; the sum of the 19 frames after it is not cleared either.
    assert [check.frame for check in checks[-3:]] == [119_980, 20, 40]
    assert checks[-2].mean == pytest.approx((19 + 21) * 0.9 / 20)


@pytest.mark.parametrize(("name", "value"), [("frames_per_level", 119_980), ("check_every", 120_000)])
def test_a_cap_or_a_check_that_no_level_reaches_is_refused(name: str, value: int) -> None:
    with pytest.raises(SettingsError, match="a level starts over after 120000; give fewer"):
        ArticleSettings(schedule="article", **{name: value})
    ArticleSettings(schedule="article", **{name: value - 1})


@given(
    values=st.lists(st.floats(0, 1), max_size=400),
    thresholds=st.lists(st.floats(0, 1), min_size=1, max_size=4),
    cap=st.integers(1, 150),
    pass_length=st.integers(30, 200),
)
def test_equals_the_published_loop(values: list[float], thresholds: list[float], cap: int, pass_length: int) -> None:
    rule = StoppingRule(tuple(thresholds), cap=cap, pass_length=pass_length)
    state, checks = StoppingState(), []
    for value in values:
        if finished(rule, state):
            break
        state, check = update(rule, state, value)
        if check:
            checks.append((check.level, check.frame, check.mean, check.outcome))
    assert checks == published_loop(thresholds, values, cap, pass_length)


@pytest.mark.parametrize("thresholds", [(), (1.5,), (-0.1,), (math.nan,)])
def test_thresholds_are_checked(thresholds: tuple[float, ...]) -> None:
    with pytest.raises(SettingsError, match="0 to 1"):
        StoppingRule(thresholds)
