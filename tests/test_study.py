"""docs/study.md says what its numbers say, and what it counts without learning is right."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import study  # noqa: E402
import study_report  # noqa: E402


def test_the_document_is_what_the_numbers_render() -> None:
    found = json.loads(study.RESULTS.read_text())
    assert (ROOT / "docs" / "study.md").read_text() == study_report.document(found)
    for name in ("levels", "forgetting", "similarity"):
        assert (ROOT / "docs" / "pictures" / f"study-{name}.png").exists()


def test_counting() -> None:
    counted = study.counted()
    assert (counted["values in the first check"], counted["values in the second check"]) == (21, 20)
    assert counted["frames of each level at the cap"] == [7_021] * 4
    assert counted["frames of each level just below the threshold"] == [41] * 4
    assert counted["frames of a level at 0.25 after a cap"] == 41


def test_a_run_keeps_every_check_and_every_levels_health(bikes: Path, tmp_path: Path) -> None:
    settings = study.ArticleSettings(frames_per_level=20, num_levels=2, maps=4, hidden_maps=8, input_size=32)
    run = study.learn(bikes, settings, tmp_path / "weights")
    assert [check[:2] for check in run["checks"]] == [[1, 20], [1, 40], [2, 20], [2, 40]]
    assert [len(measured) for measured in run["health"]] == [2, 2, 2]
    assert run["diverged"] is None
    assert (tmp_path / "weights" / "model.safetensors").exists()


def test_what_was_measured_is_not_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "study.json"
    assert study.Kept(path, cap=7).get("runs", "one", lambda: {"value": 1}) == {"value": 1}
    assert study.Kept(path, cap=7).get("runs", "one", lambda: pytest.fail("measured again")) == {"value": 1}
    assert study.Kept(path, cap=8).get("runs", "one", lambda: {"value": 2}) == {"value": 2}
