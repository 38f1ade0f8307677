"""An index of a library's vectors, which proposes frames near one: made, kept up to date, and measured."""

import json
import math
import time
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import LibraryError, RunError
from firstsight.files import read_regular, write_atomically
from firstsight.library.damage import translated_errors
from firstsight.library.records import vectors_of
from firstsight.library.tables import Tables

FACTS_FILE = "index.json"
# With fewer rows comparing them all takes a few hundredths of a second.
LEAST_ROWS = 50_000
# Not the plain product: lengths are 1 only to 16 bits, by which near copies of a frame would change places.
DISTANCE: Literal["cosine"] = "cosine"

_MAX_BYTES = 2**20  # of the facts; they have a few hundred
_K = 10  # how many nearest the recall is measured on
_NUM_QUERIES = 100
_WANTED_RECALL = 0.99
_FEWEST_PROBES = 16
_MOST_UNINDEXED = (
    0.1  # share of rows that come after the index, each compared one by one, before it is brought up to date
)
_MOST_GROWTH = 2.0  # times the rows that the groups were made from, before they are rebuilt
_BATCH_ROWS = 8_192
_ROUNDS = 20  # of k-means; more move the groups' centres hardly at all
_ROWS_A_GROUP = 64  # that its centre is found from
_ROUNDING = 1e-5  # by which the similarity of one pair differs when it is computed beside others


@dataclass(frozen=True)
class IndexFacts:
    """What an index is, and how good."""

    num_rows: int  # that its groups were made from
    num_groups: int
    num_probes: int  # groups that a search looks at
    recall_at_10: float  # share of the 10 nearest that it finds, 0 to 1
    num_queries: int  # that this was measured with
    seconds: float  # to make it

    def describe(self) -> str:
        """For people."""
        return (
            f"by an index, {self.num_probes} of {self.num_groups} groups searched: finds "
            f"{100 * self.recall_at_10:.1f} % of the ten nearest, measured with {self.num_queries} frames"
        )


def read_facts(tables: Tables) -> IndexFacts | None:
    """What is known of the index; None if there is none, or what is said of it cannot be."""
    try:
        facts = IndexFacts(**json.loads(read_regular(tables.folder / FACTS_FILE, most=_MAX_BYTES).decode()))
    except (OSError, ValueError, TypeError, RecursionError):
        return None  # there is none, or it is damaged, and is rebuilt
    is_sound = all(type(number) is int for number in (facts.num_rows, facts.num_groups, facts.num_probes))
    return facts if is_sound and 1 <= facts.num_probes <= facts.num_groups else None


def keep_up(tables: Tables, *, least_rows: int = LEAST_ROWS) -> IndexFacts | None:
    """Makes an index where there should be one, brings it up to date, and measures it; None for a small library.

    Raises:
        LibraryError: the disk is full.
    """
    facts = read_facts(tables)
    num_rows = tables.frames.count_rows()
    if num_rows < least_rows:
        return None
    if facts is None or num_rows > _MOST_GROWTH * facts.num_rows:
        return build(tables)
    with translated_errors(tables.folder):
        stats = tables.frames.index_stats("vector_idx")
        if stats is None:
            return build(tables)
        if stats.num_unindexed_rows > _MOST_UNINDEXED * num_rows:
            tables.compact()
            return _measured(tables, facts)
    return facts


def build(tables: Tables, *, num_groups: int | None = None) -> IndexFacts:
    """Builds the index, and measures it.

    Args:
        tables: of the library.
        num_groups: by default the square root of the number of rows: then finding the groups and going through some of
            them cost about the same.

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
    facts = IndexFacts(num_rows, groups, min(_FEWEST_PROBES, groups), 0.0, 0, time.monotonic() - begin)
    return _measured(tables, facts)


def search_index(tables: Tables, query: NDArray[np.float32], *, k: int, num_probes: int) -> Any:  # noqa: ANN401
    """A LanceDB query for the k rows most like a unit vector (dim,) among the groups nearest to it."""
    search: Any = tables.frames.search(query)
    return search.distance_type(DISTANCE).nprobes(num_probes).limit(k)


def _measured(tables: Tables, facts: IndexFacts) -> IndexFacts:
    """As many groups searched as it takes to find nearly all that comparing every frame finds; written down."""
    queries, nearest = _truth(tables)
    num_probes = facts.num_probes
    while True:
        recall = _recall(tables, queries, nearest, num_probes)
        if recall >= _WANTED_RECALL or num_probes >= facts.num_groups:
            break
        num_probes = min(2 * num_probes, facts.num_groups)
    facts = replace(facts, num_probes=num_probes, recall_at_10=recall, num_queries=len(queries))
    try:
        write_atomically(tables.folder / FACTS_FILE, json.dumps(asdict(facts)).encode())
    except RunError as error:
        raise LibraryError(str(error)) from error
    return facts


def _truth(tables: Tables) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Evenly spread rows as queries (Q, dim), and the similarities (Q, 11) of the rows most like each, itself first."""
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
    """Share of the ten nearest besides the query itself that are found, by similarity, so that ties are no loss."""
    num_found = 0
    for query, similarities in zip(queries, best, strict=True):
        rows = search_index(tables, query, k=_K + 1, num_probes=num_probes).select(["vector", "_distance"]).to_arrow()
        found = np.sort(vectors_of(rows) @ query)[::-1]
        num_found += int((found[1:] >= np.sort(similarities)[0] - _ROUNDING).sum())
    return num_found / (_K * len(queries))


@dataclass(frozen=True, eq=False)
class Proposed:
    """M frames that an index has found near a vector."""

    source_ids: NDArray[np.int64]  # (M,)
    frame_indices: NDArray[np.int64]  # (M,)
    vectors: NDArray[np.float32]  # (M, dim), as they are stored, of unit length


def propose(tables: Tables, vector: NDArray[np.float32], *, k: int, num_probes: int) -> Proposed:
    """The k rows most like a unit vector (dim,) in so many groups of the index, in no order; of any source."""
    search = search_index(tables, vector, k=k, num_probes=num_probes).select(["source", "frame", "vector", "_distance"])
    with translated_errors(tables.folder):
        rows = search.to_arrow()
    return Proposed(rows.column("source").to_numpy(), rows.column("frame").to_numpy(), vectors_of(rows))
