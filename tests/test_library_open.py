"""A library as long as it is open, wherever the program goes, and after it is closed."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from library_made import small_encoder, write_video
from PIL import Image

import firstsight
from firstsight import Library
from firstsight.errors import LibraryError, SourceError
from firstsight.text import json_line


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    """Of two videos, made by a relative path."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("gate", "yard")):
        write_video(Path("clips", f"{name}.mp4"), seed=number)
    return Library.create("x1", "clips", encoder=small_encoder(), frames_per_second=5)


@pytest.fixture
def picture(library: Library) -> np.ndarray:
    return firstsight.frame_at(library.sources[0].path, 2.0).pixels


@pytest.mark.parametrize("is_opened", [False, True])
def test_given_by_a_relative_path_it_stays_where_it_is(
    library: Library, picture: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_opened: bool
) -> None:
    library = Library.open("x1") if is_opened else library
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir("sub")
    assert library.path == tmp_path / "x1"
    assert library.search(picture).nearest.source == "gate.mp4"
    assert library.add("../clips").unchanged == ["gate.mp4", "yard.mp4"]
    assert len(library.remove("yard.mp4")) == 1
    assert library.add("../clips/yard.mp4").added == ["yard.mp4"]
    library.refresh()
    library.compact()
    assert (library.check().is_whole, library.check().library) == (True, "x1")
    assert library.reindex(small_encoder(seed=1)).num_frames == 40
    assert library.search(picture).library == library.info().library == "x1"
    assert repr(library).startswith("Library('x1', 40 frames of 2 sources")
    assert list(Path().iterdir()) == []


ASKED: dict[str, Callable[[Library, np.ndarray, Any, Any], object]] = {
    "search": lambda library, picture, *_: library.search(picture),
    "nearest": lambda library, picture, *_: library.nearest(picture),
    "similarities": lambda library, picture, *_: library.similarities(picture),
    "duplicates": lambda library, *_: library.duplicates(),
    "keyframes": lambda library, *_: library.keyframes(2),
    "clusters": lambda library, *_: library.clusters(2),
    "map": lambda library, *_: library.map(),
    "export": lambda library, *_: library.export("out.csv"),
    "cut": lambda library, _, result, __: library.cut(result, "cut"),
    "write_pictures": lambda library, _, __, keyframes: library.write_pictures(keyframes, "pictures"),
    "sources": lambda library, *_: library.sources,
    "info": lambda library, *_: library.info(),
    "check": lambda library, *_: library.check(),
    "compact": lambda library, *_: library.compact(),
    "refresh": lambda library, *_: library.refresh(),
    "add": lambda library, *_: library.add("clips"),
    "reindex": lambda library, *_: library.reindex(),
    "remove": lambda library, *_: library.remove("*"),
    "remove_missing": lambda library, *_: library.remove_missing(),
    "store": lambda library, *_: library.store,
    "set_apart": lambda library, *_: library.set_apart("gate.mp4", "yard.mp4"),
    "reunite": lambda library, *_: library.reunite("gate.mp4", "yard.mp4"),
}


def test_closed_it_answers_nothing(library: Library, picture: np.ndarray) -> None:
    result, keyframes = library.search(picture, false_match_rate=0.5), library.keyframes(2)
    library.close()
    library.close()
    for name, ask in ASKED.items():
        with pytest.raises(LibraryError, match=r"^x1 is closed; open it again$"):
            ask(library, picture, result, keyframes)
        assert not Path("cut").exists(), name
    assert (library.num_frames, library.encoder.dim, library.path.name) == (40, 100, "x1")
    assert repr(library) == "Library('x1', 40 frames of 2 sources, 100 numbers each)"
    assert library.encoder.encode(picture[None]).shape == (1, 100)


def test_closed_its_store_answers_nothing(library: Library) -> None:
    store = library.store
    store.close()
    with pytest.raises(LibraryError, match="closed"):
        store.embeddings()


def test_every_method_is_asked_when_closed() -> None:
    methods = {name for name in vars(Library) if not name.startswith("_")}
    assert methods - set(ASKED) == {"open", "create", "close", "path", "encoder", "num_frames"}


def test_what_was_found_in_a_source_that_is_removed_cannot_be_written(library: Library, picture: np.ndarray) -> None:
    result, keyframes = library.search(picture, false_match_rate=0.5), library.keyframes(2)
    library.remove("*")
    for write in (lambda: library.cut(result, "cut"), lambda: library.write_pictures(keyframes, "pictures")):
        with pytest.raises(LibraryError, match="mp4' is not in the library x1, or not any more"):
            write()
    assert not Path("cut").exists()
    assert not Path("pictures").exists()


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_names_that_are_not_utf_8_are_in_tables_as_escapes(library: Library, picture: np.ndarray) -> None:
    Path("odd").mkdir()
    shutil.copy("clips/gate.mp4", b"odd/\xff.mp4")
    odd_picture = os.fsdecode(b"odd/\xfe.png")
    Image.fromarray(picture).save(odd_picture)
    library.add("odd")
    paths = library.sources.to_arrow().column("path").to_pylist()
    assert sorted(Path(path).name for path in paths) == ["\\xfe.png", "\\xff.mp4", "gate.mp4", "yard.mp4"]
    found = library.similarities(odd_picture)
    assert found.to_arrow().column_names[3:] == ["\\xfe.png"]
    json_line(found.to_json())
    answers = (library.nearest(picture), library.keyframes(3), library.clusters(2), library.map(), library.duplicates())
    assert all(answer.to_arrow().num_rows for answer in answers)


def test_a_source_that_broke_is_listed_with_its_old_frames_and_its_failure(library: Library) -> None:
    Path("clips/gate.mp4").write_bytes(b"broken")
    library.add("clips")
    states = [(source["name"], source["state"]) for source in library.sources.to_json()]
    assert states == [("gate.mp4", "changed"), ("yard.mp4", "there"), ("gate.mp4", "failed")]
    assert library.num_frames == 40
    library.remove("gate.mp4")
    assert [source.name for source in library.sources] == ["yard.mp4"]


def test_it_can_be_used_after_footage_that_could_not_be_added_to_a_new_encoder(
    library: Library, picture: np.ndarray, tmp_path: Path
) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    with pytest.raises(SourceError):
        library.reindex(small_encoder(seed=1), [tmp_path / "bad.mp4"])
    assert library.encoder.fingerprint == small_encoder(seed=1).fingerprint
    assert library.search(picture).nearest.source == "gate.mp4"


def test_a_library_that_was_closed_stays_closed(library: Library) -> None:
    library.close()
    for _ in range(2):
        with pytest.raises(LibraryError, match="is closed"):
            library.reindex(small_encoder(seed=1))
