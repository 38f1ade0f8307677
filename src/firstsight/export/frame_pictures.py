"""Frames of a library as picture files."""

from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from firstsight.errors import RunError, SourceError
from firstsight.files import make_folder, safe_name, write_whole
from firstsight.retrieval.searching.query import WholePicture
from firstsight.retrieval.store.library import Library
from firstsight.video.frame_at import frame_at

_QUALITY = 90


def write_pictures(
    library: Library,
    frames: Sequence[tuple[str, int, float]],
    folder: Path,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Path]:
    """Each frame as a JPEG, named after its rank, its source and its time.

    At full size from its file; where that is gone or cannot be read, the library's thumbnail.

    Args:
        library: that holds the frames.
        frames: source, frame index and seconds of each.
        folder: made if it is not there. A file of the same name is replaced.
        progress: is told how many are written.

    Returns:
        The files, in the order of the frames.

    Raises:
        RunError: the folder cannot be written to.
    """
    make_folder(folder, purpose="the pictures")
    records = {record.name: record for record in library.sources}
    written = []
    for rank, (source, index, seconds) in enumerate(frames, start=1):
        path = folder / f"{rank:0{len(str(len(frames)))}}-{safe_name(Path(source).stem)}-{seconds:.2f}s.jpg"
        try:
            _write_from(records[source].path, seconds, path)
        except SourceError:
            write_whole(path, library.thumbnails([(source, index)])[0])
        written.append(path)
        progress(len(written))
    return written


def _write_from(file: Path, seconds: float, path: Path) -> None:
    """The frame at that time, or the picture."""
    pixels = frame_at(file, seconds, views=(WholePicture(),)).pixels
    try:
        Image.fromarray(pixels).save(path, "jpeg", quality=_QUALITY)
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror or error}; choose another folder") from error
