"""A frame that the library holds is searched for by what is stored of it: the same answer, and no PyTorch."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from library_made import layout_encoder, small_encoder, write_video, write_videos

from firstsight.errors import LibraryError
from firstsight.indexing.index_files import add
from firstsight.library.store import Store
from firstsight.searching.decoys import background_of
from firstsight.searching.query import read_anchors, read_query, stored_anchors, stored_query
from firstsight.searching.search import search


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_videos(tmp_path_factory.mktemp("clips"), 3)


@pytest.fixture(scope="module", params=["cells", "vectors alone"])
def library(request: pytest.FixtureRequest, clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    encoder = layout_encoder() if request.param == "cells" else small_encoder()
    with Store.create(tmp_path_factory.mktemp("made") / "library", encoder, every=5) as library:
        add(library, [clips])
        background_of(library)
        yield library


@pytest.fixture
def unloaded(library: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The same library, whose encoder cannot be loaded."""
    with Store.open(library.path) as again:
        monkeypatch.setattr(Store, "_load_encoder", lambda _: pytest.fail("the encoder is loaded"))
        yield again


def test_the_answer_is_that_of_the_encoder(library: Store, unloaded: Store, clips: Path) -> None:
    moment = f"{clips / '1.mp4'}@1.6"
    computed = search(library, read_query(moment, library.encoder), k=5, nearest=True)
    stored = search(unloaded, stored_query(moment, unloaded), k=5, nearest=True)
    assert stored.threshold == computed.threshold
    assert stored.nearest.is_query
    both = zip((*stored.matches, *stored.below), (*computed.matches, *computed.below), strict=True)
    for one, other in both:
        assert (one.source, one.seconds) == (other.source, other.seconds)
        assert one.similarity == pytest.approx(other.similarity, abs=0.005)


def test_an_anchor_is_read_from_the_library_too(library: Store, unloaded: Store, clips: Path) -> None:
    moment = f"{clips / '2.mp4'}@0.4"
    (stored,), (computed,) = stored_anchors(moment, unloaded).values(), read_anchors(moment, library.encoder).values()
    np.testing.assert_allclose(stored, computed, atol=2e-3)


def test_what_is_not_in_the_library_is_embedded(library: Store, clips: Path, tmp_path: Path) -> None:
    for name, seconds in (("1.mp4", 1.64), ("other.mp4", 1.6), ("changed.mp4", 1.6)):
        path = clips / name if name == "1.mp4" else write_video(tmp_path / name, seed=9, num_frames=60)
        moment = f"{path}@{seconds}"
        stored, computed = stored_query(moment, library), read_query(moment, library.encoder)
        assert len(stored.frame.pictures) == 2, name
        np.testing.assert_array_equal(stored.vector, computed.vector)


def test_a_file_that_has_changed_is_embedded_again(clips: Path, tmp_path: Path) -> None:
    video = Path(shutil.copy(clips / "1.mp4", tmp_path))
    with Store.create(tmp_path / "library", small_encoder(), every=5) as library:
        add(library, [video])
        before = stored_query(f"{video}@1.6", library)
        write_video(video, seed=9)
        after, computed = stored_query(f"{video}@1.6", library), read_query(f"{video}@1.6", library.encoder)
    assert (len(before.frame.pictures), len(after.frame.pictures)) == (1, 2)
    np.testing.assert_array_equal(after.vector, computed.vector)


def test_another_encoder_in_the_folder_is_noticed(clips: Path, tmp_path: Path) -> None:
    with Store.create(tmp_path / "library", layout_encoder(), every=5) as library:
        add(library, [clips / "1.mp4"])
        layout_encoder(seed=1).save(library.path / library.config.model)
    with Store.open(tmp_path / "library") as library, pytest.raises(LibraryError, match="holds encoder"):
        search(library, stored_query(f"{clips / '1.mp4'}@1.6", library))


IN_PYTHON = """
import sys, firstsight
with firstsight.Library.open(sys.argv[1]) as library:
    assert library.search(sys.argv[2]).nearest.is_query
    assert library.nearest(sys.argv[2], k=2).frames
"""
AS_COMMAND = """
import sys
from firstsight.cli.main import app
app(["search", *sys.argv[1:]], standalone_mode=False)
"""


def test_pytorch_is_not_loaded(library: Store, clips: Path) -> None:
    nothing = "assert 'torch' not in sys.modules\nassert 'matplotlib' not in sys.modules"
    checked = "\n".join([IN_PYTHON, nothing, AS_COMMAND, nothing])
    command = [sys.executable, "-c", checked, str(library.path), f"{clips / '1.mp4'}@1.6"]
    subprocess.run(
        command, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
