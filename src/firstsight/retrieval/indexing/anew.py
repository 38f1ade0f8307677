"""Another encoder for a library: everything in it is embedded anew, and exchanged at one stroke."""

import shutil
from dataclasses import replace

from firstsight.errors import LibraryError
from firstsight.model.encoder import Encoder
from firstsight.retrieval.indexing.indexing import bring_in
from firstsight.retrieval.indexing.outcome import Indexed, Report, silent
from firstsight.retrieval.store.files import FootageFile
from firstsight.retrieval.store.folder import MODEL_FOLDER, write_config, writing
from firstsight.retrieval.store.library import Library, tables_folder
from firstsight.retrieval.store.tables import Tables
from firstsight.video.images import is_picture
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

    The old rows are shown until the new ones are whole; an interrupted attempt goes on with the next call of the same
    encoder. Sources that cannot be read any more are named in the outcome, and are not in the library afterwards.

    Raises:
        SourceError: not one source can be read; the library stays as it is.
        LibraryError: the disk is full, or another process is writing to the library.
    """
    path, fingerprint = library.path, encoder.fingerprint
    files = files_of(library)
    if fingerprint == library.fingerprint:
        return library, bring_in(library, files, progress=progress)
    new = _begin(library, encoder)
    outcome = bring_in(new, files, progress=progress)
    with writing(path):
        write_config(path, new.config)  # from here on it is the new one
        shutil.rmtree(tables_folder(path, library.fingerprint), ignore_errors=True)
        _settle(new)
    return Library.open(path), outcome


def _begin(library: Library, encoder: Encoder) -> Library:
    """The new tables beside the old ones, with what an interrupted attempt has put into them."""
    path, fingerprint = library.path, encoder.fingerprint
    model = f"{MODEL_FOLDER}-{fingerprint}"
    encoder.save(path / model)
    config = replace(library.config, fingerprint=fingerprint, dim=encoder.dim, model=model)
    folder = tables_folder(path, fingerprint)
    try:
        tables = Tables(folder, dim=encoder.dim)
    except LibraryError:  # none there, or not all of them
        tables = Tables.create(folder, dim=encoder.dim)
    return Library(path, config, tables)


def _settle(new: Library) -> None:
    """Brings the encoder to its usual place. Whenever this is cut short, the library points to one that is whole."""
    beside = new.path / new.config.model
    new.encoder.save(new.path / MODEL_FOLDER)
    write_config(new.path, replace(new.config, model=MODEL_FOLDER))
    shutil.rmtree(beside, ignore_errors=True)


def files_of(library: Library) -> list[tuple[FootageFile, Sampling]]:
    """The files that a library was made from, and how each is sampled."""
    records = [*library.sources, *library.partial_sources]
    return [(FootageFile(one.path, one.name, is_picture=is_picture(one.path)), one.sampling) for one in records]
