"""Search by the second stage: moments proposed by two lists are judged, and thresholds are of the same similarity."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from library_made import layout_encoder, write_videos
from PIL import Image

from firstsight.errors import LibraryError
from firstsight.indexing.index_files import add
from firstsight.library.embeddings import Embeddings
from firstsight.library.selection import Where
from firstsight.library.store import Store
from firstsight.library.vector_index import Proposed
from firstsight.searching import nearest
from firstsight.searching.calibration import Background
from firstsight.searching.decoys import background_of, decoys_of
from firstsight.searching.moments import best_of_moments, find_moments, moments_of, taken_in_turn
from firstsight.searching.nearest import Judge, compare_all, compare_described, find_nearest
from firstsight.searching.query import Query, read_query
from firstsight.searching.search import search
from firstsight.searching.verdict import verdict

WEIGHT = 0.6


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_videos(tmp_path_factory.mktemp("clips"), 4)


@pytest.fixture(scope="module")
def library(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store.create(tmp_path_factory.mktemp("made") / "library", layout_encoder(weight=WEIGHT), every=5) as library:
        add(library, [clips])
        yield library


@pytest.fixture(scope="module")
def query(library: Store, clips: Path) -> Query:
    return read_query(f"{clips / '2.mp4'}@1.6", library.encoder)


def fused(library: Store, query: Query) -> np.ndarray:
    """The similarity of every frame, each judged."""
    judge = Judge.of(library)
    assert judge is not None
    assert query.described is not None
    agreed = judge.stage.agreement(query.described.cells[0], library.cells_of(np.arange(library.num_frames)))
    return (1 - WEIGHT) * compare_all(library, query.vector).similarities + WEIGHT * agreed


def frames(seconds: list[float], sources: list[int]) -> Embeddings:
    num = len(seconds)
    names = tuple(map(str, range(max(sources) + 1)))
    return Embeddings(np.empty((num, 0), np.float32), np.array(seconds), np.arange(num), np.array(sources), names)


class TestMoments:
    def test_are_two_seconds_of_one_source(self) -> None:
        long = frames([0, 1.9, 2, 5, 1000, 0.5, 1, 3], [0, 0, 0, 0, 0, 1, 1, 1])
        assert np.diff(moments_of(long)).tolist() == [0, 1, 1, 1, 1, 0, 1]

    def test_of_little_footage_are_shorter(self) -> None:
        assert len(set(moments_of(frames([0, 0.5, 1, 1.5], [0] * 4)))) == 4
        assert len(set(moments_of(frames([0, 0, 0], [0, 1, 2])))) == 3

    def test_have_one_best_frame_each(self) -> None:
        scores = np.array([[0.1, 0.9, 0.8, 0.7, 0.2], [-np.inf, -np.inf, 0.1, 0.1, -np.inf]], np.float32)
        best = best_of_moments(scores, np.array([1, 1, 1, 2, 3]), 2)
        assert best.tolist() == [[1, 3], [2, 3]]
        assert best_of_moments(scores[1:], np.array([1, 1, 1, 1, 1]), 3).tolist() == [[2, -1, -1]]
        assert best_of_moments(scores[:, :0], np.arange(0), 2).tolist() == [[-1, -1], [-1, -1]]

    def test_of_two_lists_are_taken_in_turn(self) -> None:
        (taken,) = taken_in_turn(np.array([[1, 2, 3]]), np.array([[2, 4, -1]]), 3)
        assert taken.tolist() == [1, 2, 4]


class TestSearch:
    def test_finds_the_frame_itself(self, library: Store, query: Query) -> None:
        result = search(library, query)
        assert result.matches[0].is_query
        assert result.matches[0].similarity == pytest.approx(1, abs=1e-3)
        assert result.nearest == result.matches[0]
        assert result.is_complete

    def test_scores_are_fused_and_no_frame_is_above_those_that_were_judged(
        self, library: Store, query: Query, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(nearest, "NUM_CANDIDATES", 6)
        judge = Judge.of(library)
        assert judge is not None
        assert query.described is not None
        found = compare_described(judge, query.described, threshold=0.99, gap_seconds=0.1)
        expected = fused(library, query)
        is_judged = np.abs(found.similarities - expected) < 1e-4
        assert 6 <= is_judged.sum() < 40
        assert found.similarities[~is_judged].max() < found.similarities[is_judged].max()
        assert np.argmax(found.similarities) == np.argmax(expected)

    def test_what_an_index_proposes_is_judged_alone(self, library: Store, query: Query) -> None:
        judge = Judge.of(library)
        assert judge is not None
        assert query.described is not None
        everything = compare_all(library, query.vector)
        is_proposed = everything.similarities >= np.sort(everything.similarities)[-12]
        proposed = replace(everything, similarities=np.where(is_proposed, everything.similarities, -np.inf))
        found = compare_described(judge, query.described, threshold=0.9, gap_seconds=0.1, proposed=proposed)
        assert (found.similarities[~is_proposed] == -np.inf).all()
        assert np.argmax(found.similarities) == np.argmax(fused(library, query))
        assert found.similarities.max() == pytest.approx(1, abs=1e-3)

    def test_moments_end_where_frames_match_no_more(
        self, library: Store, query: Query, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        judge, expected = Judge.of(library), fused(library, query)
        assert judge is not None
        assert query.described is not None
        is_source = library.timeline.frames.source_indices == 2
        threshold = float(np.sort(expected[is_source])[-4])
        monkeypatch.setattr(nearest, "NUM_CANDIDATES", 1)
        found = compare_described(judge, query.described, threshold=threshold, gap_seconds=np.inf)
        assert found.similarities[is_source] == pytest.approx(expected[is_source], abs=1e-4)

    def test_a_limit_of_frames_is_said(self, library: Store, query: Query, monkeypatch: pytest.MonkeyPatch) -> None:
        judge = Judge.of(library)
        assert judge is not None
        assert query.described is not None
        monkeypatch.setattr(nearest, "_MAX_JUDGED", 25)
        assert not compare_described(judge, query.described, threshold=-2, gap_seconds=2).is_complete
        assert verdict(search(library, query, false_match_rate=0.999)).startswith("At least ")

    def test_beyond_the_limit_one_long_match_is_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Half an hour that is all alike, but for a minute in it; of each moment a frame is judged, then no more."""
        monkeypatch.setattr(nearest, "_MAX_JUDGED", 1_000)
        num, is_match = 3_600, np.ones(3_600, bool)
        is_match[1_000:1_120] = False

        class Stage:
            weight = 0.5

            @staticmethod
            def fused(cosines: np.ndarray, agreements: np.ndarray) -> np.ndarray:
                return (0.5 * cosines + 0.5 * agreements).astype(np.float32)

        class OfMatches:
            stage = Stage

            @staticmethod
            def agreements_of(_cells: object, rows: np.ndarray) -> np.ndarray:
                return np.where(is_match[rows], 0.9, 0.1).astype(np.float32)

        cosines, in_place = np.random.default_rng(0).uniform(0.9, 0.95, (2, num)).astype(np.float32)
        cosines[3_000:3_004] = 0.1  # two seconds of something else, too unlike to be judged
        nothing = np.empty((num, 0), np.float32)
        frames = Embeddings(nothing, np.arange(num) / 2, np.arange(num), np.zeros(num, np.int64), ("a.mp4",))
        compared = nearest.Compared(cosines, frames, None, is_complete=True)
        found = nearest._Judging(OfMatches, None, compared, in_place, 0.7).found(2.0)
        assert not found.is_complete
        moments = sorted(
            find_moments(found.similarities, frames, threshold=0.7, gap_seconds=1), key=lambda one: one.start_seconds
        )
        assert len(moments) == 3
        assert [moments[1].end_seconds, moments[2].start_seconds] == [1_500, 1_502]
        assert moments[0].end_seconds == pytest.approx(500, abs=4)
        assert moments[1].start_seconds == pytest.approx(560, abs=4)

    def test_in_a_part_of_the_library(self, library: Store, query: Query) -> None:
        result = search(library, query, where=Where(("0.mp4", "1.mp4"), 1.0, 2.0), nearest=True, k=3)
        assert result.num_frames == 10
        assert {one.source for one in (*result.matches, *result.below)} <= {"0.mp4", "1.mp4"}
        with pytest.raises(LibraryError, match="no frame to search"):
            search(library, query, where=Where((), 90.0, None))

    def test_without_itself(self, library: Store, query: Query) -> None:
        assert search(library, query, not_itself=True).nearest.source != "2.mp4"

    def test_a_query_without_a_description_is_described(self, library: Store, query: Query) -> None:
        again = search(library, replace(query, described=None))
        assert again.to_json() == search(library, query).to_json()

    @pytest.mark.parametrize("num", [1, 2])
    def test_of_one_frame_or_two(self, clips: Path, tmp_path: Path, num: int) -> None:
        with Store.create(tmp_path / "library", layout_encoder(), every=50 * (3 - num)) as library:
            add(library, [clips / "0.mp4"])
            assert library.num_frames == num
            result = search(library, read_query(str(clips / "0.mp4") + "@0", library.encoder), nearest=True)
        assert result.nearest.similarity == pytest.approx(1, abs=1e-3)
        assert len(result.matches) + len(result.below) == num or num == 2

    def test_of_no_frame_is_refused(self, query: Query, tmp_path: Path) -> None:
        with (
            Store.create(tmp_path / "library", layout_encoder()) as library,
            pytest.raises(LibraryError, match="holds no frame"),
        ):
            search(library, query)

    def test_a_vector_finds_by_the_cosine_alone(self, library: Store, query: Query) -> None:
        found = find_nearest(library, query.vector, k=library.num_frames)
        expected = np.sort(compare_all(library, query.vector).similarities)[::-1]
        assert [one.similarity for one in found.frames] == pytest.approx(expected[: len(found.frames)].tolist())


