"""A memory that goes on learning: from calm blocks alone, into one file of several watchers."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from library_made import small_encoder

from firstsight.errors import RunError, SettingsError
from firstsight.footage.encoding import VideoWriter
from firstsight.footage.frames import Frame
from firstsight.monitoring.novelty import detect_novelty
from firstsight.monitoring.watch import Watcher
from firstsight.monitoring.watch import watch as watching
from firstsight.normality.appearance import Seen
from firstsight.normality.growth import BLOCKS_A_SAVE, Growth
from firstsight.normality.learning import Learner, learn_memory
from firstsight.normality.memory import Judged, Memory
from firstsight.progress import Progress

GROUND = np.repeat(np.repeat(np.random.default_rng(0).integers(60, 160, (6, 8, 3), np.uint8), 8, 0), 8, 1)
PICTURE = np.zeros((48, 64, 3), np.uint8)
STEP = 0.25


def write(path: Path, *, seconds: float, speed: float) -> Path:
    """A square that crosses a still view, 12.5 frames a second."""
    with VideoWriter(path, size=(64, 48)) as writer:
        for index in range(round(seconds * 12.5)):
            picture = GROUND.copy()
            x = int(speed * index / 12.5) % 52
            picture[16:28, x : x + 12] = (250, 20, 20)
            writer.write(picture, seconds=index / 12.5)
    return path


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Memory:
    clip = write(tmp_path_factory.mktemp("normal") / "normal.mp4", seconds=24, speed=8)
    learned = learn_memory(clip, encoder=small_encoder())
    assert learned is not None
    assert learned.appearance is not None
    return learned


def frames(start: float, seconds: float) -> Iterator[Frame]:
    for index in range(round(seconds / STEP)):
        yield Frame((PICTURE,), start + index * STEP, index, "hall", (64, 48))


def judged(value: float, *, with_motion: bool = True) -> Judged:
    """Motion to the right in one box of so many picture heights a second."""
    boxes = np.zeros((4, 2, 2), np.float32)
    boxes[0, 0, 0] = value
    return Judged(0.0, None, "motion", boxes=boxes if with_motion else None, trailing=value)


def blocks(growth: Growth, calm: str, values: float | list[float] = 2.0, *, start: float = 0.0) -> None:
    """Blocks of 4 s, calm or not: "cxc"."""
    for number, is_calm in enumerate(calm):
        value = values[number] if isinstance(values, list) else values
        for frame in frames(start + 4.0 * number, 4.0):
            growth.update(frame, judged(value), is_calm=is_calm == "c")


def num_blocks(growth: Growth) -> int:
    """Learned since it began."""
    before = len(growth.memory.largest)
    return len(growth.save().largest) - before


@pytest.mark.parametrize(
    ("calm", "num_learned"), [("cccc", 4), ("cxcc", 1), ("ccxc", 1), ("xcc", 1), ("cccxccc", 4), ("c", 1), ("xxx", 0)]
)
def test_learned_is_what_is_calm_with_what_is_around_it(
    memory: Memory, tmp_path: Path, calm: str, num_learned: int
) -> None:
    growth = Growth(tmp_path / "hall.state", memory, small_encoder())
    blocks(growth, calm)
    growth.end_clip()
    assert num_blocks(growth) == num_learned


def test_what_was_learned_is_normal_and_measured_by_the_same_units(memory: Memory, tmp_path: Path) -> None:
    growth = Growth(tmp_path / "hall.state", memory, small_encoder())
    blocks(growth, "ccc", [1.0, 2.0, 3.0])
    growth.end_clip()
    grown = growth.save()
    assert grown.vectors[:, 0].max() == 3.0 > memory.vectors[:, 0].max()
    assert np.array_equal(grown.units, memory.units)
    assert list(grown.largest[-3:]) == [1.0, 2.0, 3.0]
    again = Memory.read(tmp_path / "hall.state")
    assert np.array_equal(again.largest, grown.largest)
    assert again.seconds == memory.seconds + 12


def test_of_appearance_what_is_rare_is_learned(memory: Memory, tmp_path: Path) -> None:
    known = memory.appearance
    assert known is not None
    growth = Growth(tmp_path / "hall.state", memory, small_encoder())
    away = np.zeros(known.usual.shape[1], np.float32)
    away[5] = 99.0
    came = np.zeros_like(known.usual)
    came[:, 5] = 9.0
    for frame in frames(0.0, 4.0):
        seen = Seen(0.0, (0, 0, 1, 1), came, {"moving": away, "looking": away * 0}, {"moving": 99.0, "looking": 0.0})
        growth.update(frame, replace(judged(1.0), seen=seen), is_calm=True)
    growth.end_clip()
    grown = growth.save().appearance
    assert grown is not None
    assert np.allclose(grown.moving[len(known.moving) :], 9.0, atol=1e-4)
    assert len(grown.moving) == len(known.moving) + 16
    assert len(grown.looking) == len(known.looking)
    assert list(grown.largest[-1]) == [99.0, 0.0]


def test_two_watchers_of_one_file_keep_what_both_have_learned(memory: Memory, tmp_path: Path) -> None:
    one, other = (Growth(tmp_path / "hall.state", memory, small_encoder()) for _ in range(2))
    blocks(one, "cc", 2.0)
    blocks(other, "ccc", 3.0)
    for growth in (one, other):
        growth.end_clip()
        growth.save()
    both = Memory.read(tmp_path / "hall.state")
    assert sorted(both.largest[-5:]) == [2.0, 2.0, 3.0, 3.0, 3.0]
    assert both.seconds == memory.seconds + 20
    assert other.memory.seconds == both.seconds
    one.save()
    assert one.memory.seconds == memory.seconds + 8  # nothing new: the file is not read again


def test_a_file_that_another_encoder_has_replaced_is_refused(memory: Memory, tmp_path: Path) -> None:
    growth = Growth(tmp_path / "hall.state", memory, small_encoder())
    blocks(growth, "cccc")
    assert memory.appearance is not None
    replace(memory, appearance=replace(memory.appearance, fingerprint="another")).save(growth.file)
    with pytest.raises(RunError, match="another encoder"):
        growth.save()


def test_a_time_lapse_teaches_nothing(memory: Memory, tmp_path: Path) -> None:
    growth = Growth(tmp_path / "hall.state", memory, small_encoder())
    for index in range(40):
        frame = Frame((PICTURE,), 2.0 * index, index, "hall", (64, 48))
        growth.update(frame, judged(0.0, with_motion=False), is_calm=True)
    growth.end_clip()
    assert num_blocks(growth) == 0


def test_what_a_gap_cuts_short_is_no_block_and_what_is_nearly_full_is_one(memory: Memory, tmp_path: Path) -> None:
    """However long the gap is, and whether time goes on after it or begins again."""
    bursts, runs = (Growth(tmp_path / name, memory, small_encoder()) for name in ("bursts", "runs"))
    for number in range(20):
        for frame in frames(10.0 * number, 0.5):
            bursts.update(frame, judged(2.0), is_calm=True)
    for _ in range(5):
        for frame in frames(0.0, 3.75):
            runs.update(frame, judged(2.0), is_calm=True)
    for growth in (bursts, runs):
        growth.end_clip()
    assert (num_blocks(bursts), num_blocks(runs)) == (0, 5)


def test_it_is_written_every_five_minutes(memory: Memory, tmp_path: Path) -> None:
    growth = Growth(tmp_path / "hall.state", memory, small_encoder())
    blocks(growth, "c" * (BLOCKS_A_SAVE + 1))
    assert not growth.is_due
    blocks(growth, "c", start=4.0 * (BLOCKS_A_SAVE + 1))
    for frame in frames(4.0 * (BLOCKS_A_SAVE + 2), STEP):
        growth.update(frame, judged(2.0), is_calm=True)
    assert growth.is_due
    growth.save()
    assert not growth.is_due


def test_what_cannot_be_is_one_line(memory: Memory, tmp_path: Path) -> None:
    state = tmp_path / "hall.state"
    with pytest.raises(RunError, match="no memory of what is normal to begin with"):
        Growth(state, None, small_encoder())
    with pytest.raises(RunError, match="is a folder"):
        Growth(tmp_path, memory, small_encoder())
    state.write_bytes(b"damaged")
    with pytest.raises(RunError, match=r"hall\.state is damaged"):
        Growth(state, memory, small_encoder())
    assert memory.appearance is not None
    replace(memory, appearance=replace(memory.appearance, fingerprint="another")).save(state)
    with pytest.raises(RunError, match="with another encoder"):
        Growth(state, memory, small_encoder())
    with pytest.raises(SettingsError, match="give novel=True"):
        Watcher(small_encoder(), anchors={"a": np.ones(3, np.float32)}, memory=memory, state=state)


def test_a_recording_and_a_stream_teach_the_same_over_sessions(memory: Memory, tmp_path: Path) -> None:
    clip = write(tmp_path / "more.mp4", seconds=12, speed=9)
    asked = {"memory": memory, "false_alarms": "1/day"}
    detect_novelty(small_encoder(), clip, state=tmp_path / "a.state", **asked)
    events = watching(small_encoder(), clip, novel=True, state=tmp_path / "b.state", speed=0, **asked)
    assert [event.kind for event in events] == []
    first, second = (Memory.read(tmp_path / name) for name in ("a.state", "b.state"))
    np.testing.assert_allclose(first.largest, second.largest, rtol=1e-4)  # rounded as batches are
    assert first.seconds == memory.seconds + 12
    detect_novelty(small_encoder(), clip, state=tmp_path / "a.state", false_alarms="1/day")
    again = Memory.read(tmp_path / "a.state")
    assert again.seconds == memory.seconds + 24
    assert again.largest[-3:].sum() < first.largest[-3:].sum()  # it has come before


def test_what_was_learned_of_a_recording_is_kept_though_it_is_interrupted(memory: Memory, tmp_path: Path) -> None:
    def interrupted(progress: Progress) -> None:
        if progress.done == progress.total:
            raise KeyboardInterrupt

    clip, state = write(tmp_path / "more.mp4", seconds=12, speed=9), tmp_path / "a.state"
    with pytest.raises(KeyboardInterrupt):
        detect_novelty(small_encoder(), clip, memory=memory, state=state, false_alarms="1/day", progress=interrupted)
    assert Memory.read(state).seconds == memory.seconds + 12


def test_of_long_footage_pieces_are_kept_that_are_spread_over_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firstsight.normality.learning._MAX_SECONDS", 20.0)
    monkeypatch.setattr("firstsight.normality.learning._PIECE_SECONDS", 5.0)
    learner, random = Learner(looks_index=1), np.random.default_rng(0)
    small = random.integers(0, 255, (16, 24, 1), np.uint8)
    for index in range(800):
        learner.add(Frame((small, small), index / 5, index, "hall", (24, 16)))
    learner.finish()
    clips = learner.clips()
    assert 16 <= learner.seconds <= 40  # the first frame of a piece has no motion
    assert clips[0].seconds[0] < 5
    assert clips[-1].seconds[-1] > 120
    assert len(clips) > 3


def test_the_rate_that_is_proven_is_stated(memory: Memory) -> None:
    short = replace(memory, largest=np.ones(180))
    assert short.promise() == (
        "12 min of normal footage: at most one false alarm in 12 min is proven; 1/day is extrapolated"
    )
    assert short.promise("6/h").endswith("; 6/h is within that")
    assert short.promised() == {
        "seconds": 720.0,
        "false_alarms": "1/day",
        "false_alarms_per_day": 1.0,
        "proven_false_alarms_per_day": 120.0,
        "is_extrapolated": True,
    }
    assert replace(memory, largest=np.empty(0)).promise("6/h").endswith("is proven; 6/h is extrapolated")
