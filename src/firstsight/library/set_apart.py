"""What a person judged not to be the same, kept with the library: copies and searches leave it out from then on.

Sources are known by the hash of their files, so a judgement holds when a file is renamed, and lapses when it changes.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import LibraryError, SettingsError
from firstsight.files import locked, write_atomically
from firstsight.from_json import from_json, read_json
from firstsight.library.records import SourceRecord

_FILE = "set-apart.json"  # in the library
# A frame so near in time to a judged one shows the same.
_SLACK_SECONDS = 0.5


@dataclass(frozen=True)
class Part:
    """A source, a time of it, or a picture."""

    content: str  # hash of the file's bytes; of a picture that is no file, of its pixels
    start_seconds: float | None = None  # None is all of it
    end_seconds: float | None = None
    box: str | None = None  # x,y,width,height in pixels, if only that was searched for
    name: str = ""  # for people

    @property
    def is_whole(self) -> bool:
        """Whether it is a complete source or picture."""
        return self.start_seconds is None and self.box is None

    def is_about(self, other: "Part") -> bool:
        """Whether a judgement of this part holds for the other: the same box, at about the same time."""
        if (self.content, self.box) != (other.content, other.box):
            return False
        if self.start_seconds is None or other.start_seconds is None:
            return self.start_seconds is other.start_seconds
        return bool(self.covers(np.array([other.start_seconds]))[0])

    def covers(self, seconds: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(N,): which times of its source belong to it."""
        if self.start_seconds is None:
            return np.ones(len(seconds), np.bool_)
        return (seconds >= self.start_seconds - _SLACK_SECONDS) & (seconds <= self._end + _SLACK_SECONDS)

    @property
    def _end(self) -> float:
        start = self.start_seconds or 0.0
        return start if self.end_seconds is None else max(start, self.end_seconds)


@dataclass(frozen=True)
class Pair:
    """Two that are not the same."""

    first: Part
    second: Part

    def is_of(self, first: Part, second: Part) -> bool:
        """Whether it is of these two, in either order; names do not count."""
        return {_key(self.first), _key(self.second)} == {_key(first), _key(second)}


def _key(part: Part) -> tuple[object, ...]:
    return part.content, part.start_seconds, part.end_seconds, part.box


@dataclass(frozen=True)
class _Content:
    """Of the file."""

    pairs: tuple[Pair, ...]


def read_pairs(folder: Path) -> tuple[Pair, ...]:
    """Those of the library in the folder, in the order in which they were judged; none if there are none.

    Raises:
        LibraryError: the file is damaged.
    """
    file = folder / _FILE
    try:
        return from_json(_Content, read_json(file), name=_FILE).pairs
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, SettingsError) as error:
        raise LibraryError(f"{file} is damaged: {error}; remove it, and what was set apart is found again") from error


def set_apart(folder: Path, first: Part, second: Part) -> None:
    """Remembers that two are not the same. Raises a RunError if it cannot be written."""
    with locked(folder / _FILE):
        pairs = read_pairs(folder)
        if not any(pair.is_of(first, second) for pair in pairs):
            _write(folder, (*pairs, Pair(first, second)))


def reunite(folder: Path, first: Part, second: Part) -> bool:
    """Forgets it again; whether there was something to forget."""
    with locked(folder / _FILE):
        pairs = read_pairs(folder)
        left = tuple(pair for pair in pairs if not pair.is_of(first, second))
        if len(left) < len(pairs):
            _write(folder, left)
    return len(left) < len(pairs)


def _write(folder: Path, pairs: tuple[Pair, ...]) -> None:
    write_atomically(folder / _FILE, json.dumps(asdict(_Content(pairs)), indent=1).encode())


def part_of_source(record: SourceRecord, start_seconds: float | None = None, end_seconds: float | None = None) -> Part:
    """A source, or a time of it; a picture has no times."""
    if record.is_picture:
        start_seconds = end_seconds = None
    return Part(record.content, start_seconds, end_seconds, name=record.name)


def whole_pairs(pairs: Iterable[Pair]) -> frozenset[frozenset[str]]:
    """The hashes of sources that are no copies of each other."""
    return frozenset(frozenset((one.first.content, one.second.content)) for one in pairs if _is_whole(one))


def _is_whole(pair: Pair) -> bool:
    return pair.first.is_whole and pair.second.is_whole


def others_of(pairs: Iterable[Pair], part: Part) -> list[Part]:
    """What is not the same as that part; a box is asked for, and never found as a frame."""
    found = []
    for pair in pairs:
        for one, other in ((pair.first, pair.second), (pair.second, pair.first)):
            if one.is_about(part) and other.box is None:
                found.append(other)
    return found


def frames_of(
    parts: Sequence[Part],
    records: Sequence[SourceRecord],
    source_indices: NDArray[np.int64],
    seconds: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """(N,): which frames belong to any of the parts.

    Args:
        parts: of sources.
        records: of the sources, in the order of their numbers.
        source_indices: (N,), ascending.
        seconds: (N,).
    """
    found = np.zeros(len(seconds), np.bool_)
    for part in parts:
        for number, record in enumerate(records):
            if record.content == part.content:
                own = slice(*np.searchsorted(source_indices, [number, number + 1]))
                found[own] |= part.covers(seconds[own])
    return found
