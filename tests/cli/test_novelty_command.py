import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from firstsight.errors import RunError
from firstsight.footage.source import open_source


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory, still_view: Callable[..., Path]) -> Path:
    """A still view, in which something small stands for a while."""
    return still_view(tmp_path_factory.mktemp("hall") / "hall.mp4", rows=slice(16, 32), columns=slice(24, 40))


def test_what_comes_is_found_and_each_frame_written(firstsight, run_folder: Path, hall: Path, tmp_path: Path) -> None:
    ran = firstsight("novelty", run_folder, hall, "--csv", tmp_path / "novelty.csv", "--json")
    assert ran.code == 0, ran.err
    (episode,) = json.loads(ran.out)["episodes"]
    assert (episode["start_seconds"], episode["end_seconds"]) == (8.0, 11.5)
    assert episode["novelty"] > 8
    rows = list(csv.DictReader((tmp_path / "novelty.csv").read_text().splitlines()))
    assert [row["novelty"] for row in rows[:11]] == [""] * 11
    assert (rows[16]["seconds"], rows[16]["frame"]) == ("8.000000", "80")
    assert float(rows[16]["novelty"]) > 8 > float(rows[15]["novelty"])


def test_each_episode_has_its_file(firstsight, run_folder: Path, hall: Path, tmp_path: Path) -> None:
    shutil.copy(hall, tmp_path / "=stairs.mp4")
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    files = (hall, tmp_path / "broken.mp4", tmp_path / "=stairs.mp4")
    ran = firstsight("novelty", run_folder, *files, "--json", "--csv", tmp_path / "n.csv")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)["episodes"]
    assert [(Path(one["source"]).name, one["start_seconds"]) for one in found] == [("hall.mp4", 8), ("=stairs.mp4", 8)]
    assert ran.err.count("broken.mp4 is not a video") == 1
    rows = list(csv.DictReader((tmp_path / "n.csv").read_text().splitlines()))
    assert {Path(row["source"]).name for row in rows} == {"hall.mp4", "=stairs.mp4"}
    lines = firstsight("novelty", run_folder, *files).out.splitlines()
    assert [line.split("/")[-1] for line in lines[1:]] == ["hall.mp4", "=stairs.mp4"]


@pytest.mark.parametrize(("end", "num"), [(0.3, 1), (0.8, 2)])
def test_of_hardly_any_frames_nothing_is_new(firstsight, run_folder: Path, hall: Path, end: float, num: int) -> None:
    out = firstsight("novelty", run_folder, hall, "--end", end).out
    assert out.startswith(f"0 of {num} frames were judged: the first 5 s, 8 frames or more, set the usual view; more")
    found = json.loads(firstsight("novelty", run_folder, hall, "--end", end, "--json").out)
    assert (found["num_frames"], found["num_judged"], found["num_setting_usual"]) == (num, 0, num)
    assert firstsight("novelty", run_folder, hall, "--start", 99).code == 2


def test_as_text(firstsight, run_folder: Path, hall: Path) -> None:
    assert "    8.00     11.50" in firstsight("novelty", run_folder, hall).out
    assert "21 of 32 frames were judged" in firstsight("novelty", run_folder, hall).err
    out = firstsight("novelty", run_folder, hall, "--end", 8).out
    assert out == "nothing new; 5 of 16 frames were judged: the first 5 s, 8 frames or more, set the usual view\n"


@pytest.mark.parametrize("command", ["novelty", "watch"])
def test_a_rate_of_nothing_is_one_line(firstsight, run_folder: Path, hall: Path, command: str) -> None:
    options = ["--novel", "--speed", 0] if command == "watch" else []
    ran = firstsight(command, run_folder, hall, "--fps", 0, *options)
    assert ran.code == 2
    assert "valid is a number above 0" in ran.err


def test_a_threshold_of_nothing_is_one_line(firstsight, run_folder: Path, hall: Path) -> None:
    ran = firstsight("novelty", run_folder, hall, "--least", 0)
    assert ran.code == 2
    assert "valid is above 0" in ran.err


