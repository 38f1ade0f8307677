"""What is to be judged is found, asked for, answered by a key, remembered by the library, and taken back."""

import csv
import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from library_made import layout_encoder, small_encoder, write_video
from web_server import Server, write_clip

from firstsight.api import Library
from firstsight.errors import LibraryError, SettingsError
from firstsight.footage.encoding import VideoWriter
from firstsight.library.set_apart import Part, read_pairs
from firstsight.web.candidates import Candidate, Found, Place, candidate, find_candidates, read_found, still_true
from firstsight.web.review import Answers, Review
from firstsight.web.workspace import Workspace


def write_cut(path: Path) -> None:
    """Two seconds of one picture, two of another."""
    grounds = [np.random.default_rng(seed).integers(0, 255, (48, 64, 3), dtype=np.uint8) for seed in (1, 2)]
    with VideoWriter(path, size=(64, 48)) as writer:
        for index in range(100):
            writer.write(grounds[index // 50], seconds=index / 25)


def copies_and_a_cut(folder: Path) -> Path:
    """The folder with a video, its copy, and one with a cut."""
    write_video(folder / "a.mp4", seed=1)
    shutil.copy(folder / "a.mp4", folder / "b.mp4")
    write_cut(folder / "cut.mp4")
    return folder


def test_copies_and_scenes_are_found_once_and_kept_source_by_source(tmp_path: Path) -> None:
    footage = copies_and_a_cut(tmp_path / "footage")
    with Library.create(tmp_path / "library", footage, encoder=small_encoder()) as library:
        num = find_candidates(library, ["copy", "scene"], tmp_path / "found.json").partition(" new moment")[0]
        found = read_found(tmp_path / "found.json")
        assert int(num) == len({one.id for one in found.candidates})
        kinds = [(one.kind, one.first.source) for one in found.candidates]
        assert ("copy", "a.mp4") in kinds
        assert ("scene", "cut.mp4") in kinds
        (scene,) = (one for one in found.candidates if one.first.source == "cut.mp4")
        assert scene.second is not None
        assert scene.second.start_seconds == pytest.approx(2.0, abs=0.05)
        assert find_candidates(library, ["copy", "scene"], tmp_path / "found.json") == "nothing new"
        answered = [one.id for one in found.candidates]
        assert find_candidates(library, ["copy"], tmp_path / "other.json", answered=answered) == "nothing new"
        assert {one.id for one in read_found(tmp_path / "found.json").candidates} == {
            one.id for one in found.candidates
        }
        library.remove("cut.mp4")
        find_candidates(library, ["scene"], tmp_path / "found.json")
        assert "cut.mp4" not in {one.first.source for one in read_found(tmp_path / "found.json").candidates}
        with pytest.raises(SettingsError, match="valid are copy, new, scene"):
            find_candidates(library, ["cats"], tmp_path / "found.json")


def test_answers_outlive_their_process_and_another_answer_replaces_the_first(tmp_path: Path) -> None:
    one = candidate("new", "", Place("a.mp4", 1.0, 0.5, 2.0), contents="a")
    answers = Answers(tmp_path, parts=lambda _: None)
    answers.give(one, "yes")
    answers.give(one, "unsure")
    assert [each.answer for each in Answers(tmp_path, parts=lambda _: None).all()] == ["unsure"]
    assert answers.undo().candidate == one
    with pytest.raises(LibraryError, match="no answer to take back"):
        answers.undo()
    with pytest.raises(SettingsError, match="valid are yes, no, unsure"):
        answers.give(one, "perhaps")


@pytest.fixture
def candidates(server: Server, library_folder: Path, state_folder: Path) -> Iterator[None]:
    """A copy and a scene to be judged; afterwards neither they nor answers are left."""
    with server.client() as client:
        assert client.get("/api/jobs").json()["jobs"]  # the first of which makes the folder
    (folder,) = (path.parent for path in (state_folder / "firstsight" / "serve").glob("*/jobs.json"))
    with Library.open(library_folder) as library:
        first, second = library.store.sources
    copy = candidate("copy", "perhaps", Place(first.name, 3, 2, 4), Place(second.name, 5, 4, 6), contents="1")
    scene = candidate("scene", "cut", Place(second.name, 1, 0, 1), Place(second.name, 1.2, 1, 4), contents="2")
    done = [f"{kind} {record.content} {record.name}" for kind in ("copy", "scene") for record in (first, second)]
    (folder / "candidates.json").write_text(json.dumps(asdict(Found(tuple(done), (copy, scene)))))
    yield
    (folder / "candidates.json").unlink()
    with server.client() as client:
        while client.post("/api/review/undo").status_code == 200:
            pass


def test_a_no_is_remembered_survives_a_reload_and_is_taken_back(
    server: Server, library_folder: Path, candidates: None, open_page
) -> None:
    page = open_page(server)
    page.get_by_role("tab", name="Review").click()
    page.wait_for_selector("h2:has-text('Is one a copy of the other?')")
    page.keyboard.press("n")
    page.wait_for_selector("h2:has-text('Does a new scene begin here?')")
    (pair,) = read_pairs(library_folder)
    assert pair.first.is_whole
    page.keyboard.press("y")
    page.wait_for_selector("h2:has-text('All is answered')")
    page.locator(".checks input").nth(1).focus()
    page.evaluate("document.querySelector('.chip').click()")  # shows all anew
    assert page.evaluate("document.activeElement.value") == "new"
    with server.client() as client:
        rows = list(csv.DictReader(io.StringIO(client.get("/api/review/labels.csv").text)))
    assert [(row["kind"], row["answer"]) for row in rows] == [("copy", "no"), ("scene", "yes")]
    page.reload()
    page.wait_for_selector(".review-done:has-text('2 answered')")
    page.keyboard.press("z")
    page.wait_for_selector("h2:has-text('Does a new scene begin here?')")
    page.keyboard.press("z")
    page.wait_for_selector("h2:has-text('Is one a copy of the other?')")
    assert read_pairs(library_folder) == ()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("h2:has-text('Does a new scene begin here?')")
    page.locator(".review-picture").last.click()
    page.wait_for_selector("#panel-watch:not([hidden])")
    page.wait_for_function("document.querySelector('.player-time').textContent === '0:01.20'")


def test_a_near_miss_that_was_judged_no_is_not_found_again(server: Server, library_folder: Path) -> None:
    with server.client() as client:
        row = client.get("/api/library").json()["rows"][0]
        anchor = client.post("/api/anchors", json={"row": row["id"], "seconds": 3.0}).json()
        client.get(f"/api/anchors/{anchor['id']}/moments")
        near = [one for one in client.get("/api/review").json()["queue"] if one["kind"] == "near"]
        assert near
        client.post(f"/api/review/{near[0]['id']}", json={"answer": "no"})
        assert len(read_pairs(library_folder)) == 1
        client.get(f"/api/anchors/{anchor['id']}/moments")
        left = [one["id"] for one in client.get("/api/review").json()["queue"]]
        assert near[0]["id"] not in left
        assert client.post("/api/review/undo").json()["id"] == near[0]["id"]
        assert read_pairs(library_folder) == ()
        client.delete(f"/api/anchors/{anchor['id']}")


def test_an_answer_to_one_near_miss_leaves_the_others_in_the_queue(server: Server) -> None:
    with server.client() as client:

        def left() -> list[str]:
            return [one["id"] for one in client.get("/api/review").json()["queue"]]

        def pinned(row: dict[str, Any], seconds: float) -> str:
            number = client.post("/api/anchors", json={"row": row["id"], "seconds": seconds}).json()["id"]
            client.get(f"/api/anchors/{number}/moments")
            return number

        anchors = [pinned(row, seconds) for row in client.get("/api/library").json()["rows"] for seconds in (3.0, 6.0)]
        first, second, *others = left()
        client.post(f"/api/review/{first}", json={"answer": "yes"})
        assert left() == [second, *others]
        client.post(f"/api/review/{second}", json={"answer": "no"})
        assert left() == others
        for anchor in anchors:
            client.get(f"/api/anchors/{anchor}/moments")
        assert set(others) <= set(left())
        client.post("/api/review/undo")
        client.post("/api/review/undo")
        assert {first, second, *others} <= set(left())
        for anchor in anchors:
            client.delete(f"/api/anchors/{anchor}")
        assert left() == []


@pytest.mark.parametrize(
    ("path", "content", "status"),
    [
        ("/api/review/0123456789abcdef", {"answer": "yes"}, 404),
        ("/api/review/undo", {}, 404),
        ("/api/jobs/review", {"kinds": ["cats"]}, 400),
        ("/api/jobs/review", {"kinds": []}, 400),
    ],
)
def test_what_cannot_be_reviewed_is_refused_in_a_line(server: Server, path: str, content: dict, status: int) -> None:
    with server.client() as client:
        answer = client.post(path, json=content)
        assert answer.status_code == status
        assert "\n" not in answer.json()["error"]


def test_an_answer_outlives_one_that_is_refused(tmp_path: Path) -> None:
    def refused(_: object) -> None:
        raise LibraryError("there is no such anchor, or not any more")

    one = candidate("near", "", Place("a.mp4", 1.0, 0.5, 2.0), contents="a")
    answers = Answers(tmp_path, parts=refused)
    answers.give(one, "yes")
    with pytest.raises(LibraryError):
        answers.give(one, "no")
    for after in (answers, Answers(tmp_path, parts=refused)):
        assert [each.answer for each in after.all()] == ["yes"]


def parts_of_near(one: Candidate) -> tuple[Part, Part] | None:
    return (Part("a"), Part("b")) if one.kind == "near" else None


def test_a_change_that_fails_loses_no_answer(tmp_path: Path) -> None:
    near, scene = (candidate(kind, "", Place("a.mp4", 1.0, 0.5, 2.0), contents="a") for kind in ("near", "scene"))
    answers = Answers(tmp_path, parts=parts_of_near)
    answers.give(near, "no")
    pairs = (tmp_path / "set-apart.json").read_bytes()
    (tmp_path / "set-apart.json").write_bytes(b"damaged")
    for change in (lambda: answers.give(near, "yes"), answers.undo):
        with pytest.raises(LibraryError, match="damaged"):
            change()
    answers.give(scene, "yes")
    for after in (answers, Answers(tmp_path, parts=parts_of_near)):
        assert [(each.candidate.kind, each.answer) for each in after.all()] == [("near", "no"), ("scene", "yes")]
    (tmp_path / "set-apart.json").write_bytes(pairs)
    answers.give(near, "yes")
    assert read_pairs(tmp_path) == ()


def test_two_who_have_the_library_open_lose_no_answer_of_each_other(tmp_path: Path) -> None:
    first, second, third = (candidate("scene", "", Place(name, 1.0, 0.5, 2.0), contents=name) for name in "abc")
    here, there = (Answers(tmp_path, parts=parts_of_near) for _ in range(2))
    here.give(first, "yes")
    here.give(second, "no")
    there.give(third, "yes")
    there.give(first, "unsure")
    assert [(each.candidate, each.answer) for each in here.all()] == [(second, "no"), (third, "yes"), (first, "unsure")]
    assert here.undo().candidate == first
    assert [each.candidate for each in there.all()] == [second, third]


def test_what_was_renamed_or_away_is_searched_again(tmp_path: Path) -> None:
    footage = tmp_path / "footage"
    footage.mkdir()
    write_cut(footage / "cut.mp4")
    with Library.create(tmp_path / "library", footage, encoder=small_encoder()) as library:
        away = (footage / "cut.mp4").rename(tmp_path / "away.mp4")
        line = find_candidates(library, ["new", "scene"], tmp_path / "found.json")
        assert line == "nothing new; 1 source could not be read"
        assert not read_found(tmp_path / "found.json").done
        away.rename(footage / "cut.mp4")
        find_candidates(library, ["scene"], tmp_path / "found.json")
        (footage / "cut.mp4").rename(footage / "renamed.mp4")
        library.add(footage)
        find_candidates(library, ["scene"], tmp_path / "found.json")
    assert [one.first.source for one in read_found(tmp_path / "found.json").candidates] == ["renamed.mp4"]


def test_what_was_found_in_a_file_that_has_changed_is_left_out_until_it_is_searched_again(tmp_path: Path) -> None:
    footage = copies_and_a_cut(tmp_path / "footage")
    with Library.create(tmp_path / "library", footage, encoder=small_encoder()) as library:
        find_candidates(library, ["copy", "scene"], tmp_path / "found.json")
        found = read_found(tmp_path / "found.json")
        assert {"copy", "scene"} <= {one.kind for one in found.candidates}
        assert still_true(found, library.store.sources) == found
        write_video(footage / "b.mp4", seed=2)
        write_video(footage / "cut.mp4", seed=3)
        library.add(footage)
        left = still_true(found, library.store.sources)
        assert {at.source for one in left.candidates for at in one.places} <= {"a.mp4"}
        find_candidates(library, ["new"], tmp_path / "found.json")
        assert "copy" not in {one.kind for one in read_found(tmp_path / "found.json").candidates}
        of_older = {"done": [key.rpartition(" ")[0] for key in found.done], "candidates": asdict(found)["candidates"]}
        (tmp_path / "found.json").write_text(json.dumps(of_older))
        assert still_true(read_found(tmp_path / "found.json"), library.store.sources) == Found()


def test_files_of_one_content_are_judged_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    footage = tmp_path / "footage"
    footage.mkdir()
    write_cut(footage / "a.mp4")
    shutil.copy(footage / "a.mp4", footage / "b.mp4")
    Library.create(tmp_path / "library", footage, encoder=small_encoder()).close()
    workspace = Workspace(tmp_path / "library")
    with Library.open(tmp_path / "library") as library:
        assert find_candidates(library, ["scene"], workspace.state_folder / "candidates.json") == "1 new moment"
        (one,) = Review(workspace).candidates()
        library.remove(one.first.source)
    workspace.show_latest()
    (other,) = Review(workspace).candidates()
    workspace.close()
    assert one.id == other.id
    assert {one.first.source, other.first.source} == {"a.mp4", "b.mp4"}


def test_a_near_miss_is_the_same_when_its_file_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    footage = tmp_path / "footage"
    footage.mkdir()
    for name, hue in (("gate.mp4", 20), ("yard.mp4", 230)):
        write_clip(footage / name, hue=hue)
    Library.create(tmp_path / "library", footage, encoder=layout_encoder(), frames_per_second=5).close()
    workspace = Workspace(tmp_path / "library")
    review, row = Review(workspace), workspace.snapshot.rows[0]
    anchor = workspace.anchors.add(workspace.frame(row, 3.0).pixels, name="pinned")
    workspace.scores(anchor.id)
    before = review.candidates()
    (footage / "yard.mp4").rename(footage / "renamed.mp4")
    with Library.open(workspace.folder) as library:
        library.add(footage)
    workspace.show_latest()
    workspace.scores(anchor.id)
    after = review.candidates()
    workspace.close()
    assert {one.first.source for one in before} == {"yard.mp4"}
    assert {one.first.source for one in after} == {"renamed.mp4"}
    assert {one.id for one in after} == {one.id for one in before}
