"""The review queue: what is to be judged, the answers, and what they change. Answers are kept with the library."""

import json
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from firstsight.errors import LibraryError, SettingsError, check_choice
from firstsight.files import locked, write_atomically
from firstsight.from_json import from_json, read_json
from firstsight.library.set_apart import Part, part_of_source, reunite, set_apart
from firstsight.web.anchors import Anchor
from firstsight.web.candidates import Candidate, Place, candidate, check_kinds, read_found, still_true
from firstsight.web.jobs import Job
from firstsight.web.scores import Scores
from firstsight.web.workspace import Workspace

Answer = Literal["yes", "no", "unsure"]
FILE = "review.json"  # in the library
KINDS = ("new", "copy", "near", "scene")  # in this order they are asked
COLUMNS = (
    *("kind", "answer", "source", "start_seconds", "end_seconds"),
    *("other_source", "other_start_seconds", "other_end_seconds", "detail", "answered_at"),
)

_NEAR_SHARE = 0.7  # of the threshold, from which on what does not match is near it

# Of a candidate, the two that a "no" sets apart; None if it sets nothing apart.
Parts = Callable[[Candidate], tuple[Part, Part] | None]


@dataclass(frozen=True)
class Answered:
    """A candidate, and what was answered."""

    candidate: Candidate
    answer: Answer
    at: str  # by the clock of this machine, ISO 8601 in UTC
    apart: tuple[Part, Part] | None = None  # what the answer set apart


@dataclass(frozen=True)
class _Content:
    """Of the file."""

    answers: tuple[Answered, ...] = ()  # in the order in which they were given


class Answers:
    """The answers in the folder of a library, which others may open, too. All methods may be called from any thread.

    Args:
        library: its folder.
        parts: what a "no" to a candidate sets apart.
    """

    def __init__(self, library: Path, *, parts: Parts) -> None:
        self._library, self._file, self._parts = library, library / FILE, parts

    def all(self) -> list[Answered]:
        """In the order in which they were given."""
        return read_answers(self._file)

    def apart(self) -> list[tuple[Part, Part]]:
        """What the answers have set apart."""
        return [one.apart for one in self.all() if one.apart]

    def give(self, candidate: Candidate, answer: str) -> Answered:
        """Answers; another answer to the same replaces the first.

        A "no" to a copy or a near miss sets the two apart.

        Raises:
            SettingsError: another answer than yes, no, unsure.
        """
        check_choice("answer", answer, get_args(Answer))
        given: Any = answer
        with locked(self._file):
            answers = {one.candidate.id: one for one in self.all()}
            apart = self._parts(candidate) if answer == "no" else None  # may fail, before anything has changed
            self._take_back(answers.pop(candidate.id, None))
            if apart:
                set_apart(self._library, *apart)
            answered = Answered(candidate, given, datetime.now(UTC).isoformat(timespec="seconds"), apart)
            self._write([*answers.values(), answered])
        return answered

    def undo(self) -> Answered:
        """Takes back the latest answer. Raises a LibraryError if there is none."""
        with locked(self._file):
            answers = self.all()
            if not answers:
                raise LibraryError("there is no answer to take back")
            *left, latest = answers
            self._take_back(latest)
            self._write(left)
        return latest

    def _take_back(self, answered: Answered | None) -> None:
        if answered and answered.apart:
            reunite(self._library, *answered.apart)

    def _write(self, answers: list[Answered]) -> None:
        """Last of all, so that a change which fails before leaves the answers as they were."""
        write_atomically(self._file, json.dumps(asdict(_Content(tuple(answers)))).encode())


def read_answers(file: Path) -> list[Answered]:
    """Those that were given. Raises a LibraryError if the file cannot be read: it may hold some, so it stays."""
    try:
        return list(from_json(_Content, read_json(file), name=FILE).answers)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise LibraryError(f"{file} cannot be read: {error.strerror}; allow it, or remove it") from error
    except (ValueError, SettingsError) as error:
        raise LibraryError(f"{file} is damaged, or of another version ({error}); mend or remove it") from error


