"""The encoder: what was learned, ready for use. Frames in, maps or embeddings out, as NumPy arrays."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from firstsight import device
from firstsight.model import checkpoint
from firstsight.model.network import Network, to_inputs
from firstsight.model.preprocessing import Preprocessing
from firstsight.pixels import as_pictures

# Enough to fill the processor's units; larger only takes memory.
_BATCH_SIZE = 16


class Encoder:
    """Preprocessing and levels. Made by `firstsight.learn` or `Encoder.load`.

    Attributes:
        preprocessing: what becomes of a frame before the network sees it.
        network: the levels.
        provenance: how it came to be (method, settings, seed, outcome), as plain JSON values; empty if unknown.

    Example:
        >>> import numpy as np
        >>> encoder = Encoder.untrained(seed=0)
        >>> frames = np.zeros((2, 240, 320, 3), np.uint8)
        >>> encoder.encode(frames).shape
        (2, 1600)
        >>> encoder.features(frames, level=1).shape
        (2, 16, 110, 110)
    """

    def __init__(
        self, preprocessing: Preprocessing, network: Network, *, provenance: Mapping[str, Any] | None = None
    ) -> None:
        self.preprocessing = preprocessing
        self.network = network.eval()
        self.provenance = dict(provenance or {})

    @classmethod
    def untrained(cls, *, seed: int = 0) -> Self:
        """The article's network with its initial weights: the floor that learning has to beat."""
        from firstsight.model.network import article_levels

        preprocessing = Preprocessing()
        network = Network(article_levels(), input_size=preprocessing.input_size, seed=seed)
        return cls(preprocessing, network)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The encoder saved in a run folder, or one of the article's weights files (.pth).

        Raises:
            RunError: nothing there, damaged, or of another version.
        """
        saved = checkpoint.load(Path(path))
        return cls(saved.preprocessing, saved.network, provenance=saved.provenance)

    @classmethod
    def from_article_weights(cls, path: str | Path) -> Self:
        """The encoder in a weights file of the article's author, with the article's preprocessing.

        Only tensors are read; a file that wants to run code is refused.

        Raises:
            RunError: not such a file.
        """
        saved = checkpoint.load_article_weights(Path(path))
        return cls(saved.preprocessing, saved.network, provenance=saved.provenance)

    def save(self, folder: str | Path) -> None:
        """Writes `config.json` and `model.safetensors` into the folder, each whole or not at all."""
        checkpoint.save(Path(folder), checkpoint.Saved(self.preprocessing, self.network, self.provenance))

    @property
    def dim(self) -> int:
        """Numbers in an embedding."""
        return self.network.configs[-1].maps * self.network.map_sizes[-1] ** 2

    def features(
        self, frames: NDArray[np.uint8], *, level: int | None = None, precision: device.Precision = "float32"
    ) -> NDArray[np.float32]:
        """The maps of a level, the last by default.

        Args:
            frames: uint8 (N, H, W, 3) or (N, H, W).
            level: from 1.
            precision: of the arithmetic; the result is float32 either way.

        Returns:
            float32 (N, maps, H', W').

        Raises:
            PixelsError: frames of another shape or dtype, or too small.
            SettingsError: no such level.
        """
        level = self.network.number_of(level)
        return np.concatenate(list(self._in_batches(as_pictures(frames), level, precision)))

    def encode(self, frames: NDArray[np.uint8], *, precision: device.Precision = "float32") -> NDArray[np.float32]:
        """The embedding of each frame: the flattened last level at unit length.

        Args:
            frames: uint8 (N, H, W, 3) or (N, H, W).
            precision: of the arithmetic; the result is float32 either way.

        Returns:
            float32 (N, dim), each row of length 1 (or 0 for a frame on which every map is zero).

        Raises:
            PixelsError: frames of another shape or dtype, or too small.
        """
        flat = self.features(frames, precision=precision).reshape(len(frames), -1)
        lengths = np.linalg.norm(flat, axis=1, keepdims=True)
        unit: NDArray[np.float32] = flat / np.maximum(lengths, np.finfo(np.float32).tiny)
        return unit

    def to(self, name: str) -> Self:
        """The same encoder, moved to that device; "auto" is a GPU if there is one."""
        self.network.to(device.choose_device(name))
        return self

    def _in_batches(
        self, frames: NDArray[np.uint8], level: int, precision: device.Precision
    ) -> Iterator[NDArray[np.float32]]:
        device.keep_freed_memory()
        place = self.network.device
        for start in range(0, len(frames), _BATCH_SIZE):
            inputs = to_inputs(self.preprocessing.apply(frames[start : start + _BATCH_SIZE]), place)
            with torch.inference_mode(), device.arithmetic(place, precision):
                maps = self.network(inputs, level=level)
            yield maps.float().contiguous().cpu().numpy()

    def __repr__(self) -> str:
        sizes = ", ".join(
            f"{config.maps}x{size}x{size}"
            for config, size in zip(self.network.configs, self.network.map_sizes, strict=True)
        )
        return f"Encoder({self.preprocessing}, levels: {sizes}, learned by {self.provenance.get('method', 'nothing')})"
