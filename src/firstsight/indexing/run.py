"""One run of indexing: each file is embedded, copied, renamed or left, whichever is the least work."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from firstsight.errors import FirstsightError, LibraryError, RunError, UnreachableError
from firstsight.footage.image_folders import ImageFiles
from firstsight.footage.sampling import Sampling
from firstsight.footage.source import Source
from firstsight.indexing.estimate import Indexed
from firstsight.indexing.writer import (
    Choice,
    EmbeddedBatch,
    ResumePointMissingError,
    Writer,
    can_resume,
    embed_source,
    footage_to_embed,
    frames_after,
    plausible_end,
    resumed_sampling,
    stated_end,
)
from firstsight.library.records import SourceRecord, Stamp, Stored, latest, rate_in_words
from firstsight.library.source_files import FootageFile, content_hash, free_name, has_moved, stamp_of, storable
from firstsight.library.store import Store
from firstsight.progress import Progress, Report
from firstsight.text import printable


class SourceRegistry:
    """Sources by path, by content and by name.

    Attributes:
        whole: the sources shown, by path.
        partial: interrupted ones, by path.
        failed: those that could not be read, by path.
    """

    def __init__(self, records: Iterable[SourceRecord]) -> None:
        records = list(records)
        self.whole: dict[Path, SourceRecord] = {}
        self.partial = latest(records, "partial")
        self.failed = latest(records, "failed")
        self._by_content: dict[str, dict[Path, SourceRecord]] = defaultdict(dict)
        self._may_be_gone: dict[str, list[SourceRecord]] = defaultdict(list)  # by content
        self._names = {record.name for record in (*self.partial.values(), *self.failed.values())}
        self._new_names: dict[Path, str] = {}  # of files that are not in the library yet
        self._last_id = max((record.id for record in records), default=0)
        for record in latest(records, "whole").values():
            self.register(record)
            self._may_be_gone[record.content].append(record)

    def register(self, record: SourceRecord) -> None:
        """Adds a complete source; it replaces another one at its path."""
        if before := self.whole.get(record.path):
            self.forget(before)
        self.whole[record.path] = record
        self._by_content[record.content][record.path] = record
        self._names.add(record.name)

    def forget(self, record: SourceRecord) -> None:
        """Removes a source."""
        del self.whole[record.path]
        self._names.discard(record.name)
        del self._by_content[record.content][record.path]

    def take_attempts(self, path: Path) -> list[int]:
        """The ids of an interrupted and of a failed attempt at that file, which are of no use any more."""
        attempts = self.partial.pop(path, None), self.failed.pop(path, None)
        return [one.id for one in attempts if one]

    def at(self, path: Path) -> SourceRecord | None:
        """The record of that file: whole before partial before failed."""
        return self.whole.get(path) or self.partial.get(path) or self.failed.get(path)

    def with_same_rows(self, content: str, sampling: Sampling) -> SourceRecord | None:
        """A complete source of the same content and sampling: it has the same rows."""
        copies = self._by_content.get(content, {}).values()
        return next((one for one in copies if one.sampling == sampling), None)

    def moved_to(self, path: Path, content: str, sampling: Sampling | None) -> SourceRecord | None:
        """The complete source that is at that path now: of that content, and its own file is gone.

        Args:
            path: of a file that is not in the library.
            content: of it.
            sampling: that the source must have; None: any.
        """
        if path in self.whole:
            return None
        copies = self._may_be_gone.get(content, [])
        copies[:] = [one for one in copies if self.whole.get(one.path) == one and stamp_of(one.path) is None]
        alike = (one for one in copies if sampling in (None, one.sampling))
        return next((one for one in alike if has_moved(one.path)), None)

    def name_for(self, file: FootageFile) -> str:
        """The file's name in the library; for a new file its own, made unique and reserved."""
        if known := self.at(file.path):
            return known.name
        if file.path not in self._new_names:
            self._new_names[file.path] = free_name(file, self._names)
            self._names.add(self._new_names[file.path])
        return self._new_names[file.path]

    def new_record(self, file: FootageFile, stamp: Stamp, content: str, sampling: Sampling) -> SourceRecord:
        """A source without rows, with an id that was never used."""
        self._last_id = max(self._last_id + 1, time.time_ns())  # rows of a dropped one may remain
        return SourceRecord(
            id=self._last_id,
            name=self.name_for(file),
            path=file.path,
            content=content,
            num_bytes=stamp.num_bytes,
            modified_ns=stamp.modified_ns,
            frames_per_second=sampling.frames_per_second,
            every=sampling.every,
            keyframes=sampling.keyframes,
            is_picture=file.is_picture,
        )


