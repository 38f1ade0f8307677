"""What a person knows of the frames: the folder that a file lies in, or a CSV file."""

import csv
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from firstsight.errors import SettingsError
from firstsight.footage.frames import Frame
from firstsight.footage.image_folders import ImageFiles
from firstsight.footage.source import Source
from firstsight.footage.videos import VideoFiles

_VALID = (
    "valid is a CSV file with the columns file, label and, for labels that change within a video, frame or seconds; "
    "or the word folders"
)


@dataclass(frozen=True)
class Labels:
    """Labels for the frames of a source."""

    of: Callable[[Frame], str | None]  # None: it has none
    notes: tuple[str, ...] = ()  # what a person should know, a line each


@dataclass(frozen=True)
class _Row:
    """A line of the file."""

    name: str  # as the source calls it
    at: float | None  # frame or seconds; None: the whole file
    label: str  # empty: from here on none


def read_labels(spec: str, source: Source) -> Labels:
    """The labels that "folders" or a CSV file give to the frames of a source.

    With "folders" a frame's label is the name of the folder that its file lies in. In a CSV file, `file` is a path, or
    as much of its end as tells the source's files apart. Without further columns a label holds for the whole
    file; with `frame` for that frame, counted from 0; with `seconds` from then to the next line of that file, where an
    empty label ends a stretch. Other columns are ignored.

    Raises:
        SettingsError: the source has no files; the CSV cannot be read, lacks columns, or is about other files.
    """
    if not isinstance(source, VideoFiles | ImageFiles):
        raise SettingsError(f"{source.name} has no files that could have labels; give video or picture files")
    if spec == "folders":
        return Labels(lambda frame: PurePosixPath(frame.source).parent.name or None)
    files = source.files if isinstance(source, ImageFiles) else [(file.path, file.name) for file in source.files]
    return _csv_labels(Path(spec), files)


def _csv_labels(path: Path, files: Sequence[tuple[Path, str]]) -> Labels:
    lines, position = _read(path)
    find = _finder(files)
    rows, strangers = [], []
    for number, line in enumerate(lines, start=2):
        name = find(line["file"], f"{path}, line {number}")
        if name is None:
            strangers.append(line["file"])
        else:
            at = _number(line[position], position, f"{path}, line {number}") if position else None
            rows.append(_Row(name, at, line["label"]))
    if not rows:
        what = f"it names {strangers[0]!r}, the source has {files[0][1]!r}" if strangers else "it has no lines"
        raise SettingsError(f"{path} has no label for any file of the source: {what}")
    num_strangers = len(set(strangers))
    told = f"{num_strangers} of its files are not in the source, such as {strangers[0]}" if strangers else ""
    return Labels(_lookup(rows, position, path), (f"{path}: {told}",) if told else ())


def _read(path: Path) -> tuple[list[dict[str, str]], str | None]:
    """The lines, and the column that tells the place in a file, if there is one."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            columns = [(name or "").strip().lower() for name in reader.fieldnames or []]
            reader.fieldnames = columns
            lines = [{name: (line.get(name) or "").strip() for name in columns} for line in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise SettingsError(f"labels {str(path)!r} cannot be read ({reason}): {_VALID}") from error
    places = [name for name in ("frame", "seconds") if name in columns]
    if not {"file", "label"} <= set(columns) or len(places) > 1:
        raise SettingsError(f"{path} has the columns {', '.join(columns) or 'of an empty file'}: {_VALID}")
    return lines, places[0] if places else None


def _finder(files: Sequence[tuple[Path, str]]) -> Callable[[str, str], str | None]:
    """What finds the source's name of the file that a path means: the one whose path ends like that."""
    by_end: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for path, name in files:
        parts = path.absolute().parts
        for start in range(len(parts)):
            by_end[parts[start:]].append(name)

    def find(text: str, where: str) -> str | None:
        found = by_end.get(PurePosixPath(text).parts, [])
        if len(found) > 1:
            raise SettingsError(f"{where}: {text!r} may be {found[0]} or {found[1]}; give more of the path")
        return found[0] if found else None

    return find


def _number(text: str, column: str, where: str) -> float:
    try:
        value = float(text) if column == "seconds" else int(text)
    except ValueError:
        value = -1
    if not 0 <= value < float("inf"):
        valid = "a number of seconds from 0" if column == "seconds" else "a whole number from 0"
        raise SettingsError(f"{where}: {column} {text!r}; valid is {valid}")
    return value


def _lookup(rows: list[_Row], position: str | None, path: Path) -> Callable[[Frame], str | None]:
    by_file: dict[str, dict[float, str]] = defaultdict(dict)
    for row in rows:
        at = 0.0 if row.at is None else row.at
        if by_file[row.name].setdefault(at, row.label) != row.label:
            place = f", {position} {at:g}," if position else ""
            raise SettingsError(
                f"{path} gives {row.name}{place} two labels, {by_file[row.name][at]!r} and {row.label!r}"
            )
    starts = {name: sorted(labels) for name, labels in by_file.items()}

    def label_of(frame: Frame) -> str | None:
        labels = by_file.get(frame.source)
        if labels is None:
            return None
        if position == "frame":
            return labels.get(frame.index) or None
        before = bisect_right(starts[frame.source], frame.seconds if position else 0.0)
        return (labels[starts[frame.source][before - 1]] or None) if before else None

    return label_of
