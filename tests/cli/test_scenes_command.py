import csv
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from firstsight.footage.encoding import VideoWriter
from firstsight.progress import Progress


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 frames of one scene and 40 of another, 64x48 at 25 frames/s."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    pictures = [
        np.repeat(np.repeat(np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8), 8, 0), 8, 1)
        for seed in (1, 2)
    ]
    with VideoWriter(path, size=(64, 48)) as writer:
        for index in range(80):
            writer.write(np.roll(pictures[index // 40], index // 8, axis=1), seconds=index / 25)
    return path


def test_scenes_as_text_as_json_and_as_a_table(firstsight, film: Path, tmp_path: Path) -> None:
    ran = firstsight("scenes", film, "--out", tmp_path / "scenes.csv", "--json")
    assert ran.code == 0, ran.err
    first, second = json.loads(ran.out)["scenes"]
    assert (first["begins"], first["last_frame"]) == (None, 39)
    assert (second["begins"], second["first_frame"], second["start_seconds"]) == ("cut", 40, pytest.approx(1.6))
    rows = list(csv.DictReader((tmp_path / "scenes.csv").read_text().splitlines()))
    assert [row["first_frame"] for row in rows] == ["0", "40"]
    assert rows[1]["start_seconds"] == "1.600000"


def test_a_run_looks_in_place_of_one_learned_here(firstsight, run_folder: Path, film: Path) -> None:
    ran = firstsight("scenes", film, "--run", run_folder)
    assert ran.code == 0, ran.err
    assert "film.mp4: 2 scenes" in ran.out
    assert "40-79  with a cut" in ran.out


@pytest.mark.parametrize("num_whole", [0, 1])
def test_interrupted_it_tells_the_scenes_of_whole_videos(
    firstsight, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_whole: int
) -> None:
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(film, tmp_path / name)

    def press(_: object, progress: Progress) -> None:
        if progress.done > 80 * num_whole:
            raise KeyboardInterrupt

    monkeypatch.setattr("firstsight.cli.output.Display.progress", press)
    ran = firstsight("scenes", tmp_path, "--out", tmp_path / "scenes.csv")
    assert ran.code == 130
    assert [line for line in ran.out.splitlines() if "scenes" in line][:num_whole] == ["a.mp4: 2 scenes"][:num_whole]
    assert (tmp_path / "scenes.csv").exists() == bool(num_whole)
    (tmp_path / "scenes.csv").write_text("all of it")
    ran_as_json = firstsight("scenes", tmp_path, "--out", tmp_path / "scenes.csv", "--json")
    assert (tmp_path / "scenes.csv").read_text() == "all of it"
    assert not num_whole or json.loads(ran_as_json.out)["is_complete"] is False
    assert ("interrupted; these are the scenes of the videos that were finished" in ran.err) == bool(num_whole)


def test_pictures_have_no_scenes(firstsight, tmp_path: Path) -> None:
    for number in range(2):
        Image.new("RGB", (64, 48)).save(tmp_path / f"{number}.png")
    ran = firstsight("scenes", tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert "scenes are of videos, and these are pictures; give a video" in ran.err


def test_what_cannot_be_read_is_one_line(firstsight, tmp_path: Path) -> None:
    ran = firstsight("scenes", tmp_path / "missing.mp4")
    assert ran.code == 2
    assert "missing.mp4" in ran.err


def test_no_name_reaches_terminal_table_or_json_raw(firstsight, run_folder: Path, film: Path, tmp_path: Path) -> None:
    name = os.fsencode("=[bold]two\nlines\x1b[2J") + b"\xe9.mp4"
    shutil.copy(film, os.fsencode(tmp_path) + b"/" + name)
    shown = r"=[bold]two\nlines\x1b[2J\xe9.mp4"
    ran = firstsight("scenes", tmp_path, "--run", run_folder, "--out", tmp_path / "s.csv")
    assert ran.out.splitlines()[0] == f"{shown}: 2 scenes"
    assert {row["source"] for row in csv.DictReader((tmp_path / "s.csv").read_text().splitlines())} == {f"'{shown}"}
    found = json.loads(firstsight("scenes", tmp_path, "--run", run_folder, "--json").out)
    assert found["scenes"][0]["source"] == shown


@pytest.mark.parametrize(("end", "last"), [(0.03, 0), (0.07, 1)])
def test_hardly_any_frames_are_one_scene(firstsight, run_folder: Path, film: Path, end: float, last: int) -> None:
    (scene,) = json.loads(firstsight("scenes", film, "--run", run_folder, "--end", end, "--json").out)["scenes"]
    assert (scene["first_frame"], scene["last_frame"], scene["start_seconds"]) == (0, last, 0.0)
    assert scene["end_seconds"] == pytest.approx((last + 1) / 25)
    assert firstsight("scenes", film, "--run", run_folder, "--start", 99).code == 2
