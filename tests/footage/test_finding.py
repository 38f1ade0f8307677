"""Which files of a folder are footage, and what is said of the rest."""

import inspect
import os
import socket
import sys
from pathlib import Path

import pytest

from firstsight.errors import SourceError
from firstsight.footage.finding import LeftOut, find_all, find_files, summary
from firstsight.library.source_files import find_footage


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "top").mkdir()
    return tmp_path / "top"


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def names(found):
    return [file.name for file in found.files]


def left_out(found):
    return {one.name: one.kind for one in found.left_out}


def test_a_mixture_is_all_found_and_the_pictures_are_left_out_where_one_kind_is_read(folder):
    touch(folder, "a.jpg", "b.mp4", "sub/c.PNG", "sub/d.gif")
    found = find_all(folder)
    assert [(file.name, file.is_picture) for file in found.files] == [
        ("a.jpg", True),
        ("b.mp4", False),
        ("sub/c.PNG", True),
        ("sub/d.gif", False),
    ]
    of_one_kind = find_files(folder)
    assert (of_one_kind.name, of_one_kind.names) == ("2 videos in top/", ("b.mp4", "sub/d.gif"))
    assert summary(of_one_kind.left_out) == "left out: 2 pictures (a.jpg, sub/c.PNG)"
    assert find_files([folder, folder / "b.mp4"]).left_out == of_one_kind.left_out


def test_a_library_gets_videos_and_pictures_each_once_and_the_rest_is_said(folder, caplog):
    touch(folder, "a.jpg", "b.mp4", "notes.txt")
    files, failures = find_footage([folder, folder / "b.mp4", "top/*"])
    assert [(file.name, file.is_picture) for file in files] == [("a.jpg", True), ("b.mp4", False)]
    assert failures == []
    assert caplog.messages == ["left out: 1 file of no known kind (notes.txt)"] * 2


def test_everything_else_is_named_with_its_kind(folder):
    touch(folder, "a.mp4", "notes.txt", "Thumbs.db", "._a.jpg", ".DS_Store", ".git/config.mp4", "b.heic", "c.nef")
    os.mkfifo(folder / "pipe.mp4")
    (folder / "gone.mp4").symlink_to("nothing.mp4")
    (folder / "zero.png").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("top/socket.mp4")
        found = find_all(folder)
    assert names(found) == ["a.mp4"]
    assert left_out(found) == {
        "notes.txt": "file of no known kind",
        "Thumbs.db": "file of no known kind",
        "._a.jpg": "hidden file",
        ".DS_Store": "hidden file",
        ".git": "hidden folder",
        "b.heic": "HEIC picture",
        "c.nef": "raw picture of a camera",
        "pipe.mp4": "FIFO",
        "gone.mp4": "broken link",
        "zero.png": "device",
        "socket.mp4": "socket",
    }


