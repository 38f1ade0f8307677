"""`firstsight index` and `firstsight library`: what they do, print and refuse."""

import json
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from firstsight import Encoder
from firstsight.article.model import ArticleModel
from firstsight.article.network import Network
from firstsight.article.settings import article_levels
from firstsight.cli.output import Display
from firstsight.encoder.model import CentralSquare
from firstsight.footage.encoding import VideoWriter
from firstsight.library.store import Store
from firstsight.progress import Progress


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder that has learned nothing, 100 numbers a frame."""
    return _save_encoder(tmp_path_factory.mktemp("models") / "one", seed=0)


def _save_encoder(folder: Path, *, seed: int) -> Path:
    levels = article_levels(num_levels=2, maps=4, hidden_maps=8)
    Encoder(ArticleModel(CentralSquare(48, 32), Network(levels, input_size=32, seed=seed))).save(folder)
    return folder


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    """Two videos of 4 s, and a file that is none."""
    folder = tmp_path / "some footage"
    folder.mkdir()
    for seed in range(2):
        frames = np.random.default_rng(seed).integers(0, 255, (6, 48, 64, 3), dtype=np.uint8)
        with VideoWriter(folder / f"{seed}.mp4", size=(64, 48)) as writer:
            for index in range(100):
                writer.write(frames[index // 17], seconds=index / 25)
    (folder / "notes.mp4").write_text("no video\n" * 100)
    return folder


@pytest.fixture
def library(firstsight, model: Path, footage: Path, tmp_path: Path) -> Path:
    ran = firstsight("index", tmp_path / "library", footage, "--model", model)
    assert ran.code == 0, ran.err
    return tmp_path / "library"


def expect_one_line(ran: object, *words: str) -> None:
    assert ran.code == 2, ran
    (line,) = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in ran.err
    assert ran.out == ""
    for word in words:
        assert word in line


def test_index_tells_what_will_be_what_failed_and_what_was_done(
    firstsight, model: Path, footage: Path, tmp_path: Path
) -> None:
    arguments = ("index", tmp_path / "library", footage, tmp_path / "nothing.mp4", "--fps", 5)
    first = firstsight(*arguments, "--model", model)
    assert first.code == 0, first.err
    assert re.search(r"3 of 3 sources are new or changed: about 40 frames, \d+ MB on disk of .* free", first.err)
    assert re.search(r"^notes\.mp4 .*not", first.err, re.MULTILINE)
    assert "nothing.mp4" in first.err
    assert re.search(r"embedded 40 frames in \d+\.\d s; sources: 2 new, 2 not readable\n", first.out)
    assert f"{tmp_path / 'library'} holds 40 frames of 2 sources" in first.out
    again = json.loads(firstsight(*arguments[:-2], "--json").out)
    assert (again["num_frames"], again["unchanged"], len(again["failures"])) == (0, ["0.mp4", "1.mp4"], 1)
    assert [line[:9] for line in again["failed_before"]] == ["notes.mp4"]
    assert (again["frames_held"], again["num_sources"]) == (40, 2)


def test_a_new_library_learns_its_encoder_from_the_sources(firstsight, footage: Path, tmp_path: Path) -> None:
    (footage / "1.mp4").unlink()
    with VideoWriter(footage / "0.mp4", size=(64, 48)) as writer:
        for index, frame in enumerate(np.random.default_rng(0).integers(0, 255, (20, 48, 64, 3), dtype=np.uint8)):
            writer.write(frame, seconds=index / 25)
    ran = firstsight("index", tmp_path / "library", footage, "--every", 10)
    assert ran.code == 0, ran.err
    assert "learning an encoder from 2 sources" in ran.err
    encoder = Encoder.load(tmp_path / "library" / "model")
    assert encoder.provenance["outcome"]["frames_learned_from"] == 20
    library = Store.open(tmp_path / "library")
    assert (library.fingerprint, library.num_frames) == (encoder.fingerprint, 2)


def test_info(firstsight, library: Path, footage: Path) -> None:
    (footage / "1.mp4").unlink()
    ran = firstsight("library", "info", library)
    assert ran.code == 0, ran.err
    assert re.search(r"^encoder +[0-9a-f]{16}, 100 numbers a frame$", ran.out, re.MULTILINE)
    assert re.search(r"^frames +16 of 2 sources, 0:00:08 of video$", ran.out, re.MULTILINE)
    assert re.search(r"^search +exact", ran.out, re.MULTILINE)
    assert re.search(
        r"^missing +1\.mp4; their files are gone; drop them with: firstsight library remove LIBRARY --missing$",
        ran.out,
        re.MULTILINE,
    )
    assert "partial" not in ran.out
    found = json.loads(firstsight("library", "info", library, "--json").out)
    assert [source["name"] for source in found["sources"]] == ["0.mp4", "1.mp4"]
    assert found["missing"] == ["1.mp4"]


def test_remove_and_compact(firstsight, library: Path, footage: Path) -> None:
    ran = firstsight("library", "remove", library, "0.*")
    assert ran.out.splitlines() == ["removed 0.mp4, 8 frames", f"{library} holds 8 frames of 1 source"]
    expect_one_line(firstsight("library", "remove", library, "0.mp4"), "'0.mp4'", "there are 1.mp4")
    expect_one_line(firstsight("library", "remove", library), "--missing")
    assert firstsight("library", "remove", library, "--missing").out == f"{library} holds 8 frames of 1 source\n"
    (footage / "1.mp4").unlink()
    assert "removed 1.mp4" in firstsight("library", "remove", library, "--missing").out
    assert re.fullmatch(r".*library takes \d+ MB, \d+ MB before\n", firstsight("library", "compact", library).out)


def test_missing_is_only_what_is_gone(firstsight, library: Path, footage: Path, tmp_path: Path) -> None:
    footage.rename(tmp_path / "unmounted")
    ran = firstsight("library", "remove", library, "--missing")
    assert ran.code == 0, ran.err
    assert ran.out.splitlines() == [
        "kept 3 (cannot be reached: their folders are missing or cannot be read): 0.mp4, 1.mp4, notes.mp4",
        f"{library} holds 16 frames of 2 sources",
    ]
    told = firstsight("library", "info", library).out
    assert re.search(r"^unreachable +0\.mp4, 1\.mp4; .*mount", told, re.MULTILINE)
    assert not re.search(r"^missing", told, re.MULTILINE)


def test_where_all_of_a_folder_is_gone_it_wants_to_be_sure(firstsight, library: Path, footage: Path) -> None:
    for path in footage.iterdir():
        path.unlink()
    ran = firstsight("library", "remove", library, "--missing")
    assert "kept 3 (gone, and so is all else of their folders" in ran.out
    assert "--yes" in ran.out
    assert f"{library} holds 16 frames of 2 sources" in ran.out
    assert (
        f"{library} holds 0 frames of 0 sources" in firstsight("library", "remove", library, "--missing", "--yes").out
    )


def test_sources_are_listed_by_names_that_remove_takes(firstsight, library: Path, footage: Path) -> None:
    (footage / "1.mp4").unlink()
    ran = firstsight("library", "sources", library)
    assert ran.code == 0, ran.err
    header, *lines = ran.out.splitlines()
    assert header.split() == ["frames", "length", "lost", "state", "rate", "name"]
    assert [line.split() for line in lines[:3]] == [
        ["8", "0:00:04", "0", "there", "2", "frames", "a", "second", "0.mp4"],
        ["8", "0:00:04", "0", "gone", "2", "frames", "a", "second", "1.mp4"],
        ["0", "0:00:00", "0", "failed", "2", "frames", "a", "second", "notes.mp4"],
    ]
    assert "notes.mp4" in lines[3]
    rows = json.loads(firstsight("library", "sources", library, "--json").out)
    assert [(row["name"], row["state"]) for row in rows] == [
        ("0.mp4", "there"),
        ("1.mp4", "gone"),
        ("notes.mp4", "failed"),
    ]
    assert rows[2]["reason"].startswith("notes.mp4")
    assert "removed notes.mp4" in firstsight("library", "remove", library, "notes.mp4").out


def test_check_says_what_is_whole_and_ends_with_1_if_not_all_is(firstsight, library: Path) -> None:
    ran = firstsight("library", "check", library)
    assert (ran.code, "damaged" in ran.out) == (0, False)
    assert "frames: 16 rows, all that the sources count" in ran.out
    for file in library.glob("tables-*/frames.lance/data/*"):
        file.write_bytes(b"")
    ran = firstsight("library", "check", library)
    assert ran.code == 1
    assert re.search(r"^damaged: ", ran.out, re.MULTILINE)
    assert re.search(r"^thumbnails: 16 rows", ran.out, re.MULTILINE)
    assert json.loads(firstsight("library", "check", library, "--json").out)["is_whole"] is False
    for command in (("search", library, "x.mp4@1"), ("keyframes", library, "2"), ("export", library, "--out", "x.npz")):
        ran = firstsight(*command)
        assert (ran.code, "Traceback" in ran.err) == (2, False)


def test_index_says_what_it_leaves_as_it_is_and_what_it_leaves_out(
    firstsight, library: Path, model: Path, footage: Path, tmp_path: Path
) -> None:
    assert firstsight("index", library, footage / "0.mp4", "--fps", 5).code == 0
    (footage / "notes.txt").write_text("no footage")
    shutil.copy(footage / "0.mp4", tmp_path / "other.mp4")
    ran = firstsight("index", library, footage)
    assert ran.code == 0, ran.err
    assert "0.mp4: left at a rate of their own, not 2 frames a second; --fps changes it" in ran.out
    assert re.search(r"1 could not be read before and have not changed since; --retry .*: notes\.mp4", ran.out)
    assert ran.err.count("left out: 1 ") == 1
    assert "notes.txt" in ran.err
    again = firstsight("index", library, footage / "0.mp4", "--fps", 2)
    assert "0.mp4 is re-embedded: 2 frames a second in place of 5 frames a second" in again.err
    assert "notes.mp4" in firstsight("index", library, footage, "--retry").err


def test_a_library_of_nothing_is_not_left_behind(firstsight, model: Path, footage: Path, tmp_path: Path) -> None:
    ran = firstsight("index", tmp_path / "new", footage / "notes.mp4", "--model", model)
    expect_one_line(ran, "notes.mp4")
    assert not (tmp_path / "new").exists()


def test_what_cannot_be_embedded_anew(firstsight, library: Path, model: Path, tmp_path: Path) -> None:
    expect_one_line(firstsight("index", library, "--reindex", "--fps", 5), "keeps the rate of each source")
    assert firstsight("library", "remove", library, "*").code == 0
    before = sorted(path.name for path in library.iterdir())
    expect_one_line(firstsight("index", library, "--reindex"), "nothing to learn an encoder from")
    assert sorted(path.name for path in library.iterdir()) == before
    other = _save_encoder(tmp_path / "other", seed=1)
    ran = firstsight("index", library, "--reindex", "--model", other)
    assert ran.code == 0, ran.err
    assert Store.open(library).encoder.fingerprint == Encoder.load(other).fingerprint


def test_another_model_needs_reindex(firstsight, library: Path, model: Path, footage: Path, tmp_path: Path) -> None:
    other = _save_encoder(tmp_path / "other", seed=1)
    prints = [Encoder.load(folder).fingerprint for folder in (model, other)]
    assert firstsight("index", library, footage, "--model", model).code == 0
    expect_one_line(firstsight("index", library, footage, "--model", other), *prints, "--reindex")
    ran = firstsight("index", library, "--model", other, "--reindex")
    assert ran.code == 0, ran.err
    assert "embedded 16 frames" in ran.out
    assert Store.open(library).encoder.fingerprint == prints[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("index", "{new}"), "no footage given"),
        (("index", "{new}", "{empty}"), "no video or picture"),
        (("index", "{new}", "{empty}/nothing.mp4"), "nothing.mp4"),
        (("index", "{new}", "{footage}/notes.mp4"), "notes.mp4"),
        (("index", "{new}", "0"), "record it"),
        (("index", "{footage}", "{footage}"), "holds something else"),
        (("index", "{footage}/0.mp4", "{footage}"), "is a file"),
        (("index", "{new}", "{footage}", "--fps", "0"), "0.0 frames per second"),
        (("index", "{new}", "{footage}", "--fps", "2", "--every", "2"), "contradict"),
        (("index", "{new}", "{footage}", "--model", "{empty}"), "is not a run"),
        (("index", "{new}", "{footage}", "--reindex"), "no library"),
        (("library", "info", "{empty}"), "is not a library"),
        (("library", "info", "{new}"), "there is no library"),
        (("library", "info", "{footage}/0.mp4"), "is a file"),
        (("library", "compact", "{empty}"), "is not a library"),
        (("library", "remove", "{empty}", "x"), "is not a library"),
    ],
)
def test_one_line_says_what_is_wrong(firstsight, footage: Path, tmp_path: Path, arguments: tuple, words: str) -> None:
    (tmp_path / "empty").mkdir()
    places = {"new": tmp_path / "new", "empty": tmp_path / "empty", "footage": footage}
    expect_one_line(firstsight(*(one.format(**places) for one in arguments)), words)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [('{"format": "firstsight-', "damaged"), ('{"format": "firstsight-library", "format_version": 9}', "version 9")],
)
def test_a_library_that_cannot_be_read(firstsight, library: Path, footage: Path, content: str, words: str) -> None:
    (library / "library.json").write_text(content)
    expect_one_line(firstsight("index", library, footage), words)
    expect_one_line(firstsight("library", "info", library), words)


def test_what_does_not_fit_on_the_disk_is_not_begun(
    firstsight, model: Path, footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type(shutil.disk_usage("/"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 10_000))
    ran = firstsight("index", tmp_path / "library", footage, "--model", model)
    expect_one_line(ran, "16 frames will take about 6 MB", "--fps")


def test_ctrl_c_keeps_what_was_embedded(
    firstsight, model: Path, footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    show = Display.progress

    def show_and_press(display: Display, progress: Progress) -> None:
        show(display, progress)
        if progress.done >= 160:
            try:
                signal.raise_signal(signal.SIGINT)
            finally:
                for _ in range(4):  # and while it is put away
                    signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Display, "progress", show_and_press)
    arguments = ("index", tmp_path / "library", footage, "--model", model, "--every", 1)
    ran = firstsight(*arguments)
    assert ran.code == 130
    assert f"interrupted; what was embedded is kept in {tmp_path / 'library'}; go on with the same command" in ran.err
    told = firstsight("library", "info", tmp_path / "library").out
    assert re.search(r"^frames +100 of 1 source, ", told, re.MULTILINE)
    assert re.search(r"^partial +1\.mp4; index them again to go on$", told, re.MULTILINE)
    monkeypatch.setattr(Display, "progress", show)
    assert "embedded 36 frames" in firstsight(*arguments).out


def test_ctrl_c_while_it_learns_leaves_nothing(
    firstsight, footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Display, "progress", lambda display, progress: signal.raise_signal(signal.SIGINT))
    ran = firstsight("index", tmp_path / "library", footage)
    assert ran.code == 130
    assert "interrupted; nothing is kept of the encoder" in ran.err
    assert not (tmp_path / "library").exists()


@pytest.mark.parametrize(
    "command", [("index",), *(("library", name) for name in ("info", "sources", "remove", "compact", "check"))]
)
def test_help_has_an_example(firstsight, command: tuple) -> None:
    text = re.sub(r"\s+", " ", firstsight(*command, "--help").out)
    assert f"Example: firstsight {' '.join(command)}" in text
