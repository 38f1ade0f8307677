"""Some of many embeddings, spread evenly over all that come, in bounded memory."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import SettingsError
from firstsight.retrieval.embedding import Embeddings


class Sample:
    """Keeps every so-many-th of the frames that come, so that there are never more than a maximum.

    Args:
        most: how many to keep, from 1; of any larger number at least half as many are kept.
    """

    def __init__(self, most: int) -> None:
        if most < 1:
            raise SettingsError(f"a sample of {most} frames; valid is at least 1")
        self._most = most
        self._num_seen = 0
        self._step = 1  # of all frames seen, those at its multiples are kept
        self._kept: list[Embeddings] = []

    def add(self, frames: Embeddings) -> None:
        """Some more frames."""
        self._kept.append(frames[-self._num_seen % self._step :: self._step])
        self._num_seen += len(frames)
        while len(self) > self._most:
            self._kept = [_chained(self._kept)[::2]]
            self._step *= 2

    def __len__(self) -> int:
        """How many are kept."""
        return sum(map(len, self._kept))

    def embeddings(self) -> Embeddings:
        """What was kept, by source and in order of time."""
        return joined(self._kept)


def joined(batches: Sequence[Embeddings]) -> Embeddings:
    """One of several of the same library, at least one, by source and in order of time."""
    together = _chained(batches)
    order: NDArray[np.intp] = np.lexsort((together.frame_indices, together.source_indices))
    return together[order]


def _chained(batches: Sequence[Embeddings]) -> Embeddings:
    return Embeddings(
        np.concatenate([one.vectors for one in batches]),
        np.concatenate([one.seconds for one in batches]),
        np.concatenate([one.frame_indices for one in batches]),
        np.concatenate([one.source_indices for one in batches]),
        batches[0].sources,
    )