def test_with_a_weight_of_nothing_cosines_are_all(clips: Path, tmp_path: Path) -> None:
    with Store.create(tmp_path / "library", layout_encoder(weight=0), every=20) as library:
        add(library, [clips])
        assert library.has_layouts
        assert Judge.of(library) is None
        query = read_query(str(clips / "1.mp4") + "@0.2", library.encoder)
        best = compare_all(library, query.vector).similarities.max()
        assert search(library, query).nearest.similarity == pytest.approx(float(best))


class TestThreshold:
    def test_decoys_are_judged_as_queries_are(self, library: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """With every frame a candidate, each decoy has the best fused similarity of all frames of other sources."""
        monkeypatch.setattr(nearest, "NUM_CANDIDATES", 80)
        monkeypatch.setattr("firstsight.searching.decoys.NUM_CANDIDATES", 80)
        library.refresh()
        measured = background_of(library)
        assert measured.is_measured
        assert measured.decoys.max() < 1
        assert measured.pairs.max() <= 1
        assert len(measured.pairs) <= 2_000

    def test_it_is_kept_and_the_same_again(self, library: Store) -> None:
        library.refresh()
        (library.tables.folder / "background.npz").unlink(missing_ok=True)
        first = background_of(library)
        reported: list[object] = []
        with Store.open(library.path) as other:
            again = background_of(other, progress=reported.append)
        assert not reported
        assert (again.decoys == first.decoys).all()

    def test_batches_change_nothing(self, library: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        library.refresh()
        (library.tables.folder / "background.npz").unlink(missing_ok=True)
        first = background_of(library)
        (library.tables.folder / "background.npz").unlink()
        monkeypatch.setattr("firstsight.searching.decoys.BATCH_ROWS", 10)  # a second of 5 frames is never cut
        monkeypatch.setattr("firstsight.searching.decoys._DECOYS_AT_ONCE", 3)
        library.refresh()
        assert background_of(library).decoys == pytest.approx(first.decoys, abs=1e-5)


def test_a_black_frame_agrees_with_nothing_but_black(library: Store, query: Query) -> None:
    judge = Judge.of(library)
    assert judge is not None
    assert query.described is not None
    black = library.encoder.describe(np.zeros((1, 48, 64, 3), np.uint8))
    flat = black.cells[:, :, 3:4, 3:4].repeat(6, 2).repeat(8, 3)
    assert judge.stage.agreement(query.described.cells[0], flat)[0] < -0.9
    assert judge.stage.agreement(flat[0], flat)[0] == pytest.approx(1, abs=0.01)
    assert judge.stage.agreement(query.described.cells[0], query.described.cells)[0] == pytest.approx(1, abs=1e-3)


def test_decoys_in_a_mirror_keep_what_is_above_above() -> None:
    picture = np.zeros((60, 80, 3), np.uint8)
    picture[:30] = 200
    for decoy in decoys_of(picture, np.random.default_rng(0), in_a_mirror=True):
        assert decoy.shape == picture.shape
        assert decoy[:12].mean() > 150
        assert decoy[-12:].mean() < 50


@pytest.mark.parametrize("most", [1_000, 27])
def test_frames_that_are_not_judged_never_match(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """25 pictures of one view, and 75 of its parts in another order, whose vectors are nearly the same."""
    random = np.random.default_rng(0)
    blocks = random.integers(0, 256, (12, 16, 3)).repeat(4, 0).repeat(4, 1)
    for number in range(100):
        picture = blocks + random.integers(-12, 13, blocks.shape)
        if number >= 25:
            parts = blocks.reshape(12, 4, 16, 4, 3).swapaxes(1, 2).reshape(192, 4, 4, 3)[random.permutation(192)]
            picture = parts.reshape(12, 16, 4, 4, 3).swapaxes(1, 2).reshape(blocks.shape)
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(tmp_path / f"{number:02}.png")
    with Store.create(tmp_path / "library", layout_encoder(weight=0.5)) as library:
        add(library, [tmp_path])
        query = read_query(blocks.astype(np.uint8), library.encoder)
        judge = Judge.of(library)
        assert judge is not None
        assert query.described is not None
        monkeypatch.setattr(nearest, "_MAX_JUDGED", most)
        found = compare_described(judge, query.described, threshold=0.7, gap_seconds=2.0)
        matching = np.flatnonzero(found.similarities >= 0.7)
        names = sorted(found.frames.source_of(row) for row in matching.tolist())
    assert found.is_complete == (most > 100)
    assert set(names) <= {f"{number:02}.png" for number in range(25)}
    assert len(names) == 25 or not found.is_complete
    assert len(names) >= 20


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.7])
def test_moments_found_by_an_index_have_their_true_ends(
    library: Store, query: Query, threshold: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    embeddings = library.embeddings()

    def propose(_tables: object, vector: np.ndarray, *, k: int, num_probes: int) -> Proposed:
        similarities = embeddings.vectors @ vector
        best = np.argsort(-similarities)[:k]
        return Proposed(library.timeline.row_ids[best], similarities[best])

    background = Background(np.linspace(-0.5, 0.5, 50, dtype=np.float32), np.full(9, threshold, np.float32), 4)
    monkeypatch.setitem(library.derived, "background.npz", background)
    exact = search(library, query, gap_seconds=0.1)
    monkeypatch.setattr(nearest, "propose", propose)
    monkeypatch.setattr(nearest, "_NUM_PROPOSED", 12)
    monkeypatch.setattr(library, "num_probes", 1)
    by_index = search(library, query, gap_seconds=0.1)
    best = np.argsort(-(embeddings.vectors @ query.vector))[:12]
    proposed = {embeddings.sources[number] for number in embeddings.source_indices[best]}  # are compared completely
    expected = [one.moment for one in exact.matches if one.moment.source in proposed]
    assert len(proposed) > 1
    assert [one.moment for one in by_index.matches] == expected
