"""Several processes on one library at once, again and again: each round ends with the rows of one that was left alone.

    python benchmarks/two_writers.py --rounds 50      # some ten seconds a round, on two cores

A round: two `firstsight index` on folders that overlap; then `index --reindex` beside an `index` of more, with another
encoder; a search beside all of them. Whoever finds another one writing is told so in one line and begins again. At the
end sources, frames, times and vectors are those of one clean run, there is nothing twice and nothing left over, and
`firstsight library check` calls it whole.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import firstsight
from firstsight.retrieval.store.library import Library
from firstsight.video.encoding import VideoWriter

_IS_WRITTEN_TO = "being written to by another process"
_IS_ANOTHER = "open it again"  # embedded anew between opening it and writing to it
_MAX_TRIES = 500
Rows = tuple[tuple[str, ...], bytes, bytes, bytes, tuple[int, ...]]


def main() -> None:
    """The command line."""
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
    """One process after the other."""
    library, walks = root / "clean", root / "walks"
    run("index", library, walks / "a", walks / "b", "--model", root / "one", "--every", "2")
    run("index", library, "--reindex", "--model", root / "other")
    run("index", library, walks / "c")
    return rows_of(library)


def is_as_expected(root: Path, number: int, expected: Rows) -> bool:
    """A round."""
    begin, library, walks = time.monotonic(), root / f"round-{number}", root / "walks"
    run("index", library, walks / "a" / "0.mp4", "--model", root / "one", "--every", "2")
    troubles: list[str] = []
    is_over = threading.Event()
    searching = threading.Thread(target=search_until, args=(library, walks / "a" / "0.mp4", is_over, troubles))
    searching.start()
    num_refused = beside([["index", library, walks / "a", walks / "b"], ["index", library, walks / "b", walks / "a"]])
    again = ["index", library, "--reindex", "--model", root / "other"]
    num_refused += beside([again, ["index", library, walks / "c"]])
    is_over.set()
    searching.join()
    same = rows_of(library) == expected
    checked = subprocess.run(command("library", "check", library), capture_output=True, text=True, check=False)
    is_whole = checked.returncode == 0 and "twice" not in checked.stdout and "of no source" not in checked.stdout
    result = "the rows of one clean run" if same else "OTHER ROWS"
    remarks = "" if is_whole else f"; NOT WHOLE: {checked.stdout} {checked.stderr}"
    remarks += "".join(f"; SEARCH: {trouble}" for trouble in troubles)
    print(
        f"round {number + 1}: {result}, {num_refused} refusals, {time.monotonic() - begin:.1f} s{remarks}", flush=True
    )
    return same and is_whole and not troubles


def beside(commands: Sequence[Sequence[str | Path]]) -> int:
    """Runs commands at once, each again as long as another process is writing; how often that was so."""
    refused: list[int] = []
    threads = [threading.Thread(target=lambda one=one: refused.append(run(*one))) for one in commands]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == len(commands), "a command failed"
    return sum(refused)


def run(*arguments: str | Path) -> int:
    """Runs `firstsight`, again as long as another process is writing; how often that was so."""
    for tries in range(_MAX_TRIES):
        ran = subprocess.run(command(*arguments), env=environment(), capture_output=True, text=True, check=False)
        if ran.returncode == 0:
            return tries
        if _IS_WRITTEN_TO not in ran.stderr and _IS_ANOTHER not in ran.stderr:
            raise RuntimeError(f"{arguments}: {ran.returncode} {ran.stderr}")
        time.sleep(0.05)
    raise RuntimeError(f"{arguments}: another process was writing {_MAX_TRIES} times")


def search_until(library: Path, picture: Path, is_over: threading.Event, troubles: list[str]) -> None:
    """Opens the library as a search does, reads all that it shows, and says where that does not hold together."""
    while not is_over.is_set():
        try:
            with Library.open(library) as opened:
                found = opened.embeddings()
                frames = [(found.source_of(row), int(found.frame_indices[row])) for row in range(len(found))]
                opened.thumbnails(frames)
                if len(found) != opened.num_frames or len(set(frames)) != len(frames):
                    troubles.append(f"{len(found)} frames of {opened.num_frames}, {len(set(frames))} of them different")
        except firstsight.FirstsightError as error:
            troubles.append(str(error))
        ran = subprocess.run(
            command("search", library, f"{picture}@1", "--json"),
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            troubles.append(ran.stderr)


def rows_of(library: Path) -> Rows:
    """All that a library holds, and how many rows its tables have, to compare."""
    with Library.open(library) as opened:
        found = opened.embeddings()
        columns = (found.vectors, found.seconds, found.frame_indices * len(found.sources) + found.source_indices)
        rows = tuple(
            table.count_rows() for table in (opened.tables.frames, opened.tables.thumbnails, opened.tables.sources)
        )
        return found.sources, *(np.ascontiguousarray(column).tobytes() for column in columns), rows  # type: ignore[return-value]


def command(*arguments: str | Path) -> list[str]:
    """`firstsight` in a process of its own, of the package that runs this."""
    return [sys.executable, "-c", "from firstsight.cli.main import main; main()", *map(str, arguments)]


def environment() -> dict[str, str]:
    """One thread each."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}


if __name__ == "__main__":
    main()
