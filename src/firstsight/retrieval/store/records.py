"""What a library knows of a source besides its frames."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from firstsight.video.sampling import Sampling

Status = Literal["partial", "whole", "failed"]


@dataclass(frozen=True)
class Stamp:
    """What tells whether a file has changed without reading it."""

    num_bytes: int
    modified_ns: int  # nanoseconds since 1970


@dataclass(frozen=True)
class SourceRecord:
    """A video or picture file of a library."""

    id: int  # what its rows carry; never used again for another
    name: str  # unique in the library: what results, filters and people call it
    path: Path  # absolute; where it was when it was last looked at
    content: str  # hash of its bytes
    num_bytes: int
    modified_ns: int
    frames_per_second: float | None  # how it was sampled; pictures are not
    every: int | None
    num_frames: int = 0  # rows in the library
    duration_seconds: float = 0.0  # of a picture 0
    num_skipped: int = 0  # frames that could not be decoded
    status: Status = "partial"  # rows of a partial one are not shown to anyone; a failed one has none
    is_picture: bool = False  # a still; a video of a single frame is none
    reason: str = ""  # why it failed, in one line

    @property
    def stamp(self) -> Stamp:
        """Of its file, when it was last looked at."""
        return Stamp(self.num_bytes, self.modified_ns)

    def at(self, path: Path, stamp: Stamp) -> "SourceRecord":
        """The same source, its file now there and then."""
        return replace(self, path=path, num_bytes=stamp.num_bytes, modified_ns=stamp.modified_ns)

    @property
    def sampling(self) -> Sampling:
        """Which of its frames are in the library."""
        return Sampling(frames_per_second=self.frames_per_second, every=self.every)


@dataclass(frozen=True)
class Stored:
    """How far the rows of a source go."""

    num_frames: int
    frame_index: int  # of the last
    seconds: float  # of the last


def shown(records: Iterable[SourceRecord]) -> list[SourceRecord]:
    """The whole ones, in order of their names. Of two for one file the later counts: the other is about to go."""
    return sorted(latest(records, "whole").values(), key=lambda record: record.name)


def latest(records: Iterable[SourceRecord], status: Status) -> dict[Path, SourceRecord]:
    """Those of that status by their paths, the latest where there are several."""
    ordered = sorted((record for record in records if record.status == status), key=lambda record: record.id)
    return {record.path: record for record in ordered}


def rate_in_words(sampling: Sampling) -> str:
    """For people: "2 frames a second", "one frame in 10"."""
    if sampling.frames_per_second is not None:
        return f"{sampling.frames_per_second:g} frames a second"
    return "all frames" if sampling.every in (None, 1) else f"one frame in {sampling.every}"
