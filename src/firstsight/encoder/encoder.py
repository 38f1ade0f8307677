"""The encoder: what was learned, ready for use. Frames in, maps or embeddings out, as NumPy arrays."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from firstsight import device
from firstsight.encoder import saved
from firstsight.errors import SettingsError
from firstsight.footage.frames import View
from firstsight.pixels import as_pictures
from firstsight.process import Precision, passive_waiting


@dataclass(frozen=True)
class MapShape:
    """What a level gives for one picture."""

    maps: int
    rows: int  # cells
    columns: int

    def __str__(self) -> str:
        return f"{self.maps}x{self.rows}x{self.columns}"


class EncoderView(View, Protocol):
    """How frames become the network's input; works for arrays as well as for footage."""

    @property
    def shows_whole_frame(self) -> bool:
        """Whether it shows all of a frame, so that a thumbnail can stand for the frame."""

    def describe(self) -> str:
        """In words: "the entire picture, at 75x42, colour"."""

    def apply(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The network's input as pictures, uint8 (N, h, w, channels), of frames uint8 (N, H, W, 3) or (N, H, W).

        Raises:
            PixelsError: another shape or dtype, or frames that are too small.
        """


class Levels(Protocol):
    """A network of levels."""

    @property
    def device(self) -> torch.device:
        """Of the weights."""

    def every_level(self, inputs: Tensor) -> list[Tensor]:
        """The maps of each level (N, maps, rows, columns), the first level first."""


class Model(Levels, Protocol):
    """A network with its view of a frame and its read-out. Levels count from 1."""

    @property
    def view(self) -> EncoderView:
        """How frames become the network's input."""

    @property
    def shapes(self) -> tuple[MapShape, ...]:
        """Of each level."""

    @property
    def dim(self) -> int:
        """Numbers in an embedding."""

    @property
    def precision(self) -> Precision:
        """In which embeddings are computed by default."""

    @property
    def compared_level(self) -> int | None:
        """The level that comparisons use by default; None: the embedding itself, of all levels."""

    @property
    def compared_dims(self) -> int | None:
        """How many of its most varying numbers a comparison uses by default; None: all."""

    @property
    def maps_are_centred(self) -> bool:
        """Whether every map has mean 0 over the footage."""

    def embed(self, inputs: Tensor) -> Tensor:
        """Embeddings (N, dim), not of unit length, of inputs (N, channels, h, w) in [0, 1]."""

    def maps(self, inputs: Tensor, level: int) -> Tensor:
        """The maps of one level (N, maps, rows, columns)."""

    def filters(self, level: int) -> NDArray[np.float32]:
        """The level's filters (out, in, k, k)."""

    def cell_centres(self, level: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where the rows and the columns of the level's maps lie, in pixels of the network's input."""

    def initial(self, *, seed: int) -> Self | None:
        """The same network as it was before learning from that seed; None where learning starts from nothing."""

    def to(self, device: torch.device) -> None:
        """Moves the weights."""

    def config(self) -> dict[str, Any]:
        """Everything but the weights, as plain JSON values."""

    def tensors(self) -> Mapping[str, Tensor]:
        """The weights, by name."""


def to_inputs(pictures: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Float32 (N, C, H, W) in [0, 1], channels last, of uint8 pictures (N, H, W, C)."""
    writable = np.require(pictures, requirements="W")  # a copy of what Pillow lends, of which PyTorch warns
    tensor = torch.from_numpy(writable).to(device).permute(0, 3, 1, 2)
    return tensor.to(torch.float32, memory_format=torch.channels_last).div_(255)


def in_batches(frames: NDArray[np.uint8], size: int) -> Iterable[NDArray[np.uint8]]:
    """The frames, so many at a time."""
    return (frames[start : start + size] for start in range(0, len(frames), size))


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
        model, provenance = saved.load(Path(path))
        return cls(model, provenance=provenance)

    def save(self, folder: str | Path) -> None:
        """Writes `config.json` and `model.safetensors` into the folder, both or neither."""
        saved.save(Path(folder), self.model, self.provenance)

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
        number = len(self.shapes) if level is None else level
        if not 1 <= number <= len(self.shapes):
            raise SettingsError(f"level {level}; valid are 1 to {len(self.shapes)}")
        return number

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
