"""Tables as files that other programs read: CSV, Parquet."""

import csv
import io
import json
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from firstsight.errors import LibraryError, SettingsError
from firstsight.files import write_atomically
from firstsight.progress import Progress, Report, silent
from firstsight.text import json_line, printable, safe_cell

if TYPE_CHECKING:  # LanceDB takes seconds to import, and a table alone does not need it
    from firstsight.library.embeddings import Embeddings
    from firstsight.library.selection import Where
    from firstsight.library.store import Store


def write_table(table: pa.Table, path: Path) -> None:
    """The table as CSV or Parquet, by the ending of the name; atomically.

    Raises:
        SettingsError: another ending.
        RunError: it cannot be written.
    """
    check_ending(path, (".csv", ".parquet"))
    content = io.BytesIO()
    if path.suffix.lower() == ".csv":
        pyarrow.csv.write_csv(_with_safe_cells(table), content)
    else:
        pyarrow.parquet.write_table(table, content)
    write_atomically(path, content.getvalue())


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A heading and a line a row as CSV, atomically; texts as `safe_cell` has them, None as an empty cell.

    Raises:
        RunError: it cannot be written.
    """
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow([safe_cell(column) for column in columns])
    writer.writerows([safe_cell(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    write_atomically(path, content.getvalue().encode())


def write_rounded(table: pa.Table, path: Path, *, digits: Mapping[str, int]) -> None:
    """The table as CSV, atomically; numbers of the columns named in `digits` with so many digits after the point.

    Raises:
        RunError: it cannot be written.
    """
    columns = [
        [value if value is None or name not in digits else f"{value:.{digits[name]}f}" for value in column.to_pylist()]
        for name, column in zip(table.column_names, table.columns, strict=True)
    ]
    write_csv(path, table.column_names, zip(*columns, strict=True))


def text_column(texts: Iterable[str]) -> pa.Array:
    """Names as a column of a table; what is not UTF-8 in them is written as escapes."""
    return pa.array([printable(text) for text in texts], pa.string())


def _with_safe_cells(table: pa.Table) -> pa.Table:
    for number, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            cells = [text if text is None else safe_cell(text) for text in table.column(number).to_pylist()]
            table = table.set_column(number, field.name, pa.array(cells, pa.string()))
    return table.rename_columns([safe_cell(name) for name in table.column_names])


def check_ending(path: Path, endings: Sequence[str]) -> None:
    """Raises a SettingsError if the name ends in none of those."""
    if path.suffix.lower() not in endings:
        raise SettingsError(f"{printable(path.name or path)} has an unknown ending; valid are {', '.join(endings)}")


_CHUNK = 256  # thumbnails read at once
_SAMPLES = "samples.json"


@dataclass(frozen=True)
class Exported:
    """What was written."""

    library: str  # its folder
    out: str  # the file
    num_frames: int

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def export_library(
    library: "Store",
    path: Path,
    *,
    where: "Where | None" = None,
    progress: Report = silent,
) -> Exported:
    """Writes the chosen frames, in the format that the ending of the name asks for.

    `.npz`: `vectors` float32 (N, dim), `seconds`, `frame_indices`, `source_indices`, and `sources`, which are names.
    `.csv`: a line a frame, a column for each number of its vector. `.parquet`: the same, the vector as one list.
    `samples.json`: a folder that FiftyOne imports, with the thumbnails beside it. All vectors are held in memory.

    Raises:
        SettingsError: another ending, or a JSON file of another name.
        LibraryError: no frame is chosen, or a source that is not in the library.
        RunError: it cannot be written.
    """
    check_export(path)
    write = _WRITERS[path.suffix.lower()]
    frames = library.embeddings(where)
    if not len(frames):
        raise LibraryError(
            f"{printable(library.name)} has no frame to export there; index footage first, or ask for more of it"
        )
    progress(Progress("writing", 0, len(frames)))
    write(library, frames, path, progress)
    return Exported(library.name, str(path), len(frames))


def check_export(path: Path) -> None:
    """Raises a SettingsError for a name of no known format."""
    check_ending(path, tuple(_WRITERS))
    if path.suffix.lower() == ".json" and path.name != _SAMPLES:
        raise SettingsError(
            f"{printable(path)}: FiftyOne reads a folder with {_SAMPLES} in it; give "
            f"{printable(path.with_suffix('') / _SAMPLES)}"
        )


def frames_table(library: "Store", frames: "Embeddings", *, wide: bool) -> pa.Table:
    """A row a frame: source, path, frame, seconds, and its vector: one list, or `wide`, a column for each number."""
    paths = {record.name: str(record.path) for record in library.sources}
    names = [frames.source_of(row) for row in range(len(frames))]
    columns: dict[str, pa.Array] = {
        "source": text_column(names),
        "path": text_column(paths[name] for name in names),
        "frame": pa.array(frames.frame_indices),
        "seconds": pa.array(frames.seconds),
    }
    if wide:
        columns |= {f"v{number}": pa.array(values) for number, values in enumerate(frames.vectors.T.copy())}
    else:
        flat = pa.array(np.ascontiguousarray(frames.vectors).ravel())
        columns["vector"] = pa.FixedSizeListArray.from_arrays(flat, frames.vectors.shape[1])
    return pa.table(columns)


def _write_npz(_: "Store", frames: "Embeddings", path: Path, _progress: Report) -> None:
    content = io.BytesIO()
    np.savez_compressed(
        content,
        vectors=frames.vectors,
        seconds=frames.seconds,
        frame_indices=frames.frame_indices,
        source_indices=frames.source_indices,
        sources=np.array(frames.sources),
    )
    write_atomically(path, content.getvalue())


def _write_csv(library: "Store", frames: "Embeddings", path: Path, _progress: Report) -> None:
    write_table(frames_table(library, frames, wide=True), path)


def _write_parquet(library: "Store", frames: "Embeddings", path: Path, _progress: Report) -> None:
    write_table(frames_table(library, frames, wide=False), path)


def _write_fiftyone(library: "Store", frames: "Embeddings", path: Path, progress: Report) -> None:
    """The layout that FiftyOne's importer of type FiftyOneDataset takes where metadata.json has no version.

    Source: `LegacyFiftyOneDatasetImporter`, fiftyone/utils/data/importers.py: each sample a dict of fields, `filepath`
    relative to the folder.
    """
    before, samples, export = _pictures_of(path), [], secrets.token_hex(4)
    try:
        for start in range(0, len(frames), _CHUNK):
            rows = range(start, min(start + _CHUNK, len(frames)))
            wanted = [(frames.source_of(row), int(frames.frame_indices[row])) for row in rows]
            for row, (source, index), jpeg in zip(rows, wanted, library.thumbnails(wanted), strict=True):
                name = f"data/{export}-{row:07d}.jpg"
                fields = {"source": source, "frame": index, "seconds": float(frames.seconds[row])}
                samples.append({"filepath": name, "tags": [], **fields, "embedding": frames.vectors[row].tolist()})
                write_atomically(path.parent / name, jpeg)
            progress(Progress("writing", len(samples), len(frames)))
        write_atomically(path, json_line({"samples": samples}).encode())
    except BaseException:  # what was exported before stays as it was
        _remove(path.parent, [str(one["filepath"]) for one in samples])
        raise
    info = {"made_by": "firstsight export", "encoder": library.fingerprint}
    write_atomically(path.parent / "metadata.json", json_line({"media_type": "image", "info": info}).encode())
    _remove(path.parent, before)


_PICTURE = re.compile(r"data/([0-9a-f]{8}-)?[0-9]{7,}[.]jpg")  # earlier versions had no prefix


def _pictures_of(path: Path) -> list[str]:
    """The pictures of an export that is there already."""
    try:
        samples = json.loads(path.read_bytes())["samples"]
        return [one["filepath"] for one in samples if _PICTURE.fullmatch(one["filepath"])]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _remove(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)


_WRITERS: dict[str, Callable[["Store", "Embeddings", Path, Report], None]] = {
    ".npz": _write_npz,
    ".csv": _write_csv,
    ".parquet": _write_parquet,
    ".json": _write_fiftyone,
}
