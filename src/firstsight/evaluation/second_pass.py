"""The question on a second pass over the same route: does it find the first pass, in the same order?"""

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import SettingsError
from firstsight.evaluation.baselines import Encode
from firstsight.evaluation.monotone import nondecreasing_path
from firstsight.evaluation.question import Question, Scores
from firstsight.evaluation.sample import Sample
from firstsight.evaluation.sampling_error import stretches

_LEAST_IN_A_PASS = 10
_NEAR = 0.05  # of the first pass: a match so near the path is on it
_SHUFFLES = 5


def second_pass_question(sample: Sample, *, at_seconds: float, seed: int) -> Question:
    """Do the frames of a second pass over a route find the first pass in the same order?

    Each frame from that time on finds its nearest before it. A route is walked in one direction, so what is found
    should only go forward: the path that never goes back and has the largest sum of similarities is computed, and a
    match is on it if it lies within 5 % of the first pass. An encoder that answers everything with one frame is on its
    path too; therefore the same is done with the queries in random order, and what counts is what order adds.

    Args:
        sample: of one video, or pictures in order.
        at_seconds: where the second pass begins.
        seed: of the random orders.

    Raises:
        SettingsError: several videos, or fewer than 10 frames before or after that time.
    """
    later = sample.seconds >= at_seconds
    _check(sample, later, at_seconds)
    places = sample.seconds[~later]
    near = _NEAR * float(places[-1] - places[0])
    num_first, num_second = len(places), int(later.sum())
    random = np.random.default_rng(seed)
    orders = [random.permutation(num_second) for _ in range(_SHUFFLES)]

    def on_path(similarities: NDArray[np.float32]) -> NDArray[np.float64]:
        found, along = similarities.argmax(axis=1), nondecreasing_path(similarities)
        on: NDArray[np.bool_] = np.abs(places[found] - places[along]) <= near
        return on.astype(np.float64)

    def score(encode: Encode, frames: NDArray[np.uint8]) -> Scores:
        vectors = encode(frames)
        similarities = vectors[later] @ vectors[~later].T
        walked, shuffled = on_path(similarities), np.zeros(num_second)
        for order in orders:
            shuffled[order] += on_path(similarities[order]) / _SHUFFLES
        shares = {"order": walked - shuffled, "on path": walked, "shuffled": shuffled}
        figures = {name: float(values.mean()) for name, values in shares.items()}
        return Scores(figures, walked - shuffled, stretches(num_second))

    columns = {
        "order": "what the order of the second pass adds: the next figure minus the one after it; 0 is nothing",
        "on path": f"% of frames whose nearest in the first pass is within {near:.1f} s of the best path that never "
        "goes back",
        "shuffled": "% ... with the frames of the second pass in random order",
    }
    asks = f"do {num_second} frames from {at_seconds:g} s on find the {num_first} before, in the same order?"
    return Question(asks, columns, score)


def _check(sample: Sample, later: NDArray[np.bool_], at_seconds: float) -> None:
    if len(np.unique(sample.sources)) > 1 and not sample.of_pictures:
        raise SettingsError("a second pass is looked for within one video; give one")
    num_first, num_second = int((~later).sum()), int(later.sum())
    if min(num_first, num_second) < _LEAST_IN_A_PASS:
        raise SettingsError(
            f"a second pass from {at_seconds:g} s leaves {num_first} frames before and {num_second} after, of footage "
            f"from {sample.seconds[0]:.1f} to {sample.seconds[-1]:.1f} s; valid is a time with at least "
            f"{_LEAST_IN_A_PASS} on both sides"
        )
