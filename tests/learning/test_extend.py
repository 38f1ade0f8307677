"""More footage for a run: the same as learning from all of it at once."""

from pathlib import Path

import numpy as np
import pytest

import firstsight
from firstsight.encoder.encoder import Encoder
from firstsight.errors import RunError
from firstsight.footage.encoding import VideoWriter
from firstsight.learning.learn import extend


@pytest.fixture(scope="module")
def clips(moving_square: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    paths = [folder / "first.mp4", folder / "second.mp4"]
    for path, frames in zip(paths, (moving_square[:12], moving_square[150:164]), strict=True):
        with VideoWriter(path, size=(32, 24)) as writer:
            for index, frame in enumerate(frames):
                writer.write(np.ascontiguousarray(frame[::2, ::2]), seconds=index / 25)
    return paths


def test_extending_learns_from_all_the_footage(clips: list[Path], tmp_path: Path, moving_square: np.ndarray) -> None:
    firstsight.learn(clips[0], out=tmp_path)
    extended = extend(tmp_path, clips[1])
    at_once = firstsight.learn(clips)
    assert extended.provenance["outcome"]["frames_learned_from"] == 26
    frames = moving_square[::20, ::2, ::2]
    np.testing.assert_array_equal(extended.encode(frames), at_once.encode(frames))
    assert Encoder.load(tmp_path).fingerprint == extended.fingerprint


def test_it_can_be_extended_again_with_a_part(clips: list[Path], tmp_path: Path) -> None:
    firstsight.learn(clips[0], out=tmp_path, every=2)
    extend(tmp_path, clips[1], every=4)
    again = extend(tmp_path, clips[1], start_seconds=0.4)
    assert again.provenance["outcome"]["frames_learned_from"] == 6 + 4 + 4
    assert [footage["every"] for footage in again.provenance["extended_by"]] == [4, None]


def test_what_cannot_be_extended_says_why(clips: list[Path], tmp_path: Path, moving_square: np.ndarray) -> None:
    firstsight.learn(moving_square[:4], out=tmp_path / "array")
    with pytest.raises(RunError, match="cannot be read again"):
        extend(tmp_path / "array", clips[0])
    firstsight.learn(
        moving_square[:40], method="article", out=tmp_path / "article", num_levels=1, crop_size=48, input_size=32,
        frames_per_level=20,
    )  # fmt: skip
    with pytest.raises(RunError, match="only the default method"):
        extend(tmp_path / "article", clips[0])
