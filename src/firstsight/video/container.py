"""An open video: what its container states, where decoding can begin, and its frames one after the other.

None of PyAV's errors leaves this file. FFmpeg's log is silent, as PyAV sets it up.
"""

import math
import re
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
from av.codec.context import Flags
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from firstsight.errors import SourceError
from firstsight.video.regular import check_regular

# A file so damaged that this many reads in a row fail has ended.
_FAILED_READS = 100

# Formats that FFmpeg draws as video: text and ANSI art.
_TEXT_FORMATS = {"tty", "bin", "xbin", "adf", "idf"}

# Formats that name other files or addresses, which FFmpeg would open.
_LEADING_ELSEWHERE = {"applehttp", "concat", "concatf", "dash", "hls", "imf", "lavfi", "rtp", "rtsp", "sap", "sdp"}
_LEADING_ELSEWHERE |= {"vobsub", "webm_dash_manifest"}

_FILE = "file:"

# For a file: what it may hold, and by which protocols more may be read.
_ALONE = {
    "format_whitelist": ",".join(sorted(av.formats_available - _LEADING_ELSEWHERE)),
    "protocol_whitelist": "file",
}

# How playlists begin: HLS, FFmpeg's concat script, SDP, DASH, PLS.
_PLAYLIST = re.compile(rb"(?:\xef\xbb\xbf)?\s*(#EXTM3U|ffconcat |v=0\r?\n|\[playlist\]|(<\?xml[^>]*>\s*)?<MPD)")
_PLAYLIST_BYTES = 1_000

# Formats whose clock runs from anywhere, so that zero is the first stamp: MPEG transport and program streams, cameras.
_RUNNING_CLOCK_FORMATS = {"mpegts", "mpeg", "video4linux2,v4l2", "avfoundation", "dshow"}

# FFmpeg looks at a stream for so long to find out what is in it (its option analyzeduration).
_LOOK_SECONDS = 5.0

# Some cameras say "not yet" instead of making the reader wait.
_NOT_YET_SECONDS = 0.005

# Decoding stamps only run forward; when they fall back further than noise, another recording follows.
_NEW_RECORDING_SECONDS = 1.0

# How Matroska tags durations: "00:00:04.040000000".
_CLOCK_TIME = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Landing:
    """A keyframe to decode from; the defaults are the beginning of the file."""

    ticks: int | None = None  # what to seek to, in units of the stream's time base
    seconds: float = -math.inf  # presentation time of the keyframe
    index: int = 0  # its position in order of presentation


class SeekMissedError(Exception):
    """The file cannot be positioned at a landing: read it from the beginning."""


class Undecodable:
    """Stands for a packet that the decoder refused."""


