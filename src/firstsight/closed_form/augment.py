"""Augmentation: the same picture through a random crop, turned a little, in another light."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

_MIN_SIDE = 0.75  # of the picture that a crop keeps
_ASPECT = 0.1  # change of the aspect ratio, natural logarithm
_TURN = 0.2  # of the camera, radians: 11 degrees
_LIGHT = 0.2  # change of brightness and contrast, natural logarithm


def augmented(frames: NDArray[np.uint8], *, generator: torch.Generator) -> NDArray[np.uint8]:
    """Each frame (N, H, W, C) through a turned crop of its own, back at full size, in a light of its own."""
    pictures = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    lit = _in_another_light(_cropped(pictures, generator), generator)
    return (lit.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()


def _cropped(pictures: Tensor, generator: torch.Generator) -> Tensor:
    num, _, rows, columns = pictures.shape
    side, aspect = _draw(_MIN_SIDE, 1, (num,), generator), _draw(-_ASPECT, _ASPECT, (num,), generator).exp()
    width, height = (side * aspect).clamp(max=1), (side / aspect).clamp(max=1)
    turn = _draw(-_TURN, _TURN, (num,), generator)
    transform = torch.zeros(num, 2, 3)
    transform[:, 0, 0], transform[:, 0, 1] = width * turn.cos(), -height * turn.sin() * rows / columns
    transform[:, 1, 0], transform[:, 1, 1] = width * turn.sin() * columns / rows, height * turn.cos()
    transform[:, 0, 2] = _draw(-1, 1, (num,), generator) * (1 - width)
    transform[:, 1, 2] = _draw(-1, 1, (num,), generator) * (1 - height)
    places = nn.functional.affine_grid(transform, list(pictures.shape), align_corners=False)
    return nn.functional.grid_sample(pictures, places, padding_mode="reflection", align_corners=False)


def _in_another_light(pictures: Tensor, generator: torch.Generator) -> Tensor:
    num, channels = pictures.shape[:2]
    mean = pictures.mean(dim=(1, 2, 3), keepdim=True)
    contrast = _draw(-_LIGHT, _LIGHT, (num, 1, 1, 1), generator).exp()
    gain = _draw(-_LIGHT, _LIGHT, (num, 1, 1, 1), generator)
    balance = _draw(-_LIGHT / 3, _LIGHT / 3, (num, channels, 1, 1), generator)
    offset = _draw(-_LIGHT / 3, _LIGHT / 3, (num, 1, 1, 1), generator)
    return ((pictures - mean) * contrast + mean) * (gain + balance).exp() + offset


def _draw(low: float, high: float, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator) * (high - low) + low
