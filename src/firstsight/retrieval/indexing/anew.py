"""Another encoder for a library: everything in it is embedded anew, and exchanged at one stroke."""

import shutil
from collections.abc import Sequence
from dataclasses import replace

from firstsight.errors import LibraryError, SourceError
from firstsight.model.encoder import Encoder
from firstsight.retrieval.indexing.indexing import bring_in, unreachable_sources
from firstsight.retrieval.indexing.interrupts import only_first_interrupt
from firstsight.retrieval.indexing.outcome import Indexed, Report, silent
from firstsight.retrieval.store.files import FootageFile
from firstsight.retrieval.store.folder import MODEL_FOLDER, check_inside, tables_folder, write_config
from firstsight.retrieval.store.library import Library
from firstsight.retrieval.store.maintenance import remove_unread
from firstsight.retrieval.store.mending import mend
from firstsight.retrieval.store.tables import Tables
from firstsight.video.sampling import Sampling


def check_same_encoder(library: Library, encoder: Encoder) -> None:
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


def reindex(library: Library, encoder: Encoder, *, progress: Report = silent) -> tuple[Library, Indexed]:
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
    return Library.open(path), outcome


def _check_reachable(library: Library) -> None:
    """Raises if a source would be lost only because its folder is not there at the moment.

    Raises:
        SourceError: with the first of them.
    """
    if away := [record for record in unreachable_sources(library) if record.status != "failed"]:
        raise SourceError(
            f"{len(away)} sources cannot be reached, and a library embedded anew would be without them; the first: "
            f"{away[0].path}. Mount or put back their folder, or take them out with `firstsight library remove`"
        )


def _begin(library: Library, encoder: Encoder) -> Library:
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
    return Library(path, config, tables)


def _drop_strangers(new: Library, files: Sequence[tuple[FootageFile, Sampling]]) -> None:
    """What an earlier attempt has embedded, and is not in the library any more."""
    wanted = {file.path for file, _ in files}
    new.tables.drop([record.id for record in new.tables.records() if record.path not in wanted])


def _give_up(new: Library) -> None:
    """Leaves nothing behind of an attempt that came to nothing."""
    new.close()
    shutil.rmtree(new.tables.folder, ignore_errors=True)
    shutil.rmtree(new.path / new.config.model, ignore_errors=True)


def _settle(new: Library) -> None:
    """Brings the encoder to its usual place. Whenever this is cut short, the library points to one that is whole."""
    beside = new.path / new.config.model
    new.encoder.save(new.path / MODEL_FOLDER)
    write_config(new.path, replace(new.config, model=MODEL_FOLDER))
    shutil.rmtree(beside, ignore_errors=True)


def files_of(library: Library) -> list[tuple[FootageFile, Sampling]]:
    """The files that a library was made from, and how each is sampled."""
    records = [*library.sources, *library.partial_sources]
    return [(FootageFile(one.path, one.name, is_picture=one.is_picture), one.sampling) for one in records]
