"""A million vectors: how long a search takes, what it finds, what the index costs; beside NumPy and faiss.

    python benchmarks/search.py                  # about fifteen minutes on two cores; faiss-cpu has to be installed
    python benchmarks/search.py --rows 200000

The vectors are frames of walks: a scene has a place, a shot wanders about it, and neighbouring frames are alike, as
real embeddings are. Vectors without structure would make every index look bad. They fill a library, which is opened and
searched as users do: by `search` from Python, with the query embedded beforehand, and by `firstsight search` as a whole
process. Every method answers the same queries in the same run, in a process of its own; recall is measured against the
ten most similar of all. Thresholds and scores by the index are held against those of comparing every frame.
Writes benchmarks/results/search.json.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine
from numpy.typing import NDArray
from peak_memory import peak_megabytes
from PIL import Image

from firstsight.article.model import ArticleModel
from firstsight.article.network import Network
from firstsight.article.settings import article_levels
from firstsight.encoder.encoder import Encoder
from firstsight.encoder.model import CentralSquare
from firstsight.footage.frames import Frame
from firstsight.footage.reference import FrameReference
from firstsight.library import vector_index as library_index
from firstsight.library.records import FrameRows, SourceRecord
from firstsight.library.store import Store
from firstsight.library.thumbnails import as_jpeg
from firstsight.searching.nearest import compare_all, compare_proposed
from firstsight.searching.query import Query
from firstsight.searching.search import search

RESULTS = Path(__file__).parent / "results" / "search.json"
_DIM, _SHOT, _SHOTS_A_SCENE = 128, 100, 20
_NUM_QUERIES, _K = 100, 10
_BATCH = 50_000
_SLOW_STEP = 5  # where every frame is compared, every fifth query is asked
Vectors = NDArray[np.float32]
Search = Callable[[Vectors], "Answer"]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--one", choices=METHODS, help="measure one method in this process, and print it as JSON")
    parser.add_argument("--folder", type=Path, help="where the vectors lie, or are to be kept")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measured(arguments.one, arguments.folder)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.folder or Path(name)
        if not (folder / "walks.library").exists():
            make(folder, arguments.rows)
        rows = [in_own_process(method, folder) for method in METHODS]
        command_line = by_command_line(folder)
    exact, indexed = np.array(rows[0]["answers"]), np.array(rows[1]["answers"])[::_SLOW_STEP]
    print("| | query p50, ms | p95, ms | recall@10 | to build, s | peak memory, MB |\n|---|---|---|---|---|---|")
    for row in rows:
        del row["answers"]
        cells = (row[key] for key in ("p50_ms", "p95_ms", "recall_at_10", "build_seconds", "peak_mb"))
        print(f"| {row['method']} | {' | '.join(f'{cell:.3g}' for cell in cells)} |", flush=True)
    off = np.abs(exact - indexed).max(axis=0)
    print(f"by the index and by comparing every frame: thresholds differ by {off[0]:.1e}, best scores by {off[1]:.1e}")
    print(f"firstsight search, a whole process: {command_line:.2f} s")
    kept = {"num_rows": arguments.rows, "dim": _DIM, "methods": rows, "command_line_seconds": command_line}
    RESULTS.write_text(json.dumps({**kept, "machine": machine()}, indent=1) + "\n")


def walks(num_rows: int, generator: np.random.Generator) -> Iterator[Vectors]:
    """Unit vectors (shot, dim), shot after shot."""
    spread = np.arange(1, _DIM + 1) ** -0.35  # as the variances of an embedding that is half whitened fall
    for number in range(-(-num_rows // _SHOT)):
        if number % _SHOTS_A_SCENE == 0:
            scene = generator.normal(size=_DIM) * spread
        shot = scene + 0.7 * generator.normal(size=_DIM) * spread
        steps = generator.normal(size=(_SHOT, _DIM)) * spread * 0.12
        frames = shot + np.cumsum(steps, axis=0) + generator.normal(size=(_SHOT, _DIM)) * spread * 0.15
        yield (frames / np.linalg.norm(frames, axis=1, keepdims=True)).astype(np.float32)


def make(folder: Path, num_rows: int) -> None:
    """Vectors, queries (a frame seen a little differently), and the right answers."""
    vectors = np.concatenate(list(walks(num_rows, np.random.default_rng(0))))[:num_rows].astype(np.float16)
    generator = np.random.default_rng(1)
    chosen = vectors[generator.choice(num_rows, _NUM_QUERIES, replace=False)].astype(np.float32)
    queries = chosen + generator.normal(size=chosen.shape).astype(np.float32) * 0.25 / _DIM**0.5
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    best = np.concatenate([queries @ part.astype(np.float32).T for part in np.array_split(vectors, 20)], axis=1)
    np.save(folder / "vectors.npy", vectors)
    np.save(folder / "queries.npy", queries)
    np.save(folder / "answers.npy", -np.partition(-best, _K - 1, axis=1)[:, _K - 1])
    fill(folder / "walks.library", vectors)


def by_command_line(folder: Path) -> float:
    """Seconds of `firstsight search` for a picture, the median of three."""
    command = [sys.executable, "-c", "from firstsight.cli.main import main; main()", "search"]
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        subprocess.run([*command, folder / "walks.library", folder / "picture.png"], check=True, capture_output=True)
        seconds.append(time.perf_counter() - begin)
    return float(np.median(seconds))


@dataclass(frozen=True)
class Answer:
    """The rows most like a query; of the library also where a match begins, and the score of the best moment."""

    rows: Callable[[], NDArray[np.int64]]
    threshold: float = 0.0
    score: float = 0.0


def measured(method: str, folder: Path) -> dict[str, Any]:
    """One method over all queries."""
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    step = _SLOW_STEP if method == next(iter(METHODS)) else 1
    queries, least = (np.load(folder / name)[::step] for name in ("queries.npy", "answers.npy"))
    begin = time.perf_counter()
    search = METHODS[method](vectors, folder)
    built = time.perf_counter() - begin
    begin = time.perf_counter()
    search(queries[0])
    first = time.perf_counter() - begin
    seconds, found, answers = [], 0, []
    for query, tenth in zip(queries, least, strict=True):
        begin = time.perf_counter()
        answer = search(query)
        seconds.append(time.perf_counter() - begin)
        found += int((vectors[np.sort(answer.rows())].astype(np.float32) @ query >= tenth - 1e-4).sum())
        answers.append((answer.threshold, answer.score))
    return {
        "method": method,
        "p50_ms": 1000 * float(np.median(seconds)),
        "p95_ms": 1000 * float(np.quantile(seconds, 0.95)),
        "first_ms": 1000 * first,
        "recall_at_10": found / (_K * len(queries)),
        "build_seconds": built,
        "peak_mb": peak_megabytes(),
        "answers": answers,
    }


def fill(folder: Path, vectors: Vectors) -> None:
    """A library of those vectors, a shot a source; its pictures are noise, its encoder has not learned."""
    levels = article_levels(num_levels=2, maps=8, hidden_maps=8)
    encoder = Encoder(ArticleModel(CentralSquare(48, 28), Network(levels, input_size=28, seed=0)))
    library = Store.create(folder, encoder, every=1)
    random = np.random.default_rng(0)
    jpegs = [as_jpeg(random.integers(0, 255, (12, 16, 3), np.uint8)) for _ in range(100)]
    for start in range(0, len(vectors), _BATCH):
        some = np.asarray(vectors[start : start + _BATCH], np.float32)
        shots = [(start + row, some[row : row + _SHOT]) for row in range(0, len(some), _SHOT)]
        seconds = [number / 2 for number in range(_SHOT)]
        rows = [
            (first, FrameRows(shot, range(len(shot)), seconds[: len(shot)], jpegs[: len(shot)]))
            for first, shot in shots
        ]
        library.tables.add(rows)
        library.tables.put(
            [
                SourceRecord(
                    id=first,
                    name=f"{first:07d}.mp4",
                    path=Path("/nowhere", f"{first:07d}.mp4"),
                    content=f"{first:032d}",
                    num_bytes=1,
                    modified_ns=1,
                    frames_per_second=None,
                    every=1,
                    num_frames=len(shot),
                    duration_seconds=len(shot) / 2,
                    status="whole",
                )
                for first, shot in shots
            ]
        )
    library.tables.compact()
    library.tables.keep_up_indices()


def _library(_: Vectors, folder: Path, *, exact: bool) -> Search:
    """As a user has it from Python: opened, then asked."""
    library = Store.open(folder / "walks.library")
    if exact:
        (library.tables.folder / library_index.FACTS_FILE).unlink(missing_ok=True)
    else:
        library_index.keep_up(library.tables)
    library.refresh()
    path = folder / "picture.png"
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(path)
    frame = Frame((np.zeros((48, 64, 3), np.uint8),) * 2, 0.0, 0, "picture.png", (64, 48))

    def found(vector: Vectors) -> Answer:
        result = search(library, Query(FrameReference(path, None), frame, vector), k=_K)
        return Answer(
            lambda: nearest_rows(library, vector, result.threshold), result.threshold, result.nearest.similarity
        )

    return found


def nearest_rows(library: Store, vector: Vectors, least: float) -> NDArray[np.int64]:
    """The rows that a search saw as the nearest: sources are shots, in order of the rows."""
    compared = compare_proposed(library, vector, threshold=least, num_sources=_K + 1) or compare_all(library, vector)
    return np.argpartition(-compared.similarities, _K)[:_K]


def _numpy(vectors: Vectors, _: Path) -> Search:
    all_of_them = np.asarray(vectors, np.float32)

    def search(query: Vectors) -> Answer:
        rows = np.argpartition(-(all_of_them @ query), _K)[:_K]
        return Answer(lambda: rows)

    return search


def _faiss(vectors: Vectors, _: Path, *, kind: str) -> Search:
    import faiss

    index = faiss.index_factory(_DIM, kind, faiss.METRIC_INNER_PRODUCT)
    everything = np.asarray(vectors, np.float32)
    index.train(everything)
    index.add(everything)
    if kind != "Flat":
        index.nprobe = 16

    def search(query: Vectors) -> Answer:
        rows = index.search(query[None], _K)[1][0]
        return Answer(lambda: rows)

    return search


METHODS: dict[str, Callable[[Vectors, Path], Search]] = {
    "library, every frame compared": lambda vectors, folder: _library(vectors, folder, exact=True),
    "library, by its index": lambda vectors, folder: _library(vectors, folder, exact=False),
    "NumPy, all in memory": _numpy,
    "faiss Flat": lambda vectors, folder: _faiss(vectors, folder, kind="Flat"),
    "faiss IVF1000,Flat, 16 probes": lambda vectors, folder: _faiss(vectors, folder, kind="IVF1000,Flat"),
}


def in_own_process(method: str, folder: Path) -> dict[str, Any]:
    """So that its memory is its own."""
    command = [sys.executable, __file__, "--one", method, "--folder", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


if __name__ == "__main__":
    main()
