"""A picture, or a frame of a video, by name: `photo.jpg` or `walk.mp4@83.2`.

Loads neither NumPy nor PyAV, as `finding`.
"""

import math
import os
from dataclasses import dataclass
from pathlib import Path

from firstsight.errors import SettingsError, SourceError, brief
from firstsight.files import is_folder
from firstsight.footage.finding import find_files
from firstsight.object_store import is_object, to_path

_VALID_REFERENCE = "valid are a picture, or a video and a time in seconds such as walk.mp4@83.2"


@dataclass(frozen=True)
class FrameReference:
    """A picture file, or a moment of a video file."""

    path: Path
    seconds: float | None  # None for a picture
    is_file: bool = True  # otherwise pixels, and the path is no more than what to call them

    @property
    def name(self) -> str:
        """As a person would write it."""
        if self.seconds is None:
            return self.path.name
        return moment_reference(self.path.name, self.seconds)


def moment_reference(name: str, seconds: float) -> str:
    """A moment of a video as `parse_reference` reads it: "walk.mp4@83.2", to the microsecond."""
    return f"{name}@{f'{seconds:.6f}'.rstrip('0').rstrip('.')}"


def parse_reference(text: str) -> FrameReference:
    """What `photo.jpg` or `walk.mp4@83.2` names. A file whose own name holds an @ is taken as it is.

    Raises:
        SourceError: there is no such file; a video without a time; a picture with one.
        SettingsError: what follows the @ is not a number of seconds from 0.
    """
    if _is_file(text):
        return _without_time(text)
    name, at, time = text.rpartition("@")
    for folder in (text, name):
        if is_folder(folder):
            raise SourceError(f"{brief(folder)} is a folder: {_VALID_REFERENCE}")
    if not at:
        raise SourceError(f"there is no file {brief(text)}: {_VALID_REFERENCE}")
    if not _is_file(name):
        raise SourceError(f"there is no file {brief(name)} nor {brief(text)}: {_VALID_REFERENCE}")
    if find_files(name).are_images:
        raise SourceError(f"{name} is a picture and has no time: leave out @{time}")
    return FrameReference(to_path(name), _seconds(time, text))


def _without_time(text: str) -> FrameReference:
    if not find_files(text).are_images:
        raise SourceError(f"{text} is not a picture, so it needs a time: write {text}@12.5 for the frame at 12.5 s")
    return FrameReference(to_path(text), None)


def _is_file(text: str) -> bool:
    return to_path(text).is_file() if is_object(text) else os.path.isfile(text)  # noqa: PTH113  # `Path` raises


def _seconds(time: str, text: str) -> float:
    try:
        seconds = float(time)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise SettingsError(f"{time!r} in {text!r} is not a time: {_VALID_REFERENCE}")
    return seconds
