"""`firstsight evaluate`: what a user reads, and one line for each way to go wrong."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import firstsight as package

_METHODS = ["this encoder", "random filters", "16x16 thumbnail", "perceptual hash", "colour histogram", "HOG", "CoHOG"]
_USES = ["find again", "same place", "what is new", "more clips"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders of 20 pictures: stripes, upright or lying, each in its own colours and place."""
    root = tmp_path_factory.mktemp("stripes")
    random = np.random.default_rng(0)
    for index in range(40):
        lines = (np.arange(32) + random.integers(8)) // 4 % 2
        colours = random.integers(0, 256, (2, 3))
        picture = np.broadcast_to(colours[lines], (32, 32, 3)) + random.normal(size=(32, 32, 3)) * 12
        upright = picture.clip(0, 255).astype(np.uint8)
        path = root / ("upright" if index % 2 else "lying") / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(upright if index % 2 else np.ascontiguousarray(upright.transpose(1, 0, 2))).save(path)
    return root


@pytest.fixture(scope="module")
def run(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "stripes"
    package.learn(pictures, out=folder)
    return folder


def expect_one_line(ran: object, words: str) -> None:
    assert ran.code == 2, ran
    assert ran.out == ""
    lines = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, ran.err
    assert words in lines[0]
    assert "Traceback" not in ran.err


def test_without_labels_a_table_and_a_verdict(firstsight, run_folder: Path, clip: Path) -> None:
    ran = firstsight("evaluate", run_folder, clip, "--max-frames", 20)
    assert ran.code == 0, ran.err
    for name in _METHODS:
        assert re.search(rf"^ *{name} +\d+\.\d( ± \d+\.\d)?( +\d+\.\d){{4}} *$", ran.out, re.MULTILINE), ran.out
    for name in ("same frame", "other view", "other light", "noise", "neighbours"):
        assert re.search(rf"^{name} +\S", ran.out, re.MULTILINE)
    lines = ran.out.splitlines()[-4:]
    assert [line.split(": ")[0] for line in lines] == _USES
    assert re.search(
        r"same frame \d+\.\d( ± \d+\.\d)? %; (better than|not better:|no clear difference from) ", lines[0]
    )
    assert lines[1].startswith(
        "same place: cannot be judged: nothing says which frames show the same place; `firstsight evaluate` takes --l"
    )
    assert re.match(r"what is new: (newer \d|cannot be judged: \S)", lines[2])
    assert "figures in percent (--json: shares, 0 to 1)" in ran.out


def test_with_the_folders_as_labels_as_json(firstsight, run: Path, pictures: Path) -> None:
    ran = firstsight("evaluate", run, pictures, "--labels", "folders", "--json")
    assert ran.code == 0, ran.err
    content = json.loads(ran.out)
    assert list(content["scores"]) == _METHODS
    assert content["num_frames"] == content["num_read"] == 40
    for scores in content["scores"].values():
        assert set(scores) == {*content["columns"], "standard_error"}
        assert all(0 <= value <= 1 for value in scores.values() if value is not None)
    assert [name for name, scores in content["scores"].items() if scores["linear"] is None] == ["CoHOG"]
    assert content["scores"]["this encoder"]["kNN"] >= 0.7  # not by colour nor by place
    assert [line.split(": ")[0] for line in content["verdicts"]] == list(content["uses"]) == _USES
    assert content["uses"]["same place"]["scores"] == content["scores"]
    assert list(content["uses"]["find again"]["scores"]) == _METHODS
    assert {name: use["judged"] for name, use in content["uses"].items()} == {
        "find again": True,
        "same place": True,
        "what is new": False,
        "more clips": True,
    }
    assert "the view moves" in content["uses"]["what is new"]["verdict"]
    assert content["uses"]["more clips"]["verdict"].startswith(
        "yes: even of what it learned from it finds no more again"
    )
    assert content["unit"] == "share, 0 to 1"
    assert not [meaning for meaning in content["columns"].values() if "%" in meaning]


def test_a_csv_that_leaves_some_without_a_label(firstsight, run: Path, pictures: Path, tmp_path: Path) -> None:
    lines = [f"{index}.png,{'odd' if index % 2 else 'even'}" for index in range(30)] + ["77.png,odd"]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label", *lines]))
    ran = firstsight("evaluate", run, pictures, "--labels", tmp_path / "labels.csv")
    assert ran.code == 0, ran.err
    assert "30 frames with 2 labels" in ran.out
    assert "note: 10 of 40 frames have no label and are left out" in ran.out
    assert "1 of its files are not in the source, such as 77.png" in ran.out


def test_a_second_pass(firstsight, run_folder: Path, moving_square: np.ndarray, tmp_path: Path) -> None:
    for index in range(40):
        Image.fromarray(moving_square[index % 20 * 3]).save(tmp_path / f"{index:02}.png")
    ran = firstsight("evaluate", run_folder, tmp_path, "--second-pass", 20, "--json")
    assert ran.code == 0, ran.err
    content = json.loads(ran.out)
    assert content["scores"]["16x16 thumbnail"]["on path"] == 1
    assert content["scores"]["16x16 thumbnail"]["order"] > 0.5


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        (None, ("--labels", "{csv}"), "cannot be read (No such file"),
        ("name,label\n1.png,a\n", ("--labels", "{csv}"), "has the columns name, label"),
        ("file,label\n99.png,a\n", ("--labels", "{csv}"), "it names '99.png'"),
        ("file,label\n1.png,a\n3.png,b\n", ("--labels", "{csv}"), "has 2 frames with a label to ask about"),
        ("\n".join(["file,label", *(f"{n}.png,a" for n in range(40))]), ("--labels", "{csv}"), "have the label 'a'"),
        (None, ("--labels", "folders", "--second-pass", "3"), "two questions; give one"),
        (None, ("--second-pass", "500"), "a second pass from 500 s leaves 40 frames before and 0 after"),
        (None, ("--max-frames", "5"), "at most 5 frames; valid is 20 or more"),
    ],
)
def test_one_line_says_what_is_wrong(
    firstsight, run: Path, pictures: Path, tmp_path: Path, text: str | None, options: tuple, words: str
) -> None:
    if text is not None:
        (tmp_path / "labels.csv").write_text(text)
    given = (option.format(csv=tmp_path / "labels.csv") for option in options)
    expect_one_line(firstsight("evaluate", run, pictures, *given), words)


def test_footage_with_nothing_to_ask(firstsight, run: Path, pictures: Path, tmp_path: Path) -> None:
    for index in range(2):
        Image.fromarray(np.full((32, 32, 3), 90 * index, np.uint8)).save(tmp_path / f"{index}.png")
    expect_one_line(firstsight("evaluate", run, tmp_path), "2 frames to ask about; give at least 20")
    expect_one_line(firstsight("evaluate", run, pictures / "lying", "--labels", "folders"), "0 frames with a label")
    for index in range(25):
        Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(tmp_path / f"{index}.png")
    expect_one_line(firstsight("evaluate", run, tmp_path), "the frames are all alike")
    expect_one_line(firstsight("evaluate", tmp_path / "no run", pictures), "no run")


def test_ctrl_c_says_what_is_kept(firstsight, run: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(package.Encoder, "similarities", interrupted)  # asked before anything is learned
    ran = firstsight("evaluate", run, pictures)
    assert ran.code == 130
    assert "interrupted; nothing is kept" in ran.err


def test_help_has_an_example(firstsight) -> None:
    assert "Example: firstsight evaluate" in re.sub(r"\s+", " ", firstsight("evaluate", "--help").out)
