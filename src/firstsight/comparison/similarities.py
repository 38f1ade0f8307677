"""The similarity of every frame to every anchor, as a table with a column an anchor."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from firstsight.encoder.encoder import Encoder, check_encoder
from firstsight.errors import LibraryError, SettingsError
from firstsight.footage.image_folders import ImageFiles
from firstsight.footage.source import Source, Spec, files_of, open_source
from firstsight.library.embeddings import Embeddings, embed
from firstsight.library.folder import is_library
from firstsight.library.store import Store
from firstsight.progress import Report, silent
from firstsight.searching.query import Picture, read_anchors
from firstsight.text import printable


@dataclass(frozen=True, eq=False)
class Embedded:
    """Footage, embedded."""

    target: str  # as it was given
    name: str  # for people
    frames: Embeddings
    encoder: Encoder


class Target:
    """A library, or footage to embed, checked before anything is embedded.

    Args:
        target: a library's folder, or footage.
        encoder: of footage; a library has its own.
        frames_per_second: of footage, at most; a library keeps its own rate.

    Attributes:
        name: for people.
        num_files: videos and pictures; None if unknown before reading.

    Raises:
        SettingsError: footage without an encoder.
        LibraryError: an encoder that is not the library's, or a library without a frame.
        SourceError: no footage.
    """

    name: str
    num_files: int | None

    def __init__(self, target: Spec, encoder: Encoder | None, *, frames_per_second: float | None = 2.0) -> None:
        is_folder = isinstance(target, str | PathLike) and is_library(Path(target))
        self._library = Store.open(Path(str(target))) if is_folder else None
        if self._library is not None:
            _check_library(self._library, encoder)
            self.name, self.num_files = self._library.path.name, len(self._library.sources)
            self._target = str(target)
            return
        if encoder is None:
            named = f"{printable(str(target))} is" if isinstance(target, str | PathLike) else "what is given is"
            raise SettingsError(f"{named} no library and needs an encoder: give --model RUN, in Python encoder=")
        check_encoder(encoder)
        self._encoder = encoder
        rate = None if isinstance(target, Source) else frames_per_second
        self._source = open_source(target, frames_per_second=rate)
        self.name, files = self._source.name, getattr(self._source, "files", None)
        self.num_files = None if files is None else len(files)
        self._target = str(target) if isinstance(target, str | PathLike) else self.name

    @property
    def pictures(self) -> frozenset[str]:
        """Names of its sources that are stills, which have no time."""
        if self._library is not None:
            return frozenset(record.name for record in self._library.sources if record.is_picture)
        return frozenset(files_of(self._source)) if isinstance(self._source, ImageFiles) else frozenset()

    @property
    def fingerprint(self) -> str:
        """The encoder's, which is not loaded for it."""
        return self._library.fingerprint if self._library is not None else self._encoder.fingerprint

    @property
    def encoder(self) -> Encoder:
        """Of a library its own, loaded when first used."""
        return self._library.encoder if self._library is not None else self._encoder

    def embed(self, *, progress: Report = silent) -> Embedded:
        """Its embedded frames. Raises a SourceError if no footage can be read."""
        if self._library is not None:
            frames = self._library.embeddings()
        else:
            frames = embed(self._encoder, self._source, progress=progress)
        return Embedded(self._target, self.name, frames, self.encoder)


def _check_library(library: Store, encoder: Encoder | None) -> None:
    """Raises a LibraryError if the encoder is not its own, or it is empty."""
    name = printable(library.name)
    if encoder is not None:
        check_encoder(encoder)
    if encoder is not None and encoder.fingerprint != library.fingerprint:
        raise LibraryError(
            f"{name} was made with encoder {library.fingerprint}, not {encoder.fingerprint}: their embeddings cannot "
            "be compared; leave the model out, or index the footage with it"
        )
    if not library.num_frames:
        raise LibraryError(f"{name} holds no frame; put footage into it with `firstsight index`")


_FIRST = ("source", "frame", "seconds")


@dataclass(frozen=True, eq=False)
class Similarities:
    """How similar every frame of a target is to every anchor."""

    target: str  # as it was given
    table: pa.Table  # as `similarity_table` makes it
    pictures: frozenset[str] = frozenset()  # names of the sources that are stills, whose seconds mean nothing

    def to_arrow(self) -> pa.Table:
        """A row a frame, a column an anchor."""
        return self.table

    def to_json(self) -> dict[str, Any]:
        """The mean of each anchor, and the frame that is most similar to it."""
        names = self.table.column_names[len(_FIRST) :]
        anchors = [self._summary(name) for name in names]
        return {"target": self.target, "num_frames": len(self.table), "anchors": anchors}

    def _summary(self, name: str) -> dict[str, Any]:
        values = self.table.column(name).to_numpy()
        best = int(values.argmax())
        source, seconds = (self.table.column(column)[best].as_py() for column in ("source", "seconds"))
        return {
            "anchor": name,
            "mean": float(values.mean()),
            "most": float(values[best]),
            "source": source,
            "seconds": seconds,
        }


def measure_similarities(
    target: Spec,
    anchors: Picture | Sequence[Picture],
    *,
    encoder: Encoder | None = None,
    frames_per_second: float | None = 2.0,
    progress: Report = silent,
) -> Similarities:
    """How similar every frame of a library, or of footage, is to each anchor.

    Args:
        target: a library's folder, or what `open_source` takes.
        anchors: see `read_anchors`.
        encoder: of footage; a library has its own.
        frames_per_second: of footage, at most.
        progress: called now and then.

    Raises:
        SettingsError: footage without an encoder, no anchor, or one twice.
        LibraryError: an encoder that is not the library's, or a library without a frame.
        SourceError: no footage, or an anchor that cannot be read.
    """
    chosen = Target(target, encoder, frames_per_second=frames_per_second)
    vectors = read_anchors(anchors, chosen.encoder)
    embedded = chosen.embed(progress=progress)
    return Similarities(embedded.target, similarity_table(embedded.frames, vectors), chosen.pictures)


def similarity_table(frames: Embeddings, anchors: Mapping[str, NDArray[np.float32]]) -> pa.Table:
    """A row a frame: `source`, `frame`, `seconds`, and for each anchor a column of its name with cosines, -1 to 1.

    Raises:
        SettingsError: no anchor, or one with the name of another column.
        LibraryError: no frame.
    """
    if not len(frames):
        raise LibraryError("no frame is chosen; choose other sources, or a longer time")
    if not anchors or (taken := set(anchors) & set(_FIRST)):
        given = f"an anchor called {', '.join(sorted(taken))}" if anchors else "no anchor"
        raise SettingsError(f"{given}; valid is at least one, called otherwise than {', '.join(_FIRST)}")
    columns = [
        pa.array([printable(frames.source_of(row)) for row in range(len(frames))], pa.string()),
        pa.array(frames.frame_indices),
        pa.array(frames.seconds),
        *(pa.array((frames.vectors @ vector).clip(-1, 1)) for vector in anchors.values()),
    ]
    return pa.table(columns, names=[*_FIRST, *map(printable, anchors)])
