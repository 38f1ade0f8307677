"""Footage as embeddings: the same vectors as frame by frame, with where and when."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import firstsight
from firstsight.encoder.encoder import Encoder
from firstsight.errors import SettingsError
from firstsight.footage.source import open_source
from firstsight.library.embeddings import Embeddings, embed


@pytest.fixture(scope="module")
def encoder(moving_square: np.ndarray) -> Encoder:
    return firstsight.learn(moving_square[:30:3])


def test_each_row_is_the_embedding_of_its_frame(encoder: Encoder, moving_square: np.ndarray) -> None:
    found = embed(encoder, open_source(moving_square, every=3))
    np.testing.assert_allclose(found.vectors, encoder.encode(moving_square[::3]), atol=2e-2)
    np.testing.assert_array_equal(found.frame_indices, np.arange(0, 240, 3))
    assert len(found) == 80
    assert found[10:12].frame_indices.tolist() == [30, 33]


def test_rows_of_several_videos_know_theirs(bikes: Path, tmp_path: Path) -> None:
    names = ["a.mp4", "b.mp4"]
    for name in names:
        shutil.copy(bikes, tmp_path / name)
    encoder = firstsight.learn(bikes, every=25, method="random")
    found = embed(encoder, open_source(tmp_path, every=50))
    assert [found.source_of(row).endswith(names[row // 5]) for row in range(10)] == [True] * 10
    np.testing.assert_allclose(found.vectors[:5], found.vectors[5:], atol=1e-5)
    assert found.seconds[:5].tolist() == pytest.approx([0, 2, 4, 6, 8])


def test_columns_of_different_lengths_are_refused() -> None:
    one = np.zeros(1)
    with pytest.raises(SettingsError, match="valid are vectors"):
        Embeddings(np.zeros((2, 4), np.float32), one, one.astype(int), one.astype(int), ("a",))


def test_two_encoders_share_a_fingerprint_only_if_they_see_alike(
    encoder: Encoder, moving_square: np.ndarray, tmp_path: Path
) -> None:
    encoder.save(tmp_path)
    assert Encoder.load(tmp_path).fingerprint == encoder.fingerprint
    assert firstsight.learn(moving_square[:30:3], seed=1).fingerprint != encoder.fingerprint
