"""The folder of a run: what may be in it, what is in it after anything, and what can be gone on with."""

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import firstsight
from firstsight.article.model import untrained
from firstsight.article.run import Footage
from firstsight.cli.learn import default_folder
from firstsight.comparison.compare import CompareSettings
from firstsight.encoder.encoder import Encoder
from firstsight.encoder.run_folder import LEARNING_FILE, MEMORY_FILE, RunFolder
from firstsight.errors import FirstsightError, PixelsError, RunError, SettingsError
from firstsight.files import is_unfinished, unfinished
from firstsight.footage.encoding import VideoWriter
from firstsight.footage.frames import Frame
from firstsight.footage.source import Place, open_source
from firstsight.learning.learn import extend, resume
from firstsight.progress import Cancelled, Progress
from firstsight.report.comparison import write_comparison

SMALL = {"num_levels": 1, "maps": 4, "hidden_maps": 8, "crop_size": 48, "input_size": 32, "frames_per_level": 40}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, moving_square: np.ndarray) -> Path:
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    with VideoWriter(path, size=(64, 48)) as writer:
        for index, frame in enumerate(moving_square[:60]):
            writer.write(frame, seconds=index / 25)
    return path


@pytest.fixture(scope="module")
def default_run(tmp_path_factory: pytest.TempPathFactory, clip: Path) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "default"
    firstsight.learn(clip, out=folder, every=10)
    return folder


@pytest.fixture
def interrupted(tmp_path: Path, clip: Path) -> Path:
    learn_a_little(clip, tmp_path / "interrupted")
    return tmp_path / "interrupted"


def learn_a_little(source: object, folder: Path, **more: object) -> None:
    def stop(progress: Progress) -> None:
        if progress.done >= 22:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        firstsight.learn(source, out=folder, progress=stop, **SMALL, **more)


