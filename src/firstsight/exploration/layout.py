"""A map of footage: each frame a point in the plane, frames that are alike near each other.

Source: van der Maaten, Hinton, "Visualizing data using t-SNE", 2008, by scikit-learn, begun from the two directions of
largest variance, as Kobak, Berens, "The art of using t-SNE for single-cell transcriptomics", 2019, advise.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from firstsight.errors import SettingsError
from firstsight.library.embeddings import Embeddings
from firstsight.library.selection import Where
from firstsight.library.store import Store
from firstsight.progress import Progress, Report, silent

MOST_FRAMES = 2_000  # a minute's work or so; more points could not be told apart in a picture either
_PERPLEXITY = 30.0  # neighbours that count; fewer where there are few frames
_INNER_DIM = 50
_LEAST_FRAMES = 4
_EQUAL = 1e-6  # frames that differ by less are equal


@dataclass(frozen=True, eq=False)
class FrameMap:
    """Some frames of a library, and where each lies in the plane."""

    library: str  # its folder
    frames: Embeddings  # N, spread evenly over those that were asked for
    points: NDArray[np.float32]  # (N, 2), in the unit square, y downwards
    num_frames: int  # altogether, of which these are a sample

    def summary(self) -> str:
        """How many frames are shown, and of how many."""
        if len(self.frames) == self.num_frames:
            return f"All {self.num_frames:,} frames."
        return f"{len(self.frames):,} of {self.num_frames:,} frames, spread evenly over them."

    def to_arrow(self) -> pa.Table:
        """A row a frame: source, frame, seconds, x, y."""
        names = [self.frames.source_of(row) for row in range(len(self.frames))]
        return pa.table(
            {
                "source": pa.array(names, pa.string()),
                "frame": self.frames.frame_indices,
                "seconds": self.frames.seconds,
                "x": self.points[:, 0],
                "y": self.points[:, 1],
            }
        )

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        numbers = {"num_shown": len(self.frames), "num_frames": self.num_frames}
        return {"library": self.library, **numbers, "points": self.to_arrow().to_pylist()}


def map_frames(library: Store, *, where: Where | None = None, seed: int = 0, progress: Report = silent) -> FrameMap:
    """A map of a library's frames; of many, of 2,000 spread evenly over them.

    Args:
        library: which one.
        where: which frames; all by default.
        seed: of what is drawn.
        progress: called once.

    Raises:
        SettingsError: fewer than four frames.
        LibraryError: a name or pattern fits no source.
    """
    chosen = library.embeddings(where)
    frames = chosen[spread_rows(len(chosen))]
    progress(Progress("laying out", 0, None, f"{len(frames)} frames"))
    return FrameMap(str(library.path), frames, lay_out(frames.vectors, seed=seed), len(chosen))


def lay_out(vectors: NDArray[np.float32], *, seed: int = 0) -> NDArray[np.float32]:
    """A point in the unit square for each frame, (N, 2): near each other what is alike; other distances mean little.

    Args:
        vectors: (N, dim).
        seed: of what is drawn.

    Raises:
        SettingsError: fewer than four frames.
    """
    num = len(vectors)
    if num < _LEAST_FRAMES:
        raise SettingsError(
            f"a map of {num} frames; valid is at least {_LEAST_FRAMES}: index more footage, or more frames a second"
        )
    inner = _principal(vectors)
    spread = float(inner[:, 0].std())
    if inner.shape[1] < 2 or spread < _EQUAL:
        return _in_square(np.pad(inner, ((0, 0), (0, 1)))[:, :2])
    from sklearn.manifold import TSNE

    start = inner[:, :2] / spread * 1e-4
    perplexity = min(_PERPLEXITY, (num - 1) / 3)
    placed = TSNE(2, perplexity=perplexity, init=start.astype(np.float32), random_state=seed).fit_transform(inner)
    return _in_square(placed)


def _principal(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The vectors along their directions of largest variance, as many as they have, at most 50: (N, D)."""
    centred = vectors - vectors.mean(axis=0)
    left, lengths, _ = np.linalg.svd(centred, full_matrices=False)
    kept = max(1, int((lengths[:_INNER_DIM] > _EQUAL).sum()))
    inner: NDArray[np.float32] = left[:, :kept] * lengths[:kept]
    return inner


def spread_rows(num: int, most: int = MOST_FRAMES) -> NDArray[np.intp]:
    """At most so many of a number of rows, spread evenly, ascending."""
    return np.unique(np.linspace(0, num - 1, min(num, most)).astype(np.intp))


def _in_square(points: NDArray[np.floating]) -> NDArray[np.float32]:
    """Moved and scaled into the unit square, x and y by the same factor."""
    low, size = points.min(axis=0), max(float(np.ptp(points, axis=0).max()), 1e-9)
    middle = (1 - np.ptp(points, axis=0) / size) / 2
    found: NDArray[np.float32] = ((points - low) / size + middle).astype(np.float32)
    return found
