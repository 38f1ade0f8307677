"""Frames of a library as files: those that were indexed, whatever lies at their path now."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from firstsight.export.clips import write_pictures
from firstsight.indexing.index_files import add
from firstsight.library.store import Store

sys.path.insert(0, str(Path(__file__).parents[1] / "retrieval"))
from library_made import small_encoder, write_video


@pytest.mark.parametrize("change", ["replaced", "gone", "folder", "broken"])
def test_a_file_that_is_not_the_same_gives_its_thumbnail_and_a_word(tmp_path: Path, change: str) -> None:
    videos = [write_video(tmp_path / name, seed=seed) for seed, name in enumerate(("a.mp4", "b.mp4"))]
    library = Store.create(tmp_path / "library", small_encoder(), frames_per_second=5)
    add(library, videos)
    indexed = Store.open(tmp_path / "library")
    expected = np.asarray(Image.open(write_pictures(indexed, [("b.mp4", 50, 2.0)], tmp_path / "before")[0])).astype(int)
    videos[1].unlink()
    if change == "replaced":
        write_video(videos[1], seed=7)
    elif change == "folder":
        videos[1].mkdir()
    elif change == "broken":
        videos[1].write_bytes(b"no video")
    noted: list[str] = []
    frames = [("b.mp4", 0, 0.0), ("a.mp4", 50, 2.0), ("b.mp4", 50, 2.0)]
    written = write_pictures(indexed, frames, tmp_path / "after", progress=lambda one: noted.extend(one.news))
    assert [path.name for path in written] == ["001-b-0.00s.jpg", "002-a-2.00s.jpg", "003-b-2.00s.jpg"]
    assert [line.split(" ")[0] for line in noted] == ["b.mp4"]
    found = np.asarray(Image.open(written[2]).resize((64, 48))).astype(int)
    assert np.abs(found - expected).mean() < 12  # grey levels: the ground of another video differs by 20
