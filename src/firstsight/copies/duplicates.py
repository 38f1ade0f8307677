"""Which clips of a library are copies of each other, which frames repeat others, and what to keep?"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from firstsight.copies.alignments import Alignment, find_alignments
from firstsight.copies.choose_best import CopyGroup, copy_groups, outside_groups
from firstsight.copies.passages import (
    MAX_PROBABILITY,
    Measures,
    Ticks,
    at_ticks,
    find_matches,
    measure,
    measure_decoys,
    measure_repetition,
    moving_ticks,
    num_moving,
    tick_seconds,
)
from firstsight.copies.pictures import MIN_PICTURES, picture_copies
from firstsight.copies.shared_footage import Shared, identical, identical_files, shared_footage
from firstsight.copies.signature import NUM_COEFFICIENTS, SIDE, Cells, read_tracks, recompressed, signatures
from firstsight.copies.verification import Verifier
from firstsight.errors import LibraryError
from firstsight.footage.finding import other_names
from firstsight.library.records import SourceRecord
from firstsight.library.set_apart import read_pairs, whole_pairs
from firstsight.library.store import Store
from firstsight.progress import Report, silent

# Of poorly re-encoded frames, all but this share differ less than the threshold.
_SHARE_BEYOND = 0.1
_BLOCK = 512
# Cells of a blank frame differ by at most this number of grey levels, or by the noise of the library if that is more.
_MIN_TONES = 3.0


@dataclass(frozen=True)
class RepeatedFrame:
    """A frame, and the one that shows the same."""

    source: str
    frame_index: int
    seconds: float
    of_source: str
    of_frame_index: int
    of_seconds: float


def noise_of(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> float:
    """By how many grey levels some cell of a frame differs from the same frame re-encoded: (N, 16, 16, 3) each."""
    differences = np.abs(before.astype(np.int16) - after).max(axis=(1, 2, 3))
    return float(np.quantile(differences, 1 - _SHARE_BEYOND))


def is_blank(means: NDArray[np.uint8], noise: float) -> NDArray[np.bool_]:
    """(N,): which frames, (N, 16, 16, 3), are of one tone everywhere, up to noise."""
    tones = np.ptp(means.reshape(len(means), SIDE**2, 3), axis=1).max(axis=1)
    blank: NDArray[np.bool_] = tones <= max(noise, _MIN_TONES)
    return blank


class RepeatedFrames:
    """Takes frames as they come; keeps those that show something new. Memory: a kilobyte for each that is kept.

    Args:
        noise: grey levels by which two cells may differ and still be the same.

    Attributes:
        found: frames that repeat others; blank ones, of one tone everywhere, are left out.
        noise: the grey levels.
        num_of: frames of each source.
        num_blank_of: of these, the blank ones.
    """

    def __init__(self, noise: float) -> None:
        self.found: list[RepeatedFrame] = []
        self.noise = noise
        self.num_of: Counter[str] = Counter()
        self.num_blank_of: Counter[str] = Counter()
        # No cell's luma differs by more than its colours do; so a signature, which is a part of it, by no more than:
        self._radius = noise * SIDE
        self._keys: list[tuple[str, int, float]] = []
        self._pictures = np.empty((_BLOCK, SIDE, SIDE, 3), np.uint8)
        self._signatures = np.empty((_BLOCK, NUM_COEFFICIENTS), np.float32)

    @property
    def num_kept(self) -> int:
        """Frames that show something new."""
        return len(self._keys)

    def add(self, cells: Cells) -> None:
        """Some frames, in order."""
        blank = is_blank(cells.means, self.noise)
        self.num_of[cells.record.name] += len(blank)
        self.num_blank_of[cells.record.name] += int(blank.sum())
        cells = Cells(cells.record, cells.frame_indices[~blank], cells.seconds[~blank], cells.means[~blank])
        for start in range(0, len(cells.means), _BLOCK):
            self._add(cells, slice(start, start + _BLOCK))

    def _add(self, cells: Cells, rows: slice) -> None:
        pictures, own = cells.means[rows], signatures(cells.means[rows])
        near = self._near(own)
        num_before = self.num_kept
        numbers = np.arange(rows.start, rows.start + len(pictures))
        for row, picture, signature, candidates in zip(numbers, pictures, own, near, strict=True):
            distances = np.linalg.norm(self._signatures[num_before : self.num_kept] - signature, axis=1)
            fresh = np.flatnonzero(distances <= self._radius * (1 + 1e-4)) + num_before
            same = self._same(picture, np.concatenate([fresh[::-1], candidates]))
            key = (cells.record.name, int(cells.frame_indices[row]), float(cells.seconds[row]))
            if same is None:
                self._keep(key, picture, signature)
            else:
                self.found.append(RepeatedFrame(*key, *self._keys[same]))

    def _near(self, found: NDArray[np.float32]) -> list[NDArray[np.intp]]:
        """For each signature the frames kept so far that it does not rule out, the latest first."""
        kept = self._signatures[: self.num_kept]
        lengths = (found**2).sum(axis=1)[:, None] + (kept**2).sum(axis=1)
        squares = lengths - 2 * found @ kept.T
        allowed = self._radius**2 + 1e-4 * lengths  # by which rounding may be off
        return [np.flatnonzero(row)[::-1] for row in squares <= allowed]

    def _same(self, picture: NDArray[np.uint8], candidates: Sequence[int] | NDArray[np.intp]) -> int | None:
        """The first of the kept frames that is the same everywhere."""
        differences = np.abs(self._pictures[candidates].astype(np.int16) - picture).max(axis=(1, 2, 3), initial=0)
        same = np.flatnonzero(differences <= self.noise)
        return int(candidates[same[0]]) if len(same) else None

    def _keep(self, key: tuple[str, int, float], picture: NDArray[np.uint8], signature: NDArray[np.float32]) -> None:
        number = self.num_kept
        if number == len(self._pictures):
            self._pictures = np.concatenate([self._pictures, np.empty_like(self._pictures)])
            self._signatures = np.concatenate([self._signatures, np.empty_like(self._signatures)])
        self._pictures[number], self._signatures[number] = picture, signature
        self._keys.append(key)


@dataclass(frozen=True)
class Duplicates:
    """What was found in a library."""

    library: str  # its folder
    groups: tuple[CopyGroup, ...]  # of what is certain
    shared: tuple[Shared, ...]  # all pairs that have footage in common, or perhaps have
    too_short: tuple[str, ...]  # names of clips too short to compare, or with frames too far apart
    still: tuple[str, ...]  # of clips in which nothing moves, so that two takes cannot be told apart
    blank: tuple[str, ...]  # of sources that show nothing at all, such as black
    too_few_pictures: int  # pictures of which only files were compared, as fewer than 20 do not show what chance brings
    repeated_frames: tuple[RepeatedFrame, ...]
    num_blank_frames: int  # of one tone everywhere, not counted as repeated
    noise: float  # grey levels by which no cell of repeated frames differs
    num_sources: int  # compared
    num_frames: int  # compared
    other_names: tuple[str, ...] = ()  # of sources that are the file of another one, by a link, and are not compared
    num_apart: int = 0  # pairs left out, as they were judged not to be the same: see `Library.set_apart`

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    def to_arrow(self) -> pa.Table:
        """A row for each stretch that two sources share, or perhaps share; for pictures and equal files, each pair."""
        kept = {copy.source: (group.keep, copy.differs) for group in self.groups for copy in group.copies}
        return pa.Table.from_pylist([row for one in self.shared for row in _rows(one, kept)], _COLUMNS)


_COLUMNS = pa.schema(
    [
        *((name, pa.string()) for name in ("finding", "keep", "source", "other_source")),
        *((name, pa.float64()) for name in ("start_seconds", "end_seconds", "other_start_seconds")),
        *((name, pa.float64()) for name in ("similarity", "detail_similarity", "expected_by_chance")),
        ("differs", pa.string()),
    ]
)


def _rows(one: Shared, kept: Mapping[str, tuple[str, tuple[str, ...]]]) -> Iterator[dict[str, Any]]:
    keep, differs = next((kept[name] for name in (one.second, one.first) if one.is_copy and name in kept), (None, ()))
    for at in one.stretches or (None,):
        when = (at.first_start, at.first_end, at.second_start) if at else (None, None, None)
        numbers = one.similarity, one.detail_similarity, one.expected_by_chance
        values = (one.finding, keep, one.first, one.second, *when, *numbers, ", ".join(differs))
        yield dict(zip(_COLUMNS.names, values, strict=True))


def find_duplicates(library: Store, *, progress: Report = silent) -> Duplicates:
    """Copies of clips in a library, however they were re-encoded, shrunk, cropped, recoloured, mirrored or cut.

    Sources are copies if what changes in them is the same, so two takes before one camera are none; and if details
    agree better than those of look-alikes in the same library, so two floors of one architecture are none: see
    `verification.verdict`. Frames are the same if no cell of them differs by more than re-encoding changes it. Copies
    played at another speed are not found. A file that is in the library under several names, as links give it, is
    compared under one. Pairs that were set apart are left out. Memory: a quarter of a kilobyte for each frame, a
    kilobyte for each that repeats no other, and the matches.

    Args:
        library: its thumbnails are read, and files that are copies are opened for their frames' size.
        progress: called now and then.

    Raises:
        LibraryError: the library is empty.

    Example:
        >>> with Library.open("films.library") as library:  # doctest: +SKIP
        ...     for group in find_duplicates(library).groups:
        ...         print(group.keep, [copy.source for copy in group.copies])
    """
    if not library.num_frames:
        raise LibraryError(f"{library.name} holds no frame; put footage into it with `firstsight index`")
    sources, named_otherwise = _files_once(library.sources)
    before, after = recompressed(library)
    frames = RepeatedFrames(noise_of(before, after))
    tracks = list(read_tracks(library, sources, on_cells=frames.add, progress=progress))
    step = tick_seconds(tracks)
    ticks = [at_ticks(track, index, step) for index, track in enumerate(tracks)]
    measures = measure(ticks, signatures(before), signatures(after))
    moving = [moving_ticks(one, measures) for one in ticks]
    blank = {name for name, num in frames.num_blank_of.items() if num == frames.num_of[name]}
    pictures = [track for track in tracks if track.record.duration_seconds <= 0 and track.record.name not in blank]
    found, below = _aligned(ticks, measures, progress=progress)
    verified = Verifier(library.tables, tracks, ticks, step).verify(found, measures, below=below, progress=progress)
    same_files = identical_files(sources)
    contents = {record.name: record.content for record in sources}
    same = {frozenset((one.first, one.second)) for one in same_files}
    others = shared_footage(verified, tracks, ticks, moving, step) + picture_copies(pictures, library.tables)
    shared = same_files + tuple(
        _as_files(one, contents) for one in others if frozenset((one.first, one.second)) not in same
    )
    apart = whole_pairs(read_pairs(library.path))
    num_found = len(shared)
    shared = tuple(one for one in shared if frozenset((contents[one.first], contents[one.second])) not in apart)
    names = [track.record.name for track in tracks]
    groups = copy_groups(shared, dict(zip(names, tracks, strict=True)), _names_apart(contents, apart))
    videos = [
        index for index, track in enumerate(tracks) if track.record.duration_seconds > 0 and names[index] not in blank
    ]
    return Duplicates(
        library=library.name,
        groups=groups,
        shared=outside_groups(shared, groups),
        too_short=tuple(names[index] for index in videos if not ticks[index].num_passages),
        still=tuple(names[index] for index in videos if ticks[index].num_passages and not len(moving[index])),
        blank=tuple(name for name in names if name in blank),
        too_few_pictures=len(pictures) if len(pictures) < MIN_PICTURES else 0,
        repeated_frames=tuple(frames.found),
        num_blank_frames=sum(frames.num_blank_of.values()),
        noise=frames.noise,
        num_sources=len(tracks),
        num_frames=library.num_frames - sum(record.num_frames for record in named_otherwise),
        other_names=tuple(record.name for record in named_otherwise),
        num_apart=num_found - len(shared),
    )


def _names_apart(contents: Mapping[str, str], apart: Collection[frozenset[str]]) -> set[frozenset[str]]:
    """The names of pairs of contents; `contents` is by name."""
    named: dict[str, list[str]] = {}
    for name, content in contents.items():
        named.setdefault(content, []).append(name)
    pairs = ((min(pair), max(pair)) for pair in apart)
    return {frozenset(names) for one, other in pairs for names in product(named.get(one, ()), named.get(other, ()))}


def _files_once(records: Sequence[SourceRecord]) -> tuple[list[SourceRecord], list[SourceRecord]]:
    """The records, one for each file; and those of its other names: to delete one would delete the only file."""
    others = other_names(record.path for record in records)
    return [one for one in records if one.path not in others], [one for one in records if one.path in others]


def _as_files(one: Shared, contents: Mapping[str, str]) -> Shared:
    """What was found, or that the files are identical; contents are hashes by name of source."""
    return identical(one.first, one.second) if contents[one.first] == contents[one.second] else one


def _aligned(ticks: Sequence[Ticks], measures: Measures, *, progress: Report) -> tuple[list[Alignment], float]:
    """Where sources change alike, and the similarity from which passages are matches."""
    num_passages = num_moving(ticks, measures)
    background = measure_decoys(ticks, measures, num_moving=num_passages)
    if background is None:
        return [], 1.0
    matches = find_matches(ticks, measures, background, progress=progress)
    repetition = [measure_repetition(one, measures) for one in ticks]
    num_ticks = np.array([len(one.signatures) for one in ticks])
    found = find_alignments(matches, background, repetition, num_passages=num_passages, num_ticks=num_ticks)
    return found, background.threshold(MAX_PROBABILITY)
