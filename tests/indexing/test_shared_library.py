"""Two handles on a library, as two processes have them: nothing twice, nothing lost, and one version to read."""

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from library_made import filled, put, small_encoder, unit, write_videos

from firstsight.errors import LibraryError
from firstsight.indexing import writer as indexing_writer
from firstsight.indexing.index_files import add, create, remove
from firstsight.indexing.reindex import reindex
from firstsight.indexing.writer import Writer, only_first_interrupt, run_uninterrupted
from firstsight.library import folder as readers
from firstsight.library import tables as store_tables
from firstsight.library.folder import CONFIG_FILE, LOCK_FILE, writing
from firstsight.library.maintenance import compact
from firstsight.library.records import FrameRows
from firstsight.library.store import Store


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three different videos of 4 s."""
    return write_videos(tmp_path_factory.mktemp("clips"), 3)


@pytest.fixture
def library(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "library", small_encoder())


@pytest.fixture
def other(library: Store) -> Store:
    """Another handle, opened while there was nothing in the library."""
    return Store.open(library.path)


def num_rows(library: Store) -> tuple[int, int]:
    latest = Store.open(library.path).tables
    return latest.frames.count_rows(), latest.thumbnails.count_rows()


class TestWriters:
    def test_who_makes_a_library_where_another_does_leaves_that_alone(self, clips: Path, tmp_path: Path) -> None:
        path = tmp_path / "made"
        path.mkdir()
        with writing(path), pytest.raises(LibraryError, match="is being written to by another process"):
            create(path, [clips], encoder=small_encoder())
        assert [file.name for file in path.iterdir()] == [LOCK_FILE]
        with create(path, [clips], encoder=small_encoder())[0] as library:
            assert library.num_frames == 24
        with pytest.raises(LibraryError, match="is a library already"):
            create(path, [clips], encoder=small_encoder(seed=1))
        assert Store.open(path).num_frames == 24

    def test_what_the_other_has_brought_in_is_not_brought_in_again(
        self, library: Store, other: Store, clips: Path
    ) -> None:
        add(library, [clips / "0.mp4", clips / "1.mp4"])
        outcome = add(other, [clips])
        assert (outcome.unchanged, outcome.added) == (["0.mp4", "1.mp4"], ["2.mp4"])
        assert num_rows(library) == (24, 24)
        assert len(other.tables.records()) == 3

    def test_two_files_of_one_name_get_two_names(
        self, library: Store, other: Store, clips: Path, tmp_path: Path
    ) -> None:
        add(library, [clips / "0.mp4"])
        (tmp_path / "more").mkdir()
        shutil.copy(clips / "1.mp4", tmp_path / "more" / "0.mp4")
        add(other, [tmp_path / "more" / "0.mp4"])
        assert [record.name for record in other.sources] == ["0.mp4", "more/0.mp4"]

    def test_what_the_other_has_brought_in_can_be_removed(self, library: Store, other: Store, clips: Path) -> None:
        add(library, [clips])
        assert [record.name for record in remove(other, ["1.*"])] == ["1.mp4"]
        assert num_rows(library) == (16, 16)

    def test_what_the_other_has_brought_in_is_embedded_anew_with_the_rest(
        self, library: Store, other: Store, clips: Path
    ) -> None:
        add(other, [clips / "0.mp4"])
        add(library, [clips / "1.mp4"])
        new, _ = reindex(other, small_encoder(seed=1))
        assert [record.name for record in new.sources] == ["0.mp4", "1.mp4"]
        assert len(new.embeddings()) == 16

    def test_rows_of_an_encoder_of_the_past_are_not_added(self, library: Store, other: Store, clips: Path) -> None:
        add(library, [clips / "0.mp4"])
        reindex(library, small_encoder(seed=1))
        with pytest.raises(LibraryError, match=r"re-embedded by encoder [0-9a-f]{16}.*open it again"):
            add(other, [clips / "1.mp4"])
        with pytest.raises(LibraryError, match="open it again"):
            _ = other.encoder

    def test_the_same_rows_twice_are_there_once(self, library: Store) -> None:
        vectors = unit(np.random.default_rng(0).standard_normal((4, library.dim)))
        rows = FrameRows(vectors, [0, 1, 2, 3], [0.0, 1.0, 2.0, 3.0], [b"jpeg"] * 4)
        library.tables.add([(1, replace_rows(rows, slice(0, 2)))])
        library.tables.add([(1, rows), (1, rows)])
        assert num_rows(library) == (4, 4)
        assert np.sort(library.tables.keys(library.tables.frames)[:, 1]).tolist() == [0, 1, 2, 3]


def replace_rows(rows: FrameRows, chosen: slice) -> FrameRows:
    return FrameRows(rows.vectors[chosen], rows.frame_indices[chosen], rows.seconds[chosen], rows.jpegs[chosen])


class TestReaders:
    def test_refreshing_shows_what_the_other_has_done(self, library: Store, other: Store, clips: Path) -> None:
        add(library, [clips])
        assert other.num_frames == 0
        other.refresh()
        assert other.num_frames == len(other.embeddings()) == 24

    def test_what_they_see_stays_until_they_are_done(self, library: Store, clips: Path) -> None:
        add(library, [clips])
        library.tables.compact()
        reader = Store.open(library.path)
        batches = reader.iterate(batch_size=5)
        first = next(batches)
        add(library, [clips], every=2)
        remove(library, ["1.mp4"])
        assert compact(library).is_read
        rest = list(batches)
        assert len(first) + sum(map(len, rest)) == 24
        assert len(reader.embeddings()) == 24
        assert len(reader.thumbnails([("1.mp4", 0)])) == 1
        reader.refresh()
        assert reader.num_frames == len(reader.embeddings()) == 100
        reader.close()
        done = compact(library)
        assert not done.is_read
        assert done.bytes_after < done.bytes_before

    @pytest.mark.skipif(not hasattr(readers.os, "fork"), reason="needs locks of the system")
    def test_what_they_see_stays_when_all_is_embedded_anew(self, library: Store, clips: Path) -> None:
        add(library, [clips])
        with Store.open(library.path) as reader:
            new, _ = reindex(library, small_encoder(seed=1))
            assert len(reader.embeddings()) == 24
            assert len(list(new.path.glob("tables-*"))) == 2
        compact(new)
        assert len(list(new.path.glob("tables-*"))) == 1

    def test_who_opened_it_just_before_the_encoder_was_brought_to_its_place_finds_it(
        self, library: Store, clips: Path
    ) -> None:
        add(library, [clips / "0.mp4"])
        new, _ = reindex(library, small_encoder(seed=1))
        early = Store(new.path, replace(new.config, model=f"model-{new.fingerprint}"), new.tables)
        assert early.encoder.fingerprint == new.fingerprint

    def test_files_that_are_not_kept_for_them_are_told_of(
        self, library: Store, clips: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(readers, "try_lock", lambda handle, **_: True)  # a disk that has no locks
        add(library, [clips])
        reader = Store.open(library.path)
        add(library, [clips], every=2)
        compact(library)
        with pytest.raises(LibraryError, match=r"is gone.*open the library again.*compacted") as caught:
            reader.embeddings()
        assert "rustc" not in str(caught.value)

    def test_a_source_that_goes_while_they_look_is_not_shown_without_its_rows(
        self, library: Store, other: Store, clips: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add(library, [clips])
        others = [lambda: add(library, [clips], every=5), lambda: remove(library, ["0.mp4"])]
        frames = other.tables.frames
        look = frames.checkout_latest

        def look_while_the_other_writes() -> None:
            look()
            if others:
                others.pop()()

        monkeypatch.setattr(frames, "checkout_latest", look_while_the_other_writes)
        other.show_latest()
        assert other.num_frames == len(other.embeddings()) > 0
        assert {record.name for record in other.sources} == set(other.embeddings().sources)


class TestMending:
    """What versions before did to libraries is put right by whoever writes next."""

    def test_rows_and_sources_that_are_there_twice(self, tmp_path: Path) -> None:
        made = filled(tmp_path / "library", {"one": 30, "two": 20})
        tables = made.library.tables
        put(made.library, "two", made.vectors[30:50], number=3)
        tables.frames.add(tables.frames.to_arrow())
        tables.thumbnails.add(tables.thumbnails.to_arrow())
        tables.put([replace(record, num_frames=2 * record.num_frames) for record in tables.records()])
        library = Store.open(made.library.path)
        with library.writing():
            pass
        assert [(record.id, record.num_frames) for record in library.tables.records()] == [(1, 30), (3, 20)]
        assert num_rows(library) == (50, 50)
        np.testing.assert_allclose(library.embeddings().vectors, made.vectors, atol=1e-3)

    def test_names_of_two(self, tmp_path: Path) -> None:
        made = filled(tmp_path / "library", {"one": 3, "two": 2})
        tables = made.library.tables
        tables.put([replace(record, name="same") for record in tables.records()])
        with made.library.writing():
            pass
        assert [record.name for record in made.library.sources] == ["same", "two"]

    def test_tables_of_an_older_version_are_read_as_they_are_and_brought_up_to_date_when_written_to(
        self, tmp_path: Path
    ) -> None:
        made = filled(tmp_path / "library", {"still.png": 1, "walk.mp4": 20})
        made.library.tables.sources.drop_columns(["is_picture", "reason", "path_bytes"])
        config = made.library.path / CONFIG_FILE
        config.write_text(config.read_text().replace('"format_version": 4', '"format_version": 1'))
        library = Store.open(made.library.path)
        assert [record.is_picture for record in library.sources] == [True, False]
        assert library.tables.is_of_older_version
        with library.writing():
            pass
        again = Store.open(library.path)
        assert not again.tables.is_of_older_version
        assert again.sources == library.sources
        assert json.loads(config.read_text())["format_version"] == 4

    def test_where_all_is_well_nothing_is_written(self, tmp_path: Path) -> None:
        library = filled(tmp_path / "library", {"one": 30, "two": 20}).library
        versions = [table.version for table in (library.tables.frames, library.tables.sources)]
        with library.writing():
            pass
        assert [table.version for table in (library.tables.frames, library.tables.sources)] == versions


class TestCtrlC:
    def test_pressed_five_times_it_counts_once_and_afterwards(self) -> None:
        done = []

        def work() -> None:
            for _ in range(5):
                signal.raise_signal(signal.SIGINT)
            done.append(True)

        with pytest.raises(KeyboardInterrupt):
            run_uninterrupted(work)
        assert done == [True]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def test_an_error_of_the_work_comes_through(self) -> None:
        with pytest.raises(ZeroDivisionError):
            run_uninterrupted(lambda: 1 // 0)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def test_only_the_first_stops_what_is_put_away_meanwhile(self) -> None:
        put_away = []

        def press() -> None:
            try:
                signal.raise_signal(signal.SIGINT)
            finally:
                signal.raise_signal(signal.SIGINT)
                put_away.append(True)

        with pytest.raises(KeyboardInterrupt), only_first_interrupt(), only_first_interrupt():
            press()
        assert put_away == [True]

    def test_while_rows_are_written_there_is_one_writer_and_the_lock_is_held(
        self, library: Store, clips: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write, under_way, most = Writer._write, [], []

        def write_while_it_is_pressed(writer: Writer) -> None:
            under_way.append(True)
            most.append(len(under_way))
            for _ in range(5):
                signal.raise_signal(signal.SIGINT)
            with pytest.raises(LibraryError, match="another process"), writing(library.path):
                pass
            write(writer)
            under_way.pop()

        monkeypatch.setattr(indexing_writer, "_ROWS_AT_ONCE", 8)
        monkeypatch.setattr(Writer, "_write", write_while_it_is_pressed)
        with pytest.raises(KeyboardInterrupt):
            add(library, [clips])
        assert set(most) == {1}
        with writing(library.path):
            pass
        monkeypatch.setattr(Writer, "_write", write)
        add(library, [clips])
        assert num_rows(library) == (24, 24)

    def test_after_a_write_that_failed_nothing_is_written_again(
        self, library: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(library, "one", unit(np.ones((2, library.dim))), number=1)
        (record,) = library.tables.records()
        writer, tried = Writer(library.tables), []

        def full(rows: object) -> None:
            tried.append(rows)
            raise LibraryError("the disk is full")

        monkeypatch.setattr(library.tables, "add", full)
        writer.note(record)
        for _ in range(2):
            try:
                writer.write()
            except LibraryError:
                continue
        assert len(tried) == 1


def test_thumbnails_of_many_sources_are_asked_for_at_once_by_an_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_tables, "_MAX_UNINDEXED", 20)
    made = filled(tmp_path / "library", {f"{number}.jpg": 1 for number in range(30)})
    tables = made.library.tables
    tables.keep_up_indices()
    for table in (tables.frames, tables.thumbnails):
        assert table.index_stats("source_idx").num_indexed_rows == 30
    questions = []
    search = tables.thumbnails.search
    monkeypatch.setattr(tables.thumbnails, "search", lambda: questions.append(1) or search())
    names = [f"{number}.jpg" for number in (7, 3, 29, 7)]
    assert made.library.thumbnails([(name, 0) for name in names]) == [b"jpeg"] * 4
    assert len(questions) == 1
    put(made.library, "more", made.vectors[:25], number=99)
    tables.keep_up_indices()
    assert tables.thumbnails.index_stats("source_idx").num_unindexed_rows == 0


def test_a_handle_that_is_forgotten_lets_go_of_its_version(library: Store) -> None:
    reader, folder = Store.open(library.path), library.tables.folder
    assert readers.is_read(folder)
    library.close()
    assert readers.is_read(folder)
    del reader
    assert not readers.is_read(folder)
