"""What kind of footage is it? Three questions that decide how it is read out, answered by the footage itself."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from firstsight.closed_form.projection import principal, unit

_NUM_RUNS, _RUN_LENGTH = 16, 40  # of neighbouring frames that are looked at
_PROBE_DIM = 128
# If the frame that follows were any frame, half of all others would be more alike: mean rank 0.5.
_ORDERED_BELOW = 0.4
# If left and right do not matter, the mirror image has as near a neighbour among the others as the frame: ratio 1.
_MIRROR_ABOVE = 0.9


@dataclass(frozen=True)
class FootageKind:
    """The answers, and the numbers they rest on."""

    rank_by_whole: float  # of the next frame among all, by means over the whole frame; 0 nearest, 0.5 chance
    rank_by_cells: float  # the same, by means over 4x4 cells
    mirror_ratio: float  # similarity of the mirror image to its nearest other frame / of the frame itself

    @property
    def ordered(self) -> bool:
        """Whether the frame that follows tends to show the same thing."""
        return min(self.rank_by_whole, self.rank_by_cells) < _ORDERED_BELOW

    @property
    def moving(self) -> bool:
        """Whether the view moves: the next frame has the same things in other places."""
        return self.ordered and self.rank_by_whole < self.rank_by_cells

    @property
    def mirror(self) -> bool:
        """Whether left and right can be exchanged without harm."""
        return self.mirror_ratio > _MIRROR_ABOVE


def probe_indices(num_frames: int) -> NDArray[np.intp]:
    """Which frames to look at: runs of neighbours, spread over all."""
    starts = np.linspace(0, max(0, num_frames - _RUN_LENGTH), _NUM_RUNS).astype(int)
    return np.unique((starts[:, None] + np.arange(_RUN_LENGTH)).clip(0, num_frames - 1))


def look(whole: Tensor, cells: Tensor, cells_mirrored: Tensor, indices: NDArray[np.intp]) -> FootageKind:
    """The kind of footage from features of the frames with those indices.

    Args:
        whole: (N, dim), means over the whole frame.
        cells: (N, dim), means over 4x4 cells.
        cells_mirrored: the same of the mirror images.
        indices: of the N frames, ascending.
    """
    followed = np.flatnonzero(np.diff(indices) == 1)
    by_whole, by_cells = _embedding(whole), _embedding(cells)
    ranks = [_next_rank(embed(rows), followed) for embed, rows in ((by_whole, whole), (by_cells, cells))]
    window = _RUN_LENGTH // 2 if min(ranks) < _ORDERED_BELOW else 0
    ratio = _mirror_ratio(by_cells(cells), by_cells(cells_mirrored), window)
    return FootageKind(ranks[0], ranks[1], ratio)


def _embedding(rows: Tensor) -> "_Embed":
    mean = rows.mean(dim=0)
    variances, directions = principal(rows - mean, _PROBE_DIM)
    return _Embed(mean, directions / variances.pow(0.375))


@dataclass(frozen=True)
class _Embed:
    """Centred, three quarters whitened, unit length."""

    mean: Tensor
    matrix: Tensor

    def __call__(self, rows: Tensor) -> Tensor:
        return unit((rows - self.mean) @ self.matrix)


def _next_rank(vectors: Tensor, followed: NDArray[np.intp]) -> float:
    """Mean share of all frames that are more alike to a frame than the one that follows it."""
    if not len(followed):
        return 0.5
    similarities = vectors @ vectors.T
    following = similarities[followed, followed + 1]
    return float((similarities[followed] > following[:, None]).float().mean())


def _mirror_ratio(vectors: Tensor, mirrored: Tensor, window: int) -> float:
    """Frames closer than `window` do not count as other frames."""
    place = torch.arange(len(vectors))
    near = (place[:, None] - place[None]).abs() <= window
    if bool(near.all()):
        return 0.0
    own = (vectors @ vectors.T).masked_fill(near, -1).amax(dim=1).mean()
    other = (mirrored @ vectors.T).masked_fill(near, -1).amax(dim=1).mean()
    return float(other / own.clamp_min(1e-6))
