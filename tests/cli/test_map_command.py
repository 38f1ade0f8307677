"""map from the command line: three files that agree."""

import csv
import json
import re
import sys
from pathlib import Path

import pytest
from PIL import Image

from firstsight.indexing.index_files import add
from firstsight.library.store import Store

sys.path.insert(0, str(Path(__file__).parents[1] / "retrieval"))
from library_made import small_encoder, write_video


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("walks")
    videos = [write_video(root / f"{name}.mp4", seed=seed) for seed, name in enumerate(("a <b>", "c"))]
    with Store.create(root / "library", small_encoder(), frames_per_second=5) as library:
        add(library, videos)
    return library.path


def test_csv_picture_and_page(firstsight, library: Path, tmp_path: Path) -> None:
    ran = firstsight("map", library, "--out", tmp_path / "map")
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[0] == "All 40 frames."
    with (tmp_path / "map" / "map.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 40
    assert {row["source"] for row in rows} == {"a <b>.mp4", "c.mp4"}
    assert all(0 <= float(row[axis]) <= 1.000001 for row in rows for axis in ("x", "y"))
    with Image.open(tmp_path / "map" / "map.png") as picture:
        assert min(picture.size) > 1000
    page = (tmp_path / "map" / "map.html").read_text()
    assert page.count("<circle") == 40
    assert page.count("data:image/jpeg;base64,") > 5
    assert re.search(r'<a href="file:///[^"]*/a%20%3Cb%3E\.mp4#t=0\.00"><circle', page)
    assert "a &lt;b&gt;.mp4 at 0.00 s" in page
    assert not re.search(r"src\s*=\s*[\"'](?!data:)|href\s*=\s*[\"'](?!data:|file:)|url\(|@import|<script", page)


def test_only_some_frames_as_json(firstsight, library: Path, tmp_path: Path) -> None:
    ran = firstsight("map", library, "--out", tmp_path, "--source", "c.mp4", "--between", "1-3", "--json")
    found = json.loads(ran.out)
    assert (found["out"], found["num_shown"], found["num_frames"]) == (str(tmp_path), 10, 10)
    assert [point["source"] for point in found["points"]] == 10 * ["c.mp4"]


def test_too_few_frames_are_one_line(firstsight, library: Path, tmp_path: Path) -> None:
    for num, between in enumerate(("90-99", "0-0.1", "0-0.3", "0-0.5")):
        ran = firstsight("map", library, "--out", tmp_path, "--between", between, "--source", "c.mp4")
        assert ran.code == 2
        assert f"a map of {num} frames; valid is at least 4" in ran.err
    assert "Example: firstsight map" in " ".join(firstsight("map", "--help").out.split())


def test_an_empty_library_is_one_line(firstsight, tmp_path: Path) -> None:
    Store.create(tmp_path / "library", small_encoder())
    for command, out in (("map", "map"), ("export", "all.csv"), ("export", "all.npz"), ("export", "samples.json")):
        ran = firstsight(command, tmp_path / "library", "--out", tmp_path / out)
        assert (ran.code, len(ran.err.splitlines())) == (2, 1), ran.err
        assert not (tmp_path / out).exists()
