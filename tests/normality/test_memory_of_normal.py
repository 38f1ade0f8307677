"""The memory: learned from a camera at rest, saved, merged; what moves faster or another way is rare, and where."""

from pathlib import Path

import numpy as np
import pytest
from library_made import small_encoder

from firstsight.encoder.encoder import Encoder
from firstsight.errors import RunError, SettingsError
from firstsight.footage.encoding import VideoWriter
from firstsight.footage.source import open_source
from firstsight.footage.stream import Stream
from firstsight.learning.learn import extend, learn
from firstsight.monitoring.novelty import detect_novelty
from firstsight.monitoring.watch import Watcher
from firstsight.normality.learning import learn_memory
from firstsight.normality.memory import Judge, Memory, batches

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


def test_the_rarest_place_is_as_rare_as_the_frame(memory: Memory, tmp_path: Path) -> None:
    """Events come of places, and a rate of false alarms is of frames."""
    for down in (False, True):
        judged = [one for one in scores(memory, write(tmp_path / "a.mp4", seconds=4, speed=90, down=down)) if one.score]
        assert [one.rarities.max() for one in judged] == pytest.approx([one.score for one in judged])


def test_a_moving_camera_and_single_pictures_have_none(tmp_path: Path) -> None:
    assert learn_memory(write(tmp_path / "pan.mp4", seconds=4, speed=0, pan=3)) is None
    assert learn_memory(np.zeros((5, 48, 64, 3), np.uint8)) is None


def test_a_recording_that_begins_with_a_turn_of_the_camera_is_remembered(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", size=(240, 160)) as writer:
        for index in range(250):
            writer.write(np.roll(GROUND, 3 * min(index, 12), axis=1), seconds=index / 12.5)
    assert learn_memory(tmp_path / "a.mp4") is not None


def test_many_short_clips_prove_no_more_than_they_last(tmp_path: Path) -> None:
    for number in range(10):
        write(tmp_path / f"{number}.mp4", seconds=1.3, speed=20 * number)
    memory = learn_memory(tmp_path)
    assert memory is not None
    assert memory.seconds <= 12


def test_saved_and_loaded_it_is_the_same_and_damage_is_found(memory: Memory, tmp_path: Path) -> None:
    memory.save(tmp_path / "normal.safetensors")
    for again in (Memory.load(tmp_path), Memory.load(tmp_path / "normal.safetensors")):
        assert again is not None
        assert np.array_equal(again.vectors, memory.vectors)
        assert np.array_equal(again.largest, memory.largest)
    assert Memory.load(tmp_path / "nothing") is None
    content = (tmp_path / "normal.safetensors").read_bytes()
    deep = (200_000).to_bytes(8, "little") + b"[" * 200_001
    for damaged in (
        content[:40],
        content[:-9],
        b"",
        content.replace(b"firstsight-normal-1", b"firstsight-normal-9"),
        deep,
    ):
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


def test_novelty_says_which_part_spoke_and_where(memory: Memory, tmp_path: Path) -> None:
    clip = write(tmp_path / "b.mp4", seconds=8, speed=200, down=True)
    found = detect_novelty(small_encoder(), str(clip), memory=memory, false_alarms="7/min")
    assert {one.part for one in found.episodes} == {"motion"}
    assert all(one.box is not None for one in found.episodes)
    assert [one.deviation for one in found.frames] == [None] * len(found.frames)
    both = detect_novelty(small_encoder(), str(clip), memory=memory)
    assert [one.score for one in both.frames] == [one.score for one in found.frames]
    assert both.to_arrow().column_names[-2:] == ["novelty", "deviation"]
    assert any(one.deviation is not None for one in both.frames)


def test_watching_tells_the_same_as_a_recording(memory: Memory, tmp_path: Path) -> None:
    clip = write(tmp_path / "b.mp4", seconds=8, speed=200, down=True)
    watcher = Watcher(small_encoder(), novel=True, memory=memory, false_alarms="7/min")
    with Stream(str(clip), views=watcher.views, speed=0) as stream:
        events = [event for arrival in stream for event in watcher.update(arrival)] + watcher.finish()
    found = detect_novelty(small_encoder(), str(clip), memory=memory, false_alarms="7/min").episodes
    ended = [event for event in events if event.kind == "novel ends"]
    assert [(e.part, e.start_seconds, e.box) for e in ended] == [(e.part, e.start_seconds, e.box) for e in found]
    assert watcher.num_judged == watcher.num_frames


def test_a_run_keeps_what_is_normal_and_loses_it_with_a_walk(tmp_path: Path) -> None:
    still = write(tmp_path / "still.mp4", seconds=8, speed=40)
    run = tmp_path / "run"
    learn(str(still), method="random", max_frames=8, out=run)
    assert Memory.load(run) is not None
    extend(run, str(write(tmp_path / "pan.mp4", seconds=4, speed=0, pan=3)))
    assert Memory.load(run) is None
    assert Encoder.load(run)


def test_a_rate_that_is_none_is_refused(memory: Memory) -> None:
    with pytest.raises(SettingsError, match="1/day"):
        Watcher(small_encoder(), novel=True, memory=memory, false_alarms="often")
