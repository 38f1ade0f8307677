"""Footage as embeddings, whether a library holds them or the files have to be looked at."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from firstsight.errors import LibraryError, SettingsError
from firstsight.model.encoder import Encoder
from firstsight.retrieval.embedding import Embeddings, embed
from firstsight.retrieval.store.folder import is_library
from firstsight.retrieval.store.library import Library
from firstsight.text import printable
from firstsight.video.source import open_source


@dataclass(frozen=True, eq=False)
class Seen:
    """Some footage, and what saw it."""

    name: str
    frames: Embeddings
    encoder: Encoder


class Unseen:
    """Footage that was found and may be looked at: what is cheap to know is known before.

    Args:
        target: a library's folder, or what `open_source` takes.
        encoder: what sees; of a library its own.
        frames_per_second: of videos, at most; a library keeps its own rate.

    Attributes:
        name: for people.
        num_files: videos and pictures; None where only looking would tell.

    Raises:
        SettingsError: a video without an encoder.
        LibraryError: an encoder that is not the library's, or a library without a frame.
        SourceError: no footage.
    """

    name: str
    num_files: int | None

    def __init__(self, target: str, encoder: Encoder | None, *, frames_per_second: float | None = 2.0) -> None:
        self._library = Library.open(target) if is_library(Path(target)) else None
        if self._library is not None:
            fingerprint = self._library.fingerprint
            if encoder is not None and encoder.fingerprint != fingerprint:
                raise LibraryError(
                    f"{printable(target)} was made with encoder {fingerprint}, not {encoder.fingerprint}: their "
                    "numbers have nothing to do with each other; leave the model out, or index the footage with it"
                )
            if not self._library.num_frames:
                raise LibraryError(f"{printable(target)} holds no frame; put footage into it with `firstsight index`")
            self.name, self.num_files = Path(target).name, len(self._library.sources)
            return
        if encoder is None:
            raise SettingsError(
                f"{printable(target)} is no library, so something has to see it: give --model, a folder made by learn"
            )
        self._encoder, self._source = encoder, open_source(target, frames_per_second=frames_per_second)
        self.name, files = self._source.name, getattr(self._source, "files", None)
        self.num_files = None if files is None else len(files)

    @property
    def encoder(self) -> Encoder:
        """What sees; loaded when first asked for."""
        return self._library.encoder if self._library is not None else self._encoder

    def look(self, progress: Callable[[int, float | None], None] = lambda _done, _total: None) -> Seen:
        """What is seen.

        Args:
            progress: told how many frames have been looked at, and of how many if that is known.

        Raises:
            SourceError: none of it can be read.
        """
        if self._library is not None:
            return Seen(self.name, self._library.embeddings(), self._library.encoder)
        total = self._source.num_frames()
        frames = embed(self._encoder, self._source, progress=lambda done: progress(done, total))
        return Seen(self.name, frames, self._encoder)


def see(
    target: str,
    encoder: Encoder | None = None,
    *,
    frames_per_second: float | None = 2.0,
    progress: Callable[[int, float | None], None] = lambda _done, _total: None,
) -> Seen:
    """What is in a library, or what an encoder sees in a video, a folder of them, or pictures: see `Unseen`."""
    return Unseen(target, encoder, frames_per_second=frames_per_second).look(progress)
