"""The memory: learned from a camera at rest, saved, merged; what moves faster or another way is rare, and where."""

from pathlib import Path

import numpy as np
import pytest

from firstsight.errors import RunError
from firstsight.footage.encoding import VideoWriter
from firstsight.footage.source import open_source
from firstsight.normality.memory import Judge, Memory, batches, learn_memory

GROUND = np.repeat(np.repeat(np.random.default_rng(0).integers(60, 160, (20, 30, 3), np.uint8), 8, 0), 8, 1)
THING = np.repeat(np.repeat(np.random.default_rng(1).integers(0, 255, (4, 4, 3), np.uint8), 8, 0), 8, 1)


def write(path: Path, *, seconds: float, speed: float, down: bool = False, pan: int = 0) -> Path:
    """240x160 at 12.5 frames a second: a thing crosses at that many pixels a second, sideways or downwards."""
    with VideoWriter(path, size=(240, 160)) as writer:
        for index in range(round(seconds * 12.5)):
            picture = np.roll(GROUND, pan * index, axis=1)
            way = int(speed * index / 12.5)
            y, x = (way % 120, 100) if down else (60, way % 200)
            picture[y : y + 32, x : x + 32] = THING
            writer.write(picture, seconds=index / 12.5)
    return path


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Memory:
    learned = learn_memory(write(tmp_path_factory.mktemp("normal") / "normal.mp4", seconds=24, speed=40))
    assert learned is not None
    return learned


def scores(memory: Memory, clip: Path) -> list:
    judge = Judge(memory)
    return [one for frames in batches(open_source(clip)) for one in judge.update(frames)]


def test_the_normal_is_not_rare_and_another_way_is_and_where(memory: Memory, tmp_path: Path) -> None:
    usual = scores(memory, write(tmp_path / "a.mp4", seconds=4, speed=40))
    falling = scores(memory, write(tmp_path / "b.mp4", seconds=4, speed=90, down=True))
    assert usual[0].score == 0
    assert max(one.score for one in falling) > 3 * max(one.score for one in usual)
    x, y, width, height = falling[12].box
    assert x <= 116 <= x + width
    assert y <= 110
    assert height == 32


def test_a_moving_camera_and_single_pictures_have_none(tmp_path: Path) -> None:
    assert learn_memory(write(tmp_path / "pan.mp4", seconds=4, speed=0, pan=3)) is None
    assert learn_memory(np.zeros((5, 48, 64, 3), np.uint8)) is None


def test_saved_and_loaded_it_is_the_same_and_damage_is_found(memory: Memory, tmp_path: Path) -> None:
    memory.save(tmp_path / "normal.safetensors")
    for again in (Memory.load(tmp_path), Memory.load(tmp_path / "normal.safetensors")):
        assert again is not None
        assert np.array_equal(again.vectors, memory.vectors)
        assert np.array_equal(again.largest, memory.largest)
    assert Memory.load(tmp_path / "nothing") is None
    content = (tmp_path / "normal.safetensors").read_bytes()
    for damaged in (content[:40], content[:-9], b"", content.replace(b"firstsight-normal-1", b"firstsight-normal-9")):
        (tmp_path / "normal.safetensors").write_bytes(damaged)
        with pytest.raises(RunError, match="is damaged"):
            Memory.load(tmp_path)


def test_merged_what_is_normal_in_either_is_normal(memory: Memory, tmp_path: Path) -> None:
    other = learn_memory(write(tmp_path / "down.mp4", seconds=24, speed=40, down=True))
    assert other is not None
    both = memory.merged(other)
    falling = write(tmp_path / "b.mp4", seconds=4, speed=40, down=True)
    assert max(one.score for one in scores(both, falling)) < max(one.score for one in scores(memory, falling)) / 2
    assert both.seconds == memory.seconds + other.seconds
