"""How alike is every frame to every anchor? As a table, a column an anchor, for whoever wants to go on with it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from firstsight.encoder.encoder import Encoder
from firstsight.errors import LibraryError, SettingsError, SourceError
from firstsight.footage.finding import find_files
from firstsight.footage.source import open_source
from firstsight.library.embeddings import Embeddings, embed
from firstsight.library.folder import is_library
from firstsight.library.store import Store
from firstsight.searching.query import read_query
from firstsight.text import printable


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
        self._library = Store.open(target) if is_library(Path(target)) else None
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


_FIRST = ("source", "frame", "seconds")


def similarity_table(frames: Embeddings, anchors: Mapping[str, NDArray[np.float32]]) -> pa.Table:
    """A row a frame: `source`, `frame`, `seconds`, and for each anchor a column of cosines, -1 to 1, of its name.

    Args:
        frames: N of them.
        anchors: vectors (dim,) of unit length, by name.

    Raises:
        SettingsError: no anchor, or one whose name is that of another column.
    """
    if not anchors or (taken := set(anchors) & set(_FIRST)):
        given = f"an anchor called {', '.join(sorted(taken))}" if anchors else "no anchor"
        raise SettingsError(f"{given}; valid is at least one, called otherwise than {', '.join(_FIRST)}")
    columns = [
        pa.array([frames.source_of(row) for row in range(len(frames))], pa.string()),
        pa.array(frames.frame_indices),
        pa.array(frames.seconds),
        *(pa.array((frames.vectors @ vector).clip(-1, 1)) for vector in anchors.values()),
    ]
    return pa.table(columns, names=[*_FIRST, *anchors])


def read_anchors(texts: Sequence[str], encoder: Encoder) -> dict[str, NDArray[np.float32]]:
    """The vector (dim,) of each anchor by its name: pictures, folders of pictures, or moments as `walk.mp4@83.2`.

    An anchor is called after its file; where two files are called alike, each is called by its path.

    Raises:
        SourceError: no such file, a folder without pictures, or one that cannot be read.
        SettingsError: the same anchor twice, or a time that is none.
    """
    places = [place for text in texts for place in _places(text)]
    if len(set(places)) < len(places):
        twice = next(place for place in places if places.count(place) > 1)
        raise SettingsError(f"anchor {twice} is given twice; give each once")
    queries = [read_query(place, encoder) for place in places]
    names = [query.place.name for query in queries]
    return {
        name if names.count(name) == 1 else place: query.vector
        for place, name, query in zip(places, names, queries, strict=True)
    }


def _places(text: str) -> list[str]:
    if not Path(text).is_dir():
        return [text]
    found = find_files(text)
    if not found.are_images:
        raise SourceError(f"{text} holds videos; anchors are pictures, folders of pictures, or video.mp4@SECONDS")
    return [str(path) for path in found.paths]
