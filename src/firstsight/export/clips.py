"""Moments cut out of their videos, each a file of its own."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from firstsight.errors import PixelsError, RunError, SourceError
from firstsight.files import make_folder, safe_name
from firstsight.pixels import Crop
from firstsight.retrieval.store.files import check_unchanged
from firstsight.retrieval.store.records import SourceRecord
from firstsight.text import printable
from firstsight.video.encoding import VideoWriter
from firstsight.video.frames import Frame
from firstsight.video.source import open_source

# Damaged files have frames at the time of the one before; in a clip each frame is shown at least so long.
_LEAST_SECONDS = 0.001


@dataclass(frozen=True)
class Stretch:
    """A part of a video file."""

    path: Path
    start_seconds: float  # the first frame is at or after it
    end_seconds: float  # the last is before it, unless the stretch would be empty
    record: SourceRecord | None = None  # what a library knows of the file, which must not have changed since


def write_clips(
    stretches: Sequence[Stretch],
    folder: Path,
    *,
    progress: Callable[[int], None] = lambda _num_done: None,
    left_out: Callable[[str], None] = lambda _reason: None,
) -> list[Path]:
    """Each stretch as an H.264 file without sound, named after its rank, its video and its beginning.

    The pictures are encoded anew: a file could only be copied from one keyframe on, and a clip should begin with the
    very frame that the moment begins with. Its time starts at 0 and runs as in the video.

    Args:
        stretches: of video files.
        folder: made if it is not there. A file of the same name is replaced.
        progress: is told how many are done.
        left_out: is told a line for each that is left out, as its video is gone, has changed or cannot be read there.

    Returns:
        The files that were written, in the order of the stretches.

    Raises:
        RunError: the folder cannot be written to.
    """
    make_folder(folder, purpose="the clips")
    written = []
    for rank, stretch in enumerate(stretches, start=1):
        path = folder / _name(rank, stretch)
        try:
            cut(stretch, path)
        except (SourceError, PixelsError) as error:
            left_out(str(error))
        else:
            written.append(path)
        progress(rank)
    return written


def cut(stretch: Stretch, out: Path) -> None:
    """One stretch as a file of its own; whoever looks for it finds it whole or not at all.

    Raises:
        RunError: it cannot be written.
        SourceError: the video is gone, has changed since it was indexed, or cannot be read there.
    """
    unfinished = out.with_name(f".{out.name}")
    try:
        with closing(_frames(stretch)) as frames:
            _write(frames, unfinished)
        unfinished.replace(out)
    except OSError as error:
        raise RunError(f"{printable(out)} cannot be written: {error.strerror}; choose another folder") from error
    finally:
        unfinished.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Even:
    """A view of the whole picture pixel by pixel, but for a last odd row or column: H.264 asks for even sides."""

    channels: int = 3

    def crop(self, width: int, height: int) -> Crop:
        """All of it that is even."""
        return Crop(0, 0, width - width % 2, height - height % 2, width - width % 2, height - height % 2)


def _frames(stretch: Stretch) -> Generator[Frame, None, None]:
    """The frames of the stretch; one, if it is shorter than that."""
    if stretch.record is not None:
        check_unchanged(stretch.record)
    if not stretch.path.is_file():
        raise SourceError(
            f"{printable(stretch.path)} is gone, so nothing can be cut out of it; put it back where it was indexed"
        )
    source = open_source(stretch.path, start_seconds=stretch.start_seconds or None)
    with closing(source.read(_Even())) as reading:
        for number, frame in enumerate(reading):
            if number and frame.seconds >= stretch.end_seconds:
                return
            yield frame


def _write(frames: Iterator[Frame], path: Path) -> None:
    first = next(frames, None)
    if first is None:
        raise SourceError(f"there is no frame to put into {printable(path.name)}; give an earlier start")
    with VideoWriter(path, size=(first.pixels.shape[1], first.pixels.shape[0])) as writer:
        writer.write(first.pixels, seconds=0.0)
        shown = 0.0
        for frame in frames:
            shown = max(frame.seconds - first.seconds, shown + _LEAST_SECONDS)
            writer.write(frame.pixels, seconds=shown)


def _name(rank: int, stretch: Stretch) -> str:
    return f"{rank:02d}-{safe_name(stretch.path.stem)}-{stretch.start_seconds:.2f}s.mp4"
