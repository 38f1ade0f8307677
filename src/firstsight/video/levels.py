"""Which values of deep pictures are black and which are white: measured, and the same for all that belong together.

A camera of 12 bits fills a sixteenth of 16 bits, and counts of a microscope or a thermal camera less: taken as they
are, such pictures would be of one grey.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import SourceError
from firstsight.video.images import FULL_LEVELS, Levels, deep_values, is_picture

# Of each suffix, evenly spread: enough for a range, and a folder may hold a million.
_MAX_MEASURED = 256

# What uses more of its range than this is left as it is: it has 64 greys and more.
_MIN_SHARE = 1 / 4

# A few dead or hot pixels must not make the range: if all but this share at either end lie within half of it, they do.
_OUTLIERS = 0.0005
_VALUES_A_PICTURE = 16_384  # to find them


@dataclass(frozen=True)
class Measured:
    """The black and white of one kind of numbers, and what to tell a person about it; nothing if nothing is changed."""

    levels: Levels
    remark: str = ""


def full_levels(kind: str) -> Measured:
    """Those of values that use their range: 16 bits, or 0 to 1."""
    return Measured(FULL_LEVELS[kind])


def levels_of_files(paths: tuple[Path, ...], kind: str) -> Measured:
    """The levels for all of these pictures together."""
    return _levels(paths).get(kind) or full_levels(kind)


def levels_of_folder(folder: Path, kind: str) -> Measured:
    """The levels for the pictures that lie in this very folder, whether read together or one by one."""
    try:
        return levels_of_files(_pictures_in(folder, folder.stat().st_mtime_ns), kind)
    except OSError:
        return full_levels(kind)


@lru_cache(maxsize=64)
def _pictures_in(folder: Path, _changed_ns: int) -> tuple[Path, ...]:
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    return tuple(folder / name for name in names if is_picture(Path(name)))


@lru_cache(maxsize=64)
def _levels(paths: tuple[Path, ...]) -> dict[str, Measured]:
    """By kind of numbers; a kind that is not there is left out."""
    ranges = [found for path in _spread(paths) if (found := _range_of(path))]
    by_kind = groupby(sorted(ranges, key=lambda found: found.kind), lambda found: found.kind)
    return {kind: _chosen(kind, list(of_kind)) for kind, of_kind in by_kind}


@dataclass(frozen=True, eq=False)
class _Range:
    kind: str
    low: float
    high: float
    some: NDArray[np.float64]  # values of the picture, evenly spread


def _spread(paths: Sequence[Path]) -> Iterable[Path]:
    by_suffix = groupby(sorted(paths, key=lambda path: path.suffix.lower()), lambda path: path.suffix.lower())
    for _, group in by_suffix:
        of_suffix = list(group)
        count = min(len(of_suffix), _MAX_MEASURED)
        yield from (of_suffix[position] for position in np.linspace(0, len(of_suffix) - 1, count).round().astype(int))


def _range_of(path: Path) -> _Range | None:
    try:
        values = deep_values(path, name=path.name)
    except SourceError:
        return None  # reading it will tell
    if values is None:
        return None
    kind = "floating point" if values.dtype.kind == "f" else "integers"
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values.ravel()
    if not finite.size:
        return None
    some = finite[:: -(-finite.size // _VALUES_A_PICTURE)].astype(np.float64)
    return _Range(kind, float(finite.min()), float(finite.max()), some)


def _chosen(kind: str, ranges: Sequence[_Range]) -> Measured:
    low, high = min(found.low for found in ranges), max(found.high for found in ranges)
    full = FULL_LEVELS[kind]
    is_within = full.low <= low and high <= full.high
    inner_low, inner_high = np.quantile(
        np.concatenate([found.some for found in ranges]), (_OUTLIERS, 1 - _OUTLIERS), method="nearest"
    )
    has_outliers = inner_low < inner_high and inner_high - inner_low < (high - low) / 2
    if has_outliers:
        low, high = float(inner_low), float(inner_high)
    if low == high or (is_within and high - low > _MIN_SHARE * (full.high - full.low)):
        return full_levels(kind)
    return Measured(Levels(low, high), _remark(kind, low, high, has_outliers=has_outliers, ranges=ranges))


def _remark(kind: str, low: float, high: float, *, has_outliers: bool, ranges: Sequence[_Range]) -> str:
    kinds = {"integers": "of 16 bits" if high <= FULL_LEVELS["integers"].high else "of 32 bits"}
    values = f"values {low:g} to {high:g} {kinds.get(kind, 'in floating point')}"
    beyond = ", what lies beyond as these" if has_outliers else ""
    count = f"{len(ranges)} pictures" if len(ranges) > 1 else "one picture"
    return f"{values} are shown as black to white{beyond}; measured in {count}"
