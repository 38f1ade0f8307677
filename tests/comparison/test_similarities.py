"""A table of similarities: each number is the cosine of its frame and its anchor."""

from pathlib import Path

import numpy as np
import pytest
from library_made import filled, small_encoder, write_video
from PIL import Image

from firstsight.comparison.similarities import Target, similarity_table
from firstsight.errors import LibraryError, SettingsError, SourceError
from firstsight.library.store import Store
from firstsight.searching.query import read_anchors


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("footage")
    write_video(root / "walk.mp4", seed=1)
    for folder, seed in (("day", 0), ("night", 1)):
        (root / folder).mkdir()
        for name in ("gate", "hall")[: 2 - seed]:
            pixels = np.random.default_rng(seed + len(name)).integers(0, 255, (48, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / folder / f"{name}.png")
    return root


def test_every_number_is_a_cosine(tmp_path: Path) -> None:
    made = filled(tmp_path / "library", {"a.mp4": 5, "b.mp4": 4})
    table = similarity_table(made.library.embeddings(), {"third": made.vectors[2], "last": made.vectors[8]})
    assert table.column_names == ["source", "frame", "seconds", "third", "last"]
    assert table.column("source").to_pylist() == made.names.tolist()
    assert table.column("third").to_numpy() == pytest.approx(made.vectors @ made.vectors[2], abs=1e-3)
    assert table.column("last").to_numpy() == pytest.approx(made.vectors @ made.vectors[8], abs=1e-3)


def test_a_video_is_looked_at_and_finds_its_own_moment(footage: Path) -> None:
    reported = []
    target = Target(footage / "walk.mp4", small_encoder())
    embedded = target.embed(progress=reported.append)
    anchors = read_anchors(
        [str(footage / "walk.mp4@2"), str(footage / "day"), str(footage / "night")], embedded.encoder
    )
    assert list(anchors) == ["walk.mp4@2", str(footage / "day/gate.png"), "hall.png", str(footage / "night/gate.png")]
    table = similarity_table(embedded.frames, anchors)
    best = int(table.column("walk.mp4@2").to_numpy().argmax())
    assert table.column("seconds")[best].as_py() == pytest.approx(2)
    assert reported[-1].done == len(table) == 8


@pytest.mark.parametrize(
    ("anchors", "error", "words"),
    [
        (["walk.mp4@2", "walk.mp4@2"], SettingsError, "given twice"),
        (["walk.mp4@2", "./walk.mp4@2.0"], SettingsError, "given twice"),
        (["day/gate.png", "day"], SettingsError, "given twice"),
        (["walk.mp4"], SourceError, "needs a time"),
        (["."], SourceError, "anchors are pictures"),
    ],
)
def test_anchors_that_are_none(
    footage: Path, monkeypatch: pytest.MonkeyPatch, anchors: list[str], error: type, words: str
) -> None:
    monkeypatch.chdir(footage)
    with pytest.raises(error, match=words):
        read_anchors(anchors, small_encoder())


def test_names_of_other_columns_are_refused(tmp_path: Path) -> None:
    made = filled(tmp_path / "library", {"a.mp4": 2})
    for anchors in ({}, {"seconds": made.vectors[0]}):
        with pytest.raises(SettingsError, match="valid is at least one"):
            similarity_table(made.library.embeddings(), anchors)


def test_what_sees_must_be_known_and_the_same(tmp_path: Path, footage: Path) -> None:
    made = filled(tmp_path / "library", {"a.mp4": 2})
    assert len(Target(made.library.path, None).embed().frames) == 2
    with pytest.raises(LibraryError, match="embeddings cannot be compared"):
        Target(made.library.path, small_encoder(seed=1))
    with pytest.raises(SettingsError, match=r"walk\.mp4 is no library and needs an encoder: give --model"):
        Target(footage / "walk.mp4", None)


def test_a_library_without_a_frame_is_refused_before_anything_is_looked_at(tmp_path: Path) -> None:
    Store.create(tmp_path / "empty.library", small_encoder())
    with pytest.raises(LibraryError, match="holds no frame"):
        Target(str(tmp_path / "empty.library"), None)
