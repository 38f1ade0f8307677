"""What a container holds and states, checked against its size; and files that name others, which are not opened."""

import math
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import av
from av.codec.context import Flags
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from firstsight.errors import SourceError

# Formats that FFmpeg draws as video: text and ANSI art.
_TEXT_FORMATS = {"tty", "bin", "xbin", "adf", "idf"}

# The fastest cameras take so many frames a second and more, but nothing is played so fast.
_MAX_FRAMES_PER_SECOND = 10_000.0

# The smallest possible frame with what its container adds: a chunk of AVI has a header of 8 bytes.
_MIN_FRAME_BYTES = 8

# The share of the stated frames that a complete index covers at least.
_MIN_INDEXED = 0.9

# After the last frame in AVI comes the index: bytes a frame, and as many for its sounds.
_INDEX_BYTES = 64

# Frames that are decoded before a part that an edit list shows begins, or after it has ended: a group of pictures.
_MAX_PREROLL = 600

# How Matroska tags durations: "00:00:04.040000000".
_CLOCK_TIME = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class StatedFacts:
    """What a container states; None is what it does not state, or what its size makes impossible."""

    start_seconds: float
    end_seconds: float | None
    frames_per_second: float | None
    count: int | None  # frames, with those that an edit list leaves out
    num_edited: int | None  # frames, where an edit list leaves some out or shows some twice
    counts_slots: bool  # the count may hold slots without a frame
    max_count: int | None  # frames that fit into the file

    def num_frames(self) -> int | None:
        """How many frames there are, without those that an edit list leaves out."""
        if self.num_edited is not None:
            return self.num_edited
        counts = (self.count, self.num_frames_after(self.start_seconds))
        return min((count for count in counts if count), default=None)

    def num_frames_after(self, seconds: float) -> int | None:
        """How many frames there are from a time to the end, if the rate is fixed."""
        if self.end_seconds is None or self.frames_per_second is None or seconds == float("-inf"):
            return None
        count = max(0, round((self.end_seconds - seconds) * self.frames_per_second))
        return None if self.max_count is not None and count > self.max_count else count

    def from_zero(self) -> "StatedFacts":
        """The same, with time counted from the start."""
        end = None if self.end_seconds is None else self.end_seconds - self.start_seconds
        return replace(self, start_seconds=0.0, end_seconds=end)


def video_stream(container: InputContainer, name: str) -> VideoStream:
    """The stream of pictures to read, set up. Raises a SourceError if there is none, or none that can be decoded."""
    streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if container.format.name in _TEXT_FORMATS:
        raise SourceError(f"{name} is not a video: it is text")
    if not streams:
        raise SourceError(f"{name} is not a video: it has sound or other data, but no pictures")
    stream = streams[0]
    if stream.codec_context is None:
        raise SourceError(f"{name} cannot be decoded: this build of FFmpeg has no decoder for it; convert it to H.264")
    stream.codec_context.flags |= Flags.output_corrupt  # so that damaged frames are counted
    # Threads for entire frames took an eighth more processor time on two cores, which learning needs as well.
    stream.thread_type = "SLICE"
    return stream


def stated_facts(container: InputContainer, stream: VideoStream, *, start_seconds: float) -> StatedFacts:
    """What the container states of its video stream, which begins at that time."""
    max_count = container.size // _MIN_FRAME_BYTES if container.size > 0 else None
    # The header of AVI counts slots, of which some may be empty; its index has those that hold a frame.
    has_slots = container.format.name == "avi"
    num_indexed = len(stream.index_entries) if has_slots and _has_complete_index(container, stream, max_count) else 0
    count = num_indexed or stream.frames
    facts = StatedFacts(
        start_seconds=start_seconds,
        end_seconds=_stated_end(container, stream, start_seconds),
        frames_per_second=_stated_rate(stream),
        count=count if count > 0 and (max_count is None or count <= max_count) else None,
        num_edited=_num_edited(container, stream),
        counts_slots=has_slots and not num_indexed,
        max_count=max_count,
    )
    if facts.num_frames_after(start_seconds) is not None or (facts.count and not has_slots):
        return facts
    return replace(facts, end_seconds=_indexed_end(stream, start_seconds) if num_indexed else None)


def _stated_rate(stream: VideoStream) -> float | None:
    rate = stream.average_rate or stream.guessed_rate
    return float(rate) if rate and 0 < rate <= _MAX_FRAMES_PER_SECOND else None


