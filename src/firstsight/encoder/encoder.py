"""The encoder: what was learned, ready for use. Frames in, maps or embeddings out, as NumPy arrays."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from firstsight import device
from firstsight.article.network import LevelConfig, Network, to_inputs
from firstsight.closed_form.pyramid import PatchLevelConfig, Pyramid
from firstsight.closed_form.readout import Flattened, Pooled
from firstsight.device import passive_waiting
from firstsight.encoder import saved as checkpoint
from firstsight.encoder.views import Preprocessing, WholeFrame
from firstsight.pixels import as_pictures

# Enough to fill the processor's units; larger only takes memory.
_BATCH_SIZE = 16


class Encoder:
    """Preprocessing, levels and read-out. Made by `firstsight.learn` or `Encoder.load`.

    Attributes:
        preprocessing: what becomes of a frame before the network sees it.
        network: the levels.
        readout: from the levels' maps to the embedding.
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
        self,
        preprocessing: Preprocessing | WholeFrame,
        network: Network | Pyramid,
        readout: Flattened | Pooled | None = None,
        *,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        self.preprocessing = preprocessing
        self.network = network.eval()
        self.readout = readout or Flattened()
        self.provenance = dict(provenance or {})
        self._fingerprint: tuple[bytes, str] | None = None  # with the digest of what it was computed for

    @classmethod
    def untrained(cls, *, seed: int = 0) -> Self:
        """The article's network with its initial weights: the floor that learning has to beat."""
        from firstsight.article.network import article_levels

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
        return cls(saved.preprocessing, saved.network, saved.readout, provenance=saved.provenance)

    @classmethod
    def from_article_weights(cls, path: str | Path) -> Self:
        """The encoder in a weights file of the article's author, with the article's preprocessing.

        Only tensors are read; a file that wants to run code is refused.

        Raises:
            RunError: not such a file.
        """
        saved = checkpoint.load_article_weights(Path(path))
        return cls(saved.preprocessing, saved.network, saved.readout, provenance=saved.provenance)

    def save(self, folder: str | Path) -> None:
        """Writes `config.json` and `model.safetensors` into the folder, both or, if it is cut short, neither."""
        checkpoint.save(Path(folder), checkpoint.Saved(self.preprocessing, self.network, self.readout, self.provenance))

    @property
    def dim(self) -> int:
        """Numbers in an embedding."""
        if isinstance(self.readout, Pooled):
            return self.readout.projection.dim
        rows, columns = self.network.map_shapes[-1]
        return self.network.configs[-1].maps * rows * columns

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of preprocessing, levels and weights: alike only for encoders that see alike."""
        saved = checkpoint.Saved(self.preprocessing, self.network, self.readout)
        known, digest = self._fingerprint, checkpoint.quick_digest(saved)
        if known is None or known[0] != digest:
            self._fingerprint = known = (digest, checkpoint.fingerprint(saved))
        return known[1]

    @property
    def compares_dimensions(self) -> int | None:
        """How many dimensions a comparison uses unless told otherwise: the article's 64; None is all."""
        return 64 if isinstance(self.readout, Flattened) else None

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
        number = self.network.number_of(level)
        return self._in_batches(as_pictures(frames), lambda inputs: self.network(inputs, level=number), precision)

    def encode(self, frames: NDArray[np.uint8], *, precision: device.Precision | None = None) -> NDArray[np.float32]:
        """The embedding of each frame.

        Args:
            frames: uint8 (N, H, W, 3) or (N, H, W); one picture is `picture[None]`.
            precision: of the arithmetic; the result is float32 either way. By default float32 for the article's
                encoder; for the closed-form one bfloat16 where the processor has it.

        Returns:
            float32 (N, dim), each row of length 1 (or 0 for a frame on which every map is zero).

        Raises:
            PixelsError: frames of another shape or dtype, or too small.
        """
        flat = self._embed(as_pictures(frames), precision)
        lengths = np.linalg.norm(flat, axis=1, keepdims=True)
        unit: NDArray[np.float32] = flat / np.maximum(lengths, np.finfo(np.float32).tiny)
        return unit

    def compared(self, frames: NDArray[np.uint8], *, level: int | None = None) -> NDArray[np.float32]:
        """What `compare` compares, float32 (N, dim): a level's maps flattened, or without a level the read-out."""
        if level is None:
            return self._embed(as_pictures(frames), None)
        return self.features(frames, level=level).reshape(len(frames), -1)

    def compared_level(self, level: int | None) -> int | None:
        """The number of the level that `compared` takes; None for a read-out of all levels.

        Raises:
            SettingsError: there is no such level.
        """
        if level is None and isinstance(self.readout, Pooled):
            return None
        return self.network.number_of(level)

    def to(self, name: str) -> Self:
        """The same encoder, moved to that device; "auto" is a GPU if there is one."""
        place = device.choose_device(name)
        self.network.to(place)
        if isinstance(self.readout, Pooled):
            self.readout.to(place)
        return self

    def _embed(self, frames: NDArray[np.uint8], precision: device.Precision | None) -> NDArray[np.float32]:
        if precision is None:
            wants_speed = isinstance(self.readout, Pooled) and device.has_fast_bfloat16(self.network.device)
            precision = "bfloat16" if wants_speed else "float32"
        return self._in_batches(frames, lambda inputs: self.readout(self.network, inputs), precision)

    def _in_batches(
        self, frames: NDArray[np.uint8], compute: Callable[[Tensor], Tensor], precision: device.Precision
    ) -> NDArray[np.float32]:
        place = self.network.device
        outputs = []
        with passive_waiting():
            for start in range(0, len(frames), _BATCH_SIZE):
                inputs = to_inputs(self.preprocessing.apply(frames[start : start + _BATCH_SIZE]), place)
                with torch.inference_mode(), device.arithmetic(place, precision):
                    outputs.append(compute(inputs).float().contiguous().cpu().numpy())
        return np.concatenate(outputs)

    def __repr__(self) -> str:
        configs: Sequence[LevelConfig | PatchLevelConfig] = self.network.configs
        sizes = ", ".join(
            f"{config.maps}x{rows}x{columns}"
            for config, (rows, columns) in zip(configs, self.network.map_shapes, strict=True)
        )
        return (
            f"Encoder({self.preprocessing}, levels: {sizes}, embedding: {self.dim} numbers, "
            f"learned by {self.provenance.get('method', 'nothing')})"
        )
