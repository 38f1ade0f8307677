"""Giving disk space back."""

import shutil
from datetime import timedelta

from firstsight.retrieval.store.folder import MODEL_FOLDER, writing
from firstsight.retrieval.store.info import folder_size
from firstsight.retrieval.store.library import Library, tables_folder

# LanceDB warns of forgetting "everything older than now"; this is as good.
_AT_ONCE = timedelta(milliseconds=1)


def compact(library: Library) -> tuple[int, int]:
    """Joins small files, forgets what was removed or replaced, and attempts at --reindex that were given up.

    Whoever reads the library meanwhile may have to open it again.

    Returns:
        Bytes on disk before and after.

    Raises:
        LibraryError: another process is writing to it, or the disk is full.
    """
    before = folder_size(library.path)
    with writing(library.path):
        library.tables.tidy()
        library.tables.compact(kept_for=_AT_ONCE)
        used = {tables_folder(library.path, library.fingerprint), library.path / library.config.model}
        for path in (*library.path.glob("tables-*"), *library.path.glob(f"{MODEL_FOLDER}-*")):
            if path not in used:
                shutil.rmtree(path, ignore_errors=True)
    library.refresh()
    return before, folder_size(library.path)