_PICTURES_AT_ONCE = 256
# Of a coded frame in which nothing changes.
_MIN_BYTES_A_FRAME = 4
_MAX_REASON = 300  # characters of why a file cannot be read

# Files to index, and how each is sampled; None keeps its sampling in the library, or is the library's default.
Wanted = Sequence[tuple[FootageFile, Sampling | None]]
# Gives a source in the batches that another process made of it; None if it is to be embedded here.
Elsewhere = Callable[[Source], Iterator[EmbeddedBatch] | None]


class IndexingRun:
    """Adds files to a library, one after another.

    Attributes:
        outcome: so far.
    """

    def __init__(self, library: Store, *, num_files: int, total: int | None, report: Report, retry: bool) -> None:
        self.outcome = Indexed()
        self._library = library
        self._tables = library.tables
        self._writer = Writer(library.tables)
        self._report = report
        self._retry = retry
        self._num_files, self._num_done = num_files, 0
        self._total = total  # frames to embed, if known
        self._registry = SourceRegistry(library.tables.records())
        self._pictures: list[SourceRecord] = []  # waiting to be embedded together
        self._elsewhere: Elsewhere | None = None

    def new_videos(self, files: Wanted) -> Iterator[tuple[FootageFile, Sampling]]:
        """Those of the files that are embedded from their beginning, unless they turn out to be copies."""
        for file, wanted in files:
            sampling, stamp = self._sampling_for(file, wanted), stamp_of(file.path)
            whole, failed = self._registry.whole.get(file.path), self._registry.failed.get(file.path)
            known = whole and (whole.stamp, whole.sampling) == (stamp, sampling)
            passed_over = failed and failed.stamp == stamp and not self._retry
            if not (file.is_picture or stamp is None or known or passed_over or file.path in self._registry.partial):
                yield file, sampling

    def run(self, files: Wanted, *, elsewhere: Elsewhere | None = None) -> None:
        """Indexes all files, those embedded here that are not `elsewhere`. When interrupted, what is done is kept."""
        self._elsewhere = elsewhere
        try:
            for file, sampling in files:
                self._show(file.name)
                self._try(file, sampling)
                self._num_done += 1
            self._embed_pictures()
        finally:
            self._writer.write()

    def _try(self, file: FootageFile, wanted: Sampling | None) -> None:
        """One file; whatever is wrong with it, the others are still indexed."""
        stamp, sampling = stamp_of(file.path), self._sampling_for(file, wanted)
        if stamp is None:
            self.fail(f"{file.name} cannot be read: it is gone, or you have no permission")
            return
        try:
            self._update(file, stamp, sampling, is_given=wanted is not None)
        except (LibraryError, RunError):
            raise
        except Exception as error:  # a decoder may raise anything
            self._writer.abandon()
            self._fail(self._registry.new_record(file, stamp, "", sampling), error)

    def _sampling_for(self, file: FootageFile, wanted: Sampling | None) -> Sampling:
        """A source keeps its rate unless another one is given."""
        if file.is_picture:
            return Sampling()
        if wanted is not None:
            return wanted
        known = self._registry.at(file.path)
        return known.sampling if known and not known.is_picture else self._usual

    @property
    def _usual(self) -> Sampling:
        return self._library.config.sampling_for(Sampling())

    def _update(self, file: FootageFile, stamp: Stamp, sampling: Sampling, *, is_given: bool) -> None:
        """Brings the library up to date with the file, with the least work."""
        known, failed = self._registry.whole.get(file.path), self._registry.failed.get(file.path)
        if known and (known.stamp, known.sampling) == (stamp, sampling):
            self._leave(known)
            return
        if failed and failed.stamp == stamp and not self._retry:
            self.outcome.failed_before.append(failed.reason)
            return
        if known and known.sampling != sampling:
            self._report_line(
                f"{file.name} is re-embedded: {rate_in_words(sampling)} in place of {rate_in_words(known.sampling)}"
            )
            known = None
        content = content_hash(file.path, name=file.name)
        if known and known.content == content:
            self._note(known.at(file.path, stamp))
            self._leave(known)
            return
        if any(one.content == content for one in self._pictures):
            self._embed_pictures()
        self._store(self._registry.new_record(file, stamp, content, sampling), is_given=is_given)

    def _leave(self, known: SourceRecord) -> None:
        """Leaves an unchanged source, and drops attempts at another version of it."""
        self._drop_attempts(known.path)
        self.outcome.unchanged.append(known.name)
        if not known.is_picture and known.sampling != self._usual:
            self.outcome.own_rate.append(known.name)

    def _store(self, record: SourceRecord, *, is_given: bool) -> None:
        """A file without rows under its path."""
        same = self._registry.with_same_rows(record.content, record.sampling)
        before = self._registry.moved_to(record.path, record.content, record.sampling if is_given else None)
        if before:
            self._move(before, record)
        elif same:
            self._copy(same, record)
        elif record.is_picture:
            self._wait_for_more(record)
        else:
            self._embed_video(record)

    def _drop_attempts(self, path: Path) -> None:
        """Drops what an interrupted and a failed attempt at that file left."""
        if attempts := self._registry.take_attempts(path):
            self._tables.drop(attempts)

    def _note(self, record: SourceRecord) -> None:
        """Writes a change of a source other than of its rows."""
        self._writer.note(record, instead_of=self._failed_at(record.path))
        self._registry.register(record)

    def _move(self, before: SourceRecord, record: SourceRecord) -> None:
        self._drop_attempts(record.path)
        self._registry.forget(before)
        moved = replace(before.at(record.path, record.stamp), name=record.name)
        self._note(moved)
        self.outcome.moved.append(moved.name)

    def _copy(self, same: SourceRecord, record: SourceRecord) -> None:
        self._writer.write()
        self._drop_attempts(record.path)
        for rows in self._tables.rows_of(same.id):
            self._writer.add(record, rows)
        counts = {name: getattr(same, name) for name in ("num_frames", "duration_seconds", "num_skipped")}
        self._finish(replace(record, **counts), among=self.outcome.copied)

    def _wait_for_more(self, record: SourceRecord) -> None:
        self._pictures.append(record)
        if len(self._pictures) == _PICTURES_AT_ONCE:
            self._embed_pictures()

    def _embed_pictures(self) -> None:
        """Those that wait, together: one by one would be slow. What fails so is tried alone, and fails for itself."""
        records, self._pictures = self._pictures, []
        left = {record.id: record for record in records}
        if len(records) > 1:
            self._try_together(records, left, is_last=False)
        for record in list(left.values()):
            self._try_together([record], left, is_last=True)

    def _try_together(self, records: Sequence[SourceRecord], left: dict[int, SourceRecord], *, is_last: bool) -> None:
        try:
            self._embed_together(records, left)
        except (LibraryError, RunError):
            raise
        except Exception as error:  # a decoder may raise anything
            if is_last:
                self._fail(records[0], error)

    def _embed_together(self, records: Sequence[SourceRecord], left: dict[int, SourceRecord]) -> None:
        """Takes those that are done from what is left."""
        files = tuple((record.path, record.name) for record in records)
        source = ImageFiles(f"{len(files)} pictures", files, tuple(range(len(files))))
        for some in self._embedded(source):
            for row, position in enumerate(some.rows.frame_indices):
                record = replace(records[position], num_frames=1)
                self._writer.add(record, some.rows.picture(row))
                self._finish(record)
                del left[record.id]

    def _embed_video(self, record: SourceRecord) -> None:
        record, stored = self._resume_point(record)
        if stored:
            self._writer.resume(record)
        try:
            self._embed_from(record, stored)
        except ResumePointMissingError:
            self._tables.drop([record.id])
            self._embed_from(replace(record, num_frames=0), None)

    def _resume_point(self, record: SourceRecord) -> tuple[SourceRecord, Stored | None]:
        """The rows that an interrupted run left of that video, if they can be used; else they are dropped."""
        partial = self._registry.partial.pop(record.path, None)
        if partial is None:
            return record, None
        stored = self._tables.stored(partial.id)
        if stored is None or not can_resume(partial, record.content, record.sampling):
            self._tables.drop([partial.id])
            return record, None
        return replace(record, id=partial.id, num_frames=stored.num_frames), stored

    def _embed_from(self, record: SourceRecord, stored: Stored | None) -> None:
        """Embeds the frames of a video that are not stored yet."""
        stated, last = stated_end(record.path, name=record.name), stored.seconds if stored else 0.0
        sampling = resumed_sampling(record.sampling, stored) if stored else record.sampling
        source = footage_to_embed(record.path, record.name, sampling)
        for some in self._embedded(source, stored):
            num_frames, last = record.num_frames + len(some.rows), max([last, *some.rows.seconds])
            end = plausible_end(stated, last, record.sampling)
            num_lost = some.num_skipped if some.num_skipped <= record.num_bytes / _MIN_BYTES_A_FRAME else 0
            record = replace(record, num_frames=num_frames, num_skipped=num_lost, duration_seconds=end)
            if len(some.rows):
                self._writer.add(record, some.rows)
                self._show(record.name)
        if record.num_skipped:
            self.outcome.lost[record.name] = record.num_skipped
            self._report_line(f"{record.name}: {record.num_skipped} frames could not be decoded")
        self._finish(replace(record, duration_seconds=plausible_end(stated, last, record.sampling)))

    def _embedded(self, source: Source, stored: Stored | None = None) -> Iterator[EmbeddedBatch]:
        batches = self._elsewhere(source) if self._elsewhere and not stored else None
        for some in self._embedded_here(source, stored) if batches is None else batches:
            self.outcome = replace(self.outcome, num_frames=self.outcome.num_frames + len(some.rows))
            yield some

    def _embedded_here(self, source: Source, stored: Stored | None) -> Iterator[EmbeddedBatch]:
        size = self._library.config.thumbnail_size
        choose: Choice = (lambda frames: frames_after(frames, stored)) if stored else iter
        encoder, with_layouts = self._library.encoder, self._library.has_layouts
        return embed_source(encoder, source, thumbnail_size=size, choose=choose, with_layouts=with_layouts)

    def _finish(self, record: SourceRecord, *, among: list[str] | None = None) -> None:
        before = self._registry.whole.get(record.path)
        attempts = [one for one in self._registry.take_attempts(record.path) if one != record.id]
        superseded = attempts + ([before.id] if before else [])
        self._writer.finish(record, instead_of=superseded)
        self._registry.register(replace(record, status="whole"))
        embedded = self.outcome.changed if before else self.outcome.added
        (embedded if among is None else among).append(record.name)

    def _failed_at(self, path: Path) -> list[int]:
        """The id of the recorded failure of a file that can be read now."""
        failed = self._registry.failed.pop(path, None)
        return [failed.id] if failed else []

    def _fail(self, record: SourceRecord, error: Exception) -> None:
        """Records a file that cannot be read, unless for now: then it is not tried again until it changes."""
        reason = (
            str(error) if isinstance(error, FirstsightError) else f"{record.name} cannot be read: {_in_words(error)}"
        )
        partial = self._registry.partial.pop(record.path, None)
        failed = replace(record, status="failed", num_frames=0, reason=storable(reason)[:_MAX_REASON])
        if not isinstance(error, UnreachableError):
            self._writer.note(failed, instead_of=self._failed_at(record.path) + ([partial.id] if partial else []))
            self._registry.failed[record.path] = failed
        self.fail(reason)

    def fail(self, reason: str) -> None:
        """Reports a source that cannot be read."""
        self.outcome.failures.append(reason)
        self._report_line(reason)

    def _report_line(self, line: str) -> None:
        self._show("", news=(printable(line),))

    def _show(self, name: str, news: tuple[str, ...] = ()) -> None:
        state = f"source {self._num_done + 1} of {self._num_files} {printable(name)}".rstrip()
        self._report(Progress("embedding", self.outcome.num_frames, self._total, state, news))


def _in_words(error: Exception) -> str:
    """An error of another library, in one line."""
    return f"{type(error).__name__} {(str(error).splitlines() or [''])[0]}".strip()
