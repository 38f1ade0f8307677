"""The memory of what is normal before a fixed camera: learned from footage, bounded, kept with a run, merged.

`Judge` tells how rare the motion and the appearance of a frame are among those of normal footage.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from firstsight.encoder.encoder import Encoder
from firstsight.encoder.run_folder import MEMORY_FILE
from firstsight.errors import FirstsightError, RunError, SettingsError
from firstsight.files import check_path, read_regular, write_atomically
from firstsight.footage.frames import Frame, View
from firstsight.footage.queues import read_batches
from firstsight.footage.source import Source
from firstsight.normality.appearance import Appearance, Lighting, Looks, Seen
from firstsight.normality.appearance import Part as LooksPart
from firstsight.normality.motion import (
    BLOCK_SECONDS,
    MAX_BLOCKS,
    Boxes,
    Motion,
    MotionView,
    area_of,
    box_at,
    boxes_for,
    cells_in,
    excess,
    of_things,
    remembered,
    units_of,
)
from firstsight.normality.rarity import FALSE_ALARMS, Rarity, Trailing, num_parts_of, of_either, rate_of

_FORMAT = "firstsight-normal-1"
_KEPT = 0.5  # of a box's trailing mean from frame to frame
# A unit is twice the deviation of the largest motion in a block, or its noise; of an exponential tail, whose deviation
# is its mean, that is half a unit, and a score counts half of it.
_LEAST_TAIL = 0.25
_MAX_BYTES = 2**26
_BATCH_SIZE = 32
# The arrays of an `Appearance`, in order, and what their names in the file begin with.
_LOOKS, _PREFIX = ("usual", "change", "spread", "moving", "looking", "largest"), "appearance."
_NUM_CAME = "num_came"

Part = Literal["motion", "appearance"]


@dataclass(frozen=True, eq=False)
class Memory:
    """What is normal before a camera."""

    vectors: NDArray[np.float32]  # (n, 4), motion to the right, downwards, left, upwards, in picture heights a second
    maxima: NDArray[np.float64]  # (blocks, 4), the largest motion in each 4 s
    largest: NDArray[np.float64]  # (blocks,), the largest score in each 4 s that the memory did not hold
    appearance: Appearance | None = None  # None if it was learned without an encoder

    def __post_init__(self) -> None:
        parts = (self.vectors, self.maxima, self.largest)
        if self.vectors.shape[1:] != (4,) or self.maxima.shape[1:] != (4,) or self.largest.ndim != 1:
            raise SettingsError(f"a memory of {self.vectors.shape}, {self.maxima.shape}; valid are (n, 4) and (m, 4)")
        if not len(self.maxima) or not all(np.isfinite(part).all() and (part >= 0).all() for part in parts):
            raise SettingsError("a memory with numbers that are not finite, below 0, or without any; learn it again")

    @property
    def units(self) -> NDArray[np.float32]:
        """(4,), in picture heights a second."""
        return units_of(self.maxima)

    @property
    def rarity(self) -> Rarity:
        """How rare a score is."""
        return Rarity.of(self.largest, least_tail=_LEAST_TAIL)

    @property
    def num_parts(self) -> float:
        """In so many parts that had nothing to do with each other rare things come: 1 to 2, see `of_either`."""
        looks = self.appearance
        return 1.0 if looks is None else num_parts_of(self.largest, looks.largest[:, 0])

    @property
    def seconds(self) -> float:
        """How much normal footage the scores are calibrated on."""
        return len(self.largest) * BLOCK_SECONDS

    def promise(self, false_alarms: str | None = None) -> str:
        """For people: which rate of false alarms the footage can show, and whether the one asked for is extrapolated.

        Args:
            false_alarms: the rate asked for, as "2/h"; None is "1/day".

        Raises:
            SettingsError: no such rate.
        """
        asked = FALSE_ALARMS if false_alarms is None else false_alarms
        minutes = f"{self.seconds / 60:.{0 if self.seconds >= 600 else 1}f} min"
        shown = f"{minutes} of normal footage: at most one false alarm in {minutes} is proven"
        if not len(self.largest):
            shown = "hardly any normal footage: no rate of false alarms is proven"
        return f"{shown}; {asked} is {'extrapolated' if self.promised(asked)['is_extrapolated'] else 'within that'}"

    def promised(self, false_alarms: str | None = None) -> dict[str, Any]:
        """The same in numbers, for JSON: `seconds` of normal footage, `false_alarms` as asked for and in events a day,
        the lowest rate that the footage can show, and whether the one asked for is below it. Errors are those of
        `promise`.
        """
        asked = FALSE_ALARMS if false_alarms is None else false_alarms
        rate, shown = rate_of(asked), 1 / self.seconds if len(self.largest) else None
        return {
            "seconds": self.seconds,
            "false_alarms": asked,
            "false_alarms_per_day": round(86_400 * rate, 4),
            "proven_false_alarms_per_day": None if shown is None else round(86_400 * shown, 4),
            "is_extrapolated": shown is None or rate < shown,
        }

    def merged(self, other: "Memory") -> "Memory":
        """Of both: what is normal in either is normal."""
        maxima = np.concatenate([self.maxima, other.maxima])[-MAX_BLOCKS:]
        vectors = remembered([np.concatenate([self.vectors, other.vectors])], units_of(maxima))
        looks = [one.appearance for one in (self, other) if one.appearance]
        appearance = looks[0].merged(looks[1]) if len(looks) > 1 else None  # of a part alone it would call the rest new
        return Memory(vectors, maxima, np.concatenate([self.largest, other.largest])[-MAX_BLOCKS:], appearance)

    def grown(self, learned: "Sequence[Learned]") -> "Memory":
        """With what came in further normal footage that it has judged, measured by the same units and usual view."""
        if not learned:
            return self
        vectors = remembered([np.concatenate([self.vectors, *(one.vectors for one in learned)])], self.units)
        largest = np.concatenate([self.largest, *(one.largest for one in learned)])[-MAX_BLOCKS:]
        appearance = self.appearance
        if appearance:
            names: tuple[LooksPart, ...] = get_args(LooksPart)
            parts = {name: [one.came[name] for one in learned if name in one.came] for name in names}
            appearance = appearance.grown(parts, np.concatenate([one.distances for one in learned]))
        return Memory(vectors, self.maxima, largest, appearance)

    def save(self, file: str | Path) -> None:
        """Writes it, atomically.

        Raises:
            RunError: it cannot be written.
        """
        parts = {"vectors": self.vectors, "maxima": self.maxima, "largest": self.largest}
        described = {"format": _FORMAT}
        if self.appearance:
            parts |= {_PREFIX + name: getattr(self.appearance, name) for name in _LOOKS}
            parts[_PREFIX + _NUM_CAME] = np.array(self.appearance.num_came)
            described["encoder"] = self.appearance.fingerprint
        content = safetensors.numpy.save({name: np.ascontiguousarray(part) for name, part in parts.items()}, described)
        write_atomically(check_path(file, name="memory", error=RunError), content)

    @classmethod
    def load(cls, path: str | Path) -> "Memory | None":
        """The one in a file, or in the folder of a run; None if there is none.

        Raises:
            RunError: it is damaged, of another version, or cannot be read.
        """
        file = check_path(path, name="memory", error=RunError)
        file = file / MEMORY_FILE if file.is_dir() else file
        if not file.exists() or file.suffix != Path(MEMORY_FILE).suffix:
            return None
        return cls.read(file)

    @classmethod
    def read(cls, file: Path) -> "Memory":
        """The one in a file of any name. Errors are those of `load`."""
        try:
            content = read_regular(file, max_bytes=_MAX_BYTES)
            described = _described(content)
            tensors = safetensors.numpy.load(content)
            return cls(
                tensors["vectors"].astype(np.float32),
                tensors["maxima"].astype(np.float64),
                tensors["largest"].astype(np.float64),
                _appearance(tensors, described["encoder"]) if "encoder" in described else None,
            )
        except OSError as error:
            raise RunError(f"{file} cannot be read ({error.strerror}); check its rights and disk") from error
        except (ValueError, KeyError, TypeError, RecursionError, FirstsightError, safetensors.SafetensorError) as error:
            reason = str(error).splitlines()[0] if str(error) else "it lacks a part"
            raise RunError(f"{file} is damaged ({reason}); delete it, or learn again") from error


@dataclass(frozen=True, eq=False)
class Learned:
    """What came in a block of normal footage, which a memory has judged."""

    vectors: NDArray[np.float32]  # (n, 4), as of a `Memory`
    largest: NDArray[np.float64]  # (1,)
    came: Mapping[LooksPart, NDArray[np.float32]]  # (n, maps) of each part of the appearance
    distances: NDArray[np.float64]  # (1, 2), the largest of either part; (0, 2) if appearance was not judged


def _described(content: bytes) -> dict[str, str]:
    """What the file says of itself; raises a SettingsError if it is of another version."""
    size = int.from_bytes(content[:8], "little")
    header: Any = json.loads(content[8 : 8 + size]) if size < len(content) else {}
    described: dict[str, str] = (header.get("__metadata__") or {}) if isinstance(header, dict) else {}
    if described.get("format") != _FORMAT:
        raise SettingsError("it is no memory of this version")
    return described


def _appearance(tensors: Mapping[str, NDArray[Any]], fingerprint: str) -> Appearance:
    usual, change, spread, moving, looking = (tensors[_PREFIX + name].astype(np.float32) for name in _LOOKS[:-1])
    largest = tensors[_PREFIX + _LOOKS[-1]].astype(np.float64)
    num_came = tensors.get(_PREFIX + _NUM_CAME, np.zeros(2, np.int64))  # older files have none
    if num_came.shape != (2,) or num_came.dtype != np.int64:
        raise SettingsError("it does not say how many appearances came")
    num_moving, num_looking = num_came.tolist()
    return Appearance(usual, change, spread, moving, looking, largest, fingerprint, (num_moving, num_looking))


@dataclass(frozen=True)
class Judged:
    """How unusual a frame is."""

    score: float  # how rare it is that any part is as rare: from 0; 2 is the rarest of a hundred blocks of 4 s
    box: tuple[int, int, int, int] | None  # x, y, width, height in pixels of the upright picture; None if nothing is
    part: Part  # which is the rarer
    rarities: NDArray[np.float64] | None = None  # (rows, columns), likewise, of each box, `score` at most
    boxes: Boxes | None = None  # the motion that it has, of the last frame that was compared
    trailing: float = 0.0  # the units by which that exceeds the normal, as a trailing mean
    seen: Seen | None = None  # its appearance, of the last frame that was compared


class Judge:
    """Judges the frames of one camera by a memory, one after the other.

    Motion is judged, and the appearance of what moves; where no motion can be found, as in a time lapse, a single
    picture or the first frame of a clip, the appearance of all that is not as usual.

    Args:
        memory: of this camera.
        view_index: which of a frame's pictures is through a `MotionView`.
        encoder: by which the memory was learned; None judges motion alone.
        encoder_view_index: which of a frame's pictures is through its view.

    Raises:
        SettingsError: the memory is of another encoder.
    """

    def __init__(
        self, memory: Memory, view_index: int = 0, *, encoder: Encoder | None = None, encoder_view_index: int = 1
    ) -> None:
        self._motion, self._trailing = Motion(view_index), Trailing()
        self._trails: NDArray[np.float64] | None = None
        looks = memory.appearance if encoder else None
        self._looks = Looks(looks, encoder, encoder_view_index) if encoder and looks else None
        self.adopt(memory)

    def adopt(self, memory: Memory) -> None:
        """Judges by this one from now on, of the same camera and encoder."""
        self._vectors, self._units, self._rarity = memory.vectors, memory.units, memory.rarity
        self._num_parts = memory.num_parts if self._looks else 1.0
        if self._looks and memory.appearance:
            self._looks.adopt(memory.appearance)

    def update(self, frames: Sequence[Frame], lights: Sequence[Lighting] = ()) -> list[Judged]:
        """Of some more frames in order of time. A frame that nothing can be judged by has score 0.

        Args:
            frames: of one file or stream.
            lights: of each frame; none if it is not known.
        """
        lit: Sequence[Lighting | None] = lights or [None] * len(frames)
        motion = _once(of_things, self._motion.update(frames))
        heats = [_lit(*one) for one in zip(_once(self._heat, motion), lit, frames, strict=True)]
        moves = [one is not None for one in motion]
        seen = self._looks.update(frames, moves, lit) if self._looks else [None] * len(frames)
        return [self._judged(*one) for one in zip(frames, motion, heats, seen, strict=True)]

    def _heat(self, boxes: Boxes) -> NDArray[np.float32]:
        """(rows, columns): the units by which the motion of each box exceeds the normal."""
        heat: NDArray[np.float32] = excess(boxes[None], self._vectors, self._units)[0]
        return heat

    def _judged(self, frame: Frame, boxes: Boxes | None, heat: NDArray[np.float32] | None, seen: Seen | None) -> Judged:
        value = 0.0 if heat is None else float(heat.max())
        trailing = self._trailing.update(frame.source, frame.seconds, value)
        rarity, rarities = self._rarity(trailing), self._rarities(heat, trailing)
        part: Part = "motion"
        box = None
        if seen is not None and seen.rarity > rarity:
            rarity, rarities, box, part = seen.rarity, placed(rarities, seen, frame.size), seen.box, "appearance"
        elif heat is not None:
            row, column = np.unravel_index(int(heat.argmax()), heat.shape)
            box = box_at(int(row), int(column), heat.shape, frame.size)
        score = float(of_either(np.array(rarity), self._num_parts))
        rarities = None if rarities is None else of_either(rarities, self._num_parts)
        return Judged(score, box, part, rarities, boxes, trailing, seen)

    def _rarities(self, heat: NDArray[np.float32] | None, trailing: float) -> NDArray[np.float64] | None:
        """Of each box, by its own trailing mean, so that what has stopped at one place counts nowhere else.

        The largest is that of the frame, which is rarer than `trailing` units.
        """
        if heat is None:
            self._trails = None
            return None
        same = self._trails is not None and self._trails.shape == heat.shape
        self._trails = (
            heat + (self._trails - heat) * _KEPT if same and self._trails is not None else heat.astype(np.float64)
        )
        largest = self._trails.max()
        return self._rarity.of_each(self._trails * (trailing / largest if largest > 0 else 0.0))


def placed(rarities: NDArray[np.float64] | None, seen: Seen, size: tuple[int, int]) -> NDArray[np.float64]:
    """The rarities of motion, and that of the appearance in the boxes that it meets, or in the nearest ones."""
    both = np.zeros(boxes_for(size)) if rarities is None else rarities.copy()
    left, top, width, height = area_of(both.shape, size)
    x, y, wide, high = seen.box
    rows = _touched((y - top) / height, (y + high - top) / height, both.shape[0])
    columns = _touched((x - left) / width, (x + wide - left) / width, both.shape[1])
    both[rows, columns] = np.maximum(both[rows, columns], seen.rarity)
    return both


def _touched(start: float, end: float, num: int) -> slice:
    """The parts of a side cut into so many that a span, in shares of it, touches; the nearest of a span outside."""
    first = min(max(0, math.floor(start * num)), num - 1)
    return slice(first, max(first + 1, min(num, math.ceil(end * num))))


def _once(
    compute: Callable[[Boxes], NDArray[np.float32]], motion: Sequence[Boxes | None]
) -> list[NDArray[np.float32] | None]:
    """What is computed of each frame's motion; frames that share it, as those that follow too fast, share that."""
    known: dict[int, NDArray[np.float32]] = {}
    for one in motion:
        if one is not None and id(one) not in known:
            known[id(one)] = compute(one)
    return [None if one is None else known[id(one)] for one in motion]


def _lit(heat: NDArray[np.float32] | None, light: Lighting | None, frame: Frame) -> NDArray[np.float32] | None:
    """Without the boxes in which only the light has changed."""
    if heat is None or light is None:
        return heat
    rows, columns = heat.shape
    only = cells_in(area_of(heat.shape, frame.size), light.only, frame.size, (rows, columns))
    return heat * ~only.reshape(heat.shape)


def batches(source: Source, *views: View) -> Iterator[list[Frame]]:
    """The frames through a `MotionView` and further views, some at a time, read ahead."""
    return read_batches(source, MotionView(), *views, size=_BATCH_SIZE)
