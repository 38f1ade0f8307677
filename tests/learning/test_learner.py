import json
import os
import signal
import subprocess
import sys
import threading
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

import firstsight
from firstsight.article.settings import ArticleSettings
from firstsight.cli.info import level_table
from firstsight.closed_form.learn import ClosedFormSettings
from firstsight.errors import RunError, SettingsError, SourceError
from firstsight.footage.encoding import VideoWriter
from firstsight.learning.learn import Settings, resume
from firstsight.progress import Progress

SMALL = {"num_levels": 2, "maps": 4, "hidden_maps": 8, "crop_size": 48, "input_size": 32, "frames_per_level": 30}


def test_the_keywords_are_the_fields() -> None:
    fields = set(ArticleSettings.__dataclass_fields__) | set(ClosedFormSettings.__dataclass_fields__)
    assert set(Settings.__annotations__) == fields


def test_a_setting_of_the_articles_chooses_its_method(moving_square: np.ndarray) -> None:
    assert firstsight.learn(moving_square[:20], **SMALL).provenance["method"] == "article"
    assert firstsight.learn(moving_square[:4]).provenance["method"] == "default"


def test_a_run_holds_encoder_settings_and_a_line_a_check(tmp_path: Path, moving_square: np.ndarray) -> None:
    seen: list[Progress] = []
    encoder = firstsight.learn(moving_square, seed=3, out=tmp_path / "run", progress=seen.append, **SMALL)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"config.json", "model.safetensors", "metrics.jsonl"}
    loaded = firstsight.Encoder.load(tmp_path / "run")
    np.testing.assert_array_equal(loaded.encode(moving_square[:5]), encoder.encode(moving_square[:5]))

    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [(line["level"], line["frame"], line["outcome"]) for line in lines] == [
        (1, 20, "go on"),
        (1, 40, "cap"),
        (2, 20, "go on"),
        (2, 40, "cap"),
    ]
    config = json.loads((tmp_path / "run" / "config.json").read_text())["provenance"]
    assert config["seed"] == 3
    assert config["settings"]["frames_per_level"] == 30
    assert config["machine"]["num_threads"] == torch.get_num_threads()
    outcome = config["outcome"]
    assert outcome["finished"]
    assert [level["outcome"] for level in outcome["levels"]] == ["cap", "cap"]
    assert outcome["frames_learned_from"] == 82
    assert [line.split(" after ")[0] for progress in seen for line in progress.news[:1]] == [
        "array of 240 frames: the network gets 75 % of each 64x48 picture, 48x48 in the middle",
        "level 1 ended by cap",
        "level 2 ended by cap",
    ]
    assert outcome["frames_in_a_pass"] == 216  # a tenth is held back
    assert [level["num_frames"] for level in outcome["health"]] == [24, 24]
    assert outcome["health_held_out"]
    assert "on 24 frames not learned from" in level_table(encoder)
    assert all(0 < level["mean_max_similarity"] <= 1 for level in outcome["health"])


def test_the_same_seed_gives_the_same_encoder_bit_for_bit(moving_square: np.ndarray) -> None:
    first, second, other = (firstsight.learn(moving_square, seed=seed, **SMALL) for seed in (1, 1, 2))
    vectors = [encoder.encode(moving_square[:8]) for encoder in (first, second, other)]
    np.testing.assert_array_equal(vectors[0], vectors[1])
    assert not np.allclose(vectors[0], vectors[2])


def test_a_level_that_reaches_its_threshold_says_so(moving_square: np.ndarray) -> None:
    encoder = firstsight.learn(moving_square, thresholds=(1.0,), **SMALL | {"frames_per_level": 300})
    outcomes = [level["outcome"] for level in encoder.provenance["outcome"]["levels"]]
    assert outcomes[0] == "threshold"


def test_short_footage_starts_again_at_its_end(moving_square: np.ndarray) -> None:
    encoder = firstsight.learn(moving_square[:7], **SMALL)
    outcome = encoder.provenance["outcome"]
    assert (outcome["frames_in_a_pass"], outcome["frames_learned_from"]) == (7, 82)
    assert [level["num_frames"] for level in outcome["health"]] == [7, 7]
    assert not outcome["health_held_out"]
    assert "on 7 frames\n" in level_table(encoder) + "\n"


def test_what_collapsed_is_called_so_though_nothing_was_held_out(tmp_path: Path) -> None:
    """Black frames leave nothing to tell maps apart by."""
    encoder = firstsight.learn(np.zeros((30, 48, 64, 3), np.uint8), held_out=0, out=tmp_path / "run", **SMALL)
    table = level_table(encoder)
    assert "collapsed" in table or "dead maps" in table
    assert "not learned from" not in table


def test_an_existing_run_is_not_overwritten(tmp_path: Path, moving_square: np.ndarray) -> None:
    firstsight.learn(moving_square, out=tmp_path, **SMALL)
    before = (tmp_path / "model.safetensors").read_bytes()
    with pytest.raises(RunError, match="--force"):
        firstsight.learn(moving_square, out=tmp_path, seed=1, **SMALL)
    assert (tmp_path / "model.safetensors").read_bytes() == before
    firstsight.learn(moving_square, out=tmp_path, seed=1, force=True, **SMALL)
    assert (tmp_path / "model.safetensors").read_bytes() != before


