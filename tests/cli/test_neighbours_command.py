import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from firstsight import Encoder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("digits")
    random = np.random.default_rng(0)
    for index in range(12):
        (root / str(index % 2)).mkdir(exist_ok=True)
        pixels = random.integers(0, 256, (28, 28), dtype=np.uint8)
        Image.fromarray(pixels).save(root / str(index % 2) / f"{index}.png")
    return root


@pytest.fixture
def run(firstsight, pictures: Path, tmp_path: Path) -> Path:
    ran = firstsight("learn", pictures, "--form", "predecessor", "--frames-per-level", 20, "--out", tmp_path / "run")
    assert ran.code == 0, ran.err
    return tmp_path / "run"


def test_learn_takes_the_forms_and_what_replaces_their_values(firstsight, pictures: Path, tmp_path: Path) -> None:
    ran = firstsight(
        *("learn", pictures, "--out", tmp_path / "run", "--form", "earliest", "--frames-per-level", 4),
        *("--levels", 2, "--maps", 6, "--maps", 3, "--hidden-maps", 8, "--kernel", 3, "--no-freeze", "--pool"),
        *("--padding", "none", "--similarity", "cosine", "--check-every", 2),
    )
    assert ran.code == 0, ran.err
    assert re.search(r"level 2  3x5x5 +cap after 4 frames", ran.out), ran.out
    settings = Encoder.load(tmp_path / "run").provenance["settings"]
    assert settings["form"] == "earliest"
    assert (settings["similarity"], settings["learning_rate"]) == ("cosine", 0.8)
    assert settings["freeze_earlier_levels"] is False


def test_without_hidden_maps_a_level_is_one_convolution(firstsight, pictures: Path, tmp_path: Path) -> None:
    options = ("--hidden-maps", 0, "--form", "predecessor", "--frames-per-level", 10)
    ran = firstsight("learn", pictures, "--out", tmp_path / "run", *options)
    assert ran.code == 0, ran.err
    assert Encoder.load(tmp_path / "run").model.network.configs[0].hidden_maps is None


def test_neighbours_as_a_table_as_json_and_as_a_picture(firstsight, run: Path, pictures: Path, tmp_path: Path) -> None:
    anchors = ("--anchor", pictures / "0" / "4.png", "--anchor", pictures / "1" / "7.png")
    ran = firstsight("neighbours", run, pictures, *anchors, "-k", 3, "--out", tmp_path / "nearest.png")
    assert ran.code == 0, ran.err
    assert len(re.findall(r"^ +[123] +-?\d\.\d{3}  [01] +[01]/\d+\.png$", ran.out, re.MULTILINE)) == 6
    result = json.loads(firstsight("neighbours", run, pictures, *anchors, "-k", 3, "--json").out)
    assert [one["label"] for one in result["anchors"]] == ["0", "1"]
    for one in result["anchors"]:
        assert [near["rank"] for near in one["neighbours"]] == [1, 2, 3]
        for near in one["neighbours"]:
            assert near["label"] == near["file"].split("/")[0]
            assert near["file"] not in one["anchor"]
    with Image.open(io.BytesIO((tmp_path / "nearest.png").read_bytes())) as picture:
        assert picture.size == (4 * 118 + 6, 2 * 146 + 6)


def test_other_runs_compare_by_cosine(firstsight, run_folder: Path, moving_square: np.ndarray, tmp_path: Path) -> None:
    for index in (20, 21, 120):
        Image.fromarray(moving_square[index]).save(tmp_path / f"{index}.png")
    ran = firstsight("neighbours", run_folder, tmp_path, "--anchor", tmp_path / "20.png", "--json")
    assert ran.code == 0, ran.err
    (one,) = json.loads(ran.out)["anchors"]
    assert [near["file"] for near in one["neighbours"]] == ["21.png", "120.png"]
    encoder = Encoder.load(run_folder)
    vectors = encoder.encode(moving_square[[20, 21]])
    assert one["neighbours"][0]["similarity"] == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-5)


def test_of_one_other_picture_it_is_the_neighbour_and_odd_ones_are_told(
    firstsight, run_folder: Path, moving_square: np.ndarray, tmp_path: Path
) -> None:
    for name in ("a.png", "[bold]b.png"):
        Image.fromarray(moving_square[20]).save(tmp_path / name)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    ran = firstsight(
        "neighbours", run_folder, tmp_path, "--anchor", tmp_path / "a.png", "--out", tmp_path / "n" / "n.png"
    )
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[2].endswith("  [bold]b.png")
    assert [line for line in ran.err.splitlines() if "broken.png" in line]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("{pictures}", "--anchor", "missing.png"), "missing.png"),
        (("{pictures}", "--anchor", "{pictures}/0/4.png", "-k", "0"), "valid is an integer from 1"),
        (("{empty}", "--anchor", "{pictures}/0/4.png"), "no video or picture"),
        (("{empty}/nothing", "--anchor", "{pictures}/0/4.png"), "nothing"),
        (("{pictures}/0/4.png", "--anchor", "{pictures}/0/4.png"), "no picture besides the anchor"),
    ],
)
def test_one_line_says_what_is_wrong(
    firstsight, run: Path, pictures: Path, tmp_path: Path, arguments: tuple, words: str
) -> None:
    (tmp_path / "empty").mkdir()
    ran = firstsight("neighbours", run, *(one.format(pictures=pictures, empty=tmp_path / "empty") for one in arguments))
    assert ran.code == 2
    lines = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert words in lines[0]
    assert "Traceback" not in ran.err


def test_help_has_an_example(firstsight) -> None:
    assert "Example: firstsight neighbours" in re.sub(r"\s+", " ", firstsight("neighbours", "--help").out)
