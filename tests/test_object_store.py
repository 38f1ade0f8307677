"""Paths of an object store beside those of this machine; copies; leases."""

import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from object_store_made import BUCKET, Server, object_store_server

from firstsight import leases, object_store
from firstsight.errors import RunError, SettingsError
from firstsight.files import check_regular, folder_size, locked, read_regular, remove_folder, write_atomically
from firstsight.leases import LeaseHeldError, LeaseLostError, check_lease, leased
from firstsight.object_store import ObjectPath, StoreError, is_there, local, to_absolute, to_path

ROOT = f"s3://{BUCKET}"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with object_store_server() as made:
        yield made


def of_store(text: str) -> ObjectPath:
    path = to_path(text)
    assert isinstance(path, ObjectPath)
    return path


@pytest.mark.parametrize("text", ["s3://walks/a/b.mp4", Path("s3://walks/a/b.mp4"), "s3:/walks/a/b.mp4"])
def test_an_address_is_a_path_and_is_written_as_an_address(text: str | Path) -> None:
    path = to_path(text)
    assert str(path) == f"{path}" == path.as_posix() == "s3://walks/a/b.mp4"
    assert isinstance(path, ObjectPath)
    assert isinstance(path.parent / "c", ObjectPath)
    assert (str(path.parent), path.name, path.suffix, str(path.bucket)) == ("s3://walks/a", "b.mp4", ".mp4", ROOT)
    assert path.is_absolute()
    assert path.absolute() == path.resolve() == to_absolute(str(path)) == path
    assert pickle.loads(pickle.dumps(path)) == path
    assert {path: 1}[to_path("s3://walks/a/b.mp4")] == 1


@pytest.mark.parametrize(
    "text", ["walks/a", "/s3/walks", "s3", "s3:", "s3://", "file.s3://x", "C:/walks", "http://a/b"]
)
def test_any_other_path_is_of_this_machine(text: str) -> None:
    assert not isinstance(to_path(text), ObjectPath)
    assert to_path(text) == Path(text)


def test_a_folder_of_a_store_behaves_as_one_on_disk(server: Server, tmp_path: Path) -> None:
    answers = [_used(folder) for folder in (tmp_path / "here", of_store(f"{ROOT}/here"))]
    assert answers[0] == answers[1]


def _used(folder: Path) -> list[object]:
    """What the methods that the library uses answer, one after the other."""
    found: list[object] = [folder.exists(), is_there(folder / "a")]
    write_atomically(folder / "a.txt", b"first")
    write_atomically(folder / "under" / "b.txt", b"other")
    write_atomically(folder / "a.txt", b"second")
    found += [folder.is_dir(), folder.is_file(), (folder / "a.txt").is_file(), (folder / "a.txt").is_dir()]
    found += [(folder / "c").exists(), sorted(path.name for path in folder.iterdir()), folder_size(folder)]
    found += [read_regular(folder / "a.txt"), (folder / "a.txt").read_bytes(), (folder / "a.txt").stat().st_size]
    found.append(check_regular(folder / "under" / "b.txt", name="b").read_bytes())
    with pytest.raises(ValueError, match="it has 6 bytes; valid are at most 5"):
        read_regular(folder / "a.txt", max_bytes=5)
    for missing in (folder / "c", folder / "a.txt" / "d", folder / "under" / "c"):
        with pytest.raises((FileNotFoundError, NotADirectoryError)):
            missing.stat()
        with pytest.raises((FileNotFoundError, NotADirectoryError)):
            read_regular(missing)
    (folder / "a.txt").replace(folder / "under" / "b.txt")
    found += [(folder / "a.txt").exists(), (folder / "under" / "b.txt").read_bytes()]
    (folder / "a.txt").unlink(missing_ok=True)
    with locked(folder / "b.txt"):
        found.append(is_there(folder / ".b.txt.lock"))
    remove_folder(folder)
    remove_folder(folder)
    return [*found, folder.exists()]


def test_a_file_is_made_once(server: Server) -> None:
    path = of_store(f"{ROOT}/once")
    assert [path.create(b"first"), path.create(b"second")] == [True, False]
    assert path.read_bytes() == b"first"
    path.unlink()


def test_content_of_the_same_size_and_second_is_another_version(server: Server) -> None:
    path = of_store(f"{ROOT}/one")
    path.write_bytes(b"first")
    before, copy = path.stat(), local(path)
    path.write_bytes(b"other")
    assert path.stat().st_mtime_ns != before.st_mtime_ns
    assert (copy.read_bytes(), local(path).read_bytes()) == (b"first", b"other")
    assert local(path) == local(path)
    assert local(copy) == copy


