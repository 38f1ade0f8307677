"""A million vectors: how long a search takes, what it finds, what the index costs; beside NumPy and faiss.

    python benchmarks/search.py                  # about ten minutes on two cores; faiss-cpu has to be installed
    python benchmarks/search.py --rows 200000

The vectors are frames of walks: a scene has a place, a shot wanders about it, and neighbouring frames are alike, as
real embeddings are. Vectors without structure would make every index look bad. The library is filled through its own
tables. Every method answers the same queries in the same run, in a process of its own; recall is measured against the
ten most similar of all. Writes benchmarks/results/search.json.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from peak_memory import peak_megabytes

from firstsight.device import describe_machine

RESULTS = Path(__file__).parent / "results" / "search.json"
_DIM, _SHOT, _SHOTS_A_SCENE = 128, 100, 20
_NUM_QUERIES, _K = 100, 10
_BATCH = 50_000
Vectors = NDArray[np.float32]
Search = Callable[[Vectors], NDArray[np.int64]]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--one", choices=METHODS, help="measure one method in this process, and print it as JSON")
    parser.add_argument("--folder", type=Path, help="where the vectors lie")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measured(arguments.one, arguments.folder)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, arguments.rows)
        rows = [in_own_process(method, folder) for method in METHODS]
    print("| | query p50, ms | p95, ms | recall@10 | to build, s | peak memory, MB |\n|---|---|---|---|---|---|")
    for row in rows:
        cells = (row[key] for key in ("p50_ms", "p95_ms", "recall_at_10", "build_seconds", "peak_mb"))
        print(f"| {row['method']} | {' | '.join(f'{cell:.3g}' for cell in cells)} |", flush=True)
    kept = {"num_rows": arguments.rows, "dim": _DIM, "methods": rows, "machine": machine()}
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n")


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


def measured(method: str, folder: Path) -> dict[str, Any]:
    """One method over all queries."""
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    queries, least = np.load(folder / "queries.npy"), np.load(folder / "answers.npy")
    begin = time.perf_counter()
    search = METHODS[method](vectors, folder)
    built = time.perf_counter() - begin
    search(queries[0])
    seconds, found = [], 0
    for query, tenth in zip(queries, least, strict=True):
        begin = time.perf_counter()
        rows = search(query)
        seconds.append(time.perf_counter() - begin)
        found += int((vectors[np.sort(rows)].astype(np.float32) @ query >= tenth - 1e-4).sum())
    return {
        "method": method,
        "p50_ms": 1000 * float(np.median(seconds)),
        "p95_ms": 1000 * float(np.quantile(seconds, 0.95)),
        "recall_at_10": found / (_K * len(queries)),
        "build_seconds": built,
        "peak_mb": peak_megabytes(),
    }


def _library(vectors: Vectors, folder: Path, *, exact: bool) -> Search:
    from firstsight.retrieval.store import index as library_index
    from firstsight.retrieval.store.nearest import nearest
    from firstsight.retrieval.store.rows import FrameRows
    from firstsight.retrieval.store.tables import Tables

    tables = Tables.create(folder / f"library-{exact}", dim=_DIM)
    for start in range(0, len(vectors), _BATCH):
        some = np.asarray(vectors[start : start + _BATCH], np.float32)
        numbers = list(range(start, start + len(some)))
        tables.add([(0, FrameRows(some, numbers, [number / 2 for number in numbers], [b""] * len(some)))])
    facts = None if exact else library_index.build(tables)
    num_probes = facts.num_probes if facts else None

    def search(query: Vectors) -> NDArray[np.int64]:
        found = nearest(tables, query, k=_K, names={0: "walks"}, sql="", num_probes=num_probes)
        return np.array([row.frame_index for row in found.rows])

    return search


def _numpy(vectors: Vectors, _: Path) -> Search:
    all_of_them = np.asarray(vectors, np.float32)

    def search(query: Vectors) -> NDArray[np.int64]:
        return np.argpartition(-(all_of_them @ query), _K)[:_K]

    return search


def _faiss(vectors: Vectors, _: Path, *, kind: str) -> Search:
    import faiss

    index = faiss.index_factory(_DIM, kind, faiss.METRIC_INNER_PRODUCT)
    everything = np.asarray(vectors, np.float32)
    index.train(everything)
    index.add(everything)
    if kind != "Flat":
        index.nprobe = 16
    return lambda query: index.search(query[None], _K)[1][0]


METHODS: dict[str, Callable[[Vectors, Path], Search]] = {
    "library, exact": lambda vectors, folder: _library(vectors, folder, exact=True),
    "library, index": lambda vectors, folder: _library(vectors, folder, exact=False),
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


def machine() -> dict[str, Any]:
    """The machine, and the commit measured."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {**describe_machine(), "commit": commit.stdout.strip() or "not in a checkout"}


if __name__ == "__main__":
    main()
