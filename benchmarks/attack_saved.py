"""Runs and libraries as a damaged disk or a stranger may leave them."""

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from attack_media import spoiled

_DEEP = "DEEP"
_VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        "",
        "x",
        "a\nb",
        "\x1b[31m",
        "\udcff",
        [],
        {},
        [[]],
        [0],
        {"a": 1},
        0,
        -1,
        1,
        3,
        7,
        2**31,
        2**63,
        10**400,
    ),
    *(0.5, -0.0, 1e308, float("nan"), float("inf"), -float("inf"), "../../victim", "/etc/passwd", "x" * 100_000, _DEEP),
)


def spoil_json(path: Path, rng: random.Random) -> str:
    """Changes something in a file of JSON, and says what."""
    text = path.read_text()
    how = rng.choice(("value", "value", "value", "value", "drop", "drop", "add", "text", "bytes"))
    if how == "bytes":
        data, name = spoiled(text.encode(), [], rng)
        path.write_bytes(data)
        return f"{path.name}: {name}"
    if how == "text":
        content = rng.choice(("", "[" * 100_000, "{}", "null", "[1]", '"x"', "\ufeff" + text, text + text, "NaN"))
        path.write_text(content)
        return f"{path.name}: {content[:20]!r}"
    content = json.loads(text)
    holder, key = rng.choice(_places(content))
    if how == "drop":
        del holder[key]
        value = "(left out)"
    elif how == "add" and isinstance(holder, dict):
        value = rng.choice(_VALUES[:-1])
        holder[f"odd {key}"] = value
    else:
        value = rng.choice(_VALUES)
        holder[key] = value
    path.write_text(json.dumps(content).replace(f'"{_DEEP}"', "[" * 50_000 + "]" * 50_000))
    return f"{path.name}: {key} = {value!r:.60}"


def _places(content: Any) -> list[tuple[Any, Any]]:  # noqa: ANN401  # any JSON
    """Each container and key of a tree."""
    found: list[tuple[Any, Any]] = []
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        found += [(content, key), *_places(value)]
    return found


def spoil_file(path: Path, rng: random.Random) -> str:
    """Changes the bytes of a file, or puts something else in its place."""
    how = rng.choice(("bytes", "bytes", "bytes", "gone", "empty", "folder", "loop", "fifo", "endless"))
    if how == "bytes":
        data, name = spoiled(path.read_bytes() or b"\0", [], rng)
        path.write_bytes(data)
        return f"{path.name}: {name}"
    path.unlink()
    makers: dict[str, Callable[[], object]] = {
        "gone": lambda: None,
        "empty": path.touch,
        "folder": path.mkdir,
        "loop": lambda: path.symlink_to(path.name),
        "fifo": lambda: os.mkfifo(path),
        "endless": lambda: path.symlink_to("/dev/zero"),
    }
    makers[how]()
    return f"{path.name}: {how}"


def spoil_run(run: Path, rng: random.Random) -> str:
    """One thing wrong with a run folder."""
    if rng.random() < 0.6:
        return spoil_json(run / "config.json", rng)
    files = sorted(path for path in run.iterdir() if path.is_file())
    return spoil_file(rng.choice(files), rng)


def spoil_library(library: Path, rng: random.Random) -> str:
    """One thing wrong with a library."""
    how = rng.choice(
        ("json", "json", "model", "rows", "rows", "records", "records", "records", "files", "files", "files")
    )
    if how == "json":
        return spoil_json(library / "library.json", rng)
    if how == "model":
        return "model: " + spoil_run(library / "model", rng)
    if how in {"rows", "records"}:
        return _CRAFTED[how](next(library.glob("tables-*")), rng)
    chosen = rng.choice(sorted(filter(Path.is_file, library.glob("tables-*/**/*")), key=_age))
    where = chosen.parent.relative_to(library).as_posix().split("/", 1)[-1]
    if rng.random() < 0.1:
        shutil.rmtree(chosen.parent)
        return f"{where}: the folder is gone"
    return f"{where}/" + spoil_file(chosen, rng)


def _age(path: Path) -> tuple[str, int, int]:
    """An order that is the same each time, whatever LanceDB draws for names."""
    state = path.stat()
    return path.parent.name, state.st_mtime_ns, state.st_size


