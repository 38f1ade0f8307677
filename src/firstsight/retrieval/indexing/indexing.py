"""Filling a library: what is new is embedded, what is there already is not read again."""

import os
import time
from collections.abc import Sequence

from firstsight.errors import SourceError
from firstsight.retrieval.indexing.outcome import Indexed, IndexProgress, Report, silent
from firstsight.retrieval.indexing.run import IndexingRun
from firstsight.retrieval.store.files import FootageFile, find_footage
from firstsight.retrieval.store.folder import writing
from firstsight.retrieval.store.index import keep_up, read_facts
from firstsight.retrieval.store.library import Library
from firstsight.retrieval.store.records import SourceRecord
from firstsight.retrieval.store.where import Where
from firstsight.video.sampling import Sampling


def add(
    library: Library,
    sources: Sequence[str | os.PathLike[str]],
    *,
    frames_per_second: float | None = None,
    every: int | None = None,
    progress: Report = silent,
) -> Indexed:
    """Brings videos and pictures into the library, as they are now.

    What is in it already is not decoded again: a file is known by its path, size and time of change, and if these
    differ by its content. Of a file that was moved or renamed only the name is noted; a second file of the same content
    gets a copy of the first one's rows; a file whose content has changed is embedded anew, and its old rows are shown
    until the new ones are whole. Pictures are a source each, of one frame at 0 s.

    Args:
        library: what is filled; shows the new sources afterwards.
        sources: files, folders, patterns.
        frames_per_second: how videos are sampled, if not as the library is by default.
        every: or one frame in so many.
        progress: called now and then.

    Raises:
        SourceError: not one source can be read.
        SettingsError: a rate outside its range.
        LibraryError: the disk is full, or another process is writing to the library.
        KeyboardInterrupt: Ctrl-C; what was embedded so far is kept, and the next call goes on from there.
    """
    sampling = library.config.sampling_for(Sampling(frames_per_second=frames_per_second, every=every))
    files, failures = find_footage(sources)
    return bring_in(library, [(file, sampling) for file in files], failures=failures, progress=progress)


def bring_in(
    library: Library,
    files: Sequence[tuple[FootageFile, Sampling]],
    *,
    failures: Sequence[str] = (),
    progress: Report = silent,
) -> Indexed:
    """As `add`, of files that were found, each sampled in its own way, and those that were not found."""
    begin = time.monotonic()
    try:
        with writing(library.path):
            library.tables.tidy()
            run = IndexingRun(library, num_files=len(files), report=progress)
            for failure in failures:
                run.fail(failure)
            run.run(files)
            _index(library, run.outcome, progress)
    finally:
        library.refresh()
    outcome = run.outcome
    if not outcome.num_readable:
        first, num = outcome.failures[0], len(outcome.failures)
        raise SourceError(first if num == 1 else f"none of {num} sources can be read; the first: {first}")
    outcome.seconds = time.monotonic() - begin
    return outcome


def _index(library: Library, outcome: Indexed, progress: Report) -> None:
    """Brings the index up to date, which takes a while where there are many frames."""
    num_files = outcome.num_readable + len(outcome.failures)
    progress(IndexProgress("making the index", "", num_files, num_files, outcome.num_frames))
    before = read_facts(library.tables)
    after = keep_up(library.tables)
    if after and after != before:
        progress(IndexProgress("", "", num_files, num_files, outcome.num_frames, news=(f"search {after.describe()}",)))


def remove(library: Library, names: Sequence[str]) -> list[SourceRecord]:
    """Takes sources out of the library, by name or pattern; gives those that are out. Their files are not touched.

    Raises:
        LibraryError: a name or pattern fits no source; then nothing is removed.
    """
    with writing(library.path):
        records = [*library.sources, *library.partial_sources]
        chosen = [records[position] for position in Where(tuple(names)).chosen([record.name for record in records])]
        library.tables.drop([record.id for record in chosen])
        library.refresh()
    return chosen


def missing_sources(library: Library) -> list[SourceRecord]:
    """The sources whose files are gone, or cannot be looked at."""
    return [record for record in (*library.sources, *library.partial_sources) if not record.path.exists()]
