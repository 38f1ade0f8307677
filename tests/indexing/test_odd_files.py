"""One odd file neither ends nor spoils the indexing of many, and what is stated of files is not believed."""

import errno
import io
import json
import os
import shutil
import struct
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pytest
from library_made import filled, small_encoder, write_videos
from PIL import Image

from firstsight.closed_form import projection
from firstsight.copies.duplicates import find_duplicates
from firstsight.errors import LibraryError, RunError, SettingsError, SourceError
from firstsight.files import open_regular
from firstsight.footage.sampling import Sampling
from firstsight.indexing import estimate as indexing_estimate
from firstsight.indexing import run as indexing_run
from firstsight.indexing import writer as indexing_writer
from firstsight.indexing.estimate import Estimate, estimate
from firstsight.indexing.index_files import _MAX_DIM, add, remove, remove_missing
from firstsight.library import source_files
from firstsight.library import tables as store_tables
from firstsight.library.damage import translated_errors
from firstsight.library.folder import CONFIG_FILE
from firstsight.library.maintenance import check, compact, info
from firstsight.library.source_files import check_unchanged, content_hash, find_footage, state_of
from firstsight.library.store import Store
from firstsight.searching.nearest import find_nearest


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two different videos of 4 s."""
    return write_videos(tmp_path_factory.mktemp("clips"), 2)


@pytest.fixture
def videos(tmp_path: Path, clips: Path) -> Path:
    return Path(shutil.copytree(clips, tmp_path / "videos"))


@pytest.fixture
def library(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "library", small_encoder())


class TestOneOddFile:
    def test_a_name_that_is_not_utf_8(self, library: Store, videos: Path) -> None:
        odd = os.fsencode(videos) + b"/m\xe9.mp4"
        os.link(videos / "1.mp4", odd)
        (videos / "1.mp4").unlink()
        outcome = add(library, [videos])
        assert outcome.added == ["0.mp4", "m\\xe9.mp4"]
        again = Store.open(library.path)
        assert bytes(again.sources[1].path) == odd
        assert len(again.embeddings()) == 16
        check_unchanged(again.sources[1])
        assert add(again, [videos]).unchanged == ["0.mp4", "m\\xe9.mp4"]
        assert [record.name for record in remove(again, ["m*"])] == ["m\\xe9.mp4"]

    @pytest.mark.parametrize(
        "error", [ValueError("two\nlines"), OverflowError(), MemoryError(), RecursionError("deep")]
    )
    def test_an_error_that_nobody_expects(
        self, library: Store, videos: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        read = indexing_run.embed_source

        def read_but_one(encoder: object, source: object, **more: object) -> object:
            if source.name == "0.mp4":
                raise error
            return read(encoder, source, **more)

        monkeypatch.setattr(indexing_run, "embed_source", read_but_one)
        outcome = add(library, [videos])
        assert outcome.added == ["1.mp4"]
        assert outcome.failures == [
            f"0.mp4 cannot be read: {type(error).__name__} {str(error).partition(chr(10))[0]}".strip()
        ]
        assert library.tables.frames.count_rows() == 8

    def test_an_error_in_the_middle_leaves_no_rows(
        self, library: Store, videos: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read = indexing_run.embed_source

        def read_half(encoder: object, source: object, **more: object) -> object:
            yield next(read(encoder, source, **more))
            raise ValueError

        monkeypatch.setattr(indexing_run, "embed_source", read_half)
        with pytest.raises(SourceError, match="none of 2"):
            add(library, [videos])
        assert library.tables.frames.count_rows() == library.tables.thumbnails.count_rows() == 0
        assert [record.num_frames for record in library.failed_sources] == [0, 0]

    def test_of_many_pictures_each_fails_for_itself(self, library: Store, tmp_path: Path) -> None:
        folder = tmp_path / "pictures"
        folder.mkdir()
        for number in range(3):
            (folder / f"{number}.png").write_bytes(b"no picture" * (number + 1))
        with pytest.raises(SourceError, match="none of 3 sources"):
            add(library, [folder])
        assert [record.name for record in library.failed_sources] == ["0.png", "1.png", "2.png"]
        assert all(record.name in record.reason for record in library.failed_sources)
        Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(folder / "3.png")
        outcome = add(library, [folder])
        assert (outcome.added, len(outcome.failed_before), outcome.failures) == (["3.png"], 3, [])

    def test_one_that_failed_is_tried_again_when_it_has_changed_or_when_asked(
        self, library: Store, videos: Path
    ) -> None:
        (videos / "2.mp4").write_text("no video\n" * 100)
        first = add(library, [videos])
        assert len(first.failures) == 1
        assert info(library).failed == ("2.mp4",)
        assert [record.reason for record in library.failed_sources] == first.failures
        again = add(library, [videos])
        assert (again.failures, again.failed_before) == ([], first.failures)
        assert add(library, [videos], retry=True).failures == first.failures
        shutil.copy(videos / "1.mp4", videos / "2.mp4")
        assert add(library, [videos]).copied == ["2.mp4"]
        assert library.failed_sources == ()
        assert len(library.tables.records()) == 3
        remove(library, ["2.mp4"])
        assert add(library, [videos]).copied == ["2.mp4"]

    @pytest.mark.parametrize("at", ["once", "decoding", "losing"])
    def test_trouble_of_reading_is_not_remembered_as_a_fault_of_the_file(
        self, library: Store, videos: Path, monkeypatch: pytest.MonkeyPatch, at: str
    ) -> None:
        class Failing(io.FileIO):
            def read(self, _size: int | None = -1) -> bytes:
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

        read, opened = indexing_run.embed_source, []

        def open_failing(path: Path, *, name: str) -> io.IOBase:
            opened.extend([name] if name == "0.mp4" else [])
            is_away = name == "0.mp4" and len(opened) > (0 if at == "once" else 1)
            return Failing(path) if is_away else open_regular(path, name=name)

        def read_from_what_is_away(encoder: object, source: object, **more: object) -> object:
            for batch in read(encoder, source, **more):
                if source.name == "0.mp4" and at == "decoding":
                    raise SourceError("0.mp4 cannot be decoded")
                yield replace(batch, num_skipped=3) if source.name == "0.mp4" else batch

        monkeypatch.setattr(source_files, "open_regular", open_failing)
        monkeypatch.setattr(indexing_run, "embed_source", read_from_what_is_away)
        outcome = add(library, [videos])
        assert (outcome.added, outcome.lost, len(outcome.failures)) == (["1.mp4"], {}, 1)
        assert outcome.failures[0].startswith("0.mp4 cannot be")
        assert outcome.failures[0].endswith("; the next run tries it again")
        assert [one.reason for one in library.failed_sources] == outcome.failures
        monkeypatch.undo()
        assert add(library, [videos]).added == ["0.mp4"]
        assert (library.failed_sources, len(library.embeddings())) == ((), 16)

    def test_a_copy_of_what_is_damaged_in_the_library_is_embedded(self, library: Store, videos: Path) -> None:
        Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(videos / "2.png")
        add(library, [videos / "0.mp4", videos / "2.png"])
        library.tables.thumbnails.delete("frame = 0")
        for name in ("0.mp4", "2.png"):
            shutil.copy(videos / name, videos / f"twin-{name}")
        told = []
        outcome = add(library, [videos], progress=lambda progress: told.extend(progress.news))
        assert (outcome.added, outcome.copied, outcome.failures) == (["1.mp4", "twin-0.mp4", "twin-2.png"], [], [])
        assert sum("damaged" in line for line in told) == 2
        assert library.thumbnails([("twin-0.mp4", 0), ("twin-2.png", 0)])

    def test_an_interrupted_one_that_fails_leaves_nothing_of_what_was_there(
        self, library: Store, videos: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(indexing_writer, "_ROWS_AT_ONCE", 64)

        def stop(progress: object) -> None:
            if progress.done >= 64:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            add(library, [videos / "0.mp4"], every=1, progress=stop)
        assert len(library.partial_sources) == 1

        def fails(*_: object, **__: object) -> object:
            raise ValueError

        monkeypatch.setattr(indexing_run, "embed_source", fails)
        with pytest.raises(SourceError, match=r"0\.mp4"):
            add(library, [videos / "0.mp4"], every=1)
        assert (library.partial_sources, library.tables.frames.count_rows()) == ((), 0)

    def test_no_footage_is_said_to_be_none(self, library: Store) -> None:
        with pytest.raises(SettingsError, match="no footage given"):
            add(library, [])


class TestRates:
    def test_a_source_keeps_the_rate_it_was_given(self, library: Store, videos: Path) -> None:
        add(library, [videos / "0.mp4"], frames_per_second=10)
        outcome = add(library, [videos])
        assert (outcome.unchanged, outcome.own_rate, outcome.added) == (["0.mp4"], ["0.mp4"], ["1.mp4"])
        assert [record.num_frames for record in library.sources] == [40, 8]

    def test_it_keeps_it_when_it_is_moved_or_changed(self, library: Store, videos: Path) -> None:
        add(library, [videos / "0.mp4"], frames_per_second=10)
        (videos / "0.mp4").rename(videos / "moved.mp4")
        assert add(library, [videos / "moved.mp4"]).moved == ["moved.mp4"]
        shutil.copy(videos / "1.mp4", videos / "moved.mp4")
        assert add(library, [videos / "moved.mp4"]).changed == ["moved.mp4"]
        assert [record.num_frames for record in library.sources] == [40]

    def test_another_rate_is_told_before_rows_are_replaced(self, library: Store, videos: Path) -> None:
        add(library, [videos / "0.mp4"], frames_per_second=10)
        told = []
        outcome = add(library, [videos], frames_per_second=5, progress=lambda progress: told.extend(progress.news))
        assert told[1:] == ["0.mp4 is re-embedded: 5 frames a second in place of 10 frames a second"]
        assert (outcome.changed, outcome.added) == (["0.mp4"], ["1.mp4"])
        assert [record.num_frames for record in library.sources] == [20, 20]


class TestWhatIsStated:
    def of(self, videos: Path, library: Store, sampling: Sampling | None = None, **more: object) -> Estimate:
        files, _ = find_footage([videos])
        records = (*library.failed_sources, *library.sources)
        usual = library.config.sampling_for(Sampling())
        return estimate(library.path, files, sampling, usual=usual, records=records, dim=library.dim)

    def test_frames_that_a_file_cannot_hold_are_unknown(
        self, library: Store, videos: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lie(monkeypatch, "0.mp4", frames=2**31)
        found = self.of(videos, library)
        assert (found.num_frames, found.num_unknown, found.implausible) == (8, 1, ("0.mp4",))
        assert any("0.mp4 states more frames" in line for line in found.doubts)
        found.check()

    def test_a_header_that_lies_is_not_believed(self, library: Store, tmp_path: Path) -> None:
        video = write_lying_avi(tmp_path / "lie.avi", num_stated=2**31 - 1)
        found = self.of(video, library)
        assert (found.num_frames, found.num_unknown, found.implausible) == (4, 0, ())  # its index says so
        outcome = add(library, [video])
        assert (outcome.added, outcome.num_skipped, outcome.lost) == (["lie.avi"], 0, {})
        (record,) = library.sources
        assert (record.num_frames, record.num_skipped) == (4, 0)
        assert record.duration_seconds < 3

    def test_a_single_file_never_refuses_the_others(
        self, library: Store, videos: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        usage = type(shutil.disk_usage("/"))
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 6_030_000))
        found = self.of(videos / "0.mp4", library)
        found.check()
        (doubt,) = found.doubts
        assert doubt.startswith("0.mp4 alone will take about 0 MB if it is as long as it states, and the disk has 6 MB")
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 10_000))
        with pytest.raises(LibraryError, match="about 16 frames will take about 6 MB"):
            self.of(videos, library).check()

    def test_what_is_there_or_failed_is_not_counted_again(self, library: Store, videos: Path) -> None:
        (videos / "2.mp4").write_text("no video\n" * 100)
        add(library, [videos / "0.mp4"], frames_per_second=10)
        add(library, [videos])
        assert self.of(videos, library).num_sources == 0
        asked = self.of(videos, library, Sampling(frames_per_second=10.0))
        assert (asked.num_sources, asked.num_frames) == (1, 40)

    def test_an_end_that_lies_far_behind_the_last_frame_is_not_noted(
        self, library: Store, videos: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(indexing_run, "stated_end", lambda path, name: 1e6)
        add(library, [videos])
        assert [record.duration_seconds for record in library.sources] == [3.52, 3.52]

    def test_the_longest_embedding_is_that_of_the_default_method(self) -> None:
        assert _MAX_DIM == projection._MAX_DIM


def write_lying_avi(path: Path, *, num_stated: int) -> Path:
    """Fifty frames at 25 a second, and a header that states another number."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(50):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 4 * index, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    content = bytearray(path.read_bytes())
    for chunk, offset in ((b"strh", 32), (b"avih", 16)):
        struct.pack_into("<I", content, content.index(chunk) + 8 + offset, num_stated)
    path.write_bytes(content)
    return path


