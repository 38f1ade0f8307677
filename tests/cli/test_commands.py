import csv
import json
import re
import shutil
import signal
from html.parser import HTMLParser
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from firstsight import Encoder, compare, open_source
from firstsight.comparison.compare import AtSeconds, BelowSimilarity, EveryNFrames
from firstsight.searching.regions import Box


def test_learn_prints_what_it_sees_how_levels_ended_and_where_it_is(
    firstsight, small: tuple, clip: Path, tmp_path: Path
) -> None:
    ran = firstsight("learn", clip, "--out", tmp_path / "run", *small)
    assert ran.code == 0, ran.err
    assert "the network gets 75 % of each 64x48 picture, 48x48 in the middle" in ran.err
    assert re.search(r"level 1 ended by cap after 41 frames: largest similarity \d\.\d{3}, threshold 0\.30", ran.err)
    assert "threshold 0.20" in ran.err
    assert re.search(r"level 2  4x5x5 +cap after 41 frames +max\|similarity\| \d\.\d+ -> \d\.\d+ on 24 frames", ran.out)
    assert "learned from 82 frames (216 in a pass)" in ran.out
    assert Encoder.load(tmp_path / "run").dim == 100


def test_learn_as_json(firstsight, small: tuple, clip: Path, tmp_path: Path) -> None:
    ran = firstsight("learn", clip, "--out", tmp_path / "run", "--json", *small)
    result = json.loads(ran.out)
    assert [level["outcome"] for level in result["levels"]] == ["cap", "cap"]


def test_an_existing_run_needs_force(firstsight, small: tuple, clip: Path, tmp_path: Path) -> None:
    assert firstsight("learn", clip, "--out", tmp_path / "run", *small).code == 0
    ran = firstsight("learn", clip, "--out", tmp_path / "run", *small)
    assert ran.code == 2
    assert "overwrite it with --force" in ran.err
    assert firstsight("learn", clip, "--out", tmp_path / "run", "--force", *small).code == 0


def test_info(firstsight, run_folder: Path) -> None:
    ran = firstsight("info", run_folder)
    assert ran.code == 0
    assert "embedding     100 numbers" in ran.out
    assert "cap after 41 frames" in ran.out
    assert json.loads(firstsight("info", run_folder, "--json").out)["provenance"]["seed"] == 0


def test_info_of_the_authors_file(firstsight, article_weights: Path) -> None:
    ran = firstsight("info", article_weights)
    assert "model_videoplayback_1.pth" in ran.out
    assert "level 4  16x10x10" in ran.out


