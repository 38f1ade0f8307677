"""The frames that an evaluation asks about: a bounded number, spread evenly, with where and when they are."""

import csv
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from numpy.typing import NDArray

from firstsight.encoder.encoder import Encoder
from firstsight.encoder.model import WholeFrame
from firstsight.errors import SettingsError, SourceError
from firstsight.footage.frames import Frame
from firstsight.footage.image_folders import ArraySource, ImageFiles
from firstsight.footage.queues import prefetch
from firstsight.footage.source import Source
from firstsight.footage.videos import VideoFiles
from firstsight.progress import Progress, Report, silent
from firstsight.quality.self_test import NEIGHBOUR_SECONDS, SAME_SECONDS

_VALID = (
    "valid is a CSV file with the columns file, label and, for labels that change within a video, frame or seconds; "
    "or the word folders"
)


@dataclass(frozen=True)
class Labels:
    """Labels for the frames of a source."""

    of: Callable[[Frame], str | None]  # None: it has none
    notes: tuple[str, ...] = ()  # for people, a line each
    visit_of: Callable[[Frame], int] = lambda _: 0  # another one where the label has ended and begins again


@dataclass(frozen=True)
class _Row:
    """A line of the file."""

    name: str  # as the source calls it
    at: float | None  # frame or seconds; None: the entire file
    label: str  # empty: from here on none


def read_labels(spec: str, source: Source) -> Labels:
    """The labels that "folders" or a CSV file give to the frames of a source.

    With "folders" a frame's label is the name of the folder that its file lies in. In a CSV file, `file` is a path, or
    as much of its end as identifies one of the source's files. Without further columns a label holds for the entire
    file; with `frame` for that frame, counted from 0; with `seconds` from then to the next line of that file, where an
    empty label ends it. In both columns a picture has 0 alone. Other columns are ignored.

    Raises:
        SettingsError: the source has no files; the CSV cannot be read, lacks columns, or is about other files, or about
            a later frame of a picture.
    """
    if not isinstance(source, VideoFiles | ImageFiles):
        raise SettingsError(f"{source.name} has no files that could have labels; give video or picture files")
    if spec == "folders":
        return Labels(lambda frame: PurePosixPath(frame.source).parent.name or None)
    if isinstance(source, ImageFiles):
        return _csv_labels(Path(spec), source.files, of_pictures=True)
    return _csv_labels(Path(spec), [(file.path, file.name) for file in source.files], of_pictures=False)


def _csv_labels(path: Path, files: Sequence[tuple[Path, str]], *, of_pictures: bool) -> Labels:
    lines, position = _read(path)
    find = _finder(files)
    rows, unknown_files = [], []
    for number, line in enumerate(lines, start=2):
        name = find(line["file"], f"{path}, line {number}")
        if name is None:
            unknown_files.append(line["file"])
        else:
            at = _number(line[position], position, f"{path}, line {number}") if position else None
            if of_pictures and at:  # as if it were counted over the folder
                raise SettingsError(f"{path}, line {number}: {position} {at:g} of a picture; valid is 0, for each file")
            rows.append(_Row(name, at, line["label"]))
    if not rows:
        what = f"it names {unknown_files[0]!r}, the source has {files[0][1]!r}" if unknown_files else "it has no lines"
        raise SettingsError(f"{path} has no label for any file of the source: {what}")
    num_unknown = len(set(unknown_files))
    note = f"{num_unknown} of its files are not in the source, such as {unknown_files[0]}" if unknown_files else ""
    return _lookup(rows, None if of_pictures else position, path, notes=(f"{path}: {note}",) if note else ())


def _read(path: Path) -> tuple[list[dict[str, str]], str | None]:
    """The lines, and the column of the position in a file, if there is one."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            columns = [(name or "").strip().lower() for name in reader.fieldnames or []]
            reader.fieldnames = columns
            lines = [{name: (line.get(name) or "").strip() for name in columns} for line in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise SettingsError(f"labels {str(path)!r} cannot be read ({reason}): {_VALID}") from error
    positions = [name for name in ("frame", "seconds") if name in columns]
    if not {"file", "label"} <= set(columns) or len(positions) > 1:
        raise SettingsError(f"{path} has the columns {', '.join(columns) or 'of an empty file'}: {_VALID}")
    return lines, positions[0] if positions else None


def _finder(files: Sequence[tuple[Path, str]]) -> Callable[[str, str], str | None]:
    """A function from a path, or the end of one, to the source's name of that file."""
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


