"""Embedding a video, decoding included, beside the encoders that one would take instead, in one run.

    python benchmarks/embedding.py                            # every frame of bikes.mp4, 640x272
    python benchmarks/embedding.py --video mine.mp4 --frames 500 --turns 7

All read the same frames by the same decoder, resized while they are converted, in one thread while another computes;
with as many threads as PyTorch and OpenVINO take by default, PyTorch's asleep while they wait. firstsight is measured
as `embed` does it (a vector a frame), and as `firstsight index --every 1` does it (vectors, cells, thumbnails, written
to a new library). CLIP and DINOv2 have random weights; EfficientNet-Lite0 (`pip install -e '.[bench]'`) and OpenVINO
take part where they are installed. Where PyTorch has two precisions, both are measured. The variants take turns. A
ratio is that of frames a second, by the clock, with a 95 % interval over the turns; beside it that of processor time.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import machine
from measuring import Cost, in_turns, ratio
from numpy.typing import NDArray
from pretrained import missing, network
from speed import bikes
from vision_transformers import CLIP, DINOV2, SIDE, VisionTransformer

import firstsight
from firstsight.device import arithmetic
from firstsight.encoder.model import CentralSquare, to_inputs
from firstsight.export.network import export_encoder
from firstsight.footage.queues import read_batches
from firstsight.library.embeddings import embed
from firstsight.process import passive_waiting

RESULTS = Path(__file__).parent / "results" / "embedding.json"
OURS, INDEX = "firstsight", "firstsight index"
ASKED = {"CLIP ViT-B/32": 10.0, "DINOv2 ViT-S/14": 4.0, "EfficientNet-Lite0": 3.0}
_BATCH = 16  # frames; of 8 to 64 the fastest or within some per cent of it
_CPU = torch.device("cpu")

Compute = Callable[[NDArray[np.uint8]], object]  # of pictures uint8 (N, H, W, 3)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, default=Path(bikes()))
    parser.add_argument("--frames", type=int, default=250, help="read a turn, from its beginning")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        video, num_frames = beginning(arguments.video, Path(folder), num_frames=arguments.frames)
        calls = variants(video, Path(folder), seed=arguments.seed)
        costs = in_turns(calls, turns=arguments.turns)
    result = {
        "machine": machine(),
        "seed": arguments.seed,
        "video": arguments.video.name,
        "size": firstsight.open_source(str(arguments.video)).size(),
        "num_frames": num_frames,
        "rows": [row(name, costs, num_frames) for name in costs],
    }
    arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    print(table(result))


def beginning(video: Path, folder: Path, *, num_frames: int) -> tuple[Path, int]:
    """The first frames of the video as a file of its own, copied without being encoded again; and their number."""
    import av

    path, packets = folder / f"beginning{video.suffix}", 0
    with av.open(str(video)) as read, av.open(str(path), "w") as written:
        stream = written.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(video=0):
            if packet.dts is None or packets >= num_frames:
                break
            packet.stream = stream
            written.mux(packet)
            packets += 1
    with firstsight.open_source(str(path)).read(CentralSquare()) as reading:
        return path, sum(1 for _ in reading)


def variants(video: Path, folder: Path, *, seed: int) -> dict[str, Callable[[], object]]:
    """By name what embeds all frames of the video."""
    encoder = firstsight.learn(str(video), seed=seed)
    calls: dict[str, Callable[[], object]] = {
        OURS: lambda: embed(encoder, str(video)),
        INDEX: lambda: indexed(video, encoder),
    }
    size = firstsight.open_source(str(video)).size()
    square = CentralSquare(crop_size=min(size), input_size=SIDE)
    for name, module in networks().items():
        for precision in ("float32", "bfloat16"):
            calls[f"{name}, {precision}"] = partial(read_all, video, square, in_torch(module, precision))
        if find_spec("openvino"):
            calls[f"{name}, OpenVINO"] = partial(read_all, video, square, in_openvino(converted(module)))
    if find_spec("openvino"):
        exported = export_encoder(encoder, folder / "ours.xml", to="openvino")
        compute = in_openvino(exported.path)
        calls[f"{OURS}, OpenVINO"] = partial(read_all, video, encoder.view, compute)
    return calls


def networks() -> dict[str, torch.nn.Module]:
    """Those compared with."""
    found: dict[str, torch.nn.Module] = {
        "CLIP ViT-B/32": VisionTransformer(CLIP).eval(),
        "DINOv2 ViT-S/14": VisionTransformer(DINOV2).eval(),
    }
    if lacking := missing():
        print(f"without EfficientNet-Lite0: {lacking}", file=sys.stderr)
    else:
        found["EfficientNet-Lite0"] = Means(network()).eval()
    return found


class Means(torch.nn.Module):
    """The means of the last maps (N, 1280)."""

    def __init__(self, inner: Any) -> None:  # noqa: ANN401  # of a package without types
        super().__init__()
        self.inner = inner

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Of pictures (N, 3, 224, 224)."""
        means: torch.Tensor = self.inner.extract_features(pictures).mean(dim=(2, 3))
        return means


