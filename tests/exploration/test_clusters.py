"""Clusters of made vectors: as many as were made, each with its moments."""

from itertools import pairwise
from pathlib import Path

import pytest
from library_made import Filled, filled, small_encoder

from firstsight.errors import LibraryError, SettingsError
from firstsight.exploration.clusters import find_clusters
from firstsight.library.store import Store

SIZES = {"a.mp4": 40, "b.mp4": 80, "c.mp4": 20, "d.mp4": 60}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    return filled(tmp_path_factory.mktemp("made") / "library", SIZES)


def test_as_many_groups_as_were_made_the_largest_first(made: Filled) -> None:
    found = find_clusters(made.library)
    assert [one.sources for one in found.clusters] == [
        (("b.mp4", 80),),
        (("d.mp4", 60),),
        (("a.mp4", 40),),
        (("c.mp4", 20),),
    ]
    assert [one.share for one in found.clusters] == pytest.approx([0.4, 0.3, 0.2, 0.1])
    assert (found.num_frames, found.silhouette > 0.3) == (200, True)


def test_a_group_says_when_it_is_to_be_seen(made: Filled) -> None:
    for cluster in find_clusters(made.library).clusters:
        (moment,) = cluster.moments
        assert moment.source == cluster.exemplar_source
        assert (moment.start_seconds, moment.end_seconds) == (0, SIZES[moment.source] / 2)
        assert cluster.exemplar_frame_index == 24 * cluster.exemplar_seconds


def test_the_number_can_be_said(made: Filled) -> None:
    assert len(find_clusters(made.library, 2).clusters) == 2
    (everything,) = find_clusters(made.library, 1).clusters
    assert (everything.num_frames, everything.silhouette, everything.is_mixed) == (200, None, False)


def test_a_frame_a_group_is_mixed_with_nothing(tmp_path: Path) -> None:
    made = filled(tmp_path / "library", {"a.mp4": 3, "b.mp4": 3})
    found = find_clusters(made.library, 6)
    assert found.silhouette is None
    assert [(one.silhouette, one.is_mixed) for one in found.clusters] == [(None, False)] * 6


def test_no_moment_reaches_into_one_of_another_group(made: Filled) -> None:
    """Of groups finer than sources: frames of one source take turns."""
    moments = [one for cluster in find_clusters(made.library, 30).clusters for one in cluster.moments]
    for source in SIZES:
        spans = sorted((one.start_seconds, one.end_seconds) for one in moments if one.source == source)
        assert all(before[1] <= after[0] for before, after in pairwise(spans))
    assert sum(one.num_frames for one in moments) == 200


def test_the_same_library_gives_the_same_groups(made: Filled) -> None:
    assert find_clusters(made.library) == find_clusters(made.library)


def test_what_cannot_be_grouped_is_an_error(made: Filled, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="0 groups of 200"):
        find_clusters(made.library, 0)
    with pytest.raises(SettingsError, match="valid are 1 to 200"):
        find_clusters(made.library, 201)
    with pytest.raises(LibraryError, match="0 frames that show anything"):
        find_clusters(Store.create(tmp_path / "empty", small_encoder()))
