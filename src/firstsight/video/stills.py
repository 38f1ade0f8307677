"""Pictures as a source: image files, or an array. They count as one a second."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import PixelsError, SourceError
from firstsight.pixels import as_pictures, crop_and_resize
from firstsight.video.frames import Frame, View
from firstsight.video.images import read_image
from firstsight.video.reading import Events, Reading, Skipped
from firstsight.video.sampling import LEAST_FRAMES_TO_SPLIT, Sampler, Sampling, check_share


@dataclass(frozen=True)
class ImageFiles:
    """One image file or several. Of several, one that cannot be read is skipped; a single one has to be readable."""

    name: str
    files: tuple[tuple[Path, str], ...]  # where each is, and what its frame is called
    positions: tuple[int, ...]  # of the files that are used

    replayable = True

    def read(self, *views: View) -> Reading:
        """An iterator over the pictures, each seen through every view."""
        return Reading(self._events(views))

    def size(self) -> tuple[int, int]:
        """Width and height of the first picture, upright.

        Raises:
            SourceError: no file can be read.
        """
        with self.read() as reading:
            return next(reading).size

    def num_frames(self) -> int:
        """How many pictures there are to read."""
        return len(self.positions)

    def split(self, share: float) -> "tuple[ImageFiles, ImageFiles | None]":
        """What to learn from, and every so-many-th picture to hold out."""
        learned, held_out = split_positions(self.positions, share)
        return replace(self, positions=learned), replace(self, positions=held_out) if held_out else None

    def _events(self, views: tuple[View, ...]) -> Events:
        reasons: list[str] = []
        for position in self.positions:
            path, name = self.files[position]
            try:
                frame = _frame(read_image(path, name=name), views, position=position, name=name)
            except (SourceError, PixelsError) as error:
                if len(self.files) == 1:
                    raise
                reasons.append(str(error))
                yield Skipped(num_frames=1, source=name, reason=str(error))
            else:
                yield frame
        if len(reasons) == len(self.positions):
            raise SourceError(f"none of {self.name} can be read; the first: {reasons[0]}")


@dataclass(frozen=True, eq=False)
class ArraySource:
    """An array of pictures."""

    pictures: NDArray[np.uint8] = field(repr=False)  # (N, H, W, 1 or 3)
    positions: tuple[int, ...]  # of the pictures that are used

    replayable = True

    @classmethod
    def of(cls, pixels: NDArray[np.uint8], sampling: Sampling) -> "ArraySource":
        """The pictures of uint8 (N, H, W, 3) or (N, H, W) that sampling keeps.

        Raises:
            PixelsError: another dtype or shape.
            SourceError: sampling keeps none.
        """
        pictures = as_pictures(pixels)
        return cls(pictures, sampled_positions(len(pictures), sampling, name="the array"))

    @property
    def name(self) -> str:
        """Its length."""
        return f"array of {len(self.positions)} frames"

    def read(self, *views: View) -> Reading:
        """An iterator over the pictures, each seen through every view."""
        return Reading(self._events(views))

    def size(self) -> tuple[int, int]:
        """Width and height of the pictures."""
        _, height, width, _ = self.pictures.shape
        return width, height

    def num_frames(self) -> int:
        """How many pictures there are to read."""
        return len(self.positions)

    def split(self, share: float) -> "tuple[ArraySource, ArraySource | None]":
        """What to learn from, and every so-many-th picture to hold out."""
        learned, held_out = split_positions(self.positions, share)
        return replace(self, positions=learned), replace(self, positions=held_out) if held_out else None

    def _events(self, views: tuple[View, ...]) -> Events:
        for position in self.positions:
            yield _frame(self.pictures[position], views, position=position, name="array")


def sampled_positions(count: int, sampling: Sampling, *, name: str) -> tuple[int, ...]:
    """The positions of the pictures that sampling keeps of so many.

    Raises:
        SourceError: it keeps none.
    """
    sampler = Sampler(sampling)
    positions = tuple(position for position in range(count) if sampler.keeps(position, float(position)))
    if not positions:
        raise SourceError(
            f"{name} has no picture from {sampling.start_seconds or 0:g} s on; "
            f"its {count} pictures count as one a second: give an earlier start"
        )
    return positions


def split_positions(positions: Sequence[int], share: float) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The positions to learn from, and the evenly spread ones to hold out; none of fewer than 200."""
    check_share(share)
    if len(positions) < LEAST_FRAMES_TO_SPLIT:
        return tuple(positions), ()
    distance = round(1 / share)
    held_out = positions[distance - 1 :: distance]
    learned = set(positions).difference(held_out)
    return tuple(sorted(learned)), tuple(held_out)


def _frame(picture: NDArray[np.uint8], views: tuple[View, ...], *, position: int, name: str) -> Frame:
    height, width, _ = picture.shape
    seen = (crop_and_resize(picture[None], view.crop(width, height), view.channels)[0] for view in views)
    return Frame(tuple(seen), seconds=float(position), index=position, source=name, size=(width, height))
