"""Footage of a library: create one that learns its encoder, add files, remove sources."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from firstsight.encoder.encoder import Encoder, check_encoder
from firstsight.errors import LibraryError, SettingsError, SourceError, check_seed
from firstsight.files import check_path, listed
from firstsight.footage.sampling import Sampling
from firstsight.indexing.estimate import Estimate, Indexed, estimate
from firstsight.indexing.on_ray import OnRay, check_engine
from firstsight.indexing.run import Elsewhere, IndexingRun, Wanted
from firstsight.indexing.writer import only_first_interrupt
from firstsight.library.folder import LibraryConfig, check_free, remove_library, writing
from firstsight.library.records import LayoutSizes, SourceRecord
from firstsight.library.selection import Names, Where, names_of
from firstsight.library.source_files import FootageFile, find_footage, gone_with_their_folder, state_of
from firstsight.library.store import Store
from firstsight.library.vector_index import keep_up, read_facts
from firstsight.progress import Progress, Report, silent

# The largest embedding of the default method, for an encoder that is not learned yet.
_MAX_DIM = 496
_USUAL_LAYOUT = LayoutSizes((2, 9, 11, 96), 960)  # likewise

FootageSpec = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]  # files, folders, patterns


def create(
    folder: str | os.PathLike[str],
    sources: FootageSpec = (),
    *,
    encoder: Encoder | None = None,
    frames_per_second: float | None = None,
    every: int | None = None,
    keyframes: bool = False,
    seed: int = 0,
    on: str | None = None,
    progress: Report = silent,
) -> tuple[Store, Indexed]:
    """A new library of that footage, with an encoder learned from all its frames.

    Args:
        folder: a new one, or an empty one.
        sources: files, folders, patterns; none only where an encoder is given.
        encoder: instead of a learned one.
        frames_per_second: of each video the first frame at or after each tick of this rate; by default 2.
        every: or one frame in so many.
        keyframes: of the keyframes alone, which takes a small part of the time.
        seed: of what learning draws; an integer from 0 to 2**32 - 1.
        on: where videos are embedded, as for `add`; learning is done here.
        progress: called repeatedly.

    Raises:
        SourceError: no footage can be read; no library is left behind.
        SettingsError: neither footage nor an encoder; or a rate or a seed outside its range.
        LibraryError: something else is in the folder, or the disk is too full.
        KeyboardInterrupt, Cancelled: while it learns, no library is left behind; later as for `add`.
    """
    path, given = (
        check_path(folder, name="library", error=LibraryError),
        _sampling(frames_per_second, every, keyframes=keyframes),
    )
    seed, on = check_seed(seed), check_engine(on)
    check_free(path)
    if encoder is not None:
        check_encoder(encoder)
    sources = listed(sources, name="footage")
    rate: dict[str, Any] = {"frames_per_second": frames_per_second, "every": every, "keyframes": keyframes}
    if encoder is not None and not sources:
        with _making(path):
            return Store.create(path, encoder, **rate), Indexed(str(path))
    files, failures = find(sources)
    dim = encoder.dim if encoder else _MAX_DIM
    given = given and LibraryConfig("", dim).sampling_for(given)
    usual = given or LibraryConfig("", dim).sampling_for(Sampling())
    layout = LayoutSizes.of(encoder) if encoder else _USUAL_LAYOUT
    layout_bytes = layout.num_bytes if layout else 0
    expected = estimate(path, files, given, usual=usual, records=(), dim=dim, layout_bytes=layout_bytes)
    total = _check_room(expected, len(files), progress)
    encoder = encoder or learned_from(files, seed=seed, progress=progress)
    with only_first_interrupt(), _making(path):
        library = Store.create(path, encoder, **rate)
        try:
            wanted = [(file, given) for file in files]
            outcome = index(library, wanted, failures=failures, total=total, on=on, progress=progress)
        except SourceError:
            library.close()
            remove_library(library.path)
            raise
        library.show_latest()
        return library, outcome


@contextmanager
def _making(path: Path) -> Iterator[None]:
    """The folder, locked against others who make a library in it, or write to it; there is none yet."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LibraryError(f"{path} cannot be made: {error.strerror}; choose another folder") from error
    with writing(path):
        check_free(path)
        yield