def test_events_are_shown_on_a_page_and_cut_out(firstsight, run_folder: Path, hall: Path, tmp_path: Path) -> None:
    ran = firstsight("novelty", run_folder, hall, "--html", tmp_path / "new.html", "--clips", tmp_path / "clips")
    assert ran.code == 0, ran.err
    (clip,) = (tmp_path / "clips").iterdir()
    assert clip.name == "001-hall-7.00s.mp4"
    assert f"wrote {clip}" in ran.out
    with open_source(clip).read() as reading:
        assert [frame.seconds for frame in reading][-1] == pytest.approx(5.4)  # with a second before and after
    page = (tmp_path / "new.html").read_text()
    assert re.search(r'<a href="file:///[^"]*\.mp4#t=[\d.]+" title="open it there"><img', page)
    assert "Something new</b>, 8.00 s to 11.50 s" in page
    assert page.count("data:image/jpeg") == 2  # the frame, and where it is new
    assert "http" not in page.replace("http-equiv", "")


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (RunError("no space left"), 2)])
@pytest.mark.parametrize("as_json", [False, True])
def test_all_else_is_written_before_clips_are_cut(
    firstsight, run_folder: Path, hall: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, error, code, as_json
) -> None:
    def cut_events(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("firstsight.export.clips.cut_events", cut_events)
    files = tmp_path / "n.csv", tmp_path / "new.html"
    options = ("--csv", files[0], "--html", files[1], "--clips", tmp_path / "clips")
    ran = firstsight("novelty", run_folder, hall, *options, *["--json"] * as_json)
    assert ran.code == code, ran.err
    assert len(files[0].read_text().splitlines()) == 33
    assert "Something new" in files[1].read_text()
    if as_json:
        assert len(json.loads(ran.out)["episodes"]) == 1
    else:
        assert "    8.00     11.50" in ran.out
        assert f"wrote {files[1]}" in ran.out


def test_pictures_are_not_cut(firstsight, run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (64, 48)).save(tmp_path / "pictures" / "a.png")
    ran = firstsight("novelty", run_folder, tmp_path / "pictures", "--clips", tmp_path / "clips")
    assert ran.code == 2
    assert "clips can be cut out of video files alone" in ran.err


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of 20 pictures of a still view; something red stands in 12 to 14, and the last one has another size."""
    ground = np.repeat(np.repeat(np.random.default_rng(0).integers(60, 160, (6, 8, 3), np.uint8), 8, 0), 8, 1)
    (tmp_path / "pictures").mkdir()
    for number in range(20):
        picture = ground.copy()
        if 12 <= number < 15:
            picture[16:32, 24:40] = (250, 20, 20)
        Image.fromarray(picture[: 48 if number < 19 else 40]).save(tmp_path / "pictures" / f"{number:02}.png")
    return tmp_path / "pictures"


def test_the_pictures_of_a_folder_are_one_sequence(firstsight, run_folder: Path, pictures: Path) -> None:
    page = pictures.parent / "new.html"
    ran = firstsight("novelty", run_folder, pictures, "--html", page, "--json")
    assert ran.code == 0, ran.err
    (episode,) = json.loads(ran.out)["episodes"]
    assert (episode["source"], episode["last_source"]) == ("12.png", "14.png")
    assert (episode["start_seconds"], episode["end_seconds"]) == (12, 14)
    assert "12.png to 14.png" in page.read_text()
    assert page.read_text().count("<h2") <= 1
    assert "12.png to 14.png" in firstsight("novelty", run_folder, pictures).out


def test_a_folder_of_pictures_is_watched_as_one(firstsight, run_folder: Path, pictures: Path) -> None:
    ran = firstsight("watch", run_folder, pictures, "--novel", "--speed", 0, "--json")
    assert ran.code == 0, ran.err
    begins, ends = (json.loads(line) for line in ran.out.splitlines())
    assert (begins["kind"], ends["kind"]) == ("novel begins", "novel ends")
    assert (begins["start_seconds"], ends["end_seconds"]) == (12, 14)
