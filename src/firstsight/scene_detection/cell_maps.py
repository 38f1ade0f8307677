"""What the cells of a film's frames show: mean responses of maps that are uncorrelated, with mean 0 and variance 1.

Without an encoder the maps are those of one level of the default method, fitted to the film's own small pictures: half
a second, whatever its length. An encoder's maps are read from its own view, and normalised over the film.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from firstsight import device
from firstsight.closed_form.filters import fit_level
from firstsight.closed_form.pyramid import PatchLevel, PatchLevelConfig
from firstsight.encoder.encoder import Encoder
from firstsight.encoder.model import in_batches, to_inputs
from firstsight.process import Precision, passive_waiting
from firstsight.scene_detection.changes import NUM_COLUMNS, NUM_ROWS

FIT_FRAMES = 400  # evenly spaced over a film: enough to take filters from
_KERNEL_SIZE, _NUM_FILTERS, _NUM_MAPS = 5, 64, 40  # twice as many of both find the same changes
_BATCH_SIZE = 16  # whose responses fit into the cache
_SEED = 0


class FilmLevel:
    """One level fitted to small pictures of a film, uint8 (N, height, width, 3): about `FIT_FRAMES`, evenly spaced."""

    def __init__(self, pictures: NDArray[np.uint8]) -> None:
        _, height, width, channels = pictures.shape
        self._cpu = torch.device("cpu")
        self._level = PatchLevel(
            PatchLevelConfig(height, width, _KERNEL_SIZE, _NUM_FILTERS, _NUM_MAPS, in_channels=channels)
        )
        with passive_waiting():
            fit_level(self._level, to_inputs(pictures, self._cpu), generator=device.generator(_SEED))

    def cells_of(self, pictures: NDArray[np.uint8]) -> NDArray[np.float16]:
        """The mean of every map in every cell: (N, 12, 40).

        Maps are linear in the square roots of the responses, so that these are averaged first.
        """
        with passive_waiting(), torch.inference_mode():
            cells = [self._cells_of_batch(batch) for batch in in_batches(pictures, _BATCH_SIZE)]
        return np.concatenate([np.empty((0, NUM_ROWS * NUM_COLUMNS, _NUM_MAPS), np.float16), *cells])

    def _cells_of_batch(self, pictures: NDArray[np.uint8]) -> NDArray[np.float16]:
        roots = self._level.responses(to_inputs(pictures, self._cpu)).sqrt()
        first, second = _cell_means(roots.permute(0, 3, 1, 2)).chunk(2, dim=-1)
        even = (first + second) @ self._level.mix_even + self._level.shift
        odd = (first - second) @ self._level.mix_odd
        return torch.cat([even, odd], dim=-1).numpy().astype(np.float16)


class EncoderMaps:
    """The maps of an encoder's last level, of the frames of one film, added in order."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._precision: Precision = "bfloat16" if device.has_fast_bfloat16() else "float32"
        self._cells: list[NDArray[np.float16]] = []  # of the batches
        self._moments: NDArray[np.float64] = np.zeros(())  # sums over the frames: (2, maps)
        self._num_frames = 0

    def add(self, pictures: NDArray[np.uint8]) -> None:
        """Adds frames, through the encoder's view."""
        values = torch.from_numpy(self._encoder.features(pictures, precision=self._precision))
        self._cells.append(_cell_means(values).numpy().astype(np.float16))
        moments = np.stack([values.mean(dim=(0, 2, 3)), values.square().mean(dim=(0, 2, 3))]) * len(pictures)
        self._moments = self._moments + moments
        self._num_frames += len(pictures)

    def normalised(self, first_batch: int, end_batch: int) -> NDArray[np.float16]:
        """Those of a range of the batches, (N, 12, maps), with mean 0 and variance 1 over all frames added."""
        mean, square = self._moments / self._num_frames
        deviation = np.sqrt(np.maximum(square - mean**2, 1e-6))
        return np.concatenate(
            [((cells - mean) / deviation).astype(np.float16) for cells in self._cells[first_batch:end_batch]]
        )


def _cell_means(values: torch.Tensor) -> torch.Tensor:
    """(N, 12, maps) of values (N, maps, rows, columns)."""
    cells = torch.nn.functional.adaptive_avg_pool2d(values, (NUM_ROWS, NUM_COLUMNS))
    return cells.flatten(2).transpose(1, 2)
