"""The encoder's best comparison: it orders as its parts say, and forgets nothing that it should not."""

import numpy as np
import pytest
import torch
from library_made import layout_encoder

import firstsight
from firstsight.article.model import untrained
from firstsight.encoder.encoder import Encoder


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """Forty pictures of blocks, each twice with a little noise."""
    random = np.random.default_rng(0)
    blocks = random.integers(0, 256, (40, 6, 8, 3)).repeat(8, axis=1).repeat(8, axis=2)
    noise = random.integers(-10, 11, (2, *blocks.shape))
    return (blocks[None] + noise).clip(0, 255).astype(np.uint8).reshape(-1, 48, 64, 3)


@pytest.fixture(scope="module")
def encoder(frames: np.ndarray) -> Encoder:
    return firstsight.learn(frames[::4], seed=0)


def test_a_frame_is_most_like_itself_and_next_its_twin(encoder: Encoder, frames: np.ndarray) -> None:
    similarities = encoder.similarities(frames, frames)
    assert similarities.shape == (80, 80)
    assert similarities.dtype == np.float32
    assert np.diag(similarities) == pytest.approx(np.ones(80), abs=2e-3)
    assert similarities.max() <= 1
    others = similarities - 2 * np.eye(80)
    assert (others.argmax(axis=1) == (np.arange(80) + 40) % 80).mean() == 1


def test_frames_without_anything_in_common_stay_so_beside_many_copies(frames: np.ndarray) -> None:
    encoder = layout_encoder(weight=0.9)
    others = np.concatenate([frames[1:11], frames[:1].repeat(25, axis=0)])
    query, references = (
        tuple(map(torch.from_numpy, (found.cells, found.in_place)))
        for found in map(encoder.describe, (frames[:1], others))
    )
    cosines = torch.tensor([[0.05] * 10 + [1.0] * 25])
    similarities = encoder.model.second_stage.similarities(cosines, query, references)[0]
    assert similarities[:10].max() < 0.1
    assert similarities[10:].min() > 0.99


def test_frames_that_come_again_are_not_computed_again_and_count_the_same(
    encoder: Encoder, frames: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = encoder.similarities(frames[:30], frames[20:50])
    monkeypatch.setattr(type(encoder), "describe", None)
    np.testing.assert_array_equal(encoder.similarities(frames[:30], frames[20:50]), first)
    np.testing.assert_allclose(encoder.similarities(frames[[3, 3]], frames[20:50])[1], first[3], atol=1e-6)


@pytest.mark.parametrize(("queries", "references"), [(1, 1), (1, 2), (3, 1), (2, 30)])
def test_of_few_frames(encoder: Encoder, frames: np.ndarray, queries: int, references: int) -> None:
    found = encoder.similarities(frames[:queries], frames[:references])
    assert found.shape == (queries, references)
    assert found.argmax(axis=1)[0] == 0


def test_described_in_one_pass_as_one_by_one(encoder: Encoder, frames: np.ndarray) -> None:
    described = encoder.describe(frames)
    np.testing.assert_allclose(described.vectors, encoder.encode(frames), atol=1e-6)
    assert described.cells is not None
    assert described.in_place is not None
    assert described.cells.dtype == np.int8
    assert np.abs(described.cells).max() <= 7
    assert np.linalg.norm(described.in_place, axis=1) == pytest.approx(np.ones(80), abs=1e-3)


def test_it_survives_saving(encoder: Encoder, frames: np.ndarray, tmp_path) -> None:
    encoder.save(tmp_path)
    loaded = Encoder.load(tmp_path)
    np.testing.assert_array_equal(loaded.similarities(frames, frames), encoder.similarities(frames, frames))


def test_an_encoder_without_a_second_stage_compares_by_the_cosine() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (4, 240, 320, 3), np.uint8)
    article = untrained(seed=0)
    vectors = article.encode(frames)
    np.testing.assert_allclose(article.similarities(frames, frames), vectors @ vectors.T, atol=1e-5)
    assert article.describe(frames).cells is None


def test_a_precision_asked_for_is_kept_whatever_came_before(frames: np.ndarray) -> None:
    fresh = layout_encoder().similarities(frames, frames, precision="float32")
    used = layout_encoder()
    used.similarities(frames, frames, precision="bfloat16")
    np.testing.assert_array_equal(used.similarities(frames, frames, precision="float32"), fresh)
