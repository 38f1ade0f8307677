"""The questions put to an encoder and its baselines: by labels, by perturbed frames, by a second pass of a route."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from firstsight import device
from firstsight.errors import SettingsError, SourceError
from firstsight.evaluation import metrics
from firstsight.evaluation.baselines import Encode
from firstsight.evaluation.metrics import Question, Scores, query_blocks
from firstsight.evaluation.sample import Sample
from firstsight.quality.self_test import Times, self_test

_TEST_SHARE, _HELD_OUT_SHARE = 1 / 3, 1 / 5  # of each label's groups; of what is left, to choose the probe's penalty
_MAX_NAMED_PAIRS = 5  # of files with equal frames
_CHUNK = 500  # queries whose similarities are held at once


def self_test_question(sample: Sample, *, ordered: bool, seed: int) -> Question:
    """Is a frame found again after a change, and are neighbours in time more similar than frames far apart?

    Args:
        sample: the frames.
        ordered: whether they are in order of time.
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
            "neighbours": test.neighbours,
        }
        num = len(test.found)
        return Scores(figures, test.found, np.arange(num) if times is None else query_blocks(num))

    same = "itself" if times is None else "the same moment"
    columns = {
        "same frame": "mean of the next three",
        "other view": f"share of frames whose nearest is {same} after a turn and a crop to 60-80 % of each side",
        "other light": "the same after a change of brightness, contrast, gamma and colour balance",
        "noise": "the same after blur, grain, a poor JPEG and the loss of a part of the picture",
        "neighbours": "share of cases in which frames a moment apart are more alike than two far apart; half is chance",
    }
    return Question("without labels: is a frame found again after it was changed?", columns, score)


def labels_question(sample: Sample, *, seed: int) -> Question:
    """Has the nearest frame the same label? Only outside the query's own run: the uninterrupted frames of one file
    with one label, which is the entire video if it has one label, and the picture itself for pictures.

    Args:
        sample: with labels.
        seed: of the split.

    Raises:
        SettingsError: one label only, or no label in two runs.
    """
    names, labels = np.unique(np.array(sample.labels), return_inverse=True)
    if len(names) < 2:
        raise SettingsError(f"all {len(sample)} frames have the label {str(names[0])!r}; give at least two labels")
    groups = np.concatenate([[0], np.cumsum((np.diff(labels) != 0) | (np.diff(sample.sources) != 0))])
    notes = (*_notes_on(names, labels, groups), *_note_on_copies(sample, groups))
    random = np.random.default_rng(seed)
    # Among equally similar frames the earlier counts as nearer; random order keeps that independent of the label.
    order = random.permutation(len(sample))
    labels, groups = labels[order], groups[order]
    test = _part(labels, groups, _TEST_SHARE, random)
    asked = np.flatnonzero(np.isin(labels, np.unique(labels[test])))
    if not len(asked):
        raise SettingsError(
            f"each of the {len(names)} labels has one uninterrupted part of one video, and is nowhere else to be "
            "found; label a second video or a second visit"
        )
    held_out = _part(labels[~test], groups[~test], _HELD_OUT_SHARE, random)

    def score(encode: Encode, frames: NDArray[np.uint8]) -> Scores:
        vectors = encode(frames)[order]
        retrieved = _retrieved(vectors, labels, groups, asked)
        voted = metrics.knn_labels(vectors[~test], labels[~test], vectors[test])
        probed = metrics.linear_probe_labels(vectors[~test], labels[~test], held_out, vectors[test])
        figures: dict[str, float | None] = {name: float(values.mean()) for name, values in retrieved.items()}
        figures |= {"kNN": _share_right(voted, labels[test]), "linear": _share_right(probed, labels[test])}
        return Scores(figures, retrieved["R@1"], groups[asked])

    elsewhere = "another picture" if len(np.unique(groups)) == len(sample) else "another video or visit"
    columns = {
        "R@1": f"share of frames whose nearest in {elsewhere} has their label",
        "R@5": "share of frames of which one of the 5 nearest there has it",
        "mAP": "mean average precision of all others",
        "kNN": f"share of {test.sum()} frames labelled rightly by vote of the 20 nearest among {(~test).sum()} others",
        "linear": "the same by a linear classifier learned from those others",
    }
    return Question(f"{len(sample)} frames with {len(names)} labels", columns, score, notes)


def _part(
    labels: NDArray[np.intp], groups: NDArray[np.intp], share: float, random: np.random.Generator
) -> NDArray[np.bool_]:
    """Which frames to test on: of every label that has two groups or more, about that share of the groups."""
    chosen = []
    for label in np.unique(labels):
        own = random.permutation(np.unique(groups[labels == label]))
        if len(own) > 1:
            chosen.append(own[: max(1, round(len(own) * share))])
    return np.isin(groups, np.concatenate(chosen)) if chosen else np.zeros(len(labels), bool)


