"""Rows on their way into a library: gathered into batches, each source shown to readers only when it is whole.

The order of writing is what makes it safe to be killed at any moment: a source under way is noted as partial before its
first rows are written, and as whole after its last.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType

from firstsight.library.records import FrameRows, SourceRecord
from firstsight.library.tables import Tables


def run_uninterrupted(work: Callable[[], None]) -> None:
    """Does the work; where Ctrl-C was pressed meanwhile, however often, it counts once, afterwards.

    Raises:
        KeyboardInterrupt: it was pressed, and the work is done.
    """
    previous = signal.getsignal(signal.SIGINT)
    if not callable(previous) or not _gets_signals():
        work()
        return
    pressed: list[FrameType | None] = []
    signal.signal(signal.SIGINT, lambda _, frame: pressed.append(frame))
    try:
        work()
    finally:
        signal.signal(signal.SIGINT, previous)
    if pressed:
        previous(signal.SIGINT, pressed[0])


@contextmanager
def only_first_interrupt() -> Iterator[None]:
    """The first Ctrl-C stops what is under way; more of them are ignored while that is put away and written."""
    previous = signal.getsignal(signal.SIGINT)
    if not callable(previous) or isinstance(previous, _FirstOnly) or not _gets_signals():
        yield
        return
    signal.signal(signal.SIGINT, _FirstOnly(previous))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


class _FirstOnly:
    """What is called for the first Ctrl-C, and not again."""

    def __init__(self, previous: Callable[[int, FrameType | None], object]) -> None:
        self._previous = previous
        self._is_pressed = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self._is_pressed:
            self._is_pressed = True
            self._previous(number, frame)


def _gets_signals() -> bool:
    return threading.current_thread() is threading.main_thread()


# At most this much is lost by a kill. Fewer rows at a time would leave the tables in crumbs.
_ROWS_AT_ONCE = 1_024
_SECONDS_AT_ONCE = 15.0
# Each write leaves a version behind that lists all files; after so many they are joined.
_WRITES_BETWEEN_COMPACTIONS = 128


class Writer:
    """Puts sources into the tables, one after another."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._rows: list[tuple[int, FrameRows]] = []
        self._under_way: SourceRecord | None = None
        self._noted: list[SourceRecord] = []
        self._superseded: list[int] = []
        self._last_write = time.monotonic()
        self._num_writes = 0
        self._has_failed = False

    def add(self, record: SourceRecord, rows: FrameRows) -> None:
        """Some frames of a source that is not finished yet."""
        self._under_way = record
        self._rows.append((record.id, rows))
        is_late = time.monotonic() - self._last_write > _SECONDS_AT_ONCE
        if is_late or sum(len(some) for _, some in self._rows) >= _ROWS_AT_ONCE:
            self.write()

    def resume(self, record: SourceRecord) -> None:
        """A source that has rows already is under way."""
        self._under_way = record

    def finish(self, record: SourceRecord, *, instead_of: Sequence[int] = ()) -> None:
        """The source under way is whole: with the next write it is shown, and those of these ids no more."""
        self._under_way = None
        self.note(replace(record, status="whole"), instead_of=instead_of)

    def note(self, record: SourceRecord, *, instead_of: Sequence[int] = ()) -> None:
        """Something other than rows has changed about a source."""
        self._noted.append(record)
        self._superseded += instead_of

    def abandon(self) -> None:
        """Forgets the source under way, and what was written of it."""
        if self._under_way is not None:
            source, self._under_way = self._under_way.id, None
            self._rows = [(id_, rows) for id_, rows in self._rows if id_ != source]
            self._tables.drop([source])

    def write(self) -> None:
        """Everything gathered so far. Ctrl-C waits until it is done.

        Raises:
            LibraryError: the disk is full. What is still to be written then is not: the next run does it again.
        """
        if (self._rows or self._noted) and not self._has_failed:
            run_uninterrupted(self._write)

    def _write(self) -> None:
        tables, self._has_failed = self._tables, True
        if self._under_way is not None:
            tables.put([replace(self._under_way, status="partial")])
        tables.add(self._rows)
        tables.put(list({record.id: record for record in self._noted}.values()))
        tables.drop(self._superseded)
        self._rows, self._noted, self._superseded = [], [], []
        self._num_writes += 1
        if self._num_writes % _WRITES_BETWEEN_COMPACTIONS == 0:
            tables.compact()
        self._last_write = time.monotonic()
        self._has_failed = False
