"""The frames that an evaluation asks about: a bounded number, spread evenly, with where and when they are."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firstsight.encoder.encoder import Encoder
from firstsight.encoder.views import WholeFrame
from firstsight.errors import SourceError
from firstsight.footage.frames import Frame
from firstsight.footage.image_folders import ArraySource, ImageFiles
from firstsight.footage.queues import prefetch
from firstsight.footage.source import Source
from firstsight.progress import Progress, Report, silent
from firstsight.quality.self_test import NEIGHBOUR_SECONDS, SAME_SECONDS

LEAST_FRAMES = 20  # fewer say nothing about an encoder
_SHORTER_SIDE = 128  # pixels of the picture that baselines get
_DEPTH = 32  # decoded frames kept ready


@dataclass(frozen=True, eq=False)
class Sample:
    """N frames in the source's order."""

    seen: NDArray[np.uint8]  # (N, h, w, C), what the encoder embeds: the whole frame, or the square that it crops
    whole: NDArray[np.uint8]  # (N, h, w, 3), the whole frame; the same array if the encoder's view is all of it
    seconds: NDArray[np.float64]  # (N,), in its video; of pictures the position
    sources: NDArray[np.int64]  # (N,), which file each is from, from 0
    names: tuple[str, ...]  # of the files
    labels: tuple[str, ...]  # of each, empty if not asked for
    of_pictures: bool  # files or an array of pictures, rather than video
    num_read: int  # frames that went by
    num_unlabelled: int  # of these had no label and were left out

    def __len__(self) -> int:
        return len(self.seconds)


def take_sample(
    encoder: Encoder,
    source: Source,
    *,
    max_frames: int,
    label_of: Callable[[Frame], str | None] | None = None,
    progress: Report = silent,
) -> Sample:
    """At most so many frames of the source; without labels also frames half a second later, where these are apart.

    Args:
        encoder: whose view of a frame is wanted.
        source: read once, whole.
        max_frames: to keep.
        label_of: gives a frame its label; frames without one are left out. None asks for no labels.
        progress: called after each frame.

    Raises:
        SourceError: fewer than 20 frames.
    """
    whole = _whole_view(source)
    views = (whole,) if encoder.view.shows_whole_frame else (encoder.view, whole)
    keeper = _Keeper(max_frames, with_neighbours=label_of is None)
    num_read, num_unlabelled, total = 0, 0, source.num_frames()
    with closing(source.read(*views)) as reading, prefetch(reading, depth=_DEPTH) as frames:
        for frame in frames:
            num_read += 1
            if label_of and label_of(frame) is None:
                num_unlabelled += 1
            else:
                keeper.add(frame)
            progress(Progress("reading", num_read, total))
    if num_read - num_unlabelled < LEAST_FRAMES:
        what = f"{num_read - num_unlabelled} frames{' with a label' if label_of else ''}"
        raise SourceError(f"{source.name} has {what} to ask about; give at least {LEAST_FRAMES}")
    kept = keeper.kept()
    numbers = {name: number for number, name in enumerate(dict.fromkeys(frame.source for frame in kept))}
    return Sample(
        seen=np.stack([frame.pixels for frame in kept]),
        whole=np.stack([frame.whole for frame in kept]),
        seconds=np.array([frame.seconds for frame in kept]),
        sources=np.array([numbers[frame.source] for frame in kept]),
        names=tuple(numbers),
        labels=tuple(label_of(frame) or "" for frame in kept) if label_of else (),
        of_pictures=isinstance(source, ImageFiles | ArraySource),
        num_read=num_read,
        num_unlabelled=num_unlabelled,
    )


class _Keeper:
    """Every n-th frame and, if wanted, the first that is not the same moment; n doubles at twice too many."""

    def __init__(self, max_frames: int, *, with_neighbours: bool) -> None:
        self._max_frames = max_frames
        self._with_neighbours = with_neighbours
        self._groups: list[list[Frame]] = []  # a frame, or a frame and its neighbour
        self._num_kept = self._num_seen = 0
        self._every = 1

    def add(self, frame: Frame) -> None:
        if self._num_seen % self._every == 0:
            self._groups.append([frame])
            self._num_kept += 1
        elif self._with_neighbours and _is_neighbour(frame, self._groups[-1]):
            self._groups[-1].append(frame)
            self._num_kept += 1
        self._num_seen += 1
        while self._num_kept >= 2 * self._max_frames:
            self._thin()

    def kept(self) -> list[Frame]:
        """In order, at most as many as wanted."""
        num_groups = len(self._groups)
        if self._num_kept > self._max_frames:
            num_groups = -(-self._max_frames * num_groups // self._num_kept)
        chosen = np.linspace(0, len(self._groups) - 1, num_groups).round().astype(int)
        return [frame for index in chosen for frame in self._groups[index]][: self._max_frames]

    def _thin(self) -> None:
        """Drops every second frame, unless it is now the first that shows another moment than the one before."""
        for group, dropped in zip(self._groups[::2], self._groups[1::2], strict=False):
            if self._with_neighbours and _is_neighbour(dropped[0], group):
                group.append(dropped[0])
        self._groups = self._groups[::2]
        self._num_kept = sum(map(len, self._groups))
        self._every *= 2


def _is_neighbour(frame: Frame, group: list[Frame]) -> bool:
    since = frame.seconds - group[0].seconds
    return len(group) == 1 and frame.source == group[0].source and SAME_SECONDS < since <= NEIGHBOUR_SECONDS


def _whole_view(source: Source) -> WholeFrame:
    width, height = source.size()
    scale = min(1.0, _SHORTER_SIDE / min(width, height))
    return WholeFrame(round(width * scale), round(height * scale))
