"""Files are written whole or not at all."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from firstsight.errors import RunError
from firstsight.files import safe_name, write_atomically

# In a process of its own, because no file may grow there beyond 1,000 bytes, as on a disk with no more room.
_ON_A_FULL_DISK = """
import resource, sys
from pathlib import Path
from firstsight.errors import RunError
from firstsight.files import write_atomically
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000))
try:
    write_atomically(Path(sys.argv[1]), bytes(5_000))
except RunError as error:
    print(error)
"""


def test_makes_the_folder_and_the_file(tmp_path: Path) -> None:
    write_atomically(tmp_path / "new" / "file", b"content")
    assert (tmp_path / "new" / "file").read_bytes() == b"content"


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", b"old")
    command = [sys.executable, "-c", _ON_A_FULL_DISK, tmp_path / "file"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "cannot be written: " in printed
    assert "choose a folder that can be, with free space" in printed
    assert (tmp_path / "file").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="cannot be written"):
        write_atomically(tmp_path / "file" / "below", b"content")


@pytest.fixture(params=[0o022, 0o077, 0o002])
def umask(request: pytest.FixtureRequest):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_a_new_file_gets_the_permissions_of_any_other(umask: int, tmp_path: Path) -> None:
    write_atomically(tmp_path / "new" / "ours", b"content")
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "theirs").write_bytes(b"content")
    for ours, theirs in (("new", "plain"), ("new/ours", "plain/theirs")):
        assert mode(tmp_path / ours) == mode(tmp_path / theirs)


def test_a_file_that_is_replaced_keeps_its_permissions(umask: int, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "file").chmod(0o640)
    write_atomically(tmp_path / "file", b"new")
    assert mode(tmp_path / "file") == 0o640


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_link_stays_and_what_it_points_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("target")
    write_atomically(tmp_path / "link", b"content")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"content"


def test_a_circle_of_links_is_reported(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("link")
    with pytest.raises(RunError, match="cannot be written"):
        write_atomically(tmp_path / "link", b"content")


def test_a_fifo_is_written_to_and_stays(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = subprocess.Popen(["cat", fifo], stdout=subprocess.PIPE)
    write_atomically(fifo, b"content")
    assert reader.communicate()[0] == b"content"
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_a_device_is_written_to_and_stays(tmp_path: Path) -> None:
    terminal, device = os.openpty()
    (tmp_path / "device").symlink_to(os.ttyname(device))
    write_atomically(tmp_path / "device", b"content")
    assert os.read(terminal, 100) == b"content"
    assert stat.S_ISCHR((tmp_path / "device").stat().st_mode)
    os.close(terminal)
    os.close(device)


def test_what_this_process_holds_open_goes_on_where_it_is(tmp_path: Path) -> None:
    """As `--out /dev/stdout` does, whether that is a pipe or a file."""
    with (tmp_path / "out").open("wb", buffering=0) as file:
        file.write(b"before ")
        write_atomically(Path(f"/dev/fd/{file.fileno()}"), b"content")
        file.write(b" after")
    assert (tmp_path / "out").read_bytes() == b"before content after"
    reader, writer = os.pipe()
    write_atomically(Path(f"/dev/fd/{writer}"), b"content")
    assert os.read(reader, 100) == b"content"
    os.close(reader)
    os.close(writer)


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    write_atomically(tmp_path / ("x" * 251 + ".csv"), b"content")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"content"]


def test_a_part_of_a_name_is_short_whatever_its_letters() -> None:
    for letter in "xé\U00020000":
        part = safe_name(letter * 300)
        assert 150 < len(part.encode()) <= 160
        assert set(part) == {letter}
