"""`watch --learn` and `--state`: from nothing to watching, and on from where it ended."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from firstsight.footage.encoding import VideoWriter
from firstsight.normality.memory import Memory
from firstsight.progress import Ending

GROUND = np.repeat(np.repeat(np.random.default_rng(0).integers(60, 160, (6, 8, 3), np.uint8), 8, 0), 8, 1)


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 s of a still view, 6.25 frames a second, that a square crosses again and again; at 30 s one falls fast."""
    path = tmp_path_factory.mktemp("street") / "street.mp4"
    with VideoWriter(path, size=(64, 48)) as writer:
        for index in range(300):
            picture, seconds = GROUND.copy(), index / 6.25
            x = int(8 * seconds) % 52
            picture[4:16, x : x + 12] = (250, 20, 20)
            if 30 <= seconds < 31:
                y = int(36 * (seconds - 30))
                picture[y : y + 16, 40:56] = (20, 250, 20)
            writer.write(picture, seconds=seconds)
    return path


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory, street: Path) -> Path:
    """A run that remembers the street."""
    from firstsight import learn

    run = tmp_path_factory.mktemp("learned") / "street"
    learn(street, end_seconds=24, method="random", max_frames=30, out=run)
    return run


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--learn", "5s", "--for", "hall.png", "--match-from", 7), "a match from closeness 7"),
        (("--learn", "5s", "--speed", -1), "speed -1"),
        (("--for", "hall.png", "--stays"), "--stays is for what is new; give --novel as well"),
        (("--for", "hall.png", "--false-alarms", "2/h"), "--false-alarms '2/h' is for what is new"),
        (("--novel", "--match-from", 0.4), "--match-from 0.4 is for anchors; give --for as well"),
    ],
)
def test_options_are_checked_before_anything_is_learned(
    firstsight, street: Path, learned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (64, 48)).save("hall.png")
    run = tmp_path / "new" if "--learn" in options else learned
    ran = firstsight("watch", run, street, *options)
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err
    assert not (tmp_path / "new").exists()


def test_ctrl_c_while_what_is_normal_is_learned_says_what_is_kept(
    firstsight, street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("firstsight.normality.learning._memory_of_all", interrupted)
    ran = firstsight("learn", street, "--end", 9, "--method", "random", "--out", tmp_path / "run")
    assert ran.code == 130
    assert "run is kept, what is normal before its camera is not" in ran.err.replace("\n", " ")
    assert (tmp_path / "run" / "model.safetensors").exists()


def test_from_nothing_to_watching_and_on(firstsight, street: Path, tmp_path: Path) -> None:
    run, state = tmp_path / "street", tmp_path / "street.state"
    command = (
        "watch",
        run,
        street,
        "--learn",
        "24s",
        "--state",
        state,
        "--speed",
        0,
        "--false-alarms",
        "1/h",
        "--json",
    )
    ran = firstsight(*command)
    assert ran.code == 0, ran.err
    begins, _ = (json.loads(line) for line in ran.out.splitlines())
    assert begins["kind"] == "novel begins", ran.out
    assert begins["part"] in {"appearance", "motion"}  # which is the rarer of the first frames
    assert 29.9 < begins["start_seconds"] < 31.5
    assert "watching street.mp4 from 24 s on" in ran.err
    assert "0.4 min of normal footage: at most one false alarm in 0.4 min is proven; 1/day is extrapolated" in ran.err
    assert ran.err.splitlines()[-1].endswith("is proven; 1/h is extrapolated")
    before, after = Memory.load(run), Memory.read(state)
    assert before is not None
    assert before.appearance is not None
    assert after.seconds == before.seconds + 8  # of 24 s, without the blocks of the event and those around it
    again = firstsight(*command)
    assert again.code == 0
    assert "remembers what is normal: nothing is learned first" in again.err
    assert Memory.read(state).seconds > after.seconds


def test_a_run_without_a_memory_gets_one(firstsight, run_folder: Path, street: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for file in run_folder.iterdir():
        (run / file.name).write_bytes(file.read_bytes())
    weights = (run / "model.safetensors").read_bytes()
    ran = firstsight("watch", run, street, "--learn", "24s", "--speed", 0)
    assert ran.code == 0, ran.err
    assert Memory.load(run) is not None
    assert (run / "model.safetensors").read_bytes() == weights
    assert "something new" in ran.out
    (run / "normal.safetensors").unlink()
    ran = firstsight("watch", run, street, "--learn", "1h", "--speed", 0)
    assert (ran.code, ran.out) == (0, "")
    assert "all of street.mp4 was learned from, nothing is left to be watched" in ran.err
    assert Memory.load(run) is not None


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--learn", "soon"), "--learn 'soon'; valid is a time"),
        (("--learn", "9s", "--novel-from", 5), "--learn 9s: a deviation is given as well"),
        (("--novel", "--state", "x.state", "--novel-from", 5), "--state x.state: a deviation is given as well"),
        (("--state", "x.state"), "give --novel as well"),
        (("--novel", "--state", "/proc/none/x.state"), "cannot be written"),
        (("--learn", "9s", "--false-alarms", "often"), "valid is a number, a slash and a time"),
    ],
)
def test_what_cannot_be_is_one_line(firstsight, learned: Path, street: Path, options: tuple, reason: str) -> None:
    ran = firstsight("watch", learned, street, *options)
    assert ran.code == 2
    assert reason in ran.err
    assert len(ran.err.splitlines()) == 1


