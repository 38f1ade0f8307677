"""Runs and libraries of an earlier version, kept as that version wrote them: they are read, and mean the same."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from firstsight import Encoder
from firstsight.errors import LibraryError
from firstsight.indexing.index_files import add, remove
from firstsight.learning.learn import resume
from firstsight.library.store import Store
from firstsight.searching.query import read_query
from firstsight.searching.search import search

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    with np.load(GOLDEN / "expected.npz") as kept:
        return {**kept, **json.loads((GOLDEN / "expected.json").read_text())}


@pytest.fixture
def library(tmp_path: Path) -> Store:
    return Store.open(shutil.copytree(GOLDEN / "walks.library", tmp_path / "walks.library"))


def test_an_encoder_of_the_default_method_sees_the_same(library: Store, expected: dict[str, Any]) -> None:
    encoder = library.encoder
    assert encoder.fingerprint == expected["default_fingerprint"]
    inputs = encoder.view.apply(expected["frames"])
    # Kept by a processor with bfloat16, which others emulate.
    np.testing.assert_allclose(encoder.encode(inputs, precision="bfloat16"), expected["default"], atol=1e-4)


def test_an_encoder_of_the_article_sees_the_same(expected: dict[str, Any]) -> None:
    encoder = Encoder.load(GOLDEN / "run-article")
    assert encoder.fingerprint == expected["article_fingerprint"]
    inputs = encoder.view.apply(expected["frames"])
    np.testing.assert_allclose(encoder.encode(inputs), expected["article"], atol=1e-5)


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    run = shutil.copytree(GOLDEN / "run-interrupted", tmp_path / "run")
    config = json.loads((run / "config.json").read_text())
    config["provenance"]["footage"]["paths"] = [str(GOLDEN / "clips" / "walk-1.mp4")]
    (run / "config.json").write_text(json.dumps(config))

    def stop(progress: Any) -> None:
        if progress.done >= 70:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        resume(run, progress=stop)
    frames = [json.loads(line)["frame"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert frames[:3] == [20, 40, 60]


def test_a_library_has_its_frames(library: Store, expected: dict[str, Any]) -> None:
    assert [source.name for source in library.sources] == expected["sources"]
    frames = library.embeddings()
    np.testing.assert_array_equal(frames.seconds, expected["seconds"])
    np.testing.assert_array_equal(frames.frame_indices, expected["frame_indices"])
    np.testing.assert_array_equal(frames.source_indices, expected["source_indices"])
    np.testing.assert_array_equal(frames.vectors.astype(np.float16), expected["vectors"])
    assert len(library.thumbnails([("walk-1.mp4", int(frames.frame_indices[1]))])[0]) > 500


def test_a_library_is_searched(library: Store) -> None:
    result = search(library, read_query(f"{GOLDEN / 'clips' / 'walk-1.mp4'}@3", library.encoder))
    assert result.matches[0].source == "walk-1.mp4"
    assert result.matches[0].seconds == 3.0


def test_a_library_is_filled_further(library: Store, tmp_path: Path) -> None:
    """The walk is known by its content, and is where it is now."""
    clip = shutil.copy(GOLDEN / "clips" / "walk-1.mp4", tmp_path / "moved.mp4")
    outcome = add(library, [clip])
    assert (outcome.moved, outcome.num_frames) == (["moved.mp4"], 0)
    assert library.num_frames == 44
    remove(library, ["moved.mp4"])
    assert library.num_frames == 28
    with pytest.raises(LibraryError, match="walk-1"):
        remove(library, ["walk-1.mp4"])
