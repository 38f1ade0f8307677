"""Clusters: groups of similar frames of a library, and the moments of each.

*Sources:* spherical k-means, Dhillon, Modha 2001; the number of groups by the largest mean silhouette, Rousseeuw,
"Silhouettes", 1987. Both by scikit-learn.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from firstsight.errors import LibraryError, SettingsError, check_count
from firstsight.library.embeddings import Embeddings, Sample
from firstsight.library.store import Store
from firstsight.library.thumbnails import frame_caption, gallery
from firstsight.progress import Progress, Report, silent
from firstsight.searching.moments import Moment, find_moments
from firstsight.text import counted

# The groups are found among so many evenly spaced frames; the rest join them.
_MAX_LEARNED_FROM = 4_000
MIN_FRAMES = 3  # that show anything
# Numbers of groups that are tried, each about one and a half times the one before.
_NUMBERS = (2, 3, 4, 6, 8, 12, 16, 24, 36, 50)
# Below this silhouette a group is mixed: it holds frames that fit no other. Rousseeuw takes 0.25 for "no substantial
# structure".
_MIXED = 0.1
_MIN_A_GROUP = 12  # frames on average, for a number to be tried: six seconds at a library's usual rate


@dataclass(frozen=True)
class Cluster:
    """Similar frames."""

    num_frames: int
    share: float  # of all frames, 0 to 1
    exemplar_source: str  # the frame most like the middle of the group
    exemplar_frame_index: int
    exemplar_seconds: float
    sources: tuple[tuple[str, int], ...]  # name and number of frames, the most first
    moments: tuple[Moment, ...]  # of its frames, by source and time
    silhouette: float | None  # mean over its frames, -1 to 1: near 0 it overlaps other groups; None of one alone
    is_mixed: bool  # its frames are hardly more like each other than like those of the nearest other group
    thumbnail: bytes = field(repr=False)  # of the exemplar, JPEG

    def to_json(self) -> dict[str, Any]:
        """As plain values, without the thumbnail."""
        return {name: value for name, value in asdict(self).items() if name != "thumbnail"}


@dataclass(frozen=True)
class Clusters:
    """All groups, the largest first."""

    library: str  # its folder
    clusters: tuple[Cluster, ...]
    silhouette: float | None  # mean over frames, -1 to 1: above 0.5 groups are separate, near 0 they overlap
    num_frames: int
    # (N,), of each frame of the library in order of its timeline, the position of its group in `clusters`; -1 of a
    # frame that shows nothing
    labels: NDArray[np.int64] = field(repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """As plain values, without the group of each frame."""
        kept = {name: value for name, value in vars(self).items() if name != "labels"}
        return {**kept, "clusters": [one.to_json() for one in self.clusters]}

    def to_arrow(self) -> pa.Table:
        """A row a moment: cluster, source, start_seconds, end_seconds, num_frames."""
        moments = [(number, one) for number, cluster in enumerate(self.clusters) for one in cluster.moments]
        return pa.table(
            {
                "cluster": pa.array([number for number, _ in moments], pa.int64()),
                "source": pa.array([one.source for _, one in moments], pa.string()),
                "start_seconds": pa.array([one.start_seconds for _, one in moments], pa.float64()),
                "end_seconds": pa.array([one.end_seconds for _, one in moments], pa.float64()),
                "num_frames": pa.array([one.num_frames for _, one in moments], pa.int64()),
            }
        )

    def _repr_html_(self) -> str:
        """For a notebook."""
        shown = [
            (one.thumbnail, f"{one.share:.1%}: {frame_caption(one.exemplar_source, one.exemplar_seconds)}")
            for one in self.clusters
        ]
        return gallery(f"{counted(len(shown), 'group')} of {self.num_frames} frames", shown)


def find_clusters(library: Store, num: int | None = None, *, progress: Report = silent) -> Clusters:
    """Groups of frames that are alike.

    Memory: 4 dim bytes a frame.

    Args:
        library: which one.
        num: how many groups; by default as many, up to 50, as hold together best.
        progress: called after each number of groups that was tried.

    Raises:
        SettingsError: less than 1 group, or more than there are different frames.
        LibraryError: the library has fewer than 3 (`MIN_FRAMES`) frames that show anything.

    Example:
        >>> with Library.open("walks.library") as library:  # doctest: +SKIP
        ...     for cluster in find_clusters(library).clusters:
        ...         print(f"{cluster.share:.0%}", cluster.exemplar_source, cluster.exemplar_seconds)
    """
    num = None if num is None else check_count("{} groups", num, at_least=None)
    frames = library.embeddings()
    is_shown = np.linalg.norm(frames.vectors, axis=1) > 0
    frames = frames[is_shown]
    if len(frames) < MIN_FRAMES:
        raise LibraryError(f"{library.name} has {len(frames)} frames that show anything; index more footage")
    sample = Sample(_MAX_LEARNED_FROM)
    sample.add(frames)
    learned_from = sample.embeddings().vectors
    num_different = len(np.unique(learned_from, axis=0))
    if num is not None and not 1 <= num <= num_different:
        raise SettingsError(f"{num} groups of {num_different} different frames; valid are 1 to {num_different}")
    centres, silhouette = best_centres(learned_from, _numbers(num, num_different), progress=progress)
    nearest = (frames.vectors @ centres.T).argmax(axis=1)
    silhouettes = _silhouettes(learned_from, (learned_from @ centres.T).argmax(axis=1))
    groups, counts = np.unique(nearest, return_counts=True)
    largest_first = groups[np.argsort(-counts, kind="stable")]
    found = tuple(
        _cluster(library, frames, nearest == group, centres[group], silhouette=silhouettes.get(int(group)))
        for group in largest_first
    )
    labels = np.full(len(is_shown), -1, np.int64)
    for number, group in enumerate(largest_first):
        labels[np.flatnonzero(is_shown)[nearest == group]] = number
    return Clusters(library.name, found, silhouette, len(frames), labels)


def best_centres(
    vectors: NDArray[np.float32], numbers: tuple[int, ...], *, progress: Report = silent
) -> tuple[NDArray[np.float32], float | None]:
    """The centres (k, dim), of unit length, of as many groups as hold together best, and their mean silhouette.

    One group alone has no silhouette, nor has a frame a group.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    best: tuple[NDArray[np.float32], float | None] | None = None
    for tried, num in enumerate(numbers, start=1):
        fitted = KMeans(num, n_init=3, random_state=0).fit(vectors)
        is_one = not 2 <= len(np.unique(fitted.labels_)) < len(vectors)
        silhouette = None if is_one else float(silhouette_score(vectors, fitted.labels_, metric="cosine"))
        if best is None or (silhouette or 0.0) > (best[1] or 0.0):
            lengths = np.linalg.norm(fitted.cluster_centers_, axis=1, keepdims=True)
            best = (fitted.cluster_centers_ / np.maximum(lengths, 1e-6)).astype(np.float32), silhouette
        progress(Progress("grouping", tried, len(numbers), state=f"{num} groups"))
    assert best is not None  # at least one number is tried
    return best


