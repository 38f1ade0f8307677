"""Which pictures of a library are copies of each other? Nothing moves in them, so their content decides.

Pictures are compared by their differences from the library's mean picture, each coefficient divided by its standard
deviation. Decoys set how alike two pictures have to be. Those that may be copies are registered, and their agreement
compared with that of look-alikes, as with passages.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firstsight.copies.passages import background_of, evenly_spread, pair_similarities
from firstsight.copies.registration import register
from firstsight.copies.shared_footage import Shared, find_cropped
from firstsight.copies.signature import IN_A_MIRROR, UPSIDE_DOWN, Track
from firstsight.copies.verification import (
    FramePair,
    Links,
    Lookalikes,
    SmallFrames,
    framing,
    num_lookalikes,
    share_linked,
    verdict,
)
from firstsight.library.tables import Tables
from firstsight.searching.calibration import Background

# Fewer pictures do not show how alike unrelated ones are.
MIN_PICTURES = 20
_NUM_DECOYS = 1_000
_BLOCK = 2_048
_FALSE_CANDIDATES = 3.0  # expected in the library; details decide which candidates are copies
_MAX_WEIGHT = 20.0  # times as much as the coefficient that differs most
_ONLY = np.zeros(1, np.intp)  # a picture's only frame


@dataclass(frozen=True)
class _Candidate:
    """Two pictures that may be copies."""

    first: int
    second: int
    similarity: float
    chance: float  # how many such pairs are expected


def picture_copies(tracks: Sequence[Track], tables: Tables) -> tuple[Shared, ...]:
    """All pairs of pictures that are more alike than chance explains; none of fewer than 20 pictures.

    Time grows with the square of their number; memory with that of the pairs found.

    Args:
        tracks: of one frame each.
        tables: that hold their thumbnails.
    """
    if len(tracks) < MIN_PICTURES:
        return ()
    both = np.stack([track.signatures[0] for track in tracks]).astype(np.float32)
    full, middle = _normalised(both)
    decoys = full[:: -(-len(full) // _NUM_DECOYS)] * UPSIDE_DOWN
    parts = (full[start : start + _BLOCK] for start in range(0, len(full), _BLOCK))
    background = background_of(decoys, parts, IN_A_MIRROR, num_sources=len(full))
    candidates = list(_candidates(full, middle, background))
    if not candidates:
        return ()
    frames = SmallFrames(tables, tracks)
    lookalikes = _lookalikes(full, candidates, frames)
    return tuple(_judged(one, tracks, frames, lookalikes) for one in candidates)


def _judged(one: _Candidate, tracks: Sequence[Track], frames: SmallFrames, lookalikes: Lookalikes) -> Shared:
    pair = FramePair(one.first, _ONLY, one.second, _ONLY)
    frames.load([pair])
    # Details decide whether it is mirrored: a picture may be nearly its own mirror image.
    found = {mirrored: register(*frames.of(pair, mirrored=mirrored)) for mirrored in (False, True)}
    mirrored = found[True].agreement > found[False].agreement
    registered = found[mirrored]
    first, second = (tracks[index] for index in (one.first, one.second))
    shown = framing([registered], first.bars, second.bars.mirrored() if mirrored else second.bars)
    cropped = 0 if shown.same_edges else find_cropped([shown])
    names = first.record.name, second.record.name
    probability = lookalikes.probability(registered.agreement)
    chance = len(tracks) * probability
    return Shared(
        *names,
        verdict(chance),
        similarity=one.similarity,
        detail_similarity=registered.agreement,
        expected_by_chance=chance,
        mirrored=mirrored,
        cropped={-1: names[0], 0: None, 1: names[1]}[cropped],
        same_edges=shown.same_edges,
        is_upper_bound=probability <= lookalikes.rarest,
    )


def _lookalikes(full: NDArray[np.float32], candidates: Sequence[_Candidate], frames: SmallFrames) -> Lookalikes:
    """Pictures registered with the picture most like them that is no candidate, as it is or in a mirror."""
    links = Links((one.first, one.second, share_linked(one.chance, _FALSE_CANDIDATES)) for one in candidates)
    agreements = []
    rows = np.unique(np.linspace(0, len(full) - 1, num_lookalikes(len(full))).astype(int)).tolist()
    for row, share in zip(rows, evenly_spread(len(rows)), strict=True):
        alike = np.maximum(full @ full[row], full @ (full[row] * IN_A_MIRROR))
        alike[[row, *links.of(row, share)]] = -np.inf
        pair = FramePair(row, _ONLY, int(alike.argmax()), _ONLY)
        frames.load([pair])
        agreements.append(max(register(*frames.of(pair, mirrored=mirrored)).agreement for mirrored in (False, True)))
    return Lookalikes(np.sort(agreements))


def _normalised(both: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Of the pictures and of their middles, (N, 64) each: differences from the mean, weighed and of unit length."""
    # The mean of all pictures and of their mirror images, so that a picture and its mirror image differ from it alike.
    from_mean = both - both[:, 0].mean(axis=0) * (1 + IN_A_MIRROR) / 2
    deviation = np.sqrt((from_mean[:, 0] ** 2).mean(axis=0))
    from_mean /= np.maximum(deviation, max(float(deviation.max()) / _MAX_WEIGHT, 1e-6))
    from_mean[..., 0] = 0  # how bright a picture is
    unit = from_mean / np.maximum(np.linalg.norm(from_mean, axis=-1, keepdims=True), 1e-6)
    return unit[:, 0], unit[:, 1]


def _candidates(full: NDArray[np.float32], middle: NDArray[np.float32], background: Background) -> Iterator[_Candidate]:
    """All pairs that are more alike than one in the library is by chance."""
    num = len(full)
    least = background.threshold(_FALSE_CANDIDATES / num)
    for start in range(0, num, _BLOCK):
        for other in range(start, num, _BLOCK):
            first, second = slice(start, start + _BLOCK), slice(other, other + _BLOCK)
            products = pair_similarities((full[first], middle[first]), (full[second], middle[second]), IN_A_MIRROR)
            best = products.max(axis=0)
            for row, column in np.argwhere(best >= least).tolist():
                if start + row < other + column:
                    similarity = float(best[row, column])
                    chance = background.fitted_probability(similarity) * num
                    yield _Candidate(start + row, other + column, similarity, chance)
