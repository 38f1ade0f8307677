"""What an encoder is compared with: methods without learning, of one interface, which the encoder shares.

A method compares frames with frames. Most make a vector of each and take the cosine; CoHOG matches regions.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import dctn

from firstsight.encoder.encoder import Encoder
from firstsight.learning.learn import learn
from firstsight.normality.appearance import in_cells
from firstsight.pixels import Crop, as_pictures, crop_and_resize, with_channels, writable
from firstsight.quality.self_test import Similarities, by_cosine

Encode = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

MODEL, RANDOM = "this encoder", "random filters"

_THUMBNAIL_SIDE = 16  # pixels
_HASH_SIDE, _HASH_PICTURE = 8, 32  # 64 bits, from the lowest frequencies of a picture of 32x32
_COLOUR_LEVELS = 6  # of each channel: 216 colours
_BATCH = 128


@dataclass(frozen=True)
class Method:
    """One way to compare frames. All take frames uint8 (N, H, W, 3) or (N, H, W).

    `similarities` takes Q queries and R references and gives float32 (Q, R), higher is closer, from -1 to 1.
    `encode` gives float32 (N, dim) of unit length, or 0 for a frame in which it finds nothing.
    `cells` gives float32 (N, maps, cells), what novelty looks at.
    """

    name: str
    similarities: Similarities
    encode: Encode | None = None  # None: it makes no vectors
    cells: Encode | None = None  # None: it cannot say where in a frame something is


def by_vectors(name: str, encode: Encode, cells: Encode | None = None) -> Method:
    """The method that compares frames by the cosine of their vectors."""
    return Method(name, by_cosine(encode), encode, cells)


def of_encoder(encoder: Encoder, *, name: str = MODEL) -> Method:
    """An encoder among the methods, with its best comparison."""
    return Method(name, encoder.similarities, encoder.encode, lambda frames: _cells_of(encoder, frames))


def _cells_of(encoder: Encoder, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    return _by_batches(frames, lambda pictures: in_cells(encoder.features(pictures)))


def thumbnail(footage: NDArray[np.uint8]) -> Method:
    """The picture in colour at 16x16, minus the mean over the footage; the cosine is then a correlation."""
    mean = _thumbnails(footage).mean(axis=0)
    return by_vectors("16x16 thumbnail", lambda frames: _unit(_thumbnails(frames) - mean))


def perceptual_hash() -> Method:
    """64 bits, as +-1/8, so that the cosine of two is 1 - 2 (bits that differ) / 64.

    A bit is whether one of the 8x8 lowest frequencies of the grey picture at 32x32 is above their median.
    Source: Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010, section 3.2.1.
    """
    return by_vectors("perceptual hash", _hashes)


def colour_histogram() -> Method:
    """How often each of 216 colours occurs, square rooted: the cosine is then the Bhattacharyya coefficient.

    Source: Swain, Ballard, "Color Indexing", 1991; Arandjelovic, Zisserman, 2012, for the square root.
    """
    return by_vectors("colour histogram", _histograms)


def hog(footage: NDArray[np.uint8]) -> Method:
    """Histograms of oriented gradients of the grey picture at 64x64, minus the mean over the footage.

    Cells of 8x8 pixels with 9 orientations, blocks of 2x2 cells: 7 x 7 x 36 numbers.
    Source: Dalal, Triggs, "Histograms of Oriented Gradients for Human Detection", 2005, sections 6.1 to 6.4.
    """
    mean = _hogs(footage).mean(axis=0)
    return by_vectors("HOG", lambda frames: _unit(_hogs(frames) - mean))


def cohog() -> Method:
    """The regions of a query that hold much, each with the most similar region of the reference, wherever that is.

    Regions are the 7x7 blocks of a histogram of oriented gradients of the grey picture at 128x128: 2x2 cells of 16x16
    pixels with 8 orientations. Those of a query count whose grey levels have an entropy of at least 4 bits, or all if
    none has. The similarity is the mean, over these, of the largest cosine: not symmetric, from 0 to 1.
    Source: Zaffar, Ehsan, Milford, McDonald-Maier, "CoHOG: A Light-Weight, Compute-Efficient, and Training-Free Visual
    Place Recognition Technique for Changing Environments", 2020, section III; the smaller picture is ours.
    """
    return Method("CoHOG", _matched_regions)


def mean_colours() -> Method:
    """The mean colour of each cell that novelty looks at, in place of what an encoder makes of it."""
    return by_vectors(
        "mean colours", lambda frames: _unit(_colour_cells(frames).reshape(len(frames), -1)), _colour_cells
    )


def random_filters(footage: NDArray[np.uint8], *, seed: int = 0) -> Method:
    """The default method's network and read-out, with filters that are drawn instead of learned, for that footage.

    Raises:
        SourceError: fewer than three frames.
        PixelsError: the frames are too small.
    """
    return of_encoder(learn(footage, method="random", seed=seed), name=RANDOM)


def _planes(pictures: NDArray[np.uint8]) -> torch.Tensor:
    """float32 (N, 3, H, W)."""
    return torch.from_numpy(writable(np.ascontiguousarray(with_channels(pictures, 3)))).permute(0, 3, 1, 2).float()


def _thumbnails(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    return _by_batches(frames, _thumbnails_of)


def _thumbnails_of(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    small = torch.nn.functional.interpolate(_planes(pictures), (_THUMBNAIL_SIDE, _THUMBNAIL_SIDE), mode="area")
    return small.flatten(1).numpy()


def _colour_cells(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The mean colour of each cell: (N, 3, cells)."""
    return _by_batches(frames, lambda pictures: in_cells(_planes(pictures).numpy()))


