"""Copies of clips, made here: found however they were altered; two takes of one camera are none."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from library_made import small_encoder

from firstsight.copies import choose_best
from firstsight.copies.choose_best import Facts, best, differences, why_kept
from firstsight.copies.duplicates import Duplicates, find_duplicates
from firstsight.copies.passages import at_ticks
from firstsight.copies.shared_footage import Shared, log_ratio, which_is_covered
from firstsight.copies.signature import NUM_COEFFICIENTS, Bars, Track
from firstsight.errors import LibraryError
from firstsight.footage.encoding import VideoWriter
from firstsight.indexing.index_files import add
from firstsight.library.records import SourceRecord
from firstsight.library.store import Store

RATE = 4  # frames a second


def take(seed: int, *, seconds: int = 14) -> np.ndarray:
    """Before one camera, always the same background: two squares wander, each time elsewhere. uint8 (N, 96, 128, 3)."""
    coarse = np.random.default_rng(99).integers(40, 140, (6, 8, 3), dtype=np.uint8)
    ground = coarse.repeat(16, axis=0).repeat(16, axis=1)
    frames = np.repeat(ground[None], seconds * RATE, axis=0)
    random = np.random.default_rng(seed)
    for colour in ((240, 200, 40), (20, 60, 230)):
        steps = np.cumsum(random.normal(size=(len(frames), 2)), axis=0) * 7 + random.uniform(10, 70, 2)
        tops, lefts = (np.abs((steps + 70) % 140 - 70).astype(int) for steps in (steps[:, 0], steps[:, 1]))
        for frame, top, left in zip(frames, tops, lefts, strict=True):
            frame[top : top + 24, left : left + 24] = colour
    return frames


def grey(frames: np.ndarray) -> np.ndarray:
    return np.repeat((frames @ [0.299, 0.587, 0.114]).astype(np.uint8)[..., None], 3, axis=-1)


def with_logo(frames: np.ndarray) -> np.ndarray:
    frames = frames.copy()
    frames[:, 66:84, 46:64] = (250, 250, 250)
    return frames


def walks(starts: tuple[float, ...], *, seconds: int = 44) -> np.ndarray:
    """Before one camera, again and again, someone takes the same way at the same pace: in 4 s from left to right."""
    frames = take(0, seconds=1)[:1].repeat(seconds * RATE, axis=0)
    frames[:] = np.random.default_rng(99).integers(40, 140, (6, 8, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
    for start in starts:
        for step in range(4 * RATE):
            left, top = 6 * step, 30 + step // 4 * 3
            frames[int(start * RATE) + step, top : top + 40, left : left + 18] = (230, 220, 60)
    return frames


ALTERED = {
    "grey": grey,
    "mirrored": lambda frames: frames[:, :, ::-1],
    "half": lambda frames: frames[:, ::2, ::2],
    "cropped": lambda frames: frames[:, 7:-7, 10:-10],
    "logo": with_logo,
    "bars": lambda frames: np.pad(frames, ((0, 0), (16, 16), (0, 0), (0, 0))),
    "cut": lambda frames: np.concatenate([frames[: 6 * RATE], frames[8 * RATE :]]),
}


def write(path: Path, frames: np.ndarray) -> None:
    with VideoWriter(path, size=(frames.shape[2], frames.shape[1])) as writer:
        for index, frame in enumerate(np.ascontiguousarray(frames)):
            writer.write(frame, seconds=index / RATE)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Duplicates:
    root = tmp_path_factory.mktemp("films")
    for seed in range(4):
        write(root / f"take{seed}.mp4", take(seed))
    for name, alter in ALTERED.items():
        write(root / f"take0-{name}.mp4", alter(take(0)))
    write(root / "walks-morning.mp4", walks((1, 9, 16, 27, 36)))
    write(root / "walks-evening.mp4", walks((3, 13, 19, 31, 39)))
    write(root / "short.mp4", take(0, seconds=2))
    write(root / "nothing.mp4", np.repeat(take(0)[:1], 40, axis=0))
    with Store.create(root / "library", small_encoder()) as library:
        add(library, [root])
        return find_duplicates(library)


def test_every_altered_copy_is_found_and_no_other_take(found: Duplicates) -> None:
    (group,) = found.groups
    assert {group.keep, *(copy.source for copy in group.copies)} == {
        "take0.mp4",
        *(f"take0-{name}.mp4" for name in ALTERED),
    }
    assert all({one.first[:5], one.second[:5]} == {"take0"} for one in found.shared)


def test_the_same_way_taken_again_is_no_copy(found: Duplicates) -> None:
    assert not [one for one in found.shared if one.first.startswith("walks")]


def test_the_complete_one_is_kept_and_each_copy_states_how_it_differs(found: Duplicates) -> None:
    (group,) = found.groups
    assert group.keep in {"take0.mp4", "take0-logo.mp4"}
    for ground in ("longest, ", "in colour", "not cropped", "largest picture, 128x96", "no bars", "not mirrored"):
        assert ground in group.why
    differs = {copy.source: " ".join(copy.differs) for copy in group.copies}
    for name, words in {
        "grey": "colours lost",
        "mirrored": "mirrored",
        "half": "64x48 instead of 128x96",
        "cropped": "cropped",
        "bars": "bars",
        "cut": "2.0 s shorter",
    }.items():
        assert words in differs[f"take0-{name}.mp4"]
        assert ("mirrored" in differs[f"take0-{name}.mp4"]) == (name == "mirrored")


def test_a_part_that_was_cut_out_parts_what_is_shared(found: Duplicates) -> None:
    pair = next(one for one in found.shared if {one.first, one.second} == {"take0-cut.mp4", "take0.mp4"})
    before, after = pair.stretches
    assert (before.first_start, before.second_start) == pytest.approx((0, 0), abs=0.5)
    assert (before.first_end, before.second_end) == pytest.approx((6, 6), abs=1)
    assert after.second_start - after.first_start == pytest.approx(2, abs=0.3)
    assert pair.first_share > 0.8
    assert 0.7 < pair.second_share < 0.9
    assert pair.expected_by_chance < 1e-3


def test_what_is_undecided_is_reported(found: Duplicates) -> None:
    assert found.too_short == ("short.mp4",)
    assert found.still == ("nothing.mp4",)


@pytest.mark.parametrize(("between", "num"), [(0.5, 12), (60.0, 1_321), (2_592_000.0, 1)])
def test_frames_far_apart_take_no_memory_for_what_is_between(between: float, num: int) -> None:
    signatures = np.zeros((12, 2, NUM_COEFFICIENTS), np.float16)
    record = SourceRecord(1, "x.mp4", Path("x.mp4"), "", 1, 1, None, None)
    track = Track(record, np.arange(12), between * np.arange(12), signatures, Bars(), 0.0)
    assert len(at_ticks(track, 0, 0.5).signatures) == num


def test_an_empty_library_is_an_error(tmp_path: Path) -> None:
    with Store.create(tmp_path / "empty", small_encoder()) as library, pytest.raises(LibraryError, match="no frame"):
        find_duplicates(library)


@pytest.mark.parametrize(
    ("cells", "which"),
    [
        ({}, 0),
        ({(0, 0): 0.5, (0, 1): 0.4}, -1),
        ({(0, 0): 2.0}, 1),
        ({(0, 0): 2.0, (7, 7): 0.5}, 0),  # each changes more somewhere: no logo does that
        ({(row, column): 0.5 for row in range(4) for column in range(8)}, 0),  # half of the picture
    ],
)
def test_what_lies_on_a_picture_keeps_it_from_changing(cells: dict, which: int) -> None:
    ratio = np.ones((8, 8), np.float32)
    for cell, value in cells.items():
        ratio[cell] = value
    assert which_is_covered(np.log(ratio)) == which


def noisy(shown: np.ndarray, generator: np.random.Generator, *noises: float) -> list[np.ndarray]:
    return [shown + generator.normal(0, noise, shown.shape) for noise in noises]


@pytest.mark.parametrize("seed", range(20))
def test_the_noise_of_an_encoder_is_no_logo(seed: int) -> None:
    """Where little moves, two encodings of one picture change by noise, each by its own."""
    generator = np.random.default_rng(seed)
    changes = generator.uniform(1, 30, (8, 8))
    changes[3, 5] = 20
    first, second = noisy(changes * generator.normal(size=(18, 8, 8)), generator, 0.8, 0.8)
    assert which_is_covered(log_ratio(first, second)) == 0
    first[:, 3, 5] = 200
    assert which_is_covered(log_ratio(first, 0.7 * second)) == -1


@pytest.mark.parametrize("noises", [(0.6, 0.6), (0.6, 0.4), (0.15, 0.6)])
@pytest.mark.parametrize("num_moving", [1, 5, 20])
def test_nor_is_that_of_another_encoder_where_most_stands_still(num_moving: int, noises: tuple[float, float]) -> None:
    generator = np.random.default_rng(num_moving)
    changes = np.where(generator.permutation(64) < num_moving, 20.0, 0.0).reshape(8, 8)
    first, second = noisy(changes * generator.normal(size=(18, 8, 8)), generator, *noises)
    assert which_is_covered(log_ratio(first, second)) == 0


@pytest.mark.parametrize("seed", range(10))
def test_a_logo_is_found_though_the_clips_are_a_part_of_a_tick_apart(seed: int) -> None:
    """A copy that was cut between two ticks shows all that moves a little later."""
    generator = np.random.default_rng(seed)
    changes, periods, phases = (generator.uniform(*ends, (8, 8)) for ends in ((5, 30), (4, 16), (0, 7)))
    first, second = (
        noisy(changes * np.sin(2 * np.pi * ticks[:, None, None] / periods + phases), generator, 0.5)[0]
        for ticks in (np.arange(24.0), np.arange(24) + 0.5)
    )
    first[:, 0, :2] = 200
    assert which_is_covered(log_ratio(first, second)) == -1


def test_one_file_of_several_names_is_no_copy(tmp_path: Path) -> None:
    """Deleting one of them would delete the footage; a copy of it is a copy of the file, not of its link."""
    (tmp_path / "film").mkdir()
    write(tmp_path / "film" / "z.mp4", take(1))
    (tmp_path / "film" / "a.mp4").symlink_to("z.mp4")
    (tmp_path / "again").symlink_to("film")
    with Store.create(tmp_path / "library", small_encoder()) as library:
        for name in ("film/a.mp4", "film/z.mp4", "again/z.mp4"):  # one after another, as in libraries of old
            add(library, [tmp_path / name])
        found = find_duplicates(library)
        assert (found.groups, found.shared, found.repeated_frames) == ((), (), ())
        assert (found.num_sources, found.num_frames) == (1, library.num_frames // 3)
        assert sorted(found.other_names) == ["a.mp4", "again/z.mp4"]
        shutil.copy(tmp_path / "film" / "z.mp4", tmp_path / "film" / "copy.mp4")
        add(library, [tmp_path / "film" / "copy.mp4"])
        (group,) = find_duplicates(library).groups
        assert {group.keep, *(copy.source for copy in group.copies)} == {"z.mp4", "copy.mp4"}


def test_a_copy_that_is_joined_through_others_states_what_sets_it_apart_from_them() -> None:
    kept = Facts("film.mp4", 14.0, 30.0, 0.0, (128, 96), 9_000, 0, 0, 0, 0)
    copy = replace(kept, name="part.mp4", size=(108, 82), num_cropped=3)
    assert differences(copy, kept, None) == ("cropped", "108x82 instead of 128x96")
    assert differences(replace(kept, name="same.mp4"), kept, None) == ("re-encoded",)


class TestGroups:
    """Which of A, B and so on make which others superfluous, by what is in what."""

    @pytest.fixture(autouse=True)
    def _tracks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(choose_best, "_facts", lambda name, _pairs, tracks: tracks[name])
        monkeypatch.setattr(choose_best, "_pair", lambda *_: None)

    @staticmethod
    def facts(**seconds: float) -> dict[str, Facts]:
        return {name: Facts(name, length, 30.0, 0.0, (128, 96), 9_000, 0, 0, 0, 0) for name, length in seconds.items()}

    @staticmethod
    def pair(first: str, second: str, *shares: float, seconds: tuple[float, float] = (0, 0)) -> Shared:
        return Shared(first, second, "copy", 1.0, 1.0, 0.0, *shares, *seconds)

    @staticmethod
    def names(groups: tuple) -> list[tuple[str, ...]]:
        return [(group.keep, *(copy.source for copy in group.copies)) for group in groups]

    def test_what_is_half_in_another_is_no_copy_of_it(self) -> None:
        """B has half of A and then all of C, which is not in A."""
        shared = [self.pair("A", "B", 0.55, 0.5), self.pair("B", "C", 0.5, 1.0)]
        groups = choose_best.copy_groups(shared, self.facts(A=29, B=28, C=14))
        assert self.names(groups) == [("B", "C")]
        assert [one.finding for one in choose_best.outside_groups(shared, groups)] == ["part", "copy"]

    def test_what_is_in_a_copy_of_the_kept_one_is_in_the_kept_one(self) -> None:
        shared = [self.pair("A", "B", 0.95, 1.0), self.pair("B", "C", 1.0, 0.97)]
        groups = choose_best.copy_groups(shared, self.facts(A=30, B=28, C=27))
        assert self.names(groups) == [("A", "B", "C")]
        assert choose_best.outside_groups(shared, groups) == tuple(shared)

    def test_what_the_kept_one_lacks_may_be_all_that_is_in_the_third(self) -> None:
        """C lacks the last five seconds of B, which are A."""
        shared = [
            self.pair("B", "C", 55 / 60, 0.55, seconds=(60, 100)),
            self.pair("A", "B", 1, 5 / 60, seconds=(5, 60)),
        ]
        assert self.names(choose_best.copy_groups(shared, self.facts(A=5, B=60, C=100))) == [("C", "B")]

    def test_what_was_set_apart_is_not_joined_through_a_third(self) -> None:
        shared = [self.pair("A", "C", 1.0, 1.0), self.pair("B", "C", 1.0, 1.0)]
        groups = choose_best.copy_groups(shared, self.facts(A=30, B=30, C=29), {frozenset("AB")})
        assert self.names(groups) == [("A", "C")]

    def test_what_is_gone_is_not_kept_where_another_is_there(self) -> None:
        facts = self.facts(long=100, cut=60)
        gone = replace(facts["long"], size=None)
        assert best([gone, facts["cut"]]).name == "cut"
        assert differences(gone, facts["cut"], None) == ("its file is gone or has changed",)
        assert best([gone, replace(facts["cut"], size=None)]).name == "long"

    def test_longest_is_said_of_what_is_the_longest(self) -> None:
        one, other, short = self.facts(one=28.0, other=29.0, short=14.0).values()
        assert why_kept(one, [other, short]) == "longer, 28.0 s"
        assert why_kept(other, [one, short]) == "longest, 29.0 s"
