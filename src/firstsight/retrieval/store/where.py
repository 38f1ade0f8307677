"""Which frames of a library are meant: those of some sources, those of a stretch of time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from firstsight.errors import LibraryError, SettingsError

_NAMES_SHOWN = 3  # of the sources there are, when one is asked for that is not


@dataclass(frozen=True)
class Where:
    """A choice of frames; the default is all of them."""

    sources: tuple[str, ...] = ()  # names, or patterns such as "2026-*/gate.mp4"; none is all
    start_seconds: float | None = None  # the first frame meant is at or after it, in its own source
    end_seconds: float | None = None  # the last is before it

    def __post_init__(self) -> None:
        start, end = self.start_seconds, self.end_seconds
        for value in (start, end):
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise SettingsError(f"frames from {start} s to {end} s; valid are seconds from 0")
        if end is not None and (start or 0) >= end:
            raise SettingsError(f"the end, {end:g} s, is not after the start, {start or 0:g} s: give a later end")

    def __bool__(self) -> bool:
        """Whether it leaves anything out."""
        return self != Where()

    def chosen(self, names: Sequence[str]) -> list[int]:
        """The positions of the sources that are meant, ascending.

        Raises:
            LibraryError: a name or pattern fits no source.
        """
        if not self.sources:
            return list(range(len(names)))
        return sorted({position for wanted in self.sources for position in _fitting(wanted, names)})


def _fitting(wanted: str, names: Sequence[str]) -> list[int]:
    """The source of that very name; if there is none, those that the pattern fits."""
    if wanted in names:
        return [names.index(wanted)]
    if fitting := [position for position, name in enumerate(names) if fnmatchcase(name, wanted)]:
        return fitting
    there = ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
    raise LibraryError(f"no source of the library is called {wanted!r} or fits it; there are {there or 'none yet'}")