class FromBytes(torch.nn.Module):
    """The network of pictures uint8 (N, H, W, 3)."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner.requires_grad_(False)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Of values in [0, 1]."""
        return self.inner(pictures.permute(0, 3, 1, 2).float() / 255)


def read_all(video: Path, view: CentralSquare, compute: Compute) -> None:
    """Reads the video through the view, and computes of each batch."""
    for batch in read_batches(firstsight.open_source(str(video)), view, size=_BATCH):
        compute(np.stack([frame.pixels for frame in batch]))


def in_torch(module: torch.nn.Module, precision: str) -> Compute:
    """The network in PyTorch."""

    def compute(pictures: NDArray[np.uint8]) -> object:
        with passive_waiting(), torch.inference_mode(), arithmetic(_CPU, precision):
            return module(to_inputs(pictures, _CPU)).float().numpy()

    return compute


def converted(module: torch.nn.Module) -> Any:  # noqa: ANN401  # of a package without types
    """The network as OpenVINO's, pictures uint8 (N, H, W, 3) in."""
    import openvino

    example = torch.zeros(2, SIDE, SIDE, 3, dtype=torch.uint8)
    with torch.no_grad():
        return openvino.convert_model(FromBytes(module), example_input=example, input=[-1, SIDE, SIDE, 3])


def in_openvino(model: Any) -> Compute:  # noqa: ANN401
    """The network, or that in a file, in OpenVINO, which takes bfloat16 where the processor has it."""
    import openvino

    compiled = openvino.Core().compile_model(model, "CPU")
    return lambda pictures: compiled(pictures)[0]


def indexed(video: Path, encoder: firstsight.Encoder) -> None:
    """A library of every frame, as a user makes it."""
    with tempfile.TemporaryDirectory() as folder:
        firstsight.Library.create(Path(folder) / "made.library", str(video), encoder=encoder, every=1).close()


def row(name: str, costs: dict[str, list[Cost]], num_frames: int) -> dict[str, object]:
    """Frames a second of a variant, and how many times as many firstsight makes."""
    own, ours = costs[name], costs[OURS]
    return {
        "name": name,
        "frames_a_second": num_frames / float(np.median([one.wall for one in own])),
        "cpu_milliseconds_a_frame": 1000 * float(np.median([one.cpu for one in own])) / num_frames,
        "times_wall": asdict(ratio([one.wall for one in own], [one.wall for one in ours])),
        "times_cpu": asdict(ratio([one.cpu for one in own], [one.cpu for one in ours])),
        "turns": [asdict(one) for one in own],
    }


def table(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    width, height = result["size"]
    lines = [
        f"{result['num_frames']} frames of {result['video']}, {width}x{height}, decoding included:\n",
        "| | frames/s | processor time a frame | firstsight is faster | by processor time | asked |",
        "|---|---|---|---|---|---|",
    ]
    for one in result["rows"]:
        times = ("{mean:.2g} times ({low:.2g} to {high:.2g})".format(**one[key]) for key in ("times_wall", "times_cpu"))
        wall, cpu = times if one["name"] != OURS else ("", "")
        asked = next((f"{least:.0f}" for name, least in ASKED.items() if one["name"].startswith(name)), "")
        lines.append(
            f"| {one['name']} | {one['frames_a_second']:.0f} | {one['cpu_milliseconds_a_frame']:.1f} ms | {wall} | "
            f"{cpu} | {asked} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
