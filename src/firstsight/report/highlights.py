"""What a comparison should show of itself: the anchors, and the most and least similar moments, from a stream."""

from dataclasses import dataclass, field

from firstsight.retrieval.comparing.compare import Comparison
from firstsight.video.frames import Frame

_MAX_STRETCHES = 32


@dataclass
class Mean:
    """Of the numbers so far."""

    num: int = 0
    total: float = 0.0

    def add(self, value: float) -> None:
        """Counts one more."""
        self.num, self.total = self.num + 1, self.total + value

    @property
    def value(self) -> float | None:
        """None of no number."""
        return self.total / self.num if self.num else None


@dataclass(frozen=True, eq=False)
class _Moment:
    """A comparison that has a similarity."""

    comparison: Comparison
    similarity: float


@dataclass
class Anchored:
    """An anchor and what was compared with it."""

    anchor: Frame
    num_compared: int = 0
    mean: Mean = field(default_factory=Mean)  # of the similarities of those that have one


@dataclass
class Highlights:
    """Collects, in memory that does not grow with the footage.

    The footage is cut into stretches, each of which remembers its most and its least similar frame; when there are too
    many, neighbours are joined. So the moments listed lie apart, and are not one moment many times. A comparison that
    has no similarity yet is counted, and is neither of the two.
    """

    max_anchors: int = 24
    anchors: list[Anchored] = field(default_factory=list)  # the first ones
    num_anchors: int = 0
    num_compared: int = 0
    mean: Mean = field(default_factory=Mean)  # of the similarities, where there are any
    _stretches: list[tuple[_Moment, _Moment]] = field(default_factory=list)  # least, most similar
    _stretch_length: int = 1  # frames
    _current: Anchored | None = None

    def add(self, comparison: Comparison) -> None:
        """Counts one more comparison."""
        if self._current is None or self._current.anchor is not comparison.anchor:
            self._current = Anchored(comparison.anchor)
            self.num_anchors += 1
            if len(self.anchors) < self.max_anchors:
                self.anchors.append(self._current)
        self._current.num_compared += 1
        self.num_compared += 1
        if comparison.similarity is not None:
            self.mean.add(comparison.similarity)
            self._current.mean.add(comparison.similarity)
            self._remember(_Moment(comparison, comparison.similarity))

    def most_similar(self, num: int) -> list[Comparison]:
        """The most similar frames, one a stretch, the most similar first."""
        mosts = sorted((most for _, most in self._stretches), key=lambda one: -one.similarity)
        return [one.comparison for one in mosts[:num]]

    def least_similar(self, num: int) -> list[Comparison]:
        """The least similar frames, one a stretch, the least similar first."""
        leasts = sorted((least for least, _ in self._stretches), key=lambda one: one.similarity)
        return [one.comparison for one in leasts[:num]]

    def _remember(self, moment: _Moment) -> None:
        if (self.mean.num - 1) % self._stretch_length == 0:
            if len(self._stretches) == _MAX_STRETCHES:
                pairs = zip(self._stretches[::2], self._stretches[1::2], strict=True)
                self._stretches = [_joined(*pair) for pair in pairs]
                self._stretch_length *= 2
            self._stretches.append((moment, moment))
        else:
            self._stretches[-1] = _joined(self._stretches[-1], (moment, moment))


def _joined(first: tuple[_Moment, _Moment], second: tuple[_Moment, _Moment]) -> tuple[_Moment, _Moment]:
    least = min(first[0], second[0], key=lambda one: one.similarity)
    return least, max(first[1], second[1], key=lambda one: one.similarity)