def add(
    library: Store,
    sources: FootageSpec,
    *,
    frames_per_second: float | None = None,
    every: int | None = None,
    keyframes: bool = False,
    retry: bool = False,
    on: str | None = None,
    progress: Report = silent,
) -> Indexed:
    """Adds videos and pictures to the library, or updates them.

    A file is identified by path, size and time of change, or else by its content, and is decoded only if it is new or
    changed. A file that was moved only gets its new name; a second file of the same content gets a copy of the first
    one's rows; the old rows of a changed file are shown until the new ones are complete. A picture is a source of one
    frame at 0 s. A file that cannot be read is recorded as failed, and the others are added.

    Args:
        library: shows the new sources afterwards.
        sources: files, folders, patterns.
        frames_per_second: of videos. By default each keeps its rate in the library, and new ones get the library's;
            videos of another rate are re-embedded.
        every: or one frame in so many.
        keyframes: of the keyframes alone, which takes a small part of the time.
        retry: also files that could not be read before, though the disk was not at fault, and have not changed since.
        on: where videos are embedded. By default in this process; "ray" takes all processors of this machine by Ray,
            "ray:ADDRESS" those of a cluster, whose machines find the videos under the same paths. Rows are the same
            to the last digits of their vectors.
        progress: called repeatedly.

    Raises:
        SourceError: no source can be read.
        SettingsError: no source given, a rate outside its range, or no Ray there.
        LibraryError: the disk is full, or another process is writing to the library.
        KeyboardInterrupt, Cancelled: embedded frames are kept, and the next call continues from there.
    """
    given, on = _sampling(frames_per_second, every, keyframes=keyframes), check_engine(on)
    files, failures = find(sources, must_exist=False)
    with only_first_interrupt(), library.writing():
        given = given and library.config.sampling_for(given)
        known, usual = (*library.failed_sources, *library.sources), library.config.sampling_for(given or Sampling())
        room = {"dim": library.dim, "layout_bytes": library.tables.layout_bytes}
        expected = estimate(library.path, files, given, usual=usual, records=known, **room)
        total = _check_room(expected, len(files), progress)
        wanted = [(file, given) for file in files]
        return index(library, wanted, failures=failures, total=total, retry=retry, on=on, progress=progress)


def find(sources: FootageSpec, *, must_exist: bool = True) -> tuple[list[FootageFile], list[str]]:
    """The videos and pictures that the sources name, and a line for each source that names none.

    Raises:
        SettingsError: no source given.
        SourceError: there are none, and some `must_exist`.
    """
    given = listed(sources, name="footage")
    if not given:
        raise SettingsError("no footage given; valid are videos, pictures, folders and patterns")
    files, failures = find_footage(given)
    if must_exist and not files:
        raise SourceError(failures[0])
    return files, failures


def learned_from(files: Sequence[FootageFile], *, seed: int, progress: Report) -> Encoder:
    """An encoder learned from all frames of the videos or, without videos, from the pictures.

    Raises:
        SettingsError: there are no files.
    """
    paths = [file.path for file in files if not file.is_picture] or [file.path for file in files]
    if not paths:
        raise SettingsError("the library holds nothing to learn an encoder from; name footage, or give an encoder")
    news = f"learning an encoder from {len(paths)} source{'s' if len(paths) > 1 else ''}"
    progress(Progress("learning", 0, None, news=(news,)))
    from firstsight.learning.learn import learn

    return learn(paths[0] if len(paths) == 1 else paths, seed=seed, progress=progress)


def index(
    library: Store,
    files: Wanted,
    *,
    failures: Sequence[str] = (),
    total: int | None = None,
    retry: bool = False,
    on: str | None = None,
    progress: Report = silent,
) -> Indexed:
    """As `add`, for files with a sampling each, and failures to find others. Only for the writer: see `Store.writing`.

    `total` is the number of frames to embed, if known.
    """
    begin = time.monotonic()
    run = IndexingRun(library, num_files=len(files), total=total, report=progress, retry=retry)
    for failure in failures:
        run.fail(failure)
    with _embedding(library, run, files, on=on, progress=progress) as elsewhere:
        run.run(files, elsewhere=elsewhere)
    library.tables.keep_up_indices()
    _update_vector_index(library, run.outcome, progress)
    _check_any_readable(run.outcome)
    library.show_latest()
    return replace(
        run.outcome,
        library=library.name,
        num_sources=len(library.sources),
        frames_held=library.num_frames,
        seconds=time.monotonic() - begin,
    )