def _has_edits(container: InputContainer) -> bool:
    return container.format.name.startswith("mov,")


def _num_edited(container: InputContainer, stream: VideoStream) -> int | None:
    """How many frames an edit list shows; None if it shows all, or there is none: then the index has all of them."""
    if not _has_edits(container) or not stream.frames:
        return None
    entries = stream.index_entries
    ends = (*range(min(_MAX_PREROLL, len(entries))), *range(max(0, len(entries) - _MAX_PREROLL), len(entries)))
    if len(entries) == stream.frames and not any(entries[number].is_discard for number in ends):
        return None  # without reading all: there may be a million
    num_shown = sum(not entry.is_discard for entry in entries)
    return num_shown if num_shown not in (0, stream.frames) else None


def _shown_seconds(stream: VideoStream) -> float:
    """From the first frame in the index that is shown to the last."""
    entries = stream.index_entries
    first, last = (
        next((entries[number].timestamp for number in numbers if not entries[number].is_discard), 0)
        for numbers in (range(len(entries)), reversed(range(len(entries))))
    )
    return float((last - first) * (stream.time_base or 0))


def _stated_end(container: InputContainer, stream: VideoStream, start_seconds: float) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        duration = float(stream.duration * stream.time_base)
        if not start_seconds or not _has_edits(container) or not len(stream.index_entries):
            return start_seconds + duration
        # The duration may include the time before the first frame.
        step = 1 / (_stated_rate(stream) or math.inf)
        return min(start_seconds + duration, max(duration, start_seconds + _shown_seconds(stream) + step))
    if tag := _CLOCK_TIME.fullmatch(stream.metadata.get("DURATION", "")):
        hours, minutes, seconds = tag.groups()
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    # With several streams, it may be the duration of the sound.
    if container.duration is not None and len(container.streams) == 1:
        return container.duration / av.time_base
    return None


def _indexed_end(stream: VideoStream, start_seconds: float) -> float:
    """When the last frame in the index ends, which lasts a unit of time."""
    last = max(entry.timestamp for entry in stream.index_entries)
    return start_seconds + float((last - (stream.start_time or 0) + 1) * (stream.time_base or 0))


def _has_complete_index(container: InputContainer, stream: VideoStream, max_count: int | None) -> bool:
    """Whether the index is that of the file, not the beginning of one that FFmpeg makes as it reads."""
    entries = stream.index_entries
    if not len(entries) or max_count is None:
        return False
    last = entries[len(entries) - 1]
    if 0 < stream.frames <= max_count:
        return last.timestamp + 1 >= _MIN_INDEXED * stream.frames
    return container.size - (last.pos + last.size) <= _INDEX_BYTES * (len(entries) + 1)


# Formats that name other files or addresses, which FFmpeg would open.
_NAMING_OTHERS = {"applehttp", "concat", "concatf", "dash", "hls", "imf", "lavfi", "rtp", "rtsp", "sap", "sdp"}
_NAMING_OTHERS |= {"vobsub", "webm_dash_manifest"}

_FILE = "file:"

# For a file: the formats it may have, and the protocols by which more may be read.
_ALONE = {
    "format_whitelist": ",".join(sorted(av.formats_available - _NAMING_OTHERS)),
    "protocol_whitelist": "file",
}

# How playlists begin: HLS, FFmpeg's concat script, SDP, DASH, PLS.
_PLAYLIST = re.compile(rb"(?:\xef\xbb\xbf)?\s*(#EXTM3U|ffconcat |v=0\r?\n|\[playlist\]|(<\?xml[^>]*>\s*)?<MPD)")
_PLAYLIST_BYTES = 1_000


def options_of(address: str | BinaryIO) -> dict[str, str]:
    """FFmpeg's options that keep a file, or what is piped in, from making it open others."""
    return {} if isinstance(address, str) and not address.startswith(_FILE) else dict(_ALONE)


def problem_with(address: str | BinaryIO, error: av.FFmpegError) -> str:
    """Why FFmpeg could not open it, as the rest of a sentence that begins with its name."""
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror}"
    if isinstance(address, str) and address.startswith(_FILE) and _is_playlist(Path(address.removeprefix(_FILE))):
        return "is a playlist of other files, not a video: give those files themselves"
    return f"is not a video: {error.strerror}"


def _is_playlist(path: Path) -> bool:
    with suppress(OSError), path.open("rb") as file:
        return _PLAYLIST.match(file.read(_PLAYLIST_BYTES)) is not None
    return False
