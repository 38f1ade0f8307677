"""Of several copies of a clip, which to keep, and why."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from firstsight.errors import SourceError
from firstsight.retrieval.copies.signature import Track
from firstsight.video.source import open_source

# A clip is longer, or its picture larger, if it is so by more than this.
_CLEARLY = 1.05
# With less than this share of the others' hues a copy is grey, or recoloured in one tone.
_MUCH_LESS = 0.5
_NO_HUES = 1.0  # grey levels: rounding alone


@dataclass(frozen=True)
class Facts:
    """What speaks for a copy."""

    name: str
    seconds: float  # of footage
    hues: float  # how much they differ, in grey levels
    bars: float  # share of the picture that is black border, 0 to 1
    size: tuple[int, int] | None  # width and height of its frames; None if the file cannot be read any more
    num_bytes: int
    num_cropped: int  # other copies that show more of the picture than it does
    num_mirrored: int  # that show it the other way round
    num_covered: int  # that show what something put on it hides

    def is_dull(self, hues: float) -> bool:
        """Whether it has lost colours that another has."""
        return hues > _NO_HUES and self.hues < _MUCH_LESS * hues

    @property
    def num_pixels(self) -> float:
        """Of the picture without its bars."""
        return self.size[0] * self.size[1] * (1 - self.bars) if self.size else 0.0


def facts_of(track: Track, *, num_cropped: int, num_mirrored: int, num_covered: int) -> Facts:
    """Looks at the file once more, if it is still there, for the size of its frames."""
    record = track.record
    try:
        size = open_source(record.path).size() if record.path.exists() else None
    except SourceError:
        size = None
    return Facts(
        record.name,
        max(record.duration_seconds, float(track.seconds[-1])),
        track.hues,
        track.bars.share,
        size,
        record.num_bytes,
        num_cropped,
        num_mirrored,
        num_covered,
    )


def best(copies: Sequence[Facts]) -> Facts:
    """The one that loses least: the longest; of these one with nothing put on it, in colour, not cropped, the largest.

    Of equals the one that is the right way round for most, with the least bars, the most bytes, the first name.
    """
    longest = max(one.seconds for one in copies)
    copies = [one for one in copies if one.seconds * _CLEARLY >= longest]
    copies = _least(copies, lambda one: one.num_covered)
    most_hues = max(one.hues for one in copies)
    copies = [one for one in copies if not one.is_dull(most_hues)]
    copies = _least(copies, lambda one: one.num_cropped)
    most = max(one.num_pixels for one in copies)
    copies = [one for one in copies if one.num_pixels * _CLEARLY >= most]
    return min(copies, key=lambda one: (one.num_mirrored, round(one.bars, 2), -one.num_bytes, one.name))


def why_kept(kept: Facts, others: Sequence[Facts]) -> str:
    """In words, the grounds that decided against at least one of the others."""
    grounds = {
        f"longest, {kept.seconds:.1f} s": any(one.seconds * _CLEARLY < kept.seconds for one in others),
        "in colour": any(one.is_dull(kept.hues) for one in others),
        "not cropped": any(one.num_cropped > kept.num_cropped for one in others),
        "nothing put on it": any(one.num_covered > kept.num_covered for one in others),
        f"largest picture, {_text(kept.size)}": any(one.num_pixels * _CLEARLY < kept.num_pixels for one in others),
        "least bars" if kept.bars else "no bars": any(round(one.bars, 2) > round(kept.bars, 2) for one in others),
        "not mirrored": any(one.num_mirrored > kept.num_mirrored for one in others),
    }
    told = [ground for ground, holds in grounds.items() if holds]
    if not told and any(one.num_bytes < kept.num_bytes for one in others):
        told = [f"most bytes, {kept.num_bytes / 1e6:.1f} MB"]
    return ", ".join(told) or "they are equal; this is the first by name"


def differences(copy: Facts, kept: Facts, *, mirrored: bool, cropped: bool, covered: bool) -> tuple[str, ...]:
    """In words, how a copy differs from the one that is kept; at least "re-encoded"."""
    found = {
        "mirrored": mirrored,
        "colours lost": copy.is_dull(kept.hues),
        "cropped": cropped,
        "something put on it": covered,
        "bars": copy.bars > kept.bars + 0.02,
        f"{_text(copy.size)} instead of {_text(kept.size)}": bool(copy.size and kept.size) and copy.size != kept.size,
        f"{kept.seconds - copy.seconds:.1f} s shorter": copy.seconds * _CLEARLY < kept.seconds,
    }
    return tuple(words for words, holds in found.items() if holds) or ("re-encoded",)


def _least(copies: Sequence[Facts], value: Callable[[Facts], int]) -> list[Facts]:
    least = min(map(value, copies))
    return [one for one in copies if value(one) == least]


def _text(size: tuple[int, int] | None) -> str:
    return f"{size[0]}x{size[1]}" if size else "unknown"
