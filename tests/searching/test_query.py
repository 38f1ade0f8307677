"""What a query names, and that it is embedded as the footage is."""

import os
import shutil
import weakref
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from firstsight.encoder.encoder import Encoder
from firstsight.errors import FirstsightError, SettingsError, SourceError
from firstsight.footage.frames import Frame
from firstsight.footage.reference import FrameReference, parse_reference
from firstsight.footage.source import open_source
from firstsight.library.embeddings import Embeddings, embed
from firstsight.searching.query import Picture, Query, read_anchors, read_query, vectors_of


@pytest.fixture(scope="module")
def encoder(bikes_encoder: Encoder) -> Encoder:
    return bikes_encoder


@pytest.fixture(scope="module")
def embeddings(encoder: Encoder, bikes: Path) -> Embeddings:
    return embed(encoder, open_source(bikes, every=25))


@pytest.fixture
def folder(tmp_path: Path, bikes: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files with all sorts of names, as the current folder."""
    shutil.copy(bikes, tmp_path / "bikes.mp4")
    for name in ("me@home.mp4", "12:30:00.mp4", "a b's @ 3.mp4", "bikes.mp4@3"):
        (tmp_path / name).symlink_to(tmp_path / "bikes.mp4")
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / "x@2.png")
    (tmp_path / "notes.txt").write_text("no picture")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "path", "seconds"),
    [
        ("bikes.mp4@8", "bikes.mp4", 8.0),
        ("bikes.mp4@0", "bikes.mp4", 0.0),
        ("bikes.mp4@.5", "bikes.mp4", 0.5),
        ("bikes.mp4@3.25", "bikes.mp4", 3.25),
        ("./bikes.mp4@1e0", "bikes.mp4", 1.0),
        ("me@home.mp4@2.5", "me@home.mp4", 2.5),
        ("12:30:00.mp4@7", "12:30:00.mp4", 7.0),
        ("a b's @ 3.mp4@3", "a b's @ 3.mp4", 3.0),
        ("bikes.mp4@3@4", "bikes.mp4@3", 4.0),
        ("x@2.png", "x@2.png", None),
    ],
)
def test_what_is_named(folder: Path, text: str, path: str, seconds: float | None) -> None:
    assert parse_reference(text) == FrameReference(Path(path), seconds)


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("nothing.png", SourceError, r"no file 'nothing\.png': valid are"),
        ("nothing.mp4@3", SourceError, r"no file 'nothing\.mp4' nor 'nothing\.mp4@3'"),
        (r"C:\walks\a.mp4@3", SourceError, r"no file 'C:"),
        ("", SourceError, "no file ''"),
        (".", SourceError, r"'\.' is a folder: valid are a picture, or a video and a time"),
        (".@3", SourceError, r"'\.' is a folder"),
        ("bikes.mp4", SourceError, r"write bikes\.mp4@12\.5"),
        ("bikes.mp4@", SettingsError, "'' in 'bikes.mp4@' is not a time"),
        ("bikes.mp4@noon", SettingsError, "'noon'"),
        ("bikes.mp4@-1", SettingsError, "'-1'"),
        ("bikes.mp4@nan", SettingsError, "'nan'"),
        ("bikes.mp4@inf", SettingsError, "'inf'"),
        ("x@2.png@3", SourceError, "is a picture and has no time: leave out @3"),
        ("bikes.mp4@10.5", SourceError, r"bikes\.mp4 is over before 10\.5 s: it lasts 10 s"),
        ("notes.txt@1", SourceError, r"notes\.txt"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    folder: Path, encoder: Encoder, text: str, kind: type[FirstsightError], words: str
) -> None:
    with pytest.raises(kind, match=words) as caught:
        read_query(text, encoder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("row", [0, 3, 7])
def test_a_frame_of_footage_is_seen_as_the_footage_was(
    encoder: Encoder, embeddings: Embeddings, bikes: Path, row: int
) -> None:
    query = read_query(f"{bikes}@{embeddings.seconds[row]}", encoder)
    assert query.frame.index == 25 * row
    assert float(query.vector @ embeddings.vectors[row]) > 0.999
    assert query.frame.whole.shape == (272, 640, 3)


@pytest.mark.parametrize(("seconds", "index"), [(0.041, 1), (1.91, 48), (1.95, 49), (1.96, 49), (9.97, 249), (10, 249)])
def test_the_frame_nearest_to_the_time_is_taken(encoder: Encoder, bikes: Path, seconds: float, index: int) -> None:
    assert read_query(f"{bikes}@{seconds}", encoder).frame.index == index


def test_a_picture_is_kept_entirely(encoder: Encoder, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    query = read_query(str(tmp_path / "a.png"), encoder)
    np.testing.assert_array_equal(query.frame.whole, pixels)
    np.testing.assert_allclose(query.vector, encoder.encode(pixels[None])[0], atol=1e-6)
    assert query.reference.name == "a.png"


def test_anchors_are_held_in_memory_one_at_a_time(folder: Path, encoder: Encoder) -> None:
    """A folder of a thousand photographs is as many vectors, not as many pictures."""
    for number in range(6):
        Image.fromarray(np.full((48, 64, 3), 40 * number, np.uint8)).save(folder / f"{number}.png")
    frames, most = list[weakref.ref[Frame]](), 0

    def read(picture: Picture) -> Query:
        nonlocal most
        query = read_query(picture, encoder)
        frames.append(weakref.ref(query.frame))
        most = max(most, sum(one() is not None for one in frames))
        return query

    found = vectors_of([folder / f"{number}.png" for number in range(6)], read)
    assert (len(found), most) == (6, 2)  # the one before goes once the next is there


def test_an_entry_of_a_folder_is_a_picture(folder: Path, encoder: Encoder) -> None:
    with os.scandir(folder) as entries:
        entry = next(one for one in entries if one.name == "x@2.png")
    assert read_query(entry, encoder).reference.name == "x@2.png"
    assert list(read_anchors([entry], encoder)) == ["x@2.png"]
