"""What the web app keeps: jobs, anchors, models, groups; whatever happens meanwhile or was damaged."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from firstsight.errors import LibraryError, SettingsError
from firstsight.web import jobs
from firstsight.web.anchors import Anchors, box_of_shares
from firstsight.web.jobs import Job, Jobs
from firstsight.web.models import About, Models
from firstsight.web.overview import read_overview

PICTURE = np.zeros((20, 30, 3), np.uint8)


def worker(program: str) -> Callable[[dict], "subprocess.Popen[str]"]:
    pipe = subprocess.PIPE
    return lambda _: subprocess.Popen([sys.executable, "-c", program], stdin=pipe, stdout=pipe, text=True)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def ignore(_: Job) -> None:
    pass


def test_a_worker_that_prints_numbers_fails_its_own_job_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "start_worker", worker("print(5)"))
    queue = Jobs(tmp_path / "jobs.json", on_change=ignore)
    queue.start()
    for number in range(2):
        queue.add("index", "one", {"number": number})
    wait_for(lambda: all(job.state == "failed" for job in queue.all()))
    queue.close()


def test_a_cancelled_job_that_is_still_ending_is_not_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ends_late = "import sys, time; print('{}', flush=True); sys.stdin.read(); time.sleep(1)"
    monkeypatch.setattr(jobs, "start_worker", worker(ends_late))
    queue = Jobs(tmp_path / "jobs.json", on_change=ignore)
    first = queue.add("learn", "first", {})
    queue.start()
    wait_for(lambda: queue.all()[0].state == "running")
    for number in range(30):
        queue.cancel(queue.add("learn", "one", {"number": number}).id)
    queue.cancel(first.id)
    last = queue.add("learn", "last", {"number": -1})
    wait_for(lambda: next(job for job in queue.all() if job.id == last.id).state == "running")
    queue.close()


def test_an_anchor_that_was_removed_cannot_be_renamed(tmp_path: Path) -> None:
    anchors = Anchors(tmp_path)
    kept, removed = (anchors.add(PICTURE, name=name) for name in ("kept", "removed"))
    anchors.remove(removed.id)
    with pytest.raises(LibraryError, match="no such anchor"):
        anchors.rename(removed.id, "again")
    assert anchors.rename(kept.id, "new").name == "new"
    assert [one.name for one in Anchors(tmp_path).all()] == ["new"]


def test_a_box_lies_in_its_picture() -> None:
    assert str(box_of_shares((0.5, 0.5, 9.0, 1e308), PICTURE)) == "15,10,15,10"
    assert str(box_of_shares((-0.5, 0.0, 1.0, 0.5), PICTURE)) == "0,0,15,10"
    for beside in ((1.5, 0.2, 0.3, 0.3), (0.2, -0.5, 0.3, 0.3), (1.0, 0.0, 0.5, 0.5)):
        with pytest.raises(SettingsError, match="beside the picture"):
            box_of_shares(beside, PICTURE)


def test_models_keep_their_order_and_one_that_ended_late_blocks_no_name(tmp_path: Path) -> None:
    models = Models(tmp_path / "walks.library")
    about = About(sources=("a.mp4",), paths=("/a.mp4",), method="default", seed=0)
    for name in ("second", "first"):
        models.begin(name, about)
        time.sleep(0.01)
    (models.folder / "second" / "run").mkdir()
    assert models.names() == ["second", "first"]
    models.remove("second")
    (models.folder / "second" / "run").mkdir(parents=True)
    models.begin("second", about)
    assert models.names() == ["first", "second"]


def test_a_run_that_the_user_has_put_there_is_no_model_to_be_replaced(tmp_path: Path) -> None:
    models = Models(tmp_path / "walks.library")
    weights = models.folder / "mine" / "model.safetensors"
    weights.parent.mkdir(parents=True)
    weights.touch()
    with pytest.raises(SettingsError, match="there is a model mine already"):
        models.begin("mine", About(sources=("a.mp4",), paths=("/a.mp4",), method="default", seed=0))
    assert weights.exists()


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x03\x04" + bytes(40)])
def test_a_damaged_map_is_made_again(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "overview.npz").write_bytes(content)
    assert read_overview(tmp_path / "overview.npz", "state") is None