def _embedding(
    library: Store, run: IndexingRun, files: Wanted, *, on: str | None, progress: Report
) -> AbstractContextManager[Elsewhere | None]:
    """What embeds the videos of a run elsewhere; None if nothing does."""
    videos = list(run.new_videos(files)) if on else []
    if on is None or not videos:
        return nullcontext()
    progress(Progress("starting Ray", 0, None))
    return OnRay(library, videos, address=on.partition(":")[2] or None)


def _sampling(frames_per_second: float | None, every: int | None, *, keyframes: bool) -> Sampling | None:
    """The sampling that was given, if any."""
    given = Sampling(frames_per_second=frames_per_second, every=every, keyframes=keyframes)
    return None if given == Sampling() else given


def _check_room(expected: Estimate, num_files: int, progress: Report) -> int | None:
    """Reports the estimate and checks the disk; returns the number of frames if it is known."""
    progress(Progress("estimating", 0, None, news=tuple(expected.news(num_files))))
    expected.check()
    return None if expected.num_unknown else expected.num_frames or None


def _check_any_readable(outcome: Indexed) -> None:
    """Raises if there are only failures."""
    again = [f"{reason} (not tried again until it changes, or with --retry)" for reason in outcome.failed_before]
    failures = [*outcome.failures, *again]
    if failures and not outcome.num_readable:
        first, num = failures[0], len(failures)
        raise SourceError(first if num == 1 else f"none of {num} sources can be read; the first: {first}")


def _update_vector_index(library: Store, outcome: Indexed, progress: Report) -> None:
    progress(Progress("updating the index", outcome.num_frames, outcome.num_frames))
    before = read_facts(library.tables)
    after = keep_up(library.tables)
    if after and after != before:
        progress(Progress("updating the index", 1, 1, news=(f"search {after.describe()}",)))


def check_same_encoder(library: Store, encoder: Encoder) -> None:
    """Raises LibraryError if the library has another encoder: vectors of two encoders cannot be compared."""
    if encoder.fingerprint != library.fingerprint:
        raise LibraryError(
            f"{library.name} is a library of encoder {library.fingerprint}, and the model given is "
            f"{encoder.fingerprint}: leave out --model to go on with the library's own, or re-embed everything in it "
            "with --reindex"
        )


def remove(library: Store, names: Names) -> list[SourceRecord]:
    """Removes sources from the library, by name or pattern, and returns them. Their files are not touched.

    Raises:
        LibraryError: a name or pattern matches no source; then nothing is removed.
        SettingsError: no name is given, which elsewhere chooses all.
    """
    wanted = names_of(names)
    if not wanted:
        raise SettingsError("no source given to remove; give names as the library's sources have them, or patterns")
    with only_first_interrupt(), library.writing():
        records = _all(library)
        chosen = [records[position] for position in Where(wanted).chosen([record.name for record in records])]
        _drop(library, chosen)
    return chosen


@dataclass(frozen=True)
class RemovedMissing:
    """What `remove_missing` removed, and what it left in the library."""

    removed: tuple[SourceRecord, ...]
    unreachable: tuple[str, ...]  # names of sources whose folders cannot be reached: their files may exist
    doubtful: tuple[str, ...]  # whose files are gone, with all others of their folder: perhaps it is not mounted


def remove_missing(library: Store, *, is_sure: bool = False) -> RemovedMissing:
    """Removes the sources whose files are gone from their folders.

    Args:
        library: which one.
        is_sure: also those in whose folder no file of the library is left.

    Raises:
        LibraryError: another process is writing to the library.
    """
    with only_first_interrupt(), library.writing():
        records = _all(library)
        states = {record.path: state_of(record.path) for record in records}
        gone = [record for record in records if states[record.path] == "gone"]
        emptied = set(gone_with_their_folder(states))
        chosen = [record for record in gone if is_sure or record.path not in emptied]
        _drop(library, chosen)
    return RemovedMissing(
        tuple(chosen),
        tuple(record.name for record in records if states[record.path] == "unreachable"),
        tuple(record.name for record in gone if record not in chosen),
    )


def _drop(library: Store, records: Sequence[SourceRecord]) -> None:
    """Drops all records of their files."""
    paths = {record.path for record in records}
    library.tables.drop([record.id for record in library.tables.records() if record.path in paths])


def _all(library: Store) -> list[SourceRecord]:
    """One record a file: whole before partial before failed."""
    records = (*library.failed_sources, *library.partial_sources, *library.sources)
    return sorted({record.path: record for record in records}.values(), key=lambda record: record.name)
