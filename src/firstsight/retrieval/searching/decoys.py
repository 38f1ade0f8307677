"""Pictures made of a library's own stuff that are certainly not in it: what a search for something absent looks like.

A frame of the library itself is no such query. The encoder has learned from it, so it is less like the other frames
than a new picture of the same kind would be; and what it shows may have been filmed twice. A part of it, upside down,
keeps the colours and the textures, and is nowhere in the footage.

Source: the search for peptides among reversed sequences, Elias, Gygi, "Target-decoy search strategy", 2007.
"""

import hashlib
import io
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from firstsight.errors import RunError
from firstsight.files import write_whole
from firstsight.model.encoder import Encoder
from firstsight.retrieval.embedding_sample import Sample
from firstsight.retrieval.store.library import Library
from firstsight.retrieval.store.thumbnails import as_picture

# Twice as many would halve the error of a threshold, and take twice the seconds.
_NUM_DECOYS = 200
# Of each side of a frame at least this is kept: less would be a close-up, and all of it is too easily the frame itself.
_LEAST_PART = 0.8
_FILE = "decoys.npz"


def decoys_of(library: Library, *, making: Callable[[], None] = lambda: None) -> NDArray[np.float32]:
    """The embeddings of decoys made of the library's thumbnails, (M, dim); none of a library without frames.

    They take seconds to make, so they are kept beside the library's rows until it holds other footage.

    Args:
        library: which one.
        making: called before they are made, if they are not there.
    """
    file, state = library.tables.folder / _FILE, _state(library)
    kept = _read(file, state)
    if kept is not None:
        return kept
    making()
    vectors = embed_decoys(library.encoder, spread_pictures(library))
    _write(file, state, vectors)
    return vectors


def embed_decoys(encoder: Encoder, pictures: Sequence[NDArray[np.uint8]], *, seed: int = 0) -> NDArray[np.float32]:
    """A decoy made of each picture (H, W, 3), embedded: (M, dim), those of one shape together."""
    random = np.random.default_rng(seed)
    of_one_shape: dict[tuple[int, ...], list[NDArray[np.uint8]]] = {}
    for picture in pictures:
        of_one_shape.setdefault(picture.shape, []).append(decoy(picture, random))
    return np.concatenate([encoder.encode(np.stack(alike)) for alike in of_one_shape.values()])


def decoy(picture: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """A part of the picture (H, W, 3), anywhere in it, upside down, brought to the same size."""
    height, width = picture.shape[:2]
    part = random.uniform(_LEAST_PART, 1)
    rows, columns = max(1, round(part * height)), max(1, round(part * width))
    top, left = random.integers(0, height - rows + 1), random.integers(0, width - columns + 1)
    upside_down = Image.fromarray(np.ascontiguousarray(picture[top : top + rows, left : left + columns][::-1]))
    return np.asarray(upside_down.resize((width, height), Image.Resampling.BICUBIC))


def spread_pictures(library: Library) -> list[NDArray[np.uint8]]:
    """Thumbnails (H, W, 3) of frames spread evenly over the library, that decoys can be made of."""
    sample = Sample(2 * _NUM_DECOYS)
    for batch in library.iterate():
        sample.add(batch)
    frames = sample.embeddings()
    rows = np.unique(np.linspace(0, len(frames) - 1, _NUM_DECOYS).astype(int))
    jpegs = library.thumbnails([(frames.source_of(row), int(frames.frame_indices[row])) for row in rows])
    return [as_picture(jpeg) for jpeg in jpegs]


def _state(library: Library) -> str:
    """What the decoys were made of."""
    parts = repr([(record.id, record.content, record.num_frames) for record in library.sources])
    return hashlib.blake2b(parts.encode(), digest_size=16).hexdigest()


def _read(file: Path, state: str) -> NDArray[np.float32] | None:
    try:
        with np.load(file) as kept:
            return np.asarray(kept["vectors"], np.float32) if str(kept["state"]) == state else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # they can be made again


def _write(file: Path, state: str, vectors: NDArray[np.float32]) -> None:
    content = io.BytesIO()
    np.savez(content, vectors=vectors, state=np.array(state))
    try:
        write_whole(file, content.getvalue())
    except RunError:
        return  # a library on a read-only disk can be searched too; it takes longer
