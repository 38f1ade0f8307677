"""Tables as files that other programs read: CSV, Parquet."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from firstsight.errors import SettingsError
from firstsight.files import write_whole
from firstsight.text import printable

# What a spreadsheet takes for the beginning of something to compute, unless the cell is a number.
_COMPUTED = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")


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
    write_whole(path, content.getvalue())


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A heading and a line a row as CSV, atomically; texts as `safe_cell` has them, None as an empty cell.

    Raises:
        RunError: it cannot be written.
    """
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow([safe_cell(column) for column in columns])
    writer.writerows([safe_cell(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    write_whole(path, content.getvalue().encode())


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


def safe_cell(text: str) -> str:
    """The text in one line, as no spreadsheet computes it: what begins like a formula gets an apostrophe in front.

    >>> safe_cell("=1+1.mp4"), safe_cell("-0.5")
    ("'=1+1.mp4", '-0.5')
    """
    is_formula = text.startswith(_COMPUTED) and not _NUMBER.fullmatch(text)
    return printable(f"'{text}" if is_formula else text)


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
        raise SettingsError(
            f"{printable(path.name)} has no ending that says what to write; valid are {', '.join(endings)}"
        )
