"""What a person may want to judge: copies, changes of scene, and what is new; found by a job, source by source."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, get_args

from firstsight.api import Library
from firstsight.copies.shared_footage import Shared
from firstsight.errors import FirstsightError, SettingsError
from firstsight.files import write_atomically
from firstsight.from_json import from_json, read_json
from firstsight.library.records import SourceRecord
from firstsight.progress import Progress, Report, silent
from firstsight.text import counted, printable

Kind = Literal["new", "copy", "near", "scene"]
FOUND_BY_JOB: tuple[str, ...] = ("copy", "new", "scene")
_MAX_OF_SOURCE = 200  # of a kind, the doubtful ones first
_BEFORE_SECONDS = 0.04  # of a change of scene: the frame before


@dataclass(frozen=True)
class Place:
    """A time of a source."""

    source: str  # its name in the library
    seconds: float  # of the frame that is shown
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True)
class Candidate:
    """Something to judge."""

    id: str  # the same whenever it is found again
    kind: Kind
    detail: str  # its evidence, for people
    first: Place
    second: Place | None = None  # of what is compared
    anchor: str | None = None  # of a near miss: the id of what is compared

    @property
    def places(self) -> tuple[Place, ...]:
        """One or two."""
        return (self.first,) if self.second is None else (self.first, self.second)


def candidate(kind: Kind, detail: str, first: Place, second: Place | None = None, *, contents: str) -> Candidate:
    """With an id of what it shows; `contents` are the hashes of its files."""
    times = [f"{one.start_seconds:.1f} {one.end_seconds:.1f}" for one in (first, second) if one]
    key = hashlib.blake2b("\n".join([kind, contents, *times]).encode(), digest_size=8).hexdigest()
    return Candidate(key, kind, detail, first, second)


@dataclass(frozen=True)
class Found:
    """What the job has found so far."""

    done: tuple[str, ...] = ()  # what was searched: kind, and hash and name of the file
    candidates: tuple[Candidate, ...] = ()


def read_found(file: Path) -> Found:
    """What was found; nothing if the job has not run, or its file is damaged."""
    try:
        return from_json(Found, read_json(file), name="candidates")
    except (OSError, ValueError, SettingsError):
        return Found()


def still_true(found: Found, records: Iterable[SourceRecord]) -> Found:
    """Without what was found in files that have changed since, or are gone."""
    keys = {(kind, one.name): _key(kind, one) for one in records for kind in FOUND_BY_JOB}
    done = {*found.done} & {*keys.values()}
    kept = (one for one in found.candidates if {keys.get((one.kind, at.source)) for at in one.places} <= done)
    return Found(tuple(key for key in found.done if key in done), tuple(kept))


def check_kinds(kinds: Sequence[str]) -> None:
    """Raises a SettingsError for a kind that no job finds, or none."""
    if not kinds or not set(kinds) <= set(FOUND_BY_JOB):
        given = ", ".join(kinds) or "nothing"
        raise SettingsError(f"{given} cannot be looked for; valid are {', '.join(FOUND_BY_JOB)}")


def find_candidates(
    library: Library,
    kinds: Sequence[str],
    out: Path,
    *,
    answered: Collection[str] = (),
    progress: Report = silent,
) -> str:
    """Looks for what is to be judged, and writes it source by source; what is new of it, in a line.

    What was searched before, and has not changed, is not searched again.

    Args:
        library: which one.
        kinds: of candidates.
        out: the file.
        answered: ids of candidates, which are not new.
        progress: called source by source.
    """
    check_kinds(kinds)
    records = library.store.sources
    found = still_true(read_found(out), records)
    known, unread = {*answered, *(one.id for one in found.candidates)}, set()
    _write(out, found)
    if "copy" in kinds:
        others = tuple(one for one in found.candidates if one.kind != "copy")
        searched = dict.fromkeys((*found.done, *(_key("copy", one) for one in records)))
        found = Found(tuple(searched), others + tuple(_copies(library, progress)))
        _write(out, found)
    videos = [record for record in records if not record.is_picture]
    for kind in (one for one in get_args(Kind) if one in kinds and one in _OF_SOURCE):
        for number, record in enumerate(videos):
            progress(Progress(f"{_WORDS[kind]} in {printable(record.name)}", number, len(videos)))
            key = _key(kind, record)
            if key in found.done:
                continue
            some = _found_in(record, library, kind)
            if some is None:
                unread.add(record.id)
                continue
            found = Found((*found.done, key), (*found.candidates, *some))
            _write(out, found)
    num = len({one.id for one in found.candidates} - known)
    line = counted(num, "new moment") if num else "nothing new"
    return f"{line}; {counted(len(unread), 'source')} could not be read" if unread else line


_WORDS: dict[str, str] = {"scene": "scenes", "new": "what is new"}


def _key(kind: str, record: SourceRecord) -> str:
    """Of a search: candidates name their source, so one of another name is searched again."""
    return f"{kind} {record.content} {record.name}"


def _found_in(record: SourceRecord, library: Library, kind: str) -> list[Candidate] | None:
    """None if the file is gone, or cannot be read, for now."""
    try:
        return list(_OF_SOURCE[kind](record, library))[:_MAX_OF_SOURCE]
    except FirstsightError:
        return None


def _scenes(record: SourceRecord, _: Library) -> Iterator[Candidate]:
    """Each change between two scenes, the weakest first."""
    from firstsight.scene_detection.scenes import detect_scenes

    scenes = detect_scenes(record.path).scenes
    pairs = [(before, after) for before, after in pairwise(scenes) if after.begins]
    for before, after in sorted(pairs, key=lambda pair: pair[1].strength):
        last = max(before.start_seconds, after.start_seconds - _BEFORE_SECONDS)
        yield candidate(
            "scene",
            f"{after.begins}, strength {after.strength:.2f}",
            Place(record.name, last, before.start_seconds, before.end_seconds),
            Place(record.name, after.start_seconds + _BEFORE_SECONDS, after.start_seconds, after.end_seconds),
            contents=record.content,
        )


def _new(record: SourceRecord, library: Library) -> Iterator[Candidate]:
    """Each time at which something is new before a camera that stands still, the least new first."""
    from firstsight.monitoring.watch import watch

    ended = [
        event
        for event in watch(library.encoder, str(record.path), novel=True, speed=0)
        if event.kind == "novel ends" and event.peak_seconds is not None
    ]
    for event in sorted(ended, key=lambda event: event.value or 0.0):
        start, end, peak = event.start_seconds or 0.0, event.end_seconds or 0.0, event.peak_seconds or 0.0
        usual = Place(record.name, max(0.0, start - 2.0), max(0.0, start - 2.0), start)
        shown = Place(record.name, peak, start, end)
        detail = f"{event.value or 0:.1f} times the usual deviation, for {end - start:.1f} s"
        yield candidate("new", detail, shown, usual, contents=record.content)


_OF_SOURCE: dict[str, Callable[[SourceRecord, Library], Iterator[Candidate]]] = {"scene": _scenes, "new": _new}


def _copies(library: Library, progress: Report) -> Iterator[Candidate]:
    """Each pair that shares footage, or perhaps does, the doubtful first."""
    contents = {record.name: record.content for record in library.store.sources}
    shared = library.duplicates(progress=progress).shared
    for one in sorted(shared, key=lambda one: (one.finding != "perhaps", one.similarity))[:_MAX_OF_SOURCE]:
        yield candidate("copy", _evidence(one), *_both(one), contents=contents[one.first] + contents[one.second])


def _both(one: Shared) -> tuple[Place, Place]:
    if not one.stretches:
        return Place(one.first, 0.0, 0.0, 0.0), Place(one.second, 0.0, 0.0, 0.0)
    at = max(one.stretches, key=lambda at: at.first_end - at.first_start)
    half, end = (at.first_end - at.first_start) / 2, at.second_start + at.first_end - at.first_start
    return (
        Place(one.first, at.first_start + half, at.first_start, at.first_end),
        Place(one.second, at.second_start + half, at.second_start, end),
    )


def _evidence(one: Shared) -> str:
    if one.finding == "identical files":
        return "the files are identical"
    return f"{one.finding}: coarse changes agree by {one.similarity:.2f}, details by {one.detail_similarity:.2f}"


def _write(out: Path, found: Found) -> None:
    write_atomically(out, json.dumps(asdict(found)).encode())