class Addresses(HTMLParser):
    """Everything that a page would load or link to."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.linked: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in {"src", "srcset", "data", "action", "poster"} or (name == "href" and tag == "link"):
                self.loaded.append(value or "")
            elif name == "href":
                self.linked.append(value or "")


def test_compare_writes_timeline_plot_film_and_report(firstsight, run_folder: Path, clip: Path, tmp_path: Path) -> None:
    ran = firstsight("compare", run_folder, clip, "--out", tmp_path / "out", "--anchor-every", 50)
    assert ran.code == 0, ran.err
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "timeline.csv",
        "timeline.png",
        "comparison.mp4",
        "report.html",
    }
    expected = list(compare(Encoder.load(run_folder), clip, anchor=EveryNFrames(50)))
    with (tmp_path / "out" / "timeline.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["seconds", "frame", "anchor_seconds", "similarity", "source", "anchor_source"]
    assert {(row["source"], row["anchor_source"]) for row in rows} == {(clip.name, clip.name)}
    assert [int(row["frame"]) for row in rows] == [one.frame.index for one in expected]
    np.testing.assert_allclose([float(row["similarity"]) for row in rows], [c.similarity for c in expected], atol=2e-6)
    np.testing.assert_allclose([float(row["seconds"]) for row in rows], [c.frame.seconds for c in expected], atol=1e-6)

    with av.open(str(tmp_path / "out" / "comparison.mp4")) as film:
        assert film.streams.video[0].codec_context.name == "h264"
        pictures = list(film.decode(video=0))
    assert len(pictures) == len(rows)
    assert float(pictures[-1].time) == pytest.approx(float(rows[-1]["seconds"]) - float(rows[0]["seconds"]), abs=0.2)

    with Image.open(tmp_path / "out" / "timeline.png") as plot:
        assert plot.width > 1000
    page = (tmp_path / "out" / "report.html").read_text()
    addresses = Addresses()
    addresses.feed(page)
    assert len(addresses.loaded) > 15
    assert all(address.startswith("data:image/") for address in addresses.loaded)
    assert {address.partition("#t=")[0] for address in addresses.linked} == {
        "comparison.mp4",
        "timeline.csv",
        clip.as_uri(),  # each picture opens its moment
    }
    assert "http" not in re.sub(r'src="data:[^"]*"', "", page)
    for words in (
        "Most similar",
        "Least similar",
        "What the network gets",
        "Level 2",
        "ended by cap",
        "before learning",
    ):
        assert words in page


def test_compare_with_a_picture_and_as_json(
    firstsight, run_folder: Path, clip: Path, tmp_path: Path, moving_square
) -> None:
    Image.fromarray(moving_square[20]).save(tmp_path / "anchor.png")
    ran = firstsight(
        "compare", run_folder, clip, "--out", tmp_path / "out", "--anchor-image", tmp_path / "anchor.png", "--json"
    )
    result = json.loads(ran.out)
    assert (result["num_compared"], result["num_anchors"], result["num_skipped"]) == (240, 1, 0)
    assert result["most_similar"]["similarity"] > 0.99
    lines = (tmp_path / "out" / "timeline.csv").read_text().splitlines()
    assert {line.split(",")[2] for line in lines[1:]} == {""}


@pytest.mark.parametrize(
    ("options", "settings", "sampled"),
    [
        (("--anchor-below", 0.9), {"anchor": BelowSimilarity(0.9)}, {}),
        (
            ("--anchor-at", 2.5, "--level", 1, "--dimensions", 0),
            {"anchor": AtSeconds(2.5), "level": 1, "num_dimensions": 0},
            {},
        ),
        (("--over-last", 16, "--centred", "--every", 3), {"over_last": 16, "centred": True}, {"every": 3}),
        (
            ("--start", 1, "--end", 4, "--fps", 5),
            {},
            {"start_seconds": 1, "end_seconds": 4, "frames_per_second": 5},
        ),
        (
            ("--anchor-at", 2.5, "--box", "20,10,30,30", "--fps", 5),
            {"anchor": AtSeconds(2.5), "box": Box(20, 10, 30, 30)},
            {"frames_per_second": 5},
        ),
    ],
)
def test_compare_takes_all_its_options(
    firstsight, run_folder: Path, clip: Path, tmp_path: Path, options: tuple, settings: dict, sampled: dict
) -> None:
    ran = firstsight("compare", run_folder, clip, "--out", tmp_path / "out", *options, "--json")
    assert ran.code == 0, ran.err
    result = strict(ran.out)
    with (tmp_path / "out" / "timeline.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    source = open_source(clip, **sampled)
    expected = list(compare(Encoder.load(run_folder), source, **settings))
    assert [int(row["frame"]) for row in rows] == [one.frame.index for one in expected]
    values = [None if not row["similarity"] else float(row["similarity"]) for row in rows]
    assert values == [None if c.similarity is None else pytest.approx(c.similarity, abs=2e-6) for c in expected]
    assert values[0] is None or not settings.get("centred")
    known = [value for value in values if value is not None]
    assert result["num_compared"] == len(rows)
    assert result["mean_similarity"] == pytest.approx(np.mean(known), abs=2e-6)
    for name, value in (("most_similar", max(known)), ("least_similar", min(known))):
        assert result[name]["similarity"] == pytest.approx(value, abs=2e-6)
        row = next(row for row in rows if float(row["seconds"]) == pytest.approx(result[name]["seconds"], abs=1e-6))
        assert float(row["similarity"]) == pytest.approx(
            value, abs=2e-6
        )  # the first of equals, before they are rounded
    page = re.sub(r'src="data:[^"]*"', "", (tmp_path / "out" / "report.html").read_text())
    assert "nan" not in page.lower()
    most, least = (
        [float(value) for value in re.findall(r"<b>(-?[0-9.]+)</b> at", part)] for part in page.split("Least similar")
    )
    assert most == sorted(most, reverse=True)
    assert least == sorted(least)
    assert (most[0], least[0]) == (round(max(known), 3), round(min(known), 3))
    assert (
        min(most) + 1e-3 >= (max(known) + np.mean(known)) / 2 >= (min(known) + np.mean(known)) / 2 >= max(least) - 1e-3
    )


def test_of_several_files_each_moment_names_its_own(
    firstsight, run_folder: Path, clip: Path, tmp_path: Path, moving_square: np.ndarray
) -> None:
    (tmp_path / "both").mkdir()
    for name in (first := "first.mp4", "=second.mp4"):
        shutil.copy(clip, tmp_path / "both" / name)
    ran = firstsight("compare", run_folder, tmp_path / "both", "--anchor-at", 1, "--out", tmp_path / "out")
    assert "most 1.000 =second.mp4 at 1.00 s, least" in ran.out
    with (tmp_path / "out" / "timeline.csv").open(newline="") as file:
        named = [(row["source"], row["anchor_source"]) for row in csv.DictReader(file)]
    assert set(named) == {("'=second.mp4", "'=second.mp4"), (first, "'=second.mp4")}
    assert "</b> =second.mp4 at 1.00 s, anchor =second.mp4 at 1.00 s" in (tmp_path / "out/report.html").read_text()
    (tmp_path / "pictures").mkdir()
    for number in range(3):
        Image.fromarray(moving_square[20 * number]).save(tmp_path / "pictures" / f"{number}.png")
    ran = firstsight(
        "compare", run_folder, tmp_path / "pictures", "--anchor-at", 1, "--out", tmp_path / "out", "--json"
    )
    assert strict(ran.out)["most_similar"]["source"] == "1.png"
    assert "</b> 1.png, anchor 1.png" in (tmp_path / "out" / "report.html").read_text()


def strict(text: str) -> dict:
    """What JSON says; NaN and infinity are none."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_of_one_comparison_without_a_mean_nothing_is_claimed(firstsight, run_folder, clip, tmp_path) -> None:
    options = (run_folder, clip, "--centred", "--end", 0.07, "--out", tmp_path / "out")
    result = strict(firstsight("compare", *options, "--json").out)
    assert (result["num_compared"], result["mean_similarity"], result["most_similar"]) == (1, None, None)
    ran = firstsight("compare", *options)
    assert (ran.code, "similarity: none" in ran.out, "nan" in ran.out) == (0, True, False)
    page = re.sub(r'src="data:[^"]*"', "", (tmp_path / "out" / "report.html").read_text())
    assert "nan" not in page.lower()
    assert firstsight("compare", run_folder, clip, "--end", 0.03, "--out", tmp_path / "out").code == 2


