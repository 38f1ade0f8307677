"""An exported encoder gives the vectors of the encoder, by PyTorch and by the runtimes that are installed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from library_made import layout_encoder, small_encoder

from firstsight.article.model import untrained
from firstsight.closed_form.filters import fit_colours
from firstsight.closed_form.projection import Projection
from firstsight.closed_form.pyramid import Colours, PoolingConfig, part_dims
from firstsight.encoder.encoder import Encoder
from firstsight.encoder.model import to_inputs
from firstsight.errors import PixelsError, RunError, SettingsError
from firstsight.export import network
from firstsight.export.network import export_encoder

ENCODERS = {"closed form": small_encoder, "with a layout": layout_encoder, "article": untrained}
WIDTH, HEIGHT = 96, 64


def frames(num: int) -> np.ndarray:
    """Smooth colours with some grain, upright."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (num, 4, 6, 3), dtype=np.int16).repeat(16, axis=1).repeat(16, axis=2)
    return (coarse + random.integers(-20, 20, coarse.shape)).clip(0, 255).astype(np.uint8)


def assert_agree(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == np.float32
    assert (found * expected).sum(axis=1).min() > 0.9999
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-4)


@pytest.mark.parametrize("name", ENCODERS)
def test_what_is_traced_gives_the_encoders_vectors(name: str) -> None:
    encoder: Encoder = ENCODERS[name]()
    shown = frames(5)
    with torch.inference_mode():
        found = network._Exported(encoder, WIDTH, HEIGHT)(torch.from_numpy(shown)).numpy()
    assert_agree(found, encoder.encode(shown, precision="float32"))


def reading(encoder: Encoder, pooling: PoolingConfig) -> Encoder:
    """The encoder with another read-out, projected at random."""
    model: Any = encoder.model
    num = sum(part_dims(model.network, pooling))
    random = torch.randn((num, 16), generator=torch.Generator().manual_seed(0))
    projection = Projection.of(random, mean=torch.zeros(num), deviation=torch.ones(num))
    return Encoder(replace(model, pooling=pooling, projection=projection))


def mirrored_encoder() -> Encoder:
    """What is read of a frame as `learn` chooses it: means over three grids, averaged with the mirror image."""
    return reading(layout_encoder(), PoolingConfig(mean_grids=(1, 2, 4), mirror=True))


def colours_encoder() -> Encoder:
    """What is read of frames of a walk: of their grain, hardly a pixel lies in the middle of a colour."""
    encoder = mirrored_encoder()
    model: Any = encoder.model
    colours = Colours(512, 3)
    shown = to_inputs(encoder.view.apply(frames(20)), torch.device("cpu"))
    fit_colours(colours, shown, generator=torch.Generator().manual_seed(0))
    model.network.colours = colours
    return reading(encoder, replace(model.pooling, num_colours=512))


