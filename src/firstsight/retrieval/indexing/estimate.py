"""How much there is to do, and how much disk it will take: told before work begins."""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from firstsight.errors import LibraryError, SourceError
from firstsight.retrieval.store.files import FootageFile, stamp_of
from firstsight.retrieval.store.records import SourceRecord
from firstsight.video.sampling import Sampling
from firstsight.video.videos import VideoFile

# A thumbnail of 160 pixels as JPEG, with what else a row holds: source, frame and time. Measured on walks and traffic.
_BYTES_BESIDE_VECTOR = 4_500
_BYTES_A_NUMBER = 2
# An encoder, and the files of empty tables.
_BYTES_OF_LIBRARY = 6_000_000


@dataclass(frozen=True)
class Estimate:
    """What indexing will come to, going by what the containers state."""

    num_sources: int  # to be looked at anew
    num_frames: int  # to be embedded, at most: what turns out to be a copy is not
    num_unknown: int  # of the sources, those that do not state how long they are
    num_bytes: int  # on disk
    free_bytes: int

    def check(self) -> None:
        """Refuses to begin what will not fit.

        Raises:
            LibraryError: the disk has less room.
        """
        if self.num_bytes > self.free_bytes:
            raise LibraryError(
                f"{self.num_frames} frames will take about {megabytes(self.num_bytes)}, and the disk has "
                f"{megabytes(self.free_bytes)} left: use fewer frames a second (--fps), or another disk"
            )


def estimate(
    folder: Path, files: Sequence[FootageFile], sampling: Sampling, *, records: Iterable[SourceRecord], dim: int
) -> Estimate:
    """What bringing those files into a library will come to.

    Args:
        folder: of the library, which need not exist yet.
        files: what `find_footage` found.
        sampling: of videos.
        records: what the library holds already.
        dim: numbers in a vector.
    """
    held = {(record.path, record.stamp, record.sampling) for record in records}
    new = [file for file in files if (file.path, stamp_of(file.path), _sampling_of(file, sampling)) not in held]
    counts = [_num_frames(file, sampling) for file in new]
    num_frames = sum(count or 0 for count in counts)
    return Estimate(
        num_sources=len(new),
        num_frames=num_frames,
        num_unknown=counts.count(None),
        num_bytes=_BYTES_OF_LIBRARY + num_frames * (_BYTES_BESIDE_VECTOR + _BYTES_A_NUMBER * dim),
        free_bytes=shutil.disk_usage(_existing(folder)).free,
    )


def megabytes(num_bytes: int) -> str:
    """For people: "14 MB", "3.2 GB"."""
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.0f} MB"


def _sampling_of(file: FootageFile, sampling: Sampling) -> Sampling:
    return Sampling() if file.is_picture else sampling


def _num_frames(file: FootageFile, sampling: Sampling) -> int | None:
    """Of a file that cannot be read 0: indexing will tell."""
    if file.is_picture:
        return 1
    try:
        return VideoFile(file.path, file.name, sampling).num_frames()
    except SourceError:
        return 0


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that there is."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
