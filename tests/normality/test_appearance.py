"""Appearance in the memory: what never came before is rare and where, also in a time lapse; saved, merged."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from library_made import small_encoder

from firstsight.encoder.encoder import Encoder
from firstsight.errors import SettingsError
from firstsight.footage.encoding import VideoWriter
from firstsight.footage.source import open_source
from firstsight.monitoring.novelty import detect_novelty
from firstsight.monitoring.sentry import largest_box
from firstsight.normality import appearance
from firstsight.normality.appearance import Appearance, Seen, Sights, distances, learn_appearance
from firstsight.normality.learning import learn_memory
from firstsight.normality.memory import Judge, Judged, Memory, batches, placed

GROUND = np.repeat(np.repeat(np.random.default_rng(0).integers(90, 130, (20, 30, 3), np.uint8), 8, 0), 8, 1)


def write(path: Path, *, seconds: float, new_at: float | None = None) -> Path:
    """240x160 at 12.5 frames a second: a grey square crosses at 40 pixels a second; a red one stands for 2 s."""
    noise = np.random.default_rng(1)
    with VideoWriter(path, size=(240, 160)) as writer:
        for index in range(round(seconds * 12.5)):
            at = index / 12.5
            picture = GROUND + noise.integers(0, 4, GROUND.shape, np.uint8)
            x = int(40 * at) % 200
            picture[100:132, x : x + 32] = 160
            if new_at is not None and new_at <= at < new_at + 2:
                picture[20:60, 100:140] = (255, 0, 0)
            writer.write(picture, seconds=at)
    return path


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return small_encoder()


@pytest.fixture(scope="module")
def memory(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Memory:
    clip = write(tmp_path_factory.mktemp("normal") / "normal.mp4", seconds=40)
    learned = learn_memory(clip, encoder=encoder)
    assert learned is not None
    assert learned.appearance is not None
    return learned


def judged(memory: Memory, encoder: Encoder, clip: Path, rate: float | None = None) -> list[Judged]:
    judge = Judge(memory, encoder=encoder)
    footage = open_source(clip, frames_per_second=rate)
    return [one for frames in batches(footage, encoder.view) for one in judge.update(frames)]


def test_what_is_in_one_picture_of_a_time_lapse_is_rare_and_where(
    memory: Memory, encoder: Encoder, tmp_path: Path
) -> None:
    clip = write(tmp_path / "a.mp4", seconds=20, new_at=11)
    scores = judged(memory, encoder, clip, 0.5)
    new = scores[6]
    assert new.score > 2 * max(one.score for number, one in enumerate(scores) if number != 6)
    assert new.part == "appearance"
    x, y, width, height = new.box or (0, 0, 0, 0)
    assert 80 <= x < 140
    assert 10 <= y < 60
    assert (width, height) == (6, 8)  # a cell of the 48 pixels in the middle, which is all that this encoder gets
    (episode,) = detect_novelty(
        encoder, open_source(clip, frames_per_second=0.5), memory=memory, false_alarms="1/h"
    ).episodes
    assert (episode.start_seconds, episode.part) == (pytest.approx(12, abs=0.1), "appearance")


def test_the_first_frame_of_a_clip_is_judged_by_all_that_it_shows(
    memory: Memory, encoder: Encoder, tmp_path: Path
) -> None:
    new = judged(memory, encoder, write(tmp_path / "a.mp4", seconds=1, new_at=0))
    usual = judged(memory, encoder, write(tmp_path / "b.mp4", seconds=1))
    assert new[0].score > 2 * usual[0].score
    assert new[0].part == "appearance"


def test_the_memory_of_another_encoder_is_refused(memory: Memory) -> None:
    assert memory.appearance is not None
    other = replace(memory, appearance=replace(memory.appearance, fingerprint="of another"))
    with pytest.raises(SettingsError, match="of another encoder"):
        Judge(other, encoder=small_encoder())


def test_saved_and_loaded_it_is_the_same_and_merged_it_is_calibrated_on_both(memory: Memory, tmp_path: Path) -> None:
    memory.save(tmp_path / "normal.safetensors")
    again = Memory.load(tmp_path)
    assert again is not None
    assert again.appearance is not None
    assert memory.appearance is not None
    for name in ("usual", "change", "spread", "moving", "looking", "largest"):
        assert np.array_equal(getattr(again.appearance, name), getattr(memory.appearance, name))
    assert again.appearance.fingerprint == memory.appearance.fingerprint
    assert again.appearance.num_came == memory.appearance.num_came
    both = memory.merged(again).appearance
    assert both is not None
    assert len(both.largest) == 2 * len(memory.appearance.largest)
    assert both.num_came == tuple(2 * num for num in again.appearance.num_came)
    assert memory.merged(replace(again, appearance=None)).appearance is None


def test_merged_uncalibrated_both_have_a_share_in_what_is_usual() -> None:
    ones, none = np.ones(5, np.float32), np.empty((0, 2), np.float32)
    dark, light = (
        Appearance(np.full((2, 5), usual, np.float32), ones, ones, none, none, np.empty((0, 2)), "a")
        for usual in (0, 9)
    )
    assert dark.merged(light).usual.tolist() == [[4.5] * 5] * 2


def test_what_came_first_is_remembered_as_well_as_what_came_last() -> None:
    usual, none = np.ones((1, 5), np.float32), np.empty((0, 1), np.float32)
    known = Appearance(usual, usual[0], usual[0], none, none, np.empty((0, 2)), "a")
    for time in range(30):
        came = np.full((2_000, 1), time, np.float32)
        known = known.grown({"moving": [came[:900], came[900:]], "looking": [came[:7]]}, np.zeros((75, 2)))
    assert known.num_came == (60_000, 210)
    assert known.looking[:, 0].tolist() == np.repeat(np.arange(30), 7).tolist()
    counts = np.bincount(known.moving[:, 0].astype(int), minlength=30)
    assert counts.sum() == 4_000
    assert np.abs(counts - 4_000 / 30).max() < 4 * (4_000 / 30) ** 0.5


def test_of_two_memories_each_counts_by_what_it_is_a_sample_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appearance, "_MAX_VECTORS", 10)
    usual, tens = np.ones((1, 5), np.float32), np.ones((10, 1), np.float32)
    of_second, expected = 0, 0.0
    for num in range(1_000, 1_400):
        first, second = (
            Appearance(usual, usual[0], usual[0], tens * of, tens, np.empty((0, 2)), "a", (came, 10))
            for of, came in enumerate((num, 500))
        )
        both = first.merged(second)
        assert (both.num_came, len(both.moving)) == ((num + 500, 20), 10)
        of_second += int(both.moving.sum())
        expected += 10 * 500 / (num + 500)
    assert abs(of_second - expected) < 4 * expected**0.5


def test_distances_are_to_the_nearest_normal_or_to_the_usual_and_0_where_nothing_changes() -> None:
    usual, ones = np.zeros((2, 5), np.float32), np.ones(5, np.float32)
    known = Appearance(usual, ones, ones, np.array([[8, 0]], np.float32), usual[:, :1].T[:0], np.empty((0, 2)), "a")
    cells = np.array([[[10, 0, 1, 1, 1], [0, 6, 1, 1, 1]]], np.float32)  # maps by cells: (10, 0), (0, 6), (1, 1)
    found = distances(known, cells, np.zeros_like(cells))
    assert found["moving"][0].tolist() == pytest.approx([2, 6, 0, 0, 0])
    assert found["looking"][0].tolist() == pytest.approx([10, 6, 0, 0, 0])
    assert distances(known, usual[None] + 4, usual[None])["moving"].max() == 0  # as by noise, rain or a shake
    assert distances(known, usual[None] + 9, usual[None])["moving"].min() > 0  # more than that
    still = distances(known, cells, cells)
    assert still["moving"].max() == 0
    assert still["looking"][0].tolist() == pytest.approx([10, 6, 0, 0, 0])


def test_what_came_in_normal_footage_is_not_far_and_each_block_is_judged_by_the_others() -> None:
    cells = np.random.default_rng(0).normal(0, 0.1, (5, 40, 4, 6)).astype(np.float32)
    cells[:, 20, :, 2] += 5
    folds = [[Sights(one, np.arange(40) / 5)] for one in cells]
    learned = learn_appearance(folds, "a")
    assert learned.largest.shape == (10, 2)
    assert learned.largest.max() < 1
    new = cells[0, 20:21].copy()
    new[0, :, 2] *= -1
    assert distances(learned, new, cells[0, 19:20])["moving"].max() > 5


@pytest.mark.parametrize("shape", [None, (4, 6), (20, 28)])
@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 7), (5, 0), (5, 7), (2, 3)])
def test_what_is_rare_in_any_cell_is_rare_in_some_box(shape: tuple[int, int] | None, row: int, column: int) -> None:
    seen = Seen(3.0, (80 * column, 80 * row, 80, 80))
    both = placed(None if shape is None else np.full(shape, 0.5), seen, (640, 480))
    rows, columns = np.nonzero(both == 3)
    assert len(rows)
    assert abs((rows.mean() + 0.5) / both.shape[0] - (row + 0.5) / 6) < 0.2
    assert abs((columns.mean() + 0.5) / both.shape[1] - (column + 0.5) / 8) < 0.2
    x, y, width, height = largest_box(both, both > 1, (640, 480))
    if shape != (4, 6) and 0 < row < 5 and 0 < column < 7:
        assert (x + width / 2, y + height / 2) == pytest.approx((80 * column + 40, 80 * row + 40), abs=15)
