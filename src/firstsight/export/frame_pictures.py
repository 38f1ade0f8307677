"""Frames of a library as picture files."""

import io
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from PIL import Image

from firstsight.errors import PixelsError, SourceError
from firstsight.files import make_folder, safe_name, write_whole
from firstsight.retrieval.searching.query import WholePicture
from firstsight.retrieval.store.files import check_unchanged
from firstsight.retrieval.store.library import Library
from firstsight.retrieval.store.records import SourceRecord
from firstsight.video.source import open_source

# Times in a library are those of the file, up to rounding.
_LEAD_SECONDS = 0.001
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
        record = records[source]
        try:
            jpeg = _full_size(record, seconds)
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
    """The first frame of its file from that time on, or the picture, as JPEG."""
    check_unchanged(record)
    start = max(0.0, seconds - _LEAD_SECONDS) if record.duration_seconds > 0 else None
    with closing(open_source(record.path, start_seconds=start or None).read(WholePicture())) as reading:
        pixels = next(reading).pixels
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "jpeg", quality=_QUALITY)
    return content.getvalue()
