"""A GPU beside the CPU: do they agree, and how much faster is it? Needs a machine with CUDA.

    python benchmarks/gpu.py [--video mine.mp4] [--json OUT.json]

Both encoders are learned on the CPU from the same made footage (textures that move), then moved to the GPU: the cosine
of each frame's two embeddings, in float32 and bfloat16, and frames a second, of 360x480 and of the size that the
network reads; how far the similarities of the second stage are apart. With a video, both encoders embed it, decoding
included. The article's method also learns on both: how far its weights are apart after five steps.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import firstsight
from firstsight.article.loop import ArticleLoop
from firstsight.article.network import Network
from firstsight.article.settings import ArticleSettings
from firstsight.device import describe_machine, has_fast_bfloat16
from firstsight.encoder.encoder import Encoder
from firstsight.encoder.model import to_inputs
from firstsight.library.embeddings import embed
from firstsight.process import Precision

_SIZE, _NUM = (360, 480), 400
_ARTICLE = {"method": "article", "frames_per_level": 40, "batch_size": 4}
_STEPS = 5
_TIMES = 8  # that small frames are repeated: several batches


def main() -> None:
    """Prints a table; exits with 1 if GPU and CPU do not agree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, help="embed this as well, decoding included")
    parser.add_argument("--json", type=Path, help="write all figures here as well")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("this machine has no CUDA GPU: nothing is measured")
    frames = moving_textures(_NUM)
    rows = [row for method in ({}, _ARTICLE) for row in compared(frames, method, arguments.video)]
    apart, similarities = learning_apart(frames), similarities_apart(frames)
    machine = {**describe_machine(), "gpu": torch.cuda.get_device_name(), "fast_bfloat16": has_fast_bfloat16(_GPU)}
    print(f"{machine['gpu']}, PyTorch {machine['torch']}, {machine['num_cores']} cores")
    print("| encoder | precision | frames | least cosine GPU to CPU | CPU, frames/s | GPU, frames/s |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        print("| {encoder} | {precision} | {frames} | {cosine:.6f} | {cpu:.0f} | {gpu:.0f} |".format(**row))
    print(f"the article's weights after {_STEPS} steps on both: relative distance {apart:.1e}")
    print(f"similarities of the closed form's second stage, in float32: at most {similarities:.1e} apart")
    if arguments.json:
        arguments.json.write_text(
            json.dumps({"machine": machine, "rows": rows, "learning": apart, "similarities": similarities}, indent=2)
        )
    agree = all(row["cosine"] > row["asked"] for row in rows) and apart < 1e-4 and similarities < _SAME
    raise SystemExit(0 if agree else 1)


_GPU = torch.device("cuda")
_SAME = 0.02  # a number of a cell that lies between two steps may be rounded to either


def similarities_apart(frames: NDArray[np.uint8]) -> float:
    """The largest difference of two frames' similarity on the CPU and on the GPU."""
    encoder = firstsight.learn(frames, seed=0, device="cpu")
    chosen = frames[::10]
    on_cpu = encoder.similarities(chosen, chosen, precision="float32")
    moved = Encoder(encoder.model).to("cuda")  # another, which remembers no frame
    return float(np.abs(moved.similarities(chosen, chosen, precision="float32") - on_cpu).max())


def compared(frames: NDArray[np.uint8], options: dict[str, object], video: Path | None) -> Iterator[dict[str, object]]:
    """Rows of one encoder: each precision and kind of frames on the GPU against the CPU."""
    encoder = firstsight.learn(frames, seed=0, device="cpu", **options)
    inputs = np.tile(encoder.view.apply(frames), (_TIMES, 1, 1, 1))
    asked: tuple[tuple[Precision, float], ...] = (("float32", 0.9999), ("bfloat16", 0.99))
    works: list[tuple[str, str, float, Callable[[], NDArray[np.float32]]]] = []
    for precision, cosine in asked:
        encode = partial(encoder.encode, precision=precision)
        works.append((precision, "360x480", cosine, partial(encode, frames)))
        works.append((precision, "of the network's size", cosine, partial(encode, inputs)))
    if video:
        name = f"{video.name}, decoding included"
        works.append((encoder.model.precision, name, 0.99, lambda: embed(encoder, str(video)).vectors))
    on_cpu = [timed(work) for *_, work in works]
    encoder.to("cuda")
    for (precision, kind, cosine, work), (expected, cpu) in zip(works, on_cpu, strict=True):
        found, gpu = timed(work)
        yield {
            "encoder": "article" if options else "closed form",
            "precision": precision,
            "frames": kind,
            "cosine": float((found * expected).sum(axis=1).min()),
            "asked": cosine,
            "cpu": len(found) / cpu,
            "gpu": len(found) / gpu,
        }


def learning_apart(frames: NDArray[np.uint8]) -> float:
    """Relative distance of the article's weights after five steps on the CPU and on the GPU.

    Rounding doubles with nearly every step: after 40 they are 1 % apart, and after thousands another network.
    """
    settings = ArticleSettings(batch_size=4)
    inputs = np.split(settings.view.apply(frames[: 4 * _STEPS]), _STEPS)
    weights = []
    for device in (torch.device("cpu"), _GPU):
        network = Network(settings.levels, input_size=settings.input_size, seed=0).to(device)
        loop = ArticleLoop(network, settings)
        for batch in inputs:
            loop.step(to_inputs(batch, device))
        weights.append(torch.cat([value.detach().flatten().cpu() for value in network.parameters()]))
    return float((weights[0] - weights[1]).norm() / weights[0].norm())


def timed(work: Callable[[], NDArray[np.float32]]) -> tuple[NDArray[np.float32], float]:
    """The result, and the least seconds of three rounds after one to warm up."""
    result = work()
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - begin)
    return result, min(seconds)


def moving_textures(num: int) -> NDArray[np.uint8]:
    """Frames (num, 360, 480, 3) of a smooth random texture that the view moves over."""
    random = np.random.default_rng(0)
    coarse = torch.from_numpy(random.uniform(0, 255, (1, 3, 60, 120)).astype(np.float32))
    scene = torch.nn.functional.interpolate(coarse, scale_factor=12, mode="bicubic")[0].clamp(0, 255).byte().numpy()
    height, width = _SIZE
    steps = [(round(180 * (1 + np.sin(i / 17))), 2 * i % (scene.shape[2] - width)) for i in range(num)]
    return np.stack([scene[:, y : y + height, x : x + width].transpose(1, 2, 0) for y, x in steps])


if __name__ == "__main__":
    main()
