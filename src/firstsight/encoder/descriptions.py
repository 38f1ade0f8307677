"""Frames as an encoder sees them, computed now or stored. Does not load PyTorch."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Descriptions:
    """N frames as an encoder sees them."""

    vectors: NDArray[np.float32]  # (N, dim), the embeddings, each of length 1, or 0
    # (N, 2, rows, columns, numbers), int8: parts of the frame by a colour and by a grey network; None if the encoder
    # has no second stage
    cells: NDArray[np.int8] | None = None
    in_place: NDArray[np.float32] | None = None  # (N, d), of length 1: what is where, to propose candidates

    @property
    def parts(self) -> list[NDArray[Any]]:
        """Those that there are."""
        return [part for part in (self.vectors, self.cells, self.in_place) if part is not None]


class CellStage(Protocol):
    """Compares the cells of frames, as the second stage of their encoder does, which it may stand for."""

    @property
    def weight(self) -> float:
        """Of its agreement in a similarity, 0 to 1; the cosine has the rest."""

    def fused(self, cosines: NDArray[np.float32], agreements: NDArray[np.float32]) -> NDArray[np.float32]:
        """Similarities (K,), -1 to 1, of cosines of the embeddings and agreements (K,)."""

    def agreement(self, query: NDArray[np.int8], others: NDArray[np.int8]) -> NDArray[np.float32]:
        """How well frames with cells (K, ...) agree with one, (K,): 1 for itself, about 0 for an unrelated one."""
