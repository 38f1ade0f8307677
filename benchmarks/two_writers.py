"""Several processes on one library at once, again and again: each round ends with the rows of one that was left alone.

    python benchmarks/two_writers.py --rounds 50      # some seconds a round

A round: two `firstsight index` on folders that overlap; then `index --reindex` beside an `index` of more, with another
encoder; a search beside all of them. Whoever finds another one writing is told so in one line and begins again. At the
end sources, frames, times and vectors are those of one clean run, there is nothing twice and nothing left over, and
`firstsight library check` calls it whole.
"""

import argparse
import contextlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import firstsight
from firstsight.cli.main import app
from firstsight.footage.encoding import VideoWriter
from firstsight.library.maintenance import check
from firstsight.library.store import Store
from firstsight.searching.query import read_query
from firstsight.searching.search import search

_IS_WRITTEN_TO = "being written to by another process"
_IS_ANOTHER = "open it again"  # embedded anew between opening it and writing to it
_MAX_TRIES = 2_000
_BETWEEN_SEARCHES_SECONDS = 0.05  # so that the writers get on
Rows = tuple[tuple[str, ...], bytes, bytes, bytes, tuple[int, ...]]


def main() -> None:
    """The command line."""
    os.environ.setdefault("LANCEDB_LOG", "error")  # it warns of every table that it is told to create
    if sys.argv[1:2] == ["--writer"]:
        print(index(*sys.argv[2:]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_clips(root / "walks")
        for name, clip in (("one", "0.mp4"), ("other", "1.mp4")):
            firstsight.learn(root / "walks" / "a" / clip, out=root / name)
        expected = clean_run(root)
        results = [is_as_expected(root, number, expected) for number in range(rounds)]
    print(f"{sum(results)} of {rounds} rounds ended with the {len(expected[0])} sources and the rows of one clean run")
    sys.exit(0 if all(results) else 1)


def make_clips(folder: Path) -> None:
    """Nine clips of 4 s in three folders, the last of the same content as the first."""
    for number in range(9):
        path = folder / "abc"[number // 3] / f"{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        ground = np.random.default_rng(number % 8).integers(60, 120, (48, 64, 3), dtype=np.uint8)
        with VideoWriter(path, size=(64, 48)) as writer:
            for index in range(100):
                frame = ground.copy()
                x, y = int(24 + 20 * np.sin(number % 8 + index / 9)), int(18 + 14 * np.cos(index / 7))
                frame[y : y + 10, x : x + 10] = (250, 200, 40 + index % 200)
                writer.write(frame, seconds=index / 25)


def clean_run(root: Path) -> Rows:
    """One after the other."""
    library, walks = root / "clean", root / "walks"
    index(library, walks / "a", walks / "b", "--model", root / "one", "--every", "2")
    index(library, "--reindex", "--model", root / "other")
    index(library, walks / "c")
    return rows_of(library)


def is_as_expected(root: Path, number: int, expected: Rows) -> bool:
    """A round."""
    begin, library, walks = time.monotonic(), root / f"round-{number}", root / "walks"
    index(library, walks / "a" / "0.mp4", "--model", root / "one", "--every", "2")
    seen = Seen()
    searching = threading.Thread(target=search_until_over, args=(library, walks / "a" / "0.mp4", seen))
    searching.start()
    num_refused = beside([[library, walks / "a", walks / "b"], [library, walks / "b", walks / "a"]])
    num_refused += beside([[library, "--reindex", "--model", root / "other"], [library, walks / "c"]])
    seen.is_over.set()
    searching.join()
    same, checked = rows_of(library) == expected, check(library)
    troubles = [*checked.damages, *checked.remarks, *seen.troubles]
    result = "the rows of one clean run" if same else "OTHER ROWS"
    numbers = f"{num_refused} refusals, {seen.num_searches} searches, {time.monotonic() - begin:.1f} s"
    print(f"round {number + 1}: {result}, {numbers}", *troubles, sep="\n  TROUBLE: ", flush=True)
    shutil.rmtree(library)
    return same and not troubles


def beside(arguments: Sequence[Sequence[str | Path]]) -> int:
    """Runs `index` in a process for each, at once; how often one was refused because another was writing."""
    writers = [
        subprocess.Popen(
            [sys.executable, __file__, "--writer", *map(str, some)],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for some in arguments
    ]
    told = [writer.communicate() for writer in writers]
    for writer, (_, errors) in zip(writers, told, strict=True):
        if writer.returncode:
            raise RuntimeError(errors)
    return sum(int(out) for out, _ in told)


def index(*arguments: str | Path) -> int:
    """`firstsight index`, again as long as another process is writing; how often that was so."""
    for tries in range(_MAX_TRIES):
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                app(["index", *map(str, arguments)], standalone_mode=False)
        except firstsight.FirstsightError as error:
            if not any(words in str(error) for words in (_IS_WRITTEN_TO, _IS_ANOTHER)):
                raise
            time.sleep(0.05)
        else:
            return tries
    raise RuntimeError(f"{arguments}: another process was writing {_MAX_TRIES} times")


@dataclass
class Seen:
    """What searching found beside those who write."""

    is_over: threading.Event = field(default_factory=threading.Event)
    num_searches: int = 0
    troubles: list[str] = field(default_factory=list)


def search_until_over(library: Path, picture: Path, seen: Seen) -> None:
    """Opens the library, reads all that it shows and searches it; notes where that does not hold together."""
    while not seen.is_over.is_set():
        try:
            with Store.open(library) as opened:
                found = opened.embeddings()
                frames = [(found.source_of(row), int(found.frame_indices[row])) for row in range(len(found))]
                opened.thumbnails(frames)
                if not len(found) == opened.num_frames == len(set(frames)):
                    seen.troubles.append(
                        f"{len(found)} frames of {opened.num_frames}, {len(set(frames))} different ones"
                    )
                search(opened, read_query(f"{picture}@1", opened.encoder))
                seen.num_searches += 1
            time.sleep(_BETWEEN_SEARCHES_SECONDS)
        except firstsight.FirstsightError as error:
            # Who has opened it just before it was exchanged loads the encoder that is there now.
            if _IS_ANOTHER not in str(error):
                seen.troubles.append(str(error))


def rows_of(library: Path) -> Rows:
    """All that a library holds, and how many rows its tables have, to compare."""
    with Store.open(library) as opened:
        found, tables = opened.embeddings(), opened.tables
        columns = (found.vectors, found.seconds, found.frame_indices * len(found.sources) + found.source_indices)
        rows = tuple(table.count_rows() for table in (tables.frames, tables.thumbnails, tables.sources))
        return found.sources, *(np.ascontiguousarray(column).tobytes() for column in columns), rows  # type: ignore[return-value]


if __name__ == "__main__":
    main()
