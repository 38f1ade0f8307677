"""Footage that can be read once: a video piped into standard input, a camera, or an address in a network."""

import re
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Literal

from firstsight.errors import SourceError
from firstsight.footage.container import OpenVideo, open_stream
from firstsight.footage.decoding import decode_on
from firstsight.footage.finding import STANDARD_INPUT, is_address, is_camera
from firstsight.footage.frames import Events, Frame, Reading, View, iterate
from firstsight.footage.orientation import upright_size
from firstsight.footage.sampling import Sampling, check_share

_CREDENTIALS = re.compile(r"(?<=://)[^/\s]*@")
_SECRETS = re.compile(r"\?.*")  # a query is as often a key as it is a setting

# Longer than a camera takes to wake up or to send its next keyframe.
TIMEOUT_SECONDS = 10.0


def public_name(address: str) -> str:
    """The address without user, password and query, fit for a log."""
    return _SECRETS.sub("", _CREDENTIALS.sub("", address))


def address_options(address: str) -> dict[str, str]:
    """FFmpeg's options for the address: RTSP by TCP, which loses nothing, where the server offers it.

    Without sound, so that a camera that sends only sound any more counts as lost; and without probing its rate, which
    takes seconds.
    """
    is_rtsp = address.lower().startswith("rtsp")
    return {"rtsp_flags": "prefer_tcp", "allowed_media_types": "video", "fpsprobesize": "0"} if is_rtsp else {}


@dataclass(frozen=True)
class StreamKind:
    """How live footage arrives."""

    name: Literal["recording", "camera", "pipe", "address"]
    is_paced: bool  # at its own pace, times the speed; else as it arrives
    may_drop: bool  # the newest frame replaces those that a slow user has not taken; else the reader waits
    reconnects: bool  # when it breaks or falls silent; else that is its end
    has_own_clock: bool  # frames have stated times; else the time of their arrival


# The writer of a pipe sets its pace and waits for its reader, so nothing in it is dropped.
RECORDING = StreamKind("recording", is_paced=True, may_drop=True, reconnects=False, has_own_clock=True)
CAMERA = StreamKind("camera", is_paced=False, may_drop=True, reconnects=True, has_own_clock=False)
PIPE = StreamKind("pipe", is_paced=False, may_drop=False, reconnects=False, has_own_clock=True)
ADDRESS = StreamKind("address", is_paced=False, may_drop=True, reconnects=True, has_own_clock=False)


@dataclass(frozen=True)
class Endpoint:
    """What live footage is read from, in FFmpeg's terms."""

    name: str  # for people
    address: str | BinaryIO
    container_format: str | None = None  # None: FFmpeg finds out
    options: tuple[tuple[str, str], ...] = ()
    cure: str = ""  # what to do when nothing arrives
    kind: StreamKind = CAMERA
    timeout_seconds: float | None = None  # without a packet; None waits for ever

    def kind_of(self, video: OpenVideo) -> StreamKind:
        """The kind of what was found: at an address, a video that states its duration is a recording."""
        return RECORDING if self.kind is ADDRESS and video.end_seconds is not None else self.kind

    def open(self) -> AbstractContextManager[OpenVideo]:
        """The video, closed again at the end of the block."""
        return open_stream(
            self.address,
            name=self.name,
            container_format=self.container_format,
            options=dict(self.options),
            timeout_seconds=self.timeout_seconds,
        )


def endpoint_of(spec: object) -> Endpoint | None:
    """The endpoint that `spec` names: "-", a camera's number or device, an address; else None."""
    if isinstance(spec, Endpoint):
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


def camera(spec: str, *, system: str) -> Endpoint:
    """A camera by its number or by the name that the operating system gives it.

    Raises:
        SourceError: a number on Windows, where cameras have names.
    """
    name = f"camera {spec}"
    cure = "check that it is plugged in, that no other program uses it, and that you may read it"
    if system == "darwin":  # it offers integer rates only, and refuses the NTSC rate that FFmpeg asks for by default
        return Endpoint(name, spec, "avfoundation", (("framerate", "30"),), cure)
    if system == "win32":
        if spec.isdigit():
            raise SourceError(f"{name}: on Windows cameras have names; give video=NAME, as the device manager shows it")
        return Endpoint(name, spec, "dshow", (), cure)
    return Endpoint(name, f"/dev/video{spec}" if spec.isdigit() else spec, "v4l2", (), cure)


