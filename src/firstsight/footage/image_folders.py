"""Pictures as a source: image files, or an array. They count as one a second."""

import logging
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import PixelsError, SourceError
from firstsight.footage.finding import LeftOut
from firstsight.footage.frames import Events, Frame, Reading, Skipped, View, iterate
from firstsight.footage.images import Levels, Picture, levels_of_files, levels_of_folder, read_picture
from firstsight.footage.sampling import MIN_FRAMES_TO_SPLIT, Sampler, Sampling, check_share
from firstsight.pixels import Crop, as_pictures, crop_and_resize

_LOG = logging.getLogger(__name__)

_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class ImageFiles:
    """One image file or several. Of several, one that cannot be read is skipped; a single one must be readable.

    Remarks on a file (pages that are not used, values that were rescaled) go to the log, each kind once in a reading.
    """

    name: str
    files: tuple[tuple[Path, str], ...]  # path, and name of its frame
    positions: tuple[int, ...]  # of the files that are used
    share_levels: bool = False  # black and white of deep pictures for all files together, else for each folder
    left_out: tuple[LeftOut, ...] = ()  # other files beside them

    replayable = True

    def __iter__(self) -> Iterator[Frame]:
        """The pictures, pixel by pixel in colour."""
        return iterate(self)

    def read(self, *views: View) -> Reading:
        """An iterator over the pictures, each with a picture a view."""
        return Reading(self._events(views))

    def size(self) -> tuple[int, int]:
        """Width and height of the first picture, upright.

        Raises:
            SourceError: no file can be read.
        """
        reasons = []
        for position in self.positions:
            path, name = self.files[position]
            try:
                return read_picture(path, name=name).size
            except SourceError as error:
                reasons.append(str(error))
        raise SourceError(self._none_readable(reasons))

    def num_frames(self) -> int:
        """How many pictures there are to read."""
        return len(self.positions)

    def split(self, share: float) -> "tuple[ImageFiles, ImageFiles | None]":
        """What to learn from; and every n-th picture to hold out."""
        learned, held_out = split_positions(self.positions, share)
        return replace(self, positions=learned), replace(self, positions=held_out) if held_out else None

    def _events(self, views: tuple[View, ...]) -> Events:
        reasons: list[str] = []
        remarks = _Remarks()
        levels_of = lru_cache(maxsize=None)(self._levels)  # once in a reading: there may be a million files
        for position in self.positions:
            path, name = self.files[position]
            folder = None if self.share_levels else path.parent
            try:
                picture = read_picture(path, name=name, levels=partial(levels_of, folder, remarks))
                frame = _frame(picture, views, position=position, name=name)
            except (SourceError, PixelsError) as error:
                if len(self.files) == 1:
                    raise
                reasons.append(str(error))
                yield Skipped(num_frames=1, source=name, reason=str(error))
            else:
                for remark in picture.remarks:
                    remarks.note(name, remark)
                yield frame
        if len(reasons) == len(self.positions):
            raise SourceError(self._none_readable(reasons))
        remarks.close()

    def _none_readable(self, reasons: list[str]) -> str:
        return reasons[0] if len(self.files) == 1 else f"none of {self.name} can be read; the first: {reasons[0]}"

    def _levels(self, folder: Path | None, remarks: "_Remarks", kind: str) -> Levels:
        """Of the pictures in a folder, or of all files."""
        if folder is None:
            measured = levels_of_files([path for path, _ in self.files], kind)
        else:
            measured = levels_of_folder(folder, kind)
        if measured.remark:
            remarks.log(measured.remark)
        return measured.levels


class _Remarks:
    """Logs remarks on pictures in one reading: of many with the same remark it names the first and counts the rest."""

    def __init__(self) -> None:
        self._logged: set[str] = set()
        self._first: dict[str, str] = {}  # by kind of remark: the file that has it
        self._num_more: Counter[str] = Counter()

    def log(self, line: str) -> None:
        """Logs a line once."""
        if line not in self._logged:
            self._logged.add(line)
            _LOG.warning(line)

    def note(self, name: str, remark: str) -> None:
        """Notes a remark on one file."""
        kind = _NUMBER.sub("", remark)
        if kind in self._first:
            self._num_more[kind] += 1
        else:
            self._first[kind] = f"{name} {remark}"
            self.log(self._first[kind])

    def close(self) -> None:
        """Logs how many files were not named."""
        for kind, count in self._num_more.items():
            self.log(f"{self._first[kind]}; the same goes for {count} more")


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

    def __iter__(self) -> Iterator[Frame]:
        """The pictures, pixel by pixel in colour."""
        return iterate(self)

    def read(self, *views: View) -> Reading:
        """An iterator over the pictures, each with a picture a view."""
        return Reading(self._events(views))

    def size(self) -> tuple[int, int]:
        """Width and height of the pictures."""
        _, height, width, _ = self.pictures.shape
        return width, height

    def num_frames(self) -> int:
        """How many pictures there are to read."""
        return len(self.positions)

    def split(self, share: float) -> "tuple[ArraySource, ArraySource | None]":
        """What to learn from; and every n-th picture to hold out."""
        learned, held_out = split_positions(self.positions, share)
        return replace(self, positions=learned), replace(self, positions=held_out) if held_out else None

    def _events(self, views: tuple[View, ...]) -> Events:
        for position in self.positions:
            pixels = self.pictures[position]
            picture = Picture(pixels, size=(pixels.shape[1], pixels.shape[0]))
            yield _frame(picture, views, position=position, name="array")


def sampled_positions(count: int, sampling: Sampling, *, name: str) -> tuple[int, ...]:
    """The indices of the pictures that sampling keeps of so many.

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
    """The positions to learn from, and every n-th to hold out; none of fewer than 200."""
    check_share(share)
    if len(positions) < MIN_FRAMES_TO_SPLIT:
        return tuple(positions), ()
    distance = round(min(1 / share, len(positions)))
    held_out = positions[distance - 1 :: distance]
    learned = set(positions).difference(held_out)
    return tuple(sorted(learned)), tuple(held_out)


def _frame(picture: Picture, views: tuple[View, ...], *, position: int, name: str) -> Frame:
    crops = [(_on_pixels(view.crop(*picture.size), picture), view.channels) for view in views]
    shown = tuple(crop_and_resize(picture.pixels[None], crop, channels)[0] for crop, channels in crops)
    return Frame(shown, seconds=float(position), index=position, source=name, size=picture.size)


def _on_pixels(crop: Crop, picture: Picture) -> Crop:
    """The rectangle of a picture of the stated size, scaled to the pixels that were read."""
    height, width, _ = picture.pixels.shape
    if picture.size == (width, height):
        return crop
    across, down = width / picture.size[0], height / picture.size[1]
    x, y = min(int(crop.x * across), width - 1), min(int(crop.y * down), height - 1)
    right = min(width, max(x + 1, round((crop.x + crop.width) * across)))
    lower = min(height, max(y + 1, round((crop.y + crop.height) * down)))
    return replace(crop, x=x, y=y, width=right - x, height=lower - y)
