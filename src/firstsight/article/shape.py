"""The shape of the article's network: levels, sizes of their maps, where their cells lie in the picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from firstsight.errors import SettingsError, check_choice

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

POOL_SIZE = 2

Padding = Literal["none", "reflect"]


@dataclass(frozen=True)
class LevelConfig:
    """The shape of one level. The defaults are the article's."""

    in_channels: int
    maps: int = 16
    hidden_maps: int | None = 64  # None: the k x k convolution gives the maps itself, and there is no 1x1 convolution
    kernel_size: int = 5  # pixels, square, stride 1
    pool: bool = True  # average pool 2x2
    padding: Padding = "none"  # "reflect" mirrors the picture at its border, which keeps its size

    def __post_init__(self) -> None:
        sizes = (self.in_channels, self.maps, self.kernel_size, 1 if self.hidden_maps is None else self.hidden_maps)
        if min(sizes) < 1:
            raise SettingsError(f"{self}: channels, maps, hidden maps and kernel size must be at least 1")
        check_choice("padding", self.padding, get_args(Padding))
        if self.padding == "reflect" and self.kernel_size % 2 == 0:
            raise SettingsError(f"kernel size {self.kernel_size} with reflection; it has no middle: use an odd one")

    @property
    def border(self) -> int:
        """Cells added at each side before the convolution."""
        return self.kernel_size // 2 if self.padding == "reflect" else 0

    @property
    def step(self) -> int:
        """Input cells from one output cell to the next."""
        return POOL_SIZE if self.pool else 1

    @property
    def offset(self) -> float:
        """Where the centre of the first output cell lies, in input cells."""
        return (self.kernel_size - 1) / 2 - self.border + (self.step - 1) / 2

    def out_size(self, in_size: int) -> int:
        """Side of the output for an input of that side; 0 or less when nothing is left."""
        if in_size <= self.border:
            return 0  # too small to be mirrored
        return (in_size + 2 * self.border - self.kernel_size + 1) // self.step


def article_levels(
    *,
    num_levels: int = 4,
    channels: int = 3,
    maps: int | Sequence[int] = 16,
    hidden_maps: int | None = 64,
    kernel_size: int = 5,
    pool: bool = True,
    padding: Padding = "none",
) -> tuple[LevelConfig, ...]:
    """The article's levels: the first reads the picture's channels, each later one the maps of the level before.

    Args:
        num_levels: how many.
        channels: of the picture.
        maps: of every level, or of each.
        hidden_maps: see `LevelConfig`, as all that follow.
        kernel_size: pixels.
        pool: whether there is one.
        padding: "none" or "reflect".

    Raises:
        SettingsError: no level, or another number of maps than of levels.
    """
    if num_levels < 1:
        raise SettingsError(f"{num_levels} levels; a network has at least 1")
    outputs = [maps] * num_levels if isinstance(maps, int) else list(maps)
    if len(outputs) != num_levels:
        raise SettingsError(
            f"maps of {len(outputs)} levels for {num_levels} levels; give one number for all, or one for each"
        )
    return tuple(
        LevelConfig(read, maps=out, hidden_maps=hidden_maps, kernel_size=kernel_size, pool=pool, padding=padding)
        for read, out in zip((channels, *outputs), outputs, strict=False)
    )


def cell_centres(levels: Sequence[LevelConfig], num_cells: int) -> "NDArray[np.float64]":
    """Where the cells of the last of these levels lie: pixel coordinates in the network's input, (num_cells,).

    Pixel i covers [i - 0.5, i + 0.5]. A k x k convolution without padding moves the centre by (k - 1) / 2 cells, the
    pool by half a cell, and then doubles the step: for 5x5 kernels 2i + 2.5, 4i + 7.5, 8i + 17.5, 16i + 37.5. Without
    pool the step stays; a reflected border undoes the convolution's shift.
    """
    import numpy as np

    step, offset = 1.0, 0.0
    for level in levels:
        offset += step * level.offset
        step *= level.step
    return offset + step * np.arange(num_cells, dtype=np.float64)


def map_sizes(levels: Sequence[LevelConfig], input_size: int) -> tuple[int, ...]:
    """Side of each level's maps, in cells, for a square input of that side in pixels.

    Raises:
        SettingsError: a level would have nothing left to look at.
    """
    sizes = [input_size]
    for number, level in enumerate(levels, start=1):
        sizes.append(level.out_size(sizes[-1]))
        if sizes[-1] < 1:
            raise SettingsError(
                f"an input of {input_size} pixels is used up at level {number}; "
                f"use fewer levels (at most {number - 1}), a smaller kernel or a larger input size"
            )
    return tuple(sizes[1:])
