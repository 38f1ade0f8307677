"""Shards of a video give the rows of reading it in one go; Ray embeds them, also when its workers die."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from library_made import layout_encoder
from make import numbers, write_video

from firstsight.errors import SettingsError
from firstsight.footage.container import Landing, OpenVideo, open_video
from firstsight.footage.encoding import VideoWriter
from firstsight.footage.sampling import Sampling
from firstsight.footage.videos import VideoFile, VideoFiles
from firstsight.indexing import on_ray
from firstsight.indexing.index_files import add, create
from firstsight.indexing.on_ray import Embedded, Task, check_engine, joined, shards_of
from firstsight.indexing.writer import EmbeddedBatch, ResumePointMissingError, embed_source
from firstsight.library.store import Store

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")


@pytest.fixture
def library(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "a.library", layout_encoder())


def uneven(path: Path) -> Path:
    """20 s with gaps, at uneven times."""
    seconds = np.random.default_rng(0).uniform(0.01, 0.9, 60).cumsum()
    pictures = np.random.default_rng(1).integers(0, 255, (60, 48, 64, 3), dtype=np.uint8)
    with VideoWriter(path, size=(64, 48)) as writer:
        for picture, second in zip(pictures, seconds, strict=True):
            writer.write(picture, seconds=float(second))
    return path


def rows_of(batches: list[EmbeddedBatch]) -> tuple[list[int], list[float], list[bytes], np.ndarray, np.ndarray]:
    """Indices, times, thumbnails, cells and vectors."""
    rows = [batch.rows for batch in batches if len(batch.rows)]
    return (
        [index for some in rows for index in some.frame_indices],
        [second for some in rows for second in some.seconds],
        [jpeg for some in rows for jpeg in some.jpegs],
        np.concatenate([some.layouts.packed for some in rows if some.layouts]),
        np.concatenate([some.vectors for some in rows]),
    )


@pytest.mark.parametrize("rate", [0.7, 7.3, 25])
@pytest.mark.parametrize("seconds", [1.3, 1000])
@pytest.mark.parametrize("is_even", [True, False])
def test_shards_give_the_rows_of_the_whole(
    library: Store, bikes: Path, tmp_path: Path, rate: float, seconds: float, is_even: bool
) -> None:
    path, sampling = bikes if is_even else uneven(tmp_path / "uneven.mkv"), Sampling(frames_per_second=rate)
    task = Task.of(library)
    source = VideoFiles("clip", (VideoFile(path, "clip", sampling),))
    at_once = embed_source(library.encoder, source, thumbnail_size=task.thumbnail_size, with_layouts=True)
    shards = shards_of(path, "clip", sampling, seconds=seconds)
    by_shards = joined((task.embed(shard) for shard in shards), dim=library.dim)
    own, others = rows_of(list(at_once)), rows_of(list(by_shards))
    assert others[:3] == own[:3]
    assert (others[3] != own[3]).mean() < 0.01  # a number of a cell may be rounded the other way
    assert np.abs(others[4] - own[4]).max() < 1e-4
    assert (len(shards) > 1) == (seconds < 1000)


@pytest.mark.parametrize("is_cut", [True, False])
def test_a_frame_that_is_lost_is_counted_once(library: Store, tmp_path: Path, is_cut: bool) -> None:
    """Each shard reads the one before it again, and one behind the end of what is cut off reads none of its own."""
    path = write_video(tmp_path / "a.mkv", numbers(60), codec="ffv1", options={"slicecrc": "1"})
    content, middle = path.read_bytes(), path.stat().st_size // 2
    path.write_bytes(content[:middle] if is_cut else content[:middle] + bytes(20_000) + content[middle + 20_000 :])
    task, sampling = Task.of(library), Sampling(frames_per_second=25)
    source = VideoFiles("clip", (VideoFile(path, "clip", sampling),))
    *_, at_once = embed_source(library.encoder, source, thumbnail_size=task.thumbnail_size)
    shards = shards_of(path, "clip", sampling, seconds=0.5)
    assert len(shards) > 1
    *_, by_shards = joined((task.embed(shard) for shard in shards), dim=library.dim)
    assert by_shards.num_skipped == at_once.num_skipped > 0


def test_an_end_that_a_header_makes_up_is_not_believed(bikes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def open_lying(path: Path, *, name: str) -> Iterator[OpenVideo]:
        with open_video(path, name=name) as video:
            video.end_seconds = 1e5
            yield video

    monkeypatch.setattr(on_ray, "open_video", open_lying)
    assert shards_of(bikes, "clip", Sampling(frames_per_second=2), seconds=2) == []
    monkeypatch.setattr(OpenVideo, "landing_near", lambda _, seconds: Landing(0, seconds))
    assert shards_of(bikes, "clip", Sampling(frames_per_second=2), seconds=2) == []
    monkeypatch.setattr(OpenVideo, "landing_near", lambda _, seconds: int(1e300).to_bytes(8))  # as PyAV of such ticks
    assert shards_of(bikes, "clip", Sampling(frames_per_second=2), seconds=2) == []


def test_a_long_one_whose_frames_are_counted_is_not_held_in_memory(
    bikes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_ray, "_MAX_FRAMES", 80)
    assert [len(shards_of(bikes, "clip", Sampling(every=every))) for every in (None, 2, 3, 4)] == [0, 0, 0, 1]


def test_what_is_counted_or_cannot_be_read_is_one_shard(bikes: Path, tmp_path: Path) -> None:
    assert len(shards_of(bikes, "clip", Sampling(every=3), seconds=1)) == 1
    (tmp_path / "empty.mp4").touch()
    assert len(shards_of(tmp_path / "empty.mp4", "empty", Sampling(frames_per_second=2), seconds=1)) == 1


def test_shards_that_do_not_join_are_read_again(library: Store, bikes: Path) -> None:
    first, second = (
        Task.of(library).embed(shard) for shard in shards_of(bikes, "clip", Sampling(frames_per_second=2), seconds=5.1)
    )
    assert second.before == (first.batches[0].rows.frame_indices[-1], first.batches[0].rows.seconds[-1])
    index, seconds = second.before
    for wrong in (Embedded(second.batches, (index + 1, seconds)), Embedded(second.batches), Embedded(reason="damaged")):
        with pytest.raises(ResumePointMissingError):
            list(joined(iter([first, wrong]), dim=library.dim))
    with pytest.raises(ResumePointMissingError):  # by a machine that has trouble of its own
        list(joined(iter([Embedded(reason="damaged"), second]), dim=library.dim))


def test_a_file_that_cannot_be_read_says_why(library: Store, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    found = Task.of(library).embed(shards_of(tmp_path / "text.mp4", "text.mp4", Sampling(frames_per_second=2))[0])
    assert found.reason.startswith("text.mp4")


@pytest.mark.parametrize("on", ["", "spark", "ray:", "rays"])
def test_another_engine_is_refused(library: Store, bikes: Path, on: str) -> None:
    with pytest.raises(SettingsError, match="valid are ray"):
        add(library, [bikes], on=on)


@needs_ray
def test_an_address_where_nothing_listens(bikes: Path, tmp_path: Path) -> None:
    assert check_engine("ray:auto") == "ray:auto"
    with pytest.raises(SettingsError, match=r"no Ray at 127\.0\.0\.1:1: .*ray start --head"):
        create(tmp_path / "b.library", [bikes], on="ray:127.0.0.1:1")
    assert not (tmp_path / "b.library").exists()


INDEX = """
import os, signal, sys
from contextlib import suppress
from functools import partial
from pathlib import Path
import firstsight
from firstsight.indexing import on_ray

