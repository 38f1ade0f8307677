"""The question on a second pass over the same route: does it find the first pass, in the same order?"""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from firstsight import device
from firstsight.errors import SettingsError, SourceError
from firstsight.evaluation import metrics
from firstsight.evaluation.baselines import Encode
from firstsight.evaluation.metrics import Question, Scores, stretches
from firstsight.evaluation.sample import Sample
from firstsight.quality.self_test import Times, self_test

_TEST_SHARE, _HELD_OUT_SHARE = 1 / 3, 1 / 5  # of each label's groups; of what is left, to choose the probe's penalty
_NAMED_TWINS = 5  # pairs of files at most that are told
_CHUNK = 500  # queries whose similarities are held at once


def self_test_question(sample: Sample, *, ordered: bool, seed: int) -> Question:
    """Is a frame found again after a change, and are neighbours in time more alike than strangers?

    Args:
        sample: what is asked about.
        ordered: whether its frames are in order of time.
        seed: of the changes.
    """
    times = None
    if ordered:
        times = Times.of_positions(len(sample)) if sample.of_pictures else Times(sample.seconds, sample.sources)

    def score(encode: Encode, frames: NDArray[np.uint8]) -> Scores:
        test = self_test(encode, frames, times, generator=device.generator(seed))
        if test.after_change is None:
            raise SourceError("the frames are all alike (black, constant or a frozen camera): there is nothing to ask")
        figures = {
            "same frame": test.after_change,
            "other view": test.after_view,
            "other light": test.after_light,
            "noise": test.after_noise,
            "neighbours": test.neighbours_against_strangers,
        }
        num = len(test.found)
        return Scores(figures, test.found, np.arange(num) if times is None else stretches(num))

    same = "itself" if times is None else "the same moment"
    columns = {
        "same frame": "mean of the next three",
        "other view": f"% of frames whose nearest is {same} after a turn and a crop to 60-80 % of each side",
        "other light": "% ... after a change of brightness, contrast, gamma and colour balance",
        "noise": "% ... after blur, grain, a poor JPEG and the loss of a part of the picture",
        "neighbours": "% of cases in which two frames a moment apart are more alike than two far apart; 50 is chance",
    }
    return Question("without labels: is a frame found again after it was changed?", columns, score)


def labels_question(sample: Sample, *, seed: int) -> Question:
    """Has the nearest the same label? Never looked for in the query's own stretch: an uninterrupted run of frames of
    one file with one label, which is the whole video if it has one label, and the picture itself for pictures.

    Args:
        sample: with labels.
        seed: of the split.

    Raises:
        SettingsError: one label only, or no label in two stretches.
    """
    names, labels = np.unique(np.array(sample.labels), return_inverse=True)
    if len(names) < 2:
        raise SettingsError(f"all {len(sample)} frames have the label {str(names[0])!r}; give at least two labels")
    groups = np.concatenate([[0], np.cumsum((np.diff(labels) != 0) | (np.diff(sample.sources) != 0))])
    notes = (*_notes_on(names, labels, groups), *_note_on_twins(sample, groups))
    random = np.random.default_rng(seed)
    # Among equally similar frames the earlier counts as nearer: not to be one of the same label because of the order.
    order = random.permutation(len(sample))
    labels, groups = labels[order], groups[order]
    test = _part(labels, groups, _TEST_SHARE, random)
    asked = np.flatnonzero(np.isin(labels, np.unique(labels[test])))
    if not len(asked):
        raise SettingsError(
            f"each of the {len(names)} labels has one uninterrupted stretch of one video: there is nowhere else to "
            "look for it; label a second video or a second visit"
        )
    held_out = _part(labels[~test], groups[~test], _HELD_OUT_SHARE, random)

    def score(encode: Encode, frames: NDArray[np.uint8]) -> Scores:
        vectors = encode(frames)[order]
        retrieved = _retrieved(vectors, labels, groups, asked)
        voted = metrics.knn_labels(vectors[test] @ vectors[~test].T, labels[~test])
        probed = metrics.linear_probe_labels(vectors[~test], labels[~test], held_out, vectors[test])
        figures: dict[str, float | None] = {name: float(values.mean()) for name, values in retrieved.items()}
        figures |= {"kNN": _share_right(voted, labels[test]), "linear": _share_right(probed, labels[test])}
        return Scores(figures, retrieved["R@1"], groups[asked])

    elsewhere = "another picture" if len(np.unique(groups)) == len(sample) else "another video or stretch"
    columns = {
        "R@1": f"% of frames whose nearest in {elsewhere} has their label",
        "R@5": "% ... one of the 5 nearest",
        "mAP": "mean average precision of all others, in %",
        "kNN": f"% of {test.sum()} frames labelled rightly by a vote of the 20 nearest among {(~test).sum()} others",
        "linear": "% ... by a linear classifier learned from those others",
    }
    return Question(f"{len(sample)} frames with {len(names)} labels", columns, score, notes)


