"""A bounded number of frames, spread evenly over footage of any length, in one pass."""

from collections.abc import Callable, Sequence
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from firstsight.video.frames import Frame, View
from firstsight.video.prefetch import prefetch
from firstsight.video.source import Source

_DEPTH = 32  # decoded frames kept ready


class BoundedSample:
    """Keeps every n-th frame, and doubles n whenever there are twice too many. The length need not be known before.

    Attributes:
        num_seen: frames that went by.
        num_skipped: frames that could not be decoded.
        skipped_by_file: the same, of each file that lost any.
    """

    def __init__(self, max_frames: int) -> None:
        self.max_frames = max_frames
        self.num_seen = 0
        self.num_skipped = 0
        self.skipped_by_file: dict[str, int] = {}
        self._kept: list[NDArray[np.uint8]] = []
        self._every = 1

    def read(self, sources: Sequence[Source], view: View, *, report: Callable[[int], None]) -> NDArray[np.uint8]:
        """The frames through the view, in order: uint8 (N, height, width, channels), N at most `max_frames`.

        Args:
            sources: read once each, whole, one after the other.
            view: the picture wanted of each frame; always of one size.
            report: told the number of frames that went by.
        """
        for source in sources:
            with closing(source.read(view)) as reading, prefetch(reading, depth=_DEPTH) as frames:
                for frame in frames:
                    self._add(frame)
                    report(self.num_seen)
                self.num_skipped += reading.num_skipped
                self.skipped_by_file |= reading.skipped_by_source
        if len(self._kept) > self.max_frames:
            chosen = np.linspace(0, len(self._kept) - 1, self.max_frames).round().astype(int)
            self._kept = [self._kept[index] for index in chosen]
        kept, self._kept = self._kept, []
        return np.stack(kept) if kept else np.empty((0, 1, 1, 1), np.uint8)

    def _add(self, frame: Frame) -> None:
        if self.num_seen % self._every == 0:
            self._kept.append(frame.pixels)
            if len(self._kept) == 2 * self.max_frames:
                self._kept = self._kept[::2]
                self._every *= 2
        self.num_seen += 1
