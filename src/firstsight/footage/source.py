"""Footage to read: a video, a picture, several, a folder, a glob pattern, an array, a pipe, a camera or an address."""

import hashlib
import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import SettingsError
from firstsight.footage.finding import Found, find_files, summary
from firstsight.footage.frames import Frame, Reading, View
from firstsight.footage.image_folders import ArraySource, ImageFiles, sampled_positions
from firstsight.footage.live import Endpoint, LiveSource, endpoint_of
from firstsight.footage.sampling import Sampling
from firstsight.footage.videos import VideoFile, VideoFiles

_LOG = logging.getLogger(__name__)


@runtime_checkable
class Source(Protocol):
    """Footage that can be read repeatedly, each time from its beginning; once if `replayable` is false."""

    @property
    def name(self) -> str:
        """Short, for people: "bikes.mp4", "12 videos in walks/", "array of 300 frames"."""

    @property
    def replayable(self) -> bool:
        """Whether it can be read again, as a pipe or a camera cannot."""

    def read(self, *views: View) -> Reading:
        """An iterator over its frames, each with a picture a view; close it, or use it in a `with` block."""

    def size(self) -> tuple[int, int]:
        """Width and height of the first frame, upright and with square pixels."""

    def num_frames(self) -> int | None:
        """How many frames reading yields; None if the containers do not state it."""

    def split(self, share: float) -> "tuple[Source, Source | None]":
        """What to learn from; and what to hold out, about that share of the frames.

        Held out are the end of each video, at most a minute, and every n-th picture; nothing of fewer than 200 frames,
        nor of videos that state no duration.
        """

    if TYPE_CHECKING:  # a source need not be iterable

        def __iter__(self) -> Iterator[Frame]:
            """The frames, pixel by pixel in colour."""


Spec = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | NDArray[np.uint8] | Source | Endpoint


def open_source(
    spec: Spec,
    *,
    start_seconds: float | None = None,
    end_seconds: float | None = None,
    every: int | None = None,
    frames_per_second: float | None = None,
) -> Source:
    """The footage that `spec` names, sampled.

    Args:
        spec: a video or picture file; a list of files and folders; a folder, searched with its subfolders for videos
            and, if it has none, for pictures; a glob pattern, if there is no file of that name; or an array of
            pictures, uint8 or uint16 (N, H, W, 3) or (N, H, W). "-" is a video piped into standard input; a number,
            or a device such as "/dev/video0", is a camera; rtsp://, rtmp://, http(s)://, udp:// and tcp:// are
            addresses. An open source is returned as it is.
        start_seconds: use no frame of a video before this time.
        end_seconds: use no frame of a video at this time or later.
        every: use one frame in so many.
        frames_per_second: use the first frame at or after each tick of this rate. Pictures and frames of an array
            count as one a second.

    Other files of a folder are logged in one line, and listed in `left_out` of the source.

    >>> for frame in open_source("bikes.mp4", frames_per_second=2):  # doctest: +SKIP
    ...     print(frame.source, frame.seconds, frame.pixels.shape)
    bikes.mp4 0.0 (272, 640, 3)

    Returns:
        A source. Iterating over it yields its frames as they are, in colour; `read` yields them through views.

    Raises:
        SourceError: there is no such file, or it cannot be read.
        SettingsError: an option is out of its range, or two contradict each other.
        PixelsError: the array has another dtype or shape.
    """
    sampling = Sampling(start_seconds, end_seconds, every, frames_per_second)
    if isinstance(spec, Source):
        if sampling != Sampling():
            raise SettingsError(f"{spec.name} is open already: give start, end and rate when you open it")
        return spec
    if isinstance(spec, Endpoint):
        return _open_live(spec, sampling)
    if not isinstance(spec, np.ndarray) and (endpoint := endpoint_of(spec)):
        return _open_live(endpoint, sampling)
    if isinstance(spec, str | os.PathLike | Sequence):
        return _open_files(find_files(spec), sampling)
    return ArraySource.of(spec, sampling)


def files_of(source: Source) -> dict[str, Path]:
    """The files of footage by the names that their frames carry; none of a camera, a stream or an array."""
    match source:
        case VideoFiles():
            return {file.name: file.path for file in source.files}
        case ImageFiles():
            return {name: path for path, name in source.files}
        case _:
            return {}


_SAME_SECONDS = 1e-6  # the resolution of containers
_END_BYTES = 65_536


