"""The examples run."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from library_made import write_video
from PIL import Image

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_bikes_prints_where_the_clip_lies(bikes: Path) -> None:
    printed = subprocess.run([sys.executable, EXAMPLES / "bikes.py"], capture_output=True, text=True, check=True)
    assert Path(printed.stdout.strip()) == bikes


@pytest.mark.usefixtures("bikes")  # the clips that the demo takes pictures of come in one package
def test_the_demo_makes_one_page_that_needs_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_page = runpy.run_path(str(EXAMPLES / "demo.py"))["make_page"]
    video = write_video(tmp_path / "<b>walk.mp4", seed=0, num_frames=30)
    (tmp_path / "demo" / "clips.library").mkdir(parents=True)  # of a run before
    page = make_page(tmp_path / "demo", video=video, num_frames=20)
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"(?:src|href)=\"(?!data:)", text)
    assert "<b>walk" not in text
    assert [int(number) for number in re.findall(r"<h2>(\d)\.", text)] == [1, 2, 3, 4, 5]
    assert text.count("untrained, the same seed") == 4
    assert 'src="data:video/mp4;base64,' in text
    assert len(re.findall(r'class="verdict">(?:No match|\d+ moments? match)', text)) == 2
    lines = capsys.readouterr().out.splitlines()
    assert all(re.match(r" *\d+ s  ", line) for line in lines)
    assert str(page) in lines[-1]


def test_the_film_moves(tmp_path: Path) -> None:
    make_film = runpy.run_path(str(EXAMPLES / "film.py"))["make_film"]
    clip = write_video(tmp_path / "walk.mp4", seed=0, num_frames=10)
    make_film(clip, tmp_path / "film.webp", anchor_seconds=0.2, every=2)
    with Image.open(tmp_path / "film.webp") as film:
        assert (film.n_frames, film.width) == (5, 128)


def test_the_pictures_of_agreement_are_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_moments = runpy.run_path(str(EXAMPLES / "agreement.py"))["write_moments"]
    clip = write_video(tmp_path / "walk.mp4", seed=0, num_frames=12)
    write_moments(clip, [(0.2, 0.2), (0.2, 0.4)], tmp_path / "pair.jpg")
    assert re.search(r"^  100 % agrees, \d+ matches$", capsys.readouterr().out, re.MULTILINE)
    with Image.open(tmp_path / "pair.jpg") as picture:
        assert picture.height == 2 * 180 + 8
