"""One level in closed form, as plainly as it can be written: a yardstick for the default method's time.

    python benchmarks/one_level.py --data ../shared/data    # both in turns, on IE Tower

Learns from 2,373 frames and encodes 2,877. Frames at 64 pixels; 5x5 patches without their mean, divided by
sqrt(variance + 0.003); ZCA; 512 spherical k-means filters from 60,000 patches of 400 frames; ReLU(response - 1); mean
over the frame; square root; 256 principal components, half whitened. Writes benchmarks/results/one_level.json.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from quality import RESULTS, machine
from quality_sets import labelled_sets
from torch import Tensor, nn

import firstsight
from firstsight.closed_form.filters import spherical_kmeans
from firstsight.closed_form.projection import unit
from firstsight.device import generator
from firstsight.evaluation.baselines import Method, by_vectors, of_encoder
from firstsight.process import keep_freed_memory

_HEIGHT, _KERNEL, _FILTERS, _DIM = 64, 5, 512, 256
_NUM_PATCHES, _FIT_FRAMES, _BATCH = 60_000, 400, 32


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    keep_freed_memory()
    labelled = labelled_sets(arguments.data)["ie_tower"]()
    seconds: dict[str, list[float]] = {"one level": [], "default": []}
    scores = {}
    for turn in range(arguments.turns):
        for name, learn in (
            ("one level", one_level),
            ("default", lambda frames, seed: of_encoder(firstsight.learn(frames, seed=seed))),
        ):
            begin = time.perf_counter()
            scores[name] = labelled.score(learn(labelled.learn_from, turn))
            seconds[name].append(time.perf_counter() - begin)
            print(name, f"{seconds[name][-1]:.1f} s", scores[name], flush=True)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    ratio = medians["default"] / medians["one level"]
    print(f"default / one level: {ratio:.2f} of the time")
    kept = {"seconds": seconds, "ratio": ratio, "scores": scores, "machine": machine()}
    (RESULTS.parent / "one_level.json").write_text(json.dumps(kept, indent=1) + "\n")


@torch.inference_mode()
def one_level(frames: NDArray[np.uint8], seed: int) -> Method:
    """Learns from frames uint8 (N, H, W, 3)."""
    drawn = generator(seed)
    chosen = torch.randperm(len(frames), generator=drawn)[:_FIT_FRAMES].numpy()
    each = _NUM_PATCHES // _FIT_FRAMES
    patches = torch.empty(_FIT_FRAMES * each, 3 * _KERNEL**2)
    for number, index in enumerate(chosen):
        seen = _patches(frames[index : index + 1])[0]
        patches[number * each : (number + 1) * each] = seen[torch.randint(len(seen), (each,), generator=drawn)]
    mean = patches.mean(dim=0)
    variances, directions = torch.linalg.eigh(torch.cov(patches.T))
    zca = directions / (variances + 0.1 * variances.mean()).sqrt() @ directions.T
    weight = zca @ spherical_kmeans((patches - mean) @ zca, _FILTERS, generator=drawn).T
    bias = -mean @ weight - 1

    def features(pictures: NDArray[np.uint8]) -> Tensor:
        means = torch.empty(len(pictures), _FILTERS)  # filled in place: see docs/log.md on memory
        for start in range(0, len(pictures), _BATCH):
            batch = _patches(pictures[start : start + _BATCH])
            responses = torch.addmm(bias, batch.flatten(0, 1), weight).relu_()
            means[start : start + len(batch)] = responses.view(*batch.shape[:2], _FILTERS).mean(dim=1)
        return means.sqrt_()

    seen = features(frames)
    centre = seen.mean(dim=0)
    spread, axes = torch.linalg.eigh(torch.cov(seen.T))
    projection = axes[:, -_DIM:] / spread[-_DIM:].pow(0.25)
    return by_vectors("one level", lambda pictures: unit((features(pictures) - centre) @ projection).numpy())


def _patches(frames: NDArray[np.uint8]) -> Tensor:
    """Normalised patches (N, places, 75)."""
    planes = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    width = round(frames.shape[2] * _HEIGHT / frames.shape[1])
    small = nn.functional.interpolate(planes, (_HEIGHT, width), mode="bilinear", antialias=True)
    patches = nn.functional.unfold(small, _KERNEL).transpose(1, 2)
    patches = patches - patches.mean(dim=2, keepdim=True)
    return patches / (patches.square().mean(dim=2, keepdim=True) + 0.003).sqrt()


if __name__ == "__main__":
    main()
