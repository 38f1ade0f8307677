"""What one server shows: a library, or footage that becomes one while it is looked at.

Two handles of the library are open: one for rows and pictures, one for comparisons, which may take seconds; so looking
never waits for asking. Both show what is complete, and follow when a job completes more.
"""

import hashlib
import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from firstsight.api import Library
from firstsight.errors import FirstsightError, LibraryError, SettingsError, SourceError, brief
from firstsight.files import check_regular
from firstsight.footage.finding import is_address, is_picture
from firstsight.footage.frame_at import frame_at
from firstsight.footage.frames import Frame
from firstsight.library.folder import is_library
from firstsight.library.maintenance import is_reembedded
from firstsight.library.set_apart import Part, part_of_source
from firstsight.library.source_files import FootageFile, check_unchanged, find_footage
from firstsight.library.store import Store
from firstsight.library.thumbnails import opened
from firstsight.object_store import to_absolute
from firstsight.text import printable
from firstsight.web import tracks
from firstsight.web.anchors import Anchor, Anchors
from firstsight.web.gate import state_folder
from firstsight.web.jobs import Job, Jobs
from firstsight.web.live import Live
from firstsight.web.overview import Overview, read_overview
from firstsight.web.rows import Row, Snapshot, snapshot_of, state_of
from firstsight.web.scores import Scores, score

Value = TypeVar("Value")

_ASPECT = 16 / 9  # until a thumbnail is known
_MAX_MEASURED = 500  # rows whose aspect is measured
_MAX_STRIPS = 2_000  # kept in memory, some 50 kB each
_KEPT_SNAPSHOTS = 8  # while footage is indexed there is a new one a second, and an anchor takes some to be compared
_LOOK_EVERY_SECONDS = 1.0  # for sources that a job has completed


