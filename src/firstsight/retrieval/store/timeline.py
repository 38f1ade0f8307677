"""When and where each frame of a library was, all of them in order, held in memory: 24 bytes a frame."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from firstsight.retrieval.embedding import Embeddings
from firstsight.retrieval.store.where import Where

_MAX_FRAMES = 1 << 40  # of one source: at 1,000 a second the frames of 34 years


@dataclass(frozen=True, eq=False)
class Timeline:
    """N frames, by source in order of the library's `sources`, each in order of time."""

    frames: Embeddings  # without vectors: (N, 0)
    numbers: Mapping[int, int]  # of each source's id its position in `frames.sources`

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
        """(N,): which frames are meant, those of some sources left out.

        Raises:
            LibraryError: a name or pattern fits no source.
        """
        where, frames = where or Where(), self.frames
        is_wanted = np.zeros(len(frames.sources), np.bool_)
        is_wanted[where.chosen(frames.sources)] = True
        is_wanted &= [name not in without for name in frames.sources]
        chosen: NDArray[np.bool_] = is_wanted[frames.source_indices]
        if where.start_seconds is not None:
            chosen &= frames.seconds >= where.start_seconds
        if where.end_seconds is not None:
            chosen &= frames.seconds < where.end_seconds
        return chosen

    @cached_property
    def _keys(self) -> NDArray[np.int64]:
        return self.frames.source_indices * _MAX_FRAMES + self.frames.frame_indices
