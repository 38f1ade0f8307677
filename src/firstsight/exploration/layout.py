"""A map of footage: each frame a point in the plane, similar frames near each other.

Source: van der Maaten, Hinton, "Visualizing data using t-SNE", 2008, by scikit-learn, begun from the two directions of
largest variance, as Kobak, Berens, "The art of using t-SNE for single-cell transcriptomics", 2019, advise.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from firstsight.errors import SettingsError, check_seed
from firstsight.library.embeddings import Embeddings
from firstsight.library.selection import Where
from firstsight.library.store import Store
from firstsight.progress import Progress, Report, silent

_MAX_FRAMES = 2_000  # takes a minute or so; a picture of more points would not be readable
_PERPLEXITY = 30.0  # neighbours that count; fewer where there are few frames
_INNER_DIM = 50
_MIN_FRAMES = 4
_NUM_NEAR = 3
_EQUAL = 1e-6  # frames that differ by less are equal


@dataclass(frozen=True, eq=False)
class FrameMap:
    """Some frames of a library, and the position of each in the plane."""

    library: str  # its folder
    frames: Embeddings  # N, evenly spaced among those that were chosen
    points: NDArray[np.float32]  # (N, 2), in the unit square, y downwards
    num_frames: int  # altogether, of which these are a sample

    def summary(self) -> str:
        """How many frames are shown, and of how many."""
        if len(self.frames) == self.num_frames:
            return f"All {self.num_frames:,} frames."
        return f"{len(self.frames):,} of {self.num_frames:,} frames, evenly spaced."

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
    """A map of a library's frames; of more than 2,000, of as many evenly spaced ones.

    Args:
        library: which one.
        where: which frames; all by default.
        seed: of t-SNE; an integer from 0 to 2**32 - 1.
        progress: called once.

    Raises:
        SettingsError: fewer than four frames, or another seed.
        LibraryError: a name or pattern fits no source.
    """
    seed = check_seed(seed)
    chosen = library.embeddings(where)
    frames = chosen[evenly_spaced(len(chosen))]
    progress(Progress("laying out", 0, None, f"{len(frames)} frames"))
    return FrameMap(library.name, frames, lay_out(frames.vectors, seed=seed), len(chosen))


def lay_out(vectors: NDArray[np.float32], *, seed: int = 0) -> NDArray[np.float32]:
    """A point in the unit square for each frame, (N, 2): similar frames near each other; large distances do not count.

    Args:
        vectors: (N, dim).
        seed: of t-SNE; an integer from 0 to 2**32 - 1.

    Raises:
        SettingsError: fewer than four frames, or another seed.
    """
    num, seed = len(vectors), check_seed(seed)
    if num < _MIN_FRAMES:
        raise SettingsError(
            f"a map of {num} frames; valid is at least {_MIN_FRAMES}: index more footage, or more frames a second"
        )
    inner = _principal(vectors)
    deviation = float(inner[:, 0].std())
    if inner.shape[1] < 2 or deviation < _EQUAL:
        return _in_square(np.pad(inner, ((0, 0), (0, 1)))[:, :2])
    from sklearn.manifold import TSNE

    start = inner[:, :2] / deviation * 1e-4
    perplexity = min(_PERPLEXITY, (num - 1) / 3)
    placed = TSNE(2, perplexity=perplexity, init=start.astype(np.float32), random_state=seed).fit_transform(inner)
    return _in_square(placed)


def place_others(
    vectors: NDArray[np.float32], laid_out: NDArray[np.float32], points: NDArray[np.float32]
) -> NDArray[np.float32]:
    """A point (N, 2) for frames that are not among those laid out: near the three that they are most like.

    Each is the mean of these three, weighted by how much more alike they are than the fourth; so a frame that was laid
    out is put where it lies, and frames between two lie between them.

    Args:
        vectors: (N, dim), of unit length.
        laid_out: (M, dim), four or more.
        points: (M, 2), of these.
    """
    similarities = vectors @ laid_out.T
    nearest = np.argpartition(-similarities, _NUM_NEAR, axis=1)[:, : _NUM_NEAR + 1]
    found = np.take_along_axis(similarities, nearest, axis=1)
    order = np.argsort(-found, axis=1)
    nearest, found = np.take_along_axis(nearest, order, axis=1), np.take_along_axis(found, order, axis=1)
    closer = (found[:, :_NUM_NEAR] - found[:, _NUM_NEAR:]) ** 2 + _EQUAL
    weights = closer / closer.sum(axis=1, keepdims=True)
    placed: NDArray[np.float32] = (points[nearest[:, :_NUM_NEAR]] * weights[:, :, None]).sum(axis=1).astype(np.float32)
    return placed


def _principal(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The vectors along their directions of largest variance, as many as they have, at most 50: (N, D)."""
    centred = vectors - vectors.mean(axis=0)
    left, lengths, _ = np.linalg.svd(centred, full_matrices=False)
    kept = max(1, int((lengths[:_INNER_DIM] > _EQUAL).sum()))
    inner: NDArray[np.float32] = left[:, :kept] * lengths[:kept]
    return inner


def evenly_spaced(num: int, most: int = _MAX_FRAMES) -> NDArray[np.intp]:
    """At most `most` of `num` rows, evenly spaced, ascending."""
    return np.unique(np.linspace(0, num - 1, min(num, most)).astype(np.intp))


def _in_square(points: NDArray[np.floating]) -> NDArray[np.float32]:
    """Moved and scaled into the unit square, x and y by the same factor."""
    low, size = points.min(axis=0), max(float(np.ptp(points, axis=0).max()), 1e-9)
    middle = (1 - np.ptp(points, axis=0) / size) / 2
    found: NDArray[np.float32] = ((points - low) / size + middle).astype(np.float32)
    return found
