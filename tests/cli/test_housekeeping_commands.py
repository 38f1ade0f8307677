"""`firstsight duplicates`, `keyframes` and `clusters` as a person and as a program use them."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import firstsight as package
from firstsight.footage.encoding import VideoWriter
from firstsight.indexing.index_files import add
from firstsight.library.store import Store


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory, moving_square: np.ndarray) -> Path:
    """A video of 9 s, the same in a mirror, and another."""
    root = tmp_path_factory.mktemp("it's footage [1]")
    frames = moving_square[:180]
    night = 255 - frames[::-1, ::-1]
    for name, pictures in (("day.mp4", frames), ("mirror.mp4", frames[:, :, ::-1]), ("night.mp4", night)):
        with VideoWriter(root / name, size=(64, 48)) as writer:
            for index, frame in enumerate(np.ascontiguousarray(pictures)):
                writer.write(frame, seconds=index / 20)
    return root


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, footage: Path, moving_square: np.ndarray) -> Path:
    encoder = package.learn(moving_square[::20], method="random")
    with Store.create(tmp_path_factory.mktemp("libraries") / "squares", encoder) as library:
        add(library, [footage])
    return library.path


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def test_duplicates_says_what_to_keep_and_why(firstsight, library: Path, tmp_path: Path) -> None:
    ran = firstsight("duplicates", library, "--html", tmp_path / "twice.html")
    assert ran.code == 0, ran.err
    certain = r"similarity 1\.00, in detail 0\.\d\d, by chance in 1 of .+"
    mirrored = rf"^keep (day|mirror)\.mp4: .+\n +(day|mirror)\.mp4: mirrored \({certain}\)$"
    assert re.search(mirrored, ran.out, re.MULTILINE)
    assert "1 of 3 sources is a copy of another" in ran.out
    left_out = ran.out[ran.out.index("not searched for: ") :].splitlines()[0]
    assert f"<li>{left_out}</li>" in (tmp_path / "twice.html").read_text()
    found = json.loads(firstsight("duplicates", library, "--json").out)
    assert [len(group["copies"]) for group in found["groups"]] == [1]
    assert found["groups"][0]["copies"][0]["differs"] == ["mirrored"]
    assert found["num_sources"] == 3
    page = re.sub(r'src="data:[^"]*"', "src", (tmp_path / "twice.html").read_text())
    kept, copy = found["groups"][0]["keep"], found["groups"][0]["copies"][0]["source"]
    choice = page[page.index("Which to keep") : page.index("<h2>Copies")]
    assert re.findall(r"<img|day\.mp4|mirror\.mp4", re.sub(r"<a [^>]*>", "", choice)) == ["<img", kept, "<img", copy]
    pair = page[page.index('<div class="pair">') :]
    assert re.findall(r"<div>(\w+\.mp4)", pair) == sorted([kept, copy])
    assert re.search(r"by chance in 1 of \d+ libraries", page)


def test_keyframes_are_told_and_written(firstsight, library: Path, tmp_path: Path) -> None:
    ran = firstsight("keyframes", library, 3, "--out", tmp_path / "chosen")
    assert ran.code == 0, ran.err
    assert len(ran.out.splitlines()) == 5
    pictures = sorted((tmp_path / "chosen").iterdir())
    assert [path.name[:4] for path in pictures] == ["001-", "002-", "003-"]
    assert {size_of(path) for path in pictures} == {(64, 48)}
    assert "not of these" not in ran.out
    assert (
        "1 of the pictures there are not of these"
        in firstsight(*("keyframes", library, 2, "--out"), tmp_path / "chosen").out
    )
    found = json.loads(firstsight("keyframes", library, 2, "--source", "night*", "--json").out)
    assert [one["source"] for one in found["keyframes"]] == ["night.mp4"] * 2


def test_a_keyframe_of_a_lost_file_is_its_thumbnail(
    firstsight, library: Path, footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (footage / "night.mp4").rename(tmp_path / "moved.mp4")
    try:
        ran = firstsight("keyframes", library, 1, "--source", "night*", "--out", tmp_path / "chosen")
    finally:
        (tmp_path / "moved.mp4").rename(footage / "night.mp4")
    assert ran.code == 0, ran.err
    (picture,) = (tmp_path / "chosen").iterdir()
    assert size_of(picture) == (64, 48)


def test_one_group_has_no_silhouette(firstsight, library: Path, tmp_path: Path) -> None:
    ran = firstsight("clusters", library, "-k", 1, "--html", tmp_path / "one.html")
    assert "1 group of 54 frames" in ran.out
    assert "mean silhouette" not in ran.out + (tmp_path / "one.html").read_text()
    assert json.loads(firstsight("clusters", library, "-k", 1, "--json").out)["silhouette"] is None


def test_pictures_have_no_times(firstsight, tmp_path: Path, moving_square: np.ndarray) -> None:
    (tmp_path / "pictures").mkdir()
    for number in range(6):
        Image.fromarray(moving_square[20 * number]).save(tmp_path / "pictures" / f"{number}.png")
    with Store.create(tmp_path / "library", package.learn(moving_square[::20], method="random")) as store:
        add(store, [tmp_path / "pictures"])
    told = firstsight("keyframes", tmp_path / "library", 2).out
    model = tmp_path / "library" / "model"
    for target in ((tmp_path / "library",), (tmp_path / "pictures", "--model", model)):
        ran = firstsight(*("similarities", *target, "--for", tmp_path / "pictures/3.png", "--out", tmp_path / "s.csv"))
        assert "most 1.000 in 3.png\n" in ran.out
    assert "0.00" not in told
    firstsight("map", tmp_path / "library", "--out", tmp_path / "map")
    assert "at 0.00 s" not in (tmp_path / "map" / "map.html").read_text()


def test_clusters_are_a_table_a_page_and_an_object(firstsight, library: Path, tmp_path: Path) -> None:
    ran = firstsight("clusters", library, "--html", tmp_path / "groups.html")
    assert ran.code == 0, ran.err
    assert re.search(r"\d+ groups of 54 frames, mean silhouette -?0\.\d\d", ran.out)
    page = (tmp_path / "groups.html").read_text()
    assert re.search(
        r'<a href="file:///[^"]*\.mp4#t=[\d.]+" title="open it there"><img src="data:image/jpeg;base64,', page
    )
    assert not re.search(r"src\s*=\s*[\"'](?!data:)|href\s*=\s*[\"'](?!data:|file:)|url\(|@import|<script", page)
    found = json.loads(firstsight("clusters", library, "-k", 2, "--json").out)
    assert len(found["clusters"]) == 2
    assert sum(one["num_frames"] for one in found["clusters"]) == found["num_frames"] == 54


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("keyframes", 0), "0 keyframes"),
        (("keyframes", 3, "--source", "dawn*"), "dawn*"),
        (("keyframes", 3, "--out", "/proc/nothing"), "cannot be made"),
        (("clusters", "-k", 0), "0 groups"),
        (("clusters", "--html", "/proc/nothing/page.html"), "cannot be written"),
    ],
)
def test_one_line_says_what_is_wrong(firstsight, library: Path, arguments: tuple, words: str) -> None:
    command, *options = arguments
    ran = firstsight(command, library, *options)
    assert ran.code == 2, ran
    errors = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert words in errors[0]


@pytest.mark.parametrize("command", ["duplicates", "keyframes", "clusters"])
def test_a_folder_that_is_no_library_and_an_example(firstsight, command: str, tmp_path: Path) -> None:
    ran = firstsight(command, tmp_path, *([3] if command == "keyframes" else []))
    assert ran.code == 2
    assert "not a library" in ran.err
    (tmp_path / "model.safetensors").touch()
    ran = firstsight(command, tmp_path, *([3] if command == "keyframes" else []))
    assert "is a run, whose encoder" in ran.err
    assert f"Example: firstsight {command}" in re.sub(r"\s+", " ", firstsight(command, "--help").out)
