"""An encoder beside the baselines, on the same questions, and a verdict in words for each use."""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from glob import glob, has_magic
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from firstsight.encoder.encoder import Encoder, check_encoder
from firstsight.errors import FirstsightError, SettingsError, SourceError, check_count, check_seconds, check_seed
from firstsight.evaluation import baselines
from firstsight.evaluation.baselines import MODEL, RANDOM, Method, thumbnail
from firstsight.evaluation.metrics import Difference, Question, Scores, difference, mean_of
from firstsight.evaluation.questions import (
    labels_question,
    novelty_question,
    second_pass_question,
    self_test_question,
)
from firstsight.evaluation.sample import MIN_FRAMES, Sample, is_still, read_labels, take_sample
from firstsight.files import check_path
from firstsight.footage.finding import find_all
from firstsight.footage.source import Source, Spec, files_of, open_source
from firstsight.object_store import ObjectPath, to_path
from firstsight.progress import Progress, Report, silent
from firstsight.quality.self_test import queries_among

FIND_AGAIN, SAME_PLACE, WHAT_IS_NEW, MORE_CLIPS = "find again", "same place", "what is new", "more clips"
_NOT_JUDGED, _SAYS_LITTLE = "cannot be judged: ", "says little"


def against_baselines(scores: Mapping[str, Scores]) -> str:
    """The first figure of the encoder, beside the best method that learns nothing and beside random filters.

    Differences are query by query; one that may well be chance, by Student's t, is called no clear difference.

    Args:
        scores: of `MODEL`, `RANDOM` and at least one more, by name.
    """
    model, simple = scores[MODEL], best_simple(scores)
    figure, value = next(iter(model.figures.items()))
    error = f" ± {100 * model.standard_error:.1f}" if model.standard_error < float("inf") else ""
    found = f"{figure} {100 * (value or 0):.1f}{error} %"
    return f"{found}; {_against_simple(simple, _gained(scores, simple))}; {_against_random(_gained(scores, RANDOM))}"


def best_simple(scores: Mapping[str, Scores]) -> str:
    """The name of the best baseline without a network."""
    return max(scores.keys() - {MODEL, RANDOM}, key=lambda name: (scores[name].per_query.mean(), name))


def _gained(scores: Mapping[str, Scores], name: str) -> Difference:
    model, other = scores[MODEL], scores[name]
    return difference(model.per_query, other.per_query, model.blocks)


def _against_simple(name: str, gained: Difference) -> str:
    points = _points(gained)
    if not gained.clear:
        return f"no clear difference from {name} ({points}), either will do"
    if gained.value > 0:
        return f"better than {name}, the best without learning, by {points}"
    return f"not better: {name} is ahead by {points}"


def _against_random(gained: Difference) -> str:
    points = _points(gained)
    if not gained.clear:
        return f"no clear difference from random filters ({points}), learning may not have helped"
    if gained.value > 0:
        return f"learning adds {points} to random filters"
    return f"random filters are ahead by {points}"


def _points(gained: Difference) -> str:
    """The size of the difference, with its sign if it is not clear which is ahead."""
    size = f"{100 * abs(gained.value):.1f}" if gained.clear else f"{100 * gained.value:+.1f}"
    error = f" ± {100 * gained.standard_error:.1f}" if gained.standard_error < float("inf") else ""
    return f"{size}{error} points"


# If the picture that follows were any picture, half of all others would be more alike.
_ORDERED_BELOW = 0.4


@dataclass(frozen=True)
class Use:
    """What an encoder is used for, and whether it is good for that on this footage."""

    name: str  # "find again", "same place", "what is new" or "more clips"
    verdict: str  # in words, with its evidence, or why it cannot be judged
    question: Question | None = None  # None: it cannot be judged, or from what was asked for another use
    scores: Mapping[str, Scores] = field(default_factory=dict)  # by the method's name, the encoder first

    @property
    def is_judged(self) -> bool:
        """Whether this footage allows a verdict."""
        return not self.verdict.startswith(_NOT_JUDGED)

    def to_json(self) -> dict[str, Any]:
        """All of it; figures are shares from 0 to 1, `columns` says of what."""
        question = self.question
        return {
            "verdict": self.verdict,
            "judged": self.is_judged,
            "asks": question.asks if question else None,
            "columns": dict(question.columns) if question else {},
            "scores": _scores_in_json(self.scores),
        }


