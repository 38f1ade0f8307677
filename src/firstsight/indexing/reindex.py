"""Another encoder for a library: everything in it is re-embedded, and exchanged atomically."""

from collections.abc import Sequence
from dataclasses import replace

from firstsight.encoder.encoder import Encoder, check_encoder
from firstsight.errors import LibraryError, SettingsError, SourceError, check_seed
from firstsight.files import listed, remove_folder
from firstsight.footage.sampling import Sampling
from firstsight.indexing.estimate import Indexed
from firstsight.indexing.index_files import FootageSpec, add, find, index, learned_from
from firstsight.indexing.on_ray import check_engine
from firstsight.indexing.writer import only_first_interrupt
from firstsight.library.folder import MODEL_FOLDER, check_inside, tables_folder, write_config
from firstsight.library.maintenance import refreshed, remove_unread
from firstsight.library.records import LayoutSizes
from firstsight.library.repair import repair
from firstsight.library.source_files import FootageFile, gone_with_their_folder, stamp_of, state_of
from firstsight.library.store import Store
from firstsight.library.tables import Tables
from firstsight.object_store import is_there
from firstsight.progress import Progress, Report, silent


def reindex(
    library: Store,
    encoder: Encoder | None = None,
    sources: FootageSpec = (),
    *,
    frames_per_second: float | None = None,
    every: int | None = None,
    keyframes: bool = False,
    seed: int = 0,
    on: str | None = None,
    progress: Report = silent,
) -> tuple[Store, Indexed]:
    """The library, its readable footage re-embedded by another encoder, and more footage added.

    It is locked against other writers meanwhile. The old rows are shown until all new ones are complete; a call with
    the same encoder continues an interrupted attempt. Sources that cannot be read any more are named in the result, and
    are not in the library afterwards.

    Args:
        library: closed afterwards, as the returned one replaces it.
        encoder: by default one is learned from the library and the sources.
        sources: more footage, if any.
        frames_per_second: of the sources; footage of the library keeps its rate.
        every: or one frame in so many.
        keyframes: of the keyframes alone.
        seed: of what learning draws; an integer from 0 to 2**32 - 1.
        on: where videos are embedded, as for `add`.
        progress: called repeatedly.

    Raises:
        SettingsError: nothing to learn from; a rate without sources; or a seed outside its range.
        SourceError: no source can be read, or some cannot be reached; the library stays as it is. Or none of the
            further ones can be read; the library has the new encoder then.
        LibraryError: the disk is full, or another process is writing to the library.
    """
    seed, on = check_seed(seed), check_engine(on)
    if encoder is not None:
        check_encoder(encoder)
    sources = listed(sources, name="footage")
    has_more = bool(sources)
    if not has_more and (frames_per_second, every, keyframes) != (None, None, False):
        raise SettingsError(
            "--reindex keeps the rate of each source; name those that --fps, --every or --keyframes is for"
        )
    more = find(sources)[0] if has_more else []
    if encoder is None:
        encoder = learned_from([*(file for file, _ in files_of(library)), *more], seed=seed, progress=progress)
    library, outcome = _reembed(library, encoder, on, progress)
    if not has_more:
        return library, outcome
    progress(Progress("embedding", 0, None, news=(outcome.summary(),)))
    indexed = add(
        library,
        sources,
        frames_per_second=frames_per_second,
        every=every,
        keyframes=keyframes,
        on=on,
        progress=progress,
    )
    return library, indexed


def _reembed(library: Store, encoder: Encoder, on: str | None, progress: Report) -> tuple[Store, Indexed]:
    """The library, replaced by one of that encoder."""
    path, fingerprint = library.path, encoder.fingerprint
    with only_first_interrupt(), library.writing():
        _check_reachable(library)
        files, total = files_of(library), library.num_frames
        if fingerprint == library.fingerprint:
            return library, index(library, files, total=total, on=on, progress=progress)
        new = _begin(library, encoder)
        _drop_removed(new, files)
        try:
            outcome = index(new, files, total=total, retry=True, on=on, progress=progress)
        except SourceError:
            _give_up(new)
            raise
        _check_reachable(library)  # hours may have passed; what was embedded is kept for the next attempt
        _check_none_is_missing(library, new)
        write_config(path, new.config)  # from here on it is the new one
        library.close()
        remove_unread(tables_folder(path, library.fingerprint))
        _settle(new)
        new.close()
    return refreshed(library), outcome


