"""A search by the index finds what comparing every frame finds, where few frames match and where many do."""

from pathlib import Path

import numpy as np
import pytest
from library_made import Filled, filled, put, small_encoder, unit
from PIL import Image

from firstsight.footage.frames import Frame
from firstsight.footage.reference import FrameReference
from firstsight.library.selection import Where
from firstsight.library.set_apart import Part, set_apart
from firstsight.library.store import Store
from firstsight.library.vector_index import FACTS_FILE, build
from firstsight.searching import nearest as candidates
from firstsight.searching.calibration import Background
from firstsight.searching.nearest import compare_all, compare_proposed
from firstsight.searching.query import Query
from firstsight.searching.search import SearchResult, part_of_query, search


@pytest.fixture(autouse=True)
def _few_proposed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "_NUM_PROPOSED", 120)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    made = filled(tmp_path_factory.mktemp("indexed") / "library", {f"{number}.mp4": 120 for number in range(10)})
    build(made.library.tables, num_groups=12)
    made.library.refresh()
    return made


def asked(made: Filled, vector: np.ndarray, *, threshold: float, **options: object) -> SearchResult:
    picture = made.library.path / "query.png"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(picture)
    made.library.derived["background.npz"] = Background(
        np.linspace(0, 0.5, 50, dtype=np.float32), np.full(100, threshold, np.float32), num_sources=10
    )
    frame = Frame((np.zeros((8, 8, 3), np.uint8),) * 2, 0.0, 0, "query.png", (8, 8))
    return search(made.library, Query(FrameReference(picture, None), frame, vector.astype(np.float32)), **options)


def exactly(made: Filled, vector: np.ndarray, **options: object) -> SearchResult:
    file = made.library.tables.folder / FACTS_FILE
    facts = file.read_bytes()
    file.unlink()
    made.library.refresh()
    try:
        return asked(made, vector, **options)
    finally:
        file.write_bytes(facts)
        made.library.refresh()


def shown(result: SearchResult) -> list[tuple]:
    return [(one.moment, round(one.false_match_probability, 6)) for one in result.matches]


@pytest.mark.parametrize("row", [3, 250, 777, 1199])
def test_where_few_match(made: Filled, row: int) -> None:
    query = unit(made.vectors[row] + 0.02 * np.random.default_rng(row).standard_normal(100))
    by_index = asked(made, query, threshold=0.8)
    assert by_index.is_complete
    assert by_index.matches
    assert shown(by_index) == shown(exactly(made, query, threshold=0.8))


@pytest.mark.parametrize("k", [1, 3])
def test_where_many_match_the_moments_have_their_true_ends(made: Filled, k: int) -> None:
    """All 120 frames of a source match, most of them not proposed."""
    centre = unit(made.vectors[:120].mean(axis=0))
    by_index = asked(made, centre, threshold=0.3, k=k)
    exact = exactly(made, centre, threshold=0.3, k=k)
    assert shown(by_index) == shown(exact)
    assert by_index.matches[0].moment.num_frames > 60
    assert by_index.num_matches <= exact.num_matches


def test_more_moments_than_the_best_sources_have_are_looked_for_everywhere(made: Filled) -> None:
    query = unit(made.vectors.mean(axis=0))
    by_index, exact = (how(made, query, threshold=-0.5, k=99) for how in (asked, exactly))
    assert by_index.is_complete
    assert shown(by_index) == shown(exact)
    assert by_index.num_matches == 10


def test_a_part_of_a_library_is_compared_frame_by_frame(made: Filled) -> None:
    query = made.vectors[5]
    where = Where(("3.mp4", "4.mp4"), end_seconds=20)
    result = asked(made, query, threshold=0.99, where=where, nearest=True, k=5)
    assert not result.matches
    assert {one.source for one in result.below} == {"3.mp4", "4.mp4"}
    assert (result.num_frames, result.num_sources) == (80, 2)
    assert result.is_complete


@pytest.mark.parametrize("num", [50, 70, 110])
def test_rows_that_are_not_shown_crowd_out_no_match(tmp_path: Path, num: int) -> None:
    """Of a video that is being indexed again there are so many rows beside those of before, 120 of which match."""
    made = filled(tmp_path / "library", {f"{number}.mp4": 120 for number in range(3)})
    query = unit(made.vectors[:120].mean(axis=0))
    near = unit(query + 0.02 * np.random.default_rng(0).standard_normal((num, 100)))
    put(made.library, "0.mp4", near, number=9, status="partial")
    build(made.library.tables, num_groups=4)
    made.library.refresh()
    by_index, exact = (how(made, query, threshold=0.4) for how in (asked, exactly))
    assert shown(by_index) == shown(exact)
    assert by_index.matches[0].moment.num_frames > 60


def test_scores_are_those_of_the_stored_vectors(made: Filled) -> None:
    query = made.vectors[40].astype(np.float32)
    proposed = compare_proposed(made.library, query, threshold=0.9, num_sources=3)
    everything = compare_all(made.library, query)
    assert proposed is not None
    were = np.isfinite(proposed.similarities)
    assert 0 < were.sum() <= 120
    np.testing.assert_allclose(proposed.similarities[were], everything.similarities[were], atol=1e-6)


def test_without_an_index_there_is_no_proposal(tmp_path: Path) -> None:
    made = filled(tmp_path / "library", {"a.mp4": 20})
    assert compare_proposed(made.library, made.vectors[0], threshold=0.5, num_sources=1) is None


@pytest.mark.parametrize("k", [1, 2, 9])
def test_what_was_set_apart_keeps_nothing_else_from_being_found(
    tmp_path: Path, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four sources of one view, each further from it; the two nearest are not the same, somebody has said."""
    monkeypatch.setattr(candidates, "_NUM_PROPOSED", 120)
    random, library = np.random.default_rng(0), Store.create(tmp_path / "library", small_encoder())
    view = random.standard_normal(library.dim)
    for number in range(4):
        vectors = unit(view + (0.1 + 0.05 * number) * random.standard_normal((120, library.dim)))
        put(library, f"{number}.mp4", vectors, number=number + 1)
    library.refresh()
    build(library.tables, num_groups=4)
    library.refresh()
    made = Filled(library, np.empty(0), np.empty(0), np.empty(0), np.empty(0))
    asked_for = part_of_query(asked(made, unit(view), threshold=0.8).query)
    for source in library.sources[:2]:
        set_apart(library.path, asked_for, Part(source.content, name=source.name))
    by_index, exact = (how(made, unit(view), threshold=0.8, k=k) for how in (asked, exactly))
    assert [one.source for one in by_index.matches] == ["2.mp4", "3.mp4"][:k]
    assert shown(by_index) == shown(exact)
