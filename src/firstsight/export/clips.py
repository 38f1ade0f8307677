"""Moments cut out of their videos, each a file of its own."""

import io
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from firstsight.errors import PixelsError, RunError, SettingsError, SourceError
from firstsight.files import make_folder, safe_name, unfinished, write_atomically
from firstsight.footage.encoding import VideoWriter
from firstsight.footage.frame_at import nearest_frame
from firstsight.footage.frames import Frame, PixelByPixel
from firstsight.footage.source import Source, open_source
from firstsight.footage.videos import VideoFile, VideoFiles
from firstsight.library.records import SourceRecord
from firstsight.library.source_files import check_unchanged
from firstsight.library.store import Store
from firstsight.pixels import Crop
from firstsight.progress import Progress, Report, silent
from firstsight.searching.moments import Moment
from firstsight.text import printable

if TYPE_CHECKING:
    from firstsight.monitoring.novelty import NovelEpisode, NoveltyScores, ViewChange

_QUALITY = 90


def write_pictures(
    library: Store,
    frames: Sequence[tuple[str, int, float]],
    folder: Path,
    *,
    progress: Report = silent,
) -> list[Path]:
    """Each frame as a JPEG, named after its rank, its source and its time.

    At full size from its file; where that is gone, has changed since it was indexed or cannot be read, the library's
    thumbnail.

    Args:
        library: that holds the frames.
        frames: source, frame index and seconds of each.
        folder: made if it is not there. A file of the same name is replaced.
        progress: called after each; its news report which sources gave thumbnails, and why.

    Returns:
        The files, in the order of the frames.

    Raises:
        RunError: the folder cannot be written to.
        LibraryError: a source, or a frame, is not in the library any more.
    """
    records = {name: library.source(name) for name in {name for name, _, _ in frames}}
    make_folder(folder, purpose="the pictures")
    written: list[Path] = []
    without: set[str] = set()  # sources whose files cannot be used
    for rank, (source, index, seconds) in enumerate(frames, start=1):
        news: tuple[str, ...] = ()
        path = folder / f"{_ranked(rank, num=len(frames))}-{safe_name(Path(source).stem)}-{seconds:.2f}s.jpg"
        try:
            jpeg = _full_size(records[source], seconds)
        except (SourceError, PixelsError) as error:
            news = () if source in without else (f"{error}; its thumbnails are used",)
            without.add(source)
            jpeg = library.thumbnails([(source, index)])[0]
        write_atomically(path, jpeg)
        written.append(path)
        progress(Progress("writing", rank, len(frames), news=news))
    return written


def _full_size(record: SourceRecord, seconds: float) -> bytes:
    """The frame of its file at that time, or the picture, as JPEG."""
    check_unchanged(record)
    pixels = nearest_frame(record.path, seconds, views=(PixelByPixel(),)).pixels
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "jpeg", quality=_QUALITY)
    return content.getvalue()


# Damaged files have frames at the time of the one before; in a clip each frame is shown at least so long.
_MIN_SECONDS = 0.001


@dataclass(frozen=True)
class Stretch:
    """A part of a video file."""

    path: Path
    start_seconds: float  # the first frame is the nearest to it
    end_seconds: float  # the last is before it, unless the stretch would be empty
    record: SourceRecord | None = None  # the library's, whose file must not have changed


def write_clips(
    stretches: Sequence[Stretch],
    folder: Path,
    *,
    progress: Report = silent,
) -> list[Path]:
    """Each stretch as an H.264 file without sound, named after its rank, its video and its beginning.

    The pictures are re-encoded: a file could only be copied from one keyframe on, and a clip should begin with the
    very frame that the moment begins with. Its time starts at 0 and runs as in the video.

    Args:
        stretches: of video files.
        folder: made if it is not there. A file of the same name is replaced.
        progress: called after each; its news report which are left out, as their video is gone, has changed or cannot
            be read there.

    Returns:
        The files that were written, in the order of the stretches.

    Raises:
        RunError: the folder cannot be written to.
    """
    make_folder(folder, purpose="the clips")
    written = []
    for rank, stretch in enumerate(stretches, start=1):
        path, news = folder / _name(rank, stretch, num=len(stretches)), tuple[str, ...]()
        try:
            cut(stretch, path)
        except (SourceError, PixelsError) as error:
            news = (str(error),)
        else:
            written.append(path)
        progress(Progress("cutting", rank, len(stretches), news=news))
    return written


