"""One run of indexing: for each file what there is to be done about it, and the doing."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from firstsight.errors import PixelsError, SourceError
from firstsight.retrieval.indexing_files import FootageFile, content_hash, free_name, stamp_of
from firstsight.retrieval.indexing_outcome import Indexed, IndexProgress, Report
from firstsight.retrieval.indexing_reading import Seen, seen, stated_end
from firstsight.retrieval.indexing_writer import Writer
from firstsight.retrieval.library import Library
from firstsight.retrieval.library_records import SourceRecord, Stamp
from firstsight.retrieval.library_rows import FrameRows
from firstsight.video.sampling import Sampling
from firstsight.video.source import Source
from firstsight.video.stills import ImageFiles
from firstsight.video.videos import VideoFile, VideoFiles

_PICTURES_AT_ONCE = 256


class IndexingRun:
    """Brings files into a library, one after another.

    Attributes:
        outcome: what was done so far.
    """

    def __init__(self, library: Library, sampling: Sampling, *, num_files: int, report: Report) -> None:
        self.outcome = Indexed()
        self._library = library
        self._tables = library.tables
        self._sampling = sampling
        self._writer = Writer(library.tables)
        self._report = report
        self._num_files, self._num_done = num_files, 0
        records = library.tables.records()
        self._whole = {record.path: record for record in records if record.status == "whole"}
        self._partial = {record.path: record for record in records if record.status == "partial"}
        self._last_id = max((record.id for record in records), default=0)
        self._pictures: list[SourceRecord] = []  # waiting to be embedded together

    def run(self, files: Sequence[FootageFile]) -> None:
        """All of them. What was done when it is interrupted stays, and the next run goes on from there."""
        try:
            for file in files:
                self._tell(file.name)
                self._try(file)
                self._num_done += 1
            self._embed_pictures()
        finally:
            self._writer.write()

    def _try(self, file: FootageFile) -> None:
        try:
            self._look_at(file)
        except (SourceError, PixelsError) as error:
            self.fail(str(error))

    def _look_at(self, file: FootageFile) -> None:
        """Does as little as brings the library to what the file holds now."""
        stamp = stamp_of(file.path)
        if stamp is None:
            raise SourceError(f"{file.name} cannot be read: it is gone, or you have no permission")
        sampling = Sampling() if file.is_picture else self._sampling
        known = self._whole.get(file.path)
        is_sampled_so = known is not None and known.sampling == sampling
        if known and is_sampled_so and known.stamp == stamp:
            self.outcome.unchanged.append(known.name)
            return
        content = content_hash(file.path, name=file.name)
        if known and is_sampled_so and known.content == content:
            self._know(known.at(file.path, stamp))
            self.outcome.unchanged.append(known.name)
            return
        if any(one.content == content for one in self._pictures):
            self._embed_pictures()
        twin = self._twin(content, sampling)
        if twin and known is None and stamp_of(twin.path) is None:
            self._move(twin, file, stamp)
            return
        record = self._new_record(file, stamp, content, sampling)
        if twin:
            self._copy(twin, record)
        elif file.is_picture:
            self._wait_for_more(record)
        else:
            self._embed_video(record)

    def _new_record(self, file: FootageFile, stamp: Stamp, content: str, sampling: Sampling) -> SourceRecord:
        known = self._whole.get(file.path)
        self._last_id = max(self._last_id + 1, time.time_ns())  # so that one that was dropped never comes back
        return SourceRecord(
            id=self._last_id,
            name=known.name if known else free_name(file, self._names()),
            path=file.path,
            content=content,
            num_bytes=stamp.num_bytes,
            modified_ns=stamp.modified_ns,
            frames_per_second=sampling.frames_per_second,
            every=sampling.every,
        )

    def _names(self) -> set[str]:
        there = (self._whole.values(), self._partial.values(), self._pictures)
        return {record.name for records in there for record in records}

    def _twin(self, content: str, sampling: Sampling) -> SourceRecord | None:
        """A whole source of the same content, sampled alike."""
        alike = (one for one in self._whole.values() if one.content == content and one.sampling == sampling)
        return next(alike, None)

    def _know(self, record: SourceRecord) -> None:
        """Notes something other than rows about a source that is whole."""
        self._writer.write()
        self._tables.put([record])
        self._whole[record.path] = record

    def _move(self, twin: SourceRecord, file: FootageFile, stamp: Stamp) -> None:
        del self._whole[twin.path]
        moved = replace(twin.at(file.path, stamp), name=free_name(file, self._names()))
        self._know(moved)
        self.outcome.moved.append(moved.name)

    def _copy(self, twin: SourceRecord, record: SourceRecord) -> None:
        self._writer.write()
        for rows in self._tables.rows_of(twin.id):
            self._writer.add(record, rows)
        self._finish(
            replace(record, num_frames=twin.num_frames, duration_seconds=twin.duration_seconds),
            among=self.outcome.copied,
        )

    def _wait_for_more(self, record: SourceRecord) -> None:
        self._pictures.append(record)
        if len(self._pictures) == _PICTURES_AT_ONCE:
            self._embed_pictures()

    def _embed_pictures(self) -> None:
        """Those that wait, together: one by one would be slow."""
        records, self._pictures = self._pictures, []
        if not records:
            return
        files = tuple((record.path, record.name) for record in records)
        source = ImageFiles(f"{len(files)} pictures", files, tuple(range(len(files))))
        try:
            for some in self._seen(source):
                for row, position in enumerate(some.rows.frame_indices):
                    self._writer.add(records[position], _picture(some.rows, row))
                    self._finish(replace(records[position], num_frames=1))
                for reason in some.reasons:
                    self.fail(reason)
        except (SourceError, PixelsError) as error:
            self.fail(str(error))

    def _embed_video(self, record: SourceRecord) -> None:
        if partial := self._partial.pop(record.path, None):
            self._tables.drop([partial.id])
        end = stated_end(record.path, name=record.name)
        source = VideoFiles(record.name, (VideoFile(record.path, record.name, record.sampling),))
        for some in self._seen(source):
            num_frames = record.num_frames + len(some.rows)
            end = max([end, *some.rows.seconds])
            record = replace(record, num_frames=num_frames, num_skipped=some.num_skipped, duration_seconds=end)
            if len(some.rows):
                self._writer.add(record, some.rows)
                self._tell(record.name)
        self._finish(record)

    def _seen(self, source: Source) -> Iterator[Seen]:
        library, some = self._library, None
        for some in seen(library.encoder, source, thumbnail_size=library.config.thumbnail_size):
            self.outcome.num_frames += len(some.rows)
            yield some
        self.outcome.num_skipped += some.num_skipped if some else 0

    def _finish(self, record: SourceRecord, *, among: list[str] | None = None) -> None:
        before = self._whole.get(record.path)
        self._writer.finish(record, instead_of=before.id if before else None)
        self._whole[record.path] = replace(record, status="whole")
        embedded = self.outcome.changed if before else self.outcome.added
        (embedded if among is None else among).append(record.name)

    def fail(self, reason: str) -> None:
        """Notes a source that cannot be read."""
        self.outcome.failures.append(reason)
        self._tell("", news=(reason,))

    def _tell(self, name: str, news: tuple[str, ...] = ()) -> None:
        self._report(IndexProgress(name, self._num_done, self._num_files, self.outcome.num_frames, news))


def _picture(rows: FrameRows, row: int) -> FrameRows:
    """One of several pictures as a source of its own, at 0 s."""
    return FrameRows(rows.vectors[row : row + 1], (0,), (0.0,), (rows.jpegs[row],))
