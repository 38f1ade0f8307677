"""An approximate index of a library's vectors: built, kept up to date, and its recall measured."""

import json
import math
import time
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import LibraryError, RunError, SettingsError
from firstsight.files import read_regular, write_atomically
from firstsight.from_json import from_json
from firstsight.library.damage import translated_errors
from firstsight.library.records import vectors_of
from firstsight.library.tables import Tables

FACTS_FILE = "index.json"
# With fewer rows comparing them all takes a few hundredths of a second.
MIN_ROWS = 50_000
# Not the dot product: lengths are 1 only to 16 bits, which would reorder near copies of a frame.
DISTANCE: Literal["cosine"] = "cosine"

_MAX_BYTES = 2**20  # of the facts; they have a few hundred
_K = 10  # nearest rows that the recall is measured on
_NUM_QUERIES = 100
_MIN_RECALL = 0.99
_MIN_PROBES = 16
_MAX_UNINDEXED = 0.1  # share of rows added since, which a search compares one by one, before the index is updated
_MAX_GROWTH = 2.0  # factor by which rows grow before the groups are rebuilt
_BATCH_ROWS = 8_192
_ROUNDS = 20  # of k-means; more hardly move the centres
_ROWS_A_GROUP = 64  # to find its centre
_ROUNDING = 1e-5  # by which the similarity of a pair depends on its batch


@dataclass(frozen=True)
class IndexFacts:
    """An index and its recall."""

    num_rows: int  # from which its groups were built
    num_groups: int
    num_probes: int  # groups that are searched
    recall_at_10: float  # share of the 10 nearest that it finds, 0 to 1
    num_queries: int  # of that measurement
    seconds: float  # to build it

    def describe(self) -> str:
        """For people."""
        return (
            f"by an index, {self.num_probes} of {self.num_groups} groups searched: finds "
            f"{100 * self.recall_at_10:.1f} % of the ten nearest, measured with {self.num_queries} frames"
        )


def read_facts(tables: Tables) -> IndexFacts | None:
    """The facts of the index; None without an index, or if they are damaged."""
    try:
        content = json.loads(read_regular(tables.folder / FACTS_FILE, max_bytes=_MAX_BYTES).decode())
        facts = from_json(IndexFacts, content, name=FACTS_FILE)
    except (OSError, ValueError, TypeError, RecursionError, SettingsError):
        return None  # missing or damaged: it is rebuilt
    is_sound = 1 <= facts.num_probes <= facts.num_groups and 0 <= facts.recall_at_10 <= 1
    return facts if is_sound else None


def keep_up(tables: Tables, *, min_rows: int = MIN_ROWS) -> IndexFacts | None:
    """Builds, updates and measures the index of a large library; None for a small one.

    Raises:
        LibraryError: the disk is full.
    """
    facts = read_facts(tables)
    num_rows = tables.frames.count_rows()
    if num_rows < min_rows:
        return None
    if facts is None or num_rows > _MAX_GROWTH * facts.num_rows:
        return build(tables)
    with translated_errors(tables.folder):
        stats = tables.frames.index_stats("vector_idx")
        if stats is None:
            return build(tables)
        if stats.num_unindexed_rows > _MAX_UNINDEXED * num_rows:
            tables.compact()
            return _measured(tables, facts)
    return facts


def build(tables: Tables, *, num_groups: int | None = None) -> IndexFacts:
    """Builds the index, and measures it.

    Args:
        tables: of the library.
        num_groups: by default the square root of the number of rows: finding groups and searching some cost about the
            same.

    Raises:
        LibraryError: the disk is full.
    """
    from lancedb.index import IvfFlat

    begin = time.monotonic()
    num_rows = tables.frames.count_rows()
    groups = num_groups or round(math.sqrt(num_rows))
    config = IvfFlat(distance_type=DISTANCE, num_partitions=groups, max_iterations=_ROUNDS, sample_rate=_ROWS_A_GROUP)
    with translated_errors(tables.folder):
        tables.frames.create_index("vector", config=config, replace=True)
    facts = IndexFacts(num_rows, groups, min(_MIN_PROBES, groups), 0.0, 0, time.monotonic() - begin)
    return _measured(tables, facts)


def search_index(tables: Tables, query: NDArray[np.float32], *, k: int, num_probes: int) -> Any:  # noqa: ANN401
    """A LanceDB query for the k rows nearest to a unit vector (dim,) in the groups nearest to it."""
    search: Any = tables.frames.search(query)
    return search.distance_type(DISTANCE).nprobes(num_probes).limit(k)


def _measured(tables: Tables, facts: IndexFacts) -> IndexFacts:
    """The smallest number of groups with the minimum recall against comparing every frame; saved."""
    queries, nearest = _truth(tables)
    num_probes = facts.num_probes
    while True:
        recall = _recall(tables, queries, nearest, num_probes)
        if recall >= _MIN_RECALL or num_probes >= facts.num_groups:
            break
        num_probes = min(2 * num_probes, facts.num_groups)
    facts = replace(facts, num_probes=num_probes, recall_at_10=recall, num_queries=len(queries))
    try:
        write_atomically(tables.folder / FACTS_FILE, json.dumps(asdict(facts)).encode())
    except RunError as error:
        raise LibraryError(str(error)) from error
    return facts


def _truth(tables: Tables) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Evenly spaced rows as queries (Q, dim), and the similarities (Q, 11) of the nearest rows, the query included."""
    num_rows = tables.frames.count_rows()
    chosen = np.unique(np.linspace(0, num_rows - 1, _NUM_QUERIES).astype(int)).tolist()
    with translated_errors(tables.folder):
        queries = vectors_of(tables.frames.take_offsets(chosen).select(["vector"]).to_arrow())
        best = np.full((len(queries), _K + 1), -np.inf, np.float32)
        for rows in tables.frames.search().select(["vector"]).to_batches(_BATCH_ROWS):
            both = np.concatenate([best, queries @ vectors_of(rows).T], axis=1)
            best = -np.partition(-both, _K, axis=1)[:, : _K + 1]
    return queries, best


def _recall(tables: Tables, queries: NDArray[np.float32], best: NDArray[np.float32], num_probes: int) -> float:
    """Share of the ten nearest rows besides the query that are found, by similarity, so that ties count."""
    num_found = 0
    for query, similarities in zip(queries, best, strict=True):
        rows = search_index(tables, query, k=_K + 1, num_probes=num_probes).select(["vector", "_distance"]).to_arrow()
        found = np.sort(vectors_of(rows) @ query)[::-1]
        num_found += int((found[1:] >= np.sort(similarities)[0] - _ROUNDING).sum())
    return num_found / (_K * len(queries))


@dataclass(frozen=True, eq=False)
class Proposed:
    """M frames that an index found near a vector."""

    row_ids: NDArray[np.int64]  # (M,), of the table of frames
    similarities: NDArray[np.float32]  # (M,), cosines as the index computes them: but for the last digits


def propose(tables: Tables, vector: NDArray[np.float32], *, k: int, num_probes: int) -> Proposed:
    """The k rows nearest to a unit vector (dim,) in so many groups of the index, unordered, of any source.

    To read their vectors by `Tables.taken` takes half as long as to ask the search for them.
    """
    search = search_index(tables, vector, k=k, num_probes=num_probes).select(["_distance"]).with_row_id(True)
    with translated_errors(tables.folder):
        rows = search.to_arrow()
    return Proposed(rows.column("_rowid").to_numpy().astype(np.int64), 1 - rows.column("_distance").to_numpy())
