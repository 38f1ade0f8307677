"""Repair of what killed processes and older versions leave behind, done by the next writer."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firstsight.library.records import SourceRecord, latest
from firstsight.library.source_files import FootageFile, free_name
from firstsight.library.tables import Tables


def repair(tables: Tables) -> None:
    """Leaves one record for each file and status, one name a file, one row a frame, and no orphans.

    Only for the writer. Where all is well it reads two columns, and writes nothing.
    """
    records = tables.records()
    kept = {one.id for status in ("whole", "partial", "failed") for one in latest(records, status).values()}
    tables.drop([record.id for record in records if record.id not in kept])
    records = [record for record in records if record.id in kept]
    tables.put(_renamed(records))
    for table in (tables.thumbnails, tables.frames):
        keys = tables.keys(table)
        surplus = _surplus(keys, kept)
        tables.drop_rows(table, keys[surplus, 2].tolist())
    tables.put(_recounted(tables.records(), keys, surplus))


def _surplus(keys: NDArray[np.int64], sources: set[int]) -> NDArray[np.bool_]:
    """Which rows (N,), given by source, frame and id (N, 3), are orphans or duplicates."""
    order = np.lexsort((keys[:, 2], keys[:, 1], keys[:, 0]))
    is_duplicate = (np.diff(keys[order, :2], axis=0) == 0).all(axis=1)
    surplus = ~np.isin(keys[:, 0], np.fromiter(sources, np.int64, len(sources)))
    surplus[order[1:][is_duplicate]] = True
    return surplus


def _renamed(records: Sequence[SourceRecord]) -> list[SourceRecord]:
    """Sources with the name of another file, renamed."""
    owners: dict[str, Path] = {}
    for record in sorted(records, key=lambda record: record.id):
        owners.setdefault(record.name, record.path)
    renamed = []
    for record in records:
        if owners[record.name] != record.path:
            name = free_name(FootageFile(record.path, record.name, is_picture=False), owners)
            owners[name] = record.path
            renamed.append(replace(record, name=name))
    return renamed


def _recounted(
    records: Sequence[SourceRecord], keys: NDArray[np.int64], surplus: NDArray[np.bool_]
) -> list[SourceRecord]:
    """Sources that counted duplicate rows, with the right number."""
    doubled = set(keys[surplus, 0].tolist())
    ids, counts = np.unique(keys[~surplus, 0], return_counts=True)
    num_frames = dict(zip(ids.tolist(), counts.tolist(), strict=True))
    return [replace(one, num_frames=num_frames.get(one.id, 0)) for one in records if one.id in doubled]
