"""Kills the indexing of a folder (-9) at random moments, looks at what is left, indexes again, and compares the rows.

    python benchmarks/index_survival.py --kills 20 --data ../shared/data      # twenty minutes
    python benchmarks/index_survival.py --kills 10 --videos 6 --in-store      # needs the extras dev and s3

An interrupted library must open, say what is partial, and after another `firstsight index` hold the rows of one that
was left alone: sources, frames, times and vectors to the bit. With --in-store the footage and the libraries are in an
object store: on a server of S3's protocol, in this process, that refuses one request in twenty.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np

import firstsight
from firstsight.library.store import Store
from firstsight.object_store import to_path

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from object_store_made import BUCKET, Server, object_store_server

_NUM_WALKS = 30  # short videos, each whole within a batch of rows; the clips take several batches each
Rows = tuple[tuple[str, ...], bytes, bytes, bytes]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--videos", type=int, help="at most so many")
    parser.add_argument("--in-store", action="store_true")
    arguments = parser.parse_args()
    walks, clips = (sorted(arguments.data.glob(pattern)) for pattern in ("ie_tower/*.mp4", "clips/*.mp4"))
    videos = [*walks[:_NUM_WALKS], *clips][: arguments.videos]
    with tempfile.TemporaryDirectory() as folder, store(videos) if arguments.in_store else nullcontext() as server:
        place = f"s3://{BUCKET}" if server else folder
        model, whole = Path(folder, "model"), to_path(f"{folder}/whole")
        firstsight.learn(videos, out=model)
        index(whole, model, videos).wait()
        expected = rows_of(whole)
        given = [f"{place}/{path.name}" for path in videos] if server else videos
        begin = time.monotonic()
        index(to_path(f"{place}/timed"), model, given).wait()
        lasted = time.monotonic() - begin
        results = [
            survived(to_path(f"{place}/{number}"), model, given, expected, random.Random(number).uniform(0, lasted))
            for number in range(arguments.kills)
        ]
        if server:
            print(f"{server.num_refused} of {server.num_asked} requests were refused")
    print(f"{sum(results)} of {arguments.kills} libraries ended with the same {len(expected[0])} sources and rows")
    sys.exit(0 if all(results) else 1)


@contextmanager
def store(videos: list[Path]) -> Iterator[Server]:
    """An object store that has these videos."""
    with object_store_server() as server:
        for path in videos:
            server.put(path, path.name)
        yield server


def survived(library: Path, model: Path, videos: Sequence[Path | str], expected: Rows, moment: float) -> bool:
    """Whether indexing, killed at that moment and begun again, ends with those rows."""
    process = index(library, model, videos)
    time.sleep(moment)
    process.kill()
    process.wait()
    left = what_is_left(library)
    again = index(library, model, videos).wait()
    same = again == 0 and rows_of(library) == expected
    print(f"killed after {moment:.1f} s: {left}; again: {'the same rows' if same else 'OTHER ROWS'}", flush=True)
    return same


def what_is_left(library: Path) -> str:
    """What opening an interrupted library shows."""
    if not (library / "library.json").exists():
        return "no library yet"
    with Store.open(library) as opened:
        partial = [record.name for record in opened.partial_sources]
        shown = len(opened.embeddings())
        assert shown == opened.num_frames, "rows are shown that no whole source has"
        return f"{len(opened.sources)} sources whole with {shown} frames, partial: {', '.join(partial) or 'none'}"


def rows_of(library: Path) -> Rows:
    """All that a library holds, to compare."""
    with Store.open(library) as opened:
        found = opened.embeddings()
        assert np.isfinite(found.vectors).all()
        columns = (found.vectors, found.seconds, found.frame_indices * len(found.sources) + found.source_indices)
        return found.sources, *(np.ascontiguousarray(column).tobytes() for column in columns)  # type: ignore[return-value]


def index(library: Path, model: Path, videos: Sequence[Path | str]) -> subprocess.Popen[bytes]:
    """`firstsight index`, in a process of its own with one thread."""
    return subprocess.Popen(
        [Path(sys.executable).with_name("firstsight"), "index", library, *videos, "--model", model, "--every", "1"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    main()