class OpenVideo:
    """A video stream of an open container. Times are seconds from the presentation zero of the file."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._container = container
        self._stream = stream
        self._time_base = stream.time_base or Fraction(1, 1000)
        self._has_running_clock = container.format.name in _RUNNING_CLOCK_FORMATS
        self._zero = _first_stamp(container) if self._has_running_clock else Fraction(0)
        self._reached_seconds = -math.inf  # where the last packet ends that was read
        self._last_dts: int | None = None  # its decoding stamp
        self._waiting: deque[VideoFrame | Undecodable] = deque()  # decoded to look at, not yet given out
        self._to_come = self._decode()
        rate = stream.average_rate or stream.guessed_rate
        self.frames_per_second = float(rate) if rate else None
        self.pixel_aspect = stream.sample_aspect_ratio or Fraction(1)
        self.start_seconds = self._seconds(stream.start_time or 0)
        self.end_seconds = self._stated_end()

    def hurry(self) -> None:
        """Decode on all processors. Before the first frame is asked for."""
        self._stream.thread_type = "AUTO"

    def num_frames(self) -> int | None:
        """How many frames the container states, without those that an edit list leaves out."""
        counts = (self._stream.frames, self._num_frames_after(self.start_seconds))
        return min((count for count in counts if count), default=None)

    def num_lost(self, num_read: int) -> int:
        """How many frames the container states that were missing, when so many were read to the end of the file."""
        if self._has_running_clock:
            return 0  # how long it lasts was not stated, but found by looking at the end of the file
        # A duration tells the number only roughly if the rate varies, so it counts only if the file ends early.
        ends_early = (self._num_frames_after(self._reached_seconds) or 0) > 0
        is_short = self._stream.frames > 0 or ends_early
        return max(0, (self.num_frames() or 0) - num_read) if is_short else 0

    def stamp(self, timed: "VideoFrame | Packet[VideoStream]") -> float | None:
        """The presentation time that the file states for a frame or packet, or failing that the decoding time."""
        ticks = timed.dts if timed.pts is None else timed.pts
        return None if ticks is None else self._seconds(ticks)

    def landing_before(self, seconds: float) -> Landing:
        """The last keyframe at or before a time, found by reading packets without decoding them.

        A file whose stamps are missing or start again is to be read from its beginning. The position counts packets,
        which is off for broadcasts that keep the two fields of a frame in packets of their own.
        """
        landing, num_passed, last_dts = Landing(), 0, None
        for packet in self.packets():
            stamp, dts = self.stamp(packet), packet.dts
            if stamp is None or (dts is not None and last_dts is not None and dts < last_dts):
                return Landing()
            if dts is not None and self._seconds(dts) >= seconds:
                break  # all that follows is shown later
            if packet.is_keyframe and stamp <= seconds:
                landing = Landing(packet.pts if dts is None else dts, stamp, num_passed)
            elif stamp < landing.seconds:
                landing = replace(landing, index=landing.index + (not packet.is_discard))
            num_passed += not packet.is_discard
            last_dts = last_dts if dts is None else dts
        return landing

    def seek(self, landing: Landing) -> None:
        """Go where decoding begins at or before the keyframe.

        Raises:
            SeekMissedError: the file cannot be positioned.
        """
        if landing.ticks is None:
            return
        self._go_to(landing.ticks)

    def landing_near(self, seconds: float) -> Landing:
        """A keyframe near a time, mostly the last before it, found by positioning the file; its position is a guess.

        Raises:
            SeekMissedError: the file cannot be positioned.
        """
        self._go_to(round((Fraction(seconds) + self._zero) / self._time_base))
        for packet in self.packets():
            stamp = self.stamp(packet)
            if packet.is_keyframe and stamp is not None:
                index = round((stamp - self.start_seconds) * (self.frames_per_second or 0))
                return Landing(packet.dts if packet.pts is None else packet.pts, stamp, index)
        raise SeekMissedError

    def _go_to(self, ticks: int) -> None:
        try:
            self._container.seek(ticks, stream=self._stream)
        except av.FFmpegError as error:
            raise SeekMissedError from error
        self._waiting.clear()
        self._last_dts = None
        self._to_come = self._decode()

    def packets(self) -> Iterator["Packet[VideoStream]"]:
        """The packets in order of decoding, from the present place to the end of the file."""
        num_failed = 0
        while num_failed < _FAILED_READS:
            try:
                for packet in self._container.demux(self._stream):
                    num_failed = 0
                    if packet.size:  # the last, empty one only asks the decoder for what it holds back
                        yield packet
            except av.BlockingIOError:
                time.sleep(_NOT_YET_SECONDS)
            except av.ExitError:  # the time-out: `open_stream` turns it into an error with a name
                raise
            except av.FFmpegError:
                num_failed += 1
            else:
                return

    def frames(self) -> Iterator[VideoFrame | Undecodable]:
        """The frames in order of presentation, from the present place to the end of the file. To be asked for once."""
        while self._waiting:
            yield self._waiting.popleft()
        yield from self._to_come

    def first_frame(self) -> VideoFrame | None:
        """The first frame that can be decoded, which `frames` will give all the same; None if there is none."""
        for frame in self._to_come:
            self._waiting.append(frame)
            if isinstance(frame, VideoFrame):
                break
        return next((frame for frame in self._waiting if isinstance(frame, VideoFrame)), None)

    def _decode(self) -> Iterator[VideoFrame | Undecodable]:
        for packet in self.packets():
            if self._starts_again(packet):
                yield from self._decoded(None)
                self._stream.codec_context.flush_buffers()
                self._zero -= Fraction(self._reached_seconds) - Fraction(self.stamp(packet) or 0)
            self._note_end(packet)
            yield from self._decoded(packet)
        yield from self._decoded(None)

    def _starts_again(self, packet: "Packet[VideoStream]") -> bool:
        """Whether another recording begins, whose clock is behind: transport streams are appended to each other."""
        last, self._last_dts = self._last_dts, packet.dts if packet.dts is not None else self._last_dts
        return (
            last is not None
            and packet.dts is not None
            and (last - packet.dts) * self._time_base > _NEW_RECORDING_SECONDS
        )

    def _note_end(self, packet: "Packet[VideoStream]") -> None:
        stamp = self.stamp(packet)
        if stamp is not None:
            duration = float((packet.duration or 0) * self._time_base)
            self._reached_seconds = max(self._reached_seconds, stamp + duration)

    def _decoded(self, packet: "Packet[VideoStream] | None") -> list[VideoFrame | Undecodable]:
        try:
            return [*self._stream.codec_context.decode(packet)]
        except av.FFmpegError:
            return [Undecodable()]

    def _seconds(self, ticks: int) -> float:
        return float(ticks * self._time_base - self._zero)

    def _num_frames_after(self, seconds: float) -> int | None:
        if self.end_seconds is None or self.frames_per_second is None or math.isinf(seconds):
            return None
        return max(0, round((self.end_seconds - seconds) * self.frames_per_second))

    def _stated_end(self) -> float | None:
        stream, container = self._stream, self._container
        if stream.duration is not None:
            return self.start_seconds + float(stream.duration * self._time_base)
        if tag := _CLOCK_TIME.fullmatch(stream.metadata.get("DURATION", "")):
            hours, minutes, seconds = tag.groups()
            return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        # With several streams, it may be the length of the sound.
        if container.duration is not None and len(container.streams) == 1:
            return container.duration / av.time_base
        return None


@contextmanager
def open_video(path: Path, *, name: str, hurried: bool = False) -> Iterator[OpenVideo]:
    """The video in a file, closed again at the end of the block.

    Args:
        path: the file.
        name: what to call it in errors.
        hurried: decode on all processors; for when there is nothing else to do meanwhile.

    Raises:
        SourceError: the file is not a video, cannot be read, or is a playlist, whatever it is called: none but the file
            itself is opened, neither another one nor the network.
    """
    check_regular(path, name=name)
    # With its protocol, a name that holds ":" or "%" is not taken for an address or a numbered sequence.
    with open_stream(f"file:{path}", name=name) as video:
        if hurried:
            video.hurry()
        yield video


@contextmanager
def open_stream(
    place: str | BinaryIO,
    *,
    name: str,
    container_format: str | None = None,
    options: dict[str, str] | None = None,
    timeout_seconds: float | None = None,
) -> Iterator[OpenVideo]:
    """The video at an address of FFmpeg or in an open file, closed again at the end of the block.

    Args:
        place: an address, or a file to read from, which need not be seekable.
        name: what to call it in errors.
        container_format: FFmpeg's name for it; None is for FFmpeg to find out.
        options: of that format.
        timeout_seconds: to wait for each packet; for the beginning so much longer as FFmpeg looks at a stream to find
            out what it is. None is for ever.

    Raises:
        SourceError: there is no video, it cannot be read, or nothing comes any more.
    """
    patience = None if timeout_seconds is None else timeout_seconds + _LOOK_SECONDS
    begun = time.monotonic()
    try:
        container = av.open(
            place,
            mode="r",
            format=container_format,
            options={**_options_of(place), **(options or {})},
            metadata_errors="replace",
            timeout=(patience, timeout_seconds),
        )
    except av.FFmpegError as error:
        if patience is not None and time.monotonic() - begun >= patience:
            raise SourceError(f"{name} gave no picture within {patience:g} s") from error
        raise SourceError(f"{name} {_problem(place, error)}") from error
    with container:
        try:
            yield OpenVideo(container, _video_stream(container, name))
        except av.ExitError as error:
            raise SourceError(f"{name} gave nothing for {timeout_seconds or 0:g} s") from error
        except av.FFmpegError as error:
            raise SourceError(f"{name} cannot be decoded: {error.strerror}") from error


def _options_of(place: str | BinaryIO) -> dict[str, str]:
    """What keeps a file from making FFmpeg open others."""
    return dict(_ALONE) if isinstance(place, str) and place.startswith(_FILE) else {}


def _problem(place: str | BinaryIO, error: av.FFmpegError) -> str:
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror}"
    if isinstance(place, str) and place.startswith(_FILE) and _is_playlist(Path(place.removeprefix(_FILE))):
        return "is a playlist, which names other files, and no video: give those files themselves"
    return f"is not a video: {error.strerror}"


def _is_playlist(path: Path) -> bool:
    with suppress(OSError), path.open("rb") as file:
        return _PLAYLIST.match(file.read(_PLAYLIST_BYTES)) is not None
    return False


def _video_stream(container: InputContainer, name: str) -> VideoStream:
    streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if container.format.name in _TEXT_FORMATS:
        raise SourceError(f"{name} is not a video: it is text")
    if not streams:
        raise SourceError(f"{name} is not a video: there is sound or other data in it, but no pictures")
    stream = streams[0]
    if stream.codec_context is None:
        raise SourceError(f"{name} cannot be decoded: this build of FFmpeg has no decoder for it; convert it to H.264")
    stream.codec_context.flags |= Flags.output_corrupt  # damaged frames are to be counted; they are not used
    # Threads for whole frames took an eighth more processor time on two cores, which learning needs as well.
    stream.thread_type = "SLICE"
    return stream


def _first_stamp(container: InputContainer) -> Fraction:
    stamps = [
        stream.start_time * stream.time_base
        for stream in container.streams
        if stream.start_time is not None and stream.time_base is not None
    ]
    return min(stamps, default=Fraction(0))