def test_a_folder_that_must_not_be_read_is_named_and_the_others_are_read(folder, monkeypatch):
    touch(folder, "a.mp4", "locked/b.mp4")
    scandir = os.scandir

    def refusing(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    found = find_all(folder)
    assert (names(found), left_out(found)) == (["a.mp4"], {"locked": "folder without permission"})
    with pytest.raises(SourceError, match=r"folder 'top/locked' cannot be read: you have no permission"):
        find_all("top/locked")


class TestLinks:
    def test_to_folders_and_to_files_are_followed(self, folder, tmp_path):
        touch(tmp_path / "elsewhere", "a.mp4")
        touch(tmp_path / "other", "b.mp4")
        (folder / "link").symlink_to(tmp_path / "elsewhere")
        (folder / "b.mp4").symlink_to(tmp_path / "other" / "b.mp4")
        assert names(find_all(folder)) == ["b.mp4", "link/a.mp4"]
        assert find_files("top").name == "2 videos in top/"

    def test_give_no_file_twice_and_the_name_that_is_no_link_stays(self, folder, tmp_path):
        touch(folder, "z.mp4", "sub/c.jpg")
        touch(tmp_path / "elsewhere", "d.mp4")
        (folder / "a.mp4").symlink_to("z.mp4")
        (folder / "b.jpg").symlink_to("sub/c.jpg")
        (folder / "link").symlink_to(tmp_path / "elsewhere")
        (folder / "0.mp4").symlink_to(tmp_path / "elsewhere" / "d.mp4")
        os.link(folder / "z.mp4", folder / "zz.mp4")
        found = find_all(folder)
        assert names(found) == ["link/d.mp4", "sub/c.jpg", "z.mp4"]
        assert left_out(found) == {
            **dict.fromkeys(("0.mp4", "a.mp4", "b.jpg"), "link to a file that is read already"),
            "zz.mp4": "other name of a file that is read already",
        }
        assert summary(found.left_out) == (
            "left out: 3 links to a file that is read already (0.mp4, a.mp4, b.jpg), "
            "1 other name of a file that is read already (zz.mp4)"
        )

    def test_in_several_sources_give_a_library_no_file_twice(self, folder, tmp_path, caplog):
        touch(folder, "a.mp4", "b.mp4")
        (tmp_path / "link").symlink_to("top")
        (tmp_path / "c.mp4").symlink_to("top/a.mp4")
        files, failures = find_footage([tmp_path / "c.mp4", "link", "top"])
        assert ([file.path for file in files], failures) == ([folder / "a.mp4", folder / "b.mp4"], [])
        otherwise, link = (
            "2 other names of a file that is read already (a.mp4, b.mp4)",
            "1 link to a file that is read already",
        )
        assert caplog.messages == [f"left out: {otherwise}, {link} (c.mp4)"]

    def test_that_are_named_themselves_are_read(self, folder, tmp_path):
        touch(folder, "a.mp4")
        (tmp_path / "link.mp4").symlink_to("top/a.mp4")
        assert find_files("link.mp4").paths == (Path("link.mp4"),)
        assert [file.path for file in find_footage(["link.mp4"])[0]] == [tmp_path / "link.mp4"]

    def test_that_lead_round_end(self, folder):
        touch(folder, "sub/a.mp4")
        (folder / "sub" / "up").symlink_to("..")
        (folder / "again").symlink_to("sub")  # comes before sub, which keeps its name all the same
        found = find_all(folder)
        assert names(found) == ["sub/a.mp4"]
        assert left_out(found) == dict.fromkeys(("again", "sub/up"), "link to a folder that is read already")

    def test_to_a_folder_above_take_what_is_beside(self, folder, tmp_path):
        touch(folder, "a.mp4")
        touch(tmp_path, "beside.mp4")
        (folder / "up").symlink_to("..")
        assert names(find_all(folder)) == ["a.mp4", "up/beside.mp4"]

    def test_may_be_what_is_named(self, folder, tmp_path):
        touch(folder, "a.mp4")
        (tmp_path / "link").symlink_to("top")
        assert names(find_all("link")) == names(find_all("link/")) == ["a.mp4"]
        (tmp_path / "broken").symlink_to("nothing")
        with pytest.raises(SourceError, match="'broken' is a link to nothing"):
            find_all("broken")


def test_a_pattern_takes_each_file_once_and_says_what_it_leaves_out(folder):
    touch(folder, "a.mp4", "sub/b.mp4", "sub/notes.txt")
    found = find_all("top/**")
    assert (names(found), left_out(found)) == (["a.mp4", "sub/b.mp4"], {"sub/notes.txt": "file of no known kind"})


def test_names_that_are_not_utf8_or_hold_controls_are_found_and_shown(folder):
    raw = os.fsencode(folder)
    for name in (b"m\xe9.mp4", b"two\nlines.mp4", b"\x1b[2J.mp4", b"d\xff/x.mp4", b"n\xe9.txt"):
        path = Path(os.fsdecode(raw + b"/" + name))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    found = find_all(folder)
    assert sorted(names(found)) == [r"\x1b[2J.mp4", r"d\xff/x.mp4", r"m\xe9.mp4", r"two\nlines.mp4"]
    assert all(file.path.exists() for file in found.files)
    assert left_out(found) == {r"n\xe9.txt": "file of no known kind"}
    assert find_all(Path(os.fsdecode(raw + b"/m\xe9.mp4"))).files[0].name == r"m\xe9.mp4"
    assert find_all("top/m*.mp4").where == " matching top/m*.mp4"


def test_a_deep_tree_is_no_error(folder):
    touch(folder, "d/" * 150 + "a.mp4")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 100)
    try:
        found = find_all(folder)
    finally:
        sys.setrecursionlimit(limit)
    assert names(found) == ["d/" * 150 + "a.mp4"]


def test_a_folder_without_footage_says_what_is_in_it(folder):
    touch(folder, "a.txt", "b.heic")
    with pytest.raises(SourceError, match=r"; left out: 1 file of no known kind \(a.txt\), 1 HEIC picture \(b.heic\)$"):
        find_all(folder)


def test_a_summary_counts_by_kind_and_names_three():
    ones = [LeftOut(f"{number}.jpg", "picture") for number in range(5)] + [LeftOut("a", "file of no known kind")] * 2
    assert summary(ones) == ("left out: 5 pictures (0.jpg, 1.jpg, 2.jpg, ...), 2 files of no known kind (a, a)")
    assert summary([]) == ""
