"""The rows of the time axis: a video each, or the pictures of a folder; with the frames of the library in each.

A row has an id that clients use; paths stay with the server.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import LibraryError, SourceError
from firstsight.library.records import SourceRecord
from firstsight.library.source_files import FootageFile
from firstsight.library.store import Store
from firstsight.text import printable

Floats = NDArray[np.float64]
Kind = Literal["video", "pictures"]

# A frame is shown until the next one, unless that comes later than so many usual steps: then there is a gap.
_GAP_STEPS = 2.5
_PICTURE_SECONDS = 1.0  # pictures of a folder lie one second apart


@dataclass(frozen=True, eq=False)
class Row:
    """A video, or the pictures of a folder, on the axis of time."""

    # "s12" by the source's id, "g12" of pictures by the first one's, "x12" of a file that cannot be read, "f3" of one
    # that is not indexed yet.
    id: str
    name: str  # for people, as text
    kind: Kind
    positions: NDArray[np.intp]  # (N,), of its frames in the library's timeline; none if it is not indexed yet
    seconds: Floats  # (N,), ascending
    records: tuple[SourceRecord, ...]  # one of a video, one a picture
    duration_seconds: float
    path: Path | None = None  # of a file that is not indexed
    error: str = ""  # why that cannot be read; empty of one that is not indexed yet
    num_failed: int = 0  # files that cannot be read: of pictures in a folder there is one row

    @cached_property
    def ends(self) -> Floats:
        """(N,): until when each frame is shown, in seconds."""
        steps = np.diff(self.seconds)
        usual = float(np.median(steps)) if len(steps) else _PICTURE_SECONDS
        following = np.append(self.seconds[1:], np.inf)
        ends: Floats = np.minimum(following, self.seconds + _GAP_STEPS * usual)
        if len(ends):
            ends[-1] = max(min(self.duration_seconds, self.seconds[-1] + _GAP_STEPS * usual), self.seconds[-1] + usual)
        return ends

    @property
    def end_seconds(self) -> float:
        """When its last frame ends, or the file as far as it is known."""
        return max(self.duration_seconds, float(self.ends[-1]) if len(self.seconds) else 0.0)

    @cached_property
    def version(self) -> str:
        """8 letters that change when its frames or its files do."""
        return _hash_of(self.records, num_bytes=4)

    def nearest(self, seconds: float) -> int:
        """Which of its frames, 0 to N - 1, is nearest to a time.

        Raises:
            LibraryError: it has none, or none yet.
        """
        if not len(self.seconds):
            raise LibraryError(self.error or f"{self.name} is not indexed yet")
        return int(np.abs(self.seconds - seconds).argmin())

    def record_at(self, seconds: float) -> tuple[SourceRecord, float]:
        """The source at a time of the row, and the time in that source."""
        if self.kind == "video":
            return self.records[0], max(0.0, seconds)
        return self.records[self.nearest(seconds)], 0.0

    def check_readable(self) -> None:
        """Raises a SourceError if indexing could not read its file."""
        if self.error:
            raise SourceError(self.error)

    def to_json(self, *, aspect: float) -> dict[str, Any]:
        """As plain values, for the page."""
        return {
            "id": self.id,
            "name": self.name,
            "kind": self.kind,
            "version": self.version,
            "num_frames": len(self.positions),
            "end_seconds": self.end_seconds,
            "is_indexed": self.path is None,
            "error": self.error,
            "num_failed": self.num_failed,
            "aspect": aspect,
            "starts_at": stated_start(self.name) if self.kind == "video" else None,
        }


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What the library shows at one moment: its rows, and where each frame belongs."""

    state: str  # changes when sources do
    rows: tuple[Row, ...]
    num_frames: int

    @cached_property
    def by_id(self) -> dict[str, Row]:
        """The rows."""
        return {row.id: row for row in self.rows}

    @cached_property
    def by_source(self) -> dict[str, tuple[Row, float]]:
        """Of each source, by name, its row and the time of its start in the row."""
        found = {}
        for row in self.rows:
            for number, record in enumerate(row.records):
                found[record.name] = row, number * _PICTURE_SECONDS if row.kind == "pictures" else 0.0
        return found

    @cached_property
    def records(self) -> dict[str, SourceRecord]:
        """What is known of each source, by name."""
        return {record.name: record for row in self.rows for record in row.records}

    @cached_property
    def by_name(self) -> dict[str, Row]:
        """The rows, by what people call them."""
        return {row.name: row for row in self.rows}

    @cached_property
    def places(self) -> tuple[NDArray[np.int32], Floats]:
        """Of each frame of the timeline, the number of its row (N,) and its time in the row (N,)."""
        numbers, seconds = np.zeros(self.num_frames, np.int32), np.zeros(self.num_frames)
        for number, row in enumerate(self.rows):
            numbers[row.positions], seconds[row.positions] = number, row.seconds
        return numbers, seconds


