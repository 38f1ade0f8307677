"""A library of keyframes: kept, given to single sources, and continued after an interruption."""

from pathlib import Path

import numpy as np
import pytest
from library_made import small_encoder
from make import numbers, write_video

import firstsight
from firstsight.errors import SettingsError
from firstsight.indexing import writer as indexing_writer
from firstsight.indexing.index_files import add
from firstsight.library.store import Store


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 frames at 25 a second, every fifth a keyframe."""
    options = {"g": "5", "keyint_min": "5", "sc_threshold": "0"}
    return write_video(tmp_path_factory.mktemp("clips") / "video.mp4", numbers(400), options=options)


def test_the_library_keeps_it(video: Path, tmp_path: Path) -> None:
    with firstsight.Library.create(
        tmp_path / "lib", video, encoder=small_encoder(), every=1, keyframes=True
    ) as library:
        assert library.store.embeddings().frame_indices.tolist() == list(range(0, 400, 5))
    with firstsight.Library.open(tmp_path / "lib") as library:
        assert library.add(video).unchanged == ["video.mp4"]
        assert library.add(video, every=1).num_frames == 400
        outcome = library.add(video, keyframes=True)
        assert outcome.changed == ["video.mp4"]
        assert library.num_frames == 80


def test_without_a_rate_at_most_two_a_second_are_taken(video: Path, tmp_path: Path) -> None:
    with Store.create(tmp_path / "lib", small_encoder(), keyframes=True) as library:
        add(library, [video])
        frames = library.embeddings()
    assert set(frames.frame_indices % 5) == {0}
    assert len(frames) == 32


def test_an_interrupted_one_goes_on(video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing_writer, "_ROWS_AT_ONCE", 64)

    def interrupt(progress: object) -> None:
        if getattr(progress, "done", 0) >= 64:
            raise KeyboardInterrupt

    whole, broken = (
        Store.create(tmp_path / name, small_encoder(), every=1, keyframes=True) for name in ("whole", "broken")
    )
    with whole, broken:
        add(whole, [video])
        with pytest.raises(KeyboardInterrupt):
            add(broken, [video], progress=interrupt)
        assert broken.partial_sources[0].keyframes
        assert add(broken, [video]).num_frames == 16
        np.testing.assert_array_equal(broken.embeddings().vectors, whole.embeddings().vectors)
        np.testing.assert_array_equal(broken.embeddings().frame_indices, whole.embeddings().frame_indices)


def test_reindexing_keeps_it_and_takes_none_without_sources(video: Path, tmp_path: Path) -> None:
    with firstsight.Library.create(
        tmp_path / "lib", video, encoder=small_encoder(), every=1, keyframes=True
    ) as library:
        library.reindex(small_encoder(seed=1))
        assert library.num_frames == 80
        with pytest.raises(SettingsError, match="--keyframes"):
            library.reindex(small_encoder(seed=1), keyframes=True)
