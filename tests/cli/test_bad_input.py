"""One clear line, exit code 2, no traceback."""

import os
import pickle
import re
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from firstsight import Encoder
from firstsight.errors import RunError
from firstsight.footage.encoding import VideoWriter


def expect_one_line(ran: object, *words: str) -> None:
    assert ran.code == 2, ran
    last = [line for line in ran.err.splitlines() if line.strip()]
    assert last[-1].startswith("error: "), ran.err
    assert sum(line.startswith("error: ") for line in last) == 1
    assert "Traceback" not in ran.err
    assert ran.out == ""
    for word in words:
        assert word in last[-1]


def write_clip(path: Path, size: tuple[int, int], num_frames: int) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (num_frames, size[1], size[0], 3), dtype=np.uint8)
    with VideoWriter(path, size=size) as writer:
        for index, frame in enumerate(pixels):
            writer.write(frame, seconds=index / 25)
    return path


def no_such_file(folder: Path) -> Path:
    return folder / "nothing.mp4"


def a_folder_without_video(folder: Path) -> Path:
    (folder / "notes.txt").write_text("no video")
    return folder


def a_text_file(folder: Path) -> Path:
    (folder / "text.mp4").write_text("not a video\n" * 100)
    return folder / "text.mp4"


def an_empty_file(folder: Path) -> Path:
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


def a_video_of_no_frames(folder: Path) -> Path:
    return write_clip(folder / "none.mp4", (64, 48), 0)


def a_tiny_video(folder: Path) -> Path:
    return write_clip(folder / "tiny.mp4", (20, 20), 30)


def a_photo(folder: Path) -> Path:
    Image.fromarray(np.zeros((400, 400, 3), np.uint8)).save(folder / "photo.jpg")
    return folder / "photo.jpg"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (no_such_file, "nothing.mp4"),
        (a_folder_without_video, "no video"),
        (a_text_file, "text.mp4"),
        (an_empty_file, "empty.mp4"),
        (a_video_of_no_frames, "none.mp4"),
        (a_tiny_video, "20x20"),
        (a_photo, "1 frame"),
    ],
)
def test_footage_that_cannot_be_learned_from(firstsight, tmp_path: Path, make: object, words: str) -> None:
    footage = tmp_path / "footage"
    footage.mkdir()
    expect_one_line(firstsight("learn", make(footage), "--out", tmp_path / "run"), words)
    assert not (tmp_path / "run" / "model.safetensors").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_path(firstsight, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "closed.mp4", (64, 48), 5)
    path.chmod(0)
    expect_one_line(firstsight("learn", path, "--out", tmp_path / "run"), "permission")


def test_a_truncated_file_is_learned_from_and_the_loss_is_told(
    firstsight, small: tuple, clip: Path, tmp_path: Path
) -> None:
    whole = (index_first(clip, tmp_path / "whole.mp4")).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) * 3 // 4])
    ran = firstsight(
        "learn", tmp_path / "cut.mp4", "--out", tmp_path / "run", "--held-out", 0, *small, "--frames-per-level", 130
    )
    assert ran.code == 0, ran.err
    by_default = firstsight("learn", tmp_path / "cut.mp4", "--out", tmp_path / "2", *small, "--frames-per-level", 130)
    assert by_default.code == 0, by_default.err  # of what would be held out there is nothing
    lost = re.search(r"(\d+) in a pass, (\d+) lost: they could not be decoded", ran.out)
    assert lost, ran.out
    assert int(lost[1]) + int(lost[2]) == 240
    assert 20 < int(lost[2]) < 120
    ran = firstsight("compare", tmp_path / "run", tmp_path / "cut.mp4", "--out", tmp_path / "out")
    assert f"compared {int(lost[1]) - 1} frames with 1 anchor, {lost[2]} lost" in ran.out


def index_first(path: Path, out: Path) -> Path:
    """The same film with its index at the front, so that a part of the file can be played."""
    with av.open(f"file:{path}") as source, av.open(str(out), "w", options={"movflags": "faststart"}) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    return out


def test_a_run_that_is_something_else(firstsight, clip: Path, run_folder: Path, tmp_path: Path) -> None:
    for command in ("compare", "evaluate", "watch"):
        expect_one_line(firstsight(command, clip, run_folder), " is expected")
    expect_one_line(firstsight("compare", clip, clip), "is footage, where a run is expected")
    expect_one_line(firstsight("learn", run_folder, "--out", tmp_path / "new"), "is a run, where footage is expected")
    expect_one_line(firstsight("scenes", clip, "--run", clip), "is footage, where a run is expected")
    library = tmp_path / "clips.library"
    assert firstsight("index", library, clip, "--model", run_folder, "--every", 100).code == 0
    for command in (("info", library), ("scenes", clip, "--run", library)):
        expect_one_line(firstsight(*command), "is a library; its encoder is in", "model: give that")
    with pytest.raises(RunError, match=r"its encoder is in .*model: give that"):
        Encoder.load(library)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "config.json").write_text("{")
    expect_one_line(firstsight("info", tmp_path / "damaged"), "remove the folder, and learn the run again")


