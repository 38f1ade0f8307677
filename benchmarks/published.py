"""The published way of learning, as a yardstick: OpenCV decodes, one frame at a time, two Python loops over the pairs.

Written afresh from the description of the method. The order of operations and the libraries are the published ones,
with Pillow in place of torchvision's transforms (which call it).
"""

from collections.abc import Iterator

import cv2
import numpy as np
import torch
from PIL import Image
from torch import nn


class PublishedNetwork(nn.Module):
    """conv 5x5 to 64 -> ReLU -> conv 1x1 to 16 -> average pool 2x2, four times."""

    def __init__(self, num_levels: int = 4) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Sequential(nn.Conv2d(inputs, 64, 5), nn.ReLU(), nn.Conv2d(64, 16, 1), nn.AvgPool2d(2, 2))
            for inputs in (3, *[16] * (num_levels - 1))
        )

    def forward(self, inputs: torch.Tensor, level: int) -> torch.Tensor:
        """The maps of that level."""
        for stage in self.levels[:level]:
            inputs = stage(inputs)
        return inputs


def frames(path: str) -> Iterator[torch.Tensor]:
    """Inputs (1, 3, 224, 224), endlessly."""
    while True:
        capture = cv2.VideoCapture(path)
        while True:
            found, frame = capture.read()
            if not found:
                break
            picture = Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
            left, top = (picture.width - 360) // 2, (picture.height - 360) // 2
            picture = picture.crop((left, top, left + 360, top + 360)).resize((224, 224), Image.Resampling.BILINEAR)
            yield torch.from_numpy(np.asarray(picture).transpose(2, 0, 1).copy()).float().div(255)[None]


def step(network: PublishedNetwork, optimiser: torch.optim.Optimizer, inputs: torch.Tensor, level: int) -> float:
    """Learns from one frame; returns the largest |similarity|."""
    optimiser.zero_grad()
    maps = network(inputs, level)[0]
    similarities = []
    for i in range(len(maps)):
        for j in range(i + 1, len(maps)):
            first, second = maps[i].flatten(), maps[j].flatten()
            similarities.append(torch.dot(first / first.norm(), second / second.norm()))
    stacked = torch.stack(similarities)
    nn.functional.mse_loss(stacked, torch.zeros_like(stacked)).backward()
    optimiser.step()
    return max(abs(similarity.item()) for similarity in similarities)
