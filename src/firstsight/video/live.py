"""Footage that passes by once: a video piped into standard input, a camera, or an address in a network."""

import re
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from firstsight.errors import SourceError
from firstsight.video.addresses import TIMEOUT_SECONDS, address_options, is_address, public_name
from firstsight.video.container import OpenVideo, open_stream
from firstsight.video.decoding import decode_on
from firstsight.video.filtering import upright_size
from firstsight.video.frames import Frame, View
from firstsight.video.reading import Events, Reading, iterate
from firstsight.video.sampling import Sampling, check_share

STANDARD_INPUT = "-"
# Linux names its cameras so; a number alone is the n-th camera, unless there is a file of that name.
_CAMERA = re.compile(r"/dev/video\d+|/dev/v4l/.+|\d+|video=.+")


@dataclass(frozen=True)
class Place:
    """Where live footage comes from, in FFmpeg's terms."""

    name: str  # for people
    address: str | BinaryIO
    container_format: str | None = None  # None is for FFmpeg to find out
    options: tuple[tuple[str, str], ...] = ()
    cure: str = ""  # what to do when nothing comes
    # A pipe cannot be opened again, a camera can; what is at an address may be a recording, if it states a length.
    kind: Literal["pipe", "camera", "address"] = "camera"
    timeout_seconds: float | None = None  # without a packet; None is to wait for ever

    def open(self) -> AbstractContextManager[OpenVideo]:
        """The video there, closed again at the end of the block."""
        return open_stream(
            self.address,
            name=self.name,
            container_format=self.container_format,
            options=dict(self.options),
            timeout_seconds=self.timeout_seconds,
        )


def place_of(spec: object) -> Place | None:
    """The live footage that `spec` stands for: "-", a camera's number or device, an address; None if anything else."""
    if isinstance(spec, Place):
        return spec
    if spec == STANDARD_INPUT:
        return _standard_input()
    if isinstance(spec, str) and is_address(spec):
        return _address(spec)
    if isinstance(spec, str) and _CAMERA.fullmatch(spec) and not (spec.isdigit() and Path(spec).exists()):
        return camera(spec, system=sys.platform)
    return None


def camera(spec: str, *, system: str) -> Place:
    """A camera by its number or by the name that the operating system gives it.

    Raises:
        SourceError: a number on Windows, where cameras have names.
    """
    name = f"camera {spec}"
    cure = "see that it is plugged in, that no other program uses it, and that you may read it"
    if system == "darwin":  # it offers whole rates only, and refuses the NTSC rate that FFmpeg asks for by default
        return Place(name, spec, "avfoundation", (("framerate", "30"),), cure)
    if system == "win32":
        if spec.isdigit():
            raise SourceError(f"{name}: on Windows cameras have names; give video=NAME, as the device manager shows it")
        return Place(name, spec, "dshow", (), cure)
    return Place(name, f"/dev/video{spec}" if spec.isdigit() else spec, "v4l2", (), cure)


def _standard_input() -> Place:
    if sys.stdin is None or sys.stdin.isatty():
        raise SourceError(
            "standard input is a terminal or closed: pipe a video into it, as in `cat clip.mkv | firstsight ... -`"
        )
    cure = "an MP4 file with its index at the end cannot be piped: give it by its name"
    return Place("standard input", sys.stdin.buffer, cure=cure, kind="pipe")


def _address(spec: str) -> Place:
    return Place(
        public_name(spec),
        spec,
        options=tuple(address_options(spec).items()),
        cure="see that the address, user and password are right and that the camera or server is on",
        kind="camera" if spec.lower().startswith("rtsp") else "address",
        timeout_seconds=TIMEOUT_SECONDS,
    )


class LiveSource:
    """A source that can be read once. It is open from the beginning, so that what is missing is told right away.

    Raises:
        SourceError: nothing is there, or no frame of it can be decoded.
    """

    replayable = False

    def __init__(self, place: Place, sampling: Sampling) -> None:
        self.name = place.name
        self._sampling = sampling
        self._reading: Reading | None = None
        try:
            self._open, self._video, self._size = _opened(place)
        except SourceError as error:
            raise SourceError(f"{error}; {place.cure}") from error

    def __iter__(self) -> Iterator[Frame]:
        """The frames, pixel by pixel in colour; once."""
        return iterate(self)

    def read(self, *views: View) -> Reading:
        """An iterator over the frames, each seen through every view.

        Raises:
            SourceError: it was read before.
        """
        if self._reading is not None:
            seen = f"gave {self._reading.num_frames} frames and "
            raise SourceError(f"{self.name} {seen}can be read once: save it to a file first")
        self._reading = Reading(self._events(views))
        return self._reading

    def size(self) -> tuple[int, int]:
        """Width and height of the first frame, upright and with square pixels. It can still be read."""
        return self._size

    def num_frames(self) -> None:
        """Nobody knows when it will end."""

    def split(self, share: float) -> "tuple[LiveSource, None]":
        """All to learn from; nothing can be held out of what cannot be read again."""
        check_share(share)
        return self, None

    def _events(self, views: tuple[View, ...]) -> Events:
        num_frames = 0
        with self._open:
            for event in decode_on(self._video, name=self.name, views=views, sampling=self._sampling):
                num_frames += isinstance(event, Frame)
                yield event
        if not num_frames:
            start = self._sampling.start_seconds or 0
            raise SourceError(f"{self.name} ended before {start:g} s: give an earlier start")


def _opened(place: Place) -> tuple[ExitStack, OpenVideo, tuple[int, int]]:
    """What closes the video, the video, and width and height of its first frame."""
    with ExitStack() as opening:
        video = opening.enter_context(place.open())
        first = video.first_frame()
        if first is None:
            raise SourceError(f"{place.name} has no frame that can be decoded")
        return opening.pop_all(), video, upright_size(first, video.pixel_aspect)
