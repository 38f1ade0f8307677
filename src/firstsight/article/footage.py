"""A source as the network's input: in order, again and again."""

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

import numpy as np
import torch
from torch import Tensor

from firstsight.encoder.model import to_inputs
from firstsight.encoder.views import CentralSquare
from firstsight.errors import SourceError
from firstsight.footage.frames import Frame
from firstsight.footage.queues import prefetch
from firstsight.footage.source import Source
from firstsight.from_json import from_json

# Decoded frames kept ready. At 150 kB a frame this is small, and learning is what takes the time.
_DEPTH = 32
# One frame teaches what that frame is like; learning wants to be shown at least that there is another.
_MIN_FRAMES = 2


class Footage:
    """The frames of a source, through a view.

    Attributes:
        num_frames: in a pass: what the source states, and after the first whole pass what it gave; None if not known.
        num_skipped: frames of a pass that could not be decoded.
        skipped_by_file: the same, of each file that lost any.
        pass_length: frames of a pass, once one was read to its end.
    """

    def __init__(self, source: Source, view: CentralSquare, *, device: torch.device) -> None:
        self.source = source
        self.view = view
        self.device = device
        self.num_frames = source.num_frames()
        self.num_skipped = 0
        self.skipped_by_file: dict[str, int] = {}
        self.pass_length: int | None = None

    def batches(self, size: int, *, skip: int = 0) -> Generator[Tensor]:
        """Inputs (size, channels, H, W) without end: after the last frame comes the first.

        Args:
            size: frames in a batch; a batch may span the end of a pass.
            skip: how many frames to leave out at the start, as if they had been learned from already. Whole passes cost
                nothing if their length is known; the rest is decoded, so that the same frames follow.

        Raises:
            SourceError: the source has fewer than two frames.
        """
        with prefetch(self._endless(), depth=max(_DEPTH, 2 * size)) as frames:
            for _ in range(self.num_to_skip(skip)):
                next(frames)
            while True:
                yield self._inputs([next(frames) for _ in range(size)])

    def sample(self, num_frames: int, *, size: int = 16) -> Iterator[Tensor]:
        """Batches of at most that many frames, spread evenly over one pass."""
        total = self.source.num_frames()
        step = max(1, -(-total // num_frames)) if total else 1
        batch: list[Frame] = []
        with self.source.read(self.view) as reading:
            for position, frame in enumerate(reading):
                if position >= step * num_frames:
                    break
                if position % step == 0:
                    batch.append(frame)
                if len(batch) == size:
                    yield self._inputs(batch)
                    batch = []
        if batch:
            yield self._inputs(batch)

    def num_to_skip(self, num_drawn: int) -> int:
        """How many frames of the pass under way were drawn; all of all passes, if their length is not known."""
        return num_drawn % self.pass_length if self.pass_length else num_drawn

    @property
    def passed(self) -> dict[str, Any]:
        """What a whole pass gave, to be told to `know` after an interruption; empty before one."""
        if self.pass_length is None:
            return {}
        return {"num_frames": self.pass_length, "num_skipped": self.num_skipped, "by_file": self.skipped_by_file}

    def know(self, passed: dict[str, Any]) -> None:
        """What a whole pass gave before an interruption."""
        if passed:
            self.num_frames = self.pass_length = from_json(int, passed["num_frames"], name="num_frames")
            self.num_skipped = from_json(int, passed["num_skipped"], name="num_skipped")
            self.skipped_by_file = from_json(dict, passed["by_file"], name="by_file")
            self.check()

    def check(self) -> None:
        """Refuses footage that is known to hold too little.

        Raises:
            SourceError: fewer than two frames.
        """
        if self.num_frames is not None and self.num_frames < _MIN_FRAMES:
            raise SourceError(
                f"{self.source.name} has {self.num_frames} frame to learn from; "
                f"give a video, or at least {_MIN_FRAMES} pictures"
            )

    def _endless(self) -> Iterator[Frame]:
        while True:
            with closing(self.source.read(self.view)) as reading:
                yield from reading
                self.num_frames, self.num_skipped = reading.num_frames, reading.num_skipped
                self.skipped_by_file, self.pass_length = reading.skipped_by_source, reading.num_frames
            self.check()

    def _inputs(self, frames: list[Frame]) -> Tensor:
        return to_inputs(np.stack([frame.pixels for frame in frames]), self.device)