def _retrieved(
    vectors: NDArray[np.float32], labels: NDArray[np.intp], groups: NDArray[np.intp], asked: NDArray[np.intp]
) -> dict[str, NDArray[np.float64]]:
    """How well each of these frames finds its label in other groups."""
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
        notes.append(f"{len(alone)} labels have one video or visit each, such as {alone[0]}, and are not queried")
    return tuple(notes)


def _note_on_copies(sample: Sample, groups: NDArray[np.intp]) -> tuple[str, ...]:
    """Copies of a file find each other with every method. The files with the most equal frames are named."""
    first_indices: dict[int, int] = {}
    pairs: Counter[tuple[str, str]] = Counter()
    for index, frame in enumerate(sample.full_frames):
        first = first_indices.setdefault(hash(frame.tobytes()), index)
        if groups[first] != groups[index]:
            pairs[sample.names[sample.sources[first]], sample.names[sample.sources[index]]] += 1
    if not pairs:
        return ()
    named = [f"{one} and {other} ({num})" for (one, other), num in pairs.most_common(_MAX_NAMED_PAIRS)]
    more = f" and {len(pairs) - _MAX_NAMED_PAIRS} more pairs" if len(pairs) > _MAX_NAMED_PAIRS else ""
    equal = f"{pairs.total()} frames are equal to the pixel to one in another video or visit: is a file there twice?"
    return (f"{equal} {', '.join(named)}{more}",)


def nondecreasing_path(similarities: NDArray[np.floating]) -> NDArray[np.intp]:
    """For each query a gallery index, never below the previous query's, with the largest total similarity.

    Dynamic programming, each query taking one step. Source: Sakoe, Chiba, "Dynamic programming algorithm optimization
    for spoken word recognition", 1978, without their limits on the slope.

    Args:
        similarities: (Q, G), both in order; Q and G at least 1.

    Returns:
        (Q,), from 0 to G - 1; among equally good paths the one that stays earlier.
    """
    num_queries, num_gallery = similarities.shape
    best_until = np.empty((num_queries, num_gallery), np.intp)  # where, up to here, the path of largest total ends
    total = np.zeros(num_gallery)
    indices = np.arange(num_gallery)
    for query, row in enumerate(similarities.astype(np.float64)):
        total = np.maximum.accumulate(total) + row
        is_new = total > np.concatenate([[-np.inf], np.maximum.accumulate(total)[:-1]])
        best_until[query] = np.maximum.accumulate(np.where(is_new, indices, 0))
    path = np.empty(num_queries, np.intp)
    last = num_gallery - 1
    for query in reversed(range(num_queries)):
        path[query] = last = best_until[query, last]
    return path


_MIN_IN_A_PASS = 10
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
    first_pass = sample.seconds[~later]
    near = _NEAR * float(first_pass[-1] - first_pass[0])
    num_first, num_second = len(first_pass), int(later.sum())
    random = np.random.default_rng(seed)
    orders = [random.permutation(num_second) for _ in range(_SHUFFLES)]

    def on_path(similarities: NDArray[np.float32]) -> NDArray[np.float64]:
        found, along = similarities.argmax(axis=1), nondecreasing_path(similarities)
        on: NDArray[np.bool_] = np.abs(first_pass[found] - first_pass[along]) <= near
        return on.astype(np.float64)

    def score(encode: Encode, frames: NDArray[np.uint8]) -> Scores:
        vectors = encode(frames)
        similarities = vectors[later] @ vectors[~later].T
        walked, shuffled = on_path(similarities), np.zeros(num_second)
        for order in orders:
            shuffled[order] += on_path(similarities[order]) / _SHUFFLES
        shares = {"order": walked - shuffled, "on path": walked, "shuffled": shuffled}
        figures = {name: float(values.mean()) for name, values in shares.items()}
        return Scores(figures, walked - shuffled, query_blocks(num_second))

    columns = {
        "order": "what the order of the second pass adds: the next figure minus the one after it; 0 is none",
        "on path": f"share of frames whose nearest in the first pass is within {near:.1f} s of the best path that "
        "never goes back",
        "shuffled": "the same with the frames of the second pass in random order",
    }
    asks = f"do {num_second} frames from {at_seconds:g} s on find the {num_first} before, in the same order?"
    return Question(asks, columns, score)


def _check(sample: Sample, later: NDArray[np.bool_], at_seconds: float) -> None:
    if len(np.unique(sample.sources)) > 1 and not sample.of_pictures:
        raise SettingsError("a second pass is within one video; give one")
    num_first, num_second = int((~later).sum()), int(later.sum())
    if min(num_first, num_second) < _MIN_IN_A_PASS:
        raise SettingsError(
            f"a second pass from {at_seconds:g} s leaves {num_first} frames before and {num_second} after, of footage "
            f"from {sample.seconds[0]:.1f} to {sample.seconds[-1]:.1f} s; valid is a time with at least "
            f"{_MIN_IN_A_PASS} on both sides"
        )
