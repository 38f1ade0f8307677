"""An open video: what its container states, where decoding can begin, and its frames one after the other.

None of PyAV's errors leaves this file. FFmpeg's log is silent, as PyAV sets it up.
"""

import math
import time
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from firstsight.errors import SourceError
from firstsight.files import check_regular
from firstsight.footage.container_checks import options_of, problem_with, stated_facts, video_stream
from firstsight.footage.timestamps import OutputOrder, PacketClock, first_stamp, stamp_of

# A file that is damaged so badly that this many reads in a row fail has ended.
_MAX_FAILED_READS = 100

# Formats whose clock runs from anywhere, so that zero is the first stamp: MPEG transport and program streams, cameras.
_RUNNING_CLOCK_FORMATS = {"mpegts", "mpeg", "video4linux2,v4l2", "avfoundation", "dshow"}

# Decoders that give nothing for a frame without those that it depends on; others give it marked as corrupt.
_SILENT_DECODERS = {"mpeg1video", "mpeg2video"}

# Formats that state decoding times alone; FFmpeg would invent presentation times in the order of decoding.
_DECODING_TIME_FORMATS = {"avi", "asf"}

# FFmpeg's flag for that, which PyAV sets (AVFMT_FLAG_GENPTS).
_GENERATE_STAMPS = 1

# In a clock that runs from anywhere, a gap of an hour is another recording and no pause.
_MAX_GAP_SECONDS = 3600.0

# For so long FFmpeg probes a stream to find out what is in it (its option analyzeduration).
_PROBE_SECONDS = 5.0

# Some cameras answer "not yet" instead of making the reader wait.
_NOT_YET_SECONDS = 0.005

# Assumed where no rate is stated.
USUAL_FRAMES_PER_SECOND = 25


@dataclass(frozen=True)
class Landing:
    """A keyframe to decode from; the defaults are the beginning of the file."""

    ticks: int | None = None  # what to seek to, in units of the stream's time base
    seconds: float = -math.inf  # presentation time of the keyframe
    index: int = 0  # its position in order of presentation
    byte: int | None = None  # its position in the file; two recordings in one file can have the same times


class SeekMissedError(Exception):
    """Seeking to a landing failed: read the file from the beginning."""


class Undecodable:
    """A packet that the decoder refused."""


