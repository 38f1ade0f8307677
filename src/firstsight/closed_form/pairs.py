"""Pairs of frames known to show the same thing: neighbours in time, matches found by the layout, augmented views.

What differs between them is what the projection whitens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from firstsight.closed_form.projection import Deviations, Space, principal, unit

_MIN_VIEWS, _MAX_VIEWS = 200, 1_500  # frames of which two augmented views each are made
# Neighbours in time that are less similar than this quantile of random pairs lie on two sides of a cut.
_CUT_QUANTILE = 0.9
_MIN_SIDE = 0.75  # of the picture that a crop keeps
_ASPECT = 0.1  # change of the aspect ratio, natural logarithm
_TURN = 0.2  # of the camera, radians: 11 degrees
_LIGHT = 0.2  # change of brightness and contrast, natural logarithm
_AT_ONCE = 100  # frames that are changed, a megabyte each
# Pairs that augmented views count for beside the pairs found in the footage, of which there may be few or none.
_PRIOR_PAIRS = 20


@dataclass(frozen=True)
class KnownPairs:
    """The pairs that the footage gives, and for how many pairs they count."""

    in_time: float = 0.0  # pairs that all neighbours in time count for
    found: Sequence[tuple[int, int]] = ()  # numbers of frames that show the same thing
    found_weight: float = 0.0  # of each

    @property
    def share_of_views(self) -> float:
        """The weight of augmented views beside them, 0 to 1."""
        return _PRIOR_PAIRS / (_PRIOR_PAIRS + self.in_time + self.found_weight * len(self.found))


def deviations_of(
    known: KnownPairs,
    space: Space,
    frames: NDArray[np.uint8],
    read: Callable[[NDArray[np.uint8]], Tensor],
    generator: torch.Generator,
) -> list[Deviations]:
    """What differs between known pairs and between augmented views.

    Args:
        known: pairs.
        space: of the frames' features.
        frames: uint8 (N, H, W, C).
        read: gives the features of frames, (N, dim).
        generator: of what is drawn.
    """
    inner = space.values
    views = _of_views(inner, lambda some: space.to_inner(read(some)), frames, known.share_of_views, generator)
    kinds = [Deviations(views, float(_PRIOR_PAIRS))]
    if known.in_time:
        numbers = _same_scene(inner, generator)
        steps = (inner[numbers + 1] - inner[numbers])[:, None] / 2**0.5
        kinds.append(Deviations(steps, known.in_time, numbers))
    if known.found and known.found_weight:
        first, second = torch.tensor(known.found).T
        steps = (inner[first] - inner[second])[:, None] / 2**0.5
        kinds.append(Deviations(steps, known.found_weight * len(known.found)))
    return kinds


def only_of(kinds: Sequence[Deviations], chosen: Callable[[Tensor], Tensor]) -> list[Deviations]:
    """Augmented views, and the pairs in time that begin with the chosen frames; `chosen` is of their numbers."""
    some = [kinds[0]]
    for kind in kinds:
        if kind.numbers is not None and bool((mine := chosen(kind.numbers)).any()):
            share = float(mine.float().mean())
            some.append(Deviations(kind.things[mine], kind.weight * share, kind.numbers[mine]))
    return some


def _same_scene(inner: Tensor, generator: torch.Generator) -> Tensor:
    """The numbers of the frames with which the next one shares the scene."""
    variances, directions = principal(inner, 256)
    vectors = unit(inner @ directions / variances.pow(0.375))
    random_pairs = (vectors * vectors[torch.randperm(len(vectors), generator=generator)]).sum(dim=1)
    same = (vectors[1:] * vectors[:-1]).sum(dim=1) > random_pairs.quantile(_CUT_QUANTILE)
    return torch.nonzero(same if bool(same.any()) else torch.ones_like(same))[:, 0]


def _of_views(
    inner: Tensor,
    to_inner: Callable[[NDArray[np.uint8]], Tensor],
    frames: NDArray[np.uint8],
    share: float,
    generator: torch.Generator,
) -> Tensor:
    """Of frames and two augmented views of each: fewer frames, the less the views weigh."""
    num = max(_MIN_VIEWS, round(_MAX_VIEWS * share))
    chosen = np.sort(torch.randperm(len(frames), generator=generator)[:num].numpy())
    augmentations = [to_inner(augmented(frames[chosen], generator=generator)) for _ in range(2)]
    views = torch.stack([inner[torch.from_numpy(chosen)], *augmentations], dim=1)
    unbiased: Tensor = (views - views.mean(dim=1, keepdim=True)) * (3 / 2) ** 0.5
    return unbiased


def augmented(frames: NDArray[np.uint8], *, generator: torch.Generator) -> NDArray[np.uint8]:
    """Each frame (N, H, W, C) in a random crop, turned, at full size, with random brightness and contrast."""
    num, rows, columns, channels = frames.shape
    crops, lights = _draw_crops(num, rows, columns, generator), _draw_lights(num, channels, generator)
    changed = np.empty_like(frames)
    for start in range(0, num, _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        pictures = torch.from_numpy(frames[some]).permute(0, 3, 1, 2).float() / 255
        lit = _in_light(_cropped(pictures, crops[some]), *(one[some] for one in lights))
        changed[some] = (lit.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    return changed


def _draw_crops(num: int, rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """Affine maps (num, 2, 3) of places in a crop to those in a picture of so many rows and columns."""
    side, aspect = _draw(_MIN_SIDE, 1, (num,), generator), _draw(-_ASPECT, _ASPECT, (num,), generator).exp()
    width, height = (side * aspect).clamp(max=1), (side / aspect).clamp(max=1)
    turn = _draw(-_TURN, _TURN, (num,), generator)
    transform = torch.zeros(num, 2, 3)
    transform[:, 0, 0], transform[:, 0, 1] = width * turn.cos(), -height * turn.sin() * rows / columns
    transform[:, 1, 0], transform[:, 1, 1] = width * turn.sin() * columns / rows, height * turn.cos()
    transform[:, 0, 2] = _draw(-1, 1, (num,), generator) * (1 - width)
    transform[:, 1, 2] = _draw(-1, 1, (num,), generator) * (1 - height)
    return transform


def _cropped(pictures: Tensor, crops: Tensor) -> Tensor:
    grid = nn.functional.affine_grid(crops, list(pictures.shape), align_corners=False)
    return nn.functional.grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)


def _draw_lights(num: int, channels: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Factors of contrast (num, 1, 1, 1) and of brightness (num, channels, 1, 1), and what is added."""
    contrast = _draw(-_LIGHT, _LIGHT, (num, 1, 1, 1), generator).exp()
    gain = _draw(-_LIGHT, _LIGHT, (num, 1, 1, 1), generator)
    balance = _draw(-_LIGHT / 3, _LIGHT / 3, (num, channels, 1, 1), generator)
    offset = _draw(-_LIGHT / 3, _LIGHT / 3, (num, 1, 1, 1), generator)
    return contrast, (gain + balance).exp(), offset


def _in_light(pictures: Tensor, contrast: Tensor, brightness: Tensor, offset: Tensor) -> Tensor:
    mean = pictures.mean(dim=(1, 2, 3), keepdim=True)
    return ((pictures - mean) * contrast + mean) * brightness + offset


def _draw(low: float, high: float, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator) * (high - low) + low
