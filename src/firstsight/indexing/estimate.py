"""The estimate before indexing and the result after it."""

import math
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from firstsight.errors import LibraryError, SourceError
from firstsight.footage.container import open_video
from firstsight.footage.sampling import Sampling
from firstsight.library.records import SourceRecord
from firstsight.library.source_files import FootageFile, stamp_of
from firstsight.object_store import ObjectPath
from firstsight.text import printable

# A thumbnail of 160 pixels as JPEG, with what else a row holds: source, frame and time. Measured on walks and traffic.
_BYTES_BESIDE_VECTOR = 4_500
_BYTES_A_NUMBER = 2
# An encoder, and the files of empty tables.
_BYTES_OF_LIBRARY = 6_000_000
# A plausible duration and the number of frames at the stated rate differ by at most this factor.
_MAX_DISAGREEMENT = 10
UNLIMITED = sys.maxsize  # bytes, where nothing tells how many are left


@dataclass(frozen=True)
class Estimate:
    """Frames and disk space that indexing takes, from what the containers state and is plausible."""

    num_sources: int  # to be indexed
    num_frames: int  # to be embedded, about: what turns out to be a copy is not
    num_unknown: int  # sources with no stated duration, or an implausible one
    implausible: tuple[str, ...]  # names of the latter
    largest: str  # the source with the most frames
    largest_bytes: int  # on disk, of its frames
    num_bytes: int  # on disk
    free_bytes: int  # or `UNLIMITED`

    def check(self) -> None:
        """Checks that the frames fit on the disk, without the largest source, whose stated duration may be wrong.

        Raises:
            LibraryError: the disk has less room.
        """
        if self.num_bytes - self.largest_bytes > self.free_bytes:
            raise LibraryError(
                f"about {self.num_frames} frames will take about {megabytes(self.num_bytes)}, and the disk has "
                f"{megabytes(self.free_bytes)} left: use fewer frames a second (--fps), or another disk"
            )

    def news(self, num_sources: int) -> list[str]:
        """For people: the work to be done for so many sources, and doubts about it."""
        if not self.num_sources:
            return self.doubts
        unknown = f" and those of {self.num_unknown} of unknown length" if self.num_unknown else ""
        work = (
            f"{self.num_sources} of {num_sources} sources are new or changed: about {self.num_frames} frames{unknown}"
        )
        room = "" if self.free_bytes == UNLIMITED else f" on disk of {megabytes(self.free_bytes)} free"
        return [f"{work}, {megabytes(self.num_bytes)}{room}", *self.doubts]

    @property
    def doubts(self) -> list[str]:
        """A line for each file whose duration is implausible, or that would fill the disk."""
        lines = [
            f"{printable(name)} states more frames than it can hold; reading it gives the number"
            for name in self.implausible
        ]
        if self.num_bytes > self.free_bytes:
            lines.append(
                f"{printable(self.largest)} alone will take about {megabytes(self.largest_bytes)} if it is as long as "
                f"it states, and the disk has {megabytes(self.free_bytes)} left; what fits is kept"
            )
        return lines


def estimate(
    folder: Path,
    files: Sequence[FootageFile],
    sampling: Sampling | None,
    *,
    usual: Sampling,
    records: Iterable[SourceRecord],
    dim: int,
    layout_bytes: int = 0,
) -> Estimate:
    """The estimate for adding those files to a library.

    Args:
        folder: of the library, which need not exist yet.
        files: from `find_footage`.
        sampling: of videos; by default each keeps that of its record.
        usual: sampling of new videos.
        records: sources of the library, with those that failed.
        dim: numbers in a vector.
        layout_bytes: stored of each frame for the encoder's second stage.
    """
    held = {record.path: record for record in records}
    new = [file for file in files if not _is_known(file, held.get(file.path), sampling)]
    counts = [(_num_frames(file, _sampling_of(file, held.get(file.path), sampling, usual)), file.name) for file in new]
    frames = [(math.ceil(count), name) for count, name in counts if count is not None and math.isfinite(count)]
    num_frames = sum(count for count, _ in frames)
    bytes_a_frame = _BYTES_BESIDE_VECTOR + _BYTES_A_NUMBER * dim + layout_bytes
    most, largest = max(frames, default=(0, ""))
    return Estimate(
        num_sources=len(new),
        num_frames=num_frames,
        num_unknown=len(new) - len(frames),
        implausible=tuple(name for count, name in counts if count == math.inf),
        largest=largest,
        largest_bytes=most * bytes_a_frame,
        num_bytes=_BYTES_OF_LIBRARY + num_frames * bytes_a_frame,
        free_bytes=_free_bytes(folder),
    )


