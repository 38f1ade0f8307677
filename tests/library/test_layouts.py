"""What a library stores for its encoder's second stage: the cells of each frame, through all that happens to rows."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from library_made import layout_encoder, small_encoder, write_videos

from firstsight.errors import LibraryError
from firstsight.footage.frames import PixelByPixel
from firstsight.footage.sampling import Sampling
from firstsight.footage.source import open_source
from firstsight.indexing import writer as indexing_writer
from firstsight.indexing.estimate import estimate
from firstsight.indexing.index_files import add, remove
from firstsight.indexing.reindex import reindex
from firstsight.library.maintenance import check, compact
from firstsight.library.records import LayoutRows, LayoutSizes, packed, packed_of, unpacked
from firstsight.library.source_files import find_footage
from firstsight.library.store import Store


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two different videos of 4 s."""
    return write_videos(tmp_path_factory.mktemp("clips"), 2)


@pytest.fixture(scope="module")
def made(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "library"
    with Store.create(path, layout_encoder(), frames_per_second=5) as library:
        add(library, [clips])
    return path


@pytest.fixture
def library(made: Path, tmp_path: Path) -> Store:
    return Store.open(shutil.copytree(made, tmp_path / "library"))


def all_cells(library: Store) -> np.ndarray:
    return library.cells_of(np.arange(library.num_frames))


def described(library: Store, clip: Path) -> np.ndarray:
    """The cells of the clip's frames that the library holds, from the video itself."""
    with open_source(clip, frames_per_second=5).read(library.encoder.view, PixelByPixel()) as reading:
        pictures = np.stack([frame.pixels for frame in reading])
    cells = library.encoder.describe(pictures).cells
    assert cells is not None
    return cells


@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (1, 1, 1, 3)])
def test_packed_cells_come_back(shape: tuple[int, ...]) -> None:
    cells = np.random.default_rng(0).integers(-7, 8, (9, *shape)).astype(np.int8)
    rows = packed(cells)
    assert rows.shape == (9, -(-np.prod(shape) // 2))
    assert (unpacked(rows, shape) == cells).all()
    assert unpacked(rows[:0], shape).shape == (0, *shape)
    table = pa.table([LayoutRows(rows, np.ones((9, 2), np.float32)).arrays[0]], names=["cells"])
    assert (packed_of(table.slice(3, 4)) == rows[3:7]).all()


def test_they_are_those_of_the_frames(library: Store, clips: Path) -> None:
    assert library.has_layouts
    expected = np.concatenate([described(library, clips / name) for name in ("0.mp4", "1.mp4")])
    assert all_cells(library).shape == (40, 2, 6, 8, 16)
    assert (all_cells(library) == expected).mean() > 0.999  # rounded by the last digit, which the batch may change
    picked = np.array([31, 2, 2, 17])
    assert (library.cells_of(picked) == all_cells(library)[picked]).all()
    assert library.cells_of(picked[:0]).shape == (0, 2, 6, 8, 16)


@pytest.mark.parametrize("rows", [slice(None), slice(0, 0), slice(5, 30), slice(7, 9)])
@pytest.mark.parametrize("batch_size", [1, 7, 512])
def test_they_come_in_batches_too(library: Store, rows: slice, batch_size: int) -> None:
    chosen = np.zeros(40, np.bool_)
    chosen[rows] = True
    found = {}
    for positions, cells in library.iterate_cells(chosen, batch_size=batch_size):
        assert 0 < len(positions) == len(cells) <= batch_size
        found |= dict(zip(positions.tolist(), cells, strict=True))
    assert sorted(found) == np.flatnonzero(chosen).tolist()
    assert all((cells == all_cells(library)[row]).all() for row, cells in found.items())


def test_vectors_in_place_lie_at_their_frames(library: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    (held,) = library.in_place()
    assert held[1].shape == (40, 96)
    assert np.linalg.norm(held[1], axis=1) == pytest.approx(1)
    monkeypatch.setattr("firstsight.library.selection.MAX_HELD_BYTES", 0)
    library.refresh()
    read = np.zeros_like(held[1])
    for positions, vectors in library.in_place():
        read[positions] = vectors
    assert (read == held[1]).all()


def test_a_copy_of_a_file_has_them_too(library: Store, clips: Path, tmp_path: Path) -> None:
    shutil.copy(clips / "1.mp4", tmp_path / "2.mp4")
    assert add(library, [tmp_path / "2.mp4"]).copied == ["2.mp4"]
    cells = all_cells(library)
    assert (cells[40:] == cells[20:40]).all()


def test_they_go_and_stay_with_their_frames(library: Store) -> None:
    before = all_cells(library)
    remove(library, ["0.mp4"])
    compact(library)
    assert (all_cells(library) == before[20:]).all()
    assert check(library.path).is_whole


def test_an_interrupted_run_goes_on_with_them(
    made: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing_writer, "BATCH_SIZE", 8)
    monkeypatch.setattr(indexing_writer, "_ROWS_AT_ONCE", 8)
    broken = Store.create(tmp_path / "broken", layout_encoder(), frames_per_second=5)

    def stop(progress: object) -> None:
        if broken.tables.frames.count_rows() >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        add(broken, [clips / "0.mp4"], progress=stop)
    assert broken.num_frames == 0
    add(broken, [clips])
    assert (all_cells(broken) == all_cells(Store.open(made))).mean() > 0.999


def test_another_process_shows_what_it_opened(library: Store, clips: Path) -> None:
    other = Store.open(library.path)
    before = all_cells(other)
    remove(library, ["0.mp4"])
    add(library, [clips / "0.mp4"])
    assert (all_cells(other) == before).all()
    other.refresh()
    assert (all_cells(other) == all_cells(library)).all()


class TestWithoutThem:
    @pytest.fixture
    def plain(self, clips: Path, tmp_path: Path) -> Store:
        library = Store.create(tmp_path / "plain", small_encoder(), frames_per_second=5)
        add(library, [clips])
        return library

    def test_an_encoder_without_a_second_stage_stores_none(self, plain: Store) -> None:
        assert not plain.has_layouts
        assert plain.tables.layout_bytes == 0
        with pytest.raises(LibraryError, match="stores no layouts; `firstsight index --reindex` adds them"):
            plain.cells_of(np.array([0]))
        with pytest.raises(LibraryError, match="stores no layouts"):
            list(plain.iterate_cells(np.ones(40, np.bool_)))

    def test_reindexing_adds_them(self, plain: Store, library: Store) -> None:
        new, _ = reindex(plain, layout_encoder())
        assert new.has_layouts
        assert (all_cells(new) == all_cells(library)).mean() > 0.999

    def test_reindexing_goes_on_from_no_attempt_without_them(
        self, plain: Store, clips: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as older:
            older.setattr(LayoutSizes, "of", lambda _: None)

            def stop(progress: object) -> None:
                raise KeyboardInterrupt

            with pytest.raises(KeyboardInterrupt):
                reindex(plain, layout_encoder(), progress=stop)
        new, _ = reindex(Store.open(plain.path), layout_encoder())
        assert new.has_layouts
        assert all_cells(new).shape == (40, 2, 6, 8, 16)


@pytest.mark.parametrize("column", ["cells", "in_place"])
def test_a_check_finds_frames_without(library: Store, column: str) -> None:
    library.tables.thumbnails.update(where="frame = 0", values_sql={column: "NULL"})
    assert "2 frames have no layout, or one that is damaged" in check(library.path).damages
    again = Store.open(library.path)
    with pytest.raises(LibraryError, match="firstsight library check"):
        all_cells(again) if column == "cells" else list(again.in_place())


def test_the_estimate_counts_them(library: Store, clips: Path) -> None:
    assert library.tables.layout_bytes == 2 * 6 * 8 * 16 // 2 + 2 * 96
    files, _ = find_footage([clips])
    with_them, without = (
        estimate(library.path, files, None, usual=Sampling(every=1), records=(), dim=16, layout_bytes=size)
        for size in (library.tables.layout_bytes, 0)
    )
    assert with_them.num_bytes - without.num_bytes == with_them.num_frames * 960


def test_a_frame_without_is_not_passed_over_in_silence(library: Store) -> None:
    library.tables.thumbnails.delete("frame = 0")
    for chosen in (np.ones(40, np.bool_), np.arange(40) == 0):
        with pytest.raises(LibraryError, match="a frame has no layout; `firstsight library check"):
            list(library.iterate_cells(chosen))


def test_of_frames_that_were_written_twice_each_is_there_once(library: Store) -> None:
    before, vectors = all_cells(library), library.embeddings().vectors
    ((_, in_place),) = library.in_place()
    library.tables.frames.add(library.tables.frames.search().where("frame % 10 = 0").to_arrow())
    library.tables.thumbnails.add(library.tables.thumbnails.search().where("frame % 20 = 0").to_arrow())
    library.refresh()
    assert (all_cells(library) == before).all()
    ((_, again),) = library.in_place()
    assert (again == in_place).all()
    batches = [positions for positions, _ in library.iterate_cells(np.ones(40, np.bool_), batch_size=7)]
    assert sorted(np.concatenate(batches).tolist()) == list(range(40))
    assert (library.vectors_at(np.arange(40)) == vectors).all()
    library.tables.thumbnails.delete("frame = 5")  # which rows that came twice must not make up for
    library.refresh()
    with pytest.raises(LibraryError, match="a frame has no layout"):
        list(library.iterate_cells(np.ones(40, np.bool_)))
