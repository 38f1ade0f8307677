"""What each baseline promises, and that none is upset by frames that hold nothing."""

import numpy as np
import pytest

from firstsight.evaluation import baselines
from firstsight.evaluation.baselines import (
    cohog,
    colour_histogram,
    hog,
    mean_colours,
    perceptual_hash,
    random_filters,
    thumbnail,
)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (12, 6, 8, 3), dtype=np.uint8)
    return coarse.repeat(10, axis=1).repeat(10, axis=2)


@pytest.fixture(scope="module")
def every(frames: np.ndarray) -> list:
    return [
        thumbnail(frames),
        perceptual_hash(),
        colour_histogram(),
        hog(frames),
        mean_colours(),
        random_filters(frames[:4]),
    ]


def test_frames_in_unit_vectors_out(every: list, frames: np.ndarray) -> None:
    assert len({baseline.name for baseline in every}) == 6
    for baseline in every:
        vectors = baseline.encode(frames)
        assert vectors.dtype == np.float32
        assert vectors.ndim == 2
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
        np.testing.assert_allclose(baseline.encode(frames[3:5]), vectors[3:5], atol=1e-5)
        similarities = baseline.similarities(frames[:2], frames)
        assert similarities.argmax(axis=1).tolist() == [0, 1]
        if baseline.name != "random filters":  # which has a second stage beside its vectors
            np.testing.assert_allclose(similarities, vectors[:2] @ vectors.T, atol=1e-4)
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
    again, other = (random_filters(frames[:4], seed=seed).encode(frames) for seed in (0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def slow_blocks(grey: np.ndarray, cell: int, bins: int) -> np.ndarray:
    """Pixel by pixel."""
    side = len(grey)
    votes = np.zeros((side // cell, side // cell, bins))
    for y, x in np.ndindex(side, side):
        across = grey[y, x + 1] - grey[y, x - 1] if 0 < x < side - 1 else 0
        down = grey[y + 1, x] - grey[y - 1, x] if 0 < y < side - 1 else 0
        angle = np.arctan2(down, across) % np.pi / np.pi * bins
        share = angle - int(angle)
        votes[y // cell, x // cell, int(angle) % bins] += np.hypot(across, down) * (1 - share)
        votes[y // cell, x // cell, (int(angle) + 1) % bins] += np.hypot(across, down) * share
    rows = range(side // cell - 1)
    blocks = [
        [np.concatenate([votes[y, x], votes[y + 1, x], votes[y, x + 1], votes[y + 1, x + 1]]) for x in rows]
        for y in rows
    ]
    return np.array(blocks) / np.linalg.norm(blocks, axis=-1, keepdims=True)


def square(random: np.random.Generator, num: int, side: int) -> np.ndarray:
    grey = random.integers(0, 256, (num, side // 4, side // 4), dtype=np.uint8).repeat(4, axis=1).repeat(4, axis=2)
    return grey[..., None].repeat(3, axis=-1)


def test_hog_is_the_slow_one_without_the_mean_of_the_footage() -> None:
    frames = square(np.random.default_rng(1), 3, 64)
    slow = np.stack([slow_blocks(frame[..., 0].astype(float), 8, 9).ravel() for frame in frames])
    slow -= slow.mean(axis=0)
    expected = slow / np.linalg.norm(slow, axis=1, keepdims=True)
    np.testing.assert_allclose(hog(frames).encode(frames), expected, atol=1e-5)


def test_cohog_is_the_slow_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Region by region; and of what a query shows without structure nothing counts. Whatever fits in memory at once."""
    frames = square(np.random.default_rng(2), 5, 128)
    frames[:, :64] = 80  # of no entropy
    regions = np.stack([slow_blocks(frame[..., 0] + 1e-9 * np.arange(128), 16, 8).reshape(49, 32) for frame in frames])
    expected = np.zeros((2, 5))
    for query, reference in np.ndindex(2, 5):
        best = (regions[query] @ regions[reference].T).max(axis=1)
        counts = [
            entropy(frames[query, y * 16 : y * 16 + 32, x * 16 : x * 16 + 32, 0]) >= 4 for y, x in np.ndindex(7, 7)
        ]
        assert 0 < sum(counts) < 49
        expected[query, reference] = best[counts].mean()
    np.testing.assert_allclose(cohog().similarities(frames[:2], frames), expected, atol=1e-3)
    assert expected[0].argmax() == 0
    monkeypatch.setattr(baselines, "_REFERENCES", 2)
    np.testing.assert_allclose(cohog().similarities(frames[:2], frames), expected, atol=1e-3)


def entropy(grey: np.ndarray) -> float:
    shares = np.unique(grey, return_counts=True)[1] / grey.size
    return float(-(shares * np.log2(shares)).sum())


def test_cohog_finds_what_has_moved_and_makes_no_vectors() -> None:
    frames = square(np.random.default_rng(3), 12, 128)
    moved = np.roll(frames, (32, 16), axis=(1, 2))
    assert cohog().similarities(moved, frames).argmax(axis=1).tolist() == list(range(12))
    assert (hog(frames).similarities(moved, frames).argmax(axis=1) == np.arange(12)).mean() < 0.5
    assert cohog().encode is None


def test_cohog_of_frames_that_hold_nothing_is_zero(frames: np.ndarray) -> None:
    black = np.zeros((2, 60, 80, 3), np.uint8)
    found = cohog().similarities(np.concatenate([black, frames[:1]]), np.concatenate([black, frames]))
    assert found.dtype == np.float32
    assert np.abs(found[:2]).max() == np.abs(found[:, :2]).max() == 0
    assert found[2, 2] == pytest.approx(1, abs=1e-5)
