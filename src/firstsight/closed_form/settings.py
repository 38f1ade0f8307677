"""The options of the default method. Loads no PyTorch."""

from dataclasses import dataclass
from typing import get_args

from firstsight.errors import SettingsError, check_choice
from firstsight.process import Precision

_MIN_FRAMES = 3


@dataclass(frozen=True)
class ClosedFormSettings:
    """The default method, and its floor with random filters. All else is derived from the footage."""

    max_frames: int = 5_000  # that are learned from, spread over all of the footage
    precision: Precision | None = None  # of the matrix products; None is bfloat16 where the processor has it

    def __post_init__(self) -> None:
        if self.precision is not None:
            check_choice("precision", self.precision, get_args(Precision))
        if self.max_frames < _MIN_FRAMES:
            raise SettingsError(f"at most {self.max_frames} frames; valid is {_MIN_FRAMES} or more")
