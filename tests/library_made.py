"""Libraries for the tests: of made-up vectors, and of small videos seen by a network that has learned nothing."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from firstsight.article.model import ArticleModel
from firstsight.article.network import Network
from firstsight.article.settings import article_levels
from firstsight.closed_form.agreement import LayoutConfig
from firstsight.closed_form.layout import Layout
from firstsight.closed_form.model import ClosedFormModel
from firstsight.closed_form.projection import Projection
from firstsight.closed_form.pyramid import PatchLevelConfig, PoolingConfig, Pyramid, part_dims
from firstsight.encoder.encoder import Encoder
from firstsight.encoder.model import CentralSquare, WholeFrame
from firstsight.footage.encoding import VideoWriter
from firstsight.library.records import FrameRows, SourceRecord
from firstsight.library.store import Store


def small_encoder(seed: int = 0) -> Encoder:
    """100 numbers a frame, in a millisecond."""
    levels = article_levels(num_levels=2, maps=4, hidden_maps=8)
    return Encoder(ArticleModel(CentralSquare(48, 32), Network(levels, input_size=32, seed=seed)))


def layout_encoder(*, weight: float = 0.6, seed: int = 0) -> Encoder:
    """16 numbers a frame, and a second stage of 6x8 cells with that weight; nothing is learned."""
    generator = torch.Generator().manual_seed(seed)
    levels = [PatchLevelConfig(24, 32, 5, filters=16, maps=8), PatchLevelConfig(12, 16, 5, filters=16, maps=8)]
    network = Pyramid(levels)
    layout = Layout(LayoutConfig(6, 8, dim=16, in_place_dim=4), [replace(one, in_channels=1, maps=2) for one in levels])
    for tensor in [*network.state_dict().values(), *layout.grey.state_dict().values()]:
        if tensor.is_floating_point():
            tensor.copy_(torch.randn(tensor.shape, generator=generator))
    frames = torch.rand((24, 3, 6, 8), generator=generator).repeat_interleave(4, 2).repeat_interleave(4, 3)
    layout.fit(layout.cell_means(network.responses(frames), frames))
    layout.config = replace(layout.config, weight=weight, unrelated=4.0)
    pooling = PoolingConfig()
    num = sum(part_dims(network, pooling))
    projection = Projection.of(
        torch.randn((num, 16), generator=generator), mean=torch.zeros(num), deviation=torch.ones(num)
    )
    return Encoder(ClosedFormModel(WholeFrame(32, 24), network, pooling, projection, layout))


def write_video(path: Path, *, seed: int, num_frames: int = 100) -> Path:
    """64x48 at 25 frames/s: a square wanders over a ground of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ground = np.random.default_rng(seed).integers(60, 120, (48, 64, 3), dtype=np.uint8)
    with VideoWriter(path, size=(64, 48)) as writer:
        for index in range(num_frames):
            frame = ground.copy()
            x, y = int(24 + 20 * np.sin(seed + index / 9)), int(18 + 14 * np.cos(index / 7))
            frame[y : y + 10, x : x + 10] = (250, 200, 40 + index % 200)
            writer.write(frame, seconds=index / 25)
    return path


def write_videos(folder: Path, num: int) -> Path:
    """So many different videos of 4 s in the folder: 0.mp4 and so on."""
    for seed in range(num):
        write_video(folder / f"{seed}.mp4", seed=seed)
    return folder


@dataclass(frozen=True, eq=False)
class Filled:
    """A library, and what was put into it."""

    library: Store
    vectors: np.ndarray  # (N, dim) float32, before they were stored
    names: np.ndarray  # (N,)
    seconds: np.ndarray  # (N,)
    frame_indices: np.ndarray  # (N,)


def filled(folder: Path, sizes: dict[str, int], *, seed: int = 0) -> Filled:
    """Sources of so many frames each, two a second, each around a direction of its own."""
    random = np.random.default_rng(seed)
    library = Store.create(folder, small_encoder())
    parts = []
    for number, (name, size) in enumerate(sizes.items(), start=1):
        vectors = unit(random.standard_normal(library.dim) + 0.7 * random.standard_normal((size, library.dim)))
        parts.append(vectors)
        put(library, name, vectors, number=number)
    library.refresh()
    counts = list(sizes.values())
    steps = np.concatenate([np.arange(size) for size in counts])
    return Filled(library, np.concatenate(parts), np.repeat(list(sizes), counts), steps / 2, steps * 12)


def put(library: Store, name: str, vectors: np.ndarray, *, number: int, status: str = "whole") -> None:
    """Rows as indexing would put them."""
    size = len(vectors)
    rows = FrameRows(vectors, list(range(0, 12 * size, 12)), list(np.arange(size) / 2), [b"jpeg"] * size)
    library.tables.add([(number, rows)])
    record = SourceRecord(
        number, name, Path("/nowhere", name), f"{number:032}", 1_000, 1, 2.0, None, size, size / 2, status=status
    )
    library.tables.put([record])


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)