def megabytes(num_bytes: int) -> str:
    """For people: "14 MB", "3.2 GB"."""
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.0f} MB"


def _is_known(file: FootageFile, known: SourceRecord | None, sampling: Sampling | None) -> bool:
    """Whether the library has the file as it is now."""
    if known is None or known.stamp != stamp_of(file.path) or known.status == "partial":
        return False
    return known.status == "failed" or file.is_picture or sampling in (None, known.sampling)


def _sampling_of(file: FootageFile, known: SourceRecord | None, sampling: Sampling | None, usual: Sampling) -> Sampling:
    if file.is_picture:
        return Sampling()
    return sampling or (known.sampling if known and not known.is_picture else usual)


def _num_frames(file: FootageFile, sampling: Sampling) -> float | None:
    """None if not stated, infinity if implausible, 0 for a file that cannot be read."""
    if file.is_picture:
        return 1
    if isinstance(file.path, ObjectPath):
        return None  # to count them it would have to be copied here
    try:
        with open_video(file.path, name=file.name) as video:
            start, end = video.start_seconds, video.end_seconds
            rate, count = video.frames_per_second, video.num_frames()
        if count is None or not rate or sampling.keyframes:
            return None
        is_plausible = end is None or count / rate <= _MAX_DISAGREEMENT * max(end - start, 1)
        return sampling.num_frames(start, rate, count) if is_plausible else math.inf
    except SourceError:
        return 0
    except Exception:  # a decoder may raise anything; indexing reports it
        return None


def _free_bytes(folder: Path) -> int:
    """On the disk of the folder, or of the nearest parent that exists; an object store is never full."""
    if isinstance(folder, ObjectPath):
        return UNLIMITED
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(existing).free


@dataclass(frozen=True)
class Indexed:
    """The result of indexing, as names of sources, and what the library holds afterwards."""

    library: str = ""  # its folder
    num_sources: int = 0  # in the library
    frames_held: int = 0  # in the library
    added: list[str] = field(default_factory=list)  # embedded for the first time
    changed: list[str] = field(default_factory=list)  # re-embedded: other content, or sampled otherwise
    copied: list[str] = field(default_factory=list)  # of the same content as another: its rows were copied
    moved: list[str] = field(default_factory=list)  # the same file under another path
    unchanged: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)  # a line for each source that cannot be read
    failed_before: list[str] = field(default_factory=list)  # the same, unchanged and so not tried again
    own_rate: list[str] = field(default_factory=list)  # unchanged, with a rate other than the library's
    lost: dict[str, int] = field(default_factory=dict)  # frames that could not be decoded, by source
    num_frames: int = 0  # embedded
    seconds: float = 0.0

    @property
    def num_readable(self) -> int:
        """Sources that are in the library now."""
        return sum(map(len, (self.added, self.changed, self.copied, self.moved, self.unchanged)))

    @property
    def num_skipped(self) -> int:
        """Frames that could not be decoded."""
        return sum(self.lost.values())

    def summary(self) -> str:
        """For people, in a line."""
        kinds = {
            "new": self.added,
            "changed": self.changed,
            "copies of others": self.copied,
            "moved": self.moved,
            "there already": self.unchanged,
            "not readable": self.failures,
            "not readable as before": self.failed_before,
        }
        parts = ", ".join(f"{len(names)} {kind}" for kind, names in kinds.items() if names)
        lost = f", {self.num_skipped} frames lost: they could not be decoded" if self.num_skipped else ""
        return f"embedded {self.num_frames} frames in {self.seconds:.1f} s; sources: {parts}{lost}"

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {**asdict(self), "num_skipped": self.num_skipped}
