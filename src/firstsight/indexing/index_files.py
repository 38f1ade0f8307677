"""Another encoder for a library: everything in it is embedded anew, and exchanged at one stroke."""

import os
import shutil
import time
from collections.abc import Collection, Sequence
from dataclasses import replace

from firstsight.encoder.encoder import Encoder
from firstsight.errors import LibraryError, SettingsError, SourceError
from firstsight.footage.sampling import Sampling
from firstsight.indexing.estimate import Indexed, IndexProgress, Report, silent
from firstsight.indexing.run import IndexingRun, Wanted
from firstsight.indexing.writer import only_first_interrupt
from firstsight.library.folder import MODEL_FOLDER, check_inside, tables_folder, write_config
from firstsight.library.maintenance import remove_unread
from firstsight.library.records import SourceRecord
from firstsight.library.repair import mend
from firstsight.library.selection import Where
from firstsight.library.source_files import FootageFile, find_footage, state_of
from firstsight.library.store import Store
from firstsight.library.tables import Tables
from firstsight.library.vector_index import keep_up, read_facts


def add(
    library: Store,
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
    library: Store, files: Wanted, *, failures: Sequence[str] = (), retry: bool = False, progress: Report = silent
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


def _index(library: Store, outcome: Indexed, progress: Report) -> None:
    """Brings the index up to date, which takes a while where there are many frames."""
    num_files = outcome.num_readable + len(outcome.failures)
    progress(IndexProgress("making the index", "", num_files, num_files, outcome.num_frames))
    before = read_facts(library.tables)
    after = keep_up(library.tables)
    if after and after != before:
        progress(IndexProgress("", "", num_files, num_files, outcome.num_frames, news=(f"search {after.describe()}",)))


def remove(library: Store, names: Sequence[str]) -> list[SourceRecord]:
    """Takes sources out of the library, by name or pattern; gives those that are out. Their files are not touched.

    Raises:
        LibraryError: a name or pattern fits no source; then nothing is removed.
    """
    with only_first_interrupt(), library.writing():
        records = _all(library)
        chosen = [records[position] for position in Where(tuple(names)).chosen([record.name for record in records])]
        _take_out(library, chosen)
    return chosen


def remove_missing(library: Store, *, gone: Collection[str]) -> list[SourceRecord]:
    """Takes out those sources of that name whose files are gone still; gives those that are out.

    Raises:
        LibraryError: another process is writing to the library.
    """
    with only_first_interrupt(), library.writing():
        chosen = [record for record in missing_sources(library) if record.name in gone]
        _take_out(library, chosen)
    return chosen


def _take_out(library: Store, records: Sequence[SourceRecord]) -> None:
    """With all that is known of their files."""
    paths = {record.path for record in records}
    library.tables.drop([record.id for record in library.tables.records() if record.path in paths])


def missing_sources(library: Store) -> list[SourceRecord]:
    """The sources whose files are gone; not those whose folders cannot be reached."""
    return [record for record in _all(library) if state_of(record.path) == "gone"]


def unreachable_sources(library: Store) -> list[SourceRecord]:
    """The sources whose files may be there: their folder is missing, or cannot be looked into."""
    return [record for record in _all(library) if state_of(record.path) == "unreachable"]


def doubtful(library: Store, missing: Sequence[SourceRecord]) -> list[SourceRecord]:
    """Those of the missing sources in whose folder not one file of the library is left: perhaps it is not mounted."""
    gone = {record.path for record in missing}
    left = {record.path.parent for record in _all(library) if record.path not in gone}
    return [record for record in missing if record.path.parent not in left]


def _all(library: Store) -> list[SourceRecord]:
    """One record of each file, the whole one where there is one."""
    records = (*library.failed_sources, *library.partial_sources, *library.sources)
    return sorted({record.path: record for record in records}.values(), key=lambda record: record.name)


def check_same_encoder(library: Store, encoder: Encoder) -> None:
    """Vectors of two encoders mean nothing to each other.

    Raises:
        LibraryError: the library is another encoder's.
    """
    if encoder.fingerprint != library.fingerprint:
        raise LibraryError(
            f"{library.path} is a library of encoder {library.fingerprint}, and the model given is "
            f"{encoder.fingerprint}: leave out --model to go on with the library's own, or embed everything in it anew "
            "with --reindex"
        )


def reindex(library: Store, encoder: Encoder, *, progress: Report = silent) -> tuple[Store, Indexed]:
    """The library with all its footage that can still be read embedded by that encoder.

    What is in it is looked up only now, whoever has put it there; until the end nobody else can write to it. The old
    rows are shown until the new ones are whole; an interrupted attempt goes on with the next call of the same encoder.
    Sources that cannot be read any more are named in the outcome, and are not in the library afterwards.

    Raises:
        SourceError: not one source can be read, or some cannot be reached; the library stays as it is.
        LibraryError: the disk is full, or another process is writing to the library.
    """
    path, fingerprint = library.path, encoder.fingerprint
    with only_first_interrupt(), library.writing():
        _check_reachable(library)
        files = files_of(library)
        if fingerprint == library.fingerprint:
            return library, bring_in(library, files, progress=progress)
        new = _begin(library, encoder)
        _drop_strangers(new, files)
        try:
            outcome = bring_in(new, files, retry=True, progress=progress)
        except SourceError:
            _give_up(new)
            raise
        write_config(path, new.config)  # from here on it is the new one
        library.close()
        remove_unread(tables_folder(path, library.fingerprint))
        _settle(new)
        new.close()
    return Store.open(path), outcome


def _check_reachable(library: Store) -> None:
    """Raises if a source would be lost only because its folder is not there at the moment.

    Raises:
        SourceError: with the first of them.
    """
    if away := [record for record in unreachable_sources(library) if record.status != "failed"]:
        raise SourceError(
            f"{len(away)} sources cannot be reached, and a library embedded anew would be without them; the first: "
            f"{away[0].path}. Mount or put back their folder, or take them out with `firstsight library remove`"
        )


def _begin(library: Store, encoder: Encoder) -> Store:
    """The new tables beside the old ones, with what an interrupted attempt has put into them."""
    path, fingerprint = library.path, encoder.fingerprint
    model = f"{MODEL_FOLDER}-{fingerprint}"
    folder = tables_folder(path, fingerprint)
    check_inside(path, folder, path / model)
    encoder.save(path / model)
    config = replace(library.config, fingerprint=fingerprint, dim=encoder.dim, model=model)
    try:
        tables = Tables(folder, dim=encoder.dim)
    except LibraryError:  # none there, or not all of them
        tables = Tables.create(folder, dim=encoder.dim)
    tables.add_columns()
    mend(tables)
    return Store(path, config, tables)


def _drop_strangers(new: Store, files: Sequence[tuple[FootageFile, Sampling]]) -> None:
    """What an earlier attempt has embedded, and is not in the library any more."""
    wanted = {file.path for file, _ in files}
    new.tables.drop([record.id for record in new.tables.records() if record.path not in wanted])


def _give_up(new: Store) -> None:
    """Leaves nothing behind of an attempt that came to nothing."""
    new.close()
    shutil.rmtree(new.tables.folder, ignore_errors=True)
    shutil.rmtree(new.path / new.config.model, ignore_errors=True)


def _settle(new: Store) -> None:
    """Brings the encoder to its usual place. Whenever this is cut short, the library points to one that is whole."""
    beside = new.path / new.config.model
    new.encoder.save(new.path / MODEL_FOLDER)
    write_config(new.path, replace(new.config, model=MODEL_FOLDER))
    shutil.rmtree(beside, ignore_errors=True)


def files_of(library: Store) -> list[tuple[FootageFile, Sampling]]:
    """The files that a library was made from, and how each is sampled."""
    records = [*library.sources, *library.partial_sources]
    return [(FootageFile(one.path, one.name, is_picture=one.is_picture), one.sampling) for one in records]