def test_copies_that_were_not_used_lately_go_first(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_store, "_MAX_COPIED_BYTES", 250)
    monkeypatch.setattr(object_store, "_MIN_COPIES", 1)
    copies, paths = object_store._Copies(), [of_store(f"{ROOT}/copies/{number}") for number in range(3)]
    for path in paths:
        path.write_bytes(path.name.encode() * 100)
    first, second = copies.of(paths[0]), copies.of(paths[1])
    assert copies.of(paths[0]) == first
    with second.open("rb") as held:
        third = copies.of(paths[2])
        assert [one.exists() for one in (first, second, third)] == [True, False, True]
        assert held.read() == b"1" * 100  # what is open stays readable
    assert copies.of(paths[1]).read_bytes() == b"1" * 100
    copies.remove()
    assert not third.exists()


def test_copies_of_a_killed_process_are_removed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    program = (
        "import os; from firstsight.object_store import _Copies; c = _Copies(); print(c._folder.name); os._exit(9)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    killed = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert [path.name for path in tmp_path.iterdir()] == [killed.stdout.strip()]
    first = object_store._Copies()
    second = object_store._Copies()
    assert sorted(tmp_path.iterdir()) == sorted([first._folder, second._folder])
    first.remove()
    second.remove()
    assert list(tmp_path.iterdir()) == []


def test_files_of_one_name_in_many_folders_and_of_long_names_have_copies_of_their_own(server: Server) -> None:
    long = "\u753b" * 80
    names = [f"{number}/{long}.mp4" for number in range(3)] + ["0/a.mp4", "1/a.mp4", "a;b/x y.m p", "a#?"]
    paths = [of_store(f"{ROOT}/named/{name}") for name in names]
    for path in paths:
        path.write_bytes(str(path).encode()[:20] + path.parent.name.encode())
    assert [local(path).read_bytes() for path in paths] == [path.read_bytes() for path in paths]
    assert len({local(path) for path in paths}) == len(paths)
    assert local(paths[0]).suffix == ".mp4"


def test_brackets_are_letters_of_a_name(server: Server) -> None:
    inner, outer = of_store(f"{ROOT}/lib[1]/a"), of_store(f"{ROOT}/lib1/a")
    for path in (inner, outer):
        path.write_bytes(b"text")
    remove_folder(inner.parent)
    assert (inner.exists(), outer.exists()) == (False, True)
    remove_folder(outer.parent)


def test_a_copy_that_fails_leaves_nothing(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    path, copies = of_store(f"{ROOT}/broken.mp4"), object_store._Copies()
    path.write_bytes(b"first")

    def replaced(self: ObjectPath, to: Path) -> None:
        to.write_bytes(b"first")
        self.write_bytes(b"other")

    monkeypatch.setattr(ObjectPath, "download", replaced)
    with pytest.raises(StoreError, match="replaced while it was read"):
        copies.of(path)
    assert [one.name for one in copies._folder.iterdir()] == [".held"]
    copies.remove()


def test_a_store_that_refuses_is_an_error_in_words(server: Server) -> None:
    path = of_store(f"{ROOT}/refused")
    server.refuses("")
    try:
        for ask in (path.read_bytes, path.exists, path.is_dir, path.files, lambda: path.write_bytes(b"")):
            with pytest.raises(
                PermissionError, match=r"s3://walks/refused cannot be reached .(Forbidden|Access Denied)"
            ):
                ask()
        assert not is_there(path)
        with pytest.raises(RunError, match=r"refused cannot be written: Access Denied"):
            write_atomically(path, b"text")
    finally:
        server.refuses(None)


def test_a_store_whose_package_is_missing_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    def missing(*_: object, **__: object) -> None:
        raise ImportError

    monkeypatch.setattr(fsspec, "filesystem", missing)
    with pytest.raises(SettingsError, match="gs:// needs the package gcsfs: `pip install gcsfs`"):
        to_path("gs://walks/a").exists()


class TestLeased:
    @pytest.fixture(autouse=True)
    def _is_quick(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(leases, "_LOOK_SECONDS", 0.05)
        monkeypatch.setattr(leases, "_BEAT_SECONDS", 0.05)

    def test_one_after_the_other_each_holds_it(self) -> None:
        path = of_store(f"{ROOT}/lock")
        for _ in range(2):
            with leased(path):
                assert path.exists()
            assert not path.exists()

    def test_that_of_a_living_process_is_left_to_it(self) -> None:
        path = of_store(f"{ROOT}/lock")
        with leased(path):
            for _ in range(2):
                with pytest.raises(LeaseHeldError), leased(path):
                    pass
            assert str(path) in leases._LOST  # it is still seen whether this one is lost
        assert not path.exists()

    def test_who_waits_gets_it_next(self) -> None:
        path, order = of_store(f"{ROOT}/lock"), []

        def hold() -> None:
            with leased(path, wait_seconds=600):
                order.append("second")

        with leased(path):
            thread = threading.Thread(target=hold)
            thread.start()
            time.sleep(0.5)
            order.append("first")
        thread.join()
        assert order == ["first", "second"]
        assert not path.exists()

    @pytest.mark.parametrize("content", [b"elsewhere 17 0123456789abcdef 4", b""])
    def test_that_of_a_killed_process_is_taken_over(self, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
        path = of_store(f"{ROOT}/lock")
        path.write_bytes(content)
        monkeypatch.setattr(leases, "_LEASE_SECONDS", 0.3)
        with leased(path):
            assert not path.read_bytes().startswith(content or b"elsewhere")
        assert not path.exists()

    def test_by_one_of_those_who_wait_for_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        path, both, found = of_store(f"{ROOT}/lock"), threading.Barrier(2), []
        path.write_bytes(b"elsewhere 17 0123456789abcdef 4")
        monkeypatch.setattr(leases, "_LEASE_SECONDS", 0.3)

        def take() -> None:
            try:
                with leased(path):
                    found.append("has it")
                    both.wait(timeout=60)
            except LeaseHeldError:
                found.append("is refused")
                both.wait(timeout=60)

        threads = [threading.Thread(target=take) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found) == ["has it", "is refused"]
        assert not path.exists()

    def test_where_it_can_not_be_replaced_nobody_waits_for_ever(self, monkeypatch: pytest.MonkeyPatch) -> None:
        path = of_store(f"{ROOT}/lock")
        path.write_bytes(b"elsewhere 17 0123456789abcdef 4")
        monkeypatch.setattr(leases, "_LEASE_SECONDS", 0.3)
        monkeypatch.setattr(ObjectPath, "write_if", lambda *_: False)
        with pytest.raises(LeaseHeldError), leased(path):
            pass
        path.unlink()

    @pytest.mark.parametrize("code", ["NotImplemented", "501"])
    def test_a_store_that_knows_no_conditions_replaces_it(self, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
        path = of_store(f"{ROOT}/lock")
        path.write_bytes(b"one")
        files = object_store._files("s3")
        plain = files.pipe_file

        class Answer(Exception):  # noqa: N818  # as that of botocore
            response: ClassVar = {"Error": {"Code": code}}

        def pipe_file(name: str, content: bytes, **condition: str) -> None:
            if condition:
                raise OSError(code) from Answer
            plain(name, content)

        monkeypatch.setattr(files, "pipe_file", pipe_file)
        assert path.write_if(path.tag(), b"two")
        assert path.read_bytes() == b"two"
        path.unlink()

    def test_who_slept_between_reading_and_writing_replaces_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        path, read, other = of_store(f"{ROOT}/lock"), ObjectPath.read_bytes, b"elsewhere 17 0123456789abcdef 4"

        def read_and_sleep(self: ObjectPath) -> bytes:
            content = read(self)
            if threading.current_thread().name == "firstsight-lease" and content != other:
                self.write_bytes(other)  # another takes it over
            return content

        monkeypatch.setattr(ObjectPath, "read_bytes", read_and_sleep)
        with pytest.raises(LeaseLostError):
            self._hold_for_a_beat(path)
        assert path.read_bytes() == other
        path.unlink()

    def _hold_for_a_beat(self, path: ObjectPath) -> None:
        with leased(path):
            (renewing,) = [one for one in threading.enumerate() if one.name == "firstsight-lease"]
            renewing.join(timeout=5)

    def test_of_two_who_take_over_one_gets_it(self) -> None:
        path = of_store(f"{ROOT}/lock")
        path.write_bytes(b"killed")
        tag = path.tag()
        assert path.write_if(tag, b"first")
        assert not path.write_if(tag, b"second")
        assert path.read_bytes() == b"first"
        path.unlink()
        with pytest.raises(FileNotFoundError):
            path.write_if(tag, b"third")

    @pytest.mark.parametrize("content", [b"elsewhere 17 0123456789abcdef 4", None])
    def test_who_lost_it_is_stopped_and_leaves_it(self, content: bytes | None) -> None:
        path = of_store(f"{ROOT}/lock")
        with pytest.raises(LeaseLostError):
            self._lose(path, content)
        check_lease(path)  # it is of no lease any more
        assert path.exists() == (content is not None)
        path.unlink()

    def _lose(self, path: ObjectPath, content: bytes | None) -> None:
        with leased(path):
            check_lease(path)
            while any(thread.name == "firstsight-lease" for thread in threading.enumerate()):
                path.unlink() if content is None else path.write_bytes(content)  # it may be writing at this moment
                time.sleep(0.01)
            with pytest.raises(LeaseLostError):
                check_lease(path)

    def test_an_error_within_is_what_is_raised(self) -> None:
        path = of_store(f"{ROOT}/lock")
        with pytest.raises(KeyError), leased(path):
            raise KeyError
        assert not path.exists()

    def test_who_has_made_it_but_got_no_answer_has_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        path, create = of_store(f"{ROOT}/lock"), ObjectPath.create

        def create_unanswered(self: ObjectPath, content: bytes) -> bool:
            create(self, content)
            return False

        monkeypatch.setattr(ObjectPath, "create", create_unanswered)
        with leased(path):
            assert path.exists()
        assert not path.exists()
