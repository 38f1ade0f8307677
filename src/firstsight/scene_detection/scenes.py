"""The scenes of videos: stretches between cuts and gradual changes, to the frame."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from firstsight import device
from firstsight.encoder.encoder import Encoder
from firstsight.footage.frames import Frame
from firstsight.footage.queues import prefetch
from firstsight.footage.source import Spec, open_source
from firstsight.process import Precision
from firstsight.scene_detection.changes import NUM_COLUMNS, NUM_ROWS, Change, Kind, Looks, SmallPicture, find_changes

_BATCH_SIZE = 64
# Clocks of containers have steps of microseconds; less is none.
_LEAST_STEP_SECONDS = 1e-6


@dataclass(frozen=True)
class Scene:
    """A stretch of one video that shows one thing. Frames of a gradual change belong to the scene that they lead to."""

    source: str  # the file, as a person would name it
    number: int  # in its video, from 1
    begins: Kind | None  # how it took over from the one before; None: it is the first
    first_frame: int  # position in its video
    last_frame: int
    pure_frame: int  # the first that shows nothing of the scene before; of a cut the first of all
    start_seconds: float
    end_seconds: float  # when the last frame gives way to the next
    strength: float  # of the change that it begins with, about 0 to 1; 0 for the first

    @property
    def num_frames(self) -> int:
        """From its first frame to its last."""
        return self.last_frame - self.first_frame + 1


def find_scenes(
    encoder: Encoder, source: Spec, *, progress: Callable[[int], None] = lambda _num_frames: None
) -> tuple[Scene, ...]:
    """The scenes of every video of the source, by video, in order of time.

    Each video is looked at by itself: its scenes are the same alone and among others. Every frame has to be seen: of a
    source that leaves out frames, differences between those that are left count.

    Args:
        encoder: whose last level looks at the frames, best one that was learned from this footage.
        source: a video or several. Memory: 1.8 kB and 24 bytes a map for each frame of the longest video, and up to 200
            MB, however many videos there are.
        progress: told how many frames were seen so far.

    Raises:
        SourceError: no footage, or none of it can be read.

    Example:
        >>> for scene in find_scenes(firstsight.learn("film.mp4"), "film.mp4"):  # doctest: +SKIP
        ...     print(scene.number, scene.start_seconds, scene.begins)
    """
    scenes: list[Scene] = []
    video = _Video(encoder)
    num_frames = 0
    with (
        closing(open_source(source).read(encoder.view, SmallPicture())) as reading,
        prefetch(reading, depth=2 * _BATCH_SIZE) as frames,
    ):
        for batch in _batches(frames):
            if video.ends_before(batch[0]):
                scenes += video.scenes()
                video = _Video(encoder)
            video.add(batch)
            num_frames += len(batch)
            progress(num_frames)
    return (*scenes, *video.scenes())


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
    """What is remembered of the frames of one video, and the mean and mean square of each map over all of them."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._precision: Precision = "bfloat16" if device.has_fast_bfloat16() else "float32"
        self._last: Frame | None = None
        self._seconds, self._indices = array("d"), array("q")
        self._starts: list[int] = []  # of the batches
        self._pictures: list[NDArray[np.uint8]] = []  # a batch each, as are
        self._maps: list[NDArray[np.float16]] = []
        self._moments: NDArray[np.float64] = np.zeros(())  # sums over the frames: (2, maps)

    def ends_before(self, frame: Frame) -> bool:
        """Whether that frame belongs to the next video."""
        return self._last is not None and _is_next_video(frame, self._last)

    def add(self, batch: list[Frame]) -> None:
        """Looks at some more frames."""
        features = self._encoder.features(np.stack([frame.pixels for frame in batch]), precision=self._precision)
        values = torch.from_numpy(features)
        cells = torch.nn.functional.adaptive_avg_pool2d(values, (NUM_ROWS, NUM_COLUMNS))
        self._maps.append(cells.flatten(2).transpose(1, 2).numpy().astype(np.float16))
        moments = np.stack([values.mean(dim=(0, 2, 3)), values.square().mean(dim=(0, 2, 3))]) * len(batch)
        self._moments = self._moments + moments
        self._starts.append(len(self._seconds))
        self._pictures.append(np.stack([frame.pictures[1] for frame in batch]))
        self._seconds.extend(frame.seconds for frame in batch)
        self._indices.extend(frame.index for frame in batch)
        self._last = replace(batch[-1], pictures=())

    def __len__(self) -> int:
        return len(self._seconds)

    def __getitem__(self, chosen: slice) -> Looks:
        """What is compared of a stretch of the frames: maps with mean 0 and variance 1 over the whole video."""
        start, stop, _ = chosen.indices(len(self))
        first, end = bisect_right(self._starts, start) - 1, bisect_left(self._starts, stop)
        mean, square = self._moments / len(self)
        deviation = np.sqrt(np.maximum(square - mean**2, 1e-6))
        maps = [((batch - mean) / deviation).astype(np.float16) for batch in self._maps[first:end]]
        here = slice(start - self._starts[first], stop - self._starts[first])
        return Looks(np.concatenate(self._pictures[first:end])[here], np.concatenate(maps)[here])

    def scenes(self) -> tuple[Scene, ...]:
        """The scenes so far; none of no frame."""
        if self._last is None:
            return ()
        changes = find_changes(self, frames_per_second=_rate(self._seconds))
        return scenes_between(changes, self._last.source, self._seconds, self._indices)


def scenes_between(
    changes: tuple[Change, ...], source: str, seconds: Sequence[float], indices: Sequence[int]
) -> tuple[Scene, ...]:
    """The scenes of one video with those changes, given as positions among its frames, which have those times."""
    end_seconds = seconds[-1] + 1 / _rate(seconds)
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
    """Frames a second, by the median time between two; 1 for a single frame, and where times do not rise."""
    usual = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 1.0
    return 1 / max(usual, _LEAST_STEP_SECONDS) if usual > 0 else 1.0