def test_a_state_that_is_damaged_or_has_nothing_to_begin_with_is_one_line(
    firstsight, learned: Path, run_folder: Path, street: Path, tmp_path: Path
) -> None:
    state = tmp_path / "street.state"
    ran = firstsight("novelty", run_folder, street, "--state", state)
    assert (ran.code, state.exists()) == (2, False)
    assert "has no memory of what is normal; leave it out, or learn from this fixed camera" in ran.err
    state.write_bytes(b"no memory")
    for command in ("novelty", "watch"):
        ran = firstsight(command, learned, street, "--state", state, *(["--novel"] if command == "watch" else []))
        assert ran.code == 2
        assert f"{state} is damaged" in ran.err
        assert len(ran.err.splitlines()) == 1
    assert state.read_bytes() == b"no memory"


def test_a_run_that_is_not_there_is_learned_only_if_asked(firstsight, street: Path, tmp_path: Path) -> None:
    ran = firstsight("watch", tmp_path / "none", street, "--novel")
    assert (ran.code, ran.err.split(";")[0]) == (2, f"error: no run at {tmp_path / 'none'}")
    ran = firstsight("watch", tmp_path / "none", "-", "--learn", "9s")
    assert ran.code == 2
    assert f"firstsight learn - --for TIME --out {tmp_path / 'none'}" in ran.err


def test_which_rate_is_proven_is_stated_everywhere(firstsight, learned: Path, run_folder: Path, street: Path) -> None:
    line = "0.4 min of normal footage: at most one false alarm in 0.4 min is proven; "
    assert line + "1/day is extrapolated" in firstsight("info", learned).out
    normal = json.loads(firstsight("info", learned, "--json").out)["normal"]
    assert normal == {
        "seconds": 24.0,
        "false_alarms": "1/day",
        "false_alarms_per_day": 1.0,
        "proven_false_alarms_per_day": 3600.0,
        "is_extrapolated": True,
    }
    assert json.loads(firstsight("info", run_folder, "--json").out)["normal"] is None
    assert line + "3/min is within that" in firstsight("novelty", learned, street, "--false-alarms", "3/min").err
    asked = json.loads(firstsight("novelty", learned, street, "--false-alarms", "2/h", "--json").out)["normal"]
    assert (asked["false_alarms_per_day"], asked["is_extrapolated"]) == (48.0, True)


def test_within_a_moment_signals_interrupt_each_time() -> None:
    with Ending() as ending:
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt), ending.at_once():
                signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
    assert ending.num_signals == 3