def test_what_was_compared_is_printed_before_pages_that_fail(firstsight, run_folder, clip, tmp_path) -> None:
    (tmp_path / "out" / "report.html").mkdir(parents=True)
    ran = firstsight("compare", run_folder, clip, "--end", 1, "--out", tmp_path / "out")
    assert ran.code == 2
    assert "compared 24 frames with 1 anchor" in ran.out
    assert "report.html cannot be written" in ran.err


@pytest.mark.parametrize("command", [(), ("learn",), ("compare",), ("info",)])
def test_help_has_an_example(firstsight, command: tuple[str, ...]) -> None:
    ran = firstsight(*command, "--help")
    assert ran.code == 0
    assert not command or "Example: firstsight " in re.sub(r"\s+", " ", ran.out)


def test_version(firstsight) -> None:
    assert firstsight("--version").out.startswith("firstsight 0.")


def test_show_without_a_screen_says_so_and_writes_the_files(
    firstsight, run_folder: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    ran = firstsight("compare", run_folder, clip, "--show", "--end", 1, "--out", tmp_path / "out")
    assert ran.code == 0, ran.err
    lines = [line for line in ran.err.splitlines() if "screen" in line]
    assert [line.split(" (")[0] for line in lines] == ["no window, as there is no screen"]
    assert "compared 24 frames" in ran.out
    assert (tmp_path / "out" / "report.html").exists()


def test_ctrl_c_says_how_to_go_on_and_resume_does(
    firstsight, small: tuple, clip: Path, tmp_path: Path, monkeypatch
) -> None:
    from firstsight.cli.output import Display

    show = Display.progress

    def show_and_press(display: Display, progress: object) -> None:
        show(display, progress)
        if progress.what == "level 2 of 2":
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Display, "progress", show_and_press)
    ran = firstsight("learn", clip, "--out", tmp_path / "run", *small)
    assert ran.code == 130
    assert f"firstsight learn --resume {tmp_path / 'run'}" in ran.err
    assert "unfinished" in firstsight("info", tmp_path / "run").out
    monkeypatch.setattr(Display, "progress", show)
    ran = firstsight("learn", "--resume", tmp_path / "run")
    assert ran.code == 0, ran.err
    assert "learned from 82 frames" in ran.out
    assert firstsight("learn", "--resume", tmp_path / "run").code == 2


