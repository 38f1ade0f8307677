"""The options of the article's method, and of its predecessors. Loads neither PyTorch nor NumPy."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypedDict, get_args

from firstsight.article.stopping import StoppingRule
from firstsight.errors import SettingsError, check_choice
from firstsight.process import Precision

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from firstsight.encoder.model import CentralSquare

POOL_SIZE = 2
MAX_INPUT_PIXELS = 2**21  # 40 times the default; more is a mistake or a damaged file, and would take all memory

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
    """Centres of the cells of the last of these levels, in pixels of the network's input: (num_cells,).

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
        SettingsError: a level has no cell left.
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


Form = Literal["article", "predecessor", "earliest"]
Schedule = Literal["article", "repository", "predecessor", "earliest"]
Similarity = Literal["cosine", "pearson"]
Optimiser = Literal["sgd", "adam"]


class ArticleOptions(TypedDict, total=False):
    """The fields of `ArticleSettings`, all optional."""

    form: Form
    schedule: Schedule
    thresholds: tuple[float, ...] | None
    frames_per_level: int | None
    check_every: int | None
    similarity: Similarity
    batch_size: int
    optimiser: Optimiser
    learning_rate: float
    freeze_earlier_levels: bool
    num_levels: int
    maps: int | tuple[int, ...]
    hidden_maps: int | None
    kernel_size: int
    pool: bool
    padding: Padding
    crop_size: int
    input_size: int
    channels: int
    precision: Precision


_CHOICES = {
    "form": Form,
    "schedule": Schedule,
    "similarity": Similarity,
    "optimiser": Optimiser,
    "padding": Padding,
    "precision": Precision,
}

# The thresholds of every level but the last, and of the last.
_SCHEDULES: dict[Schedule, StoppingRule] = {
    "article": StoppingRule((0.30, 0.30), pass_length=120_000),
    "repository": StoppingRule((0.30, 0.20), cap=7_000),
    # No cap is published; the repository's ends a run that does not reach the threshold.
    "predecessor": StoppingRule((0.40, 0.40), check_every=10, cap=7_000, plain_mean=True),
    "earliest": StoppingRule((0.0, 0.0), check_every=10, cap=100, plain_mean=True),
}


@dataclass(frozen=True)
class ArticleSettings:
    """The article's method.

    The schedule "article" asks for 0.30 at every level and never gives up: a pass of 120,000 frames without success
    starts the level over. "repository" asks for 0.30, and 0.20 at the last level, and gives up at the first check after
    7,000 frames. "predecessor" asks for 0.40 on the plain mean of 10 images and gives up after 7,000, "earliest" gives
    every level 100 images. `thresholds`, `frames_per_level` and `check_every` replace the schedule's own.

    The defaults here are the article's; `article_settings` puts those of another `form` in their place.
    """

    form: Form = "article"  # whose defaults apply; their values are in the other fields
    schedule: Schedule = "repository"
    thresholds: tuple[float, ...] | None = None  # of the mean of the largest |similarity|, one for all levels or each
    frames_per_level: int | None = None  # cap: a level ends at the first check after it
    check_every: int | None = None  # frames between two checks of the threshold; None is the schedule's own
    similarity: Similarity = "cosine"  # of two maps
    batch_size: int = 1  # frames per step
    optimiser: Optimiser = "sgd"
    learning_rate: float = 0.02
    freeze_earlier_levels: bool = False  # gradients into the level that learns alone
    num_levels: int = 4
    maps: int | tuple[int, ...] = 16  # of every level, or of each
    hidden_maps: int | None = 64  # of each level, before the 1x1 convolution; None: a level is one convolution and ReLU
    kernel_size: int = 5  # pixels
    pool: bool = True  # average pool 2x2 in each level
    padding: Padding = "none"  # "reflect" mirrors at the border, so that maps keep their size
    crop_size: int = 360  # pixels of the upright frame
    input_size: int = 224  # pixels
    channels: int = 3  # 3 for colour, 1 for grey
    precision: Precision = "float32"  # of the convolutions; objective and weights are always float32

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            check_choice(name, getattr(self, name), get_args(choices))
        if min([self.maps] if isinstance(self.maps, int) else self.maps, default=0) < 2:
            raise SettingsError(f"{self.maps} maps; the method compares maps with each other: give at least 2")
        if self.input_size**2 > MAX_INPUT_PIXELS:
            most = math.isqrt(MAX_INPUT_PIXELS)
            raise SettingsError(f"an input of {self.input_size} pixels a side; valid is at most {most}")
        if self.batch_size < 1 or not 0 < self.learning_rate < float("inf"):
            raise SettingsError(
                f"batch size {self.batch_size}, learning rate {self.learning_rate}; valid are a batch of at least 1 "
                "frame and a positive rate"
            )
        self.rule.check_reachable()
        _ = self.view, map_sizes(self.levels, self.input_size)  # each checks its own

    @property
    def rule(self) -> StoppingRule:
        """What ends each level, by the schedule and what replaces it."""
        usual = _SCHEDULES[self.schedule]
        return replace(
            usual,
            thresholds=self._thresholds(usual.thresholds[0], usual.thresholds[-1]),
            cap=usual.cap if self.frames_per_level is None else self.frames_per_level,
            check_every=usual.check_every if self.check_every is None else self.check_every,
        )

    @property
    def levels(self) -> tuple[LevelConfig, ...]:
        """The shape of each level."""
        return article_levels(
            num_levels=self.num_levels,
            channels=self.channels,
            maps=self.maps,
            hidden_maps=self.hidden_maps,
            kernel_size=self.kernel_size,
            pool=self.pool,
            padding=self.padding,
        )

    @property
    def view(self) -> "CentralSquare":
        """How frames become the network's input."""
        from firstsight.encoder.model import CentralSquare

        return CentralSquare(crop_size=self.crop_size, input_size=self.input_size, channels=self.channels)

    def _thresholds(self, each: float, last: float) -> tuple[float, ...]:
        if self.thresholds is None:
            return (*[each] * (self.num_levels - 1), last)
        if len(self.thresholds) == 1:
            return tuple(self.thresholds) * self.num_levels
        if len(self.thresholds) != self.num_levels:
            raise SettingsError(
                f"{len(self.thresholds)} thresholds for {self.num_levels} levels; give one for all, or one for each"
            )
        return tuple(self.thresholds)


# What both forms for still images share. The earliest states neither rate nor similarity: these are the predecessor's.
_STILL: ArticleOptions = {
    "similarity": "pearson",
    "learning_rate": 0.8,
    "pool": False,
    "crop_size": 28,
    "input_size": 28,
    "channels": 1,
}

# What each form has in place of the article's values.
FORMS: dict[Form, ArticleOptions] = {
    "article": {},
    "predecessor": {**_STILL, "form": "predecessor", "schedule": "predecessor", "maps": (16, 16, 16, 4)},
    "earliest": {
        **_STILL,
        "form": "earliest",
        "schedule": "earliest",
        "freeze_earlier_levels": True,
        "num_levels": 8,
        "maps": 32,
        "hidden_maps": None,
        "kernel_size": 7,
        "padding": "reflect",
    },
}


def article_settings(given: ArticleOptions) -> ArticleSettings:
    """The settings of the form in `given`, with what is given in place of its defaults.

    Raises:
        SettingsError: no such form, or a value outside its range.
    """
    form = given.get("form", "article")
    check_choice("form", form, get_args(Form))
    chosen: ArticleOptions = {**FORMS[form], **given}
    return ArticleSettings(**chosen)
