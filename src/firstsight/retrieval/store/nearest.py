"""Which frames of a library are most like a vector?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import SettingsError
from firstsight.retrieval.store.damage import told_as_ours
from firstsight.retrieval.store.index import search_all, search_index
from firstsight.retrieval.store.rows import seconds_of, vectors_of
from firstsight.retrieval.store.tables import Tables

_COLUMNS = ["source", "frame", "seconds", "vector", "_distance"]


@dataclass(frozen=True)
class NearFrame:
    """A frame of a library, and how like it is to what was asked for."""

    source: str  # name
    frame_index: int  # position in its source, from 0
    seconds: float  # its time there
    similarity: float  # cosine, -1 to 1


@dataclass(frozen=True)
class Nearest:
    """What `Library.nearest` found."""

    rows: tuple[NearFrame, ...]  # the most similar first; of equally similar ones by source and time
    is_exact: bool  # every frame was compared; otherwise those that an index proposed


def nearest(
    tables: Tables,
    vector: NDArray[np.float32],
    *,
    k: int,
    names: Mapping[int, str],
    sql: str,
    num_probes: int | None = None,
) -> Nearest:
    """The k rows that the filter leaves and that are most like the vector.

    Args:
        tables: of the library.
        vector: (dim,).
        k: how many.
        names: of the sources that rows are left of, by their ids.
        sql: the filter; empty leaves all.
        num_probes: groups of the index to look at; None compares every row.

    Raises:
        SettingsError: k below 1, or a vector of another size.
    """
    query = np.asarray(vector, np.float32)
    if k < 1 or query.shape != (tables.dim,) or not np.isfinite(query).all():
        raise SettingsError(
            f"{k} nearest to a vector {query.shape}; valid are at least 1, and {tables.dim} finite numbers: "
            "an embedding of the library's own encoder"
        )
    query = query / np.maximum(np.linalg.norm(query), np.finfo(np.float32).tiny)
    search = (
        search_all(tables, query, k=k)
        if num_probes is None
        else search_index(tables, query, k=k, num_probes=num_probes)
    )
    search = search.select(_COLUMNS)
    with told_as_ours(tables.folder):
        rows = (search.where(sql) if sql else search).to_arrow()
    return Nearest(_rows(rows, query, names), is_exact=num_probes is None)


@dataclass(frozen=True, eq=False)
class Proposed:
    """M frames that an index has found near a vector."""

    source_ids: NDArray[np.int64]  # (M,)
    frame_indices: NDArray[np.int64]  # (M,)
    vectors: NDArray[np.float32]  # (M, dim), as they are stored, of unit length


def propose(tables: Tables, vector: NDArray[np.float32], *, k: int, num_probes: int) -> Proposed:
    """The k rows most like a unit vector (dim,) in so many groups of the index, in no order; of any source."""
    search = search_index(tables, vector, k=k, num_probes=num_probes).select(["source", "frame", "vector", "_distance"])
    with told_as_ours(tables.folder):
        rows = search.to_arrow()
    return Proposed(rows.column("source").to_numpy(), rows.column("frame").to_numpy(), vectors_of(rows))


def _rows(rows: Any, query: NDArray[np.float32], names: Mapping[int, str]) -> tuple[NearFrame, ...]:  # noqa: ANN401
    similarities = np.clip(vectors_of(rows) @ query, -1, 1).tolist()
    columns = (rows.column("source").to_pylist(), rows.column("frame").to_pylist(), seconds_of(rows).tolist())
    found = [
        NearFrame(names[source], frame, seconds, similarity)
        for source, frame, seconds, similarity in zip(*columns, similarities, strict=True)
    ]
    return tuple(sorted(found, key=lambda one: (-one.similarity, one.source, one.frame_index)))
