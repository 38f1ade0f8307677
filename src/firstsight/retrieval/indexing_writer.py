"""Rows on their way into a library: gathered into batches, each source shown to readers only when it is whole.

The order of writing is what makes it safe to be killed at any moment: a source under way is noted as partial before its
first rows are written, and as whole after its last.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from firstsight.retrieval.library_records import SourceRecord
from firstsight.retrieval.library_rows import FrameRows
from firstsight.retrieval.library_tables import Tables

# At most this much is lost by a kill. Fewer rows at a time would leave the tables in crumbs.
_ROWS_AT_ONCE = 1_024
_SECONDS_AT_ONCE = 15.0


class Writer:
    """Puts sources into the tables, one after another."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._rows: list[tuple[int, FrameRows]] = []
        self._finished: list[SourceRecord] = []
        self._superseded: list[int] = []
        self._last_write = time.monotonic()

    def add(self, record: SourceRecord, rows: FrameRows) -> None:
        """Some frames of a source that is not finished yet."""
        self._rows.append((record.id, rows))
        is_late = time.monotonic() - self._last_write > _SECONDS_AT_ONCE
        if is_late or sum(len(some) for _, some in self._rows) >= _ROWS_AT_ONCE:
            self.write(under_way=record)

    def finish(self, record: SourceRecord, *, instead_of: int | None = None) -> None:
        """A source is whole: with the next write it is shown, and the one of that id no more."""
        self._finished.append(replace(record, status="whole"))
        self._superseded += [] if instead_of is None else [instead_of]

    def write(self, *, under_way: SourceRecord | None = None) -> None:
        """Everything gathered so far. Ctrl-C waits until it is done."""
        _undisturbed(lambda: self._write(under_way))

    def _write(self, under_way: SourceRecord | None) -> None:
        if under_way is not None:
            self._tables.put([replace(under_way, status="partial")])
        self._tables.add(self._rows)
        self._rows = []
        self._tables.put(self._finished)
        self._tables.drop(self._superseded)
        self._finished, self._superseded = [], []
        self._last_write = time.monotonic()


def _undisturbed(work: Callable[[], None]) -> None:
    """Does the work in a thread that Ctrl-C does not reach; where it was pressed meanwhile, it counts afterwards."""
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:  # raised again below
            errors.append(error)

    thread = threading.Thread(target=guarded, name="library-writer")
    thread.start()
    try:
        thread.join()
    finally:
        thread.join()
    if errors:
        raise errors[0]
