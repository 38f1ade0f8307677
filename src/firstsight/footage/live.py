"""Footage that passes by once: a video piped into standard input, a camera, or an address in a network."""

import re
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import BinaryIO, Literal

from firstsight.errors import SourceError
from firstsight.footage.container import OpenVideo, open_stream
from firstsight.footage.decoding import decode_on
from firstsight.footage.finding import STANDARD_INPUT, is_address, is_camera
from firstsight.footage.frames import Events, Frame, Reading, View, iterate
from firstsight.footage.pictures import upright_size
from firstsight.footage.sampling import Sampling, check_share

_CREDENTIALS = re.compile(r"(?<=://)[^/\s]*@")
_SECRETS = re.compile(r"\?.*")  # what follows a question mark is as often a key as it is a setting

# Longer than a camera needs to wake up or to send its next keyframe.
TIMEOUT_SECONDS = 10.0


def public_name(address: str) -> str:
    """The address without user, password and query, fit for a log."""
    return _SECRETS.sub("", _CREDENTIALS.sub("", address))


def address_options(address: str) -> dict[str, str]:
    """FFmpeg's options for the address: RTSP by TCP, which loses nothing, where the server offers it; no sound.

    A camera that goes on sending sound when its pictures have stopped would otherwise not be noticed. Nor is it looked
    at until its rate is known, which takes seconds.
    """
    is_rtsp = address.lower().startswith("rtsp")
    return {"rtsp_flags": "prefer_tcp", "allowed_media_types": "video", "fpsprobesize": "0"} if is_rtsp else {}


@dataclass(frozen=True)
class StreamKind:
    """How footage passes by."""

    name: Literal["recording", "camera", "pipe", "address"]
    is_paced: bool  # shown at its own pace, times the speed; else as it comes
    may_drop: bool  # the newest frame takes the place of those that a slow user has not taken; else the reader waits
    reconnects: bool  # opened again when it breaks or falls silent; else that is its end
    has_own_clock: bool  # frames have the times that are in it; else they have the time of their arrival


# Whoever writes into a pipe sets its pace and waits for its reader, so nothing in it is dropped.
RECORDING = StreamKind("recording", is_paced=True, may_drop=True, reconnects=False, has_own_clock=True)
CAMERA = StreamKind("camera", is_paced=False, may_drop=True, reconnects=True, has_own_clock=False)
PIPE = StreamKind("pipe", is_paced=False, may_drop=False, reconnects=False, has_own_clock=True)
ADDRESS = StreamKind("address", is_paced=False, may_drop=True, reconnects=True, has_own_clock=False)


@dataclass(frozen=True)
class Place:
    """Where live footage comes from, in FFmpeg's terms."""

    name: str  # for people
    address: str | BinaryIO
    container_format: str | None = None  # None is for FFmpeg to find out
    options: tuple[tuple[str, str], ...] = ()
    cure: str = ""  # what to do when nothing comes
    kind: StreamKind = CAMERA
    timeout_seconds: float | None = None  # without a packet; None is to wait for ever

    def kind_of(self, video: OpenVideo) -> StreamKind:
        """What was found there: at an address, what states its length is a recording."""
        return RECORDING if self.kind is ADDRESS and video.end_seconds is not None else self.kind

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
    if not isinstance(spec, str):
        return None
    if spec == STANDARD_INPUT:
        return _standard_input()
    if is_address(spec):
        return _address(spec)
    if is_camera(spec):
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
    return Place("standard input", sys.stdin.buffer, cure=cure, kind=PIPE)


def _address(spec: str) -> Place:
    return Place(
        public_name(spec),
        spec,
        options=tuple(address_options(spec).items()),
        cure="see that the address, user and password are right and that the camera or server is on",
        kind=CAMERA if spec.lower().startswith("rtsp") else ADDRESS,
        timeout_seconds=TIMEOUT_SECONDS,
    )


class LiveSource:
    """A source that can be read once. It is opened when it is first looked at, and to be closed if it is not read."""

    replayable = False

    def __init__(self, place: Place, sampling: Sampling) -> None:
        self.name = place.name
        self._place = place
        self._sampling = sampling
        self._reading: Reading | None = None
        self._opened: _Opened | None = None

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
        """Width and height of the first frame, upright and with square pixels. It can still be read.

        Raises:
            SourceError: nothing is there, or no frame of it can be decoded.
        """
        return self._open().size

    def close(self) -> None:
        """Lets go of the camera or connection. What is being read ends."""
        if self._opened:
            self._opened.closing.close()

    def num_frames(self) -> None:
        """Nobody knows when it will end."""

    def split(self, share: float) -> "tuple[LiveSource, None]":
        """All to learn from; nothing can be held out of what cannot be read again."""
        check_share(share)
        return self, None

    def _events(self, views: tuple[View, ...]) -> Events:
        num_frames, opened = 0, self._open()
        with opened.closing:
            for event in decode_on(opened.video, name=self.name, views=views, sampling=self._sampling):
                num_frames += isinstance(event, Frame)
                yield event
        if not num_frames:
            start = self._sampling.start_seconds or 0
            raise SourceError(f"{self.name} ended before {start:g} s: give an earlier start")

    def _open(self) -> "_Opened":
        if self._opened is None:
            try:
                self._opened = _opened(self._place)
            except SourceError as error:
                raise SourceError(f"{error}; {self._place.cure}") from error
        return self._opened


@dataclass(frozen=True)
class _Opened:
    """A live place that is open."""

    closing: ExitStack
    video: OpenVideo
    size: tuple[int, int]  # width, height of its first frame


def _opened(place: Place) -> _Opened:
    with ExitStack() as opening:
        video = opening.enter_context(place.open())
        first = video.first_frame()
        if first is None:
            raise SourceError(f"{place.name} has no frame that can be decoded")
        return _Opened(opening.pop_all(), video, upright_size(first, video.pixel_aspect))