class Workspace:
    """A library and its jobs. All methods may be called from any thread.

    Args:
        path: a library, or footage: then the library is beside it, or in the user's state if nothing may be written
            there, and is made by a job.

    Raises:
        SourceError: there is neither.
        LibraryError: the library is damaged, or of another version.
    """

    def __init__(self, path: Path) -> None:
        path = to_absolute(path)
        self.footage = None if is_library(path) else path
        self.folder = path if self.footage is None else library_beside(path)
        self.name = path.name
        self.state_folder = state_folder() / "serve" / _key(self.folder, num_bytes=8)
        self._files = [] if self.footage is None else _found(self.footage)
        self._lock = threading.RLock()  # of the handle for pictures
        self._ask_lock = threading.Lock()  # of the handle for comparisons
        self._library: Library | None = None
        self._asked: Library | None = None
        self._snapshots: deque[Snapshot] = deque(maxlen=_KEPT_SNAPSHOTS)
        self._overview: Overview | None = None
        self._aspects: dict[str, float] = {}
        self._strips: OrderedDict[tuple[object, ...], bytes] = OrderedDict()
        self._scores: dict[str, Scores] = {}
        self._anchors = Anchors(self.folder)
        self._files_shown: dict[str, Row] = {}  # pages ask for these rows until they know of the indexed ones
        self.live = Live()
        self._looked = 0.0
        self._is_open = True
        self.jobs = Jobs(self.state_folder / "jobs.json", on_change=self._on_job)
        self.show_latest()

    def start(self) -> None:
        """Begins the work that there is: indexing new footage, grouping what is indexed."""
        if self.footage is not None:
            self.index()
        self._ask_for_overview()
        self.jobs.start()

    def close(self) -> None:
        """Ends its job, which the next server takes up, and releases the library."""
        self._is_open = False
        self.jobs.close()
        self.live.stop()
        for library in (self._library, self._asked):
            if library is not None:
                library.close()

    def index(self) -> Job:
        """The job that puts its footage into the library. Raises a SourceError if it was opened without footage."""
        if self.footage is None:
            raise SourceError("this library was opened without footage; start with the folder of the footage to add it")
        task = {"kind": "index", "library": str(self.folder), "footage": [str(self.footage)]}
        return self.jobs.add("index", f"indexing {self.footage.name}", task)

    @property
    def snapshot(self) -> Snapshot:
        """What is shown now."""
        with self._lock:
            return self._snapshots[-1]  # there is one since __init__

    def snapshot_at(self, state: str) -> Snapshot:
        """What was shown in a state of the library; what is shown now if that was long ago."""
        with self._lock:
            return next((one for one in self._snapshots if one.state == state), self._snapshots[-1])

    @property
    def overview(self) -> Overview | None:
        """Groups and map of what is shown now; None until its job is done."""
        with self._lock:
            return self._overview

    @property
    def anchors(self) -> Anchors:
        """Of the library. Raises a LibraryError while there is none."""
        with self._lock:
            if self._library is None:
                raise LibraryError("the library is still being made; wait until the encoder is learned")
            return self._anchors

    @property
    def anchors_version(self) -> str:
        """Letters that change when its anchors do."""
        return self._anchors.version

    def part_of(self, anchor: Anchor) -> Part:
        """What an anchor is to judgements: its file and time, or itself; and its box."""
        shown, box = self.snapshot, None if anchor.region is None else str(anchor.region)
        if anchor.content:
            seconds = None if is_picture(Path(anchor.source)) else anchor.seconds
            return Part(anchor.content, seconds, seconds, box, name=anchor.source)
        row, start = shown.by_source.get(anchor.source) or (shown.by_name.get(anchor.source), 0.0)
        if row is None or not row.records:
            return Part(f"anchor {anchor.id}", box=box, name=anchor.name)
        record, seconds = row.record_at(start + anchor.seconds)
        return replace(part_of_source(record, seconds, seconds), box=box)

    def watch_row(self, row: Row, *, speed: float) -> None:
        """Watches a video as if it were a camera. Raises a SourceError if it holds pictures, has changed or is gone."""
        self._watch(row.name, str(self.video_file(row)), speed)

    def watch_camera(self, source: str) -> None:
        """Watches a camera, by its number or address. Raises a SettingsError for anything else."""
        if not (is_address(source) or source.isdigit()):
            raise SettingsError(
                f"{brief(source)}; valid are a camera's number, as 0, or its address, as rtsp://camera/1"
            )
        self._watch(source, source, 1.0)

    def _watch(self, name: str, source: str, speed: float) -> None:
        if self._library is None:
            raise LibraryError("the library is still being made; wait until the encoder is learned")
        self.live.start(
            printable(name), {"kind": "live", "library": str(self.folder), "source": source, "speed": speed}
        )

    def known_scores(self, anchor: Anchor) -> Scores | None:
        """The curve and the matches of an anchor that was compared with what is shown now; None of another."""
        known = self._scores.get(anchor.id)
        return known if known is not None and known.state == self.snapshot.state else None

    def row(self, number: str) -> Row:
        """The row of that id. Raises a LibraryError if there is none."""
        row = self.snapshot.by_id.get(number) or self._files_shown.get(number)
        if row is None:
            raise LibraryError("there is no such row, or not any more")
        return row

    def aspect(self, row: Row) -> float:
        """Width of its pictures by height; of many rows, that of the first ones is taken for the others, too."""
        if row.id not in self._aspects and len(row.positions) and len(self._aspects) < _MAX_MEASURED:
            with self._lock, suppress(FirstsightError), opened(self.pictures(row, [0])[0]) as image:
                self._aspects[row.id] = image.width / image.height
        usual = next(iter(self._aspects.values()), _ASPECT)
        return self._aspects.get(row.id, usual if len(self._aspects) >= _MAX_MEASURED else _ASPECT)

    def pictures(self, row: Row, frames: list[int]) -> list[bytes]:
        """The stored JPEG of frames 0 to N - 1 of a row."""
        with self._lock:
            return tracks.thumbnails(self._shown(), self._as_shown(row), frames)

    def at_positions(self, positions: NDArray[np.int64]) -> list[bytes]:
        """The stored JPEG of frames of the timeline."""
        with self._lock:
            frames = self._shown().timeline.frames
            return self._shown().thumbnails(
                [(frames.source_of(one), int(frames.frame_indices[one])) for one in positions.tolist()]
            )

    def strip(self, row: Row, *, level: int, number: int) -> bytes:
        """A JPEG of 16 thumbnails along time, see `tracks.strip`."""
        tracks.check_tile(level, number)

        def make() -> bytes:
            aspect = self.aspect(row)
            with self._lock:
                return tracks.strip(self._shown(), self._as_shown(row), level=level, number=number, aspect=aspect)

        return self._kept((row.id, row.version, level, number), make)

    def atlas(self, number: int, *, side: int, columns: int) -> bytes:
        """A JPEG of the pictures of the map's points, `columns` squared at a time."""
        overview = self.overview
        if overview is None:
            raise LibraryError("the map is not ready yet")
        at, (numbers, seconds) = overview.positions, self.snapshot_at(overview.state).places
        some = at[np.lexsort((seconds[at], numbers[at]))][number * columns**2 : (number + 1) * columns**2]

        def make() -> bytes:
            with self._lock:
                if self._overview is not overview:
                    raise LibraryError("the map is made again, as the library has changed")
                return tracks.atlas(self.at_positions(some), side=side, columns=columns)

        return self._kept((overview.state, number, side), make)

    def _kept(self, key: tuple[object, ...], make: Callable[[], bytes]) -> bytes:
        with self._lock:
            if key in self._strips:
                self._strips.move_to_end(key)
                return self._strips[key]
        made = make()
        with self._lock:
            self._strips[key] = made
            while len(self._strips) > _MAX_STRIPS:
                self._strips.popitem(last=False)
        return made

    def video_file(self, row: Row) -> Path:
        """The file of a row. Raises a SourceError if it holds pictures, cannot be read, has changed, or is gone."""
        row.check_readable()
        if row.kind != "video":
            raise SourceError(f"{row.name} holds pictures")
        if row.path is None:
            check_unchanged(row.records[0])
        path = row.path or row.records[0].path
        if not path.is_file():
            raise SourceError(f"{row.name} is gone")
        return check_regular(path, name=row.name)

    def frame(self, row: Row, seconds: float) -> Frame:
        """The frame of a row nearest to a time, read from its file, in full size."""
        row.check_readable()
        if row.path is not None:
            return frame_at(row.path, seconds)
        record, own_seconds = row.record_at(seconds)
        check_unchanged(record)
        return frame_at(record.path, own_seconds)

    def ask(self, question: Callable[[Store], Value]) -> Value:
        """The answer to a question to the library, one at a time. Raises a LibraryError while there is none."""
        with self._ask_lock:
            if self._asked is None:
                if not is_library(self.folder):
                    raise LibraryError("the library is still being made; wait until the encoder is learned")
                self._asked = Library.open(self.folder)
            if is_reembedded(self._asked.store):
                self._follow()
            if state_of(self._asked.store) != self.snapshot.state:
                self._asked.refresh()
                if state_of(self._asked.store) != self.snapshot.state:
                    self._follow()
            return question(self._asked.store)

    def scores(self, anchor_id: str) -> Scores:
        """The curve and the matches of an anchor, in what is shown now."""
        anchor, scores = self.anchors.get(anchor_id), self._scores
        known = scores.get(anchor_id)
        if known is None or known.state != self.snapshot.state:
            picture, part = self.anchors.picture(anchor_id), self.part_of(anchor)

            def compared(store: Store) -> Scores:
                again = scores.get(anchor_id)  # another thread may have asked meanwhile
                is_known = again is not None and again.state == state_of(store)
                return again if again is not None and is_known else score(store, picture, anchor.region, part=part)

            known = scores[anchor_id] = self.ask(compared)
        return known

    def forget(self, anchor_id: str) -> None:
        """Drops what was computed of a removed anchor."""
        self._scores.pop(anchor_id, None)

    def forget_all(self) -> None:
        """Drops what was computed of all anchors; what is being computed is not kept."""
        self._scores = {}

    def show_latest(self) -> None:
        """Shows the sources that are complete by now."""
        with self._lock:
            if self._library is None and is_library(self.folder):
                self._library = Library.open(self.folder)
            elif self._library is not None:
                self._library.refresh()
            store = None if self._library is None else self._library.store
            state = state_of(store)
            if not self._snapshots or self._snapshots[-1].state != state:
                self._snapshots.append(snapshot_of(store, self._files))
                self._files_shown |= {row.id: row for row in self._snapshots[-1].rows if row.path is not None}
            if self._overview is None or self._overview.state != state:
                self._overview = read_overview(self.state_folder / "overview.npz", state)

    def _as_shown(self, row: Row) -> Row:
        """The row with its frames as they are now. Raises a LibraryError if they are others."""
        now = self.row(row.id)
        if now.version != row.version:
            raise LibraryError(f"{row.name} has changed; ask again")
        return now

    def _shown(self) -> Store:
        if self._library is None:
            raise LibraryError("the library is still being made")
        return self._library.store

    def _on_job(self, job: Job) -> None:
        """Follows a job; when one is done, asks for the next."""
        if not job.is_over and time.monotonic() - self._looked < _LOOK_EVERY_SECONDS:
            return
        self._looked = time.monotonic()
        if not self._is_open:
            return
        with suppress(FirstsightError):  # a library that is being made may not be readable yet
            self.show_latest()
        if job.kind == "index" and job.is_over:
            self._ask_for_overview()

    def _follow(self) -> None:
        """Shows what another process has written, and has it grouped."""
        self.show_latest()
        self._ask_for_overview()

    def _ask_for_overview(self) -> None:
        if self.snapshot.num_frames and self.overview is None:
            task = {"kind": "overview", "library": str(self.folder), "out": str(self.state_folder / "overview.npz")}
            self.jobs.add("overview", "grouping what is alike", task)


def library_beside(footage: Path) -> Path:
    """Where the library of footage goes: beside it; in the user's state if nothing may be written there."""
    beside = footage.with_name(f"{footage.name}.library")
    if is_library(beside) or os.access(footage.parent, os.W_OK | os.X_OK):
        return beside
    return state_folder() / "libraries" / f"{footage.name}-{_key(footage, num_bytes=4)}.library"


def _key(path: Path, *, num_bytes: int) -> str:
    """Letters for a path, that other paths hardly share."""
    return hashlib.blake2b(str(path).encode("utf-8", "surrogateescape"), digest_size=num_bytes).hexdigest()


def _found(footage: Path) -> list[FootageFile]:
    """The files of the footage. Raises a SourceError if there are none."""
    files, failures = find_footage([footage])
    if not files:
        raise SourceError(failures[0] if failures else f"{footage} holds no footage")
    return sorted(files, key=lambda file: file.name)