def test_an_interrupt_keeps_what_was_learned(tmp_path: Path, moving_square: np.ndarray) -> None:
    def press_ctrl_c(progress: Progress) -> None:
        if progress.what == "level 2 of 2":
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        firstsight.learn(moving_square, out=tmp_path, progress=press_ctrl_c, **SMALL)
    encoder = firstsight.Encoder.load(tmp_path)
    assert encoder.provenance["outcome"]["finished"] is False
    assert [level["outcome"] for level in encoder.provenance["outcome"]["levels"]] == ["cap"]
    assert encoder.encode(moving_square[:2]).shape == (2, encoder.dim)


def test_it_works_outside_the_main_thread(moving_square: np.ndarray) -> None:
    results = []
    thread = threading.Thread(target=lambda: results.append(firstsight.learn(moving_square, **SMALL)))
    thread.start()
    thread.join()
    assert results[0].provenance["outcome"]["finished"]


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"method": "magic"}, "valid are default, random, article"),
        ({"frames_per_levels": 3}, "no setting 'frames_per_levels'; valid are max_frames"),
        ({"held_out": 0.9}, "valid is 0 to 0.5"),
        ({"device": "abacus"}, "valid here: auto, cpu"),
    ],
)
def test_options_are_checked(moving_square: np.ndarray, keywords: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        firstsight.learn(moving_square, **keywords)


def test_one_picture_is_not_enough(moving_square: np.ndarray) -> None:
    with pytest.raises(SourceError, match="1 frame to learn from"):
        firstsight.learn(moving_square[:1], **SMALL)


def test_the_folder_is_looked_at_before_learning(tmp_path: Path, moving_square: np.ndarray) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="is a file"):
        firstsight.learn(moving_square, out=tmp_path / "file", **SMALL)


def test_a_real_clip_end_to_end(bikes: Path, tmp_path: Path) -> None:
    encoder = firstsight.learn(bikes, out=tmp_path, frames_per_level=20, num_levels=3, input_size=96, batch_size=4)
    outcome = encoder.provenance["outcome"]
    assert outcome["frames_in_a_pass"] > 100
    assert len(outcome["health"]) == 3
    assert outcome["frames_skipped"] == 0


@pytest.fixture
def clip(tmp_path: Path, moving_square: np.ndarray) -> Path:
    with VideoWriter(tmp_path / "clip.mp4", size=(64, 48)) as writer:
        for index, frame in enumerate(moving_square[:100]):
            writer.write(frame, seconds=index / 25)
    return tmp_path / "clip.mp4"


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
@pytest.mark.parametrize("stop_after", [5, 45, 70])
def test_a_resumed_run_ends_with_the_same_weights(clip: Path, tmp_path: Path, optimiser: str, stop_after: int) -> None:
    settings = SMALL | {"optimiser": optimiser, "learning_rate": 0.003, "batch_size": 1}
    whole = firstsight.learn(clip, out=tmp_path / "whole", **settings)
    steps = count()

    def press_ctrl_c(progress: Progress) -> None:
        if progress.what.startswith("level") and next(steps) == stop_after:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        firstsight.learn(clip, out=tmp_path / "cut", progress=press_ctrl_c, **settings)
    resumed = resume(tmp_path / "cut")
    for name, tensor in whole.model.network.state_dict().items():
        assert torch.equal(tensor, resumed.model.network.state_dict()[name]), name
    for file in ("metrics.jsonl", "model.safetensors"):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "cut" / file).read_bytes()
    assert not (tmp_path / "cut" / "learning.safetensors").exists()
    with pytest.raises(RunError, match="nothing to resume"):
        resume(tmp_path / "cut")


def test_an_array_cannot_be_resumed(tmp_path: Path, moving_square: np.ndarray) -> None:
    def press_ctrl_c(progress: Progress) -> None:
        if progress.what == "level 1 of 2":
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        firstsight.learn(moving_square, out=tmp_path / "run", progress=press_ctrl_c, **SMALL)
    with pytest.raises(RunError, match="cannot be read again"):
        resume(tmp_path / "run")


_KILLED = """
import os, signal, sys, firstsight
def kill(progress):
    if progress.what == "level 2 of 2":
        os.kill(os.getpid(), signal.SIGKILL)
firstsight.learn(sys.argv[1], out=sys.argv[2], num_levels=2, maps=4, hidden_maps=8, crop_size=48, input_size=32,
                 frames_per_level=30, progress=kill)
"""


def test_a_killed_run_can_be_resumed(clip: Path, tmp_path: Path) -> None:
    """kill -9 after the first save leaves a run that loads and goes on; benchmarks/survival.py kills at any moment."""
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, clip, tmp_path / "run"], env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert firstsight.Encoder.load(tmp_path / "run").provenance["outcome"]["finished"] is False
    assert resume(tmp_path / "run").provenance["outcome"]["finished"]