class Review:
    """The queue of a workspace. All methods may be called from any thread."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._file = workspace.state_folder / "candidates.json"
        self._state = ""  # of the library, to which the near misses belong
        self._near_misses: dict[str, Candidate] = {}  # by id
        self._lock = threading.Lock()

    @property
    def answers(self) -> Answers:
        """Those of the library. Raises a LibraryError while there is none."""
        self._workspace.anchors.all()  # raises without a library
        return Answers(self._workspace.folder, parts=self._parts_of)

    def candidates(self) -> list[Candidate]:
        """What a job found to be judged, and what nearly matches the anchors that were compared."""
        records = self._workspace.snapshot.records
        if not records:
            return []
        found = still_true(read_found(self._file), records.values()).candidates
        return list({one.id: one for one in (*found, *self._near())}.values())  # files of one content show the same

    def get(self, number: str) -> Candidate:
        """The candidate of that id. Raises a LibraryError if there is none."""
        for one in (*self.candidates(), *(one.candidate for one in self.answers.all())):
            if one.id == number:
                return one
        raise LibraryError("there is nothing like that to review, or not any more")

    def answer(self, number: str, answer: str) -> Answered:
        """Answers a candidate; what depends on it is computed again. Errors are those of `get` and `Answers.give`."""
        one = self.get(number)
        return self._follow(lambda: self.answers.give(one, answer))

    def undo(self) -> Answered:
        """Takes back the latest answer. Raises a LibraryError if there is none."""
        return self._follow(self.answers.undo)

    def look_for(self, kinds: list[str]) -> Job:
        """The job that looks for candidates. Raises a SettingsError for kinds that none finds."""
        check_kinds(kinds)
        self._workspace.anchors.all()  # raises without a library
        folder, out = str(self._workspace.folder), str(self._file)
        task = {"kind": "review", "library": folder, "kinds": sorted(set(kinds)), "out": out}
        return self._workspace.jobs.add("review", "looking for what to review", task)

    def _follow(self, change: Callable[[], Answered]) -> Answered:
        """Changes an answer; if others are set apart then, what was computed of the anchors is not true any more."""
        before = self.answers.apart()
        answered = change()
        if self.answers.apart() != before:
            self._near()  # these stay to be judged until the anchors are compared again
            self._workspace.forget_all()  # what is set apart from one may be from others, too
        return answered

    def _near(self) -> list[Candidate]:
        """What nearly matched an anchor in what is shown now, whenever it was compared."""
        state, anchors = self._workspace.snapshot.state, self._workspace.anchors.all()
        known = [(anchor, self._workspace.known_scores(anchor)) for anchor in anchors]
        found = [one for anchor, scores in known if scores is not None for one in self._nearly(anchor, scores)]
        with self._lock:
            if self._state != state:
                self._state, self._near_misses = state, {}
            self._near_misses.update((one.id, one) for one in found)
            kept = {anchor.id for anchor in anchors}
            return [one for one in self._near_misses.values() if one.anchor in kept]

    def _nearly(self, anchor: Anchor, scores: Scores) -> list[Candidate]:
        part, records = self._workspace.part_of(anchor), self._workspace.snapshot.records
        detail = f"similarity {{:.2f}} to {anchor.name}; a match begins at {scores.threshold:.2f}"
        return [
            replace(
                candidate(
                    "near",
                    detail.format(one.similarity),
                    Place(one.source, one.seconds, one.start_seconds, one.end_seconds),
                    contents=f"{part.content} {part.start_seconds} {part.box} {records[one.source].content}",
                ),
                anchor=anchor.id,
            )
            for one in scores.near
            if one.similarity >= _NEAR_SHARE * scores.threshold and one.source in records
        ]

    def _parts_of(self, one: Candidate) -> tuple[Part, Part] | None:
        """The two that a "no" sets apart: two files, or an anchor and a moment."""
        records = self._workspace.snapshot.records
        if any(at.source not in records for at in one.places):
            return None
        if one.kind == "copy" and one.second is not None:
            return part_of_source(records[one.first.source]), part_of_source(records[one.second.source])
        if one.kind == "near" and one.anchor is not None:
            anchor, at = self._workspace.anchors.get(one.anchor), one.first
            moment = part_of_source(records[at.source], at.start_seconds, at.end_seconds)
            return self._workspace.part_of(anchor), moment
        return None


def queue(candidates: list[Candidate], answered: list[Answered]) -> list[Candidate]:
    """What is left to judge, kind by kind."""
    done = {one.candidate.id for one in answered}
    return sorted((one for one in candidates if one.id not in done), key=lambda one: KINDS.index(one.kind))


def cells(answered: Answered) -> tuple[str, ...]:
    """An answer as a line of a table with these `COLUMNS`."""
    one = answered.candidate
    other = _times(one.second) if one.second else ("", "", "")
    return (one.kind, answered.answer, *_times(one.first), *other, one.detail, answered.at)


def _times(place: Place) -> tuple[str, ...]:
    return place.source, f"{place.start_seconds:.3f}", f"{place.end_seconds:.3f}"
