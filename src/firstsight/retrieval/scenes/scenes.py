"""The scenes of videos: stretches between cuts and gradual changes, to the frame."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from firstsight import device
from firstsight.model.encoder import Encoder
from firstsight.retrieval.scenes.changes import Change, Kind, find_changes
from firstsight.retrieval.scenes.distances import NUM_COLUMNS, NUM_ROWS, Looks, SmallPicture
from firstsight.video.frames import Frame
from firstsight.video.prefetch import prefetch
from firstsight.video.source import Spec, open_source

_BATCH_SIZE = 64


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

    Every frame has to be seen: of a source that leaves out frames, differences between those that are left count.

    Args:
        encoder: whose last level looks at the frames, best one that was learned from this footage.
        source: a video or several. Memory: 4 to 5 kB a frame.
        progress: told how many frames were seen so far.

    Raises:
        SourceError: no footage, or none of it can be read.

    Example:
        >>> for scene in find_scenes(firstsight.learn("film.mp4"), "film.mp4"):  # doctest: +SKIP
        ...     print(scene.number, scene.start_seconds, scene.begins)
    """
    seen = _Seen(encoder)
    num_frames = 0
    with (
        closing(open_source(source).read(encoder.preprocessing, SmallPicture())) as reading,
        prefetch(reading, depth=2 * _BATCH_SIZE) as frames,
    ):
        while batch := list(islice(frames, _BATCH_SIZE)):
            seen.add(batch)
            num_frames += len(batch)
            progress(num_frames)
    return tuple(scene for scenes in seen.videos() for scene in scenes)


class _Seen:
    """What is remembered of the frames, and the mean and variance of each map over all of them."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._precision: device.Precision = "bfloat16" if device.has_fast_bfloat16() else "float32"
        self._frames: list[Frame] = []  # without pictures
        self._pictures: list[NDArray[np.uint8]] = []
        self._maps: list[NDArray[np.float16]] = []
        self._moments: list[NDArray[np.float64]] = []  # mean and mean square of each map, a batch each

    def add(self, batch: list[Frame]) -> None:
        """Looks at some more frames."""
        features = self._encoder.features(np.stack([frame.pixels for frame in batch]), precision=self._precision)
        values = torch.from_numpy(features)
        cells = torch.nn.functional.adaptive_avg_pool2d(values, (NUM_ROWS, NUM_COLUMNS))
        self._maps.append(cells.flatten(2).transpose(1, 2).numpy().astype(np.float16))
        self._moments.append(np.stack([values.mean(dim=(0, 2, 3)), values.square().mean(dim=(0, 2, 3))]) * len(batch))
        self._pictures += [frame.pictures[1] for frame in batch]
        self._frames += [Frame((), frame.seconds, frame.index, frame.source, frame.size) for frame in batch]

    def videos(self) -> Iterator[tuple[Scene, ...]]:
        """The scenes of each video."""
        mean, square = np.sum(self._moments, axis=0) / len(self._frames)
        deviation = np.sqrt(np.maximum(square - mean**2, 1e-6))
        maps = np.concatenate([((batch - mean) / deviation).astype(np.float16) for batch in self._maps])
        looks = Looks(np.stack(self._pictures), maps)
        names = [frame.source for frame in self._frames]
        starts = [row for row, name in enumerate(names) if row == 0 or name != names[row - 1]]
        for start, end in zip(starts, [*starts[1:], len(names)], strict=True):
            frames = self._frames[start:end]
            changes = find_changes(looks[start:end], frames_per_second=_rate(frames))
            yield scenes_between(changes, frames)


def scenes_between(changes: tuple[Change, ...], frames: list[Frame]) -> tuple[Scene, ...]:
    """The scenes of one video with those changes, given as positions among the frames."""
    seconds = [frame.seconds for frame in frames]
    ends = [*seconds[1:], seconds[-1] + 1 / _rate(frames)]
    firsts = [0, *(change.first for change in changes)]
    lasts = [*(change.first - 1 for change in changes), len(frames) - 1]
    began: list[Change | None] = [None, *changes]
    return tuple(
        Scene(
            source=frames[first].source,
            number=number,
            begins=change.kind if change else None,
            first_frame=frames[first].index,
            last_frame=frames[last].index,
            pure_frame=frames[min(change.last if change else first, last)].index,
            start_seconds=seconds[first],
            end_seconds=ends[last],
            strength=change.strength if change else 0.0,
        )
        for number, (first, last, change) in enumerate(zip(firsts, lasts, began, strict=True), start=1)
    )


def _rate(frames: list[Frame]) -> float:
    """Frames a second, by the median time between two; 1 for a single frame."""
    steps = np.diff([frame.seconds for frame in frames])
    usual = float(np.median(steps)) if len(steps) else 1.0
    return 1 / usual if usual > 0 else 1.0