def lie(monkeypatch: pytest.MonkeyPatch, name: str, *, frames: int) -> None:
    """Makes a container state another number of frames."""
    open_video = indexing_estimate.open_video

    @contextmanager
    def opened(path: Path, **more: object) -> object:
        with open_video(path, **more) as video:
            if path.name == name:
                video.num_frames = lambda: frames
            yield video

    monkeypatch.setattr(indexing_estimate, "open_video", opened)


class TestTheSameFile:
    @pytest.fixture
    def held(self, library: Store, videos: Path) -> Store:
        add(library, [videos])
        return library

    def test_one_that_was_only_touched_is_the_same(self, held: Store) -> None:
        record = held.sources[0]
        check_unchanged(record)
        os.utime(record.path, ns=(1, 1))
        check_unchanged(record)

    def test_another_content_is_told(self, held: Store) -> None:
        first, second = held.sources
        shutil.copy(second.path, first.path)
        with pytest.raises(SourceError, match=r"0\.mp4 has changed since it was indexed; index it again"):
            check_unchanged(first)
        content = bytearray(second.path.read_bytes())
        content[-1] ^= 1  # of the same size
        second.path.write_bytes(content)
        with pytest.raises(SourceError, match=r"1\.mp4 has changed"):
            check_unchanged(second)

    def test_gone_and_not_reachable_are_two_states(self, held: Store, videos: Path) -> None:
        first, second = held.sources
        first.path.unlink()
        assert [state_of(record.path) for record in held.sources] == ["gone", "there"]
        with pytest.raises(SourceError, match=r"0\.mp4 is gone"):
            check_unchanged(first)
        videos.rename(videos.with_name("unmounted"))
        assert [state_of(record.path) for record in held.sources] == ["unreachable", "unreachable"]
        with pytest.raises(SourceError, match=r"1\.mp4 cannot be reached"):
            check_unchanged(second)

    def test_a_share_that_is_not_mounted_is_not_missing(self, held: Store, videos: Path) -> None:
        videos.rename(videos.with_name("unmounted"))
        found = remove_missing(held, is_sure=True)
        assert (found.removed, found.unreachable, found.doubtful) == ((), ("0.mp4", "1.mp4"), ())
        found = info(held)
        assert (found.missing, found.unreachable) == ((), ("0.mp4", "1.mp4"))

    def test_a_folder_without_any_of_its_files_is_doubtful(self, held: Store, videos: Path) -> None:
        (videos / "0.mp4").unlink()
        (videos / "1.mp4").unlink()
        found = remove_missing(held)
        assert (found.removed, found.doubtful) == ((), ("0.mp4", "1.mp4"))
        assert [one.name for one in remove_missing(held, is_sure=True).removed] == ["0.mp4", "1.mp4"]

    def test_one_of_a_folder_with_others_is_missing(self, held: Store, videos: Path) -> None:
        (videos / "0.mp4").unlink()
        assert [one.name for one in remove_missing(held).removed] == ["0.mp4"]

    def test_only_files_are_read_and_only_as_far_as_they_went(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
            with pytest.raises(SourceError, match=r"not a file|cannot be read"):
                content_hash(path, name=path.name)
        (tmp_path / "empty").touch()
        assert len(content_hash(tmp_path / "empty", name="empty")) == 32


class TestCrafted:
    """A library.json that somebody else has written."""

    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ({"fingerprint": "x/../../victim/tables-0123456789abcdef"}, "16 hexadecimal digits"),
            ({"fingerprint": 5}, "16 hexadecimal digits"),
            ({"model": "../other"}, "valid is 'model'"),
            ({"model": "/etc"}, "valid is 'model'"),
            ({"model": None}, "valid is 'model'"),
            ({"dim": 10**9}, "dim"),
            ({"dim": True}, "dim"),
            ({"dim": "4"}, "dim"),
            ({"thumbnail_size": 10**6}, "thumbnail_size"),
            ({"frames_per_second": -1}, "frames per second"),
            ({"frames_per_second": "2"}, "damaged"),
            ({"every": 0, "frames_per_second": None}, "every 0"),
            ({"frames_per_second": float("nan")}, "frames per second"),
        ],
    )
    def test_is_refused(self, library: Store, settings: dict, words: str) -> None:
        file = library.path / CONFIG_FILE
        content = json.loads(file.read_text())
        content["library"] |= settings
        file.write_text(json.dumps(content))
        with pytest.raises(LibraryError, match=words):
            Store.open(library.path)

    @pytest.mark.parametrize("part", ["model", "tables"])
    def test_a_part_that_leads_out_is_refused(self, library: Store, part: str, tmp_path: Path) -> None:
        (folder,) = library.path.glob(f"{part}*")
        folder.rename(tmp_path / folder.name)
        folder.symlink_to(tmp_path / folder.name)
        with pytest.raises(LibraryError, match="is a link out of the library"):
            Store.open(library.path)

    def test_nesting_without_end_is_refused(self, library: Store) -> None:
        (library.path / CONFIG_FILE).write_text("[" * 100_000)
        with pytest.raises(LibraryError, match="damaged"):
            Store.open(library.path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, clips: Path) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "library"
    with Store.create(folder, small_encoder()) as library:
        add(library, [clips])
        library.tables.compact(kept_for=store_tables.timedelta(milliseconds=1))
    return folder


