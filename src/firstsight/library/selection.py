"""A choice of frames by source and time, and the timeline of a library, held in memory: 24 bytes a frame."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import LibraryError, SettingsError, brief, number_of
from firstsight.files import listed
from firstsight.library.embeddings import Embeddings

_NAMES_SHOWN = 3  # of sources, in the error about an unknown one
_NUM_TIMES = 2

Name = str | os.PathLike[str]  # of a source, or a pattern such as "2026-*/gate.mp4"
Names = Name | Sequence[Name]
Between = tuple[float | None, float | None]  # seconds of each source


@dataclass(frozen=True)
class Where:
    """A choice of frames; the default is all of them."""

    sources: tuple[str, ...] = ()  # names, or patterns such as "2026-*/gate.mp4"; none is all
    start_seconds: float | None = None  # the first frame chosen is at or after it, in its own source
    end_seconds: float | None = None  # the last is before it

    def __post_init__(self) -> None:
        start, end = (None if one is None else number_of(one) for one in (self.start_seconds, self.end_seconds))
        if not all(one is None or one >= 0 for one in (start, end)):
            given = f"frames from {brief(self.start_seconds)} s to {brief(self.end_seconds)} s"
            raise SettingsError(f"{given}; valid are seconds from 0")
        object.__setattr__(self, "start_seconds", start)
        object.__setattr__(self, "end_seconds", end)
        if end is not None and (start or 0) >= end:
            raise SettingsError(f"the end, {end:g} s, is not after the start, {start or 0:g} s: give a later end")

    @classmethod
    def of(cls, sources: Names | None, between: Between | None) -> "Where":
        """The frames of some sources, or of all, between two times; None is open.

        Raises:
            SettingsError: something else is given.
        """
        times: Any = (None, None) if between is None else between
        if not isinstance(times, Sequence | np.ndarray) or isinstance(times, str | bytes) or len(times) != _NUM_TIMES:
            raise SettingsError(f"between {brief(between)}; valid are two times in seconds, as (60, 90) or (60, None)")
        return cls(names_of(() if sources is None else sources), *times)

    def __bool__(self) -> bool:
        """Whether it leaves anything out."""
        return self != Where()

    def chosen(self, names: Sequence[str]) -> list[int]:
        """The positions of the chosen sources, ascending.

        Raises:
            LibraryError: a name or pattern matches no source.
        """
        if not self.sources:
            return list(range(len(names)))
        return sorted({position for wanted in self.sources for position in _matching(wanted, names)})


def names_of(sources: Names) -> tuple[str, ...]:
    """The names of one source, or of several, as the library has them.

    Raises:
        SettingsError: something else is given.
    """
    return tuple(os.fspath(one) for one in listed(sources, name="source"))


def _matching(wanted: str, names: Sequence[str]) -> list[int]:
    """The source of that name; if there is none, those that match the pattern."""
    if wanted in names:
        return [names.index(wanted)]
    if matching := [position for position, name in enumerate(names) if fnmatchcase(name, wanted)]:
        return matching
    there = ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
    raise LibraryError(
        f"no source of the library is called {brief(wanted)} or matches it; there are {there or 'none yet'}"
    )


_MAX_FRAMES = 1 << 40  # of one source: at 1,000 a second the frames of 34 years


@dataclass(frozen=True, eq=False)
class Timeline:
    """N frames, by source in order of the library's `sources`, each in order of time."""

    frames: Embeddings  # without vectors: (N, 0)
    numbers: Mapping[int, int]  # position in `frames.sources` by source id

    def __len__(self) -> int:
        return len(self.frames)

    def find(self, source_ids: NDArray[np.int64], frame_indices: NDArray[np.int64]) -> NDArray[np.intp]:
        """The positions (M,) of those frames; -1 of one that the library does not show."""
        ids, which = np.unique(source_ids, return_inverse=True)
        numbers = np.array([self.numbers.get(one, -1) for one in ids.tolist()], np.int64)[which]
        keys = numbers * _MAX_FRAMES + frame_indices
        found = np.searchsorted(self._keys, keys)
        is_there = found < len(self)
        is_there[is_there] = self._keys[found[is_there]] == keys[is_there]
        return np.where(is_there, found, -1)

    def chosen(self, where: Where | None, *, without: frozenset[str]) -> NDArray[np.bool_]:
        """(N,): which frames are chosen, without those of some sources.

        Raises:
            LibraryError: a name or pattern matches no source.
        """
        where, frames = where or Where(), self.frames
        is_wanted = np.zeros(len(frames.sources), np.bool_)
        is_wanted[where.chosen(frames.sources)] = True
        is_wanted &= np.array([name not in without for name in frames.sources], np.bool_)
        chosen: NDArray[np.bool_] = is_wanted[frames.source_indices]
        if where.start_seconds is not None:
            chosen &= frames.seconds >= where.start_seconds
        if where.end_seconds is not None:
            chosen &= frames.seconds < where.end_seconds
        return chosen

    @cached_property
    def _keys(self) -> NDArray[np.int64]:
        return self.frames.source_indices * _MAX_FRAMES + self.frames.frame_indices