def state_of(store: Store | None) -> str:
    """16 letters that change when the complete or failed sources do, or their names and places."""
    if store is None:
        return "0" * 16
    failed = [f"{one.id}:{one.reason}" for one in store.failed_sources]
    return _hash_of(store.sources, store.fingerprint, *failed, num_bytes=8)


def _hash_of(sources: Sequence[SourceRecord], *more: str, num_bytes: int) -> str:
    shown = [f"{one.id}:{one.num_frames}:{one.modified_ns}:{one.name}:{one.path}" for one in sources]
    content = "\n".join([*more, *shown]).encode("utf-8", "surrogateescape")
    return hashlib.blake2b(content, digest_size=num_bytes).hexdigest()


def snapshot_of(store: Store | None, files: Sequence[FootageFile]) -> Snapshot:
    """The rows of a library, of files that it could not read, and of files that are not in it yet."""
    rows = [] if store is None else [*_indexed_rows(store), *_failed_rows(store)]
    known = set() if store is None else {record.path for record in (*store.sources, *store.failed_sources)}
    rows += [
        Row(f"f{number}", printable(file.name), "video", *_NO_FRAMES, (), 0.0, file.path)
        for number, file in enumerate(files)
        if not file.is_picture and file.path not in known
    ]
    return Snapshot(state_of(store), tuple(rows), 0 if store is None else len(store.timeline))


_NO_FRAMES = np.empty(0, np.intp), np.empty(0)


def _indexed_rows(store: Store) -> list[Row]:
    frames = store.timeline.frames
    firsts = np.searchsorted(frames.source_indices, np.arange(len(store.sources) + 1))
    rows = []
    numbered = list(enumerate(store.sources))
    videos = [one for one in numbered if not one[1].is_picture]
    pictures = sorted((one for one in numbered if one[1].is_picture), key=lambda one: _folder(one[1].name))
    for number, record in videos:
        positions = np.arange(firsts[number], firsts[number + 1])
        seconds = frames.seconds[positions]
        name = printable(record.name)
        rows.append(Row(f"s{record.id}", name, "video", positions, seconds, (record,), record.duration_seconds))
    for folder, group in groupby(pictures, key=lambda one: _folder(one[1].name)):
        some = [(number, record) for number, record in group if firsts[number + 1] > firsts[number]]
        positions = np.array([firsts[number] for number, _ in some], np.intp)
        times: Floats = np.arange(len(some), dtype=np.float64) * _PICTURE_SECONDS
        records = tuple(record for _, record in some)
        if records:
            rows.append(
                Row(f"g{records[0].id}", _pictures_in(folder), "pictures", positions, times, records, float(len(some)))
            )
    return rows


def _failed_rows(store: Store) -> list[Row]:
    """Of what could not be read; a file that was read before it changed has its row already."""
    shown = {record.path for record in store.sources}
    failed = [record for record in store.failed_sources if record.path not in shown]
    rows = [_failed_row(record, record.name, record.reason) for record in failed if not record.is_picture]
    pictures = sorted((record for record in failed if record.is_picture), key=lambda one: _folder(one.name))
    for folder, group in groupby(pictures, key=lambda one: _folder(one.name)):
        first, *others = group
        if others:
            num = 1 + len(others)
            reason = f"{num} pictures cannot be read; the first: {first.reason}"
            rows.append(_failed_row(first, _pictures_in(folder), reason, num_failed=num))
        else:
            rows.append(_failed_row(first, first.name, first.reason))
    return rows


def _failed_row(record: SourceRecord, name: str, reason: str, *, num_failed: int = 1) -> Row:
    kind: Kind = "pictures" if record.is_picture else "video"
    shown = printable(name), kind, *_NO_FRAMES, (), 0.0, record.path, printable(reason)
    return Row(f"x{record.id}", *shown, num_failed)


def _pictures_in(folder: str) -> str:
    return f"pictures in {printable(folder)}" if folder not in ("", ".") else "pictures"


_CLOCK = re.compile(
    r"(?<!\d)(20\d\d)[-_.]?(\d\d)[-_.]?(\d\d)[-_. T]{0,3}(\d\d)[-_.:hH]?(\d\d)(?:[-_.:mM]?(\d\d))?(?!\d)"
)


def stated_start(name: str) -> float | None:
    """When a recording begins, if its name states that: seconds since 1970 by the clock of its camera, whatever zone.

    >>> stated_start("hall/2026-05-04_08-30-00.mp4") == stated_start("VID20260504083000.mp4")
    True
    >>> stated_start("hall-2026.mp4") is None
    True
    """
    for found in _CLOCK.finditer(name):
        try:
            year, month, day, hour, minute, second = (int(one or 0) for one in found.groups())
            return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
        except ValueError:  # digits that are no date
            continue
    return None


def _folder(name: str) -> str:
    return PurePosixPath(name).parent.as_posix()