def _part(
    labels: NDArray[np.intp], groups: NDArray[np.intp], share: float, random: np.random.Generator
) -> NDArray[np.bool_]:
    """Which frames to test on: of every label that has two groups or more, about that share of them, whole."""
    chosen = []
    for label in np.unique(labels):
        own = random.permutation(np.unique(groups[labels == label]))
        if len(own) > 1:
            chosen.append(own[: max(1, round(len(own) * share))])
    return np.isin(groups, np.concatenate(chosen)) if chosen else np.zeros(len(labels), bool)


def _retrieved(
    vectors: NDArray[np.float32], labels: NDArray[np.intp], groups: NDArray[np.intp], asked: NDArray[np.intp]
) -> dict[str, NDArray[np.float64]]:
    """For each frame that is asked about, how well it finds its label in other groups."""
    parts = []
    for rows in np.array_split(asked, -(-len(asked) // _CHUNK)):
        elsewhere = groups[rows, None] != groups
        similarities = np.where(elsewhere, vectors[rows] @ vectors.T, -np.inf)
        relevant = (labels[rows, None] == labels) & elsewhere
        nearest = [metrics.found_at(similarities, relevant, k=k) for k in (1, 5)]
        parts.append((*nearest, metrics.average_precision(similarities, relevant)))
    return dict(zip(("R@1", "R@5", "mAP"), map(np.concatenate, zip(*parts, strict=True)), strict=True))


def _share_right(given: NDArray[np.intp], labels: NDArray[np.intp]) -> float:
    return float((given == labels).mean())


def _notes_on(names: NDArray[np.str_], labels: NDArray[np.intp], groups: NDArray[np.intp]) -> tuple[str, ...]:
    (most, count), *_ = Counter(labels.tolist()).most_common(1)
    notes = [f"the most frequent label, {names[most]}, is that of {100 * count / len(labels):.0f} % of the frames"]
    alone = [name for number, name in enumerate(names) if len(np.unique(groups[labels == number])) < 2]
    if alone:
        notes.append(f"{len(alone)} labels have one video or stretch each, such as {alone[0]}, and are not asked for")
    return tuple(notes)


def _note_on_twins(sample: Sample, groups: NDArray[np.intp]) -> tuple[str, ...]:
    """A file that is there twice is found by everything, and says nothing. The files with the most twins are named."""
    first_seen: dict[int, int] = {}
    pairs: Counter[tuple[str, str]] = Counter()
    for index, frame in enumerate(sample.whole):
        first = first_seen.setdefault(hash(frame.tobytes()), index)
        if groups[first] != groups[index]:
            pairs[sample.names[sample.sources[first]], sample.names[sample.sources[index]]] += 1
    if not pairs:
        return ()
    named = [f"{one} and {other} ({num})" for (one, other), num in pairs.most_common(_NAMED_TWINS)]
    more = f" and {len(pairs) - _NAMED_TWINS} more pairs" if len(pairs) > _NAMED_TWINS else ""
    told = (
        f"{pairs.total()} frames are the same to the pixel as one in another video or stretch: is a file there twice?"
    )
    return (f"{told} {', '.join(named)}{more}",)


def nondecreasing_path(similarities: NDArray[np.floating]) -> NDArray[np.intp]:
    """For each query a place in the gallery, never before the previous query's, with the largest total similarity.

    Dynamic programming, each query taking one step. Source: Sakoe, Chiba, "Dynamic programming algorithm optimization
    for spoken word recognition", 1978, without their limits on the slope.

    Args:
        similarities: (Q, G), both in order; Q and G at least 1.

    Returns:
        (Q,), places from 0 to G - 1; among equally good paths the one that stays earlier.
    """
    num_queries, num_places = similarities.shape
    best_until = np.empty((num_queries, num_places), np.intp)  # where, up to here, the path of largest total ends
    total = np.zeros(num_places)
    places = np.arange(num_places)
    for query, row in enumerate(similarities.astype(np.float64)):
        total = np.maximum.accumulate(total) + row
        is_new = total > np.concatenate([[-np.inf], np.maximum.accumulate(total)[:-1]])
        best_until[query] = np.maximum.accumulate(np.where(is_new, places, 0))
    path = np.empty(num_queries, np.intp)
    last = num_places - 1
    for query in reversed(range(num_queries)):
        path[query] = last = best_until[query, last]
    return path


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
