"""One run of indexing: for each file what there is to be done about it, and the doing."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from firstsight.errors import PixelsError, SourceError
from firstsight.retrieval.indexing.holdings import Holdings
from firstsight.retrieval.indexing.outcome import Indexed, IndexProgress, Report
from firstsight.retrieval.indexing.reading import Choice, Seen, seen, stated_end
from firstsight.retrieval.indexing.resume import NotThereError, after, can_go_on, reading_on
from firstsight.retrieval.indexing.writer import Writer
from firstsight.retrieval.store.files import FootageFile, content_hash, stamp_of
from firstsight.retrieval.store.library import Library
from firstsight.retrieval.store.records import SourceRecord, Stamp, Stored
from firstsight.retrieval.store.rows import FrameRows
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

    def __init__(self, library: Library, *, num_files: int, report: Report) -> None:
        self.outcome = Indexed()
        self._library = library
        self._tables = library.tables
        self._writer = Writer(library.tables)
        self._report = report
        self._num_files, self._num_done = num_files, 0
        self._held = Holdings(library.tables.records())
        self._pictures: list[SourceRecord] = []  # waiting to be embedded together

    def run(self, files: Sequence[tuple[FootageFile, Sampling]]) -> None:
        """All of them, each sampled so; pictures are not. What is done when it is interrupted stays."""
        try:
            for file, sampling in files:
                self._tell(file.name)
                self._try(file, Sampling() if file.is_picture else sampling)
                self._num_done += 1
            self._embed_pictures()
        finally:
            self._writer.write()

    def _try(self, file: FootageFile, sampling: Sampling) -> None:
        try:
            self._look_at(file, sampling)
        except (SourceError, PixelsError) as error:
            self._writer.abandon()
            self.fail(str(error))

    def _look_at(self, file: FootageFile, sampling: Sampling) -> None:
        """Does as little as brings the library to what the file holds now."""
        stamp = stamp_of(file.path)
        if stamp is None:
            raise SourceError(f"{file.name} cannot be read: it is gone, or you have no permission")
        known = self._held.whole.get(file.path)
        if known and known.sampling != sampling:
            known = None
        if known and known.stamp == stamp:
            self._leave(known)
            return
        content = content_hash(file.path, name=file.name)
        if known and known.content == content:
            self._note(known.at(file.path, stamp))
            self._leave(known)
            return
        if any(one.content == content for one in self._pictures):
            self._embed_pictures()
        self._bring_in(file, sampling, stamp, content)

    def _leave(self, known: SourceRecord) -> None:
        """It is as it should be; an attempt at something else that was interrupted is not wanted any more."""
        if partial := self._held.partial.pop(known.path, None):
            self._tables.drop([partial.id])
        self.outcome.unchanged.append(known.name)

    def _bring_in(self, file: FootageFile, sampling: Sampling, stamp: Stamp, content: str) -> None:
        """A file whose rows are not there under its path."""
        twin = self._held.twin(content, sampling)
        if twin and file.path not in self._held.whole and stamp_of(twin.path) is None:
            self._move(twin, file, stamp)
            return
        record = self._held.new_record(file, stamp, content, sampling)
        if twin:
            self._copy(twin, record)
        elif file.is_picture:
            self._wait_for_more(record)
        else:
            self._embed_video(record)

    def _note(self, record: SourceRecord) -> None:
        """Something other than rows has changed about a source."""
        self._writer.write()
        self._tables.put([record])
        self._held.hold(record)

    def _move(self, twin: SourceRecord, file: FootageFile, stamp: Stamp) -> None:
        self._held.let_go(twin)
        moved = replace(twin.at(file.path, stamp), name=self._held.name_for(file))
        self._note(moved)
        self.outcome.moved.append(moved.name)

    def _copy(self, twin: SourceRecord, record: SourceRecord) -> None:
        self._writer.write()
        if partial := self._held.partial.pop(record.path, None):
            self._tables.drop([partial.id])
        for rows in self._tables.rows_of(twin.id):
            self._writer.add(record, rows)
        alike = {name: getattr(twin, name) for name in ("num_frames", "duration_seconds", "num_skipped")}
        self._finish(replace(record, **alike), among=self.outcome.copied)

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
        record, stored = self._left_of(record)
        try:
            self._embed_from(record, stored)
        except NotThereError:
            self._tables.drop([record.id])
            self._embed_from(replace(record, num_frames=0), None)

    def _left_of(self, record: SourceRecord) -> tuple[SourceRecord, Stored | None]:
        """What an interrupted run left of that very video, if it can be used; else nothing is left afterwards."""
        partial = self._held.partial.pop(record.path, None)
        if partial is None:
            return record, None
        stored = self._tables.stored(partial.id)
        if stored is None or not can_go_on(partial, record.content, record.sampling):
            self._tables.drop([partial.id])
            return record, None
        return replace(record, id=partial.id, num_frames=stored.num_frames), stored

    def _embed_from(self, record: SourceRecord, stored: Stored | None) -> None:
        """The frames of a video that are not stored yet."""
        end = max(stated_end(record.path, name=record.name), stored.seconds if stored else 0)
        sampling = reading_on(record.sampling, stored) if stored else record.sampling
        source = VideoFiles(record.name, (VideoFile(record.path, record.name, sampling),))
        for some in self._seen(source, stored):
            num_frames, end = record.num_frames + len(some.rows), max([end, *some.rows.seconds])
            record = replace(record, num_frames=num_frames, num_skipped=some.num_skipped, duration_seconds=end)
            if len(some.rows):
                self._writer.add(record, some.rows)
                self._tell(record.name)
        self._finish(record)

    def _seen(self, source: Source, stored: Stored | None = None) -> Iterator[Seen]:
        size = self._library.config.thumbnail_size
        choose: Choice = (lambda frames: after(frames, stored)) if stored else iter
        num_skipped = 0
        for some in seen(self._library.encoder, source, thumbnail_size=size, choose=choose):
            self.outcome.num_frames += len(some.rows)
            num_skipped = some.num_skipped
            yield some
        self.outcome.num_skipped += num_skipped

    def _finish(self, record: SourceRecord, *, among: list[str] | None = None) -> None:
        before = self._held.whole.get(record.path)
        self._writer.finish(record, instead_of=before.id if before else None)
        self._held.hold(replace(record, status="whole"))
        embedded = self.outcome.changed if before else self.outcome.added
        (embedded if among is None else among).append(record.name)

    def fail(self, reason: str) -> None:
        """Notes a source that cannot be read."""
        self.outcome.failures.append(reason)
        self._tell("", news=(reason,))

    def _tell(self, name: str, news: tuple[str, ...] = ()) -> None:
        self._report(IndexProgress("embedding", name, self._num_done, self._num_files, self.outcome.num_frames, news))


def _picture(rows: FrameRows, row: int) -> FrameRows:
    """One of several pictures as a source of its own, at 0 s."""
    return FrameRows(rows.vectors[row : row + 1], (0,), (0.0,), (rows.jpegs[row],))
