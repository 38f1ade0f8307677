"""`firstsight search` as a person and as a program use it."""

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import firstsight as package
from firstsight.cli.search import _table
from firstsight.footage.encoding import VideoWriter
from firstsight.footage.source import open_source
from firstsight.indexing.index_files import add
from firstsight.library.store import Store


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory, moving_square: np.ndarray) -> Path:
    """Two videos of 8 s, the second one with the first one's colours exchanged, and a picture."""
    root = tmp_path_factory.mktemp("it's footage [1]")
    for name, frames in (("day.mp4", moving_square), ("night.mp4", 255 - moving_square)):
        with VideoWriter(root / name, size=(64, 48)) as writer:
            for index, frame in enumerate(frames[:200]):
                writer.write(frame, seconds=index / 25)
    Image.fromarray(moving_square[220]).save(root / "still.png")
    return root


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, footage: Path, moving_square: np.ndarray) -> Path:
    encoder = package.learn(moving_square[::4], method="random")
    with Store.create(tmp_path_factory.mktemp("libraries") / "squares", encoder, frames_per_second=5) as library:
        add(library, [footage / "day.mp4", footage / "night.mp4", footage / "still.png"])
    return library.path


@pytest.fixture
def ask(firstsight, library: Path, footage: Path):
    def run(query: str, *options: object):
        return firstsight("search", library, footage / query, *options)

    return run


def test_the_table_says_what_when_and_how_unusual(ask) -> None:
    ran = ask("day.mp4@3.2", "-k", 3)
    assert ran.code == 0, ran.err
    first = ran.out.splitlines()[1]
    assert re.search(r"^day\.mp4 \(the query itself\) +\d+\.\d\d s +\d+\.\d\d s +3\.20 s +1\.000 +< 0\.01 %$", first), (
        first
    )
    assert "by chance: the share of searches for something absent that get as close." in ran.out
    assert re.search(r"moments? match(es)?, of similarity 0\.\d{3} or more\. The first is the query itself\.", ran.out)


def test_on_a_narrow_terminal_names_are_shortened_and_elsewhere_complete(
    firstsight, footage: Path, library: Path, tmp_path: Path
) -> None:
    name = "entrance-north-2024-05-17-with-a-name-that-is-rather-long-and-differs-at-its-end-01.mp4"
    (tmp_path / name).symlink_to(footage / "day.mp4")
    with Store.create(tmp_path / "library", Store.open(library).encoder, frames_per_second=5) as store:
        add(store, [tmp_path / name, footage / "night.mp4"])
    with package.Library.open(tmp_path / "library") as opened:
        result = opened.search(footage / "day.mp4@3.2", box=(12, 10, 20, 18), k=5, nearest=True)
    printed = {}
    for width in (80, None):
        console = Console(width=width or 1000, file=io.StringIO())
        console.print(_table(result, width=width))
        printed[width] = console.file.getvalue().splitlines()
    assert all(len(line) <= 80 for line in printed[80])
    assert "entrance...nd-01.mp4 " in printed[80][1]
    assert "12,10,20,18" in printed[80][1]
    assert name in printed[None][1]
    assert len(printed[80]) == len(printed[None]) == 1 + len(result.matches) + len(result.below) + bool(result.below)
    ran = firstsight("search", tmp_path / "library", f"{footage / 'day.mp4'}@3.2", "--box", "12,10,20,18", "--nearest")
    assert name in ran.out


def test_json_is_one_object_with_everything(ask) -> None:
    found = json.loads(ask("day.mp4@3.2", "--json").out)
    assert found["is_match"] is True
    assert found["query"] == "day.mp4@3.2"
    assert (found["num_frames"], found["num_sources"]) == (81, 3)
    best = found["matches"][0]
    assert best["is_query"] is True
    assert best["best_seconds"] == pytest.approx(3.2)
    assert best["start_seconds"] <= best["best_seconds"] < best["end_seconds"]
    assert best["similarity"] >= found["threshold"]
    assert 0 <= best["false_match_probability"] < found["false_match_rate"] == 0.05
    assert 0.9 < best["closer_than"] < 1
    assert [one["similarity"] for one in found["matches"]] == sorted(
        (one["similarity"] for one in found["matches"]), reverse=True
    )


def test_no_match_is_said_and_is_no_error(ask) -> None:
    options = ("--false-match-rate", "1e-9", "--not-itself", "--source", "night.mp4")
    ran = ask("day.mp4@3.2", *options)
    assert ran.code == 0
    assert re.match(r"No match\. The nearest frame, night\.mp4 at \d\.\d\d s, has similarity -?0\.\d{3}\.", ran.out)
    found = json.loads(ask("day.mp4@3.2", *options, "--json").out)
    assert (found["is_match"], found["matches"], found["num_matches"]) == (False, [], 0)
    assert found["nearest"]["source"] == "night.mp4"


