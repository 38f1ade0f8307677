"""How alike is every frame to every anchor? As a table, a column an anchor, for whoever wants to go on with it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from firstsight.errors import SettingsError, SourceError
from firstsight.model.encoder import Encoder
from firstsight.retrieval.embedding import Embeddings
from firstsight.retrieval.searching.query import read_query
from firstsight.video.finding import find_files

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