def _lookup(rows: list[_Row], position: str | None, path: Path, *, notes: tuple[str, ...]) -> Labels:
    by_file: dict[str, dict[float, str]] = defaultdict(dict)
    for row in rows:
        at = 0.0 if row.at is None else row.at
        if by_file[row.name].setdefault(at, row.label) != row.label:
            where = f", {position} {at:g}," if position else ""
            raise SettingsError(
                f"{path} gives {row.name}{where} two labels, {by_file[row.name][at]!r} and {row.label!r}"
            )
    starts = {name: sorted(labels) for name, labels in by_file.items()}
    spans = {name: [""] + [labels[start] for start in starts[name]] for name, labels in by_file.items()}
    visits = {name: [0, *accumulate(int(a != b) for a, b in pairwise(own))] for name, own in spans.items()}

    def span_of(frame: Frame) -> int:
        at = {None: 0.0, "frame": frame.index, "seconds": frame.seconds}[position]
        return bisect_right(starts[frame.source], at)

    def label_of(frame: Frame) -> str | None:
        if frame.source not in spans:
            return None
        if position == "frame":
            return by_file[frame.source].get(frame.index) or None
        return spans[frame.source][span_of(frame)] or None

    return Labels(label_of, notes, lambda frame: visits[frame.source][span_of(frame)])


MIN_FRAMES = 20
_SHORTER_SIDE = 128  # pixels of the picture that baselines get
_DEPTH = 32  # decoded frames kept ready


@dataclass(frozen=True, eq=False)
class Sample:
    """N frames in the source's order."""

    inputs: NDArray[np.uint8]  # (N, h, w, C), through the encoder's view
    full_frames: NDArray[np.uint8]  # (N, h, w, 3), for the baselines; the same frames if the view shows all of it
    seconds: NDArray[np.float64]  # (N,), in its video; of pictures the position
    sources: NDArray[np.int64]  # (N,), which file each is from, from 0
    names: tuple[str, ...]  # of the files
    labels: tuple[str, ...]  # of each, empty if not asked for
    of_pictures: bool  # files or an array of pictures, rather than video
    num_read: int  # frames
    num_unlabelled: int  # of these had no label and were left out
    visits: tuple[int, ...] = ()  # of each, see `Labels`; empty if not asked for

    def __len__(self) -> int:
        return len(self.seconds)


def take_sample(
    encoder: Encoder,
    source: Source,
    *,
    max_frames: int,
    labels: Labels | None = None,
    progress: Report = silent,
) -> Sample:
    """At most so many frames of the source; without labels also frames half a second later, where these are apart.

    Args:
        encoder: whose view of a frame to take.
        source: read once.
        max_frames: to keep.
        labels: of the frames; those without one are left out. None asks for no labels.
        progress: called after each frame.

    Raises:
        SourceError: fewer than 20 frames.
    """
    full = _full_view(source)
    views = (full,) if encoder.view.shows_whole_frame else (encoder.view, full)
    keeper = _Keeper(max_frames, with_neighbours=labels is None)
    num_read, num_unlabelled, total = 0, 0, source.num_frames()
    with closing(source.read(*views)) as reading, prefetch(reading, depth=_DEPTH) as frames:
        for frame in frames:
            num_read += 1
            if labels and labels.of(frame) is None:
                num_unlabelled += 1
            else:
                keeper.add(frame)
            progress(Progress("reading", num_read, total))
    if num_read - num_unlabelled < MIN_FRAMES:
        what = f"{num_read - num_unlabelled} frames{' with a label' if labels else ''}"
        raise SourceError(f"{source.name} has {what} to ask about; give at least {MIN_FRAMES}")
    kept = keeper.kept()
    numbers = {name: number for number, name in enumerate(dict.fromkeys(frame.source for frame in kept))}
    return Sample(
        inputs=np.stack([frame.pixels for frame in kept]),
        full_frames=np.stack([frame.whole for frame in kept]),
        seconds=np.array([frame.seconds for frame in kept]),
        sources=np.array([numbers[frame.source] for frame in kept]),
        names=tuple(numbers),
        labels=tuple(labels.of(frame) or "" for frame in kept) if labels else (),
        of_pictures=isinstance(source, ImageFiles | ArraySource),
        num_read=num_read,
        num_unlabelled=num_unlabelled,
        visits=tuple(map(labels.visit_of, kept)) if labels else (),
    )