_NAMES = (
    "",
    "\x1b[2Jx",
    "a\nb",
    "../../../x",
    "/abs",
    "=1+1",
    "x" * 5_000,
    "<script>alert(1)</script>",
    "a.mp4@3",
    "\u202e",
    "*",
)
_PATHS = (
    "/dev/zero",
    "/dev/random",
    "FIFO",
    "../../x",
    "",
    "\n",
    "/etc/passwd",
    "x" * 5_000,
    "http://127.0.0.1:9/x.mp4",
    "-",
)
_NUMBERS = (0, -1, 1, 2**31, 2**63 - 1, -(2**63))
_FLOATS = (float("nan"), float("inf"), -float("inf"), -1.0, 0.0, 1e308)
_RECORD: dict[str, tuple[Any, ...]] = {
    "name": _NAMES,
    "path": _PATHS,
    "content": ("", "x", "\x1b[31m"),
    "status": ("", "whole", "partial", "x"),
    **dict.fromkeys(("id", "num_bytes", "modified_ns", "num_frames", "num_skipped"), _NUMBERS),
    **dict.fromkeys(("duration_seconds", "frames_per_second"), _FLOATS),
    "every": (*_NUMBERS, None),
}


_COLUMNS = (
    *(("frames", column) for column in ("source", "frame", "seconds", "vector", "vector")),
    *(("thumbnails", column) for column in ("source", "frame", "jpeg", "jpeg")),
)


def _craft_records(tables: Path, rng: random.Random) -> str:
    """What is said of a source is another thing."""
    column = rng.choice(list(_RECORD))
    value = rng.choice(_RECORD[column])
    if value == "FIFO":
        value = str(tables / "fifo")
        os.mkfifo(value)
    table = _table(tables, "sources")
    rows = table.to_arrow()
    values = rows.column(column).to_pylist()
    places = range(len(values)) if rng.random() < 0.3 else [rng.randrange(len(values))]
    for place in places:
        values[place] = value
    _rewrite(table, rows, column, values)
    return f"sources: {column} = {value!r:.60}"


def _craft_rows(tables: Path, rng: random.Random) -> str:
    """Frames or thumbnails hold something else, lack a row, or have one twice."""
    name, column = rng.choice(_COLUMNS)
    table = _table(tables, name)
    rows = table.to_arrow()
    how = rng.choice(("value", "value", "value", "lacks", "twice"))
    if how != "value":
        place = rng.randrange(len(rows))
        parts = [rows.slice(0, place), rows.slice(place + (how == "lacks"))]
        parts += [rows.slice(place, 1)] if how == "twice" else []
        table.delete("true")
        table.add(pa.concat_tables(parts))
        return f"{name}: row {place} {how}"
    values = rows.column(column).to_pylist()
    some = rng.sample(range(len(values)), rng.choice((1, len(values))))
    value = _value_for(column, len(values[0]) if column == "vector" else 0, rng)
    for place in some:
        values[place] = value
    _rewrite(table, rows, column, values)
    return f"{name}: {column} of {len(some)} = {value!r:.60}"


def _value_for(column: str, dim: int, rng: random.Random) -> Any:  # noqa: ANN401  # of any column
    if column == "vector":
        return [rng.choice((float("nan"), float("inf"), 0.0, 60_000.0, -1.0))] * dim
    if column == "seconds":
        return rng.choice(_FLOATS)
    if column == "jpeg":
        return rng.choice((b"", b"jpeg", b"\xff\xd8\xff\xe0" + bytes(99), b"%!PS-Adobe-3.0 EPSF-3.0\n"))
    return rng.choice(_NUMBERS)


def _table(tables: Path, name: str) -> Any:  # noqa: ANN401  # of LanceDB
    import lancedb

    return lancedb.connect(str(tables)).open_table(name)


def _rewrite(table: Any, rows: pa.Table, column: str, values: list[Any]) -> None:  # noqa: ANN401  # of LanceDB
    field = rows.schema.field(column)
    if column == "vector":
        values = [np.asarray(value, np.float16) for value in values]
    changed = rows.set_column(rows.schema.get_field_index(column), field, pa.array(values, field.type))
    table.delete("true")
    table.add(changed)


_CRAFTED = {"rows": _craft_rows, "records": _craft_records}
