"""Pairs of frames known to show the same thing: neighbours in time, or two augmented views of one frame.

What differs between them is what the projection whitens.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from firstsight.closed_form.projection import Differences, principal, unit

_PAIR_FRAMES = 1_500  # of which two augmented views each are made
# Neighbours in time that are less similar than this quantile of random pairs lie on two sides of a cut.
_CUT_QUANTILE = 0.9
_MIN_SIDE = 0.75  # of the picture that a crop keeps
_ASPECT = 0.1  # change of the aspect ratio, natural logarithm
_TURN = 0.2  # of the camera, radians: 11 degrees
_LIGHT = 0.2  # change of brightness and contrast, natural logarithm


def neighbours_in_time(generator: torch.Generator) -> Differences:
    """Of each frame and the next, without cuts. Only for a moving view: before a still one, what differs is content."""

    def differences(inner: Tensor, _: Callable[[Tensor], Tensor]) -> Tensor:
        variances, directions = principal(inner, 256)
        vectors = unit(inner @ directions / variances.pow(0.375))
        random_pairs = (vectors * vectors[torch.randperm(len(vectors), generator=generator)]).sum(dim=1)
        same = (vectors[1:] * vectors[:-1]).sum(dim=1) > random_pairs.quantile(_CUT_QUANTILE)
        steps = inner[1:] - inner[:-1]
        scaled: Tensor = (steps[same] if bool(same.any()) else steps) / 2**0.5
        return scaled[:, None]

    return differences


def augmented_views(
    frames: NDArray[np.uint8], read: Callable[[NDArray[np.uint8]], Tensor], generator: torch.Generator
) -> Differences:
    """Of each of at most 1,500 frames and two augmented views of it; `read` gives the features of frames (N, dim)."""
    chosen = np.sort(torch.randperm(len(frames), generator=generator)[:_PAIR_FRAMES].numpy())

    def differences(inner: Tensor, to_inner: Callable[[Tensor], Tensor]) -> Tensor:
        augmentations = [to_inner(read(augmented(frames[chosen], generator=generator))) for _ in range(2)]
        views = torch.stack([inner[torch.from_numpy(chosen)], *augmentations], dim=1)
        unbiased: Tensor = (views - views.mean(dim=1, keepdim=True)) * (3 / 2) ** 0.5
        return unbiased

    return differences


def augmented(frames: NDArray[np.uint8], *, generator: torch.Generator) -> NDArray[np.uint8]:
    """Each frame (N, H, W, C) in a random crop, turned, at full size, with random brightness and contrast."""
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
    grid = nn.functional.affine_grid(transform, list(pictures.shape), align_corners=False)
    return nn.functional.grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)


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