@dataclass(frozen=True)
class Evaluation:
    """How well each method answered."""

    source: str  # the footage, for people
    question: Question
    scores: Mapping[str, Scores]  # by the method's name, the encoder first
    uses: tuple[Use, ...]  # what the encoder is good for here, one each
    notes: tuple[str, ...]
    num_frames: int  # asked about
    num_read: int  # that went by

    @property
    def verdicts(self) -> tuple[str, ...]:
        """A line for each use: its name, a colon, and the verdict."""
        return tuple(f"{use.name}: {use.verdict}" for use in self.uses)

    def to_json(self) -> dict[str, Any]:
        """All of it; of each method the figures, shares from 0 to 1, and the standard error of the first, or None."""
        return {
            "source": self.source,
            "asks": self.question.asks,
            "columns": dict(self.question.columns),
            "unit": "share, 0 to 1",
            "scores": _scores_in_json(self.scores),
            "verdicts": list(self.verdicts),
            "uses": {use.name: use.to_json() for use in self.uses},
            "notes": list(self.notes),
            "num_frames": self.num_frames,
            "num_read": self.num_read,
        }

    def to_arrow(self) -> pa.Table:
        """A row a method: its name, figures (shares, 0 to 1) and the standard error of the first."""
        content = self.to_json()["scores"]
        return pa.Table.from_pylist([{"method": name, **figures} for name, figures in content.items()])


def _scores_in_json(scores: Mapping[str, Scores]) -> dict[str, dict[str, float | None]]:
    return {name: {**one.figures, "standard_error": _finite(one.standard_error)} for name, one in scores.items()}


def _finite(value: float) -> float | None:
    return value if value < float("inf") else None


def evaluate(
    encoder: Encoder,
    source: Spec,
    *,
    labels: str | PathLike[str] | None = None,
    second_pass_seconds: float | None = None,
    max_frames: int = 1_000,
    seed: int = 0,
    progress: Report = silent,
) -> Evaluation:
    """Whether the encoder is good on that footage, beside what could be had without it.

    Args:
        encoder: what is judged.
        source: footage, or what `open_source` gave.
        labels: "folders", or a CSV file; see `read_labels`. With labels retrieval and classification are scored.
        second_pass_seconds: where a second pass over the same route begins; scores whether it finds the first.
        max_frames: asked about, spread evenly over the footage. At least 20.
        seed: of the random numbers; an integer from 0 to 2**32 - 1.
        progress: called now and then.

    Returns:
        The scores of the question that was asked, without labels or second pass the self-test, and a verdict for each
        use, or why this footage does not allow one.

    Raises:
        SourceError: too few frames, or frames that are all alike.
        SettingsError: labels that do not fit, or an option outside its range.
    """
    check_encoder(encoder)
    seed = check_seed(seed)
    if check_count("at most {} frames", max_frames, at_least=None) < MIN_FRAMES:
        raise SettingsError(f"at most {max_frames} frames; valid is {MIN_FRAMES} or more")
    if second_pass_seconds is not None:
        second_pass_seconds = check_seconds("a second pass from {} s", second_pass_seconds)
    if labels and second_pass_seconds is not None:
        raise SettingsError("labels and a second pass are two questions; give one")
    footage = open_source(source)
    labels = None if labels is None else str(check_path(labels, name="labels"))
    given = read_labels(labels, footage) if labels else None
    sample = take_sample(
        encoder,
        footage,
        max_frames=max_frames,
        labels=given,
        progress=progress,
    )
    place = _place_question(sample, labels, second_pass_seconds, seed)
    asking = _Asking(sample, seed, progress, _methods(encoder, sample, seed))
    find_again = _find_again(asking, is_optional=place is not None)
    same_place = _same_place(asking, place)
    new = _what_is_new(asking)
    clips = Use(MORE_CLIPS, _more_clips(find_again, sample, _learned_from(encoder, footage)))
    main = same_place if place else find_again
    assert main.question
    notes = [*(given.notes if given else ()), *main.question.notes]
    if sample.num_unlabelled:
        notes.append(f"{sample.num_unlabelled} of {sample.num_read} frames have no label and are left out")
    uses = (find_again, same_place, new, clips)
    return Evaluation(footage.name, main.question, main.scores, uses, tuple(notes), len(sample), sample.num_read)