def _check_none_is_missing(library: Store, new: Store) -> None:
    """Raises if a source is there now, and was not while it was to be embedded."""
    new.show_latest()
    failed = (one for one in new.failed_sources if one.stamp == stamp_of(one.path))  # the others failed for now
    known = {record.path for record in (*new.sources, *failed)}
    if missed := [one for one in library.sources if one.path not in known and state_of(one.path) == "there"]:
        new.close()
        raise SourceError(
            f"{len(missed)} sources could not be reached for a while; the first: {missed[0].path}. Run it again: what "
            "was embedded is kept"
        )


def _check_reachable(library: Store) -> None:
    """Raises if a source would be lost only because its folder cannot be reached now."""
    states = {record.path: state_of(record.path) for record in (*library.partial_sources, *library.sources)}
    if emptied := gone_with_their_folder(states):
        raise SourceError(
            f"{len(emptied)} sources are gone with all others of their folder, which may not be mounted, and would be "
            f"lost from the library; the first: {emptied[0]}. Mount or put back their folder, or take them out with "
            "`firstsight library remove`"
        )
    if away := [path for path, state in states.items() if state == "unreachable"]:
        raise SourceError(
            f"{len(away)} sources cannot be reached, and would be lost from the library; the first: "
            f"{away[0]}. Mount or put back their folder, or take them out with `firstsight library remove`"
        )


def _begin(library: Store, encoder: Encoder) -> Store:
    """The new tables beside the old ones, with the rows of an interrupted attempt."""
    path, fingerprint = library.path, encoder.fingerprint
    model = f"{MODEL_FOLDER}-{fingerprint}"
    folder = tables_folder(path, fingerprint)
    check_inside(path, folder, path / model)
    encoder.save(path / model)
    config = replace(library.config, fingerprint=fingerprint, dim=encoder.dim, model=model)
    layout = LayoutSizes.of(encoder)
    try:
        tables = Tables(folder, dim=encoder.dim)
    except LibraryError:  # none there, or not all of them
        tables = Tables.create(folder, dim=encoder.dim, layout=layout)
    if layout and not tables.has_layouts:  # of a version without them
        tables.close()
        tables = Tables.create(folder, dim=encoder.dim, layout=layout)
    tables.add_columns()
    repair(tables)
    return Store(path, config, tables, name=library.name)


def _drop_removed(new: Store, files: Sequence[tuple[FootageFile, Sampling]]) -> None:
    """Drops sources of an earlier attempt that are not in the library any more."""
    wanted = {file.path for file, _ in files}
    new.tables.drop([record.id for record in new.tables.records() if record.path not in wanted])


def _give_up(new: Store) -> None:
    """Removes all files of a failed attempt."""
    folder = new.tables.folder
    new.close()
    remove_folder(folder)
    remove_folder(new.path / new.config.model)


def _settle(new: Store) -> None:
    """Moves the encoder to its usual folder. Interrupted at any point, the library refers to a complete one."""
    old = new.path / new.config.model
    new.encoder.save(new.path / MODEL_FOLDER)
    write_config(new.path, replace(new.config, model=MODEL_FOLDER))
    remove_folder(old)


def files_of(library: Store) -> list[tuple[FootageFile, Sampling]]:
    """The files of a library, and how each is sampled; also those that could not be read and are still there."""
    failed = [one for one in library.failed_sources if is_there(one.path)]
    records = {one.path: one for one in (*failed, *library.partial_sources, *library.sources)}.values()
    return [(FootageFile(one.path, one.name, is_picture=one.is_picture), one.sampling) for one in records]
