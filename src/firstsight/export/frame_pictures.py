"""Frames of a library as picture files."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from firstsight.errors import PixelsError, SourceError
from firstsight.files import make_folder, safe_name, write_whole
from firstsight.retrieval.store.files import check_unchanged
from firstsight.retrieval.store.library import Library
from firstsight.retrieval.store.records import SourceRecord
from firstsight.video.frame_at import frame_at
from firstsight.video.frames import PixelByPixel

_QUALITY = 90


def write_pictures(
    library: Library,
    frames: Sequence[tuple[str, int, float]],
    folder: Path,
    *,
    progress: Callable[[int], None] = lambda _num_done: None,
    noted: Callable[[str], None] = lambda _reason: None,
) -> list[Path]:
    """Each frame as a JPEG, named after its rank, its source and its time.

    At full size from its file; where that is gone, has changed since it was indexed or cannot be read, the library's
    thumbnail.

    Args:
        library: that holds the frames.
        frames: source, frame index and seconds of each.
        folder: made if it is not there. A file of the same name is replaced.
        progress: is told how many are written.
        noted: is told a line for each source whose frames are thumbnails: why.

    Returns:
        The files, in the order of the frames.

    Raises:
        RunError: the folder cannot be written to.
    """
    make_folder(folder, purpose="the pictures")
    records = {record.name: record for record in library.sources}
    written: list[Path] = []
    reasons: dict[str, str] = {}  # by source
    for rank, (source, index, seconds) in enumerate(frames, start=1):
        path = folder / f"{rank:0{len(str(len(frames)))}}-{safe_name(Path(source).stem)}-{seconds:.2f}s.jpg"
        try:
            jpeg = _full_size(records[source], seconds)
        except (SourceError, PixelsError) as error:
            reasons.setdefault(source, f"{error}; its thumbnails are used")
            jpeg = library.thumbnails([(source, index)])[0]
        write_whole(path, jpeg)
        written.append(path)
        progress(len(written))
    for reason in reasons.values():
        noted(reason)
    return written


def _full_size(record: SourceRecord, seconds: float) -> bytes:
    """The frame of its file at that time, or the picture, as JPEG."""
    check_unchanged(record)
    pixels = frame_at(record.path, seconds, views=(PixelByPixel(),)).pixels
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "jpeg", quality=_QUALITY)
    return content.getvalue()
