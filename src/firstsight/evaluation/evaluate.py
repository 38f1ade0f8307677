"""An encoder beside the baselines, on the same question, and the verdict in words."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from firstsight.encoder.encoder import Encoder, check_encoder
from firstsight.errors import SettingsError, check_count, check_seconds, check_seed
from firstsight.evaluation.baselines import RANDOM, colour_histogram, perceptual_hash, random_filters, thumbnail
from firstsight.evaluation.metrics import Difference, Question, Scores, difference
from firstsight.evaluation.questions import labels_question, second_pass_question, self_test_question
from firstsight.evaluation.sample import MIN_FRAMES, Sample, read_labels, take_sample
from firstsight.files import check_path
from firstsight.footage.source import Spec, open_source
from firstsight.progress import Progress, Report, silent

MODEL = "this encoder"


def verdicts(scores: Mapping[str, Scores]) -> tuple[str, str]:
    """A line on the encoder against the best baseline without a network, and one on it against random filters.

    Differences are of the first figure, query by query; one within two standard errors is called no difference.

    Args:
        scores: of `MODEL`, `RANDOM` and at least one more, by name.
    """
    simple = max(scores.keys() - {MODEL, RANDOM}, key=lambda name: scores[name].per_query.mean())
    figure = next(iter(scores[MODEL].figures))
    return _against_simple(simple, figure, _gained(scores, simple)), _against_random(figure, _gained(scores, RANDOM))


def _gained(scores: Mapping[str, Scores], name: str) -> Difference:
    model, other = scores[MODEL], scores[name]
    return difference(model.per_query, other.per_query, model.blocks)


def _against_simple(name: str, figure: str, gained: Difference) -> str:
    points = _points(figure, gained)
    if not gained.clear:
        return f"no clear difference from the {name} on your footage: {points}; either will do"
    if gained.value > 0:
        return f"better than the {name} on your footage, by {points}"
    return f"not better: use the {name}, which is ahead on your footage by {points}"


def _against_random(figure: str, gained: Difference) -> str:
    points = _points(figure, gained)
    if not gained.clear:
        return f"no clear difference from random filters: {points}; learning may not have helped"
    if gained.value > 0:
        return f"what it learned adds {points} to random filters"
    return f"random filters are ahead by {points}: learn again, from footage like this"


def _points(figure: str, gained: Difference) -> str:
    """The size of the difference; with its sign where it is not said which is ahead."""
    size = f"{100 * abs(gained.value):.1f}" if gained.clear else f"{100 * gained.value:+.1f}"
    error = f" (standard error {100 * gained.standard_error:.1f})" if gained.standard_error < float("inf") else ""
    return f"{size} points of '{figure}'{error}"


# If the picture that follows were any picture, half of all others would be more alike.
_ORDERED_BELOW = 0.4


@dataclass(frozen=True)
class Evaluation:
    """How well each method answered."""

    source: str  # the footage, for people
    question: Question
    scores: Mapping[str, Scores]  # by the method's name, the encoder first
    verdicts: tuple[str, ...]  # a line each
    notes: tuple[str, ...]
    num_frames: int  # asked about
    num_read: int  # that went by

    def to_json(self) -> dict[str, Any]:
        """All of it; of each method the figures, shares from 0 to 1, and the standard error of the first, or None."""
        scores = self.scores.items()
        return {
            "source": self.source,
            "asks": self.question.asks,
            "columns": dict(self.question.columns),
            "unit": "share, 0 to 1",
            "scores": {name: {**one.figures, "standard_error": _finite(one.standard_error)} for name, one in scores},
            "verdicts": list(self.verdicts),
            "notes": list(self.notes),
            "num_frames": self.num_frames,
            "num_read": self.num_read,
        }

    def to_arrow(self) -> pa.Table:
        """A row a method: its name, figures (shares, 0 to 1) and the standard error of the first."""
        content = self.to_json()["scores"]
        return pa.Table.from_pylist([{"method": name, **figures} for name, figures in content.items()])


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
        With neither labels nor second pass, the self-test.

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
        label_of=given.of if given else None,
        progress=progress,
    )
    question = _question(sample, labels, second_pass_seconds, seed)
    scores = dict(_asked_of_all(question, encoder, sample, seed, progress))
    notes = [*(given.notes if given else ()), *question.notes]
    if sample.num_unlabelled:
        notes.append(f"{sample.num_unlabelled} of {sample.num_read} frames have no label and are left out")
    return Evaluation(footage.name, question, scores, verdicts(scores), tuple(notes), len(sample), sample.num_read)


def _question(sample: Sample, labels: str | None, second_pass_seconds: float | None, seed: int) -> Question:
    if labels:
        return labels_question(sample, seed=seed)
    if second_pass_seconds is not None:
        return second_pass_question(sample, at_seconds=second_pass_seconds, seed=seed)
    return self_test_question(sample, ordered=not sample.of_pictures or _next_is_near(sample.full_frames), seed=seed)


def _next_is_near(frames: NDArray[np.uint8]) -> bool:
    """Whether pictures are in order: the next one is more similar than most, as thumbnails."""
    vectors = thumbnail(frames).encode(frames)
    similarities = vectors @ vectors.T
    following = np.diagonal(similarities, 1)
    return float((similarities[:-1] > following[:, None]).mean()) < _ORDERED_BELOW


def _asked_of_all(
    question: Question, encoder: Encoder, sample: Sample, seed: int, progress: Report
) -> Iterator[tuple[str, Scores]]:
    """The encoder and every baseline with its scores. The encoder has its part of a frame, the others all."""
    footage = sample.full_frames
    makers = (lambda: random_filters(footage, seed=seed), lambda: thumbnail(footage), perceptual_hash, colour_histogram)
    progress(Progress(f"asking {MODEL}", 0, len(makers) + 1))
    yield MODEL, question.score(encoder.encode, sample.inputs)
    for done, make in enumerate(makers, start=1):
        baseline = make()
        progress(Progress(f"asking {baseline.name}", done, len(makers) + 1))
        yield baseline.name, question.score(baseline.encode, footage)
