"""What the read-out reads from many frames: the parts of every level, side by side."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from firstsight import device
from firstsight.model.network import to_inputs
from firstsight.model.pyramid import Pyramid
from firstsight.model.readout import PoolingConfig, pooled

_BATCH = 16
_CHUNK = 512  # frames between two reports


@dataclass(frozen=True)
class Features:
    """What was read from N frames."""

    values: Tensor  # float32 (N, dim), the parts side by side, those of the first level first
    part_dims: list[int]  # the length of each part

    def first(self, share: float) -> "Features":
        """Of that share of the parts alone, copied, so that the rest can be freed."""
        dims = self.part_dims[: round(share * len(self.part_dims))]
        return Features(self.values[:, : sum(dims)].clone(), dims)


@dataclass(frozen=True)
class Reader:
    """Reads parts from frames, a batch at a time."""

    network: Pyramid
    precision: device.Precision

    def __call__(self, frames: NDArray[np.uint8], pooling: PoolingConfig) -> list[Tensor]:
        """The parts of the read-out, float32 (N, dim of the part) each."""
        place = self.network.device
        batches = [frames[start : start + _BATCH] for start in range(0, len(frames), _BATCH)]
        with torch.inference_mode(), device.arithmetic(place, self.precision):
            parts = [pooled(self.network, to_inputs(batch, place), pooling) for batch in batches]
        return [torch.cat(part).float() for part in zip(*parts, strict=True)]

    def everything(
        self, frames: NDArray[np.uint8], pooling: PoolingConfig, *, report: Callable[[float], None]
    ) -> Features:
        """The parts side by side; `report` is told the share that is done."""
        dims = [part.shape[1] for part in self(frames[:1], pooling)]
        values = torch.empty(len(frames), sum(dims))  # the largest thing in memory: filled in place, never copied
        for start in range(0, len(frames), _CHUNK):
            report(start / len(frames))
            parts = self(frames[start : start + _CHUNK], pooling)
            values[start : start + _CHUNK] = torch.cat(parts, dim=1)
        return Features(values, dims)

    def first(self, num_levels: int) -> "Reader":
        """The same of the first levels alone."""
        return Reader(self.network.first(num_levels), self.precision)
