"""The encoder: what was learned, ready for use. Frames in, maps or embeddings out, as NumPy arrays."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from firstsight import device
from firstsight.encoder import saved
from firstsight.encoder.descriptions import Descriptions
from firstsight.encoder.model import EncoderView, MapShape, Model, SecondStage, in_batches, level_number, to_inputs
from firstsight.errors import RunError, SettingsError, brief
from firstsight.files import check_path
from firstsight.pixels import as_pictures, single_picture, writable
from firstsight.process import Precision, passive_waiting

_FLAT = 8  # grey levels in a cell; the noise of coding in a black picture is below
_MAX_KNOWN = 4_096  # frames, 25 kB each, that `similarities` keeps what it computed of


@dataclass(frozen=True)
class CellMatch:
    """A cell of one frame and the cell of another that shows the same in the same arrangement."""

    first: tuple[int, int]  # row and column of the cell in the first frame
    second: tuple[int, int]  # in the second
    support: float  # above 0, to 1: matched by both networks as the cell with itself


@dataclass(frozen=True, eq=False)
class Agreement:
    """Where two frames agree in their layout."""

    share: float  # of what the frames show, 0 to 1: 1 for a frame with itself, some 0.01 for an unrelated one
    first: NDArray[np.float32]  # (rows, columns), support of each cell of the first frame, 0 (no match) to 1
    second: NDArray[np.float32]  # the same of the second
    first_shows: NDArray[np.bool_]  # (rows, columns), False of a cell of one colour without a match
    second_shows: NDArray[np.bool_]  # the same of the second
    matches: tuple[CellMatch, ...]  # the strongest first

    @property
    def is_empty(self) -> bool:
        """Whether a frame has nothing to match, as a black one."""
        return not (self.first_shows.any() and self.second_shows.any())

    @property
    def in_words(self) -> str:
        """How much agrees: "18 % agrees"."""
        return "nothing to match" if self.is_empty else f"{100 * self.share:.0f} % agrees"

    def __repr__(self) -> str:
        cells = "x".join(map(str, self.first.shape))
        return f"Agreement(share {self.share:.2f}, {len(self.matches)} matches of {cells} cells)"


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
        self._known: dict[bytes, tuple[Tensor, ...]] = {}  # by the digest of a frame

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
        return _unit(self.compared(frames, precision=precision))

    def similarities(
        self, queries: NDArray[np.uint8], references: NDArray[np.uint8], *, precision: Precision | None = None
    ) -> NDArray[np.float32]:
        """How alike each query is to each reference: the encoder's best comparison.

        The cosine of the embeddings decides which 20 references are compared once more by their layout, as far as the
        footage learned from gives that a weight. Frames that come again are not embedded again.

        Args:
            queries: uint8 (Q, H, W, 3) or (Q, H, W).
            references: uint8 (R, H, W, 3) or (R, H, W).
            precision: of the arithmetic, as for `encode`.

        Returns:
            float32 (Q, R), -1 to 1; a frame has 1 with itself.

        Raises:
            PixelsError: frames of another shape or dtype, or too small.
        """
        (first, *own), (second, *others) = (self._known_of(frames, precision) for frames in (queries, references))
        cosines = (first @ second.T).clamp(-1, 1)
        stage = self.model.second_stage
        if stage is None or not cosines.numel():
            return cosines.numpy()
        with passive_waiting(), torch.inference_mode():
            return stage.similarities(cosines, tuple(own), tuple(others)).numpy()

    def agreement(
        self, first: NDArray[np.uint8], second: NDArray[np.uint8], *, precision: Precision | None = None
    ) -> Agreement:
        """Where two frames agree: what the second stage of `similarities` takes as the same in both.

        A frame has about 96 cells, which together cover all of it. Cells of two frames match if each is the best for
        the other *with the support of their neighbourhood*, 5x5 cells: things may lie elsewhere, in the same
        arrangement. The support is T(s, p)^2 / (T(s, s) T(p, p)), mean of a colour and a grey network, where T(s, p) is
        the mean cosine of the cells around s and p; its sum over the matches of a cell is in `first` and `second`. Two
        cells of one colour, within 8 grey levels, are no match, and `share` leaves them out.

        Args:
            first: uint8 (H, W, 3) or (H, W).
            second: the same; may have another size.
            precision: of the arithmetic, as for `encode`.

        Raises:
            SettingsError: the encoder has no second stage, as the article's and those of older runs.
            PixelsError: a picture of another shape or dtype, or too small.

        *Source:* T and the rule for matches are those of `firstsight.closed_form.agreement.agreement`.
        """
        stage = self.check_second_stage()
        inputs = [self.view.apply(single_picture(one)) for one in (first, second)]
        cells, others = (self._known_of(one, precision)[1][0] for one in inputs)
        shows, others_show = (_cells_that_show(one[0], (cells.shape[1], cells.shape[2])) for one in inputs)
        return _agreed(torch.from_numpy(stage.supported(cells.numpy(), others.numpy())), shows, others_show)

    def check_second_stage(self) -> SecondStage:
        """Of the model. Raises a SettingsError if it has none."""
        if self.model.second_stage is None:
            raise SettingsError(
                "this encoder compares embeddings alone, not where frames agree; valid is one learned by the default "
                "method of this version: learn it again"
            )
        return self.model.second_stage

    def describe(self, frames: NDArray[np.uint8], *, precision: Precision | None = None) -> Descriptions:
        """The embedding of each frame, and what the second stage compares, in one pass.

        Args:
            frames: uint8 (N, H, W, 3) or (N, H, W).
            precision: of the arithmetic, as for `encode`.

        Raises:
            PixelsError: frames of another shape or dtype, or too small.
        """
        parts = self._in_batches(as_pictures(frames), self.model.describe, precision or self.model.precision)
        return Descriptions(_unit(parts[0].astype(np.float32, copy=False)), *parts[1:])

    def _known_of(self, frames: NDArray[np.uint8], precision: Precision | None) -> list[Tensor]:
        """The parts of `describe`, kept for frames that come again."""
        pictures = as_pictures(frames)
        keys = _keys(pictures, precision or self.model.precision)
        rows = {key: self._known[key] for key in keys if key in self._known}
        new = list({key: index for index, key in enumerate(keys) if key not in rows}.values())
        if new:
            parts = [torch.from_numpy(part) for part in self.describe(pictures[new], precision=precision).parts]
            rows |= zip([keys[index] for index in new], zip(*parts, strict=True), strict=True)
            self._keep(rows)
        return [torch.stack(part) for part in zip(*(rows[key] for key in keys), strict=True)]

    def _keep(self, rows: Mapping[bytes, tuple[Tensor, ...]]) -> None:
        self._known = dict(list({**self._known, **rows}.items())[-_MAX_KNOWN:])

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
        (maps,) = self._in_batches(as_pictures(frames), lambda inputs: (self.model.maps(inputs, number),), precision)
        return maps

    def compared(
        self,
        frames: NDArray[np.uint8],
        *,
        level: int | None = None,
        precision: Precision | None = None,
    ) -> NDArray[np.float32]:
        """What `compare` compares, float32 (N, dim), not of unit length: a level's maps flattened, or the embedding."""
        if level is not None:
            return self.features(frames, level=level).reshape(len(frames), -1)
        default = self.model.precision
        (flat,) = self._in_batches(
            as_pictures(frames), lambda inputs: (self.model.embed(inputs),), precision or default
        )
        return flat

    def compared_and_known(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The embeddings as by `compared`; `agreement` of these frames embeds none of them again."""
        pictures = as_pictures(frames)
        flat, *others = self._in_batches(pictures, self.model.describe, self.model.precision)
        parts = [torch.from_numpy(part) for part in (_unit(flat), *others)]
        self._keep(dict(zip(_keys(pictures, self.model.precision), zip(*parts, strict=True), strict=True)))
        return flat

    def compared_level(self, level: int | None) -> int | None:
        """The number of the level that `compared` takes; None for an embedding of all levels.

        Raises:
            SettingsError: there is no such level.
        """
        return self.model.compared_level if level is None else self.level_number(level)

    def num_compared(self, level: int | None) -> int:
        """How many numbers of each frame `compared` gives. Raises a SettingsError if there is no such level."""
        number = self.compared_level(level)
        if number is None:
            return self.dim
        shape = self.shapes[number - 1]
        return shape.maps * shape.rows * shape.columns

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
        self, frames: NDArray[np.uint8], compute: Callable[[Tensor], tuple[Tensor, ...]], precision: Precision
    ) -> list[NDArray[Any]]:
        """What is computed of all frames, each float tensor as float32; also of no frame."""
        where, outputs = self.model.device, []
        with passive_waiting():
            for batch in in_batches(frames, device.batch_size(where)) if len(frames) else [frames]:
                inputs = to_inputs(self.view.apply(batch), where)
                with torch.inference_mode(), device.arithmetic(where, precision):
                    parts = compute(inputs)
                outputs.append([_as_array(part) for part in parts])
        return [np.concatenate(part) for part in zip(*outputs, strict=True)]

    def __repr__(self) -> str:
        levels = ", ".join(map(str, self.shapes))
        method = self.provenance.get("method", "nothing")
        return f"Encoder({self.view}, levels: {levels}, embedding: {self.dim} numbers, learned by {method})"


def _keys(pictures: NDArray[np.uint8], precision: Precision) -> list[bytes]:
    """A digest of each picture and of the precision that it is embedded with."""
    shape, salt = repr(pictures.shape[1:]).encode()[:16], precision.encode()
    return [hashlib.blake2b(picture.tobytes(), person=shape, salt=salt).digest() for picture in pictures]


def _cells_that_show(picture: NDArray[np.uint8], grid: tuple[int, int]) -> Tensor:
    """Which cells (rows, columns) of a picture (h, w, C) are not of one colour."""
    values = torch.from_numpy(writable(picture)).permute(2, 0, 1).float()
    highest, lowest = (nn.functional.adaptive_max_pool2d(sign * values, grid) * sign for sign in (1, -1))
    return (highest - lowest).amax(dim=0) > _FLAT


def _agreed(supported: Tensor, shows: Tensor, others_show: Tensor) -> Agreement:
    """Of the support of all pairs of cells (rows, columns, rows, columns), and which cells (rows, columns) show things.

    Two cells that show nothing are no match, and in a frame that shows nothing there is none at all.
    """
    kept = supported * ((shows[:, :, None, None] | others_show) & shows.any() & others_show.any())
    first, second = kept.sum(dim=(2, 3)), kept.sum(dim=(0, 1))
    shows, others_show = shows | (first > 0), others_show | (second > 0)
    share = float(kept.sum() / max(1, int(shows.sum()), int(others_show.sum())))
    supports = (first.clamp(max=1).numpy(), second.clamp(max=1).numpy())
    return Agreement(min(1.0, share), *supports, shows.numpy(), others_show.numpy(), _matches(kept))


def _matches(supported: Tensor) -> tuple[CellMatch, ...]:
    """Those above 0 of (rows, columns, rows, columns), the strongest first."""
    pairs, supports = supported.nonzero().tolist(), supported[supported > 0].tolist()
    found = [CellMatch((a, b), (c, d), support) for (a, b, c, d), support in zip(pairs, supports, strict=True)]
    return tuple(sorted(found, key=lambda match: -match.support))


def _as_array(tensor: Tensor) -> NDArray[Any]:
    values = tensor.float() if tensor.is_floating_point() else tensor
    array: NDArray[Any] = values.contiguous().cpu().numpy()
    return array


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows (N, dim) of length 1, or 0."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: NDArray[np.float32] = rows / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit


def check_encoder(given: object) -> None:
    """Raises a SettingsError for anything but an encoder, such as the path of its run."""
    if not isinstance(given, Encoder):
        raise SettingsError(f"encoder {brief(given)}; valid is an Encoder: learn one, or Encoder.load(RUN)")