@pytest.mark.parametrize(
    ("options", "sources", "first", "last"),
    [
        (("--source", "day*"), {"day.mp4"}, 0, 8),
        (("--source", "*.mp4", "--between", "2-4"), {"day.mp4", "night.mp4"}, 2, 4.2),
        (("--between", "6-"), {"day.mp4", "night.mp4"}, 6, 8),
        (("--between", "-1.5"), {"day.mp4", "night.mp4", "still.png"}, 0, 1.6),
        (("--not-itself",), {"night.mp4", "still.png"}, 0, 8),
    ],
)
def test_only_what_is_meant_is_searched(ask, options: tuple, sources: set, first: float, last: float) -> None:
    found = json.loads(ask("day.mp4@3.2", *options, "--nearest", "-k", 99, "--json").out)
    shown = [*found["matches"], *found["below"]]
    assert {one["source"] for one in shown} == sources
    assert all(first <= one["start_seconds"] <= one["end_seconds"] <= last + 1e-6 for one in shown)


def test_csv_page_and_clips(ask, tmp_path: Path) -> None:
    files = ("--csv", tmp_path / "found.csv", "--html", tmp_path / "found.html", "--clips", tmp_path / "clips")
    ran = ask("day.mp4@3.2", "-k", 2, *files)
    assert ran.code == 0, ran.err
    with (tmp_path / "found.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["rank"] for row in rows] == [str(rank) for rank in range(1, len(rows) + 1)]
    assert rows[0]["source"] == "day.mp4"
    page = (tmp_path / "found.html").read_text()
    assert page.count("data:image/jpeg;base64,") >= 2  # the query and a thumbnail
    assert not re.search(r"src\s*=\s*[\"'](?!data:)|href\s*=\s*[\"'](?!data:|file:)|url\(|@import|<script", page)
    opens = re.findall(r'<a href="file://(/[^"#]+)#t=([\d.]+)" title="open it there"><img', page)
    assert ("day.mp4", f"{float(rows[0]['best_seconds']):.2f}") in {(Path(path).name, at) for path, at in opens}
    assert re.search(r"something absent gets this close in <b>less than 0\.01 %</b> of searches", page)
    assert re.search(r"higher than of more than 99\.\d+ % of unrelated pairs", page)
    clips = sorted((tmp_path / "clips").iterdir())
    assert clips[0].name == f"001-day-{float(rows[0]['start_seconds']):.2f}s.mp4"
    length = float(rows[0]["end_seconds"]) - float(rows[0]["start_seconds"])
    assert open_source(clips[0]).num_frames() == pytest.approx(25 * length, abs=1)
    assert str(clips[0]) in ran.out


def test_a_page_can_say_that_there_is_no_match(ask, tmp_path: Path) -> None:
    ran = ask("still.png", "--not-itself", "--false-match-rate", "1e-9", "--html", tmp_path / "none.html")
    assert ran.code == 0, ran.err
    page = (tmp_path / "none.html").read_text()
    assert "No match." in page
    assert "The nearest there is, which is no match" in page


def test_a_box_is_found_where_it_is(ask, tmp_path: Path) -> None:
    found = json.loads(
        ask(
            "day.mp4@3.2", "--box", "12,10,20,18", "--false-match-rate", 0.9, "--html", tmp_path / "box.html", "--json"
        ).out
    )
    best = found["matches"][0]
    assert (best["is_query"], best["best_seconds"]) == (True, pytest.approx(3.2))
    assert best["similarity"] > 0.8  # the library's pictures are JPEG files
    assert [best[name] for name in ("x", "y", "width", "height")] == [12, 10, 20, 18]
    assert (best["picture_width"], best["picture_height"]) == (64, 48)
    assert found["num_frames"] == 81
    assert "data:image/jpeg" in (tmp_path / "box.html").read_text()
    assert " box" in ask("day.mp4@3.2", "--box", "12,10,20,18", "--source", "day.mp4", "--false-match-rate", 0.9).out


@pytest.mark.parametrize(
    ("query", "options", "words"),
    [
        ("missing.png", (), "no file"),
        ("day.mp4", (), "needs a time"),
        ("day.mp4@99", (), "is over before 99 s"),
        ("day.mp4@1", ("-k", 0), "0 moments"),
        ("day.mp4@1", ("--between", "4"), "60-90"),
        ("day.mp4@1", ("--between", "4-2"), "not after the start"),
        ("day.mp4@1", ("--between", "x-2"), "60-90"),
        ("day.mp4@1", ("--source", "dawn*"), "dawn*"),
        ("day.mp4@1", ("--between", "90-"), "no frame to search"),
        ("day.mp4@1", ("--false-match-rate", 5), "false-match rate 5"),
        ("day.mp4@1", ("--box", "1,2,3"), "x,y,width,height"),
        ("day.mp4@1", ("--box", "50,2,30,5"), "picture, which is 64x48"),
        ("day.mp4@1", ("--csv", "/proc/nothing/found.csv"), "cannot be written"),
    ],
)
def test_one_line_says_what_is_wrong(ask, query: str, options: tuple, words: str) -> None:
    ran = ask(query, *options)
    assert ran.code == 2, ran
    errors = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert words in errors[0]
    assert "Traceback" not in ran.err


def test_a_folder_that_is_no_library(firstsight, footage: Path) -> None:
    ran = firstsight("search", footage, footage / "still.png")
    assert ran.code == 2
    assert "not a library" in ran.err


def test_help_has_an_example(firstsight) -> None:
    assert "Example: firstsight search" in re.sub(r"\s+", " ", firstsight("search", "--help").out)