def test_ctrl_c_before_anything_is_learned_leaves_an_old_run_and_says_so(
    firstsight, small: tuple, run_folder: Path, clip: Path, tmp_path: Path, monkeypatch
) -> None:
    from firstsight.cli.output import Display

    run = Path(shutil.copytree(run_folder, tmp_path / "run"))
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    monkeypatch.setattr(Display, "progress", lambda *_: signal.raise_signal(signal.SIGINT))
    ran = firstsight("learn", clip, "--out", run, "--force")
    assert ran.code == 130
    assert f"interrupted; the run in {run} is as it was" in ran.err
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_the_default_method_tells_what_the_footage_is(firstsight, clip: Path, tmp_path: Path) -> None:
    ran = firstsight("learn", clip, "--every", 10, "--out", tmp_path / "run")
    assert ran.code == 0, ran.err
    assert "the network gets all of each 64x48 picture" in ran.err
    assert "footage: frames in order of time" in ran.out
    ran = firstsight("compare", tmp_path / "run", clip, "--every", 20, "--anchor-at", 2, "--out", tmp_path / "out")
    assert ran.code == 0, ran.err
    page = (tmp_path / "out" / "report.html").read_text()
    assert "the read-out of all levels" in page
    assert "before learning" not in page
    assert "the entire picture" in firstsight("info", tmp_path / "run").out
    for options in (("--level", 1), ("--level", 2, "--dimensions", 16)):
        ran = firstsight("compare", tmp_path / "run", clip, "--every", 20, "--out", tmp_path / "out", *options)
        assert ran.code == 0, ran.err


def test_learn_without_footage(firstsight) -> None:
    ran = firstsight("learn")
    assert ran.code == 2
    assert "no footage given" in ran.err


def test_page_and_film_show_where_frames_agree_with_their_anchor(firstsight, clip: Path, tmp_path: Path) -> None:
    assert firstsight("learn", clip, "--method", "random", "--every", 20, "--out", tmp_path / "run").code == 0
    out = {}
    for name, options in (("plain", ()), ("agreement", ("--agreement",))):
        ran = firstsight(
            "compare", tmp_path / "run", clip, "--anchor-at", 1.6, "--every", 20, *options, "--out", tmp_path / name
        )
        assert ran.code == 0, ran.err
        page = (tmp_path / name / "report.html").read_text()
        assert "; 100 % agrees</figcaption>" in page  # the anchor itself
        assert page.count("lines join the strongest matches") == 1
        assert page.count(f'href="{clip.as_uri()}#t=1.60"') == 2  # the anchor opens the clip there, twice shown
        with av.open(str(tmp_path / name / "comparison.mp4")) as film:
            pictures = [frame.to_ndarray(format="rgb24").astype(int) for frame in film.decode(video=0)]
        out[name] = np.stack(pictures)[:, :48]
    left, right = (np.abs(out["plain"] - out["agreement"])[:, :, part].mean() for part in (slice(64), slice(64, None)))
    assert left < 5  # the anchor is as it was
    assert right > 15
    ran = firstsight(
        "compare",
        tmp_path / "run",
        clip,
        "--anchor-at",
        2,
        "--box",
        "10,10,30,30",
        "--agreement",
        "--out",
        tmp_path / "c",
    )
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "agreement with box 10,10,30,30; valid is one of them" in ran.err
    assert not (tmp_path / "c").exists()


def test_an_encoder_that_compares_embeddings_alone_has_no_such_picture(
    firstsight, run_folder: Path, clip: Path, tmp_path: Path
) -> None:
    options = ("compare", run_folder, clip, "--every", 40)
    ran = firstsight(*options, "--agreement", "--out", tmp_path / "no")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "learn it again" in ran.err
    assert firstsight(*options, "--out", tmp_path / "out").code == 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert "agree" not in re.sub(r'src="data:[^"]*"', "", page)
