"""Baselines without learning, with the encoder's interface: frames in, vectors of unit length out."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import dctn

from firstsight.learning.learn import learn
from firstsight.pixels import Crop, as_pictures, crop_and_resize, with_channels, writable

Encode = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

RANDOM = "random filters"

_THUMBNAIL_SIDE = 16  # pixels
_HASH_SIDE, _HASH_PICTURE = 8, 32  # 64 bits, from the lowest frequencies of a picture of 32x32
_COLOUR_LEVELS = 6  # of each channel: 216 colours
_BATCH = 128


@dataclass(frozen=True)
class Baseline:
    """A simple encoder.

    `encode` takes frames uint8 (N, H, W, 3) or (N, H, W) and gives float32 (N, dim) of unit length, or 0 for a frame in
    which it finds nothing.
    """

    name: str
    encode: Encode


def thumbnail(footage: NDArray[np.uint8]) -> Baseline:
    """The picture in colour at 16x16, minus the mean over the footage; the cosine is then a correlation."""
    mean = _thumbnails(footage).mean(axis=0)
    return Baseline("16x16 thumbnail", lambda frames: _unit(_thumbnails(frames) - mean))


def perceptual_hash() -> Baseline:
    """64 bits, as +-1/8, so that the cosine of two is 1 - 2 (bits that differ) / 64.

    A bit is whether one of the 8x8 lowest frequencies of the grey picture at 32x32 is above their median.
    Source: Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010, section 3.2.1.
    """
    return Baseline("perceptual hash", _hashes)


def colour_histogram() -> Baseline:
    """How often each of 216 colours occurs, square rooted: the cosine is then the Bhattacharyya coefficient.

    Source: Swain, Ballard, "Color Indexing", 1991; Arandjelovic, Zisserman, 2012, for the square root.
    """
    return Baseline("colour histogram", _histograms)


def random_filters(footage: NDArray[np.uint8], *, seed: int = 0) -> Baseline:
    """The default method's network and read-out, with filters that are drawn instead of learned, for that footage.

    Raises:
        SourceError: fewer than three frames.
        PixelsError: the frames are too small.
    """
    return Baseline(RANDOM, learn(footage, method="random", seed=seed).encode)


def _thumbnails(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    return _by_batches(frames, _thumbnails_of)


def _thumbnails_of(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    planes = torch.from_numpy(writable(np.ascontiguousarray(with_channels(pictures, 3)))).permute(0, 3, 1, 2).float()
    small = torch.nn.functional.interpolate(planes, (_THUMBNAIL_SIDE, _THUMBNAIL_SIDE), mode="area")
    return small.flatten(1).numpy()


def _hashes(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    return _by_batches(frames, _hashes_of)


def _hashes_of(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    height, width = pictures.shape[1:3]
    small = crop_and_resize(pictures, Crop(0, 0, width, height, _HASH_PICTURE, _HASH_PICTURE), 1)[..., 0]
    frequencies = dctn(small.astype(np.float32), axes=(1, 2))[:, :_HASH_SIDE, :_HASH_SIDE].reshape(len(small), -1)
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


def _by_batches(frames: NDArray[np.uint8], compute: Encode) -> NDArray[np.float32]:
    pictures = as_pictures(frames)
    return np.concatenate([compute(pictures[start : start + _BATCH]) for start in range(0, len(pictures), _BATCH)])


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: NDArray[np.float32] = rows / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit
