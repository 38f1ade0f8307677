"""A memory of what is normal that goes on learning while it judges, kept in a file that sessions and watchers share.

Learned is footage without events, in blocks of 4 s, after it was judged: a block and the ones before and after it must
be calm. What a memory measures by stays: its units of motion and the usual view are those that were learned first, so
that scores of all days can be compared. More becomes normal motion and appearance, and the calibration is that of the
last week.
"""

from dataclasses import dataclass, field
from os import PathLike
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from firstsight.encoder.encoder import Encoder
from firstsight.errors import RunError
from firstsight.files import check_local, check_path, locked
from firstsight.footage.frames import Frame
from firstsight.normality.appearance import Part, Seen
from firstsight.normality.memory import Judged, Learned, Memory
from firstsight.normality.motion import BLOCK_SECONDS, Boxes, remembered

# Blocks that were learned before they are written: 5 min, what a failure of the power costs.
BLOCKS_A_SAVE = 75
_PARTS: tuple[Part, ...] = get_args(Part)


@dataclass(eq=False)
class _Block:
    """What came in 4 s."""

    start_seconds: float
    is_calm: bool = True
    boxes: list[Boxes] = field(default_factory=list)
    score: float = 0.0  # the largest of motion
    distances: dict[Part, float] = field(default_factory=dict)  # the largest of each part of the appearance
    vectors: dict[Part, list[NDArray[np.float32]]] = field(default_factory=lambda: {part: [] for part in _PARTS})


class Growth:
    """What one watcher learns into a file.

    Args:
        file: of earlier sessions, or of other watchers of the same camera; made if there is none.
        memory: to begin with, if there is no file.
        encoder: by which appearance is judged.

    Attributes:
        memory: what is known by now.

    Raises:
        RunError: the file is damaged, of another encoder, or cannot be read or made; or there is nothing to begin with.
    """

    def __init__(self, file: str | PathLike[str], memory: Memory | None, encoder: Encoder) -> None:
        self.file = check_path(file, name="state", error=RunError)
        check_local(self.file, purpose="the state")
        self._fingerprint = encoder.fingerprint
        known = self._read() or (memory and self._of_encoder(memory, "the memory of what is normal"))
        if known is None:
            raise RunError(
                f"there is no {self.file} yet, and the run has no memory of what is normal to begin with; learn one "
                "from this fixed camera: firstsight watch --learn 10min"
            )
        self.memory = known
        self._learned: list[Learned] = []
        self._block: _Block | None = None  # that is not full
        self._pending: _Block | None = None  # the one before, whose successor is not known
        self._was_calm = True  # the one before that
        self._last: Frame | None = None
        self._last_parts: tuple[Boxes | None, Seen | None] = (None, None)
        if not self.file.exists():
            self.save()

    def update(self, frame: Frame, judged: Judged, *, is_calm: bool) -> None:
        """Notes one more frame, in order of time.

        Args:
            frame: of a file or stream.
            judged: by `memory`.
            is_calm: whether nothing happens in it.
        """
        last = self._last
        gap = frame.seconds - last.seconds if last and last.source == frame.source else -1.0
        if not 0 <= gap < BLOCK_SECONDS:
            self.end_clip()
        self._last = frame
        if self._block and frame.seconds - self._block.start_seconds >= BLOCK_SECONDS:
            self._complete(self._block)
            self._block = None
        self._block = self._block or _Block(frame.seconds)
        self._note(self._block, judged)
        self._block.is_calm &= is_calm

    def end_clip(self) -> None:
        """Nothing follows the last frame directly."""
        block, self._block = self._block, None
        if block and self._last and self._last.seconds - block.start_seconds >= BLOCK_SECONDS / 2:
            self._complete(block)
        is_calm = block is None or block.is_calm
        if self._pending and self._was_calm and is_calm:
            self._learn(self._pending)
        self._pending, self._was_calm = None, True

    @property
    def is_due(self) -> bool:
        """Whether there is enough to write."""
        return len(self._learned) >= BLOCKS_A_SAVE

    def save(self) -> Memory:
        """Writes what is in the file by now and what was learned since the last time, atomically; all of that.

        Raises:
            RunError: the file was damaged meanwhile, or cannot be written.
        """
        if self._learned or not self.file.exists():
            with locked(self.file):
                self.memory = (self._read() or self.memory).grown(self._learned)
                self.memory.save(self.file)
            self._learned = []
        return self.memory

    def _read(self) -> Memory | None:
        if self.file.is_dir():
            raise RunError(f"{self.file} is a folder; give the name of a file for what is normal")
        return self._of_encoder(Memory.read(self.file), str(self.file)) if self.file.exists() else None

    def _of_encoder(self, memory: Memory, name: str) -> Memory:
        if memory.appearance and memory.appearance.fingerprint != self._fingerprint:
            raise RunError(f"{name} was learned with another encoder; give the run of that encoder, or another one")
        return memory

    def _note(self, block: _Block, judged: Judged) -> None:
        last_boxes, last_seen = self._last_parts
        self._last_parts = judged.boxes, judged.seen
        if judged.boxes is not None and judged.boxes is not last_boxes:
            block.boxes.append(judged.boxes)
            block.score = max(block.score, judged.trailing)
        known, seen = self.memory.appearance, judged.seen
        if known is None or seen is None or seen is last_seen:
            return
        for part, middle in zip(_PARTS, known.middles, strict=True):
            block.distances[part] = max(block.distances.get(part, 0.0), seen.scores[part])
            rare = seen.away[part] > middle
            block.vectors[part].append(seen.came[:, rare].T)

    def _complete(self, block: _Block) -> None:
        if self._pending and self._was_calm and block.is_calm:
            self._learn(self._pending)
        self._was_calm = self._pending is None or self._pending.is_calm
        self._pending = block

    def _learn(self, block: _Block) -> None:
        """Of a calm block with motion to speak of: in a time lapse none can be found, and nothing is learned."""
        if not block.is_calm or not block.boxes:
            return
        same = [boxes for boxes in block.boxes if boxes.shape == block.boxes[0].shape]
        largest = np.array([[block.distances.get(part, 0.0) for part in _PARTS]])
        learned = Learned(
            remembered([np.stack(same)], self.memory.units),
            np.array([block.score]),
            {part: np.concatenate(found) for part, found in block.vectors.items() if found},
            largest if block.distances else np.empty((0, len(_PARTS))),
        )
        self._learned.append(learned)
