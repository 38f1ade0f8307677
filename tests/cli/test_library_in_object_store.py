"""A library in an object store, of footage there, beside one on disk of the same files on disk."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from library_made import layout_encoder, small_encoder, write_video, write_videos
from object_store_made import BUCKET, Server, object_store_server

from firstsight import Library, leases, object_store
from firstsight.errors import FirstsightError, LibraryError, SourceError
from firstsight.footage.frame_at import frame_at
from firstsight.library.folder import writing
from firstsight.library.source_files import check_unchanged, content_hash
from firstsight.library.thumbnails import as_picture
from firstsight.object_store import to_path

STORE = f"s3://{BUCKET}/walks.library"
FOOTAGE = f"s3://{BUCKET}/videos"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with object_store_server() as made:
        yield made


@pytest.fixture
def videos(server: Server, tmp_path: Path) -> Iterator[Path]:
    """Three videos, on disk and in the store, where a text and a hidden file lie beside them."""
    folder = write_videos(tmp_path / "videos", 3)
    write_video(folder / "later" / "3.mp4", seed=3)
    for file in sorted(folder.rglob("*.mp4")):
        server.put(file, f"videos/{file.relative_to(folder).as_posix()}")
    for name in ("readme.txt", ".4.mp4"):
        to_path(f"{FOOTAGE}/{name}").write_bytes(b"text")
    yield folder
    for path in (STORE, FOOTAGE):
        object_store.ObjectPath(path).remove_all()


def test_it_has_the_rows_of_one_on_disk_and_answers_alike(server: Server, videos: Path, tmp_path: Path) -> None:
    encoder, before = layout_encoder(), server.num_refused
    with (
        Library.create(tmp_path / "walks.library", videos, encoder=encoder) as here,
        Library.create(STORE, FOOTAGE, encoder=encoder) as there,
    ):
        _check_alike(here, there)
        assert there.indexed.num_frames == here.indexed.num_frames > 0
        assert str(there.path) == STORE
        assert there.info().missing == there.info().unreachable == there.info().changed == ()
        assert there.check().is_whole
    with Library.open(STORE) as again:
        assert again.encoder.fingerprint == encoder.fingerprint
        assert again.search(f"{FOOTAGE}/1.mp4@1.5", nearest=True).nearest.source == "1.mp4"
    assert server.num_refused > before  # and nobody noticed


def _check_alike(here: Library, there: Library) -> None:
    assert [one.name for one in there.sources] == [one.name for one in here.sources]
    assert [one.content for one in there.sources] == [one.content for one in here.sources]
    ours, theirs = here.store.embeddings(), there.store.embeddings()
    assert np.array_equal(ours.vectors, theirs.vectors)
    assert np.array_equal(ours.seconds, theirs.seconds)
    frames = [("2.mp4", int(ours.frame_indices[-1]))]
    assert here.store.thumbnails(frames) == there.store.thumbnails(frames)
    thumbnail = as_picture(here.store.thumbnails(frames)[0])
    found = [library.search(thumbnail, nearest=True).to_json() for library in (here, there)]
    assert {**found[0], "library": ""} == {**found[1], "library": ""}


def test_files_that_change_move_and_go_are_noticed(server: Server, videos: Path) -> None:
    with Library.create(STORE, FOOTAGE, encoder=small_encoder()) as library:
        assert len(library.add(FOOTAGE).unchanged) == 4
        server.put(videos / "2.mp4", "videos/moved.mp4")
        to_path(f"{FOOTAGE}/2.mp4").unlink()
        server.put(write_video(videos / "new.mp4", seed=9), "videos/1.mp4")
        with pytest.raises(SourceError, match=r"1\.mp4 has changed"):
            check_unchanged(library.store.source("1.mp4"))
        outcome = library.add(FOOTAGE)
        assert (outcome.changed, outcome.moved, len(outcome.unchanged)) == (["1.mp4"], ["moved.mp4"], 2)
        to_path(f"{FOOTAGE}/0.mp4").unlink()
        assert library.info().missing == ("0.mp4",)
        assert [one.name for one in library.remove_missing().removed] == ["0.mp4"]
        assert sorted(one.name for one in library.sources) == ["1.mp4", "later/3.mp4", "moved.mp4"]
        assert library.check().is_whole
        library.compact()


def test_it_is_reembedded_by_another_encoder(server: Server, videos: Path, tmp_path: Path) -> None:
    encoder = small_encoder(seed=1)
    with Library.create(STORE, FOOTAGE, encoder=small_encoder()) as library:
        library.reindex(encoder)
        assert library.encoder.fingerprint == encoder.fingerprint
        with Library.create(tmp_path / "one.library", videos, encoder=encoder) as here:
            _check_alike(here, library)
    names = {path.name for path in to_path(STORE).iterdir()}
    assert names == {"library.json", "model", f"tables-{encoder.fingerprint}"}


def test_a_second_writer_is_refused_and_that_of_a_killed_one_is_taken_over(
    videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "_LOOK_SECONDS", 0.05)
    monkeypatch.setattr(leases, "_BEAT_SECONDS", 0.05)
    with Library.create(STORE, f"{FOOTAGE}/0.mp4", encoder=small_encoder()) as library:
        with writing(library.path), pytest.raises(LibraryError, match="is being written to by another process"):
            library.add(FOOTAGE)
        (library.path / ".library.lock").write_bytes(b"elsewhere 17 0123456789abcdef 4")
        monkeypatch.setattr(leases, "_LEASE_SECONDS", 0.3)
        library.add(FOOTAGE)
        assert len(library.sources) == 4


def test_commands_take_addresses(firstsight: Callable[..., Any], videos: Path, tmp_path: Path) -> None:
    small_encoder().save(tmp_path / "run")
    indexed = json.loads(firstsight("index", STORE, f"{FOOTAGE}/*.mp4", "--model", tmp_path / "run", "--json").out)
    assert (indexed["library"], indexed["num_sources"]) == (STORE, 3)
    firstsight("index", STORE, videos / "later")  # one of this machine beside them
    asked = f"{FOOTAGE}/2.mp4@1.2"
    page = f"s3://{BUCKET}/pages/found.html"
    found = json.loads(firstsight("search", STORE, asked, "--nearest", "--json", "--html", page).out)
    assert found["nearest"]["source"] == "2.mp4"
    assert b"<html" in to_path(page).read_bytes()
    assert firstsight("search", STORE, asked, "--nearest", "--clips", tmp_path / "clips").code == 0
    assert list((tmp_path / "clips").glob("*.mp4"))
    assert json.loads(firstsight("library", "info", STORE, "--json").out)["num_sources"] == 4
    compared = firstsight(
        "compare", f"{STORE}/model", f"{FOOTAGE}/0.mp4", "--anchor-every", 50, "--out", tmp_path / "out"
    )
    assert compared.code == 0, compared.err


def test_the_page_plays_what_is_in_the_store(
    server: Server, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from firstsight.web.workspace import Workspace

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with Library.create(STORE, f"{FOOTAGE}/0.mp4", encoder=small_encoder()):
        pass
    workspace = Workspace(to_path(STORE))
    (row,) = workspace.snapshot.rows
    assert workspace.video_file(row).read_bytes() == (videos / "0.mp4").read_bytes()
    assert workspace.frame(row, 1.0).pixels.shape == (48, 64, 3)
    workspace.close()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("index", "s3://nowhere/walks.library", FOOTAGE, "--model", "RUN"), "there is no bucket s3://nowhere"),
        (("search", "s3://nowhere/walks.library", "x.jpg"), "there is no library at s3://nowhere/walks.library"),
        (("index", STORE, f"{FOOTAGE}/none.mp4"), "there is no video or picture"),
        (("index", STORE, f"{FOOTAGE}/*.avi"), "there is no video or picture"),
        (("search", STORE, f"{FOOTAGE}/1.mp4@1"), "there is no library at s3://walks/walks.library"),
        (("learn", FOOTAGE, "--out", f"s3://{BUCKET}/run"), "choose a place on this machine for the run"),
        (("search", STORE.replace("s3:", "gs:"), "x.jpg"), "`pip install gcsfs`"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    firstsight: Callable[..., Any], videos: Path, tmp_path: Path, arguments: tuple[str, ...], line: str
) -> None:
    small_encoder().save(tmp_path / "run")
    ran = firstsight(*(str(tmp_path / "run") if one == "RUN" else one for one in arguments))
    assert (ran.code, ran.out) == (2, "")
    errors = [one for one in ran.err.splitlines() if one.startswith("error: ")]
    assert len(errors) == 1
    assert line in errors[0], ran.err
    assert "Traceback" not in ran.err


def test_without_permission_it_is_one_line(firstsight: Callable[..., Any], server: Server, videos: Path) -> None:
    with Library.create(STORE, f"{FOOTAGE}/0.mp4", encoder=small_encoder()):
        pass
    server.refuses("")
    try:
        for arguments in (
            ("search", STORE, f"{FOOTAGE}/1.mp4@1"),
            ("index", STORE, FOOTAGE),
            ("library", "info", STORE),
        ):
            ran = firstsight(*arguments)
            assert ran.code == 2, ran.err
            assert len(ran.err.strip().splitlines()) == 1, ran.err
            assert "Forbidden" in ran.err or "Access Denied" in ran.err, ran.err
        for ask in (lambda: Library.open(STORE), lambda: Library.create(f"{STORE}2", FOOTAGE)):
            with pytest.raises(FirstsightError, match=r"cannot be reached|cannot be read"):
                ask()
    finally:
        server.refuses(None)


def test_one_object_without_permission_is_tried_again_the_next_time(server: Server, videos: Path) -> None:
    with Library.create(STORE, FOOTAGE, encoder=small_encoder()) as library:
        server.put(write_video(videos / "new.mp4", seed=9), "videos/new.mp4")
        server.put(write_video(videos / "other.mp4", seed=8), "videos/other.mp4")
        server.refuses("videos/new.mp4")
        try:
            outcome = library.add(FOOTAGE)
            assert outcome.added == ["other.mp4"]
            assert len(outcome.failures) == 1
        finally:
            server.refuses(None)
        server.refuses("videos/0.mp4")
        try:
            assert library.remove_missing().removed == ()
            assert library.info().unreachable == ("0.mp4",)
        finally:
            server.refuses(None)
        assert library.add(FOOTAGE).added == ["new.mp4"]


def test_names_with_brackets_are_no_patterns(server: Server, videos: Path) -> None:
    server.put(videos / "0.mp4", "videos/walk[1].mp4")
    server.put(videos / "1.mp4", "videos/walk1.mp4")
    server.put(videos / "2.mp4", "videos/.trash/gone.mp4")
    with Library.create(STORE, [f"{FOOTAGE}/walk*.mp4", f"{FOOTAGE}/lat*"], encoder=small_encoder()) as library:
        assert [one.name for one in library.sources] == ["later/3.mp4", "walk1.mp4", "walk[1].mp4"]
        assert library.store.source("walk[1].mp4").content == content_hash(videos / "0.mp4", name="0")
    for name, own in (("walk[1].mp4", "0.mp4"), ("walk1.mp4", "1.mp4")):
        pixels = [frame_at(path, 1.2).pixels for path in (to_path(f"{FOOTAGE}/{name}"), videos / own)]
        assert np.array_equal(*pixels)
    with Library.create(f"s3://{BUCKET}/a[1].library", FOOTAGE, encoder=small_encoder()) as library:
        assert not any(".trash" in one.name for one in library.sources)
    object_store.ObjectPath(f"s3://{BUCKET}/a[1].library").remove_all()
