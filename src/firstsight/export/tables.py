"""Tables as files that other programs read: CSV, Parquet."""

import io
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from firstsight.errors import SettingsError
from firstsight.files import write_whole


def write_table(table: pa.Table, path: Path) -> None:
    """The table as CSV or Parquet, by the ending of the name; whole or not at all.

    Raises:
        SettingsError: another ending.
        RunError: it cannot be written.
    """
    check_ending(path, (".csv", ".parquet"))
    content = io.BytesIO()
    if path.suffix.lower() == ".csv":
        pyarrow.csv.write_csv(table, content)
    else:
        pyarrow.parquet.write_table(table, content)
    write_whole(path, content.getvalue())


def check_ending(path: Path, endings: Sequence[str]) -> None:
    """Nothing, if the name ends in one of those.

    Raises:
        SettingsError: it does not.
    """
    if path.suffix.lower() not in endings:
        raise SettingsError(f"{path.name} has no ending that says what to write; valid are {', '.join(endings)}")