def _methods(encoder: Encoder, sample: Sample, seed: int) -> list[Callable[[], Method]]:
    """The encoder and every baseline, made when it is asked."""
    footage = sample.full_frames
    return [
        lambda: baselines.of_encoder(encoder),
        cache(lambda: baselines.random_filters(footage, seed=seed)),
        lambda: thumbnail(footage),
        baselines.perceptual_hash,
        baselines.colour_histogram,
        lambda: baselines.hog(footage),
        baselines.cohog,
    ]


@dataclass(frozen=True)
class _Asking:
    """What all questions share."""

    sample: Sample
    seed: int
    progress: Report
    methods: list[Callable[[], Method]]  # the encoder, random filters, and the others

    def scores(self, question: Question, methods: list[Callable[[], Method]], what: str) -> dict[str, Scores]:
        """Of each method. The encoder has its part of a frame, the others all."""
        sample, scores = self.sample, {}
        for done, make in enumerate(methods):
            self.progress(Progress(f"{what}: {MODEL}" if not done else f"{what}: baselines", done, len(methods)))
            method = make()
            scores[method.name] = question.score(method, sample.full_frames if done else sample.inputs)
        return scores


def _find_again(asking: _Asking, *, is_optional: bool) -> Use:
    """The use, not judged where it is optional and the frames are all alike."""
    sample = asking.sample
    ordered = not sample.of_pictures or _next_is_near(sample.full_frames)
    question = self_test_question(sample, ordered=ordered, seed=asking.seed)
    try:
        scores = asking.scores(question, asking.methods, FIND_AGAIN)
    except SourceError as error:
        if not is_optional:
            raise
        return Use(FIND_AGAIN, f"{_NOT_JUDGED}{error}")
    evidence = against_baselines(scores)
    if ordered and is_still(sample).all():
        evidence = f"{_SAYS_LITTLE} of a camera that stands still, whose frames are all but the same; {evidence}"
    return Use(FIND_AGAIN, evidence, question, scores)


def _place_question(
    sample: Sample, labels: str | None, second_pass_seconds: float | None, seed: int
) -> Question | None:
    if labels:
        return labels_question(sample, seed=seed)
    if second_pass_seconds is not None:
        return second_pass_question(sample, at_seconds=second_pass_seconds, seed=seed)
    return None


def _same_place(asking: _Asking, question: Question | None) -> Use:
    if question is None:
        how = "`firstsight evaluate` takes --labels, or --second-pass for a route walked twice"
        why = f"nothing says which frames show the same place; {how}"
        return Use(SAME_PLACE, _NOT_JUDGED + why)
    scores = asking.scores(question, asking.methods, SAME_PLACE)
    return Use(SAME_PLACE, against_baselines(scores), question, scores)


def _what_is_new(asking: _Asking) -> Use:
    try:
        question = novelty_question(asking.sample, seed=asking.seed)
    except SettingsError as error:
        return Use(WHAT_IS_NEW, f"{_NOT_JUDGED}{error}")
    scores = asking.scores(question, [*asking.methods[:2], baselines.mean_colours], WHAT_IS_NEW)
    figures = scores[MODEL].figures
    called, false = (f"{100 * (figures[name] or 0):.0f} %" for name in ("called new", "as it was"))
    evidence = f"a piece put in is called new in {called} of frames, a frame as it was in {false}"
    return Use(WHAT_IS_NEW, f"{against_baselines(scores)}; {evidence}", question, scores)


def _learned_from(encoder: Encoder, footage: Source) -> dict[str, bool] | None:
    """Of each file of the footage whether the encoder learned from it; None if that is not known."""
    record: Mapping[str, Any] = encoder.provenance
    known = [part.get("paths") or [] for part in (record.get("footage") or {}, *(record.get("extended_by") or []))]
    files = files_of(footage)
    if not all(known) or not files:
        return None
    try:
        named = [_named(one) for some in known for one in some]
    except (FirstsightError, OSError):  # a store that does not answer
        return None
    if not all(named):  # moved, perhaps into this footage
        return None
    paths = [path for some in named for path in some]
    return {name: _is_among(path.resolve(), paths) for name, path in files.items()}