class _Keeper:
    """Every n-th frame and, if wanted, the first that is not the same moment; n doubles at twice too many."""

    def __init__(self, max_frames: int, *, with_neighbours: bool) -> None:
        self._max_frames = max_frames
        self._with_neighbours = with_neighbours
        self._groups: list[list[Frame]] = []  # a frame, or a frame and its neighbour
        self._num_kept = self._num_added = 0
        self._every = 1

    def add(self, frame: Frame) -> None:
        if self._num_added % self._every == 0:
            self._groups.append([frame])
            self._num_kept += 1
        elif self._with_neighbours and _is_neighbour(frame, self._groups[-1]):
            self._groups[-1].append(frame)
            self._num_kept += 1
        self._num_added += 1
        while self._num_kept >= 2 * self._max_frames:
            self._thin()

    def kept(self) -> list[Frame]:
        """In order, at most as many as wanted."""
        num_groups = len(self._groups)
        if self._num_kept > self._max_frames:
            num_groups = -(-self._max_frames * num_groups // self._num_kept)
        chosen = np.linspace(0, len(self._groups) - 1, num_groups).round().astype(int)
        return [frame for index in chosen for frame in self._groups[index]][: self._max_frames]

    def _thin(self) -> None:
        """Drops every second frame, unless it is now the first that shows another moment than the one before."""
        for group, dropped in zip(self._groups[::2], self._groups[1::2], strict=False):
            if self._with_neighbours and _is_neighbour(dropped[0], group):
                group.append(dropped[0])
        self._groups = self._groups[::2]
        self._num_kept = sum(map(len, self._groups))
        self._every *= 2


def _is_neighbour(frame: Frame, group: list[Frame]) -> bool:
    since = frame.seconds - group[0].seconds
    return len(group) == 1 and frame.source == group[0].source and SAME_SECONDS < since <= NEIGHBOUR_SECONDS


def _full_view(source: Source) -> WholeFrame:
    width, height = source.size()
    scale = min(1.0, _SHORTER_SIDE / min(width, height))
    return WholeFrame(round(width * scale), round(height * scale))


_STILL_BELOW = 1 / 3  # of fixed cameras 0.02 to 0.2, of walks 0.94 to 1.04
_GRID = 12, 16  # cells a picture is compared by
_PAIRS = 400
_BATCH = 500


def view_moves(frames: NDArray[np.uint8], *, seed: int = 0) -> float:
    """How much a cell of the picture differs from itself at a moment far away, as a share of its difference there from
    another cell: near 0 for a camera that stands still, near 1 for one that moves. A third or more counts as moving.

    Median over pairs of frames at least a quarter of the footage apart, each of the median over cells, with the change
    of light of the pair taken out.

    Args:
        frames: uint8 (N, H, W, 3) in order of time, at least two.
        seed: of the pairs.
    """
    random = np.random.default_rng(seed)
    lag = max(1, len(frames) // 4)
    first = random.integers(0, len(frames) - lag, _PAIRS)
    second = random.integers(first + lag, len(frames))
    grey = cell_means(frames)
    elsewhere = random.permutation(grey.shape[1])
    itself, another = (_typical(grey[first] - grey[second][:, order]) for order in (slice(None), elsewhere))
    return float(np.median(itself / np.maximum(another, np.finfo(np.float32).eps)))


def cell_means(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The mean grey level of each cell of 12x16 in frames uint8 (N, H, W, 3): (N, 192)."""
    batches = [
        frames[start : start + _BATCH].mean(axis=-1, dtype=np.float32) for start in range(0, len(frames), _BATCH)
    ]
    pool = torch.nn.functional.adaptive_avg_pool2d
    return np.concatenate([pool(torch.from_numpy(grey)[:, None], _GRID).flatten(1).numpy() for grey in batches])


def _typical(differences: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of pairs (N, cells) the median size, without what is common to all cells: (N,)."""
    sizes = np.abs(differences - np.median(differences, axis=1, keepdims=True))
    typical: NDArray[np.float32] = np.median(sizes, axis=1)
    return typical


def is_still(sample: Sample) -> NDArray[np.bool_]:
    """Which videos, or all pictures as one, a camera filmed that stands still: (videos,)."""
    parts = in_order(sample)
    return np.array([len(rows) > 1 and view_moves(sample.full_frames[rows]) < _STILL_BELOW for rows in parts])


def in_order(sample: Sample) -> list[NDArray[np.intp]]:
    """The frames of each video; pictures are one."""
    if sample.of_pictures:
        return [np.arange(len(sample))]
    return [np.flatnonzero(sample.sources == number) for number in range(len(sample.names))]