def _numbers(num: int | None, num_different: int) -> tuple[int, ...]:
    if num is not None:
        return (num,)
    if num_different < 2 * _MIN_A_GROUP:
        return (1,)
    return tuple(number for number in _NUMBERS if number * _MIN_A_GROUP <= num_different)


def _silhouettes(vectors: NDArray[np.float32], groups: NDArray[np.int64]) -> dict[int, float]:
    """Of each group the mean silhouette of its vectors; of one group alone none."""
    from sklearn.metrics import silhouette_samples

    present = np.unique(groups)
    if not 2 <= len(present) < len(vectors):
        return {}
    each = silhouette_samples(vectors, groups, metric="cosine")
    return {int(group): float(each[groups == group].mean()) for group in present}


def _cluster(
    library: Store,
    frames: Embeddings,
    members: NDArray[np.bool_],
    centre: NDArray[np.float32],
    *,
    silhouette: float | None,
) -> Cluster:
    rows = np.flatnonzero(members)
    best = int(rows[(frames.vectors[rows] @ centre).argmax()])
    counts = np.bincount(frames.source_indices[rows], minlength=len(frames.sources))
    order = [int(one) for one in np.argsort(-counts, kind="stable") if counts[one]]
    exemplar = frames.source_of(best), int(frames.frame_indices[best])
    moments = find_moments(members.astype(np.float32), frames, threshold=1.0, gap_seconds=0)
    return Cluster(
        num_frames=len(rows),
        share=len(rows) / len(frames),
        exemplar_source=exemplar[0],
        exemplar_frame_index=exemplar[1],
        exemplar_seconds=float(frames.seconds[best]),
        sources=tuple((frames.sources[one], int(counts[one])) for one in order),
        moments=tuple(sorted(moments, key=lambda one: (one.source, one.start_seconds))),
        silhouette=silhouette,
        is_mixed=len(rows) > 1 and silhouette is not None and silhouette < _MIXED,
        thumbnail=library.thumbnails([exemplar])[0],
    )