@dataclass(frozen=True)
class Place:
    """How far footage was read."""

    source: str  # file of the last frame
    seconds: float  # of that frame
    num_frames: int  # until then, itself included
    num_skipped: int = 0  # that could not be decoded, until then
    skipped_by_file: dict[str, int] = field(default_factory=dict)
    num_same: int = 1  # frames of that file and of that time until then, itself included

    def __post_init__(self) -> None:
        if min(self.num_frames, self.num_same) < 1 or self.num_skipped < 0:
            raise SettingsError(f"{self}: valid is at least one frame, and none fewer skipped than 0")

    def is_of(self, frame: Frame) -> bool:
        """Whether the frame is of its file and time."""
        return frame.source == self.source and abs(frame.seconds - self.seconds) <= _SAME_SECONDS

    def rest_of(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Those that lie behind it, of footage that is read from it on."""
        num_same = self.num_same
        for frame in frames:
            if self.is_of(frame) and num_same:
                num_same -= 1
            elif frame.source != self.source or frame.seconds >= self.seconds - _SAME_SECONDS:
                yield frame


def from_place(source: Source, place: Place) -> Source | None:
    """The footage from the place on, whose own frame comes first again; None if it cannot be read so.

    Videos that are sampled cannot: which frames are used is counted from their beginning.
    """
    match source:
        case ImageFiles():
            return replace(source, positions=source.positions[place.num_frames + place.num_skipped - 1 :])
        case VideoFiles():
            number = next((number for number, file in enumerate(source.files) if file.name == place.source), None)
            is_unclear = len(files_of(source)) < len(source.files)  # a name that occurs twice
            if number is None or is_unclear or any(file.is_sampled for file in source.files):
                return None
            first = source.files[number]
            start = max(place.seconds - _SAME_SECONDS, first.sampling.start_seconds or 0.0)
            rest = replace(first, sampling=replace(first.sampling, start_seconds=start if start > 0 else None))
            return replace(source, files=(rest, *source.files[number + 1 :]))
        case _:
            return None


def files_digest(source: Source) -> str:
    """A hash of the names and sizes of its files, of videos also of their first and last 64 kB; empty without files."""
    known = [(name, _ends_of(path, is_read=isinstance(source, VideoFiles))) for name, path in files_of(source).items()]
    return hashlib.blake2b(repr(sorted(known)).encode(), digest_size=16).hexdigest() if known else ""


def _ends_of(path: Path, *, is_read: bool) -> tuple[int, str]:
    """The size of a file, -1 of none, and a hash of its ends, if they are read."""
    try:
        num_bytes, found = path.stat().st_size, hashlib.blake2b(digest_size=16)
        if is_read:
            with path.open("rb") as file:
                found.update(file.read(_END_BYTES))
                file.seek(max(0, num_bytes - _END_BYTES))
                found.update(file.read(_END_BYTES))
    except OSError:
        return -1, ""
    return num_bytes, found.hexdigest()


def moment_namer(source: Source) -> Callable[[Frame], str]:
    """What names a frame of that footage: "at 3.20 s", of several files "walk.mp4 at 3.20 s", a picture's name."""
    has_pictures, has_several = isinstance(source, ImageFiles), len(files_of(source)) > 1

    def name(frame: Frame) -> str:
        if has_pictures or math.isnan(frame.seconds):
            return frame.source
        return f"{frame.source} at {frame.seconds:.2f} s" if has_several else f"at {frame.seconds:.2f} s"

    return name


def _open_live(endpoint: Endpoint, sampling: Sampling) -> Source:
    source = LiveSource(endpoint, sampling)
    source.size()  # raises at once if nothing arrives
    return source


def _open_files(found: Found, sampling: Sampling) -> Source:
    source: Source
    if found.left_out:
        _LOG.warning(summary(found.left_out))
    named = zip(found.paths, found.names, strict=True)
    if found.are_images:
        positions = sampled_positions(len(found.paths), sampling, name=found.name)
        source = ImageFiles(
            found.name, tuple(named), positions, share_levels=len(found.paths) > 1, left_out=found.left_out
        )
    else:
        files = tuple(VideoFile(path, name, sampling) for path, name in named)
        source = VideoFiles(found.name, files, left_out=found.left_out)
    if len(found.paths) == 1:
        source.size()  # raises at once if a single file cannot be read
    return source
