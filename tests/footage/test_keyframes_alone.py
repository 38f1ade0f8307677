"""Keyframes decoded alone are the frames that decoding everything gives at their places, whatever the container."""

from pathlib import Path

import numpy as np
import pytest
from make import number_in, numbers, write_video

from firstsight.footage.decoding import decode, decode_keyframes
from firstsight.footage.frames import Frame, PixelByPixel
from firstsight.footage.sampling import Sampling
from firstsight.footage.videos import VideoFile

# A keyframe every 10 frames, with frames between that are shown before those they depend on.
GROUPS = {"g": "10", "keyint_min": "10", "sc_threshold": "0", "bf": "2"}


@pytest.fixture(scope="module", params=["mp4", "mkv", "ts"])
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keyframes") / f"video.{request.param}"
    return write_video(path, numbers(65), options=GROUPS)


def frames_of(path: Path, sampling: Sampling, *, read: type = decode_keyframes) -> list[Frame]:
    events = read(path, name="video", views=(PixelByPixel(),), sampling=sampling)
    return [event for event in events if isinstance(event, Frame)]


def test_they_are_the_same_frames(video: Path) -> None:
    every = {frame.index: frame for frame in frames_of(video, Sampling(), read=decode)}
    found = frames_of(video, Sampling(keyframes=True))
    assert [frame.index for frame in found] == [number_in(frame.pixels) for frame in found] == list(range(0, 65, 10))
    for frame in found:
        np.testing.assert_array_equal(frame.pixels, every[frame.index].pixels)
        assert frame.seconds == pytest.approx(every[frame.index].seconds)
        assert frame.duration_seconds == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        ({"frames_per_second": 1.0}, [0, 30, 50]),  # the first keyframe at or after 0, 1 and 2 s
        ({"every": 20}, [0, 20, 40, 60]),
        ({"start_seconds": 0.5}, [20, 30, 40, 50, 60]),
        ({"start_seconds": 0.5, "end_seconds": 1.6}, [20, 30]),
        ({"frames_per_second": 100.0}, [0, 10, 20, 30, 40, 50, 60]),
    ],
)
def test_they_are_sampled_as_other_frames(video: Path, sampling: dict, expected: list[int]) -> None:
    assert [frame.index for frame in frames_of(video, Sampling(**sampling, keyframes=True))] == expected


def test_without_times_every_frame_is_read(tmp_path: Path) -> None:
    path = write_video(tmp_path / "video.avi", numbers(20), options=GROUPS)
    found = [frame.index for frame in frames_of(path, Sampling(keyframes=True, every=5))]
    assert found == [0, 5, 10, 15]


def test_how_many_there_are_is_not_stated(video: Path) -> None:
    assert VideoFile(video, "video", Sampling(keyframes=True)).num_frames() is None
