"""The questions put to an encoder and its baselines: by labels, perturbed frames, a second pass of a route, and by
pieces of a picture that were not there before.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firstsight import device
from firstsight.errors import SettingsError, SourceError
from firstsight.evaluation import metrics
from firstsight.evaluation.baselines import Method
from firstsight.evaluation.metrics import Question, Scores, query_blocks
from firstsight.evaluation.sample import Sample, cell_means, in_order, is_still
from firstsight.monitoring import deviation
from firstsight.quality.self_test import Times, self_test

_TEST_SHARE, _HELD_OUT_SHARE = 1 / 3, 1 / 5  # of each label's groups; of what is left, to choose the probe's penalty
_MAX_NAMED_PAIRS = 5  # of files with equal frames
_CHUNK = 500  # queries that are ranked at once


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

    def score(method: Method, frames: NDArray[np.uint8]) -> Scores:
        test = self_test(method.similarities, frames, times, generator=device.generator(seed))
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
    with one label, which is the entire video if it has one label, and the picture itself for pictures. A stretch that
    is stated to have no label interrupts it.

    Args:
        sample: with labels.
        seed: of the split.

    Raises:
        SettingsError: one label only, or no label in two runs.
    """
    names, labels = np.unique(np.array(sample.labels), return_inverse=True)
    if len(names) < 2:
        raise SettingsError(f"all {len(sample)} frames have the label {str(names[0])!r}; give at least two labels")
    parts = [labels, sample.sources, *([np.array(sample.visits)] if sample.visits else [])]
    groups = np.concatenate([[0], np.cumsum(np.any([np.diff(one) != 0 for one in parts], axis=0))])
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

    def score(method: Method, frames: NDArray[np.uint8]) -> Scores:
        shuffled = frames[order]
        similarities = method.similarities(shuffled, shuffled)
        retrieved = _retrieved(similarities, labels, groups, asked)
        voted = metrics.knn_labels(similarities[np.ix_(test, ~test)], labels[~test])
        figures: dict[str, float | None] = {name: float(values.mean()) for name, values in retrieved.items()}
        figures |= {"kNN": _share_right(voted, labels[test]), "linear": None}
        if method.encode:
            vectors = method.encode(shuffled)
            probed = metrics.linear_probe_labels(vectors[~test], labels[~test], held_out, vectors[test])
            figures["linear"] = _share_right(probed, labels[test])
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
    similarities: NDArray[np.float32], labels: NDArray[np.intp], groups: NDArray[np.intp], asked: NDArray[np.intp]
) -> dict[str, NDArray[np.float64]]:
    """How well each of these frames finds its label in other groups."""
    parts = []
    for rows in np.array_split(asked, -(-len(asked) // _CHUNK)):
        elsewhere = groups[rows, None] != groups
        to_others = np.where(elsewhere, similarities[rows], -np.inf)
        relevant = (labels[rows, None] == labels) & elsewhere
        nearest = [metrics.found_at(to_others, relevant, k=k) for k in (1, 5)]
        parts.append((*nearest, metrics.average_precision(to_others, relevant)))
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

    def score(method: Method, frames: NDArray[np.uint8]) -> Scores:
        similarities = method.similarities(frames[later], frames[~later])
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


_PIECE = 0.2  # of each side
_CANDIDATES = 4  # pieces, of which the least like what it covers is put in
_MAX_PIECES = 100
_QUIET = 1 / 5  # of the frames that are judged
_MIN_QUIET = 10


@dataclass(frozen=True)
class _Piece:
    """What is put into a frame. Positions are shares of the room that there is, 0 to 1."""

    frame: int  # index that gets it
    taken_from: int  # index
    taken_at: tuple[float, float]  # down, across
    put_at: tuple[float, float]


def novelty_question(sample: Sample, *, seed: int) -> Question:
    """Does a piece of another moment and place make a frame of a still camera newer than the frames are as they are?

    Novelty is that of `firstsight novelty`, of the sample's frames. What is put in never counts as seen. As new things
    happen in the footage, both are asked of the fifth of the frames that are closest to the usual view.

    Args:
        sample: the frames; of videos those are used whose view stands still.
        seed: of the pieces.

    Raises:
        SettingsError: why this footage does not allow the question.
    """
    still = is_still(sample)
    if not still.any():
        raise SettingsError("the view moves; novelty is of a camera that stands still")
    videos = [rows for rows, stands in zip(in_order(sample), still, strict=True) if stands]
    judged = [rows[_is_judged(sample.seconds[rows])] for rows in videos]
    quiet = np.concatenate([_quietest(sample, *both) for both in zip(videos, judged, strict=True)])
    if len(quiet) < _MIN_QUIET:
        num_judged = sum(map(len, judged))
        raise SettingsError(
            f"{deviation.judged_text(sum(map(len, videos)), num_judged)}; "
            f"{round(_MIN_QUIET / _QUIET)} judged are needed"
        )
    chosen = quiet[np.unique(np.linspace(0, len(quiet) - 1, _MAX_PIECES).round().astype(int))]
    blocks, random = query_blocks(len(quiet)), np.random.default_rng(seed)
    pieces = [_piece(sample, int(frame), next(rows for rows in videos if frame in rows), random) for frame in chosen]

    def score(method: Method, frames: NDArray[np.uint8]) -> Scores:
        if method.cells is None:
            raise ValueError(f"{method.name} has no cells")
        cells = method.cells
        put_in = dict(zip(chosen.tolist(), cells(np.stack([_with(frames, piece) for piece in pieces])), strict=True))
        with_piece, as_is = list[float](), dict[int, float]()
        for rows in videos:
            scored = _novelty(cells(frames[rows]), rows, sample.seconds[rows], put_in)
            with_piece += scored[0]
            as_is |= scored[1]
        pieces_score, as_they_are = np.array(with_piece), np.array([as_is[row] for row in quiet.tolist()])
        newer = metrics.auroc_by_case(pieces_score, as_they_are)
        figures = {
            "newer": float(newer.mean()),
            "called new": float((pieces_score >= deviation.NEW_FROM).mean()),
            "as it was": float((as_they_are >= deviation.NEW_FROM).mean()),
        }
        return Scores(figures, newer, np.concatenate([blocks[np.isin(quiet, chosen)], blocks]))

    columns = {
        "newer": "a frame with a piece put in against one as it was: share of cases in which its novelty is the higher "
        "(AUROC); half is chance",
        "called new": f"share of frames with a piece whose novelty is {deviation.NEW_FROM:g} or more",
        "as it was": "the same of frames without a piece, what truly happened in them included",
    }
    asks = f"is a piece that was not there before new, in {len(pieces)} of the quietest frames of a still camera?"
    return Question(asks, columns, score)


def _is_judged(seconds: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which frames come after those that set the usual view."""
    usual, judged = None, []
    for time in seconds:
        usual, score = deviation.update(usual, np.zeros((1, 1), np.float32), float(time))
        judged.append(score is not None)
    return np.array(judged)


def _quietest(sample: Sample, rows: NDArray[np.intp], judged: NDArray[np.intp]) -> NDArray[np.intp]:
    """Of the frames judged in a video those whose most different cell is closest to the frames before."""
    cells, is_judged = cell_means(sample.full_frames[rows]), np.isin(rows, judged)
    apart = np.abs(cells[is_judged] - cells[~is_judged].mean(axis=0)).max(axis=1)
    return np.sort(judged[np.argsort(apart, kind="stable")[: round(_QUIET * len(judged))]])


def _piece(sample: Sample, frame: int, rows: NDArray[np.intp], random: np.random.Generator) -> _Piece:
    """Of some at random the one that is least like what it covers."""
    drawn = []
    for _ in range(_CANDIDATES):
        down, across, put_down, put_across = random.random(4).tolist()
        drawn.append(_Piece(frame, int(random.choice(rows)), (down, across), (put_down, put_across)))
    before = sample.full_frames[frame].astype(np.int16)
    return max(drawn, key=lambda piece: np.abs(_with(sample.full_frames, piece) - before).sum())


def _with(frames: NDArray[np.uint8], piece: _Piece) -> NDArray[np.uint8]:
    """The frame with the piece put in."""
    changed: NDArray[np.uint8] = frames[piece.frame].copy()
    changed[_window(changed, piece.put_at)] = frames[piece.taken_from][_window(changed, piece.taken_at)]
    return changed


def _window(frame: NDArray[np.uint8], at: tuple[float, float]) -> tuple[slice, ...]:
    lengths = [round(_PIECE * side) for side in frame.shape[:2]]
    starts = [round(share * (side - length)) for share, side, length in zip(at, frame.shape, lengths, strict=False)]
    return tuple(slice(start, start + length) for start, length in zip(starts, lengths, strict=True))


def _novelty(
    cells: NDArray[np.float32],
    rows: NDArray[np.intp],
    seconds: NDArray[np.float64],
    put_in: dict[int, NDArray[np.float32]],
) -> tuple[list[float], dict[int, float]]:
    """The novelty of a video's frames with a piece, and of all as they are by row, once the usual view is set."""
    usual, with_piece, as_is = None, list[float](), dict[int, float]()
    for row, own, time in zip(rows.tolist(), cells, seconds.tolist(), strict=True):
        if row in put_in:
            with_piece += [score for score in (deviation.update(usual, put_in[row], time)[1],) if score is not None]
        usual, score = deviation.update(usual, own, time)
        as_is |= {row: score} if score is not None else {}
    return with_piece, as_is
