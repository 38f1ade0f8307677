"""Pictures written as H.264 video that every player and browser opens."""

from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from firstsight.errors import RunError
from firstsight.files import Closing
from firstsight.text import printable

_TIME_BASE = Fraction(1, 90_000)
# Without B-frames, with which the file states too early an end where times are uneven: readers leave out the rest.
_OPTIONS = {"preset": "veryfast", "crf": "23", "bf": "0"}
_NUM_THREADS = 2  # on every machine: each writes a slice of its own, so that their number changes the file


def x264_options(options: Mapping[str, str]) -> dict[str, str]:
    """Options of FFmpeg's libx264, with which the same pictures give the same file each time by as many threads.

    For macroblock trees its AVX-512 code reads memory that it has not set: in a process that has used memory before,
    one file in thirty was another. By AVX2 it is the same one, and takes 6 % longer. That would end the process where
    there is none, so it is asked for only where there is AVX-512; outside Linux that is not known.
    """
    parameters = [options.get("x264-params"), "asm=avx2" if _has_avx512() else None]
    return {**options, "x264-params": ":".join(filter(None, parameters))}


@cache
def _has_avx512() -> bool:
    try:
        return "avx512" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


class VideoWriter(Closing):
    """Writes an MP4 file of pictures with their times. The same pictures and times give the same file.

    Args:
        path: the file, which is replaced.
        size: width and height of every picture, both even.
        name: of the file, in errors; its path by default.

    Raises:
        RunError: the file cannot be written.
    """

    def __init__(self, path: Path, *, size: tuple[int, int], name: str = "") -> None:
        self.path, self._size, self._name = path, size, name or printable(path)
        try:
            self._container = av.open(f"file:{path}", "w", format="mp4")
        except (OSError, av.FFmpegError) as error:
            raise self._failed(error) from error
        self._stream = self._container.add_stream("libx264", rate=25, options=x264_options(_OPTIONS))
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = _TIME_BASE
        self._stream.codec_context.thread_count = _NUM_THREADS

    def write(self, picture: NDArray[np.uint8], *, seconds: float) -> None:
        """Adds a picture, uint8 (H, W, 3), at that time, which must be later than the last one's."""
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = round(seconds / _TIME_BASE), _TIME_BASE
        self._mux(frame)

    def close(self) -> None:
        """Finishes the file; before this, no player opens it."""
        try:
            try:
                self._mux(None)
            finally:  # a full disk must not leave the file open
                self._container.close()
        except (OSError, av.FFmpegError) as error:
            raise self._failed(error) from error

    def _mux(self, frame: av.VideoFrame | None) -> None:
        try:
            self._container.mux(self._stream.encode(frame))
        except (OSError, av.FFmpegError) as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError | av.FFmpegError) -> RunError:
        if not isinstance(error, OSError):  # of the encoder
            return RunError(f"{self._name} cannot be written: {self._size[0]}x{self._size[1]} pixels are not encoded")
        return RunError(f"{self._name} cannot be written: {error.strerror or error}; choose another folder")
