"""Footage to read: a video, a picture, several, a folder, a glob pattern, an array, a pipe, a camera or an address."""

import logging
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import SettingsError
from firstsight.footage.finding import Found, find_files, summary
from firstsight.footage.frames import Frame, Reading, View
from firstsight.footage.image_folders import ArraySource, ImageFiles, sampled_positions
from firstsight.footage.live import LiveSource, Place, place_of
from firstsight.footage.sampling import Sampling
from firstsight.footage.videos import VideoFile, VideoFiles

_LOG = logging.getLogger(__name__)


@runtime_checkable
class Source(Protocol):
    """Footage that can be read any number of times, each time from its beginning; if `replayable` is false, once."""

    @property
    def name(self) -> str:
        """Short, for people: "bikes.mp4", "12 videos in walks/", "array of 300 frames"."""

    @property
    def replayable(self) -> bool:
        """Whether it can be read again. What comes by a pipe or from a camera cannot."""

    def read(self, *views: View) -> Reading:
        """An iterator over its frames, each seen through every view; close it, or use it in a `with` block."""

    def size(self) -> tuple[int, int]:
        """Width and height of the first frame, upright and with square pixels."""

    def num_frames(self) -> int | None:
        """How many frames reading will yield, as far as the containers state it; None when they do not."""

    def split(self, share: float) -> "tuple[Source, Source | None]":
        """What to learn from, and what to hold out: about that share of the frames.

        Of each video the end is held out, at most a minute; of pictures every so-many-th. Nothing is held out of fewer
        than 200 frames, nor of videos that do not state how long they last.
        """

    if TYPE_CHECKING:  # what only reads need not be a loop's to be a source

        def __iter__(self) -> Iterator[Frame]:
            """The frames, pixel by pixel in colour."""


Spec = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | NDArray[np.uint8] | Source | Place


def open_source(
    spec: Spec,
    *,
    start_seconds: float | None = None,
    end_seconds: float | None = None,
    every: int | None = None,
    frames_per_second: float | None = None,
) -> Source:
    """The footage that `spec` names, with the frames to use of it.

    Args:
        spec: a video or picture file; a list of files and folders; a folder, searched with its subfolders for videos
            and, if it has none, for pictures; a glob pattern, if there is no file of that name; or an array of
            pictures, uint8 or uint16 (N, H, W, 3) or (N, H, W). "-" is a video piped into standard input; a number,
            or a device such as "/dev/video0", is a camera; rtsp://, rtmp://, http(s)://, udp:// and tcp:// are
            addresses. A source that is open already is given back.
        start_seconds: leave out what is before this time of each video.
        end_seconds: leave out this time of each video and all after it.
        every: use one frame in so many.
        frames_per_second: use the first frame at or after each tick of this rate. Pictures and frames of an array
            count as one a second.

    What is in a folder and is not read goes to the log in one line, and stands in `left_out` of the source.

    >>> for frame in open_source("bikes.mp4", frames_per_second=2):  # doctest: +SKIP
    ...     print(frame.source, frame.seconds, frame.pixels.shape)
    bikes.mp4 0.0 (272, 640, 3)

    Returns:
        A source. In a loop it gives its frames as they are, in colour; `read` gives them as views show them.

    Raises:
        SourceError: there is no such file, or nothing in it that could be read.
        SettingsError: an option is out of its range, or two contradict each other.
        PixelsError: the array has another dtype or shape.
    """
    sampling = Sampling(start_seconds, end_seconds, every, frames_per_second)
    if isinstance(spec, Source):
        if sampling != Sampling():
            raise SettingsError(f"{spec.name} is open already: give start, end and rate where it is opened")
        return spec
    if isinstance(spec, Place):
        return _open_live(spec, sampling)
    if not isinstance(spec, np.ndarray) and (place := place_of(spec)):
        return _open_live(place, sampling)
    if isinstance(spec, str | os.PathLike | Sequence):
        return _open_files(find_files(spec), sampling)
    return ArraySource.of(spec, sampling)


def _open_live(place: Place, sampling: Sampling) -> Source:
    source = LiveSource(place, sampling)
    source.size()  # what is missing is told right away
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
        source.size()  # a single file that cannot be read is an error right away
    return source