@pytest.mark.parametrize("name", ["closed form", "mirrored", "with colours", "article"])
def test_the_traced_program_takes_any_number_of_frames(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder: Encoder = {**ENCODERS, "mirrored": mirrored_encoder, "with colours": colours_encoder}[name]()
    programs: list[Any] = []
    monkeypatch.setattr(network, "_writer", lambda _: lambda program, __: programs.append(program))
    export_encoder(encoder, tmp_path / "encoder.onnx", to="onnx", size=(WIDTH, HEIGHT))
    for num in (1, 5):
        found = programs[0].module()(torch.from_numpy(frames(num))).numpy()
        assert_agree(found, encoder.encode(frames(num), precision="float32"))


def run_onnx(path: Path, shown: np.ndarray) -> np.ndarray:
    runtime: Any = pytest.importorskip("onnxruntime")
    return runtime.InferenceSession(str(path)).run(["vectors"], {"frames": shown})[0]


def run_openvino(path: Path, shown: np.ndarray) -> np.ndarray:
    openvino: Any = pytest.importorskip("openvino")
    compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled({"frames": shown})["vectors"]


@pytest.mark.parametrize("make", [layout_encoder, colours_encoder])
@pytest.mark.parametrize(("to", "suffix", "run"), [("onnx", "onnx", run_onnx), ("openvino", "xml", run_openvino)])
def test_a_runtime_gives_them_too(tmp_path: Path, to: str, suffix: str, run: Any, make: Callable[[], Encoder]) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime") if to == "onnx" else ("openvino",):
        pytest.importorskip(package)
    encoder = make()
    written = export_encoder(encoder, tmp_path / f"encoder.{suffix}", to=to, size=(WIDTH, HEIGHT))
    assert (written.width, written.height, written.dim) == (WIDTH, HEIGHT, encoder.dim)
    for num in (1, 3):
        assert_agree(run(written.path, frames(num)), encoder.encode(frames(num), precision="float32"))


@pytest.mark.parametrize(
    ("out", "options", "message"),
    [
        ("encoder.onnx", {"to": "tensorrt"}, "onnx, openvino|onnx.*openvino"),
        ("encoder.pt", {"to": "onnx"}, "ends in .onnx"),
        ("encoder.onnx", {"to": "openvino"}, "ends in .xml"),
        ("encoder.onnx", {"to": "onnx", "size": (0, 5)}, "valid are width and height"),
        ("encoder.onnx", {"to": "onnx", "size": 5}, "valid are width and height"),
        ("encoder.onnx", {"to": "onnx", "size": (2**32, 2**32)}, "valid are width and height"),
        ("encoder.onnx", {"to": "onnx", "size": (100_000, 100)}, "valid are width and height"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path: Path, out: str, options: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        export_encoder(small_encoder(), tmp_path / out, **options)


def test_frames_too_small_for_the_encoder_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_writer", lambda _: None)
    with pytest.raises(PixelsError, match="too small"):
        export_encoder(untrained(seed=0), tmp_path / "encoder.onnx", to="onnx", size=(8, 8))


def test_what_is_not_installed_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"pip install 'firstsight\[onnx\]'"):
        network._imported("not_installed_at_all", "onnx")


class FakeOpenVino:
    """Writes a graph and its weights, as `save_model` does; may fail in between."""

    def __init__(self, content: str, *, fails: bool = False) -> None:
        self.content, self.fails = content, fails

    def convert_model(self, _: object) -> Any:
        names = SimpleNamespace(set_names=lambda _: None)
        return SimpleNamespace(inputs=[names], outputs=[names])

    def save_model(self, _: object, path: Path, *, compress_to_fp16: bool) -> None:
        assert not compress_to_fp16
        path.with_suffix(".bin").write_text(self.content)
        if self.fails:
            raise RuntimeError("no space left")
        path.write_text(self.content)


def test_an_interrupted_openvino_export_leaves_the_model_that_was_there(tmp_path: Path) -> None:
    program: Any = None
    graph = tmp_path / "made" / "hall.xml"
    network._write_openvino(FakeOpenVino("first"), program, graph)
    with pytest.raises(RunError, match=r"hall.xml cannot be written: no space left"):
        network._write_openvino(FakeOpenVino("second", fails=True), program, graph)
    assert {one.name: one.read_text() for one in graph.parent.iterdir()} == {"hall.bin": "first", "hall.xml": "first"}


def test_an_openvino_graph_never_lies_beside_the_weights_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program: Any = None
    graph, beside = tmp_path / "hall.xml", list[list[str]]()
    network._write_openvino(FakeOpenVino("first"), program, graph)

    replace_file = Path.replace

    def replace_and_look(self: Path, target: Path) -> Path:
        replaced = replace_file(self, target)
        beside.append(sorted(one.read_text() for one in tmp_path.iterdir() if one.is_file()))
        return replaced

    monkeypatch.setattr(Path, "replace", replace_and_look)
    network._write_openvino(FakeOpenVino("second"), program, graph)
    assert beside == [["second"], ["second", "second"]]