@pytest.mark.parametrize("settings", [{"batch_size": 32}, {"check_every": 1}, {"form": "earliest", "check_every": 1}])
def test_a_check_in_the_first_batch(moving_square: np.ndarray, tmp_path: Path, settings: dict) -> None:
    """Its line is written before the encoder is saved for the first time."""
    small = {} if "form" in settings else SMALL
    firstsight.learn(moving_square[:70], out=tmp_path / "new" / "run", **{**small, "num_levels": 1, **settings})
    lines = (tmp_path / "new" / "run" / "metrics.jsonl").read_text().splitlines()
    assert lines
    assert json.loads(lines[0])["level"] == 1


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("name", ["film.mp4", "config.json", "notes"])
def test_a_folder_of_other_files_is_left_alone(
    moving_square: np.ndarray, tmp_path: Path, force: bool, name: str
) -> None:
    (tmp_path / name).write_text("{}")
    with pytest.raises(RunError, match=f"holds other files, such as {name}"):
        firstsight.learn(moving_square[:20], out=tmp_path, force=force, **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    "name",
    ["metrics.jsonl", "learning.safetensors", ".model.safetensors.0a1b2c3d", unfinished(Path("config.json")).name],
    ids=["metrics", "state", "part of weights", "part of any"],
)
def test_what_a_killed_run_left_is_no_hindrance(moving_square: np.ndarray, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("")
    firstsight.learn(moving_square[:20], out=tmp_path, **SMALL)
    assert not (tmp_path / LEARNING_FILE).exists()


def test_forced_learning_leaves_nothing_of_the_old_run_to_go_on_with(interrupted: Path, clip: Path) -> None:
    assert (interrupted / LEARNING_FILE).exists()
    firstsight.learn(clip, out=interrupted, force=True, every=10)
    assert not (interrupted / LEARNING_FILE).exists()
    with pytest.raises(RunError, match="nothing to resume"):
        resume(interrupted)


def test_a_forced_run_that_is_cut_short_does_not_go_on_with_the_old_one(interrupted: Path, clip: Path) -> None:
    old = (interrupted / LEARNING_FILE).read_bytes()
    learn_a_little(clip, interrupted, seed=5, force=True)
    assert (interrupted / LEARNING_FILE).read_bytes() != old
    assert Encoder.load(interrupted).provenance["seed"] == 5


def test_a_run_is_extended_into_another_folder(default_run: Path, clip: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in default_run.iterdir()}
    extended = extend(default_run, clip, out=tmp_path / "more", every=15)
    assert Encoder.load(tmp_path / "more").fingerprint == extended.fingerprint
    assert {path.name: path.read_bytes() for path in default_run.iterdir()} == before
    with pytest.raises(RunError, match="--force"):
        extend(default_run, clip, out=tmp_path / "more")


def test_a_default_run_cannot_be_resumed(default_run: Path) -> None:
    with pytest.raises(RunError, match="learns in one go; add footage with"):
        resume(default_run)


def test_the_authors_weights_cannot_be_resumed_or_extended(article_weights: Path, clip: Path, tmp_path: Path) -> None:
    Encoder.load(article_weights).save(tmp_path / "run")
    with pytest.raises(RunError, match=r"holds the weights of .*\.pth: there is nothing to resume"):
        resume(tmp_path / "run")
    with pytest.raises(RunError, match="only the default method's"):
        extend(tmp_path / "run", clip)


def test_an_encoder_made_by_hand_cannot_be_resumed(tmp_path: Path, clip: Path) -> None:
    untrained().save(tmp_path / "run")
    with pytest.raises(RunError, match="its method is not recorded"):
        resume(tmp_path / "run")
    with pytest.raises(RunError, match="in a way that is not known"):
        extend(tmp_path / "run", clip)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda of: of.pop("settings"), "its settings is not recorded"),
        (lambda of: of.pop("seed"), "its seed is not recorded"),
        (lambda of: of.pop("footage"), "its footage is not recorded"),
        (lambda of: of["settings"].update(speed=3), "settings has a key speed"),
        (lambda of: of["settings"].update(batch_size="x"), "settings.batch_size is"),
        (lambda of: of.update(seed="x"), "seed is"),
        (lambda of: of["footage"].update(paths=[3]), r"paths\[0\] is 3"),
    ],
)
@pytest.mark.parametrize("verb", ["resume", "extend"])
def test_a_run_of_an_older_version_is_one_line(
    interrupted: Path, default_run: Path, clip: Path, tmp_path: Path, verb: str, change: object, message: str
) -> None:
    run = shutil.copytree(interrupted if verb == "resume" else default_run, tmp_path / "run")
    config = json.loads((run / "config.json").read_text())
    if verb == "extend" and "batch_size" in message:
        config["provenance"]["settings"]["max_frames"], message = "x", "settings.max_frames is"
    else:
        change(config["provenance"])
    (run / "config.json").write_text(json.dumps(config))
    with pytest.raises(RunError, match=message):
        resume(run) if verb == "resume" else extend(run, clip)


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_damaged_state_of_learning_is_one_line(interrupted: Path, content: bytes) -> None:
    (interrupted / LEARNING_FILE).write_bytes(content)
    with pytest.raises(RunError, match="damaged"):
        resume(interrupted)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"held_out": 0.4}, "held-out share 0.4; method default learns from all of the footage"),
        ({"held_out": 0.4, "method": "random"}, "method random learns from all"),
        ({"device": "meta"}, "device 'meta'; method default computes on the CPU"),
    ],
)
def test_what_a_method_does_not_have_is_an_error(moving_square: np.ndarray, options: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        firstsight.learn(moving_square[:20], **options)


def test_the_defaults_are_still_those_of_the_method(moving_square: np.ndarray) -> None:
    assert firstsight.learn(moving_square[:70], **SMALL).provenance["held_out"] == 0.1
    assert firstsight.learn(moving_square[:4], held_out=0, device="cpu").provenance["held_out"] == 0


@pytest.mark.parametrize("num_frames", [0, 1, 2])
def test_too_little_footage_is_one_line(moving_square: np.ndarray, num_frames: int) -> None:
    with pytest.raises(FirstsightError, match=r"no pixel|at least"):
        firstsight.learn(moving_square[:num_frames])


@pytest.mark.parametrize("num_frames", [3, 12])
def test_little_footage_is_learned_from(moving_square: np.ndarray, num_frames: int) -> None:
    frames = np.ascontiguousarray(moving_square[:num_frames, ::2, ::2])
    encoder = firstsight.learn(frames)
    assert np.isfinite(encoder.encode(frames)).all()
    assert encoder.provenance["outcome"]["warnings"] == []


@pytest.mark.parametrize("value", [0, 130])
@pytest.mark.parametrize("num_frames", [3, 12])
def test_identical_frames_are_called_so(value: int, num_frames: int) -> None:
    frames = np.full((num_frames, 24, 32, 3), value, np.uint8)
    encoder = firstsight.learn(frames)
    assert np.isfinite(encoder.encode(frames)).all()
    assert "all alike" in encoder.provenance["outcome"]["warnings"][0]


def test_sizes_are_told_as_they_are(moving_square: np.ndarray, tmp_path: Path) -> None:
    for number, (width, height) in enumerate([(64, 48), (48, 32), (48, 32)]):
        with VideoWriter(tmp_path / f"{number}.mp4", size=(width, height)) as writer:
            for index in range(3):
                writer.write(np.ascontiguousarray(moving_square[index, :height, :width]), seconds=index / 25)
    news: list[str] = []
    firstsight.learn(tmp_path, method="random", progress=lambda progress: news.extend(progress.news))
    assert news[0].endswith("the network gets all of each picture; 2 sizes, from 48x32 to 64x48")


@pytest.mark.parametrize("done", [25, 75], ids=["in the first pass", "in the second"])
@pytest.mark.parametrize("kind", ["a video", "two videos", "pictures"])
def test_resumed_it_reads_what_is_left(
    moving_square: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, done: int
) -> None:
    """The weights are those of learning without an interruption, and no frame before the interruption is decoded."""
    footage = tmp_path / "footage"
    footage.mkdir()
    for start in (0, 30) if kind == "two videos" else (0,):
        if kind != "pictures":
            with VideoWriter(footage / f"{start}.mp4", size=(64, 48)) as writer:
                for index in range(start, 30 if kind == "two videos" and not start else 60):
                    writer.write(moving_square[index], seconds=(index - start) / 25)
    for index in range(60 if kind == "pictures" else 0):
        Image.fromarray(moving_square[index]).save(footage / f"{index:02}.png")
    settings = SMALL | {"frames_per_level": 100, "held_out": 0}
    whole = firstsight.learn(footage, out=tmp_path / "whole", **settings)

    def press(progress: Progress) -> None:
        if progress.what.startswith("level") and progress.done == done:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        firstsight.learn(footage, out=tmp_path / "cut", progress=press, **settings)
    drawn, read = [], Footage._read

    def counted(*given: object) -> Iterator[tuple[Frame, Place]]:
        for frame, place in read(*given):
            drawn.append(place.num_frames)
            yield frame, place

    monkeypatch.setattr(Footage, "_read", counted)
    resumed = resume(tmp_path / "cut")
    assert resumed.fingerprint == whole.fingerprint
    assert resumed.provenance["outcome"]["frames_in_a_pass"] == 60
    assert drawn[0] == done % 60 + 1


def test_other_footage_in_its_place_is_refused(clip: Path, tmp_path: Path) -> None:
    footage = Path(shutil.copy(clip, tmp_path / "walk.mp4"))

    def press(progress: Progress) -> None:
        if progress.what.startswith("level"):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        firstsight.learn(footage, out=tmp_path / "run", progress=press, **SMALL)
    content = footage.read_bytes()
    metrics = tmp_path / "run" / "metrics.jsonl"
    metrics.write_text('{"level": 1}\n' * 3)
    for other in (content + bytes(8), content[:-8] + bytes(8)):
        footage.write_bytes(other)
        with pytest.raises(RunError, match="is another than when learning began"):
            resume(tmp_path / "run")
    assert metrics.read_text() == '{"level": 1}\n' * 3
    footage.write_bytes(content)
    assert resume(tmp_path / "run").dim


def test_nobody_else_learns_into_the_same_run(clip: Path, tmp_path: Path) -> None:
    refused = []

    def learn_too(_: Progress) -> None:
        with pytest.raises(RunError, match="is being written into already") as caught:
            firstsight.learn(clip, out=tmp_path / "run", force=True)
        refused.append(caught)
        raise Cancelled

    with pytest.raises(Cancelled):
        firstsight.learn(clip, out=tmp_path / "run", progress=learn_too)
    assert refused
    with RunFolder.create(tmp_path / "run", force=False):
        assert not list((tmp_path / "run").iterdir())  # no lock is left behind


def test_who_extends_reads_the_run_once_nobody_else_learns_into_it(
    default_run: Path, clip: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(default_run, tmp_path / "run"))
    with RunFolder(run):
        with pytest.raises(RunError, match="is being written into already"):
            extend(run, clip)
        with pytest.raises(RunError, match="is being written into already"):
            resume(run)
        write_comparison(Encoder.load(run), open_source(clip, every=20), CompareSettings(), run)
    with pytest.raises(RunError, match="no run at"):
        resume(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_what_an_old_run_had_stays_until_the_new_one_is_written(
    default_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Path(shutil.copytree(default_run, tmp_path / "run"))
    (run / MEMORY_FILE).write_text("what is normal")
    encoder = Encoder.load(run)

    def no_space(*_: object) -> None:
        raise RunError("no space is left")

    with monkeypatch.context() as patched:
        patched.setattr(Encoder, "save", no_space)
        with pytest.raises(RunError), RunFolder.create(run, force=True) as folder:
            folder.save(encoder)
    assert (run / MEMORY_FILE).read_text() == "what is normal"
    with RunFolder.create(run, force=True) as folder:
        folder.save(encoder)
    assert not (run / MEMORY_FILE).exists()
    assert not [path for path in run.iterdir() if is_unfinished(path)]


def test_cancelled_it_keeps_what_was_learned(clip: Path, tmp_path: Path) -> None:
    def report(progress: Progress) -> None:
        if progress.what.startswith("level") and progress.done >= 15:
            raise Cancelled

    with pytest.raises(Cancelled):
        firstsight.learn(clip, method="article", out=tmp_path / "run", progress=report, **SMALL)
    assert resume(tmp_path / "run").provenance["outcome"]["finished"]


@pytest.mark.parametrize("side", [1449, 10**6])
def test_an_input_that_could_not_be_opened_again_is_refused(clip: Path, tmp_path: Path, side: int) -> None:
    with pytest.raises(SettingsError, match=f"an input of {side} pixels a side; valid is at most 1448"):
        firstsight.learn(clip, method="article", out=tmp_path / "run", **{**SMALL, "input_size": side})
    with pytest.raises(PixelsError, match=r"frames of 24x11000; valid is at most 455 times as long as wide"):
        firstsight.learn(np.zeros((3, 11_000, 24, 3), np.uint8))


@pytest.mark.parametrize(
    ("sources", "folder"),
    [
        (["walks/hall.mp4", "b.mp4"], "runs/hall"), (["clips/*.mp4"], "runs/run"), (["rtsp://camera/1"], "runs/1"),
        (["-"], "runs/-"), (["my walk.mp4"], "runs/my_walk"), (["walk.avi.mp4"], "runs/walk_avi"),
    ],
)  # fmt: skip
def test_a_run_is_named_after_its_footage(sources: list[str], folder: str) -> None:
    assert default_folder(sources) == Path(folder)


def test_a_run_of_the_folder_above_is_named_after_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "walks" / "here").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "walks" / "here")
    assert default_folder([".."]) == Path("runs/walks")
    assert default_folder(["."]) == Path("runs/here")
