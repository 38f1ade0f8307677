"""Which pictures are most like an anchor? The predecessor's demonstration: the ten nearest, with their labels.

Source: Ozmermer, "Learning Filters with Unsupervised Learning", 2020: an anchor image is compared with 10,000 others.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from firstsight.encoder.encoder import Encoder
from firstsight.errors import SettingsError, SourceError, check_choice, check_count
from firstsight.files import listed
from firstsight.footage.frames import Frame
from firstsight.footage.image_folders import ImageFiles
from firstsight.footage.images import read_image
from firstsight.footage.reference import moment_reference
from firstsight.footage.source import Source, Spec, open_source
from firstsight.object_store import ObjectPath, to_path
from firstsight.progress import Progress, Report, silent
from firstsight.text import printable

Measure = Literal["pearson", "cosine"]

_BATCH_SIZE = 64


@dataclass(frozen=True)
class Neighbour:
    """A picture near an anchor."""

    frame: Frame  # through the encoder's view
    similarity: float  # -1 to 1
    is_picture: bool = True  # or else a frame of a video

    @property
    def label(self) -> str:
        """The name of its folder, if that is a subfolder of the one that was searched; else empty."""
        return PurePosixPath(self.frame.source).parent.name

    @property
    def name(self) -> str:
        """The file of a picture; of a video with its time, as a search takes it: "walk.mp4@3.2"."""
        return self.frame.source if self.is_picture else moment_reference(self.frame.source, self.frame.seconds)


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """An anchor, and the pictures that are most like it."""

    anchor: str  # its file
    label: str  # as of a neighbour
    pixels: NDArray[np.uint8]  # (H, W, 1 or 3), the anchor through the encoder's view
    neighbours: tuple[Neighbour, ...]  # the most similar first

    def to_json(self) -> dict[str, Any]:
        """The anchor, and rank, similarity, label, file and time of each neighbour; a picture has no time."""
        neighbours = [
            {
                "rank": rank,
                "similarity": one.similarity,
                "label": one.label,
                "file": one.frame.source,
                "seconds": None if one.is_picture else one.frame.seconds,
            }
            for rank, one in enumerate(self.neighbours, start=1)
        ]
        return {"anchor": self.anchor, "label": self.label, "neighbours": neighbours}


def nearest_pictures(
    encoder: Encoder,
    source: Spec,
    anchors: Sequence[str | PathLike[str]],
    *,
    k: int = 10,
    measure: Measure | None = None,
    progress: Report = silent,
) -> tuple[Neighbourhood, ...]:
    """The k pictures of a source that are most like each anchor.

    The source is read once, whatever the number of anchors; memory does not grow with its length.

    Args:
        encoder: embeds the pictures.
        source: a folder of pictures whose subfolders are their labels, or any other source.
        anchors: picture files. One that is among the source's own files, under any name, is left out of its own
            neighbours.
        k: how many; fewer if the source has fewer.
        measure: "pearson" is the predecessor's, of the flattened last level; "cosine" is that of the embeddings; by
            default see `measure_of`.
        progress: called after each batch.

    Returns:
        For each anchor its neighbours; of equally similar ones the earlier in the source comes first.

    Raises:
        SettingsError: k below 1, no such measure, or no anchor.
        SourceError: an anchor cannot be read, or there is no picture to compare it with.
    """
    measure = measure or measure_of(encoder)
    check_count("{} neighbours", k)
    check_choice("measure", measure, get_args(Measure))
    paths = [to_path(one) for one in listed(anchors, name="anchor")]
    if not paths:
        raise SettingsError("no anchor is given; give a picture file, or several")
    footage = open_source(source)
    pictures = [read_image(path, name=str(path))[None] for path in paths]
    vectors = np.concatenate([_vectors(encoder, picture, measure) for picture in pictures])
    nearest: list[list[Neighbour]] = [[] for _ in paths]
    num_compared, total, is_picture = 0, footage.num_frames(), isinstance(footage, ImageFiles)
    for frames, others in _embedded(encoder, footage, measure):
        num_compared += len(frames)
        progress(Progress("comparing", num_compared, total))
        for index, row in enumerate(similarities(vectors, others, measure)):
            found = [Neighbour(frame, float(value), is_picture) for frame, value in zip(frames, row, strict=True)]
            nearest[index] = _nearest(nearest[index], found, footage, paths[index], k)
    if not all(nearest):
        raise SourceError(f"{printable(footage.name)} has no picture besides the anchor; give a folder with others")
    views = [encoder.view.apply(picture)[0] for picture in pictures]
    return tuple(
        Neighbourhood(str(path), _label_of(path, source), pixels, tuple(row))
        for path, pixels, row in zip(paths, views, nearest, strict=True)
    )


def _label_of(anchor: Path, source: Spec) -> str:
    """The name of the anchor's folder, if it lies in a subfolder of the source."""
    if not isinstance(source, str | PathLike):
        return ""
    path, root = anchor.resolve(), to_path(source).resolve()
    return path.parent.name if root in path.parents and root != path.parent else ""


def similarities(anchors: NDArray[np.float32], vectors: NDArray[np.float32], measure: Measure) -> NDArray[np.float64]:
    """The similarity of each anchor (A, dim) to each vector (N, dim): (A, N), within -1 and 1; 0 to a constant vector.

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


def _vectors(encoder: Encoder, pictures: NDArray[np.uint8], measure: Measure) -> NDArray[np.float32]:
    """The vectors that are compared, of pictures (N, H, W, C): (N, dim)."""
    if measure == "cosine":
        return encoder.encode(pictures)
    return encoder.features(pictures).reshape(len(pictures), -1)


def _embedded(
    encoder: Encoder, source: Source, measure: Measure
) -> Iterator[tuple[Sequence[Frame], NDArray[np.float32]]]:
    with closing(source.read(encoder.view)) as reading:
        while frames := list(islice(reading, _BATCH_SIZE)):
            yield frames, _vectors(encoder, np.stack([frame.pixels for frame in frames]), measure)


def _nearest(
    before: Sequence[Neighbour], found: Sequence[Neighbour], source: Source, anchor: Path, k: int
) -> list[Neighbour]:
    """The k most similar of both, without the anchor; only what is near enough is looked up on disk."""
    both = [*((one, False) for one in before), *((one, True) for one in found)]
    ranked = sorted(both, key=lambda pair: -pair[0].similarity)
    others = (one for one, is_new in ranked if not (is_new and _is_anchor(one, source, anchor)))
    return list(islice(others, k))


def _is_anchor(one: Neighbour, source: Source, anchor: Path) -> bool:
    """Whether it is the same file, by whatever name or link."""
    if not isinstance(source, ImageFiles):
        return False
    file, _ = source.files[one.frame.index]
    if isinstance(file, ObjectPath) != isinstance(anchor, ObjectPath):
        return False
    try:
        return file.samefile(anchor)
    except OSError:
        return False


def _unit(rows: NDArray[np.float64], *, centred: bool) -> NDArray[np.float64]:
    rows = rows - rows.mean(axis=1, keepdims=True) if centred else rows
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: NDArray[np.float64] = rows / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit
