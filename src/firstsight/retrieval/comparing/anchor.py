"""Which frame the others are compared with, and when it is exchanged."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import PixelsError, SettingsError


@dataclass(frozen=True)
class EveryNFrames:
    """A new anchor after every so many compared frames: the article's rule, with 300.

    The anchor takes a frame of its own, which is neither compared nor remembered.
    """

    num_frames: int = 300

    def __post_init__(self) -> None:
        if self.num_frames < 1:
            raise SettingsError(f"a new anchor every {self.num_frames} frames; valid is at least 1")

    def is_over(self, *, num_compared: int, similarity: float | None) -> bool:  # noqa: ARG002
        """Whether the next frame becomes the anchor, after so many compared frames, the last one this similar."""
        return num_compared >= self.num_frames


@dataclass(frozen=True)
class BelowSimilarity:
    """A new anchor after a frame less similar than this: the published repository's later rule, with 0.40.

    The anchor takes a frame of its own, which is neither compared nor remembered.
    """

    similarity: float = 0.40

    def __post_init__(self) -> None:
        if not -1 <= self.similarity <= 1:
            raise SettingsError(f"a new anchor below similarity {self.similarity}; valid is -1 to 1")

    def is_over(self, *, num_compared: int, similarity: float | None) -> bool:  # noqa: ARG002
        """Whether the next frame becomes the anchor, after so many compared frames, the last one this similar."""
        return similarity is not None and similarity < self.similarity


@dataclass(frozen=True)
class AtSeconds:
    """The first frame at or after that time; every frame is compared with it, also those before and itself."""

    seconds: float

    def __post_init__(self) -> None:
        if not 0 <= self.seconds < float("inf"):
            raise SettingsError(f"an anchor at {self.seconds} s; valid is 0 or later")


@dataclass(frozen=True, eq=False)
class FromPicture:
    """A picture that need not be in the footage: uint8 (H, W, 3) or (H, W)."""

    pixels: NDArray[np.uint8]
    name: str = "picture"

    def __post_init__(self) -> None:
        if not isinstance(self.pixels, np.ndarray) or self.pixels.dtype != np.uint8 or self.pixels.ndim not in (2, 3):
            raise PixelsError("an anchor picture must be a uint8 array (H, W, 3) or (H, W)")


Renewed = EveryNFrames | BelowSimilarity
Anchor = Renewed | AtSeconds | FromPicture
