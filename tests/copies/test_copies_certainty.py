"""How certain copies are: look-alikes are none, altered originals are kept, and what is undecided is reported."""

from pathlib import Path

import numpy as np
import pytest
from library_made import small_encoder
from PIL import Image
from test_duplicates import RATE, take, write

from firstsight.copies.alignments import Alignment
from firstsight.copies.choose_best import Facts, best, bytes_text, why_kept
from firstsight.copies.duplicates import Duplicates, find_duplicates
from firstsight.copies.passages import Ticks
from firstsight.copies.shared_footage import find_faded
from firstsight.copies.signature import NUM_COEFFICIENTS
from firstsight.copies.verification import Links, Lookalikes, num_lookalikes, share_linked, verdict
from firstsight.indexing.index_files import add
from firstsight.library.store import Store

SIZE = (128, 96)


def duplicates_of(folder: Path, library: Path) -> Duplicates:
    with Store.create(library, small_encoder()) as opened:
        add(opened, [folder])
        return find_duplicates(opened)


def texture(seed: int, *, cells: int, contrast: float) -> np.ndarray:
    """Random tones, smooth between so many cells. float (400, 400, 3)."""
    tones = np.random.default_rng(seed).uniform(-contrast, contrast, (cells, cells))
    smooth = np.asarray(Image.fromarray(tones.astype(np.float32)).resize((400, 400), Image.Resampling.BICUBIC))
    return smooth[..., None].repeat(3, axis=-1)


def floor(plan: int, furniture: int, *, walk: int, seconds: int = 16) -> np.ndarray:
    """A walk along a wall: its plan sets what is light and dark, its furniture the details. uint8 (N, 96, 128, 3)."""
    wall = 128 + texture(plan, cells=14, contrast=70) + texture(furniture, cells=130, contrast=40)
    wall = wall.clip(0, 255).astype(np.uint8)
    random = np.random.default_rng(walk)
    steps = np.cumsum(np.abs(random.normal(size=(seconds * RATE, 2)) * 2 + (2.5, 2)), axis=0)
    tops, lefts = (
        np.abs((part + span) % (2 * span) - span).astype(int) for part, span in zip(steps.T, (300, 270), strict=True)
    )
    return np.stack([wall[top : top + 96, left : left + 128] for top, left in zip(tops, lefts, strict=True)])


def zoomed(frames: np.ndarray, *, least: float = 0.7, pan: float = 0.0) -> np.ndarray:
    """Ever less of the picture, from all of it to that share of each side; or that share of it, moving to the right."""
    out = []
    for step, frame in zip(np.linspace(0, 1, len(frames)), frames, strict=True):
        share = least if pan else 1 - (1 - least) * step
        width, height = SIZE[0] * share, SIZE[1] * share
        left = (SIZE[0] - width) * (0.5 + pan * (step - 0.5))
        top = (SIZE[1] - height) / 2
        image = Image.fromarray(frame)
        out.append(
            np.asarray(image.resize(SIZE, Image.Resampling.BILINEAR, box=(left, top, left + width, top + height)))
        )
    return np.stack(out)


def dimmed(frames: np.ndarray, gains: np.ndarray) -> np.ndarray:
    return (frames * gains[:, None, None, None]).astype(np.uint8)


def fades(num: int) -> np.ndarray:
    """From black in two seconds, to black in two seconds."""
    ramp = np.arange(num) / (2 * RATE)
    return np.clip(np.minimum(ramp, ramp[::-1]), 0, 1)


MOVED = {
    "zoomed": (zoomed, "cropped"),
    "panned": (lambda frames: zoomed(frames, least=0.85, pan=1.0), "cropped"),
    "fades": (lambda frames: dimmed(frames, fades(len(frames))), "dimmed at times"),
    "flickers": (lambda frames: dimmed(frames, 0.75 + 0.25 * np.cos(np.arange(len(frames)) / 9)), "dimmed at times"),
}


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Duplicates:
    root = tmp_path_factory.mktemp("moved")
    originals = root / "films"
    originals.mkdir()
    for seed in range(3):
        write(originals / f"floor{seed}.mp4", floor(seed, 50 + seed, walk=seed))
    for name, (alter, _) in MOVED.items():
        write(originals / f"a-{name}.mp4", alter(floor(0, 50, walk=0)))
    return duplicates_of(originals, root / "library")


