"""Filling a library: what is new is embedded, what is there already is not read again."""

import os
import time
from collections.abc import Sequence

from firstsight.errors import SourceError
from firstsight.retrieval.indexing_files import find_footage
from firstsight.retrieval.indexing_outcome import Indexed, Report, silent
from firstsight.retrieval.indexing_run import IndexingRun
from firstsight.retrieval.library import Library
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
        LibraryError: the disk is full, or another process is writing to the library.
        KeyboardInterrupt: Ctrl-C; what was embedded so far is kept, and the next call goes on from there.
    """
    begin = time.monotonic()
    sampling = Sampling(frames_per_second=frames_per_second, every=every)
    if sampling == Sampling():
        sampling = Sampling(frames_per_second=library.config.frames_per_second, every=library.config.every)
    files, failures = find_footage(sources)
    run = IndexingRun(library, sampling, num_files=len(files), report=progress)
    try:
        for failure in failures:
            run.fail(failure)
        run.run(files)
    finally:
        library.refresh()
    if not run.outcome.num_readable:
        lines = run.outcome.failures
        raise SourceError(
            lines[0] if len(lines) == 1 else f"none of {len(lines)} sources can be read; the first: {lines[0]}"
        )
    run.outcome.seconds = time.monotonic() - begin
    return run.outcome
