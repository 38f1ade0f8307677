"""The kind of footage: in order or not, and how much left and right differ."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from firstsight.closed_form.projection import principal, unit

_NUM_RUNS, _RUN_LENGTH = 16, 20  # of neighbouring frames that are compared
_PROBE_DIM = 128
# If the next frame were any frame, half of all others would be more similar: mean rank 0.5.
_ORDERED_BELOW = 0.4
# If left and right can be exchanged, the mirror image is as similar to its nearest other frame as the frame: ratio 1,
# and more where much is symmetric. The less it is, the more what tells them apart counts.
_ALIKE_ABOVE, _UNLIKE_BELOW = 1.1, 0.8
NEGLIGIBLE = 0.2  # a weight that leaves a twenty-fifth of the variance: such parts are not read at all


@dataclass(frozen=True)
class FootageKind:
    """Three measurements, and the answers derived from them."""

    rank_by_whole: float  # of the next frame among all, by means over the entire frame; 0 nearest, 0.5 chance
    rank_by_cells: float  # the same, by means over 4x4 cells
    mirror_ratio: float  # similarity of the mirror image to its nearest other frame / of the frame itself

    @property
    def ordered(self) -> bool:
        """Whether the next frame tends to show the same thing."""
        return min(self.rank_by_whole, self.rank_by_cells) < _ORDERED_BELOW

    @property
    def handedness(self) -> float:
        """How much it matters what is left and what is right: 0, not at all, or 0.2 to 1."""
        degree = (_ALIKE_ABOVE - self.mirror_ratio) / (_ALIKE_ABOVE - _UNLIKE_BELOW)
        return min(1.0, degree) if degree >= NEGLIGIBLE else 0.0


def probe_indices(num_frames: int) -> NDArray[np.intp]:
    """The frames to compare: runs of neighbours, spread evenly over all."""
    starts = np.linspace(0, max(0, num_frames - _RUN_LENGTH), _NUM_RUNS).astype(int)
    return np.unique((starts[:, None] + np.arange(_RUN_LENGTH)).clip(0, num_frames - 1))


def classify_footage(
    global_means: Tensor, cell_means: Tensor, mirrored_cell_means: Tensor, indices: NDArray[np.intp]
) -> FootageKind:
    """The kind of footage from features of the frames with those indices.

    Args:
        global_means: (N, dim), means over the entire frame.
        cell_means: (N, dim), means over 4x4 cells.
        mirrored_cell_means: the same of the mirror images.
        indices: of the N frames, ascending.
    """
    followed = np.flatnonzero(np.diff(indices) == 1)
    to_vectors = _whitened(cell_means)
    vectors = to_vectors(cell_means)
    ranks = [_next_rank(rows, followed) for rows in (_whitened(global_means)(global_means), vectors)]
    window = _RUN_LENGTH // 2 if min(ranks) < _ORDERED_BELOW else 0
    ratio = _mirror_ratio(vectors, to_vectors(mirrored_cell_means), window)
    return FootageKind(ranks[0], ranks[1], ratio)


def _whitened(rows: Tensor) -> Callable[[Tensor], Tensor]:
    """What centres rows like these, whitens them by three quarters, and scales them to unit length."""
    mean = rows.mean(dim=0)
    variances, directions = principal(rows - mean, _PROBE_DIM)
    matrix = directions / variances.pow(0.375)
    return lambda others: unit((others - mean) @ matrix)


def _next_rank(vectors: Tensor, followed: NDArray[np.intp]) -> float:
    """Mean share of all frames that are more similar to a frame than the next one is."""
    if not len(followed):
        return 0.5
    similarities = vectors @ vectors.T
    following = similarities[followed, followed + 1]
    return float((similarities[followed] > following[:, None]).float().mean())


def _mirror_ratio(vectors: Tensor, mirrored: Tensor, window: int) -> float:
    """Frames closer than `window` do not count as other frames."""
    position = torch.arange(len(vectors))
    near = (position[:, None] - position[None]).abs() <= window
    if bool(near.all()):
        return 0.0
    own = (vectors @ vectors.T).masked_fill(near, -1).amax(dim=1).mean()
    other = (mirrored @ vectors.T).masked_fill(near, -1).amax(dim=1).mean()
    return float(other / own.clamp_min(1e-6))
