"""align and similarities from the command line."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

import firstsight as package
from firstsight.comparison.similarities import Target
from firstsight.footage.encoding import VideoWriter


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory, moving_square: np.ndarray) -> Path:
    """The same 8 s, once from the beginning and once with its first 2 s left out; and what sees them."""
    root = tmp_path_factory.mktemp("clips")
    for name, frames in (("monday.mp4", moving_square[:200]), ("tuesday.mp4", moving_square[50:200])):
        with VideoWriter(root / name, size=(64, 48)) as writer:
            for index, frame in enumerate(frames):
                writer.write(frame, seconds=index / 25)
    package.learn(moving_square[::20], method="random", out=root / "run")
    return root


def test_align_finds_what_is_two_seconds_later(firstsight, clips: Path, tmp_path: Path) -> None:
    files = ("--out", tmp_path / "aligned.png", "--csv", tmp_path / "aligned.csv")
    options = ("--model", clips / "run", "--fps", 5)
    ran = firstsight("align", clips / "monday.mp4", clips / "tuesday.mp4", *options, *files)
    assert ran.code == 0, ran.err
    assert "monday.mp4 from " in ran.out
    assert " corresponds to tuesday.mp4 from " in ran.out
    with (tmp_path / "aligned.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    apart = [float(row["first_seconds"]) - float(row["second_seconds"]) for row in rows]
    assert len(rows) >= 25
    assert np.median(apart) == pytest.approx(2, abs=0.01)
    with Image.open(tmp_path / "aligned.png") as picture:
        assert picture.size == (1080, 1080)
    found = json.loads(firstsight("align", clips / "monday.mp4", clips / "tuesday.mp4", *options, "--json").out)
    assert found["num_frames"] == [40, 30]
    assert (found["is_certain"], found["false_match_probability"] < 0.01) == (True, True)
    assert len(found["pairs"]) == len(rows)


def test_of_unrelated_videos_the_most_similar_is_doubtful(
    firstsight, clips: Path, tmp_path: Path, moving_square: np.ndarray
) -> None:
    """They share a single frame."""
    random = np.random.default_rng(0)
    with VideoWriter(tmp_path / "noise.mp4", size=(64, 48)) as writer:
        for index in range(40):
            noise = random.integers(0, 256, (6, 8, 3), np.uint8).repeat(8, axis=0).repeat(8, axis=1)
            writer.write(moving_square[75] if index == 20 else noise, seconds=index / 5)
    pair = (tmp_path / "noise.mp4", clips / "monday.mp4", "--model", clips / "run", "--fps", 5)
    ran = firstsight("align", *pair)
    assert ran.code == 0, ran.err
    assert re.match(
        r"nothing certain in common; perhaps, the most similar: noise\.mp4 from .+ and monday\.mp4", ran.out
    )
    assert "corresponds" not in ran.out
    assert re.search(r"chance reaches that in \d+ % of pairs", ran.out)
    found = json.loads(firstsight("align", *pair, "--json").out)
    assert (found["is_certain"], found["false_match_probability"] > 0.01) == (False, True)


def test_that_there_are_several_is_known_before_anything_is_looked_at(
    firstsight, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(*_: object, **__: object) -> None:
        raise AssertionError("footage was looked at")

    monkeypatch.setattr("firstsight.comparison.similarities.embed", look)
    for pair in ((clips, clips / "monday.mp4"), (clips / "monday.mp4", clips)):
        ran = firstsight("align", *pair, "--model", clips / "run")
        assert (ran.code, "holds 2 videos; valid is one against one" in ran.err) == (2, True)
    ran = firstsight("align", clips / "monday.mp4", clips / "monday.mp4", "--model", clips / "run", "--csv", "x.txt")
    assert (ran.code, ".csv, .parquet" in ran.err) == (2, True)


def test_align_of_single_frames(firstsight, clips: Path, tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "one.mp4", size=(64, 48)) as writer:
        writer.write(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8), seconds=0.0)
    options = ("--model", clips / "run", "--fps", 5, "--out", tmp_path / "a.png")
    found = json.loads(firstsight("align", tmp_path / "one.mp4", tmp_path / "one.mp4", *options, "--json").out)
    assert [(pair["first_frame"], pair["second_frame"]) for pair in found["pairs"]] == [(0, 0)]
    ran = firstsight("align", tmp_path / "one.mp4", clips / "monday.mp4", *options)
    assert ran.code == 0, ran.err
    assert (tmp_path / "a.png").exists()


def test_similarities_of_two_anchors(firstsight, clips: Path, tmp_path: Path) -> None:
    anchors = ("--for", f"{clips / 'monday.mp4'}@3", "--for", f"{clips / 'tuesday.mp4'}@1")
    out = tmp_path / "table.parquet"
    ran = firstsight("similarities", clips / "monday.mp4", *anchors, "--model", clips / "run", "--out", out, "--json")
    assert ran.code == 0, ran.err
    assert [one["anchor"] for one in json.loads(ran.out)["anchors"]] == ["monday.mp4@3", "tuesday.mp4@1"]
    table = pyarrow.parquet.read_table(out)
    first, second = (table.column(name).to_numpy() for name in ("monday.mp4@3", "tuesday.mp4@1"))
    assert len(table) == 16
    assert first == pytest.approx(second, abs=0.1)  # the same moment, encoded twice
    assert table.column("seconds")[int(first.argmax())].as_py() == pytest.approx(3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("align", "monday.mp4", "tuesday.mp4"), "give --model"),
        (("align", ".", "tuesday.mp4", "--model", "run"), "one against one"),
        (("similarities", "monday.mp4", "--for", "monday.mp4", "--model", "run", "--out", "x.csv"), "needs a time"),
        (("similarities", "monday.mp4", "--for", "monday.mp4@1", "--model", "run", "--out", "x.txt"), ".csv, .parquet"),
    ],
)
def test_one_line_says_what_is_wrong(
    firstsight, clips: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple, words: str
) -> None:
    monkeypatch.chdir(clips)
    ran = firstsight(*arguments)
    assert ran.code == 2, ran
    assert words in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("command", ["align", "similarities", "export"])
def test_help_has_an_example(firstsight, command: str) -> None:
    assert f"Example: firstsight {command}" in " ".join(firstsight(command, "--help").out.split())


def test_an_anchor_that_is_none_is_known_before_anything_is_looked_at(
    firstsight, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Target, "embed", lambda *_, **__: pytest.fail("looked at all of it first"))
    anchor = ("--for", tmp_path / "nowhere.png", "--out", tmp_path / "table.csv")
    ran = firstsight("similarities", clips / "monday.mp4", *anchor, "--model", clips / "run")
    assert ran.code == 2
    assert "nowhere.png" in ran.err


def test_a_library_keeps_its_rate(firstsight, clips: Path, tmp_path: Path) -> None:
    made = tmp_path / "a.library"
    assert firstsight("index", made, clips / "monday.mp4", "--model", clips / "run").code == 0
    ran = firstsight(
        "similarities", made, "--for", f"{clips / 'monday.mp4'}@1", "--out", tmp_path / "x.csv", "--fps", 5
    )
    assert ran.code == 2
    assert "--fps is for footage" in ran.err
    ran = firstsight("align", made, clips / "monday.mp4", "--model", clips / "run", "--fps", 2)
    assert ran.code == 0
