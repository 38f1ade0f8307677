"""What the web app keeps: jobs, anchors, models, groups; whatever happens meanwhile or was damaged."""

import io
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from library_made import filled, layout_encoder, write_video
from PIL import Image
from waiting import WATCHDOG_SECONDS, wait_for

from firstsight.api import Library
from firstsight.errors import FirstsightError, SettingsError
from firstsight.files import unfinished
from firstsight.web import jobs, scores
from firstsight.web.anchors import Anchors, RemovedError, box_of_shares
from firstsight.web.jobs import Job, Jobs
from firstsight.web.model_routes import NewModel
from firstsight.web.models import About, Models
from firstsight.web.overview import read_overview, write_overview
from firstsight.web.routes import FrameAnchor, LiveSource, routes_of
from firstsight.web.rows import snapshot_of, state_of
from firstsight.web.workspace import Workspace

PICTURE = np.zeros((20, 30, 3), np.uint8)
TILES = "tracks/{track}/{level}/{number}"


def worker(program: str) -> Callable[[dict], "subprocess.Popen[str]"]:
    pipe = subprocess.PIPE
    return lambda _: subprocess.Popen([sys.executable, "-c", program], stdin=pipe, stdout=pipe, text=True)


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


def test_who_cancels_may_wait_for_the_worker_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_END_SECONDS", WATCHDOG_SECONDS)
    late = tmp_path / "late"
    ends_late = "import sys, time; print('{}', flush=True); sys.stdin.read(); time.sleep(1)"
    monkeypatch.setattr(jobs, "start_worker", worker(f"{ends_late}; open({str(late)!r}, 'w')"))
    queue = Jobs(tmp_path / "jobs.json", on_change=ignore)
    job = queue.add("learn", "one", {})
    queue.start()
    wait_for(lambda: queue.all()[0].state == "running")
    assert queue.cancel(job.id, and_wait=True).state == "cancelled"
    assert late.exists()
    queue.close()


def test_where_no_process_can_be_started_the_job_fails_and_the_next_one_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(task: dict[str, Any]) -> "subprocess.Popen[str]":
        if task["number"] == 0:
            raise OSError(24, "Too many open files")
        return worker("print('{\"is_done\": true}')")(task)

    monkeypatch.setattr(jobs, "start_worker", started)
    queue = Jobs(tmp_path / "jobs.json", on_change=ignore)
    for number in range(2):
        queue.add("index", "one", {"number": number})
    queue.start()
    wait_for(lambda: all(job.is_over for job in queue.all()))
    second, first = queue.all()
    assert (second.state, first.state) == ("done", "failed")
    assert first.error == "no process can be started: Too many open files"
    assert queue.cancel(first.id, and_wait=True).state == "failed"
    queue.close()


def test_what_was_dismissed_is_not_shown_again_by_the_next_server_unless_it_is_another_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    details = ["1 not readable", "1 not readable", "1 not readable", "2 not readable"]
    dismissed = []
    for number, detail in enumerate(details):
        ended = json.dumps({"is_done": True, "is_partial": True, "detail": detail})
        monkeypatch.setattr(jobs, "start_worker", worker(f"print({ended!r})"))
        queue = Jobs(tmp_path / "jobs.json", on_change=ignore)
        added = queue.add("index", "indexing", {"footage": "walks"})
        queue.start()
        wait_for(lambda queue=queue: queue.all()[0].is_over)
        queue.close()
        dismissed.append(queue.all()[0].is_dismissed)
        if number == 0:
            queue.dismiss(added.id)
    assert dismissed == [False, True, True, False]