def cut_moments(library: Store, moments: Sequence[Moment], folder: Path, *, progress: Report = silent) -> list[Path]:
    """The moments of a library's videos as files, as `write_clips` makes them; a picture cannot be cut.

    Raises:
        RunError: the folder cannot be written to.
        LibraryError: a source is not in the library any more; then nothing is written.
    """
    records = [library.source(moment.source) for moment in moments]
    stretches = [
        Stretch(record.path, moment.start_seconds, moment.end_seconds, record)
        for moment, record in zip(moments, records, strict=True)
        if not record.is_picture
    ]
    return write_clips(stretches, folder, progress=progress)


def files_to_cut(footage: Source) -> tuple[VideoFile, ...]:
    """The video files of the footage.

    Raises:
        SettingsError: it is not of video files.
    """
    if not isinstance(footage, VideoFiles):
        raise SettingsError("clips can be cut out of video files alone; leave --clips out, or give video files")
    return footage.files


# Around an event, so that it can be seen how it comes about.
_AROUND_SECONDS = 1.0


def cut_events(found: "NoveltyScores", footage: Source, folder: Path, *, progress: Report = silent) -> list[Path]:
    """What was new and what happened to the view as files, as `write_clips` makes them, with a second before and after.

    Args:
        found: what `detect_novelty` found.
        footage: in which: an opened source of videos.
        folder: as for `write_clips`.
        progress: likewise.

    Raises:
        SettingsError: the footage is not of video files.
        RunError: the folder cannot be written to.
    """
    paths = {file.name: file.path for file in reversed(files_to_cut(footage))}
    every: list[NovelEpisode | ViewChange] = [*found.episodes, *found.view_changes]
    events = sorted(
        (paths[one.source], one.start_seconds, one.start_seconds if one.end_seconds is None else one.end_seconds)
        for one in every
    )
    stretches = [Stretch(path, max(0.0, start - _AROUND_SECONDS), end + _AROUND_SECONDS) for path, start, end in events]
    return write_clips(stretches, folder, progress=progress)


def cut(stretch: Stretch, out: Path) -> None:
    """One stretch as a file of its own, written atomically.

    Raises:
        RunError: it cannot be written.
        SourceError: the video is gone, has changed since it was indexed, or cannot be read there.
    """
    part = unfinished(out)
    try:
        with closing(_frames(stretch)) as frames:
            _write(frames, part, name=printable(out))
        part.replace(out)
    except OSError as error:
        raise RunError(f"{printable(out)} cannot be written: {error.strerror}; choose another folder") from error
    finally:
        part.unlink(missing_ok=True)


@dataclass(frozen=True)
class _EvenSides:
    """A view of the picture pixel by pixel, without a last odd row or column, as H.264 requires even sides."""

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
    start = nearest_frame(stretch.path, stretch.start_seconds, views=()).seconds
    source = open_source(stretch.path, start_seconds=start if start > 0 else None)
    with closing(source.read(_EvenSides())) as reading:
        for number, frame in enumerate(frame for frame in reading if frame.seconds >= start):
            if number and frame.seconds >= stretch.end_seconds:
                return
            yield frame


def _write(frames: Iterator[Frame], path: Path, *, name: str) -> None:
    first = next(frames, None)
    if first is None:
        raise SourceError(f"there is no frame to put into {name}; give an earlier start")
    with VideoWriter(path, size=(first.pixels.shape[1], first.pixels.shape[0]), name=name) as writer:
        writer.write(first.pixels, seconds=0.0)
        shown = 0.0
        for frame in frames:
            shown = max(frame.seconds - first.seconds, shown + _MIN_SECONDS)
            writer.write(frame.pixels, seconds=shown)


def _name(rank: int, stretch: Stretch, *, num: int) -> str:
    return f"{_ranked(rank, num=num)}-{safe_name(stretch.path.stem)}-{stretch.start_seconds:.2f}s.mp4"


def _ranked(rank: int, *, num: int) -> str:
    """The rank as a name begins with it: sorted by name files are sorted by rank, those of other runs among them."""
    return f"{rank:0{max(3, len(str(num)))}d}"