def test_a_run_of_another_version(firstsight, clip: Path, run_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text(
        (run_folder / "config.json").read_text().replace('"format_version": 1', '"format_version": 7')
    )
    for command in (("info", run), ("compare", run, clip, "--out", tmp_path / "out")):
        expect_one_line(firstsight(*command), "version 7", "version 1")


def test_a_malicious_pickle_as_weights(firstsight, clip: Path, tmp_path: Path) -> None:
    class Malicious:
        def __reduce__(self) -> tuple:
            return (os.system, (f"touch {tmp_path}/was-run",))

    with (tmp_path / "evil.pth").open("wb") as file:
        pickle.dump(Malicious(), file)
    expect_one_line(firstsight("compare", tmp_path / "evil.pth", clip, "--out", tmp_path / "out"), "not run")
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--crop", 0), "crop size 0"),
        (("--lr", -1), "learning rate -1"),
        (("--levels", 9), "used up at level"),
        (("--threshold", 3), "0 to 1"),
        (("--every", 2, "--fps", 5), "every"),
        (("--start", 5, "--end", 2), "start"),
        (("--start", 500), "moving square.mp4"),
        (("--device", "abacus"), "abacus"),
    ],
)
def test_options_outside_their_range(firstsight, clip: Path, tmp_path: Path, options: tuple, words: str) -> None:
    expect_one_line(firstsight("learn", clip, "--out", tmp_path / "run", *options), words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--level", 3), "1 to 2"),
        (("--anchor-at", 99), "99"),
        (("--anchor-at", 1, "--anchor-below", 0.3), "--anchor-below"),
        (("--anchor-image", "missing.png"), "missing.png"),
        (("--anchor-every", 0), "every 0"),
        (("--over-last", 1), "last 1"),
    ],
)
def test_comparing_with_options_outside_their_range(
    firstsight, run_folder: Path, clip: Path, tmp_path: Path, options: tuple, words: str
) -> None:
    expect_one_line(firstsight("compare", run_folder, clip, "--out", tmp_path / "out", *options), words)


def test_an_output_that_cannot_be_written(
    firstsight, small: tuple, clip: Path, run_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    expect_one_line(firstsight("learn", clip, "--out", tmp_path / "file", *small), "file")
    expect_one_line(firstsight("compare", run_folder, clip, "--out", tmp_path / "file" / "out"), "file")


@pytest.mark.parametrize("command", ["learn", "article", "evaluate"])
@pytest.mark.parametrize("seed", ["-1", "4294967296", "99999999999999999999"])
def test_a_seed_out_of_range(firstsight, run_folder: Path, clip: Path, command: str, seed: str) -> None:
    given = (run_folder, clip) if command == "evaluate" else (clip,)
    expect_one_line(firstsight(command, *given, "--seed", seed), f"seed {seed}", "0 to 4294967295")


@pytest.mark.parametrize("between", ["nan-2", "0-nan", "-0", "5-2", "3-3", "inf-", "1-inf", "-", "1", "a-b", "1--5"])
@pytest.mark.parametrize(
    "command", [("search", "{}", "{}/a.png"), ("map", "{}", "--out", "map"), ("export", "{}", "--out", "x.csv")]
)
def test_times_that_are_none_are_named_with_their_option(
    firstsight, tmp_path: Path, command: tuple, between: str
) -> None:
    (tmp_path / "a.png").write_bytes(b"nothing")
    ran = firstsight(*(word.format(tmp_path) for word in command), "--between", between)
    expect_one_line(
        ran, f"--between {between!r}", "give a later end" if between in {"-0", "5-2", "3-3"} else "such as 60-90"
    )


@pytest.mark.parametrize("option", ["--over-last", "--anchor-every"])
def test_a_count_out_of_range_is_named(firstsight, run_folder: Path, clip: Path, tmp_path: Path, option: str) -> None:
    for given in (0, -1):
        ran = firstsight("compare", run_folder, clip, "--out", tmp_path / "out", option, given)
        expect_one_line(ran, f" {given} ", "; valid is an integer from")
        assert "None" not in ran.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--to", "tensorrt"], "valid are onnx, openvino"),
        (["--to", "onnx", "--source", "a.mp4"], "choose frames of a library"),
        (["--to", "onnx", "--between", "0-5"], "choose frames of a library"),
        (["--to", "onnx", "--size", "720p"], "as 1280x720"),
        (["--size", "1280x720"], "give --to onnx"),
    ],
)
def test_an_encoder_that_cannot_be_exported(firstsight, run_folder: Path, tmp_path: Path, options, message) -> None:
    ran = firstsight("export", run_folder, "--out", tmp_path / "encoder.onnx", *options)
    assert ran.code == 2
    assert message in ran.err
    assert "Traceback" not in ran.err