@pytest.mark.parametrize("name", MOVED)
def test_of_a_copy_that_changes_in_time_the_original_is_kept(moved: Duplicates, name: str) -> None:
    (group,) = moved.groups
    assert group.keep == "floor0.mp4"
    copy = next(one for one in group.copies if one.source == f"a-{name}.mp4")
    assert copy.finding == "copy"
    assert MOVED[name][1] in copy.differs


def test_two_floors_of_one_architecture_are_no_copies(tmp_path: Path) -> None:
    films = tmp_path / "films"
    films.mkdir()
    for name, frames in {
        "floor12": floor(0, 12, walk=0),
        "floor13": floor(0, 13, walk=0),  # the same plan, walked the same way
        **{f"other{seed}": floor(seed, seed, walk=seed) for seed in range(20, 23)},
        "copy": floor(20, 20, walk=20)[:, ::2, ::2],
    }.items():
        write(films / f"{name}.mp4", frames)
    found = duplicates_of(films, tmp_path / "library")
    findings = {frozenset((one.first, one.second)): one for one in found.shared}
    alike = findings[frozenset(("floor12.mp4", "floor13.mp4"))]
    assert alike.finding == "perhaps"
    assert alike.expected_by_chance > 0.05
    copies = findings[frozenset(("copy.mp4", "other20.mp4"))]
    # As certain as 150 look-alikes can make it.
    assert (copies.finding, copies.is_upper_bound, copies.expected_by_chance < 2e-4) == ("copy", True, True)
    assert [{group.keep, *(one.source for one in group.copies)} for group in found.groups] == [
        {"copy.mp4", "other20.mp4"}
    ]


def test_files_of_the_same_bytes_are_identical_however_short(tmp_path: Path) -> None:
    films = tmp_path / "films"
    films.mkdir()
    write(films / "Kopie von film.mp4", take(0, seconds=1))
    (films / "film.mp4").write_bytes((films / "Kopie von film.mp4").read_bytes())
    found = duplicates_of(films, tmp_path / "library")
    (group,) = found.groups or [None]
    assert (group.keep, group.why) == ("film.mp4", "not named as a copy")
    assert [one.differs for one in group.copies] == [("identical files",)]


@pytest.mark.parametrize("seconds", [1, 12])
def test_all_files_of_the_same_bytes_are_identical_to_each_other(tmp_path: Path, seconds: int) -> None:
    films = tmp_path / "films"
    films.mkdir()
    names = ["Kopie a.mp4", "Kopie b.mp4", "film.mp4", "film (1).mp4"]  # kept is none that is first
    write(films / names[0], take(0, seconds=seconds))
    for name in names[1:]:
        (films / name).write_bytes((films / names[0]).read_bytes())
    found = duplicates_of(films, tmp_path / "library")
    (group,) = found.groups
    assert group.keep == "film.mp4"
    assert {(one.finding, one.differs, one.similarity) for one in group.copies} == {
        ("identical files", ("identical files",), 1.0)
    }
    assert {one.finding for one in found.shared} == {"identical files"}


def test_black_is_no_copy_of_black(tmp_path: Path) -> None:
    films = tmp_path / "films"
    films.mkdir()
    for name, num in (("one", 40), ("two", 48)):
        write(films / f"{name}.mp4", np.zeros((num, 96, 128, 3), np.uint8))
    found = duplicates_of(films, tmp_path / "library")
    assert (found.groups, found.shared, found.repeated_frames) == ((), (), ())
    assert found.blank == ("one.mp4", "two.mp4")
    assert found.num_blank_frames == found.num_frames > 0


def test_no_finding_is_more_certain_than_its_lookalikes_support() -> None:
    alike = Lookalikes(np.linspace(-0.1, 0.1, 200))
    probabilities = [alike.probability(one) for one in (0.0, 0.09, 0.2, 0.5, 0.9, 0.999)]
    assert probabilities == sorted(probabilities, reverse=True)
    assert probabilities[-1] == alike.rarest == pytest.approx(1 / 200_000)
    for num_passages in (10, 1_000, 50_000, 10**6):  # a certain copy is one in a library of any size
        assert verdict(num_passages / 1_000 / num_lookalikes(num_passages)) == "copy"


