"""What there is in a library: groups of frames that are alike, and when each is to be seen.

*Sources:* spherical k-means, Dhillon, Modha 2001; the number of groups by the largest mean silhouette, Rousseeuw,
"Silhouettes", 1987. Both by scikit-learn.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import LibraryError, SettingsError
from firstsight.library.embeddings import Embeddings, Sample
from firstsight.library.store import Store
from firstsight.searching.moments import Moment, find_moments

# The groups are found among so many frames, spread evenly; the rest join them.
_MOST_LEARNED_FROM = 4_000
# Numbers that are tried, each about a half more than the one before: between two of them little changes.
_NUMBERS = (2, 3, 4, 6, 8, 12, 16, 24, 36, 50)
# Below this silhouette a group holds what fits nowhere else. Rousseeuw takes 0.25 for "no substantial structure".
_MIXED = 0.1
_LEAST_A_GROUP = 12  # frames on average, for a number to be tried: six seconds as a library is usually sampled


@dataclass(frozen=True)
class Cluster:
    """Frames that are alike."""

    num_frames: int
    share: float  # of all frames, 0 to 1
    exemplar_source: str  # the frame most like the middle of the group
    exemplar_frame_index: int
    exemplar_seconds: float
    sources: tuple[tuple[str, int], ...]  # name and number of frames, the most first
    moments: tuple[Moment, ...]  # when it is to be seen, by source and time
    silhouette: float  # mean over its frames, -1 to 1: near 0 it runs into other groups
    is_mixed: bool  # its frames are hardly more like each other than like those of the nearest other group


@dataclass(frozen=True)
class Clusters:
    """All groups, the largest first."""

    clusters: tuple[Cluster, ...]
    silhouette: float  # mean over frames, -1 to 1: above 0.5 groups are apart, near 0 they run into each other
    num_frames: int


def find_clusters(
    library: Store, num: int | None = None, *, progress: Callable[[int], None] = lambda _: None
) -> Clusters:
    """Groups of frames that are alike.

    Memory: 4 dim bytes a frame.

    Args:
        library: which one.
        num: how many groups; by default as many, up to 50, as hold together best.
        progress: is told which number of groups was tried.

    Raises:
        SettingsError: less than 1 group, or more than there are different frames.
        LibraryError: the library has fewer than 3 frames that show anything.

    Example:
        >>> with Library.open("walks.library") as library:  # doctest: +SKIP
        ...     for cluster in find_clusters(library).clusters:
        ...         print(f"{cluster.share:.0%}", cluster.exemplar_source, cluster.exemplar_seconds)
    """
    frames = library.embeddings()
    frames = frames[np.linalg.norm(frames.vectors, axis=1) > 0]
    if len(frames) < 3:
        raise LibraryError(f"{library.path} has {len(frames)} frames that show anything; index more footage")
    sample = Sample(_MOST_LEARNED_FROM)
    sample.add(frames)
    learned_from = sample.embeddings().vectors
    num_different = len(np.unique(learned_from, axis=0))
    if num is not None and not 1 <= num <= num_different:
        raise SettingsError(f"{num} groups of {num_different} different frames; valid are 1 to {num_different}")
    centres, silhouette = best_centres(learned_from, _numbers(num, num_different), progress=progress)
    nearest = (frames.vectors @ centres.T).argmax(axis=1)
    silhouettes = _silhouettes(learned_from, (learned_from @ centres.T).argmax(axis=1))
    found = [
        _cluster(frames, nearest == group, centres[group], silhouettes.get(int(group), 0.0))
        for group in np.unique(nearest)
    ]
    return Clusters(tuple(sorted(found, key=lambda one: -one.num_frames)), silhouette, len(frames))


def best_centres(
    vectors: NDArray[np.float32], numbers: tuple[int, ...], *, progress: Callable[[int], None] = lambda _: None
) -> tuple[NDArray[np.float32], float]:
    """The centres (k, dim), of unit length, of as many groups as hold together best, and their mean silhouette."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    best: tuple[NDArray[np.float32], float] | None = None
    for num in numbers:
        fitted = KMeans(num, n_init=3, random_state=0).fit(vectors)
        is_one = not 2 <= len(np.unique(fitted.labels_)) < len(vectors)
        silhouette = 0.0 if is_one else float(silhouette_score(vectors, fitted.labels_, metric="cosine"))
        if best is None or silhouette > best[1]:
            lengths = np.linalg.norm(fitted.cluster_centers_, axis=1, keepdims=True)
            best = (fitted.cluster_centers_ / np.maximum(lengths, 1e-6)).astype(np.float32), silhouette
        progress(num)
    assert best is not None  # at least one number is tried
    return best


def _numbers(num: int | None, num_different: int) -> tuple[int, ...]:
    if num is not None:
        return (num,)
    if num_different < 2 * _LEAST_A_GROUP:
        return (1,)
    return tuple(one for one in _NUMBERS if one * _LEAST_A_GROUP <= num_different)


def _silhouettes(vectors: NDArray[np.float32], groups: NDArray[np.int64]) -> dict[int, float]:
    """Of each group the mean silhouette of its vectors; of one group alone none."""
    from sklearn.metrics import silhouette_samples

    present = np.unique(groups)
    if not 2 <= len(present) < len(vectors):
        return {}
    each = silhouette_samples(vectors, groups, metric="cosine")
    return {int(group): float(each[groups == group].mean()) for group in present}


def _cluster(frames: Embeddings, members: NDArray[np.bool_], centre: NDArray[np.float32], silhouette: float) -> Cluster:
    rows = np.flatnonzero(members)
    best = int(rows[(frames.vectors[rows] @ centre).argmax()])
    counts = np.bincount(frames.source_indices[rows], minlength=len(frames.sources))
    order = [int(one) for one in np.argsort(-counts, kind="stable") if counts[one]]
    moments = find_moments(members.astype(np.float32), frames, least=1.0)
    return Cluster(
        num_frames=len(rows),
        share=len(rows) / len(frames),
        exemplar_source=frames.source_of(best),
        exemplar_frame_index=int(frames.frame_indices[best]),
        exemplar_seconds=float(frames.seconds[best]),
        sources=tuple((frames.sources[one], int(counts[one])) for one in order),
        moments=tuple(sorted(moments, key=lambda one: (one.source, one.start_seconds))),
        silhouette=silhouette,
        is_mixed=len(rows) < len(frames) and silhouette < _MIXED,
    )
