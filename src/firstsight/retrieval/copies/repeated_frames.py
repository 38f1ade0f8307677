"""Frames that show nothing that another frame of the library does not show: no place differs by more than noise.

A frame is compared place by place, so that a person far away is a difference. Every frame is compared with all that
were kept before it, in blocks: the distance of the signatures is never larger than that of the pictures, so whatever it
rules out needs no second look, and nothing is missed.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firstsight.retrieval.copies.signature import NUM_COEFFICIENTS, SIDE, Cells, signatures

# Of frames that were re-encoded and poorly, all but this share differ less than the threshold.
_SHARE_BEYOND = 0.1
_BLOCK = 512
# Cells of a blank frame differ by at most so many grey levels, whatever the noise of the library is.
_MIN_TONES = 3.0


@dataclass(frozen=True)
class RepeatedFrame:
    """A frame, and the one that shows the same."""

    source: str
    frame_index: int
    seconds: float
    of_source: str
    of_frame_index: int
    of_seconds: float


def noise_of(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> float:
    """By how many grey levels some cell of a frame differs from the same frame re-encoded: (N, 16, 16, 3) each."""
    differences = np.abs(before.astype(np.int16) - after).max(axis=(1, 2, 3))
    return float(np.quantile(differences, 1 - _SHARE_BEYOND))


def is_blank(means: NDArray[np.uint8], noise: float) -> NDArray[np.bool_]:
    """(N,): which frames, (N, 16, 16, 3), are of one tone everywhere, up to noise."""
    tones = np.ptp(means.reshape(len(means), SIDE**2, 3), axis=1).max(axis=1)
    blank: NDArray[np.bool_] = tones <= max(noise, _MIN_TONES)
    return blank


class RepeatedFrames:
    """Takes frames as they come; keeps those that show something new. Memory: a kilobyte for each that is kept.

    Args:
        most: grey levels by which two cells may differ and still be the same.

    Attributes:
        found: frames that repeat others. Blank ones, of one tone everywhere, do not: they show nothing to repeat.
        noise: the grey levels.
        num_of: frames of each source.
        num_blank_of: of these, the blank ones.
    """

    def __init__(self, most: float) -> None:
        self.found: list[RepeatedFrame] = []
        self.noise = most
        self.num_of: Counter[str] = Counter()
        self.num_blank_of: Counter[str] = Counter()
        self._most = most
        # No cell's luma differs by more than its colours do; so a signature, which is a part of it, by no more than:
        self._radius = most * SIDE
        self._places: list[tuple[str, int, float]] = []
        self._pictures = np.empty((_BLOCK, SIDE, SIDE, 3), np.uint8)
        self._signatures = np.empty((_BLOCK, NUM_COEFFICIENTS), np.float32)

    @property
    def num_kept(self) -> int:
        """Frames that show something new."""
        return len(self._places)

    def add(self, cells: Cells) -> None:
        """Some frames, in order."""
        blank = is_blank(cells.means, self._most)
        self.num_of[cells.record.name] += len(blank)
        self.num_blank_of[cells.record.name] += int(blank.sum())
        cells = Cells(cells.record, cells.frame_indices[~blank], cells.seconds[~blank], cells.means[~blank])
        for start in range(0, len(cells.means), _BLOCK):
            self._add(cells, slice(start, start + _BLOCK))

    def _add(self, cells: Cells, rows: slice) -> None:
        pictures, seen = cells.means[rows], signatures(cells.means[rows])
        near = self._near(seen)
        num_before = self.num_kept
        own = np.arange(rows.start, rows.start + len(pictures))
        for row, picture, signature, candidates in zip(own, pictures, seen, near, strict=True):
            fresh = self._within(self._signatures[num_before : self.num_kept], signature) + num_before
            same = self._same(picture, np.concatenate([fresh[::-1], candidates]))
            place = (cells.record.name, int(cells.frame_indices[row]), float(cells.seconds[row]))
            if same is None:
                self._keep(place, picture, signature)
            else:
                self.found.append(RepeatedFrame(*place, *self._places[same]))

    def _near(self, seen: NDArray[np.float32]) -> list[NDArray[np.intp]]:
        """For each signature the frames kept so far that it does not rule out, the latest first."""
        kept = self._signatures[: self.num_kept]
        lengths = (seen**2).sum(axis=1)[:, None] + (kept**2).sum(axis=1)
        squares = lengths - 2 * seen @ kept.T
        allowed = self._radius**2 + 1e-4 * lengths  # by which rounding may be off
        return [np.flatnonzero(row)[::-1] for row in squares <= allowed]

    def _within(self, kept: NDArray[np.float32], signature: NDArray[np.float32]) -> NDArray[np.intp]:
        return np.flatnonzero(np.linalg.norm(kept - signature, axis=1) <= self._radius * (1 + 1e-4))

    def _same(self, picture: NDArray[np.uint8], candidates: Sequence[int] | NDArray[np.intp]) -> int | None:
        """The first of the kept frames that is the same everywhere."""
        differences = np.abs(self._pictures[candidates].astype(np.int16) - picture).max(axis=(1, 2, 3), initial=0)
        same = np.flatnonzero(differences <= self._most)
        return int(candidates[same[0]]) if len(same) else None

    def _keep(self, place: tuple[str, int, float], picture: NDArray[np.uint8], signature: NDArray[np.float32]) -> None:
        number = self.num_kept
        if number == len(self._pictures):
            self._pictures = np.concatenate([self._pictures, np.empty_like(self._pictures)])
            self._signatures = np.concatenate([self._signatures, np.empty_like(self._signatures)])
        self._pictures[number], self._signatures[number] = picture, signature
        self._places.append(place)
