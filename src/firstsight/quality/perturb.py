"""Perturbations of a picture, to test an encoder: another view, another light, or noise.

Augmentation for learning (`closed_form/pairs.py`) has weaker crops and light, a larger turn, and no noise.
"""

import io
import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

_MIN_SIDE, _MAX_SIDE = 0.6, 0.8  # of the picture that a view keeps
_TURN = math.radians(8)
# Natural logarithms: light between half and double, and so on.
_GAIN, _CONTRAST, _GAMMA, _BALANCE = 0.7, 0.5, 0.5, 0.2
_GRAIN = 0.08  # standard deviation of a pixel, of full scale
_BLUR = 3  # pixels become one
_MIN_LOST, _MAX_LOST = 0.3, 0.5  # of each side of the part that is missing, as when data are lost
_JPEG_QUALITY = 15

Kind = Literal["view", "light", "noise"]


def perturbed(frames: NDArray[np.uint8], kind: Kind, *, generator: torch.Generator) -> NDArray[np.uint8]:
    """Each frame (N, H, W, C), C 1 or 3, after a random change of that kind; same shape.

    "view" turns the camera by up to 8 degrees and shows 60 to 80 % of each side at full size; "light" changes gain,
    contrast, gamma and colour balance; "noise" blurs, adds grain, loses a rectangle of 30 to 50 % of each
    side, and saves as a poor JPEG.
    """
    pictures = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    after = _CHANGES[kind](pictures, generator).clamp(0, 1)
    pixels = (after * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
    return np.stack([_as_jpeg(picture) for picture in pixels]) if kind == "noise" else pixels


def _another_view(pictures: Tensor, generator: torch.Generator) -> Tensor:
    num, _, height, width = pictures.shape
    side, turn = _draw(_MIN_SIDE, _MAX_SIDE, num, generator), _draw(-_TURN, _TURN, num, generator)
    along, across = side * turn.cos(), side * turn.sin()
    transform = torch.zeros(num, 2, 3)
    transform[:, 0, 0], transform[:, 0, 1] = along, -across * height / width
    transform[:, 1, 0], transform[:, 1, 1] = across * width / height, along
    room = (1 - transform[:, :, :2].abs().sum(dim=2)).clamp_min(0)  # before a corner leaves the picture
    transform[:, :, 2] = room * torch.stack([_draw(-1, 1, num, generator) for _ in range(2)], dim=1)
    grid = nn.functional.affine_grid(transform, list(pictures.shape), align_corners=False)
    return nn.functional.grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)


def _another_light(pictures: Tensor, generator: torch.Generator) -> Tensor:
    num, channels = pictures.shape[:2]
    gamma, contrast, gain = (
        _draw(-limit, limit, num, generator).exp()[:, None, None, None] for limit in (_GAMMA, _CONTRAST, _GAIN)
    )
    balance = _draw(-_BALANCE, _BALANCE, num * channels, generator).exp().view(num, channels, 1, 1)
    bent = pictures.pow(gamma)
    mean = bent.mean(dim=(1, 2, 3), keepdim=True)
    return ((bent - mean) * contrast + mean) * gain * balance


def _noise(pictures: Tensor, generator: torch.Generator) -> Tensor:
    height, width = pictures.shape[2:]
    small = nn.functional.interpolate(pictures, (-(-height // _BLUR), -(-width // _BLUR)), mode="area")
    blurred = nn.functional.interpolate(small, (height, width), mode="bilinear", align_corners=False)
    grainy = blurred + _GRAIN * torch.randn(pictures.shape, generator=generator)
    return torch.where(_lost(pictures, generator), 0.5, grainy)


def _lost(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """A rectangle of each picture: bool (N, 1, H, W)."""
    num, _, height, width = pictures.shape
    inside = []
    for length in (height, width):
        size = _draw(_MIN_LOST, _MAX_LOST, num, generator)
        start = torch.rand(num, generator=generator) * (1 - size)
        position = (torch.arange(length) + 0.5) / length
        inside.append((position >= start[:, None]) & (position < (start + size)[:, None]))
    rows, columns = inside
    return (rows[:, :, None] & columns[:, None, :])[:, None]


_CHANGES: dict[Kind, Callable[[Tensor, torch.Generator], Tensor]] = {
    "view": _another_view,
    "light": _another_light,
    "noise": _noise,
}


def _as_jpeg(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    file = io.BytesIO()
    Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(file, "jpeg", quality=_JPEG_QUALITY)
    return np.asarray(Image.open(file)).reshape(picture.shape)


def _draw(low: float, high: float, num: int, generator: torch.Generator) -> Tensor:
    return torch.rand(num, generator=generator) * (high - low) + low
