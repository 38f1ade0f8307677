"""The encoder: what was learned, ready for use. Frames in, maps or embeddings out, as NumPy arrays."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from firstsight import device
from firstsight.encoder import saved
from firstsight.encoder.model import EncoderView, MapShape, Model, in_batches, level_number, to_inputs
from firstsight.errors import RunError, SettingsError, brief
from firstsight.files import check_path
from firstsight.pixels import as_pictures
from firstsight.process import Precision, passive_waiting

_BATCH_SIZE = 16  # fills the processor; larger only takes memory


class Encoder:
    """What was learned from footage. Made by `firstsight.learn` or `Encoder.load`.

    Attributes:
        model: view, network and read-out; `closed_form.model.ClosedFormModel` or `article.model.ArticleModel`.
        provenance: how it came to be (method, settings, seed, outcome), as plain JSON values; empty if unknown.

    Example:
        >>> import numpy as np
        >>> from firstsight.article.model import untrained
        >>> encoder = untrained(seed=0)
        >>> frames = np.zeros((2, 240, 320, 3), np.uint8)
        >>> encoder.encode(frames).shape
        (2, 1600)
        >>> encoder.features(frames, level=1).shape
        (2, 16, 110, 110)
    """

    def __init__(self, model: Model, *, provenance: Mapping[str, Any] | None = None) -> None:
        self.model = model
        self.provenance = dict(provenance or {})
        self._fingerprint: tuple[bytes, str] | None = None  # with the quick digest of the model then

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The encoder saved in a run folder, or in a weights file of the article's author (.pth).

        Only tensors are read, so a file cannot run code.

        Raises:
            RunError: there is none, or it is damaged or of another version.
        """
        model, provenance = saved.load(check_path(path, name="run", error=RunError))
        return cls(model, provenance=provenance)

    def save(self, folder: str | Path) -> None:
        """Writes `config.json` and `model.safetensors` into the folder, both or neither."""
        saved.save(check_path(folder, name="run", error=RunError), self.model, self.provenance)

    @property
    def view(self) -> EncoderView:
        """How frames become the network's input."""
        return self.model.view

    @property
    def shapes(self) -> tuple[MapShape, ...]:
        """Maps, rows and columns of each level."""
        return self.model.shapes

    @property
    def dim(self) -> int:
        """Numbers in an embedding."""
        return self.model.dim

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of view, levels and weights: equal only for encoders that give equal embeddings."""
        known, digest = self._fingerprint, saved.quick_digest(self.model)
        if known is None or known[0] != digest:
            self._fingerprint = known = (digest, saved.fingerprint(self.model))
        return known[1]

    def encode(self, frames: NDArray[np.uint8], *, precision: Precision | None = None) -> NDArray[np.float32]:
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
        flat = self.compared(frames, precision=precision)
        lengths = np.linalg.norm(flat, axis=1, keepdims=True)
        unit: NDArray[np.float32] = flat / np.maximum(lengths, np.finfo(np.float32).tiny)
        return unit

    def features(
        self, frames: NDArray[np.uint8], *, level: int | None = None, precision: Precision = "float32"
    ) -> NDArray[np.float32]:
        """The maps of a level, the last by default.

        Args:
            frames: uint8 (N, H, W, 3) or (N, H, W).
            level: from 1.
            precision: of the arithmetic; the result is float32 either way.

        Returns:
            float32 (N, maps, rows, columns).

        Raises:
            PixelsError: frames of another shape or dtype, or too small.
            SettingsError: no such level.
        """
        number = self.level_number(level)
        return self._in_batches(as_pictures(frames), lambda inputs: self.model.maps(inputs, number), precision)

    def compared(
        self, frames: NDArray[np.uint8], *, level: int | None = None, precision: Precision | None = None
    ) -> NDArray[np.float32]:
        """What `compare` compares, float32 (N, dim), not of unit length: a level's maps flattened, or the embedding."""
        if level is not None:
            return self.features(frames, level=level).reshape(len(frames), -1)
        return self._in_batches(as_pictures(frames), self.model.embed, precision or self.model.precision)

    def compared_level(self, level: int | None) -> int | None:
        """The number of the level that `compared` takes; None for an embedding of all levels.

        Raises:
            SettingsError: there is no such level.
        """
        return self.model.compared_level if level is None else self.level_number(level)

    def level_number(self, level: int | None) -> int:
        """The level's number; None means the last.

        Raises:
            SettingsError: there is no such level.
        """
        return level_number(level, len(self.shapes))

    def to(self, name: str) -> Self:
        """The same encoder, moved to that device; "auto" is a GPU if there is one."""
        self.model.to(device.choose_device(name))
        return self

    def _in_batches(
        self, frames: NDArray[np.uint8], compute: Callable[[Tensor], Tensor], precision: Precision
    ) -> NDArray[np.float32]:
        where, outputs = self.model.device, []
        with passive_waiting():
            for batch in in_batches(frames, _BATCH_SIZE):
                inputs = to_inputs(self.view.apply(batch), where)
                with torch.inference_mode(), device.arithmetic(where, precision):
                    outputs.append(compute(inputs).float().contiguous().cpu().numpy())
        return np.concatenate(outputs)

    def __repr__(self) -> str:
        levels = ", ".join(map(str, self.shapes))
        method = self.provenance.get("method", "nothing")
        return f"Encoder({self.view}, levels: {levels}, embedding: {self.dim} numbers, learned by {method})"


def check_encoder(given: object) -> None:
    """Raises a SettingsError for anything but an encoder, such as the path of its run."""
    if not isinstance(given, Encoder):
        raise SettingsError(f"encoder {brief(given)}; valid is an Encoder: learn one, or Encoder.load(RUN)")