@pytest.mark.parametrize("closes", [False, True])
def test_a_worker_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closes: bool) -> None:
    monkeypatch.setattr(jobs, "_END_SECONDS", 0.2)
    monkeypatch.setattr(jobs, "start_worker", worker("import time; print('{}', flush=True); time.sleep(1e6)"))
    queue = Jobs(tmp_path / "jobs.json", on_change=ignore)
    job = queue.add("learn", "one", {})
    queue.start()
    wait_for(lambda: queue.all()[0].state == "running")
    if not closes:
        assert queue.cancel(job.id, and_wait=True).state == "cancelled"
    queue.close()
    assert queue._process is None


def test_a_model_is_removed_once_its_cancelled_worker_has_saved(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_END_SECONDS", WATCHDOG_SECONDS)
    late = tmp_path / "late"
    saves_late = "import sys, time; print('{}', flush=True); sys.stdin.read(); time.sleep(1)"
    monkeypatch.setattr(jobs, "start_worker", worker(f"{saves_late}; open({str(late)!r}, 'w')"))
    learn = route(workspace, "/api/models", method="POST")
    job = learn(NewModel(name="hall", rows=[workspace.snapshot.rows[0].id]))
    workspace.jobs.start()
    wait_for(lambda: next(one for one in workspace.jobs.all() if one.id == job["id"]).state == "running")
    workspace.jobs.cancel(job["id"])
    route(workspace, "/api/models/{name}", method="DELETE")("hall")
    assert late.exists()


def test_a_job_that_is_over_starts_again_in_place_of_itself_or_is_dismissed(tmp_path: Path) -> None:
    queue = Jobs(tmp_path / "jobs.json", on_change=ignore)
    first = queue.add("overview", "one", {"out": "here"})
    assert queue.again(first.id) == first
    assert not queue.dismiss(first.id).is_dismissed
    queue.cancel(first.id)
    second = queue.again(first.id)
    assert (second.kind, second.title, second.task, second.state) == ("overview", "one", {"out": "here"}, "waiting")
    queue.cancel(second.id)
    assert [job.is_dismissed for job in queue.all()] == [False, True]
    queue.dismiss(second.id)
    queue.close()
    assert [job.is_dismissed for job in Jobs(tmp_path / "jobs.json", on_change=ignore).all()] == [True, True]
    with pytest.raises(SettingsError, match="there is no job 9"):
        queue.again(9)


def test_an_anchor_that_was_removed_cannot_be_renamed(tmp_path: Path) -> None:
    anchors = Anchors(tmp_path)
    kept, removed = (anchors.add(PICTURE, name=name) for name in ("kept", "removed"))
    anchors.remove(removed.id)
    with pytest.raises(RemovedError, match="no such anchor"):
        anchors.rename(removed.id, "again")
    with pytest.raises(RemovedError):
        anchors.picture(removed.id)
    assert anchors.rename(kept.id, "new").name == "new"
    assert [one.name for one in Anchors(tmp_path).all()] == ["new"]


def test_two_who_have_the_library_open_lose_no_anchor_of_each_other(tmp_path: Path) -> None:
    here, there = Anchors(tmp_path), Anchors(tmp_path)
    first, second = here.add(PICTURE, name="first"), there.add(PICTURE, name="second")
    assert first.colour != second.colour
    there.rename(first.id, "renamed")
    assert [one.name for one in here.all()] == ["renamed", "second"]
    here.remove(second.id)
    assert [one.name for one in there.all()] == ["renamed"]


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
    unfinished(models.folder / "second" / "about.json").touch()
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


def map_file(*, before: bytes = b"", after: bytes = b"") -> bytes:
    """A map as it is written, of no frame; with other bytes in place of some."""
    content = io.BytesIO()
    nothing = dict.fromkeys(("labels", "points", "positions"), np.empty(0, np.float32))
    np.savez(content, **nothing, about=json.dumps(["state", []]))
    assert before in content.getvalue()
    return content.getvalue().replace(before, after) if before else content.getvalue()


def entry(*, flags: int = 0, method: int = 0) -> bytes:
    """How the directory of an archive of NumPy begins to describe a file."""
    return b"PK\x01\x02" + bytes([45, 3, 45, 0, flags, 0, method, 0])


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"PK", b"PK\x03\x04" + bytes(40)),
        map_file(before=entry(), after=entry(flags=1)),  # "encrypted"
        map_file(before=entry(), after=entry(method=99)),
    ],
)
def test_a_damaged_map_is_made_again(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "overview.npz").write_bytes(content)
    assert read_overview(tmp_path / "overview.npz", "state") is None