class OpenVideo:
    """A video stream of an open container. Times are seconds from the presentation zero of the file."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._container = container
        self._stream = stream
        self._time_base = stream.time_base or Fraction(1, 1000)
        self._has_running_clock = container.format.name in _RUNNING_CLOCK_FORMATS
        self._has_presentation_times = container.format.name not in _DECODING_TIME_FORMATS
        if not self._has_presentation_times:
            container.flags &= ~_GENERATE_STAMPS
        self._first_zero = first_stamp(container) if self._has_running_clock else Fraction(0)
        self._zero = self._first_zero  # moves where another recording begins
        self._is_multithreaded = False
        self._waiting: deque[VideoFrame | Undecodable] = deque()  # decoded by `first_frame`, not yet yielded
        stated = self._stated = stated_facts(container, stream, start_seconds=self._seconds(stream.start_time or 0))
        self.frames_per_second = stated.frames_per_second
        self._begin()
        self.pixel_aspect = stream.sample_aspect_ratio or Fraction(1)
        self.start_seconds = stated.start_seconds
        self.end_seconds = stated.end_seconds
        self.max_gap_seconds = _MAX_GAP_SECONDS if self._has_running_clock else math.inf

    def _begin(self) -> None:
        """Forgets what was read before the current position."""
        self._waiting.clear()
        self._aspects = deque[tuple[int, Fraction]](maxlen=16)  # stamp from which on pixels have that aspect
        self._zero = self._first_zero
        frame_seconds = 1 / (self.frames_per_second or USUAL_FRAMES_PER_SECOND)
        self._clock = PacketClock(self._time_base, frame_seconds=frame_seconds)
        self._order = None if self._has_presentation_times else OutputOrder()
        self._landing: Landing | None = None  # not reached yet
        self._to_come = self._decode()

    def is_all_cut_off(self) -> bool:
        """Whether an edit list leaves out every frame, as in files whose stamps are all below 0."""
        return len(self._stream.index_entries) > 0 and all(entry.is_discard for entry in self._stream.index_entries)

    def start_from_zero(self) -> None:
        """Count time from the first stamp."""
        self._zero = self._first_zero = Fraction(self._stream.start_time or 0) * self._time_base
        self._stated = self._stated.from_zero()
        self.start_seconds, self.end_seconds = self._stated.start_seconds, self._stated.end_seconds

    def use_all_threads(self) -> None:
        """Decode on all processors. Call it before the first frame is decoded."""
        self._stream.thread_type = "AUTO"
        self._is_multithreaded = True

    def num_frames(self) -> int | None:
        """How many frames the container states, without those that an edit list leaves out; None if impossible."""
        return self._stated.num_frames()

    def num_lost(self, num_read: int) -> int:
        """How many of the stated frames are missing, when so many were read to the end of the file."""
        if self._has_running_clock:
            return 0  # the duration is not stated: FFmpeg found it at the end of the file
        # Where the rate varies, a duration gives only a rough number: it counts only if the file ends early.
        reached = -math.inf if self._clock.reached is None else self._seconds(self._clock.reached)
        num_missing = self._stated.num_frames_after(reached) or 0
        if not self._has_presentation_times:  # frames are shown so much later than they are decoded
            num_missing = max(0, num_missing - self._stream.codec_context.reorder_depth)
        if self._stated.counts_slots:
            return num_missing
        is_short = self._stated.count is not None or num_missing > 0
        return max(0, (self.num_frames() or 0) - num_read) if is_short else 0

    def stamp(self, timed: "VideoFrame | Packet[VideoStream]") -> float | None:
        """The presentation time that the file states for a frame or packet, or else the decoding time."""
        ticks = stamp_of(timed)
        return None if ticks is None else self._seconds(ticks)

    def duration_of(self, frame: VideoFrame) -> float | None:
        """The stated duration of a frame, in seconds."""
        return float(frame.duration * self._time_base) if frame.duration else None

    def packet_times(self) -> "list[tuple[float, bool]] | None":
        """Time of each packet that is shown, in order of decoding, and whether it is a keyframe; None if not known."""
        if not self._has_presentation_times and self._stream.codec_context.reorder_depth > 0:
            return None
        times, last_dts = list[tuple[float, bool]](), None
        for packet in self.packets():
            stamp, dts = self.stamp(packet), packet.dts
            if stamp is None or (dts is not None and last_dts is not None and self._is_broken_off(last_dts, dts)):
                return None
            if not packet.is_discard:
                times.append((stamp, packet.is_keyframe))
            last_dts = last_dts if dts is None else dts
        return times

    def decode_alone(self, numbers: Collection[int]) -> "Iterator[tuple[int, VideoFrame | Undecodable]]":
        """The frames of some packets, each a keyframe, given by their numbers in `packet_times`."""
        for number, packet in enumerate(packet for packet in self.packets() if not packet.is_discard):
            if number in numbers:
                frames = [*self._decoded(packet), *self._decoded(None)]
                self._stream.codec_context.flush_buffers()
                yield number, next((one for one in frames if isinstance(one, VideoFrame)), Undecodable())

    @property
    def may_begin_broken(self) -> bool:
        """Whether its decoder gives nothing for frames that lack what they depend on, as where a broadcast was cut."""
        return self._stream.codec_context.name in _SILENT_DECODERS

    def landing_before(self, seconds: float, *, first_seconds: float = -math.inf) -> Landing:
        """The last keyframe at or before a time, found by reading packets without decoding them.

        The beginning of the file where stamps are missing or start again. The index counts packets from `first_seconds`
        on, which is wrong for broadcasts that keep the two fields of a frame in separate packets.
        """
        landing, num_passed, last_dts = Landing(), 0, None
        if not self._has_presentation_times and self._stream.codec_context.reorder_depth > 0:
            return landing  # the order of the packets is not that of the frames
        for packet in self.packets():
            stamp, dts = self.stamp(packet), packet.dts
            if stamp is None or (dts is not None and last_dts is not None and self._is_broken_off(last_dts, dts)):
                return Landing()
            is_shown = not packet.is_discard and stamp >= first_seconds
            if dts is not None and self._seconds(dts) >= seconds:
                break  # all that follows is shown later
            if packet.is_keyframe and stamp <= seconds:
                landing = Landing(packet.pts if dts is None else dts, stamp, num_passed, packet.pos)
            elif stamp < landing.seconds:
                landing = replace(landing, index=landing.index + is_shown)
            num_passed += is_shown
            last_dts = last_dts if dts is None else dts
        return landing

    def _is_broken_off(self, dts: int, following: int) -> bool:
        """Whether another clock begins between two packets."""
        step_seconds = (following - dts) * self._time_base
        return self._clock.has_wrapped or not 0 <= step_seconds <= self.max_gap_seconds

    def seek(self, landing: Landing) -> None:
        """Moves to where decoding begins, at or before the keyframe.

        Raises:
            SeekMissedError: the file cannot seek.
        """
        if landing.ticks is None:
            return
        self._go_to(landing.ticks)
        self._landing = landing

    def landing_near(self, seconds: float) -> Landing:
        """A keyframe near a time, mostly the last before it, found by seeking; its index is estimated.

        Raises:
            SeekMissedError: the file cannot seek.
        """
        self._go_to(round((Fraction(seconds) + self._zero) / self._time_base))
        for packet in self.packets():
            stamp = self.stamp(packet)
            if packet.is_keyframe and stamp is not None:
                index = round((stamp - self.start_seconds) * (self.frames_per_second or 0))
                return Landing(packet.dts if packet.pts is None else packet.pts, stamp, index, packet.pos)
        raise SeekMissedError

    def _go_to(self, ticks: int) -> None:
        try:
            self._container.seek(ticks, stream=self._stream)
        except av.FFmpegError as error:
            raise SeekMissedError from error
        self._begin()

    def packets(self) -> Iterator["Packet[VideoStream]"]:
        """The packets in order of decoding, from the current position to the end of the file."""
        num_failed = 0
        while num_failed < _MAX_FAILED_READS:
            try:
                for packet in self._container.demux(self._stream):
                    num_failed = 0
                    if packet.size:  # the last, empty one only flushes the decoder
                        self._clock.unwrap(packet)
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
        """The frames in order of presentation, from the current position to the end of the file; once."""
        while self._waiting:
            yield self._waiting.popleft()
        yield from self._to_come

    def first_frame(self) -> VideoFrame | None:
        """The first frame that can be decoded, which `frames` still yields; None if there is none."""
        for frame in self._to_come:
            self._waiting.append(frame)
            if isinstance(frame, VideoFrame):
                break
        return next((frame for frame in self._waiting if isinstance(frame, VideoFrame)), None)

    def _decode(self) -> Iterator[VideoFrame | Undecodable]:
        for packet, moved_ticks in self._clock.follow(self.packets()):
            if moved_ticks is not None:  # another recording begins
                yield from self._decoded(None)
                self._stream.codec_context.flush_buffers()
                self._aspects.clear()
                self._order = self._order and OutputOrder()
                self._zero -= moved_ticks * self._time_base
            self._check_landing(packet)
            yield from self._decoded(packet)
        yield from self._decoded(None)

    def _check_landing(self, packet: "Packet[VideoStream]") -> None:
        """Raises SeekMissedError if a packet has the time of the landing, but another position in the file."""
        if self._landing is not None and self._landing.ticks in (packet.dts, packet.pts) and packet.is_keyframe:
            if packet.pos != self._landing.byte:
                raise SeekMissedError
            self._landing = None

    def _decoded(self, packet: "Packet[VideoStream] | None") -> list[VideoFrame | Undecodable]:
        try:
            frames = self._stream.codec_context.decode(packet)
        except av.FFmpegError:
            return [Undecodable()]
        if self._order:
            self._set_stamps(self._order, frames, packet)
        if self._has_running_clock:
            self._note_aspects(frames, packet)
        return [*frames]

    def _note_aspects(self, frames: list[VideoFrame], packet: "Packet[VideoStream] | None") -> None:
        """Notes on frames another pixel aspect than the first: broadcasts change between 4:3 and 16:9."""
        now = self._stream.codec_context.sample_aspect_ratio
        if packet is not None and now and (not self._aspects or now != self._aspects[-1][1]):
            self._aspects.append((stamp_of(packet) or 0, now))
        for frame in frames:
            known = [aspect for since, aspect in self._aspects if since <= (stamp_of(frame) or 0)]
            if known and known[-1] != self.pixel_aspect:
                frame.opaque = Fraction(*known[-1].as_integer_ratio())  # a new one: PyAV knows it by its identity

    def _set_stamps(self, order: OutputOrder, frames: list[VideoFrame], packet: "Packet[VideoStream] | None") -> None:
        """Sets the stamps that follow from the order in which frames come out of the decoder."""
        if packet is not None and packet.dts is not None:
            order.decoded(packet.dts)
        decoder = self._stream.codec_context
        num_held = decoder.reorder_depth + (decoder.thread_count - 1 if self._is_multithreaded else 0)
        for frame in frames:
            frame.pts = frame.dts = order.next(num_held=num_held, has_more=packet is not None)

    def _seconds(self, ticks: int) -> float:
        return float(ticks * self._time_base - self._zero)


@contextmanager
def open_video(path: Path, *, name: str, multithreaded: bool = False) -> Iterator[OpenVideo]:
    """The video in a file, closed again at the end of the block.

    Args:
        path: the file.
        name: of the file, in errors.
        multithreaded: decode on all processors, where nothing else needs them.

    Raises:
        SourceError: the file is not a video, cannot be read, or is a playlist; no other file or address is opened.
    """
    # With its protocol, a name that holds ":" or "%" is neither an address nor a numbered sequence.
    address = f"file:{check_regular(path, name=name)}"
    with ExitStack() as opened:
        video = opened.enter_context(open_stream(address, name=name))
        if video.is_all_cut_off():
            opened.close()
            video = opened.enter_context(open_stream(address, name=name, options={"ignore_editlist": "1"}))
            video.start_from_zero()
        if multithreaded:
            video.use_all_threads()
        yield video


@contextmanager
def open_stream(
    address: str | BinaryIO,
    *,
    name: str,
    container_format: str | None = None,
    options: dict[str, str] | None = None,
    timeout_seconds: float | None = None,
) -> Iterator[OpenVideo]:
    """The video at an address of FFmpeg or in an open file, closed again at the end of the block.

    Args:
        address: of FFmpeg, or an open file, which need not be seekable.
        name: of the video, in errors.
        container_format: FFmpeg's name for it; by default FFmpeg finds out.
        options: of that format.
        timeout_seconds: for each packet; for the first, FFmpeg's time to probe the stream is added. None is for ever.

    Raises:
        SourceError: there is no video, it cannot be read, or nothing arrives any more.
    """
    opening_seconds = None if timeout_seconds is None else timeout_seconds + _PROBE_SECONDS
    begun = time.monotonic()
    try:
        container = av.open(
            address,
            mode="r",
            format=container_format,
            options={"correct_ts_overflow": "0", **options_of(address), **(options or {})},
            metadata_errors="replace",
            timeout=(opening_seconds, timeout_seconds),
        )
    except av.FFmpegError as error:
        if opening_seconds is not None and time.monotonic() - begun >= opening_seconds:
            raise SourceError(f"{name} gave no picture within {opening_seconds:g} s") from error
        raise SourceError(f"{name} {problem_with(address, error)}") from error
    with container:
        try:
            yield OpenVideo(container, video_stream(container, name))
        except av.ExitError as error:
            raise SourceError(f"{name} gave nothing for {timeout_seconds or 0:g} s") from error
        except av.FFmpegError as error:
            raise SourceError(f"{name} cannot be decoded: {error.strerror}") from error
