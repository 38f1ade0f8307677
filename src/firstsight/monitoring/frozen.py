"""Whether a stream is frozen: it repeats one picture, where noise made every picture another before.

A still view that is strongly compressed also repeats its pixels, for seconds. So what counts is how many pixels usually
change from frame to frame, and for how long at most hardly any did.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

# Of the share of pixels that usually change: an encoder that is fed one picture changes some at a keyframe.
_STILL = 0.1
# Share of pixels; where fewer change usually, a frozen stream is like any other.
_LEAST_USUAL = 0.02
# Of all frames: where more than these are like the one before, such as those of a strongly compressed still view.
_MOST_QUIET = 0.1
_WARM_UP_FRAMES = 10
_FOLLOWED_FRAMES = 200
MIN_SECONDS = 1.0
# Of the longest time without change so far.
_LONGER = 3.0


@dataclass(frozen=True, eq=False)
class Liveliness:
    """How much a stream changes, after a frame."""

    last: NDArray[np.uint8]  # some pixels of the frame before
    alive_seconds: float  # time of the last frame that differed from the one before
    usual_share: float = 0.0  # of the pixels that change
    num_frames: int = 0  # that differed from the one before
    num_quiet: int = 0  # of these, those in which hardly any pixel did
    num_still: int = 0  # in a row, so far
    num_alive: int = 0  # in a row, since it was frozen
    longest_seconds: float = 0.0  # without change, when it was not frozen
    is_frozen: bool = False


def update(state: Liveliness | None, pixels: NDArray[np.uint8], seconds: float) -> Liveliness:
    """The state after one more frame.

    Args:
        state: after the frame before; None for the first.
        pixels: some of the frame's own, not averaged, always the same ones.
        seconds: its time.
    """
    if state is None or state.last.shape != pixels.shape or seconds < state.alive_seconds:
        return Liveliness(pixels, seconds)
    share = float((pixels != state.last).mean())
    is_noisy = state.num_quiet <= _MOST_QUIET * state.num_frames and state.usual_share >= _LEAST_USUAL
    can_tell = is_noisy and state.num_frames >= _WARM_UP_FRAMES
    if can_tell and share < _STILL * state.usual_share:
        lasted = seconds - state.alive_seconds
        is_long = lasted >= max(MIN_SECONDS, _LONGER * state.longest_seconds) and state.num_still >= 1
        is_frozen = state.is_frozen or is_long
        return replace(state, last=pixels, num_still=state.num_still + 1, num_alive=0, is_frozen=is_frozen)
    if state.is_frozen and state.num_alive == 0:  # perhaps a keyframe
        return replace(state, last=pixels, num_alive=1)
    still = seconds - state.alive_seconds if state.num_still and not state.is_frozen else 0.0
    num = state.num_frames + 1
    return Liveliness(
        pixels,
        seconds,
        usual_share=state.usual_share + (share - state.usual_share) / min(num, _FOLLOWED_FRAMES),
        num_frames=num,
        num_quiet=state.num_quiet + (share < _LEAST_USUAL),
        longest_seconds=max(state.longest_seconds, still),
    )