def _named(path: str) -> list[Path]:
    """The file or folder of that name, or those that fit the pattern."""
    if isinstance(named := to_path(path), ObjectPath):
        return [file.path for file in find_all(named).files] if has_magic(path) else [named]
    found = [path] if os.path.lexists(path) else glob(path, recursive=True)  # noqa: PTH207  # an absolute pattern
    return [Path(one).resolve() for one in found]


def _is_among(file: Path, paths: list[Path]) -> bool:
    """Whether it is one of the files, or in one of the folders."""
    return any(file == path or path in file.parents for path in paths)


def _more_clips(find_again: Use, sample: Sample, learned_from: Mapping[str, bool] | None) -> str:
    """Whether to learn from more than was learned from, by how well frames are found again."""
    scores = find_again.scores
    if not scores:
        return find_again.verdict
    if learned_from is None:
        return f"{_NOT_JUDGED}it is not known which files the encoder learned from, or the footage is no files"
    is_known = np.array([learned_from.get(name, False) for name in sample.names])
    files = sample.sources[queries_among(len(sample))]
    of_query = is_known[files]
    if of_query.all():
        answer = _of_own_footage(scores)
    elif of_query.any():
        answer = _of_other_footage(scores, of_query, scores[MODEL].blocks if sample.of_pictures else files)
    else:
        answer = _of_foreign_footage(scores)
    return answer.replace("yes:", "perhaps:") if find_again.verdict.startswith(_SAYS_LITTLE) else answer


def _of_own_footage(scores: Mapping[str, Scores]) -> str:
    ahead_of = {name: _gained(scores, name) for name in (RANDOM, best_simple(scores))}
    behind = [name for name, gained in ahead_of.items() if not (gained.clear and gained.value > 0)]
    if behind:
        names = " and ".join(behind)
        return f"yes: even of what it learned from it finds no more again than {names}; learn from others too"
    return f"{_NOT_JUDGED}it learned from all of this footage; ask of a clip that it did not learn from"


def _of_other_footage(scores: Mapping[str, Scores], of_query: NDArray[np.bool_], files: NDArray[np.int64]) -> str:
    """Is the lead, which takes out how hard a file is, smaller in others? Any two differ, so a video is one block."""
    simple = best_simple(scores)
    lead = scores[MODEL].per_query - scores[simple].per_query
    own, others = (mean_of(lead[part], files[part]) for part in (of_query, ~of_query))
    error = math.hypot(own.standard_error, others.standard_error)
    lost = Difference(own.value - others.value, error, min(own.num_blocks, others.num_blocks))
    leads = f"its lead over {simple} is {_signed(own)} in files that it learned from and {_signed(others)} in others"
    if not lost.is_measured:
        return f"{_NOT_JUDGED}one video does not say how much videos differ: {leads}"
    if lost.clear and lost.value > 0:
        return f"yes: {leads}; learn from those too"
    return f"no need seen: {leads}{'' if lost.clear else ', no clear difference'}"


def _of_foreign_footage(scores: Mapping[str, Scores]) -> str:
    gained = _gained(scores, RANDOM)
    if gained.clear and gained.value > 0:
        return f"no need seen: it did not learn from this footage, and is {_points(gained)} ahead of random filters"
    behind = "behind" if gained.clear else "no better than"
    compared = f"{behind} random filters ({_signed(gained)})"
    return f"yes: it did not learn from this footage, and is {compared}; learn from it too"


def _signed(gained: Difference) -> str:
    return f"{100 * gained.value:+.1f} points"


def _next_is_near(frames: NDArray[np.uint8]) -> bool:
    """Whether pictures are in order: the next one is more similar than most, as thumbnails."""
    similarities = thumbnail(frames).similarities(frames, frames)
    following = np.diagonal(similarities, 1)
    return float((similarities[:-1] > following[:, None]).mean()) < _ORDERED_BELOW
