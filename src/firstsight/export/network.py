"""An encoder as a file that other runtimes execute: frames in, vectors out, with resizing and read-out inside.

The graph is traced by `torch.export`. ONNX files are made by PyTorch's exporter, OpenVINO's by its own converter.
"""

import contextlib
import io
import logging
import math
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from firstsight.closed_form.model import ClosedFormModel
from firstsight.closed_form.pyramid import pooled_from
from firstsight.encoder.encoder import Encoder, check_encoder
from firstsight.errors import RunError, SettingsError, brief, check_choice
from firstsight.files import check_path, write_atomically
from firstsight.pixels import Crop

Runtime = Literal["onnx", "openvino"]

_SUFFIXES: dict[Runtime, str] = {"onnx": ".onnx", "openvino": ".xml"}
_INPUT, _OUTPUT = "frames", "vectors"
_LEAST = 1e-30  # of a length: a frame on which every map is 0 keeps the vector 0
_MAX_PIXELS = 2**26  # of a frame: 8192x8192
_MAX_SIDE = 2**14


@dataclass(frozen=True)
class ExportedNetwork:
    """A file that was written."""

    path: Path
    runtime: Runtime
    width: int  # pixels of a frame
    height: int
    channels: int
    dim: int  # numbers in a vector

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        names = ("runtime", "width", "height", "channels", "dim")
        return {"out": str(self.path), **{name: getattr(self, name) for name in names}}


def export_encoder(
    encoder: Encoder, out: str | Path, *, to: Runtime, size: tuple[int, int] | None = None
) -> ExportedNetwork:
    """Writes the encoder for another runtime.

    The network takes `frames`, uint8 (N, height, width, channels), upright, RGB or grey, and gives `vectors`, float32
    (N, dim), each of length 1, or 0. They agree with those of `Encoder.encode` in float32 to a cosine of 0.9999.

    Args:
        encoder: learned or loaded.
        out: a file, `.onnx` or `.xml`; OpenVINO writes its weights beside it, as `.bin`.
        to: the runtime.
        size: width and height of the frames; by default those of the network's input, to which others are resized.

    Raises:
        SettingsError: another runtime, name of a file or size, or the runtime's packages are not installed.
        PixelsError: frames of that size are too small for the encoder.
        RunError: the file cannot be written.

    Example:
        >>> export_encoder(Encoder.load("runs/hall"), "hall.onnx", to="onnx", size=(1280, 720))  # doctest: +SKIP
    """
    check_encoder(encoder)
    check_choice("runtime", to, get_args(Runtime))
    path = check_path(out, name="network", error=RunError)
    if path.suffix != _SUFFIXES[to]:
        raise SettingsError(f"{path.name} for {to}; valid is a name that ends in {_SUFFIXES[to]}")
    width, height = _checked(size) if size else _input_size(encoder)
    write = _writer(to)
    network = _Exported(encoder, width, height).eval()
    # Two frames: of a single one the exporter would take the number for fixed.
    frames = torch.zeros(2, height, width, encoder.view.channels, dtype=torch.uint8)
    with torch.no_grad(), _quiet():
        network(frames)  # fills caches of constants, which are traced as such
        batch = torch.export.Dim("batch")
        program = torch.export.export(network, (frames,), dynamic_shapes={_INPUT: {0: batch}})
        write(program, path)
    return ExportedNetwork(path, to, width, height, encoder.view.channels, encoder.dim)


def _checked(size: tuple[int, int]) -> tuple[int, int]:
    sides = tuple(size) if isinstance(size, tuple | list) else ()
    if (
        len(sides) != 2
        or not all(type(side) is int and 0 < side <= _MAX_SIDE for side in sides)
        or math.prod(sides) > _MAX_PIXELS
    ):
        raise SettingsError(
            f"size {brief(size)}; valid are width and height of a frame, as (1280, 720), each at most {_MAX_SIDE}"
        )
    return sides[0], sides[1]


def _input_size(encoder: Encoder) -> tuple[int, int]:
    """Width and height that the view gives, of a frame large enough for every view."""
    crop = encoder.view.crop(_MAX_PIXELS, _MAX_PIXELS)
    return crop.out_width, crop.out_height


