"""How near is a frame to an anchor, on a scale that the stream itself gives: 0 is as usual, 1 is the anchor.

A cosine of 0.3 means much before one camera and nothing before another. Before a camera that stands still even frames
that show nothing are alike, so what is usual is followed as it is for novelty: by a running mean and spread of the
similarity, in which what is unusual counts for little. (Search counts decoys instead, which belong to many sources: an
upside-down part of a picture is far from every frame of one still view.)
"""

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import SettingsError
from firstsight.retrieval.watching import novelty
from firstsight.retrieval.watching.episodes import Trigger

# Half-way from the usual to the anchor. Before a still camera, a person matched itself with 0.5 to 0.85 and others
# with 0.3 at most.
CLOSE_FROM = 0.5
_UNTIL_SHARE = 0.7
# Two frames of the two a second that are looked at: one alone may be a flaw of the stream, and what passes by is like a
# still of itself for no longer.
_LEAST_SECONDS = 0.5
# Where the similarity is restless, 10 standard deviations above the usual are 1. As what is unusual is cut off, the
# spread that is followed is three quarters of a Gaussian's.
_DEVIATIONS = 10.0 / 0.75


def close_from(least: float | None = None) -> Trigger:
    """When a match begins and ends; None is the default.

    Raises:
        SettingsError: not between 0 and 1.
    """
    begins_from = CLOSE_FROM if least is None else least
    if not 0 < begins_from < 1:
        raise SettingsError(f"a match from closeness {begins_from}; valid is between 0, as usual, and 1, the anchor")
    return Trigger(begins_from, _UNTIL_SHARE * begins_from, least_seconds=_LEAST_SECONDS)


def closeness(
    usual: novelty.Usual | None, similarities: NDArray[np.float32], seconds: float
) -> tuple[novelty.Usual, list[float | None]]:
    """What is usual after one more frame, and how close the frame is to each anchor.

    Args:
        usual: after the frame before; None for the first.
        similarities: (anchors,), cosines.
        seconds: time of the frame.

    Returns:
        The new state, and for each anchor its closeness, below 0 if less alike than usual; None during the warm-up.
    """
    after, score = novelty.update(usual, similarities[None], seconds)
    if usual is None or score is None:
        return after, [None] * len(similarities)
    way = np.maximum(1 - usual.mean[0], _DEVIATIONS * np.sqrt(usual.variance))
    return after, ((similarities - usual.mean[0]) / np.maximum(way, 1e-6)).tolist()
