"""What does each level add to those before it? Asked of the footage itself: is a frame found again after a change?"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from firstsight import device
from firstsight.learning.projection import fit_projection, unit
from firstsight.learning.reader import Features, Reader
from firstsight.learning.self_test import Embed, Times, self_test
from firstsight.model.readout import PoolingConfig

_PROBE_FRAMES = 80  # that are asked about
_FIT_FRAMES = 1_000  # that the read-outs are made from for the question


@dataclass(frozen=True)
class Contribution:
    """A level together with those before it; None where the footage does not allow the question."""

    level: int
    after_change: float | None  # share of frames found again after a change of view, light or noise, 0 to 1
    stands_out: float | None  # by how many standard deviations of the others' similarity the right frame stands out
    kept: bool


def contributions(
    read: Reader,
    frames: NDArray[np.uint8],
    features: Features,
    pooling: PoolingConfig,
    *,
    ordered: bool,
    seed: int,
) -> list[Contribution]:
    """What the levels give, one after the other. A level is kept if with it the right frame stands out more.

    With one that is not kept the levels after it go as well.

    Args:
        read: reads the parts of all levels.
        frames: uint8 (N, height, width, channels).
        features: what was read from them.
        pooling: what is read.
        ordered: whether the frame that follows shows the same thing.
        seed: of the changes.
    """
    probe = frames[_spread(len(frames), _PROBE_FRAMES)]
    times = Times.of_positions(len(probe)) if ordered else None
    fitted = Features(features.values[torch.from_numpy(_spread(len(frames), _FIT_FRAMES))], features.part_dims)
    num_levels = len(read.network.levels)
    replay = _Replay(read, pooling)
    found: list[Contribution] = []
    for number in range(1, num_levels + 1):
        embed = _embedding(replay, fitted.first(number / num_levels))
        answer = self_test(embed, probe, times, generator=device.generator(seed))
        replay.rewind()
        found.append(Contribution(number, answer.after_change, answer.stands_out, _adds(answer.stands_out, found)))
    return found


class _Replay:
    """Reads all levels once: each round asks about the same frames in the same order."""

    def __init__(self, read: Reader, pooling: PoolingConfig) -> None:
        self._read, self._pooling = read, pooling
        self._parts: list[list[Tensor]] = []
        self._next = 0

    def __call__(self, frames: NDArray[np.uint8]) -> list[Tensor]:
        if self._next == len(self._parts):
            self._parts.append(self._read(frames, self._pooling))
        self._next += 1
        return self._parts[self._next - 1]

    def rewind(self) -> None:
        """Another round begins."""
        self._next = 0


def _embedding(replay: _Replay, features: Features) -> Embed:
    """As the encoder's, of the levels that the features are of, but without pairs."""
    projection = fit_projection(features.values, features.part_dims, None)
    num_parts = len(features.part_dims)
    return lambda frames: unit(projection(replay(frames)[:num_parts])).numpy()


def _adds(stands_out: float | None, before: list[Contribution]) -> bool:
    if not before or stands_out is None:
        return True
    last = before[-1]
    return last.kept and (last.stands_out is None or stands_out > last.stands_out)


def _spread(num_frames: int, most: int) -> NDArray[np.intp]:
    return np.unique(np.linspace(0, num_frames - 1, most).round().astype(np.intp))