def test_a_link_at_the_limit_of_candidates_is_one_for_no_passage() -> None:
    assert [share_linked(expected, 0.05) for expected in (0.0, 0.025, 0.0375, 0.05)] == pytest.approx([1, 1, 0.5, 0])
    links = Links([(0, 1, 1.0), (1, 2, 0.01), (0, 2, 0.4), (2, 3, 0.7)])
    assert [sorted(links.of(0, share)) for share in (0.0, 0.39, 0.41, 0.99)] == [[1, 2, 3], [1, 2, 3], [1], [1]]
    assert [sorted(links.of(3, share)) for share in (0.5, 0.8)] == [[2], []]
    assert links.of(9, 0.0) == set()


def swinging(phase: float, *, dimmed: float = 1.0) -> Ticks:
    """One picture, whose contrast rises slowly and falls at once; optionally darker from the 20th to the 26th."""
    contrast = 300 * np.exp(np.interp(np.arange(40) + phase, [4, 12, 13], [0, 1.0, 0]))
    contrast[20:26] *= dimmed
    signatures = np.zeros((40, 2, NUM_COEFFICIENTS), np.float32)
    signatures[..., 1] = contrast[:, None]
    return Ticks(0, 0.0, signatures)


@pytest.mark.parametrize(("phase", "dimmed", "which"), [(0.0, 1.0, 0), (0.4, 1.0, 0), (0.4, 0.2, 1), (0.0, 0.2, 1)])
def test_contrast_that_swings_by_itself_is_not_dimmed(phase: float, dimmed: float, which: int) -> None:
    ticks = swinging(0.0), swinging(phase, dimmed=dimmed)
    assert find_faded(Alignment.at((0, 0), (1, 0)), ticks) == which


def facts(
    name: str, *, seconds: float = 10.0, size: tuple[int, int] | None = (640, 480), num_bytes: int = 10_000
) -> Facts:
    return Facts(name, seconds, 10.0, 0.0, size, num_bytes, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("chance", "share", "expected"), [(0.05, 0.5, "copy"), (0.05, 0.49, "part"), (0.051, 1.0, "perhaps")]
)
def test_the_verdict_depends_on_chance_first_then_on_the_share(chance: float, share: float, expected: str) -> None:
    assert verdict(chance, share) == expected


@pytest.mark.parametrize(
    ("others", "why"),
    [
        ((facts("copy of film.mp4"),), "not named as a copy"),
        ((facts("film (1).mp4"), facts("film_copy.mp4")), "not named as a copy"),
        ((facts("a.mp4", seconds=8.0),), "longest, 10.0 s"),
        ((facts("a.mp4", size=(320, 240)),), "largest picture, 640x480"),
        ((facts("a.mp4", size=None),), "its file is there unchanged"),
        ((facts("a.mp4", num_bytes=7_000),), "largest file, 10.0 kB beside 7.0 kB"),
        ((facts("another.mp4"),), "they differ in name only; keep any of them"),
    ],
)
def test_what_is_kept_is_kept_for_a_true_reason(others: tuple[Facts, ...], why: str) -> None:
    film = facts("film.mp4")
    assert best([*others, film]) == film
    assert why_kept(film, others) == why


@pytest.mark.parametrize(
    ("num", "text"), [(0, "0 bytes"), (999, "999 bytes"), (15_900, "15.9 kB"), (2 * 10**6, "2.0 MB")]
)
def test_sizes_have_their_unit(num: int, text: str) -> None:
    assert bytes_text(num) == text


def test_bars_that_several_copies_share_are_bars_all_the_same(tmp_path: Path) -> None:
    films, frames = tmp_path / "films", take(0)
    films.mkdir()
    barred = np.pad(frames, ((0, 0), (16, 16), (0, 0), (0, 0)))
    write(films / "full.mp4", frames)
    write(films / "barred.mp4", barred)
    write(films / "barred twice.mp4", (barred * 0.95).astype(np.uint8))
    write(films / "copy of barred.mp4", barred)
    (group,) = duplicates_of(films, tmp_path / "library").groups
    assert group.keep == "full.mp4"
    assert "no bars" in group.why
    assert all("bars" in copy.differs for copy in group.copies)


def test_a_file_that_has_changed_has_no_size(tmp_path: Path) -> None:
    films = tmp_path / "films"
    films.mkdir()
    write(films / "full.mp4", take(0))
    write(films / "half.mp4", take(0)[:, ::2, ::2])
    with Store.create(tmp_path / "library", small_encoder()) as library:
        add(library, [films])
        write(films / "half.mp4", np.zeros((4, 960, 1280, 3), np.uint8))
        (group,) = find_duplicates(library).groups
    assert "1280x960" not in " ".join([group.why, *group.copies[0].differs])