class _Exported(nn.Module):
    """The view, the network and the read-out of an encoder, of frames of one size."""

    def __init__(self, encoder: Encoder, width: int, height: int) -> None:
        super().__init__()
        model = encoder.model
        self._crop: Crop = encoder.view.crop(width, height)
        self.resize = _Resize(self._crop.height, self._crop.width, self._crop.out_height, self._crop.out_width)
        self._embed: Callable[[Tensor], Tensor] = model.embed
        if isinstance(model, ClosedFormModel):
            self._embed = _ClosedForm(model)

    def forward(self, frames: Tensor) -> Tensor:
        crop = self._crop
        cut = frames[:, crop.y : crop.y + crop.height, crop.x : crop.x + crop.width]
        pictures = self.resize(cut.permute(0, 3, 1, 2).float(), in_eight_bits=True)
        return nn.functional.normalize(self._embed(pictures / 255).float(), dim=1, eps=_LEAST)


class _ClosedForm(nn.Module):
    """`ClosedFormModel.embed`, its levels scaled by products, which every runtime has."""

    def __init__(self, model: ClosedFormModel) -> None:
        super().__init__()
        self._pooling = model.pooling
        self.network, self.projection = model.network, model.projection
        height, width = model.view.height, model.view.width
        self.scale = nn.ModuleList(_Resize(height, width, level.height, level.width) for level in model.network.configs)

    def forward(self, inputs: Tensor) -> Tensor:
        responses = [
            level.responses(scale(inputs)) for level, scale in zip(self.network.levels, self.scale, strict=True)
        ]
        projected: Tensor = self.projection(pooled_from(self.network, inputs, responses, self._pooling))
        return projected


class _Resize(nn.Module):
    """Bilinear with antialiasing, as `pixels.crop_and_resize`: a product from each side, as the filter is separable."""

    rows: Tensor  # (out_height, height)
    columns: Tensor  # (width, out_width)

    def __init__(self, height: int, width: int, out_height: int, out_width: int) -> None:
        super().__init__()
        self._is_same = (height, width) == (out_height, out_width)
        self.register_buffer("rows", _filter(height, out_height))
        self.register_buffer("columns", _filter(width, out_width).T.contiguous())

    def forward(self, planes: Tensor, *, in_eight_bits: bool = False) -> Tensor:
        """Resized planes (N, channels, height, width); in eight bits they are rounded after each step."""
        if self._is_same:
            return planes
        wide = planes @ self.columns
        if not in_eight_bits:
            return self.rows @ wide
        return (self.rows @ wide.round().clamp(0, 255)).round().clamp(0, 255)


def _filter(size: int, out_size: int) -> Tensor:
    """The weights (out_size, size) of the input in each output: what resizing makes of single bright rows."""
    if size == out_size:
        return torch.eye(size)
    resized = nn.functional.interpolate(
        torch.eye(size)[None, None], (out_size, size), mode="bilinear", antialias=True, align_corners=False
    )
    return resized[0, 0]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what exporters report of their steps, and of what they will change."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)


def _writer(runtime: Runtime) -> "Callable[[torch.export.ExportedProgram, Path], None]":
    """What writes a program for the runtime. Raises a SettingsError if its packages are not installed."""
    if runtime == "openvino":
        openvino = _imported("openvino", runtime)
        return lambda program, path: _write_openvino(openvino, program, path)
    for name in ("onnx", "onnxscript"):
        _imported(name, runtime)
    return _write_onnx


def _imported(name: str, runtime: Runtime) -> ModuleType:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise SettingsError(
            f"to {runtime} the package {name} is needed: install it with `pip install 'firstsight[{runtime}]'`"
        ) from error


def _write_onnx(program: "torch.export.ExportedProgram", path: Path) -> None:
    made = torch.onnx.export(program, dynamo=True, verbose=False, input_names=[_INPUT], output_names=[_OUTPUT])
    assert made is not None
    write_atomically(path, made.model_proto.SerializeToString())


def _write_openvino(openvino: Any, program: "torch.export.ExportedProgram", path: Path) -> None:  # noqa: ANN401
    model = openvino.convert_model(program)
    model.inputs[0].set_names({_INPUT})
    model.outputs[0].set_names({_OUTPUT})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=path.parent) as folder:
            graph = Path(folder) / path.name
            openvino.save_model(model, graph, compress_to_fp16=False)
            path.unlink(missing_ok=True)  # no graph for a moment, rather than an earlier one beside these weights
            for one in (graph.with_suffix(".bin"), graph):
                one.replace(path.with_suffix(one.suffix))
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{path} cannot be written: {reason}; choose another folder, with free space") from error
