"""When a level is complete: the article's stopping rule, a pure function of its state and one observed value.

Source: Ozmermer, "Multi-Perspective Neural Networks", 2020, and the repository evrimozmermer/filter_distinguisher. Its
details are kept as they are, because a level's length depends on them:

- the values since the last check are summed and divided by `check_every`, at each frame whose number is a multiple of
  it; frames count from 0 and there is no check at frame 0, so the first check of a level sums one value more;
- the sum is not cleared when a level ends, but holds the mean that ended it, so the next level's first check sums that
  too.

The predecessor's rule has no such details (`plain_mean`): a mean of exactly `check_every` images, each level afresh.
"""

from dataclasses import dataclass, replace
from typing import Literal

from firstsight.errors import SettingsError

Outcome = Literal["threshold", "cap", "go on"]


@dataclass(frozen=True)
class StoppingRule:
    """What ends each level."""

    thresholds: tuple[float, ...]  # of the mean of the largest |similarity|, one per level, 0 to 1
    check_every: int = 20  # frames
    cap: int | None = None  # a level ends at the first check after this frame, whatever the mean
    pass_length: int | None = None  # frames; after so many without success the level starts over
    plain_mean: bool = False  # a check after every `check_every` frames of a level, over those alone; a cap is exact

    def __post_init__(self) -> None:
        if not self.thresholds or not all(0 <= threshold <= 1 for threshold in self.thresholds):
            raise SettingsError(f"thresholds {self.thresholds}; valid is a number from 0 to 1 for each level")
        lengths = [length for length in (self.check_every, self.cap, self.pass_length) if length is not None]
        if min(lengths) < 1:
            raise SettingsError(f"{min(lengths)} frames a level; valid is at least 1")

    def check_reachable(self) -> None:
        """Raises a SettingsError if a level starts over before its first check, or before its cap is reached."""
        if self.pass_length is not None and self._last_checked(self.pass_length) < max(self.cap or 1, 1):
            what = f"a check after {self.check_every}" if self.cap is None else f"a cap of {self.cap}"
            raise SettingsError(f"{what} frames: a level starts over after {self.pass_length}; give fewer")

    def _last_checked(self, num_frames: int) -> int:
        """How many frames of a level, as a cap counts them, the last check among its first `num_frames` comes after."""
        if self.plain_mean:
            return num_frames // self.check_every * self.check_every
        return (num_frames - 1) // self.check_every * self.check_every - 1


@dataclass(frozen=True)
class StoppingState:
    """The state of the rule between two frames."""

    level: int = 1
    frame: int = 0  # number, within the level, of the frame to come
    total: float = 0.0  # sum of the values since the last check


@dataclass(frozen=True)
class Check:
    """One check of the rule."""

    level: int
    frame: int  # within the level, from 0: the level has learned from frame + 1 frames since it started (over)
    mean: float
    outcome: Outcome


def update(rule: StoppingRule, state: StoppingState, value: float) -> tuple[StoppingState, Check | None]:
    """The state after one more frame with that observed value, and the check if this frame is one of those checked.

    After the check that ends the last level, `state.level` is the number of levels plus 1: see `finished`.
    """
    total = state.total + value
    check = None
    if _is_checked(rule, state.frame):
        mean = total / rule.check_every
        check = Check(state.level, state.frame, mean, _outcome(rule, state, mean))
        if check.outcome != "go on":
            return StoppingState(state.level + 1, 0, 0.0 if rule.plain_mean else mean), check
        total = 0.0
    following = state.frame + 1
    if rule.pass_length is not None and following >= rule.pass_length:
        following = 0
    return replace(state, frame=following, total=total), check


def finished(rule: StoppingRule, state: StoppingState) -> bool:
    """Whether every level has ended."""
    return state.level > len(rule.thresholds)


def _is_checked(rule: StoppingRule, frame: int) -> bool:
    if rule.plain_mean:
        return (frame + 1) % rule.check_every == 0
    return frame % rule.check_every == 0 and frame != 0


def _outcome(rule: StoppingRule, state: StoppingState, mean: float) -> Outcome:
    if mean < rule.thresholds[state.level - 1]:
        return "threshold"
    num_frames = state.frame + 1 if rule.plain_mean else state.frame - 1
    if rule.cap is not None and num_frames >= rule.cap:
        return "cap"
    return "go on"
