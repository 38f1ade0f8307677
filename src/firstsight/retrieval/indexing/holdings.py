"""What a library holds while it is being filled: which file, which content, under which name."""

import time
from collections.abc import Iterable
from pathlib import Path

from firstsight.retrieval.store.files import FootageFile, free_name
from firstsight.retrieval.store.records import SourceRecord, Stamp, latest
from firstsight.video.sampling import Sampling

_RowsKey = tuple[str, float | None, int | None]


class Holdings:
    """Sources by path, by content and by name; kept up to date by whoever changes the library.

    Attributes:
        whole: the sources shown, by path.
        partial: those that were interrupted, by path.
        failed: those that could not be read, by path.
    """

    def __init__(self, records: Iterable[SourceRecord]) -> None:
        records = list(records)
        self.whole: dict[Path, SourceRecord] = {}
        self.partial = latest(records, "partial")
        self.failed = latest(records, "failed")
        self._by_rows: dict[_RowsKey, SourceRecord] = {}
        self._by_content: dict[str, SourceRecord] = {}
        self._names = {record.name for record in (*self.partial.values(), *self.failed.values())}
        self._last_id = max((record.id for record in records), default=0)
        for record in latest(records, "whole").values():
            self.hold(record)

    def hold(self, record: SourceRecord) -> None:
        """A source is whole; another one at its path is no more."""
        if before := self.whole.get(record.path):
            self.let_go(before)
        self.whole[record.path] = record
        self._by_rows[_rows_key(record.content, record.sampling)] = record
        self._by_content[record.content] = record
        self._names.add(record.name)

    def let_go(self, record: SourceRecord) -> None:
        """A source is no more."""
        del self.whole[record.path]
        self._names.discard(record.name)
        key = _rows_key(record.content, record.sampling)
        if self._by_rows.get(key) == record:
            del self._by_rows[key]
        if self._by_content.get(record.content) == record:
            del self._by_content[record.content]

    def at(self, path: Path) -> SourceRecord | None:
        """What is known of the file there: whole before interrupted before failed."""
        return self.whole.get(path) or self.partial.get(path) or self.failed.get(path)

    def twin(self, content: str, sampling: Sampling) -> SourceRecord | None:
        """A whole source of the same content, sampled alike: it has the same rows."""
        return self._by_rows.get(_rows_key(content, sampling))

    def of_content(self, content: str) -> SourceRecord | None:
        """A whole source of the same content, sampled in whatever way."""
        return self._by_content.get(content)

    def name_for(self, file: FootageFile) -> str:
        """The name it has; for a new one its own, made unique, and from now on taken."""
        known = self.at(file.path)
        name = known.name if known else free_name(file, self._names)
        self._names.add(name)
        return name

    def new_record(self, file: FootageFile, stamp: Stamp, content: str, sampling: Sampling) -> SourceRecord:
        """A source with no rows yet, and an id that none ever had."""
        self._last_id = max(self._last_id + 1, time.time_ns())  # rows of one that was dropped may still be there
        return SourceRecord(
            id=self._last_id,
            name=self.name_for(file),
            path=file.path,
            content=content,
            num_bytes=stamp.num_bytes,
            modified_ns=stamp.modified_ns,
            frames_per_second=sampling.frames_per_second,
            every=sampling.every,
            is_picture=file.is_picture,
        )


def _rows_key(content: str, sampling: Sampling) -> _RowsKey:
    return content, sampling.frames_per_second, sampling.every
