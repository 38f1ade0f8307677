"""What each baseline promises, and that none is upset by frames that hold nothing."""

import numpy as np
import pytest

from firstsight.evaluation.baselines import colour_histogram, perceptual_hash, random_filters, thumbnail


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (12, 6, 8, 3), dtype=np.uint8)
    return coarse.repeat(10, axis=1).repeat(10, axis=2)


@pytest.fixture(scope="module")
def every(frames: np.ndarray) -> list:
    return [thumbnail(frames), perceptual_hash(), colour_histogram(), random_filters(frames)]


def test_frames_in_unit_vectors_out(every: list, frames: np.ndarray) -> None:
    assert len({baseline.name for baseline in every}) == 4
    for baseline in every:
        vectors = baseline.encode(frames)
        assert vectors.dtype == np.float32
        assert vectors.ndim == 2
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
        np.testing.assert_allclose(baseline.encode(frames[3:5]), vectors[3:5], atol=1e-5)
        assert baseline.encode(frames[..., 0]).shape == vectors.shape  # grey


def test_frames_that_hold_nothing(every: list) -> None:
    for baseline in every:
        vectors = baseline.encode(np.zeros((3, 60, 80, 3), np.uint8))
        assert np.isfinite(vectors).all()
        assert np.linalg.norm(vectors, axis=1).max() <= 1.001


def test_the_cosine_of_hashes_counts_bits(frames: np.ndarray) -> None:
    vectors = perceptual_hash().encode(frames)
    bits = vectors > 0
    assert vectors.shape == (12, 64)
    assert bits.sum(axis=1).tolist() == [32] * 12  # the median halves them
    differing = (bits[0] != bits[1]).sum()
    assert float(vectors[0] @ vectors[1]) == pytest.approx(1 - 2 * differing / 64)


def test_a_hash_does_not_mind_the_light_nor_the_size(frames: np.ndarray) -> None:
    encode = perceptual_hash().encode
    vectors = encode(frames)
    for seen in ((frames * 0.6 + 30).astype(np.uint8), frames.repeat(2, axis=1).repeat(2, axis=2)):
        assert (encode(seen) * vectors).sum(axis=1).min() > 0.8


def test_a_histogram_does_not_mind_where_things_are(frames: np.ndarray) -> None:
    encode = colour_histogram().encode
    mirrored = frames[:, ::-1, ::-1]
    np.testing.assert_allclose(encode(mirrored), encode(frames), atol=1e-6)
    red, blue = np.zeros((2, 30, 30, 3), np.uint8)
    red[..., 0] = blue[..., 2] = 255
    assert encode(np.stack([red, blue]))[0] @ encode(np.stack([red, blue]))[1] == 0


def test_a_thumbnail_is_centred_on_the_footage(frames: np.ndarray) -> None:
    small = frames.astype(np.float64)[:, :48, :64].reshape(12, 16, 3, 16, 4, 3).mean(axis=(2, 4))  # of frames of 48x64
    centred = (small - thumbnail_mean(frames[:, :48, :64])).reshape(12, 16, 16, 3).transpose(0, 3, 1, 2).reshape(12, -1)
    expected = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    np.testing.assert_allclose(thumbnail(frames[:, :48, :64]).encode(frames[:, :48, :64]), expected, atol=1e-5)


def thumbnail_mean(frames: np.ndarray) -> np.ndarray:
    return frames.astype(np.float64).reshape(12, 16, 3, 16, 4, 3).mean(axis=(2, 4)).mean(axis=0)


def test_random_filters_are_those_of_the_seed(every: list, frames: np.ndarray) -> None:
    first = every[-1].encode(frames)
    again, other = (random_filters(frames, seed=seed).encode(frames) for seed in (0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