class TestDamaged:
    """Every file of the tables cut short, overwritten or removed in turn: one line, and `check` sees it."""

    def test_a_whole_one_is_whole(self, whole: Path) -> None:
        found = check(whole)
        assert (found.damages, found.remarks) == ([], [])
        assert "frames: 16 rows, all that the sources count" in found.whole

    @pytest.mark.parametrize("how", ["removed", "cut", "zeros", "noise"])
    @pytest.mark.parametrize("table", ["frames", "thumbnails", "sources"])
    def test_is_told_in_one_line(self, whole: Path, tmp_path: Path, table: str, how: str) -> None:
        files = sorted(path.relative_to(whole) for path in whole.glob(f"tables-*/{table}.lance/data/*"))
        files += sorted(path.relative_to(whole) for path in whole.glob(f"tables-*/{table}.lance/_versions/*.manifest"))
        for number, file in enumerate(files):
            damaged = Path(shutil.copytree(whole, tmp_path / str(number)))
            damage(damaged / file, how)
            read_all(damaged)
            assert check(damaged).damages, file

    def test_panics_of_rust_are_told_as_ours(self) -> None:
        class PanicException(BaseException):  # as pyo3 calls it
            pass

        message = "index out of bounds, /root/.cargo/registry/src/lance-1.0/src/io.rs:12:5\nbacktrace"
        with pytest.raises(LibraryError, match="index out of bounds") as caught, translated_errors(Path("tables")):
            raise PanicException(message)
        assert "cargo" not in str(caught.value)

    def test_a_full_disk_is_told_with_its_cure(self) -> None:
        with pytest.raises(LibraryError, match=r"is full.*library compact"), translated_errors(Path("tables")):
            raise OSError(28, "No space left on device")

    def test_on_a_full_disk_what_takes_no_space_is_given_back_first(
        self, library: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(**_: object) -> bool:
            raise LibraryError("the disk is full")

        (library.path / "tables-0123456789abcdef").mkdir()
        monkeypatch.setattr(library.tables, "compact", full)
        with pytest.raises(LibraryError, match="full"):
            compact(library)
        assert len(list(library.path.glob("tables-*"))) == 1

    def test_rows_that_are_missing_or_too_many(self, tmp_path: Path) -> None:
        made = filled(tmp_path / "library", {"one": 30, "two": 20})
        made.library.tables.frames.delete("source = 1 AND frame = 12")
        made.library.tables.thumbnails.add(made.library.tables.thumbnails.to_arrow())
        found = check(made.library.path)
        assert any("one has 29 frames of 30" in line for line in found.damages)
        assert any("100 thumbnails are no pictures" in line for line in found.damages)
        assert any("50 thumbnails are there twice" in line for line in found.remarks)

    @pytest.mark.parametrize(
        "stated",
        [
            {"duration_seconds": float("nan")},
            {"duration_seconds": 1e308},
            {"duration_seconds": -1.0},
            {"num_frames": -1},
            {"num_skipped": -1},
            {"frames_per_second": 0.0},
            {"every": 0, "frames_per_second": None},
        ],
    )
    def test_what_a_source_cannot_state_is_told(self, tmp_path: Path, stated: dict) -> None:
        made = filled(tmp_path / "library", {"one": 3, "two": 2})
        (record, _) = made.library.sources
        made.library.tables.put([replace(record, **stated)])
        with pytest.raises(LibraryError, match="has an impossible number of frames, duration or rate"):
            Store.open(made.library.path)
        assert any("impossible" in line for line in check(made.library.path).damages)

    @pytest.mark.parametrize(
        ("column", "value", "words"),
        [
            ("seconds", float("-inf"), "an impossible time"),
            ("seconds", 1e300, "an impossible time"),
            ("vector", float("inf"), "a vector that is not of numbers"),
        ],
    )
    def test_numbers_of_frames_that_are_none_are_told(
        self, tmp_path: Path, column: str, value: float, words: str
    ) -> None:
        library = filled(tmp_path / "library", {"one": 5}).library
        change(library.tables.frames, column, value)
        library.refresh()
        with pytest.raises(LibraryError, match=words):
            library.embeddings()
        if column == "seconds":
            with pytest.raises(LibraryError, match=words):
                find_nearest(library, np.ones(library.dim, np.float32), k=5)

    @pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
    @pytest.mark.parametrize("name", ["sources.lance/_versions/latest_version_hint.json", "frames.lance/data/x.lance"])
    def test_what_is_no_file_is_not_waited_for(self, library: Store, name: str, make: Callable[[Path], object]) -> None:
        path = library.tables.folder / name
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        make(path)
        with pytest.raises(LibraryError, match=f"{path.name} is neither a file nor a folder"):
            Store.open(library.path)

    @pytest.mark.parametrize("jpeg", [b"", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\xff\xd8\xff\xe0" + bytes(99)])
    def test_thumbnails_that_are_none_end_a_search_for_copies(self, tmp_path: Path, jpeg: bytes) -> None:
        library = filled(tmp_path / "library", {"one": 5}).library
        change(library.tables.thumbnails, "jpeg", jpeg)
        with pytest.raises(LibraryError, match="a thumbnail of the library is damaged"):
            find_duplicates(Store.open(library.path))

    @pytest.mark.parametrize(("kept", "words"), [(1, "has no thumbnails"), (0, "no source has its thumbnails")])
    def test_sources_without_their_thumbnails_are_told(
        self, whole: Path, tmp_path: Path, kept: int, words: str
    ) -> None:
        library = Store.open(shutil.copytree(whole, tmp_path / "library"))
        for record in library.sources[kept:]:
            library.tables.thumbnails.delete(f"source = {record.id}")
        with pytest.raises(LibraryError, match=words):
            find_duplicates(library)

    def test_an_encoder_that_is_not_the_library_s(self, library: Store) -> None:
        small_encoder(seed=1).save(library.path / "model")
        assert any("not that of" in line for line in check(library.path).damages)


def change(table: Any, column: str, value: object) -> None:
    """Puts the value into every row of a LanceDB table."""
    rows = table.to_arrow()
    field = rows.schema.field(column)
    if column == "vector":
        value = np.full(field.type.list_size, value, np.float16)
    changed = rows.set_column(rows.schema.get_field_index(column), field, pa.array([value] * len(rows), field.type))
    table.delete("true")
    table.add(changed)


def damage(file: Path, how: str) -> None:
    content = file.read_bytes()
    if how == "removed":
        file.unlink()
    elif how == "cut":
        file.write_bytes(content[: len(content) // 2])
    elif how == "zeros":
        file.write_bytes(bytes(len(content)))
    else:
        file.write_bytes(np.random.default_rng(0).bytes(len(content)))


def read_all(folder: Path) -> None:
    """Reads all that a library holds; only an error in one line may end it."""
    try:
        with Store.open(folder) as library:
            frames = library.embeddings()
            library.thumbnails([(frames.source_of(row), int(frames.frame_indices[row])) for row in range(len(frames))])
            for record in library.sources:
                list(library.tables.rows_of(record.id))
            list(library.iterate())
    except (LibraryError, RunError) as error:
        told = str(error)
    else:
        return
    assert not [word for word in ("\n", "rustc", ".cargo") if word in told]