def _hashes(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    return _by_batches(frames, _hashes_of)


def _hashes_of(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    small = _grey(pictures, _HASH_PICTURE)
    frequencies = dctn(small, axes=(1, 2))[:, :_HASH_SIDE, :_HASH_SIDE].reshape(len(small), -1)
    bits = frequencies > np.median(frequencies, axis=1, keepdims=True)
    signs: NDArray[np.float32] = np.where(bits, 1 / _HASH_SIDE, -1 / _HASH_SIDE).astype(np.float32)
    return signs


def _histograms(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    return _by_batches(frames, _histograms_of)


def _histograms_of(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    levels = with_channels(pictures, 3).astype(np.int64) * _COLOUR_LEVELS // 256
    colours = levels @ (_COLOUR_LEVELS ** np.arange(3))
    counts = [np.bincount(colour.reshape(-1), minlength=_COLOUR_LEVELS**3) for colour in colours]
    roots: NDArray[np.float32] = np.sqrt(np.stack(counts) / colours[0].size).astype(np.float32)
    return roots


_HOG_SIDE, _HOG_CELL, _HOG_BINS = 64, 8, 9  # pixels, pixels, orientations over a half turn
_COHOG_SIDE, _COHOG_CELL, _COHOG_BINS = 128, 16, 8
_ENTROPY_FROM = 4.0  # bits, half of what 256 grey levels can have
_REFERENCES = 1_000  # compared at once: 10 MB of cosines


def _grey(pictures: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """The grey pictures, resized: (N, side, side)."""
    height, width = pictures.shape[1:3]
    return crop_and_resize(pictures, Crop(0, 0, width, height, side, side), 1)[..., 0].astype(np.float32)


def _in_cells_of(side: int, cell: int) -> NDArray[np.intp]:
    """Which cell each pixel lies in, row by row: (side, side)."""
    rows = np.arange(side) // cell
    return rows[:, None] * (side // cell) + rows


def _counts(kinds: NDArray[np.intp], num_kinds: int, cell: int, weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """How much weight each kind has in each cell of pictures (N, side, side): (N, rows, columns, kinds)."""
    num, side = kinds.shape[:2]
    num_rows = side // cell
    cells = _in_cells_of(side, cell) + np.arange(num)[:, None, None] * num_rows**2
    bins = (cells * num_kinds + kinds).ravel()
    sums = np.bincount(bins, weights.ravel(), num * num_rows**2 * num_kinds).astype(np.float64)
    return sums.reshape(num, num_rows, num_rows, num_kinds)


def _blocks_of_gradients(grey: NDArray[np.float32], cell: int, bins: int) -> NDArray[np.float32]:
    """Blocks of 2x2 cells, each of length 1 or 0: (N, rows - 1, columns - 1, 4 * bins).

    A pixel votes with the size of its gradient for the two orientations nearest to the gradient's.
    """
    across, down = np.zeros_like(grey), np.zeros_like(grey)
    across[:, :, 1:-1] = grey[:, :, 2:] - grey[:, :, :-2]
    down[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    size, angle = np.hypot(across, down), np.arctan2(down, across) % np.pi / np.pi * bins
    lower = np.floor(angle).astype(np.intp)
    upper_share = (angle - lower).astype(np.float32)
    votes = _counts(lower % bins, bins, cell, size * (1 - upper_share))
    votes += _counts((lower + 1) % bins, bins, cell, size * upper_share)
    return _unit(np.concatenate(_quarters(votes), axis=-1).astype(np.float32))


def _quarters(cells: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """The four cells of each block of 2x2, of cells (N, rows, columns, ...)."""
    return [cells[:, :-1, :-1], cells[:, 1:, :-1], cells[:, :-1, 1:], cells[:, 1:, 1:]]


def _hogs(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    return _by_batches(frames, _hogs_of)


def _hogs_of(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    blocks = _blocks_of_gradients(_grey(pictures, _HOG_SIDE), _HOG_CELL, _HOG_BINS)
    return blocks.reshape(len(pictures), -1)


def _regions_of(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, 49, 32)."""
    blocks = _blocks_of_gradients(_grey(pictures, _COHOG_SIDE), _COHOG_CELL, _COHOG_BINS)
    return blocks.reshape(len(pictures), -1, blocks.shape[-1])


def _weights_of(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How much each region of a query counts, (N, 49), summing to 1."""
    levels = _grey(pictures, _COHOG_SIDE).astype(np.intp)
    blocks = np.sum(_quarters(_counts(levels, 256, _COHOG_CELL, np.ones(levels.shape, np.float32))), axis=0)
    shares = (blocks / (2 * _COHOG_CELL) ** 2).reshape(len(pictures), -1, 256)
    entropy = -(shares * np.log2(np.maximum(shares, np.finfo(np.float64).tiny))).sum(axis=-1)
    counts = (entropy >= _ENTROPY_FROM).astype(np.float32)
    counts[~counts.any(axis=1)] = 1
    weights: NDArray[np.float32] = counts / counts.sum(axis=1, keepdims=True)
    return weights


def _matched_regions(queries: NDArray[np.uint8], references: NDArray[np.uint8]) -> NDArray[np.float32]:
    regions, weights = _by_batches(queries, _regions_of), _by_batches(queries, _weights_of)
    others = _by_batches(references, _regions_of)
    similarities = np.empty((len(regions), len(others)), np.float32)
    num_regions = others.shape[1]
    for start in range(0, len(others), _REFERENCES):
        some = others[start : start + _REFERENCES]
        columns = some.reshape(-1, some.shape[-1]).T
        for query, (own, weight) in enumerate(zip(regions, weights, strict=True)):
            counted = weight > 0
            nearest = (own[counted] @ columns).reshape(-1, len(some), num_regions).max(axis=2)
            similarities[query, start : start + _REFERENCES] = weight[counted] @ nearest
    return similarities


def _by_batches(frames: NDArray[np.uint8], compute: Encode) -> NDArray[np.float32]:
    pictures = as_pictures(frames)
    return np.concatenate([compute(pictures[start : start + _BATCH]) for start in range(0, len(pictures), _BATCH)])


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Along the last axis of length 1, or 0."""
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    unit: NDArray[np.float32] = rows / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit
