"""Which pictures are most like an anchor? The predecessor's demonstration: the ten nearest, with their labels.

Source: Ozmermer, "Learning Filters with Unsupervised Learning", 2020: an anchor image is compared with 10,000 others.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from firstsight.encoder.encoder import Encoder
from firstsight.errors import SettingsError, SourceError
from firstsight.footage.frames import Frame
from firstsight.footage.image_folders import ImageFiles
from firstsight.footage.images import read_image
from firstsight.footage.source import Source, Spec, open_source
from firstsight.text import printable

Measure = Literal["pearson", "cosine"]

# Enough to fill the processor's units; the pictures of a batch are all that is held besides the nearest.
_BATCH_SIZE = 64


@dataclass(frozen=True)
class Neighbour:
    """A picture near an anchor."""

    frame: Frame  # as the network sees it
    similarity: float  # -1 to 1

    @property
    def label(self) -> str:
        """The name of the folder that it lies in, below the one that was searched; empty if in none."""
        return PurePosixPath(self.frame.source).parent.name


def nearest_pictures(
    encoder: Encoder,
    source: Spec,
    anchors: Sequence[str | Path],
    *,
    k: int = 10,
    measure: Measure | None = None,
    progress: Callable[[int, int | None], None] = lambda _done, _total: None,
) -> list[list[Neighbour]]:
    """The k pictures of a source that are most like each anchor, the most similar first.

    The source is read once, whatever the number of anchors; memory does not grow with its length.

    Args:
        encoder: what sees.
        source: a folder of pictures whose subfolders are their labels, or any other source.
        anchors: picture files. One that is among the source's own files is left out of its own neighbours.
        k: how many; fewer if the source has fewer.
        measure: "pearson" is the predecessor's, of the flattened last level; "cosine" is that of the embeddings. None
            is what the encoder was learned with: see `measure_of`.
        progress: told how many pictures have been looked at, and of how many if that is known.

    Returns:
        For each anchor its neighbours; of equally similar ones the earlier in the source comes first.

    Raises:
        SettingsError: k below 1, or no such measure.
        SourceError: an anchor cannot be read, or there is no picture to compare it with.
    """
    measure = measure or measure_of(encoder)
    if k < 1 or measure not in get_args(Measure):
        raise SettingsError(f"{k} neighbours by {measure}; valid are at least 1, by {' or '.join(get_args(Measure))}")
    footage = open_source(source)
    vectors = np.concatenate([_vectors(encoder, read_image(Path(one), name=str(one)), measure) for one in anchors])
    own = [_names_of(footage, Path(one)) for one in anchors]
    nearest: list[list[Neighbour]] = [[] for _ in anchors]
    num_seen, total = 0, footage.num_frames()
    for frames, seen in _embedded(encoder, footage, measure):
        num_seen += len(frames)
        progress(num_seen, total)
        for index, row in enumerate(similarities(vectors, seen, measure)):
            found = [Neighbour(frame, float(value)) for frame, value in zip(frames, row, strict=True)]
            others = [one for one in found if one.frame.source not in own[index]]
            nearest[index] = sorted(nearest[index] + others, key=lambda one: -one.similarity)[:k]
    if not all(nearest):
        raise SourceError(f"{printable(footage.name)} has no picture besides the anchor; give a folder with others")
    return nearest


def similarities(anchors: NDArray[np.float32], vectors: NDArray[np.float32], measure: Measure) -> NDArray[np.float64]:
    """How alike each anchor (A, dim) is to each vector (N, dim): (A, N), within -1 and 1; 0 to a constant vector.

    "pearson" is (dim - 1) / dim times the correlation, as the predecessor computes it.
    """
    dim = anchors.shape[1]
    scale = (dim - 1) / dim if measure == "pearson" else 1.0
    first, second = (_unit(rows.astype(np.float64), centred=measure == "pearson") for rows in (anchors, vectors))
    product: NDArray[np.float64] = scale * (first @ second.T)
    return product


def measure_of(encoder: Encoder) -> Measure:
    """Pearson correlation for an encoder whose maps were learned by it, the predecessor's; else the cosine."""
    learned_by = encoder.provenance.get("settings", {}).get("similarity")
    return "pearson" if learned_by == "pearson" else "cosine"


def _vectors(encoder: Encoder, picture: NDArray[np.uint8], measure: Measure) -> NDArray[np.float32]:
    """What is compared of one picture (H, W, C), or of several (N, H, W, C): (N, dim)."""
    pictures = picture if picture.ndim == 4 else picture[None]
    if measure == "cosine":
        return encoder.encode(pictures)
    return encoder.features(pictures).reshape(len(pictures), -1)


def _embedded(
    encoder: Encoder, source: Source, measure: Measure
) -> Iterator[tuple[Sequence[Frame], NDArray[np.float32]]]:
    with closing(source.read(encoder.view)) as reading:
        while frames := list(islice(reading, _BATCH_SIZE)):
            yield frames, _vectors(encoder, np.stack([frame.pixels for frame in frames]), measure)


def _names_of(source: Source, path: Path) -> set[str]:
    """What the source calls that file, if it is one of its own."""
    if not isinstance(source, ImageFiles):
        return set()
    return {name for file, name in source.files if file.name == path.name and _is_same(file, path)}


def _is_same(file: Path, path: Path) -> bool:
    """Whether both are one file; one that is gone is none."""
    try:
        return file.samefile(path)
    except OSError:
        return False


def _unit(rows: NDArray[np.float64], *, centred: bool) -> NDArray[np.float64]:
    rows = rows - rows.mean(axis=1, keepdims=True) if centred else rows
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: NDArray[np.float64] = rows / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit
