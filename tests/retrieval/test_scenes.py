"""The scenes of real videos, end to end."""

from itertools import pairwise
from pathlib import Path

import pytest

import firstsight
from firstsight.model.encoder import Encoder
from firstsight.retrieval.scenes.scenes import find_scenes


@pytest.fixture(scope="module")
def encoder(bikes: Path) -> Encoder:
    return firstsight.learn(bikes, every=4)


def test_the_six_shots_of_bikes(encoder: Encoder, bikes: Path) -> None:
    told: list[int] = []
    scenes = find_scenes(encoder, bikes, progress=told.append)
    assert [scene.first_frame for scene in scenes] == [0, 30, 76, 137, 187, 242]
    assert [scene.pure_frame for scene in scenes] == [scene.first_frame for scene in scenes]
    assert [scene.begins for scene in scenes] == [None, *["cut"] * 5]
    assert [scene.number for scene in scenes] == [1, 2, 3, 4, 5, 6]
    assert sum(scene.num_frames for scene in scenes) == told[-1] == 250
    assert scenes[1].start_seconds == pytest.approx(1.2)
    assert scenes[-1].end_seconds == pytest.approx(10)
    for before, after in pairwise(scenes):
        assert before.end_seconds == after.start_seconds
        assert before.last_frame + 1 == after.first_frame


def test_each_video_has_its_own_scenes(encoder: Encoder, bikes: Path, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).symlink_to(bikes)
    source = firstsight.open_source(tmp_path, end_seconds=2)
    scenes = find_scenes(encoder, source)
    assert [(scene.source, scene.number, scene.first_frame) for scene in scenes] == [
        ("a.mp4", 1, 0),
        ("a.mp4", 2, 30),
        ("b.mp4", 1, 0),
        ("b.mp4", 2, 30),
    ]