def _standard_input() -> Endpoint:
    if sys.stdin is None or sys.stdin.isatty():
        raise SourceError(
            "standard input is a terminal or closed: pipe a video into it, as in `cat clip.mkv | firstsight ... -`"
        )
    cure = "an MP4 file with its index at the end cannot be piped: give it by its name"
    return Endpoint("standard input", sys.stdin.buffer, cure=cure, kind=PIPE)


def _address(spec: str) -> Endpoint:
    return Endpoint(
        public_name(spec),
        spec,
        options=tuple(address_options(spec).items()),
        cure="check that the address, user and password are right and that the camera or server is on",
        kind=CAMERA if spec.lower().startswith("rtsp") else ADDRESS,
        timeout_seconds=TIMEOUT_SECONDS,
    )


def ended_early(name: str, sampling: Sampling) -> SourceError:
    """The error of what ended without a frame to use."""
    return SourceError(f"{name} ended before {sampling.start_seconds or 0:g} s: give an earlier start")


class LiveSource:
    """A source that can be read once. `size` or `read` opens it; close it if it is not read.

    A reading ends when the connection does; a `Stream` of it connects again.
    """

    replayable = False

    def __init__(self, endpoint: Endpoint, sampling: Sampling) -> None:
        self.name = endpoint.name
        self.endpoint = endpoint
        self.sampling = sampling
        self._is_read = False
        self._reading: Reading | None = None
        self._opened: _Opened | None = None

    def __iter__(self) -> Iterator[Frame]:
        """The frames, pixel by pixel in colour; once."""
        return iterate(self)

    def read(self, *views: View) -> Reading:
        """An iterator over the frames, each with a picture a view.

        Raises:
            SourceError: it was read before.
        """
        self._begin()
        self._reading = Reading(self._events(views), on_close=self.close)
        return self._reading

    def video(self) -> AbstractContextManager[OpenVideo]:
        """The open video itself, in place of `read`; closed at the end of the block.

        Raises:
            SourceError: it was read before; nothing arrives, or no frame can be decoded.
        """
        self._begin()
        return _closed_after(self._open())

    def size(self) -> tuple[int, int]:
        """Width and height of the first frame, upright and with square pixels; the frame can still be read.

        Raises:
            SourceError: nothing arrives, or no frame can be decoded.
        """
        return self._open().size

    def close(self) -> None:
        """Closes the camera or connection, and ends a reading."""
        if self._opened:
            self._opened.closing.close()

    def num_frames(self) -> None:
        """None: it is unknown when it ends."""

    def split(self, share: float) -> "tuple[LiveSource, None]":
        """All to learn from; nothing is held out of what cannot be read again."""
        check_share(share)
        return self, None

    def _events(self, views: tuple[View, ...]) -> Events:
        num_frames, opened, begun = 0, self._open(), time.monotonic()
        now = None if self.endpoint.kind_of(opened.video).has_own_clock else lambda: time.monotonic() - begun
        with opened.closing:
            for event in decode_on(opened.video, name=self.name, views=views, sampling=self.sampling, now=now):
                num_frames += isinstance(event, Frame)
                yield event
        if not num_frames:
            raise ended_early(self.name, self.sampling)

    def _begin(self) -> None:
        if self._is_read:
            given = f"gave {self._reading.num_frames} frames" if self._reading else "was read"
            raise SourceError(f"{self.name} {given} and can be read once: save it to a file first")
        self._is_read = True

    def _open(self) -> "_Opened":
        if self._opened is None:
            try:
                self._opened = _opened(self.endpoint)
            except SourceError as error:
                raise SourceError(f"{error}; {self.endpoint.cure}") from error
        return self._opened


@dataclass(frozen=True)
class _Opened:
    """An open endpoint."""

    closing: ExitStack
    video: OpenVideo
    size: tuple[int, int]  # width, height of its first frame


@contextmanager
def _closed_after(opened: _Opened) -> Iterator[OpenVideo]:
    with opened.closing:
        yield opened.video


def _opened(endpoint: Endpoint) -> _Opened:
    with ExitStack() as opening:
        video = opening.enter_context(endpoint.open())
        first = video.first_frame()
        if first is None:
            raise SourceError(f"{endpoint.name} has no frame that can be decoded")
        return _Opened(opening.pop_all(), video, upright_size(first, video.pixel_aspect))
