"""What a library gives is what was put in: the same rows, the nearest of those that are meant, whatever the index."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from library_made import Filled, filled, put, small_encoder, unit, write_video
from PIL import Image

from firstsight.errors import LibraryError, SettingsError
from firstsight.footage.source import open_source
from firstsight.indexing.index_files import add
from firstsight.library import vector_index as library_index
from firstsight.library.embeddings import embed
from firstsight.library.selection import Timeline, Where
from firstsight.library.store import Store
from firstsight.searching.nearest import find_nearest

SIZES = {"a/gate.mp4": 300, "a/yard.mp4": 250, "b/gate.mp4": 40, "b/x[1].mp4": 110}


@pytest.fixture(scope="module", params=["exact", "index"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Filled:
    """700 rows, compared one by one; or with an index of which a search looks at few groups."""
    found = filled(tmp_path_factory.mktemp("made") / "library", SIZES)
    if request.param == "index":
        library_index.build(found.library.tables, num_groups=20)
        found.library.refresh()
    return found


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Path]:
    """Two small videos, ten frames a second, and the folder they are in."""
    folder = tmp_path_factory.mktemp("seen")
    for seed, name in enumerate(("first.mp4", "deeper/second.mp4")):
        write_video(folder / "videos" / name, seed=seed)
    library = Store.create(folder / "library", small_encoder(), frames_per_second=10)
    add(library, [folder / "videos"])
    return library, folder / "videos"


def meant(made: Filled, where: Where) -> np.ndarray:
    """Which rows a filter leaves, the slow and obvious way."""
    keep = np.isin(made.names, where.sources) if where.sources else np.ones(len(made.names), bool)
    keep &= made.seconds >= (where.start_seconds or 0)
    return keep & (made.seconds < (np.inf if where.end_seconds is None else where.end_seconds))


wheres = st.builds(
    lambda sources, start, length: Where(tuple(sources), start, None if length is None else (start or 0) + length),
    st.sets(st.sampled_from(sorted(SIZES))),
    st.none() | st.floats(0, 150),
    st.none() | st.floats(0.1, 150),
)


class TestNearest:
    @given(data=st.data(), where=wheres, k=st.integers(1, 60), seed=st.integers(0, 99))
    def test_are_those_of_comparing_every_row_that_is_meant(
        self, made: Filled, data: st.DataObject, where: Where, k: int, seed: int
    ) -> None:
        random = np.random.default_rng(seed)
        query = unit(made.vectors[random.integers(len(made.vectors))] + 0.1 * random.standard_normal(made.library.dim))
        keep = meant(made, where)
        expected = np.sort((made.vectors @ query)[keep])[::-1][:k]
        if not keep.any():
            with pytest.raises(LibraryError, match="no frame"):
                find_nearest(made.library, query, k=k, where=where)
            return
        found = find_nearest(made.library, query, k=k, where=where)
        if where or found.is_exact:
            np.testing.assert_allclose([row.similarity for row in found.frames], expected, atol=1e-3)
        else:
            assert len(found.frames) == min(k, keep.sum())
        for row in found.frames:
            number = np.flatnonzero((made.names == row.source) & (made.frame_indices == row.frame_index))
            assert keep[number].all()
            assert made.seconds[number] == row.seconds
            assert made.vectors[number] @ query == pytest.approx(row.similarity, abs=1e-3)

    def test_of_a_filter_are_found_though_they_lie_far_from_the_groups_looked_at(self, made: Filled) -> None:
        """The trap of a filter before an index: the groups near the query hold no row that is meant."""
        query = made.vectors[0]
        found = find_nearest(made.library, query, k=40, where=Where(("b/gate.mp4",)))
        assert len(found.frames) == 40
        assert {row.source for row in found.frames} == {"b/gate.mp4"}
        if library_index.read_facts(made.library.tables):
            trapped = library_index.search_index(made.library.tables, query, k=40, num_probes=2).where("source = 3")
            assert len(trapped.to_arrow()) < 40

    def test_come_by_the_index_where_there_is_one_and_nothing_is_left_out(self, made: Filled) -> None:
        has_index = library_index.read_facts(made.library.tables) is not None
        assert find_nearest(made.library, made.vectors[0], k=100).is_exact is not has_index
        assert find_nearest(made.library, made.vectors[0], k=101).is_exact
        assert find_nearest(made.library, made.vectors[0], k=10, where=Where(end_seconds=90)).is_exact

    def test_are_as_many_as_there_are(self, made: Filled) -> None:
        assert len(find_nearest(made.library, made.vectors[3], k=5_000).frames) == 700
        with pytest.raises(LibraryError, match="no frame"):
            find_nearest(made.library, made.vectors[3], k=5, where=Where(start_seconds=1_000))

    def test_go_by_the_direction_alone(self, made: Filled) -> None:
        one, other = (find_nearest(made.library, scale * made.vectors[5], k=3).frames for scale in (1, 40))
        assert [row.frame_index for row in one] == [row.frame_index for row in other]
        assert one[0].similarity == pytest.approx(other[0].similarity, abs=1e-6)
        assert find_nearest(made.library, 0 * made.vectors[5], k=3).frames == ()

    @pytest.mark.parametrize(
        ("vector", "k", "words"),
        [
            (np.ones(100), 0, "^0 nearest frames; valid is an integer from 1$"),
            (np.ones(100), 1.5, "^1.5 nearest frames; valid"),
            (np.ones(99), 1, r"^a vector \(99,\) to .* valid are 100 finite"),
            (np.full(100, np.nan), 1, "100 finite"),
        ],
    )
    def test_refuse_what_makes_no_sense(self, made: Filled, vector: np.ndarray, k: int, words: str) -> None:
        with pytest.raises(SettingsError, match=words):
            find_nearest(made.library, vector.astype(np.float32), k=k)


class TestRows:
    @pytest.mark.parametrize("is_held", [True, False])
    def test_are_read_one_by_one_as_together(
        self, made: Filled, is_held: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(made.library, "_held", made.library.embeddings().vectors if is_held else None)
        positions = np.array([699, 3, 3, 350, 0])
        np.testing.assert_array_equal(made.library.vectors_at(positions), made.library.embeddings().vectors[positions])
        assert made.library.vectors_at(positions[:0]).shape == (0, 100)

    def test_that_an_older_version_wrote_twice_count_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        library = filled(tmp_path / "library", {"a.mp4": 40, "b.mp4": 30}).library
        before = library.embeddings()
        library.tables.frames.add(library.tables.frames.search().where("frame % 3 = 0").to_arrow())
        library_index.build(library.tables, num_groups=2)
        library.refresh()
        assert len(library.timeline) == library.num_frames == 70
        np.testing.assert_array_equal(library.embeddings().vectors, before.vectors)
        np.testing.assert_array_equal(library.vectors_at(np.arange(70)), before.vectors)
        assert library.timeline.find_row_ids(library.timeline.row_ids).tolist() == list(range(70))
        assert find_nearest(library, before.vectors[-1], k=3).frames[0].source == "b.mp4"
        assert sum(len(batch) for batch in library.iterate(batch_size=7)) == 70
        monkeypatch.setattr("firstsight.library.store.MAX_HELD_BYTES", 0)
        library.refresh()
        positions = np.concatenate([positions for positions, _ in library.vectors()])
        assert sorted(positions.tolist()) == list(range(70))

    def test_are_found_by_their_row_ids(self, made: Filled) -> None:
        timeline = made.library.timeline
        wanted = np.append(timeline.row_ids[[5, 0, 699]], [-7, timeline.row_ids.max() + 1])
        assert timeline.find_row_ids(wanted).tolist() == [5, 0, 699, -1, -1]
        nothing = Timeline.of(made.library.tables.frames.search().where("source = -1").with_row_id(True).to_arrow(), ())
        assert nothing.find_row_ids(wanted).tolist() == [-1] * 5

    def test_come_by_source_and_time(self, made: Filled) -> None:
        found = made.library.embeddings()
        assert found.sources == tuple(sorted(SIZES))
        assert [found.source_of(row) for row in range(700)] == made.names.tolist()
        np.testing.assert_array_equal(found.seconds, made.seconds)
        np.testing.assert_array_equal(found.frame_indices, made.frame_indices)
        np.testing.assert_allclose(found.vectors, made.vectors, atol=1e-3)

    @settings(max_examples=settings.default.max_examples // 3)  # each reads the whole library
    @given(where=wheres, batch_size=st.integers(1, 300))
    def test_are_those_that_are_meant_in_batches_too(self, made: Filled, where: Where, batch_size: int) -> None:
        keep = meant(made, where)
        whole = made.library.embeddings(where)
        np.testing.assert_array_equal(whole.frame_indices, made.frame_indices[keep])
        batches = list(made.library.iterate(where, batch_size=batch_size))
        assert all(0 < len(batch) <= batch_size for batch in batches)
        assert all(batch.sources == whole.sources for batch in batches)
        rows = sorted(
            (batch.source_of(row), int(batch.frame_indices[row])) for batch in batches for row in range(len(batch))
        )
        assert rows == [(whole.source_of(row), int(whole.frame_indices[row])) for row in range(len(whole))]

    def test_are_chosen_by_pattern_and_by_the_very_name(self, made: Filled) -> None:
        assert made.library.embeddings(Where(("*/gate.mp4",))).sources == ("a/gate.mp4", "b/gate.mp4")
        assert made.library.embeddings(Where(("b/x[1].mp4",))).sources == ("b/x[1].mp4",)
        with pytest.raises(
            LibraryError, match=r"'c/\*' or matches it; there are a/gate.mp4, a/yard.mp4, b/gate.mp4, ..."
        ):
            made.library.embeddings(Where(("a/*", "c/*")))


def test_sixteen_bits_change_a_similarity_by_less_than_a_thousandth(tmp_path: Path) -> None:
    library = Store.create(tmp_path / "library", small_encoder())
    random = np.random.default_rng(0)
    spiky = unit(random.standard_normal((200, 100)) ** 9)  # a few numbers hold nearly all of the length
    vectors = np.concatenate([unit(random.standard_normal((200, 100))), spiky, np.zeros((1, 100), np.float32)])
    put(library, "one", vectors, number=1)
    library.refresh()
    stored = library.embeddings().vectors
    assert stored.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(stored, axis=1), [1] * 400 + [0], atol=1e-6)
    assert np.abs(stored @ stored.T - vectors @ vectors.T).max() < 1e-3
    assert np.abs(stored @ vectors.T - vectors @ vectors.T).max() < 5e-4


def test_what_is_partial_superseded_or_nobodys_is_not_shown(tmp_path: Path) -> None:
    made = filled(tmp_path / "library", {"one": 30, "two": 20})
    library = made.library
    put(library, "three", made.vectors[:10], number=3, status="partial")
    put(library, "two", made.vectors[:7], number=4)  # a later record for the same file
    library.tables.add([(9, next(library.tables.rows_of(1)))])  # rows of a source that was never noted
    library.refresh()
    assert [record.name for record in library.sources] == ["one", "two"]
    assert [record.name for record in library.partial_sources] == ["three"]
    assert library.num_frames == len(library.embeddings()) == 37
    found = find_nearest(library, made.vectors[0], k=100)
    assert len(found.frames) == 37
    with pytest.raises(LibraryError, match="three"):
        library.embeddings(Where(("three",)))
    with library.writing():
        assert library.tables.frames.count_rows() == library.tables.thumbnails.count_rows() == 30 + 10 + 7
    assert library.num_frames == 37


class TestOfVideos:
    def test_rows_are_those_of_embedding_the_videos(self, seen: tuple[Store, Path]) -> None:
        library, videos = seen
        found = library.embeddings()
        assert found.sources == ("deeper/second.mp4", "first.mp4")
        expected = embed(library.encoder, open_source([videos / name for name in found.sources], frames_per_second=10))
        np.testing.assert_array_equal(found.seconds, expected.seconds)
        np.testing.assert_array_equal(found.frame_indices, expected.frame_indices)
        stored = expected.vectors.astype(np.float16).astype(np.float32)
        np.testing.assert_allclose(found.vectors, unit(stored), atol=1e-6)

    def test_records_tell_what_was_read(self, seen: tuple[Store, Path]) -> None:
        library, videos = seen
        record = library.sources[1]
        assert (record.name, record.path, record.status) == ("first.mp4", videos / "first.mp4", "whole")
        assert (record.num_frames, record.num_skipped, record.frames_per_second) == (40, 0, 10)
        assert record.duration_seconds == pytest.approx(4.0)
        assert record.num_bytes == record.path.stat().st_size
        assert library.num_frames == 80

    def test_thumbnails_show_the_frames_asked_for(self, seen: tuple[Store, Path]) -> None:
        library, videos = seen
        wanted = [("first.mp4", 50), ("deeper/second.mp4", 0), ("first.mp4", 0)]
        pictures = [np.asarray(Image.open(io.BytesIO(one))).astype(int) for one in library.thumbnails(wanted)]
        for (name, index), picture in zip(wanted, pictures, strict=True):
            frame = next(
                frame
                for frame in open_source(videos / name).read(library.encoder.view, Plain())
                if frame.index == index
            )
            assert picture.shape == (48, 64, 3)
            assert np.abs(picture - frame.whole).mean() < 8

    def test_thumbnails_of_no_frame(self, seen: tuple[Store, Path]) -> None:
        with pytest.raises(LibraryError, match="no frame 1 of 'first"):
            seen[0].thumbnails([("first.mp4", 0), ("first.mp4", 1)])

    def test_opened_again_it_is_the_same(self, seen: tuple[Store, Path]) -> None:
        with Store.open(seen[0].path) as again:
            assert again.sources == seen[0].sources
            assert again.config == seen[0].config
            assert again.encoder.fingerprint == seen[0].fingerprint
            np.testing.assert_array_equal(again.embeddings().vectors, seen[0].embeddings().vectors)


class Plain:
    """The whole frame as it is."""

    channels = 3

    def crop(self, width: int, height: int) -> object:
        from firstsight.pixels import Crop

        return Crop(0, 0, width, height, width, height)


def test_an_encoder_put_in_anothers_place_is_noticed(tmp_path: Path) -> None:
    library = Store.create(tmp_path / "library", small_encoder())
    small_encoder(seed=1).save(library.path / "model")
    with pytest.raises(LibraryError, match=f"the vectors come from {library.fingerprint}"):
        Store.open(library.path).encoder  # noqa: B018


def test_batches_of_nothing_are_refused(tmp_path: Path) -> None:
    library = Store.create(tmp_path / "library", small_encoder())
    with pytest.raises(SettingsError, match="at least 1"):
        next(library.iterate(batch_size=0))
    assert len(library.embeddings()) == 0
    with pytest.raises(LibraryError, match="no frame"):
        find_nearest(library, np.ones(100, np.float32), k=3)
