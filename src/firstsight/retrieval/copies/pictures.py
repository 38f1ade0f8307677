"""Which pictures of a library are copies of each other? They have no time, so what they show has to tell.

As passages are compared by what changes, pictures are by how they depart from the library's mean picture, each
coefficient weighed against how much it does so. How alike two pictures have to be is told by decoys, too.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from firstsight.retrieval.copies.passages import SHOWS_MORE, background_of, pair_similarities
from firstsight.retrieval.copies.shared_footage import Shared
from firstsight.retrieval.copies.signature import IN_A_MIRROR, UPSIDE_DOWN, Track
from firstsight.retrieval.searching.calibration import Background

# Of fewer pictures it cannot be told how alike unrelated ones are.
LEAST_PICTURES = 20
_NUM_DECOYS = 1_000
_BLOCK = 2_048
_FALSE_COPIES = 0.05  # expected in the whole library
_CROPPED = {0: -1, 1: 0, -1: 1}  # which of two pictures is cropped, by which shows more
_MOST_WEIGHT = 20.0  # times as much as the coefficient that differs most


def picture_copies(
    tracks: Sequence[Track], *, progress: Callable[[float], None] = lambda _: None
) -> tuple[Shared, ...]:
    """All pairs of pictures that are more alike than chance explains; none of fewer than 20 pictures.

    Time grows with the square of their number; memory with that of the pairs found.

    Args:
        tracks: of one frame each.
        progress: is told which share is done.
    """
    if len(tracks) < LEAST_PICTURES:
        return ()
    both = np.stack([track.signatures[0] for track in tracks]).astype(np.float32)
    whole, middle = _departures(both)
    background = _background(whole)
    least = background.threshold(_FALSE_COPIES / len(tracks))
    found = []
    for start in range(0, len(tracks), _BLOCK):
        for other in range(start, len(tracks), _BLOCK):
            first, second = slice(start, start + _BLOCK), slice(other, other + _BLOCK)
            for row, column, similarity, mirrored, cropped in _pairs(whole, middle, first, second, least):
                chance = background.false_match_probability(similarity) * len(tracks)
                names = tracks[row].record.name, tracks[column].record.name
                found.append(
                    Shared(
                        *names,
                        first_share=1.0,
                        second_share=1.0,
                        stretches=(),
                        mirrored=mirrored,
                        cropped=names[cropped] if cropped >= 0 else None,
                        covered=None,
                        similarity=similarity,
                        expected_by_chance=chance,
                    )
                )
        progress(min(1.0, (start + _BLOCK) / len(tracks)))
    return tuple(found)


def _departures(both: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Of the whole pictures and of their middles, (N, 64) each, weighed and of unit length."""
    from_mean = both - both[:, 0].mean(axis=0)
    spread = from_mean[:, 0].std(axis=0)
    from_mean /= np.maximum(spread, max(float(spread.max()) / _MOST_WEIGHT, 1e-6))
    from_mean[..., 0] = 0  # how bright a picture is
    unit = from_mean / np.maximum(np.linalg.norm(from_mean, axis=-1, keepdims=True), 1e-6)
    return unit[:, 0], unit[:, 1]


def _background(whole: NDArray[np.float32]) -> Background:
    """How alike the best picture is to one upside down."""
    decoys = whole[:: -(-len(whole) // _NUM_DECOYS)] * UPSIDE_DOWN
    parts = (whole[start : start + _BLOCK] for start in range(0, len(whole), _BLOCK))
    return background_of(decoys, parts, IN_A_MIRROR, num_sources=len(whole))


def _pairs(
    whole: NDArray[np.float32], middle: NDArray[np.float32], first: slice, second: slice, least: float
) -> list[tuple[int, int, float, bool, int]]:
    """Row, column, similarity, whether mirrored, and which of the two is cropped: 0, 1, or -1 for neither."""
    products = pair_similarities((whole[first], middle[first]), (whole[second], middle[second]), IN_A_MIRROR)
    best = products.max(axis=0)
    rows, columns = np.nonzero(best >= least)
    pairs = []
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        if first.start + row < second.start + column:
            in_mirror, way = divmod(int(products[:, row, column].argmax()), len(SHOWS_MORE))
            cropped = _CROPPED[SHOWS_MORE[way]]
            pairs.append((first.start + row, second.start + column, float(best[row, column]), bool(in_mirror), cropped))
    return pairs