def test_a_map_that_is_whole_is_read(tmp_path: Path) -> None:
    (tmp_path / "overview.npz").write_bytes(map_file())
    assert read_overview(tmp_path / "overview.npz", "state") is not None


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of three pictures, "b" to "d"."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, name in enumerate("bcd", start=1):
        add_picture(folder / f"{name}.png", seed=number)
    return folder


def add_picture(path: Path, *, seed: int) -> None:
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8)).save(path)


@pytest.fixture
def workspace(tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    Library.create(tmp_path / "library", pictures, encoder=layout_encoder()).close()
    opened = Workspace(tmp_path / "library")
    yield opened
    opened.close()


def route(workspace: Workspace, path: str, *, method: str = "GET") -> Callable[..., Any]:
    """The function of the REST API that answers there."""
    return next(one.endpoint for one in routes_of(workspace).routes if one.path == path and method in one.methods)


def test_too_few_frames_make_an_empty_overview(tmp_path: Path) -> None:
    for number in range(2):
        add_picture(tmp_path / f"{number}.png", seed=number)
    with Library.create(tmp_path / "library", sorted(tmp_path.glob("*.png")), encoder=layout_encoder()) as library:
        assert write_overview(library, tmp_path / "overview.npz") == "0 groups"
        found = read_overview(tmp_path / "overview.npz", state_of(library.store))
    assert (found.groups, len(found.points), found.labels.tolist()) == ([], 0, [0, 0])


def test_what_cannot_be_read_has_a_row_that_says_why(workspace: Workspace, pictures: Path) -> None:
    before = workspace.snapshot.state
    (pictures / "bad.png").write_text("no picture")
    (pictures / "cut.mp4").write_text("no video")
    index_again(workspace, pictures)
    assert workspace.snapshot.state != before
    first, *failed = workspace.snapshot.rows
    assert (first.error, len(first.positions)) == ("", 3)
    assert [row.name for row in failed] == ["cut.mp4", "bad.png"]
    failed.reverse()
    shown = route(workspace, "/api/library")()
    assert (shown["num_sources"], [row["is_indexed"] for row in shown["rows"]]) == (3, [True, False, False])
    assert shown["rows"][2]["error"].startswith("bad.png cannot be read as a picture")
    reason = "cut.mp4 is not a video"
    for ask in (
        lambda: route(workspace, "/api/rows/{row_id}/video")(failed[1].id),
        lambda: route(workspace, "/api/rows/{row_id}/frame")(failed[1].id, 0.0),
        lambda: route(workspace, "/api/rows/{row_id}/thumbnail")(failed[1].id, 0.0),
        lambda: route(workspace, "/api/rows/{row_id}/elsewhere")(failed[1].id, 0.0),
        lambda: route(workspace, "/api/live", method="POST")(LiveSource(row=failed[1].id)),
        lambda: route(workspace, "/api/models", method="POST")(NewModel(name="hall", rows=[failed[1].id])),
    ):
        with pytest.raises(FirstsightError, match=reason):
            ask()
    assert not any(route(workspace, f"/api/{TILES}")("frames", 0, 0, failed[1].id).body)


def test_pictures_of_a_folder_that_cannot_be_read_have_one_row(workspace: Workspace, pictures: Path) -> None:
    for name in ("bad.png", "worse.png"):
        (pictures / name).write_text("no picture")
    index_again(workspace, pictures)
    _, failed = workspace.snapshot.rows
    assert (failed.name, failed.num_failed) == ("pictures", 2)
    assert failed.error.startswith("2 pictures cannot be read; the first: bad.png cannot be read as a picture")


def pin(workspace: Workspace, *, seconds: float) -> dict[str, Any]:
    (row,) = workspace.snapshot.rows
    return route(workspace, "/api/anchors", method="POST")(FrameAnchor(row=row.id, seconds=seconds))


def index_again(workspace: Workspace, pictures: Path) -> None:
    with Library.open(workspace.folder) as library:
        library.add(pictures)
    workspace.show_latest()


def test_an_anchor_of_a_stored_frame_is_compared_as_a_search_for_that_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    clip = write_video(tmp_path / "walk.mp4", seed=0)
    with Library.create(tmp_path / "library", clip, encoder=layout_encoder(), frames_per_second=5) as library:
        found = library.search(f"{clip}@1.2", k=500, nearest=True)
        expected = [one.similarity for one in found.matches or found.below]
    workspace = Workspace(tmp_path / "library")
    pinned = pin(workspace, seconds=1.21)
    assert pinned["seconds"] == pytest.approx(1.2)
    moments = route(workspace, "/api/anchors/{anchor_id}/moments")(pinned["id"])["moments"]
    assert [one["similarity"] for one in moments] == expected[: len(moments)]
    assert moments[0]["similarity"] == 1
    workspace.close()


def test_an_anchor_among_pictures_is_the_same_picture_when_there_are_more(workspace: Workspace, pictures: Path) -> None:
    pinned = pin(workspace, seconds=1.0)
    assert (pinned["source"], pinned["seconds"], pinned["name"]) == ("c.png", 0.0, "c.png")
    assert route(workspace, "/api/rows/{row_id}/names")(workspace.snapshot.rows[0].id) == ["b.png", "c.png", "d.png"]
    anchor = workspace.anchors.get(pinned["id"])
    before = workspace.part_of(anchor)
    row_alone = {"source": workspace.snapshot.rows[0].name, "seconds": 1.0}
    for noted in (row_alone, {}):  # by older versions
        assert workspace.part_of(replace(anchor, content="", **noted)) == before
    add_picture(pictures / "a.png", seed=0)
    index_again(workspace, pictures)
    assert workspace.part_of(anchor) == before
    assert before.content == workspace.snapshot.rows[0].records[2].content


def test_what_was_embedded_by_another_encoder_meanwhile_is_asked_by_that(workspace: Workspace) -> None:
    anchor, encoder = pin(workspace, seconds=1.0)["id"], layout_encoder(seed=5)
    before = workspace.scores(anchor)
    with Library.open(workspace.folder) as library:
        library.reindex(encoder)
    assert workspace.ask(lambda store: store.encoder.fingerprint) == encoder.fingerprint
    after = workspace.scores(anchor)
    assert after.state == workspace.snapshot.state != before.state


def test_judgements_of_an_anchor_stay_with_its_file_whatever_that_is_called(
    workspace: Workspace, pictures: Path
) -> None:
    anchor = workspace.anchors.get(pin(workspace, seconds=1.0)["id"])
    part = workspace.part_of(anchor)
    (pictures / "c.png").rename(pictures / "renamed.png")
    add_picture(pictures / "c.png", seed=9)
    index_again(workspace, pictures)
    assert workspace.snapshot.by_source.keys() == {"b.png", "c.png", "d.png", "renamed.png"}
    assert workspace.part_of(anchor) == part
    with Library.open(workspace.folder) as library:
        library.remove("renamed.png")
    workspace.show_latest()
    assert workspace.part_of(anchor) == part


def test_browsers_keep_only_what_its_address_names(workspace: Workspace, pictures: Path) -> None:
    strip, tiles = (route(workspace, f"/api/{path}") for path in ("rows/{row_id}/strip/{level}/{number}", TILES))
    (row,) = workspace.snapshot.rows
    kept, other = (strip(row.id, 0, 0, version=version) for version in (row.version, "older"))
    assert "immutable" in kept.headers["cache-control"]
    assert other.headers["cache-control"] == tiles("frames", 0, 0, row.id).headers["cache-control"] == "no-store"
    add_picture(pictures / "c.png", seed=9)
    index_again(workspace, pictures)
    (now,) = workspace.snapshot.rows
    assert len(now.positions) == len(row.positions)
    assert now.version != row.version
    assert strip(now.id, 0, 0, version=now.version).body != kept.body


def test_a_renamed_file_or_folder_is_shown_as_it_is_named_now(workspace: Workspace, pictures: Path) -> None:
    (row,), before = workspace.snapshot.rows, workspace.snapshot.state
    (pictures / "c.png").rename(pictures / "ca.png")
    index_again(workspace, pictures)
    assert "ca.png" in workspace.snapshot.by_source
    assert workspace.snapshot.state != before
    assert workspace.snapshot.rows[0].version != row.version
    moved = pictures.rename(pictures.with_name("moved"))
    index_again(workspace, moved)
    assert {record.path.parent for record in workspace.snapshot.rows[0].records} == {moved}


def test_a_table_holds_all_moments_however_few_the_page_gets(
    workspace: Workspace, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores, "MAX_MOMENTS", 1)
    for name in ("e.png", "f.png"):
        (pictures / name).write_bytes((pictures / "c.png").read_bytes())
    index_again(workspace, pictures)
    (row,), pinned = workspace.snapshot.rows, pin(workspace, seconds=1.0)["id"]
    shown = route(workspace, "/api/anchors/{anchor_id}/moments")(pinned)
    assert (len(shown["moments"]), shown["num_matches"], shown["num_by_row"]) == (1, 3, {row.id: 3})
    assert shown["doubt"].startswith("There is too little footage to measure where a match begins")
    table = route(workspace, "/api/anchors/{anchor_id}/moments.csv")(pinned).body.decode().splitlines()
    assert sorted(line.partition(",")[0] for line in table[1:]) == ["c.png", "e.png", "f.png"]


def test_what_was_compared_is_drawn_where_it_was(
    workspace: Workspace, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures arrive while an anchor is compared: its curve is that of the frames that it was compared with."""
    tiles, (row,) = route(workspace, f"/api/{TILES}"), workspace.snapshot.rows
    pinned = pin(workspace, seconds=1.0)["id"]
    before, known = tiles(pinned, 0, 0, row.id).body, workspace.scores(pinned)
    assert np.count_nonzero(np.frombuffer(before, np.uint8)) == 3
    add_picture(pictures / "e.png", seed=5)
    index_again(workspace, pictures)
    assert workspace.snapshot.num_frames == 4
    monkeypatch.setattr(workspace, "scores", lambda _: known)
    assert tiles(pinned, 0, 0, row.id).body == before
    monkeypatch.undo()
    assert np.count_nonzero(np.frombuffer(tiles(pinned, 0, 0, row.id).body, np.uint8)) == 4


def test_frames_that_an_older_version_wrote_and_counted_twice_are_on_the_map_once(tmp_path: Path) -> None:
    store = filled(tmp_path / "library", {"a.mp4": 40, "b.mp4": 30}).library
    first = store.source("a.mp4")
    store.tables.frames.add(store.tables.frames.search().where(f"source = {first.id}").to_arrow())
    store.tables.put([replace(first, num_frames=80)])
    with Library.open(tmp_path / "library") as library:
        write_overview(library, tmp_path / "overview.npz")
        found = read_overview(tmp_path / "overview.npz", state_of(library.store))
        shown = snapshot_of(library.store, ())
    assert found is not None
    assert len(found.labels) == len(found.points) == shown.num_frames == 70
    assert sorted(found.positions.tolist()) == list(range(70))
