"""The scenes of real videos, end to end; and of odd ones, with bounded memory."""

import shutil
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from library_made import small_encoder, write_video

import firstsight
from firstsight.encoder.encoder import Encoder
from firstsight.footage.frames import Frame, Reading, View
from firstsight.progress import Progress
from firstsight.scene_detection.scenes import detect_scenes


@pytest.fixture(scope="module")
def encoder(bikes_encoder: Encoder) -> Encoder:
    return bikes_encoder


def test_the_six_shots_of_bikes(encoder: Encoder, bikes: Path) -> None:
    reported: list[Progress] = []
    scenes = detect_scenes(bikes, encoder=encoder, progress=reported.append)
    assert [scene.first_frame for scene in scenes] == [0, 30, 76, 137, 187, 242]
    assert [scene.pure_frame for scene in scenes] == [scene.first_frame for scene in scenes]
    assert [scene.begins for scene in scenes] == [None, *["cut"] * 5]
    assert [scene.number for scene in scenes] == [1, 2, 3, 4, 5, 6]
    assert sum(scene.num_frames for scene in scenes) == reported[-1].done == reported[-1].total == 250
    assert scenes[1].start_seconds == pytest.approx(1.2)
    assert scenes[-1].end_seconds == pytest.approx(10)
    for before, after in pairwise(scenes):
        assert before.end_seconds == after.start_seconds
        assert before.last_frame + 1 == after.first_frame


def test_without_an_encoder_the_shots_are_the_same_and_nothing_is_learned(
    bikes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firstsight.closed_form.fit.fit", None)
    assert [scene.first_frame for scene in detect_scenes(bikes)] == [0, 30, 76, 137, 187, 242]


def test_footage_that_can_be_read_only_once_needs_no_encoder() -> None:
    source = Made(40)
    source.replayable = False
    assert [scene.num_frames for scene in detect_scenes(source)] == [40]


def test_each_video_has_its_own_scenes(encoder: Encoder, bikes: Path, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(bikes, tmp_path / name)
    source = firstsight.open_source(tmp_path, end_seconds=2)
    scenes = detect_scenes(source, encoder=encoder)
    assert [(scene.source, scene.number, scene.first_frame) for scene in scenes] == [
        ("a.mp4", 1, 0),
        ("a.mp4", 2, 30),
        ("b.mp4", 1, 0),
        ("b.mp4", 2, 30),
    ]


class Made:
    """Videos of noise, whose frames are made while they are read."""

    name, replayable = "made", True

    def __init__(self, *lengths: int, step_seconds: float = 0.04) -> None:
        self._lengths, self._step = lengths, step_seconds

    def read(self, *views: View) -> Reading:
        return Reading(self._frames(views))

    def _frames(self, views: tuple[View, ...]) -> Iterator[Frame]:
        shapes = [(crop.out_height, crop.out_width, view.channels) for view in views for crop in [view.crop(64, 48)]]
        random = np.random.default_rng(0)
        for video, length in enumerate(self._lengths):
            for index in range(length):
                pictures = tuple(random.integers(0, 256, shape, np.uint8) for shape in shapes)
                yield Frame(pictures, index * self._step, index, f"{video}.mp4", (64, 48))

    def size(self) -> tuple[int, int]:
        return 64, 48

    def num_frames(self) -> int:
        return sum(self._lengths)

    def split(self, share: float) -> tuple["Made", None]:
        return self, None


def peak_bytes(source: Made, encoder: Encoder | None) -> int:
    """What finding its scenes takes at most."""
    tracemalloc.start()
    try:
        detect_scenes(source, encoder=encoder)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("num_maps", [0, 4])
def test_memory_is_what_is_promised_and_of_one_video_at_a_time(monkeypatch: pytest.MonkeyPatch, num_maps: int) -> None:
    encoder = small_encoder() if num_maps else None
    monkeypatch.setattr("firstsight.scene_detection.changes._CHUNK", 64)
    monkeypatch.setattr("firstsight.scene_detection.scenes._BATCH_SIZE", 8)  # few are decoded ahead
    peak_bytes(Made(10), encoder)  # what is loaded at the first time
    short, long, several = (peak_bytes(Made(*lengths), encoder) for lengths in ([200], [700], [200] * 3))
    assert (long - short) / 500 < 1800 + 24 * num_maps + 400  # bytes a frame; up to 16 frames more may wait
    assert several < short + 500_000


@pytest.mark.parametrize("num", [1, 2, 40])
@pytest.mark.parametrize("step_seconds", [0.0, 1e-320, 1e-6, 1e-3, 1e6])
def test_times_decide_no_allocation(num: int, step_seconds: float) -> None:
    assert peak_bytes(Made(num, step_seconds=step_seconds), None) < 250e6


def test_a_video_has_the_same_scenes_alone_and_among_others(encoder: Encoder, bikes: Path, tmp_path: Path) -> None:
    dark = write_video(tmp_path / "a.mp4", seed=1, num_frames=70)
    alone = detect_scenes(firstsight.open_source(bikes, end_seconds=2), encoder=encoder)
    among = detect_scenes(firstsight.open_source([dark, bikes], end_seconds=2), encoder=encoder)
    assert [replace(scene, source="bikes.mp4") for scene in among if scene.source.endswith("bikes.mp4")] == list(alone)


def test_a_file_that_cannot_be_read_ends_nothing_and_is_reported(
    encoder: Encoder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_video(tmp_path / "a.mp4", seed=1, num_frames=2)
    (tmp_path / "b.mp4").write_bytes(b"no video")
    scenes = detect_scenes(tmp_path, encoder=encoder)
    assert [(scene.source, scene.first_frame, scene.last_frame) for scene in scenes] == [("a.mp4", 0, 1)]
    assert [line.startswith("b.mp4") for line in caplog.messages] == [True]


@pytest.mark.parametrize(
    ("sampling", "end_seconds"),
    [
        ({"start_seconds": 2, "end_seconds": 2.0001}, 2.04),  # a single frame
        ({"every": 10**30}, 0.04),
        ({"every": 100}, 12),  # of frames 0, 100 and 200: a step more
        ({}, 10),
    ],
)
def test_the_last_frame_lasts_as_the_file_says(
    encoder: Encoder, bikes: Path, sampling: dict, end_seconds: float
) -> None:
    source = firstsight.open_source(bikes, **sampling)
    assert detect_scenes(source, encoder=encoder)[-1].end_seconds == pytest.approx(end_seconds)
