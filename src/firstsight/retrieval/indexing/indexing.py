"""Filling a library: what is new is embedded, what is there already is not read again."""

import os
import time
from collections.abc import Collection, Sequence

from firstsight.errors import SettingsError, SourceError
from firstsight.retrieval.indexing.interrupts import only_first_interrupt
from firstsight.retrieval.indexing.outcome import Indexed, IndexProgress, Report, silent
from firstsight.retrieval.indexing.run import IndexingRun, Wanted
from firstsight.retrieval.store.files import find_footage, state_of
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
    retry: bool = False,
    progress: Report = silent,
) -> Indexed:
    """Brings videos and pictures into the library, as they are now.

    What is in it already is not decoded again: a file is known by its path, size and time of change, and if these
    differ by its content. Of a file that was moved or renamed only the name is noted; a second file of the same content
    gets a copy of the first one's rows; a file whose content has changed is embedded anew, and its old rows are shown
    until the new ones are whole. Pictures are a source each, of one frame at 0 s. A file that cannot be read, for
    whatever reason, is noted as such, and the others are brought in.

    Args:
        library: what is filled; shows the new sources afterwards.
        sources: files, folders, patterns.
        frames_per_second: how videos are sampled. By default each keeps the rate that it has in the library, and new
            ones get the library's; a rate that is given embeds those anew that have another.
        every: or one frame in so many.
        retry: also files that could not be read before, and have not changed since.
        progress: called now and then.

    Raises:
        SourceError: not one source can be read.
        SettingsError: no source given, or a rate outside its range.
        LibraryError: the disk is full, or another process is writing to the library.
        KeyboardInterrupt: Ctrl-C; what was embedded so far is kept, and the next call goes on from there.
    """
    if not sources:
        raise SettingsError("no footage given; valid are videos, pictures, folders and patterns")
    asked = Sampling(frames_per_second=frames_per_second, every=every)
    sampling = None if asked == Sampling() else asked
    files, failures = find_footage(sources)
    with only_first_interrupt(), library.writing():
        return bring_in(
            library, [(file, sampling) for file in files], failures=failures, retry=retry, progress=progress
        )


def bring_in(
    library: Library, files: Wanted, *, failures: Sequence[str] = (), retry: bool = False, progress: Report = silent
) -> Indexed:
    """As `add`, of files that were found, each sampled in its own way, and those that were not found.

    Only for the one process that writes: see `Library.writing`.
    """
    begin = time.monotonic()
    run = IndexingRun(library, num_files=len(files), report=progress, retry=retry)
    for failure in failures:
        run.fail(failure)
    run.run(files)
    library.tables.keep_up_indices()
    outcome = run.outcome
    _index(library, outcome, progress)
    _check_any_readable(outcome)
    outcome.seconds = time.monotonic() - begin
    return outcome


def _check_any_readable(outcome: Indexed) -> None:
    """Raises if there are only failures.

    Raises:
        SourceError: with the first of them.
    """
    again = [f"{reason} (not tried again until it changes, or with --retry)" for reason in outcome.failed_before]
    failures = [*outcome.failures, *again]
    if failures and not outcome.num_readable:
        first, num = failures[0], len(failures)
        raise SourceError(first if num == 1 else f"none of {num} sources can be read; the first: {first}")


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
    with only_first_interrupt(), library.writing():
        records = _all(library)
        chosen = [records[position] for position in Where(tuple(names)).chosen([record.name for record in records])]
        _take_out(library, chosen)
    return chosen


def remove_missing(library: Library, *, gone: Collection[str]) -> list[SourceRecord]:
    """Takes out those sources of that name whose files are gone still; gives those that are out.

    Raises:
        LibraryError: another process is writing to the library.
    """
    with only_first_interrupt(), library.writing():
        chosen = [record for record in missing_sources(library) if record.name in gone]
        _take_out(library, chosen)
    return chosen


def _take_out(library: Library, records: Sequence[SourceRecord]) -> None:
    """With all that is known of their files."""
    paths = {record.path for record in records}
    library.tables.drop([record.id for record in library.tables.records() if record.path in paths])


def missing_sources(library: Library) -> list[SourceRecord]:
    """The sources whose files are gone; not those whose folders cannot be reached."""
    return [record for record in _all(library) if state_of(record.path) == "gone"]


def unreachable_sources(library: Library) -> list[SourceRecord]:
    """The sources whose files may be there: their folder is missing, or cannot be looked into."""
    return [record for record in _all(library) if state_of(record.path) == "unreachable"]


def doubtful(library: Library, missing: Sequence[SourceRecord]) -> list[SourceRecord]:
    """Those of the missing sources in whose folder not one file of the library is left: perhaps it is not mounted."""
    gone = {record.path for record in missing}
    left = {record.path.parent for record in _all(library) if record.path not in gone}
    return [record for record in missing if record.path.parent not in left]


def _all(library: Library) -> list[SourceRecord]:
    """One record of each file, the whole one where there is one."""
    records = (*library.failed_sources, *library.partial_sources, *library.sources)
    return sorted({record.path: record for record in records}.values(), key=lambda record: record.name)
