"""Labels from folders and from CSV files; every way to get them wrong is one clear line."""

from pathlib import Path

import numpy as np
import pytest
from library_made import write_video
from PIL import Image

from firstsight.errors import SettingsError
from firstsight.evaluation.sample import read_labels
from firstsight.footage.frames import Frame
from firstsight.footage.source import Source, open_source


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """cats/1.png, cats/2.png, dogs/1.png and dogs/3.png in a folder of their own."""
    for name in ("cats/1", "cats/2", "dogs/1", "dogs/3"):
        path = tmp_path / "animals" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((24, 24, 3), np.uint8)).save(path)
    return open_source(tmp_path / "animals")


@pytest.fixture
def video(tmp_path: Path) -> Source:
    """walk.mp4."""
    return open_source(write_video(tmp_path / "walk.mp4", seed=0, num_frames=2))


def seen(source: str, *, index: int = 0, seconds: float = 0.0) -> Frame:
    return Frame((np.zeros((1, 1, 3), np.uint8),), seconds=seconds, index=index, source=source, size=(1, 1))


def labels_of(tmp_path: Path, source: Source, text: str) -> object:
    (tmp_path / "labels.csv").write_text(text, encoding="utf-8-sig")  # as spreadsheets write it
    return read_labels(str(tmp_path / "labels.csv"), source)


def test_folders(source: Source) -> None:
    label_of = read_labels("folders", source).of
    assert [label_of(frame) for frame in source.read()] == ["cats", "cats", "dogs", "dogs"]
    assert label_of(seen("7.png")) is None


@pytest.mark.parametrize("name", ["{root}/animals/dogs/1.png", "animals/dogs/1.png", "dogs/1.png"])
def test_a_file_is_named_by_as_much_of_its_path_as_it_takes(source: Source, tmp_path: Path, name: str) -> None:
    found = labels_of(tmp_path, source, f"File, Label ,who\n{name.format(root=tmp_path)},Rex,me\n3.png, Bello,you\n")
    assert [found.of(frame) for frame in source.read()] == [None, None, "Rex", "Bello"]
    assert found.notes == ()


def test_by_frame(video: Source, tmp_path: Path) -> None:
    label_of = labels_of(tmp_path, video, "file,frame,label\nwalk.mp4,0,a\nwalk.mp4,3,b\nwalk.mp4,4,\n").of
    assert [label_of(seen("walk.mp4", index=index)) for index in range(5)] == ["a", None, None, "b", None]


def test_by_seconds_a_label_holds_until_the_next(video: Source, tmp_path: Path) -> None:
    label_of = labels_of(tmp_path, video, "label,seconds,file\nb,4.5,walk.mp4\na,1,walk.mp4\n,6,walk.mp4\n").of
    times = (0.9, 1.0, 4.4, 4.5, 5.9, 6.0, 99)
    found = [label_of(seen("walk.mp4", seconds=seconds)) for seconds in times]
    assert found == [None, "a", "a", "b", "b", None, None]


def test_a_label_that_ended_begins_another_visit(video: Source, tmp_path: Path) -> None:
    """The same label stated again goes on; a stretch without one interrupts it."""
    labels = labels_of(tmp_path, video, "file,seconds,label\nwalk.mp4,1,a\nwalk.mp4,2,a\nwalk.mp4,3,\nwalk.mp4,4,a\n")
    frames = [seen("walk.mp4", seconds=seconds) for seconds in (1.5, 2.5, 4.5)]
    assert {labels.of(frame) for frame in frames} == {"a"}
    first, second, third = map(labels.visit_of, frames)
    assert first == second < third


def test_by_frame_too_a_label_that_ended_begins_another_visit(video: Source, tmp_path: Path) -> None:
    """Frames of which nothing is stated interrupt none: labels may be of every tenth frame."""
    labels = labels_of(
        tmp_path, video, "file,frame,label\nwalk.mp4,0,a\nwalk.mp4,10,a\nwalk.mp4,15,\nwalk.mp4,20,a\nwalk.mp4,21,b\n"
    )
    frames = [seen("walk.mp4", index=index) for index in (0, 10, 20, 21)]
    assert [labels.of(frame) for frame in frames] == ["a", "a", "a", "b"]
    first, second, third, other = map(labels.visit_of, frames)
    assert first == second < third < other


def test_a_picture_is_named_by_its_file_also_where_there_is_a_column_for_frames(source: Source, tmp_path: Path) -> None:
    for column in ("frame", "seconds"):
        found = labels_of(tmp_path, source, f"file,{column},label\n2.png,0,a\n3.png,0,b\n")
        assert [found.of(frame) for frame in source.read()] == [None, "a", None, "b"]


def test_a_frame_has_one_label(video: Source, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"gives walk.mp4, frame 4, two labels"):
        labels_of(tmp_path, video, "file,frame,label\nwalk.mp4,4,a\nwalk.mp4,4,b\n")


def test_files_that_are_not_there_are_told(source: Source, tmp_path: Path) -> None:
    found = labels_of(tmp_path, source, "file,label\n2.png,a\n9.png,b\n8.png,b\n9.png,b\n")
    assert len(found.notes) == 1
    assert "2 of its files are not in the source, such as 9.png" in found.notes[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has the columns of an empty file: valid is a CSV file with the columns file, label"),
        ("name,label\n1.png,a\n", "has the columns name, label: valid"),
        ("file;label\n1.png;a\n", "has the columns file;label: valid"),
        ("file,frame,seconds,label\n", "has the columns file, frame, seconds, label: valid"),
        ("file,label\n", "it has no lines"),
        ("file,label\n77.png,a\n", "it names '77.png', the source has 'cats/1.png'"),
        ("file,label\n1.png,a\n", "line 2: '1.png' may be cats/1.png or dogs/1.png; give more of the path"),
        ("file,label\n2.png,a\n2.png,b\n", "gives cats/2.png two labels, 'a' and 'b'"),
        ("file,frame,label\n2.png,0,a\n3.png,3,b\n", "line 3: frame 3 of a picture; valid is 0, for each file"),
        ("file,frame,label\n2.png,1.5,a\n", "line 2: frame '1.5'; valid is a whole number from 0"),
        ("file,seconds,label\n2.png,soon,a\n", "line 2: seconds 'soon'; valid is a number of seconds from 0"),
        ("file,seconds,label\n2.png,nan,a\n", "line 2: seconds 'nan'"),
        ("file,frame,label\n2.png\n", "line 2: frame ''"),
    ],
)
def test_what_is_wrong_with_a_csv_is_said(source: Source, tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SettingsError) as error:
        labels_of(tmp_path, source, text)
    assert words in str(error.value)


def test_a_csv_that_cannot_be_read(source: Source, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"missing.csv' cannot be read \(No such file"):
        read_labels(str(tmp_path / "missing.csv"), source)
    (tmp_path / "picture.csv").write_bytes(b"\xff\xfe\x00\x80 no text")
    with pytest.raises(SettingsError, match="it is not text"):
        read_labels(str(tmp_path / "picture.csv"), source)


def test_an_array_has_no_files_to_label() -> None:
    with pytest.raises(SettingsError, match="no files that could have labels"):
        read_labels("folders", open_source(np.zeros((5, 24, 24, 3), np.uint8)))
