"""Neighbours against a slow, obvious version."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from firstsight.article.model import ArticleModel, untrained
from firstsight.article.network import Network
from firstsight.article.settings import article_levels
from firstsight.comparison.neighbours import measure_of, nearest_pictures, similarities
from firstsight.encoder.encoder import Encoder
from firstsight.encoder.model import CentralSquare
from firstsight.errors import SettingsError, SourceError
from firstsight.footage.encoding import VideoWriter
from firstsight.footage.source import open_source


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    levels = article_levels(num_levels=2, channels=1, maps=(6, 4), hidden_maps=8, pool=False)
    network = Network(levels, input_size=28, seed=0)
    return Encoder(
        ArticleModel(CentralSquare(28, 28, channels=1), network), provenance={"settings": {"similarity": "pearson"}}
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """150 pictures of smooth noise in the folders 0 to 2: more than are embedded at once."""
    root = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for index in range(150):
        (root / str(index % 3)).mkdir(exist_ok=True)
        small = Image.fromarray(random.integers(0, 256, (7, 7), dtype=np.uint8))
        small.resize((28, 28)).save(root / str(index % 3) / f"{index}.png")
    return root


def slow_neighbours(encoder: Encoder, folder: Path, anchor: Path, k: int, measure: str) -> list[tuple[str, float]]:
    def vector(path: Path) -> np.ndarray:
        return encoder.features(np.asarray(Image.open(path))[None]).flatten().astype(np.float64)

    def alike(a: np.ndarray, b: np.ndarray) -> float:
        if measure == "pearson":
            return float(np.mean((a - a.mean()) / a.std(ddof=1) * (b - b.mean()) / b.std(ddof=1)))
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    first = vector(anchor)
    found = [
        (path.relative_to(folder).as_posix(), alike(first, vector(path)))
        for path in folder.rglob("*.png")
        if path != anchor
    ]
    return sorted(found, key=lambda one: -one[1])[:k]


@pytest.mark.parametrize("measure", ["pearson", "cosine"])
def test_equals_the_slow_version(encoder: Encoder, folder: Path, measure: str) -> None:
    anchors = [folder / "0" / "3.png", folder / "2" / "80.png"]
    rows = nearest_pictures(encoder, folder, anchors, k=7, measure=measure)
    for anchor, row in zip(anchors, rows, strict=True):
        expected = slow_neighbours(encoder, folder, anchor, 7, measure)
        assert [one.frame.source for one in row.neighbours] == [name for name, _ in expected]
        assert [one.similarity for one in row.neighbours] == pytest.approx([value for _, value in expected], abs=1e-5)
        assert [one.label for one in row.neighbours] == [name.split("/")[0] for name, _ in expected]


def test_the_anchor_is_left_out_by_file_not_by_content(encoder: Encoder, folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "3.png"
    copy.write_bytes((folder / "0" / "3.png").read_bytes())
    nearest = nearest_pictures(encoder, folder, [copy], k=1)[0].neighbours[0]
    assert nearest.frame.source == "0/3.png"
    dim = encoder.dim
    assert nearest.similarity == pytest.approx((dim - 1) / dim, abs=1e-6)
    assert nearest_pictures(encoder, folder, [folder / "0" / "3.png"], k=1)[0].neighbours[0].frame.source != "0/3.png"


@pytest.mark.parametrize("link", ["symbolic", "hard", "folder"])
def test_an_anchor_under_another_name_is_left_out(encoder: Encoder, tmp_path: Path, link: str) -> None:
    folder, anchor, random = tmp_path / "pictures", tmp_path / "linked.png", np.random.default_rng(0)
    folder.mkdir()
    for index in range(4):
        Image.fromarray(random.integers(0, 256, (28, 28), dtype=np.uint8)).save(folder / f"{index}.png")
    if link == "symbolic":
        anchor.symlink_to(folder / "3.png")
    elif link == "hard":
        anchor.hardlink_to(folder / "3.png")
    else:  # the source's own file is the link
        (folder / "3.png").rename(anchor)
        (folder / "3.png").symlink_to(anchor)
    (found,) = nearest_pictures(encoder, folder, [anchor])
    assert sorted(one.name for one in found.neighbours) == ["0.png", "1.png", "2.png"]


def test_only_what_is_near_enough_is_looked_up(encoder: Encoder, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up = []
    same = Path.samefile
    monkeypatch.setattr(Path, "samefile", lambda file, other: looked_up.append(file) or same(file, other))
    nearest_pictures(encoder, folder, [folder / "0" / "3.png"], k=1)
    assert 0 < len(looked_up) < 10


def test_frames_of_a_video_are_named_by_their_times(encoder: Encoder, folder: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)
    with VideoWriter(tmp_path / "noise.mp4", size=(32, 32)) as writer:
        for index, picture in enumerate(pixels):
            writer.write(picture, seconds=index / 4)
    (found,) = nearest_pictures(encoder, tmp_path / "noise.mp4", [folder / "0" / "3.png"], k=8)
    assert {one.name for one in found.neighbours} == {f"noise.mp4@{index / 4:g}" for index in range(8)}
    assert {one["seconds"] for one in found.to_json()["neighbours"]} == {index / 4 for index in range(8)}
    late = replace(found.neighbours[0], frame=replace(found.neighbours[0].frame, seconds=12_345.678901))
    assert late.name == "noise.mp4@12345.678901"  # the same frame, hours into a video
    (found,) = nearest_pictures(encoder, folder, [folder / "0" / "3.png"], k=1)
    assert (found.to_json()["neighbours"][0]["seconds"], found.neighbours[0].name[:2]) == (
        None,
        found.neighbours[0].label + "/",
    )


def test_fewer_pictures_than_asked_for(encoder: Encoder, folder: Path) -> None:
    assert len(nearest_pictures(encoder, folder, [folder / "1" / "1.png"], k=1_000)[0].neighbours) == 149


def test_pictures_without_a_folder_of_their_own_have_no_label(encoder: Encoder, folder: Path) -> None:
    assert nearest_pictures(encoder, folder / "0", [folder / "1" / "1.png"], k=1)[0].neighbours[0].label == ""


def test_a_constant_vector_is_like_nothing() -> None:
    rows = np.array([[1, 2, 3, 4], [2, 2, 2, 2]], np.float32)
    np.testing.assert_allclose(similarities(rows, rows, "pearson"), [[0.75, 0], [0, 0]], atol=1e-12)


def test_the_measure_is_what_the_maps_were_learned_by(encoder: Encoder) -> None:
    assert measure_of(encoder) == "pearson"
    assert measure_of(untrained()) == "cosine"


def test_what_cannot_be_compared(encoder: Encoder, folder: Path, tmp_path: Path) -> None:
    anchor = folder / "0" / "3.png"
    with pytest.raises(SettingsError, match="0 neighbours"):
        nearest_pictures(encoder, folder, [anchor], k=0)
    with pytest.raises(SettingsError, match="valid are pearson, cosine"):
        nearest_pictures(encoder, folder, [anchor], measure="euclid")
    with pytest.raises(SourceError, match=r"missing\.png"):
        nearest_pictures(encoder, folder, [tmp_path / "missing.png"])
    with pytest.raises(SourceError, match="no picture besides the anchor"):
        nearest_pictures(encoder, anchor, [anchor])


def test_a_picture_that_is_gone_meanwhile_ends_nothing(
    encoder: Encoder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        Image.fromarray(pixels).save(tmp_path / name / "1.png")
    source = open_source(tmp_path)
    (tmp_path / "b" / "1.png").unlink()
    (found,) = nearest_pictures(encoder, source, [tmp_path / "a" / "1.png"])
    assert [one.frame.source for one in found.neighbours] == ["c/1.png"]
    assert [line.startswith("b/1.png") for line in caplog.messages] == [True]


def test_an_anchor_is_read_with_the_black_and_white_of_its_folder(encoder: Encoder, tmp_path: Path) -> None:
    """Of 12 bits in 16, of which a picture alone would be nearly black."""
    random = np.random.default_rng(0)
    for index in range(5):
        small = Image.fromarray(random.integers(0, 256, (7, 7), dtype=np.uint8)).resize((28, 28))
        Image.fromarray(np.asarray(small).astype(np.uint16) * 16).save(tmp_path / f"{index}.png")
    (tmp_path / "copy.png").write_bytes((tmp_path / "3.png").read_bytes())
    (found,) = nearest_pictures(encoder, tmp_path, [tmp_path / "3.png"])
    assert found.neighbours[0].frame.source == "copy.png"
    assert found.neighbours[0].similarity == pytest.approx(1, abs=1e-3)


def test_anchors_are_one_or_several_files(encoder: Encoder, folder: Path) -> None:
    anchor = folder / "0" / "3.png"
    one, several = (nearest_pictures(encoder, folder, given, k=3) for given in (str(anchor), [anchor]))
    assert [found.anchor for found in one] == [found.anchor for found in several] == [str(anchor)]
    with pytest.raises(SettingsError, match="no anchor"):
        nearest_pictures(encoder, folder, [])
