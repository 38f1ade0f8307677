"""The scenes of videos, between cuts and gradual changes, to the frame."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from firstsight.encoder.encoder import Encoder, check_encoder
from firstsight.errors import SourceError
from firstsight.footage.frames import Frame
from firstsight.footage.image_folders import ImageFiles
from firstsight.footage.queues import prefetch
from firstsight.footage.source import Spec, open_source
from firstsight.footage.videos import decoded_by_all_threads
from firstsight.progress import Progress, Report, silent
from firstsight.scene_detection.cell_maps import FIT_FRAMES, EncoderMaps, FilmLevel
from firstsight.scene_detection.changes import Change, Descriptors, Kind, SmallPicture, find_changes
from firstsight.text import printable

_BATCH_SIZE = 64
_MIN_STEP_SECONDS = 1e-6  # the resolution of containers


@dataclass(frozen=True)
class Scene:
    """A part of a video between two changes. Frames of a gradual change belong to the scene that they lead to."""

    source: str  # name of the file
    number: int  # in its video, from 1
    begins: Kind | None  # the change that it begins with; None for the first
    first_frame: int  # position in its video
    last_frame: int
    pure_frame: int  # the first that shows nothing of the scene before; of a cut the first of all
    start_seconds: float
    end_seconds: float  # of its last frame
    strength: float  # of the change that it begins with, about 0 to 1; 0 for the first

    @property
    def num_frames(self) -> int:
        """From its first frame to its last."""
        return self.last_frame - self.first_frame + 1

    def to_json(self) -> dict[str, Any]:
        """All of it; its number as `scene`."""
        return {"source": self.source, "scene": self.number, **{name: getattr(self, name) for name in _IN_JSON}}


# Of a scene, in the order of its fields.
_IN_JSON = ("begins", "first_frame", "last_frame", "pure_frame", "start_seconds", "end_seconds", "strength")
_COLUMNS = {  # of a table, in the order of reading
    "source": pa.string(),
    "scene": pa.int64(),
    "begins": pa.string(),
    "start_seconds": pa.float64(),
    "end_seconds": pa.float64(),
    "first_frame": pa.int64(),
    "pure_frame": pa.int64(),
    "last_frame": pa.int64(),
    "strength": pa.float64(),
}


@dataclass(frozen=True)
class Scenes(Sequence[Scene]):
    """The scenes of every video of a source, by video, in order of time."""

    scenes: tuple[Scene, ...]

    @overload
    def __getitem__(self, index: int) -> Scene: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Scene]: ...
    def __getitem__(self, index: int | slice) -> Scene | Sequence[Scene]:
        return self.scenes[index]

    def __len__(self) -> int:
        return len(self.scenes)

    def to_json(self) -> dict[str, Any]:
        """All scenes."""
        return {"scenes": [scene.to_json() for scene in self.scenes]}

    def to_arrow(self) -> pa.Table:
        """A row a scene."""
        rows = [{**scene.to_json(), "source": printable(scene.source)} for scene in self.scenes]
        return pa.Table.from_pylist(rows, schema=pa.schema(_COLUMNS))


def detect_scenes(
    source: Spec,
    *,
    encoder: Encoder | None = None,
    progress: Report = silent,
    finished: Callable[[Sequence[Scene]], None] = lambda _: None,
) -> Scenes:
    """The scenes of every video of the source, between cuts and gradual changes, to the frame.

    Each video is analysed on its own. Use every frame of it: changes are found between consecutive frames. They are
    compared by small pictures, and by the maps of one level that is fitted to these: about as fast as decoding.

    Args:
        source: a video or several. Memory: 1.8 kB for each frame of the longest video, with an encoder 24 bytes a map
            more, and up to 200 MB, however many videos there are.
        encoder: whose last level compares the frames instead; each frame takes as long as embedding it.
        progress: called now and then.
        finished: called with the scenes of each video at its end.

    Raises:
        SourceError: no footage, none of it can be read, or it is pictures.

    Example:
        >>> for scene in detect_scenes("film.mp4"):  # doctest: +SKIP
        ...     print(scene.number, scene.start_seconds, scene.begins)
    """
    if encoder is not None:
        check_encoder(encoder)
    footage = decoded_by_all_threads(open_source(source))
    if isinstance(footage, ImageFiles):
        raise SourceError(f"{printable(footage.name)}: scenes are of videos, and these are pictures; give a video")
    total = footage.num_frames()
    scenes: list[Scene] = []
    video = _Video(encoder)
    num_frames = 0
    views = (SmallPicture(),) if encoder is None else (encoder.view, SmallPicture())
    with closing(footage.read(*views)) as reading, prefetch(reading, depth=2 * _BATCH_SIZE) as frames:
        for batch in _batches(frames):
            if video.last and _is_next_video(batch[0], video.last):
                finished(of_video := video.scenes())
                scenes += of_video
                video = _Video(encoder)
            video.add(batch)
            num_frames += len(batch)
            progress(Progress("comparing frames", num_frames, total))
    finished(of_video := video.scenes())
    return Scenes((*scenes, *of_video))


def _batches(frames: Iterator[Frame]) -> Iterator[list[Frame]]:
    """The frames in groups, each of one video."""
    batch: list[Frame] = []
    for frame in frames:
        if batch and (len(batch) == _BATCH_SIZE or _is_next_video(frame, batch[-1])):
            yield batch
            batch = []
        batch.append(frame)
    if batch:
        yield batch


def _is_next_video(frame: Frame, before: Frame) -> bool:
    return frame.source != before.source or frame.index <= before.index


class _Video:
    """The small pictures of the frames of one video, and the maps of an encoder."""

    def __init__(self, encoder: Encoder | None) -> None:
        self.last: Frame | None = None
        self._seconds, self._indices = array("d"), array("q")
        self._starts: list[int] = []  # of the batches
        self._pictures: list[NDArray[np.uint8]] = []  # of the batches
        self._maps = None if encoder is None else EncoderMaps(encoder)

    def add(self, batch: list[Frame]) -> None:
        """Adds some more frames."""
        if self._maps:
            self._maps.add(np.stack([frame.pixels for frame in batch]))
        self._starts.append(len(self._seconds))
        self._pictures.append(np.stack([frame.whole for frame in batch]))
        self._seconds.extend(frame.seconds for frame in batch)
        self._indices.extend(frame.index for frame in batch)
        self.last = replace(batch[-1], pictures=())

    def __len__(self) -> int:
        return len(self._seconds)

    @cached_property
    def _level(self) -> FilmLevel:
        """Fitted to evenly spaced frames of the complete video."""
        chosen = np.unique(np.linspace(0, len(self) - 1, FIT_FRAMES).round().astype(np.intp))
        batches = np.searchsorted(self._starts, chosen, "right") - 1
        return FilmLevel(
            np.stack(
                [self._pictures[batch][row - self._starts[batch]] for row, batch in zip(chosen, batches, strict=True)]
            )
        )

    def __getitem__(self, chosen: slice) -> Descriptors:
        """Descriptors of a range of the frames."""
        start, stop, _ = chosen.indices(len(self))
        first, end = bisect_right(self._starts, start) - 1, bisect_left(self._starts, stop)
        here = slice(start - self._starts[first], stop - self._starts[first])
        pictures = np.concatenate(self._pictures[first:end])[here]
        maps = self._maps.normalised(first, end)[here] if self._maps else self._level.cells_of(pictures)
        return Descriptors(pictures, maps)

    def scenes(self) -> tuple[Scene, ...]:
        """The scenes so far; none if there is no frame."""
        if self.last is None:
            return ()
        changes = find_changes(self, frames_per_second=_rate(self._seconds))
        end_seconds = self._seconds[-1] + self._last_duration(self.last.duration_seconds)
        return scenes_between(changes, self.last.source, self._seconds, self._indices, end_seconds=end_seconds)

    def _last_duration(self, stated: float | None) -> float:
        """Seconds until the end of the video: of its last frame or, where frames between were left out, of a step."""
        is_every_frame = len(self) < 2 or self._indices[-1] == self._indices[-2] + 1
        return stated if stated is not None and is_every_frame else 1 / _rate(self._seconds)


def scenes_between(
    changes: tuple[Change, ...], source: str, seconds: Sequence[float], indices: Sequence[int], *, end_seconds: float
) -> tuple[Scene, ...]:
    """The scenes of one video, given its changes, the times and indices of its frames, and when the last one ends."""
    firsts = [0, *(change.first for change in changes)]
    lasts = [*(change.first - 1 for change in changes), len(seconds) - 1]
    began: list[Change | None] = [None, *changes]
    return tuple(
        Scene(
            source=source,
            number=number,
            begins=change.kind if change else None,
            first_frame=indices[first],
            last_frame=indices[last],
            pure_frame=indices[min(change.last if change else first, last)],
            start_seconds=seconds[first],
            end_seconds=seconds[last + 1] if last + 1 < len(seconds) else end_seconds,
            strength=change.strength if change else 0.0,
        )
        for number, (first, last, change) in enumerate(zip(firsts, lasts, began, strict=True), start=1)
    )


def _rate(seconds: Sequence[float]) -> float:
    """Frames a second, by the median time between two; 1 for a single frame, and if times do not rise."""
    usual = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 1.0
    return 1 / max(usual, _MIN_STEP_SECONDS) if usual > 0 else 1.0
