"""One run of indexing: each file is embedded, copied, renamed or left, whichever is the least work."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from firstsight.errors import FirstsightError, LibraryError, RunError, SourceError, UnreachableError
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
from firstsight.library.records import FrameRows, SourceRecord, Stamp, Stored, rate_in_words
from firstsight.library.source_files import FootageFile, SourceRegistry, content_hash, stamp_of, storable
from firstsight.library.store import Store
from firstsight.progress import Progress, Report
from firstsight.text import printable

_PICTURES_AT_ONCE = 256
# Of a coded frame in which nothing changes.
_MIN_BYTES_A_FRAME = 4
_NEVER = -1  # as a time of change: no file has it
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
        else:
            self._embed(record)

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
        try:
            for rows in _undamaged(self._tables.rows_of(same.id)):
                self._writer.add(record, rows)
        except _DamagedError as error:
            self._report_line(
                f"{record.name} is embedded, as the rows of {same.name}, a copy of it, are damaged: {error}"
            )
            self._writer.abandon()
            self._embed(record)
            return
        counts = {name: getattr(same, name) for name in ("num_frames", "duration_seconds", "num_skipped")}
        self._finish(replace(record, **counts), among=self.outcome.copied)

    def _embed(self, record: SourceRecord) -> None:
        if not record.is_picture:
            self._embed_video(record)
            return
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
            content_hash(record.path, name=record.name)  # raises if the disk has lost them, and not the file
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
        """Records a file that cannot be read: it is not tried again until it changes, unless the disk is at fault."""
        reason = (
            str(error) if isinstance(error, FirstsightError) else f"{record.name} cannot be read: {_in_words(error)}"
        )
        before, superseded = self._registry.failed.get(record.path), self._failed_at(record.path)
        if isinstance(error, UnreachableError) or not _can_be_read(record):
            reason, record = f"{reason}; the next run tries it again", replace(record, modified_ns=_NEVER)
        elif partial := self._registry.partial.pop(record.path, None):
            superseded.append(partial.id)
        failed = replace(record, status="failed", num_frames=0, reason=storable(reason)[:_MAX_REASON])
        if before and superseded == [before.id] and (before.reason, before.stamp) == (failed.reason, failed.stamp):
            failed = before  # still so: the library's state stays the same
        else:
            self._writer.note(failed, instead_of=superseded)
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


def _can_be_read(record: SourceRecord) -> bool:
    """Whether all bytes of a file can be read: then it is the file that is at fault."""
    try:
        content_hash(record.path, name=record.name)
    except SourceError as error:
        return not isinstance(error, UnreachableError)
    return True


class _DamagedError(Exception):
    """Rows of the library cannot be read."""


def _undamaged(rows: Iterator[FrameRows]) -> Iterator[FrameRows]:
    """The same. Raises a _DamagedError where they cannot be read, which is none of writing them."""
    try:
        yield from rows
    except Exception as error:  # values that no table should hold have errors of any kind
        raise _DamagedError(error) from error


def _in_words(error: Exception) -> str:
    """An error of another library, in one line."""
    return f"{type(error).__name__} {(str(error).splitlines() or [''])[0]}".strip()
