"""Is a library whole? Every row of it is read; nothing is changed."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from firstsight.errors import FirstsightError, LibraryError
from firstsight.model.encoder import Encoder
from firstsight.retrieval.store.folder import LibraryConfig, check_inside, read_config, tables_folder
from firstsight.retrieval.store.records import SourceRecord, shown
from firstsight.retrieval.store.tables import Tables

_ROWS_AT_ONCE = 8_192
_JPEG_BEGINS, _JPEG_ENDS = b"\xff\xd8\xff", b"\xff\xd9"
# A vector is of unit length but for the rounding of its numbers to 16 bits, or of length 0.
_MAX_LENGTH_ERROR = 0.01


@dataclass
class Checked:
    """What was found, a line each."""

    whole: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)  # untidy; the next one who writes to it puts it right
    damages: list[str] = field(default_factory=list)


def check(folder: str | Path) -> Checked:
    """Looks at everything that a library is made of.

    Raises:
        LibraryError: it is not a library at all.
    """
    path, found = Path(folder), Checked()
    config = read_config(path)
    found.whole.append(f"settings: encoder {config.fingerprint}, {config.dim} numbers a frame")
    _part(found, lambda: _check_model(path, config))
    tables = _part(found, lambda: _opened(path, config))
    if tables is not None:
        _check_tables(tables, found)
        tables.close()
    return found


def _part(found: Checked, look: Callable[[], Any]) -> Any:  # noqa: ANN401  # what it gives; None if it is damaged
    try:
        result = look()
    except FirstsightError as error:
        found.damages.append(str(error))
        return None
    if isinstance(result, str):
        found.whole.append(result)
    return result


def _check_model(path: Path, config: LibraryConfig) -> str:
    check_inside(path, path / config.model)
    encoder = Encoder.load(path / config.model)
    if (encoder.fingerprint, encoder.dim) != (config.fingerprint, config.dim):
        raise LibraryError(
            f"{path / config.model} holds encoder {encoder.fingerprint} of {encoder.dim} numbers, not the one that the "
            "vectors come from"
        )
    return "encoder: the one that the vectors come from"


def _opened(path: Path, config: LibraryConfig) -> Tables:
    rows = tables_folder(path, config.fingerprint)
    check_inside(path, rows)
    return Tables(rows, dim=config.dim)


def _check_tables(tables: Tables, found: Checked) -> None:
    records = _part(found, tables.records)
    if records is None:
        return
    _check_records(records, found)
    counts = _part(found, lambda: _frame_counts(tables, found))
    pictures = _part(found, lambda: _thumbnail_counts(tables, found))
    for what, numbers in (("frames", counts), ("thumbnails", pictures)):
        if numbers is not None:
            _check_counts(records, numbers, what, found)


def _check_records(records: Sequence[SourceRecord], found: Checked) -> None:
    whole = shown(records)
    found.whole.append(f"sources: {len(whole)} whole, {sum(one.num_frames for one in whole)} frames")
    if again := sum(one.status == "whole" for one in records) - len(whole):
        found.remarks.append(f"{again} sources are there twice; the next `firstsight index` removes the older rows")
    if twice := [name for name, num in Counter(one.name for one in whole).items() if num > 1]:
        found.remarks.append(f"{len(twice)} names are of two sources: {', '.join(twice[:3])}; indexing renames one")


def _check_counts(records: Sequence[SourceRecord], counts: "Counter[int]", what: str, found: Checked) -> None:
    """Each whole source has the rows that it counts."""
    wrong = [one for one in shown(records) if counts[one.id] != one.num_frames]
    for record in wrong:
        found.damages.append(
            f"{record.name} has {counts[record.id]} {what} of {record.num_frames}: take it out with "
            "`firstsight library remove`, and index it again"
        )
    if not wrong:
        found.whole.append(f"{what}: {sum(counts.values())} rows, all that the sources count")
    if strangers := sum(counts[one] for one in set(counts) - {one.id for one in records}):
        found.remarks.append(f"{strangers} {what} are of no source; the next `firstsight index` removes them")


def _frame_counts(tables: Tables, found: Checked) -> "Counter[int]":
    """Rows of each source, those of a frame that is there twice once; their vectors are looked at."""
    seen: set[tuple[int, int]] = set()
    num_rows = num_bad = 0
    for rows in _rows(tables, tables.frames, ["source", "frame", "seconds", "vector"]):
        vectors = rows.column("vector").flatten().to_numpy(zero_copy_only=False).reshape(len(rows), -1)
        lengths = np.linalg.norm(vectors.astype(np.float32), axis=1)
        is_good = (np.abs(lengths - 1) < _MAX_LENGTH_ERROR) | (lengths == 0)
        num_bad += int((~(is_good & np.isfinite(rows.column("seconds").to_numpy()))).sum())
        num_rows += len(rows)
        seen.update(_pairs(rows))
    if num_bad:
        found.damages.append(f"{num_bad} frames have a vector that is not of unit length, or no time")
    return _counted(seen, num_rows, "frames", found)


def _thumbnail_counts(tables: Tables, found: Checked) -> "Counter[int]":
    seen: set[tuple[int, int]] = set()
    num_rows = num_bad = 0
    for rows in _rows(tables, tables.thumbnails, ["source", "frame", "jpeg"]):
        num_bad += sum(not _is_jpeg(jpeg) for jpeg in rows.column("jpeg").to_pylist())
        num_rows += len(rows)
        seen.update(_pairs(rows))
    if num_bad:
        found.damages.append(f"{num_bad} thumbnails are no JPEG files")
    return _counted(seen, num_rows, "thumbnails", found)


def _counted(seen: set[tuple[int, int]], num_rows: int, what: str, found: Checked) -> "Counter[int]":
    if again := num_rows - len(seen):
        found.remarks.append(f"{again} {what} are there twice; the next `firstsight index` removes them")
    return Counter(source for source, _ in seen)


def _rows(tables: Tables, table: Any, columns: list[str]) -> Iterator[Any]:  # noqa: ANN401  # of LanceDB and pyarrow
    return tables.batches(table.search().select(columns), _ROWS_AT_ONCE)


def _pairs(rows: Any) -> Iterator[tuple[int, int]]:  # noqa: ANN401  # a pyarrow batch
    return zip(rows.column("source").to_pylist(), rows.column("frame").to_pylist(), strict=True)


def _is_jpeg(content: bytes | None) -> bool:
    return content is not None and content.startswith(_JPEG_BEGINS) and content.rstrip(b"\0").endswith(_JPEG_ENDS)
