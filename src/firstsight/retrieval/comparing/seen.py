"""Footage as embeddings, whether a library holds them or the files have to be looked at."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from firstsight.errors import LibraryError, SettingsError
from firstsight.model.encoder import Encoder
from firstsight.retrieval.embedding import Embeddings, embed
from firstsight.retrieval.store.folder import is_library
from firstsight.retrieval.store.library import Library
from firstsight.video.source import open_source


@dataclass(frozen=True, eq=False)
class Seen:
    """Some footage, and what saw it."""

    name: str
    frames: Embeddings
    encoder: Encoder


def see(
    target: str,
    encoder: Encoder | None = None,
    *,
    frames_per_second: float | None = 2.0,
    progress: Callable[[int, float | None], None] = lambda _done, _total: None,
) -> Seen:
    """What is in a library, or what an encoder sees in a video, a folder of them, or pictures.

    Args:
        target: a library's folder, or what `open_source` takes.
        encoder: what sees; of a library its own.
        frames_per_second: of videos, at most; a library keeps its own rate.
        progress: told how many frames have been looked at, and of how many if that is known.

    Raises:
        SettingsError: a video without an encoder.
        LibraryError: an encoder that is not the library's.
        SourceError: no footage, or none of it can be read.
    """
    if is_library(Path(target)):
        library = Library.open(target)
        if encoder is not None and encoder.fingerprint != library.fingerprint:
            raise LibraryError(
                f"{target} was made with encoder {library.fingerprint}, not {encoder.fingerprint}: their numbers have "
                "nothing to do with each other; leave the model out, or index the footage with it"
            )
        return Seen(Path(target).name, library.embeddings(), library.encoder)
    if encoder is None:
        raise SettingsError(f"{target} is no library, so something has to see it: give --model, a folder made by learn")
    source = open_source(target, frames_per_second=frames_per_second)
    total = source.num_frames()
    return Seen(source.name, embed(encoder, source, progress=lambda done: progress(done, total)), encoder)