if __name__ == "__main__":
    folder, *videos = sys.argv[1:]
    on_ray.shards_of = partial(on_ray.shards_of, seconds=4.0)
    killed = set()
    started = on_ray._started

    def speaking_at_its_end(address):
        ray = started(address)
        shutdown = ray.shutdown
        ray.shutdown = lambda: (print("(raylet) a worker died"), shutdown())
        return ray

    on_ray._started = speaking_at_its_end

    def kill(progress):  # the first worker that is seen
        for process in Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_bytes()
            except OSError:
                continue
            if command.startswith(b"ray::_embed") and not killed:
                with suppress(ProcessLookupError):
                    os.kill(int(process.name), signal.SIGKILL)
                    killed.add(process.name)

    with firstsight.Library.open(folder) as library:
        indexed = library.add(videos, frames_per_second=5, on="ray", progress=kill)
        print(len(killed), indexed.num_frames, len(indexed.failures))
"""


def rows_of_source(library: Store) -> list[tuple[int, float, np.ndarray]]:
    """Frame, time and vector of all rows, by source and time; vectors are stored in 16 bits."""
    frames = library.embeddings()
    return list(zip(frames.frame_indices.tolist(), frames.seconds.tolist(), frames.vectors, strict=True))


@needs_ray
@pytest.mark.skipif(not Path("/proc").exists(), reason="workers are found in /proc")
def test_ray_gives_the_same_library_though_its_workers_die(library: Store, bikes: Path, tmp_path: Path) -> None:
    library.close()
    videos = [bikes, uneven(tmp_path / "uneven.mkv"), tmp_path / "text.mp4"]
    videos[2].write_text("no video")
    with Store.create(tmp_path / "b.library", layout_encoder()) as other:
        add(other, videos, frames_per_second=5)
    script = tmp_path / "index.py"
    script.write_text(INDEX)
    ran = subprocess.run(
        [sys.executable, "-W", "error", script, tmp_path / "a.library", *videos],
        capture_output=True,
        text=True,
        env={**os.environ, "RAY_TMPDIR": str(tmp_path)[:40]},
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "(raylet) a worker died" in ran.stderr  # nor does it stand between what a program reads
    num_killed, num_frames, num_failed = map(int, ran.stdout.split())
    assert num_killed == 1
    assert num_failed == 1
    with Store.open(tmp_path / "a.library") as found, Store.open(tmp_path / "b.library") as other:
        for one, own in zip(found.sources, other.sources, strict=True):
            assert (one.name, one.num_frames) == (own.name, own.num_frames)
        rows = [rows_of_source(one) for one in (found, other)]
    assert num_frames == len(rows[0])
    assert [row[:2] for row in rows[0]] == [row[:2] for row in rows[1]]
    assert np.abs(np.stack([row[2] for row in rows[0]]) - np.stack([row[2] for row in rows[1]])).max() < 1e-3
