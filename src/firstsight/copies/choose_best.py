"""Groups of copies: which to keep of each and why, and how the others differ."""

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from firstsight.copies.shared_footage import Shared, identical
from firstsight.copies.signature import Track
from firstsight.copies.verification import Finding, components
from firstsight.errors import SourceError
from firstsight.footage.source import open_source
from firstsight.library.source_files import check_unchanged

_NEARLY_ALL = 0.9  # of what moves in a copy is in the source that makes it superfluous
_NEGLIGIBLE = 1e-9  # of a share
# A clip is longer, or its picture larger, if it is so by more than this.
_CLEARLY = 1.05
# With less than this share of the others' hues a copy is grey, or recoloured in one tone.
_MUCH_LESS = 0.5
_NO_HUES = 1.0  # grey levels: rounding alone
_MIN_BARS = 0.02  # of the picture
# Words that file managers and people put into the names of copies, in a few languages.
_COPY_NAME = re.compile(
    r"\b(copy|kopie|copie|copia|cópia|kopia|kopi|duplicate)\b|\(\d+\)$|コピー|副本|копия", re.IGNORECASE
)


@dataclass(frozen=True)
class Copy:
    """A source that another one makes superfluous."""

    source: str
    finding: Finding  # "identical files" or "copy", of the source that is kept or of a third one
    differs: tuple[str, ...]  # how, in words
    share: float  # of what moves in it, that is in the one that is kept; 0 if joined through a third one only
    similarity: float  # to the one that is kept, or to that third one
    detail_similarity: float
    expected_by_chance: float
    is_upper_bound: bool  # fewer are expected by chance


@dataclass(frozen=True)
class CopyGroup:
    """Copies of one another."""

    keep: str
    why: str
    copies: tuple[Copy, ...]  # by name


@dataclass(frozen=True)
class Facts:
    """The facts that decide which copy to keep."""

    name: str
    seconds: float  # of footage
    hues: float  # how much they differ, in grey levels
    bars: float  # share of the picture that is black border, also in those that end at the same positions; 0 to 1
    size: tuple[int, int] | None  # width and height of its frames; None if the file is gone or has changed
    num_bytes: int
    num_cropped: int  # other copies that show more of the picture than it does
    num_mirrored: int  # that show it the other way round
    num_covered: int  # that show what an overlay on it hides
    num_faded: int  # that are bright where it is dimmed

    def is_dull(self, hues: float) -> bool:
        """Whether it has lost colours that another has."""
        return hues > _NO_HUES and self.hues < _MUCH_LESS * hues

    @property
    def num_pixels(self) -> float:
        """Of the picture without its bars."""
        return self.size[0] * self.size[1] * (1 - self.bars) if self.size else 0.0

    @property
    def is_named_a_copy(self) -> bool:
        """As file managers name them: "copy of", "Kopie", "(1)"."""
        return bool(_COPY_NAME.search(PurePath(self.name).stem.replace("_", " ")))


def copy_groups(
    shared: Sequence[Shared], tracks: Mapping[str, Track], apart: Collection[frozenset[str]] = ()
) -> tuple[CopyGroup, ...]:
    """Of sources joined by pairs that are certainly copies, which to keep, and what is nearly all in that.

    Through others, too: what is in a copy of the kept one is in the kept one, as far as that copy is. The rest of those
    that are joined make groups of their own.

    Args:
        shared: what pairs of sources have in common.
        tracks: by name of source.
        apart: names of sources of which none makes the other superfluous.
    """
    copies, groups = [one for one in shared if one.is_copy], list[CopyGroup]()
    while copies:
        joined = components((one.first, one.second) for one in copies)
        done = set[str]()
        for names in sorted({tuple(sorted({name, *others})) for name, others in joined.items()}):
            own = [one for one in copies if one.first in names]
            facts = [_facts(name, [one for one in own if name in (one.first, one.second)], tracks) for name in names]
            kept = best(facts)
            held = {
                name
                for name, share in _shares_in(kept.name, own).items()
                if share >= _NEARLY_ALL and name != kept.name and frozenset((name, kept.name)) not in apart
            }
            if others := [one for one in facts if one.name in held]:
                found = tuple(_copy(one, kept, _pair(one, kept, own, tracks), own) for one in others)
                groups.append(CopyGroup(kept.name, why_kept(kept, others), found))
            done |= {kept.name, *held}
        copies = [one for one in copies if not done & {one.first, one.second}]
    return tuple(groups)


def outside_groups(shared: Sequence[Shared], groups: Sequence[CopyGroup]) -> tuple[Shared, ...]:
    """The same, but copies of which none makes the other superfluous are parts of each other."""
    group_of = {name: group.keep for group in groups for name in (group.keep, *(one.source for one in group.copies))}
    return tuple(
        replace(one, finding="part")
        if one.finding == "copy" and group_of.get(one.first, one.first) != group_of.get(one.second, one.second)
        else one
        for one in shared
    )


def _shares_in(kept: str, pairs: Sequence[Shared]) -> dict[str, float]:
    """How much of each source is in the kept one, 0 to 1: directly, or at least, by the best way through others.

    What of another the kept one lacks may be just what both have in common.
    """
    shares, is_changed = {kept: 1.0}, True
    ways = [(one.first, one.second, one.second_share, one.first_moving, one.second_moving) for one in pairs]
    ways += [(one.second, one.first, one.first_share, one.second_moving, one.first_moving) for one in pairs]
    while is_changed:
        is_changed = False
        for near, far, share, near_moving, far_moving in ways:
            lacking = (1 - shares.get(near, 0.0)) * (near_moving / far_moving if far_moving else 1.0)
            if share - lacking > shares.get(far, 0.0) + _NEGLIGIBLE:
                shares[far], is_changed = share - lacking, True
    return shares


def _facts(name: str, pairs: Sequence[Shared], tracks: Mapping[str, Track]) -> Facts:
    track = tracks[name]
    record = track.record
    same_edges = {name}.union(*((pair.first, pair.second) for pair in pairs if pair.same_edges))
    try:
        check_unchanged(record)
        size = open_source(record.path).size()
    except (SourceError, OSError):
        size = None
    return Facts(
        record.name,
        max(record.duration_seconds, float(track.seconds[-1])),
        track.hues,
        min(tracks[other].bars.share for other in same_edges),  # where one of them shows something, none has a border
        size,
        record.num_bytes,
        num_cropped=sum(pair.cropped == name for pair in pairs),
        num_mirrored=sum(pair.mirrored for pair in pairs),
        num_covered=sum(pair.covered == name for pair in pairs),
        num_faded=sum(pair.faded == name for pair in pairs),
    )


def best(copies: Sequence[Facts]) -> Facts:
    """The one that loses least: the longest; of these the one without overlay, in colour, not cropped or dimmed, large.

    Of equals the one that is mirrored to the fewest others, with the smallest bars, the most bytes, and a name that is
    not that of a copy.
    """
    copies = [one for one in copies if one.size] or list(copies)  # a file that is gone is not to be the only one
    longest = max(one.seconds for one in copies)
    copies = [one for one in copies if one.seconds * _CLEARLY >= longest]
    copies = _smallest(copies, lambda one: one.num_covered)
    most_hues = max(one.hues for one in copies)
    copies = [one for one in copies if not one.is_dull(most_hues)]
    copies = _smallest(copies, lambda one: one.num_cropped)
    copies = _smallest(copies, lambda one: one.num_faded)
    most = max(one.num_pixels for one in copies)
    copies = [one for one in copies if one.num_pixels * _CLEARLY >= most]
    return min(
        copies,
        key=lambda one: (
            one.num_mirrored,
            round(one.bars, 2),
            -_step(one.num_bytes),
            one.is_named_a_copy,
            len(PurePath(one.name).name),
            one.name,
        ),
    )


def why_kept(kept: Facts, others: Sequence[Facts]) -> str:
    """In words, the grounds that decided against at least one of the others."""
    grounds = {
        f"{_most('long', kept.seconds, [one.seconds for one in others])}, {kept.seconds:.1f} s": any(
            one.seconds * _CLEARLY < kept.seconds for one in others
        ),
        "nothing put on it": any(one.num_covered > kept.num_covered for one in others),
        "in colour": any(one.is_dull(kept.hues) for one in others),
        "not cropped": any(one.num_cropped > kept.num_cropped for one in others),
        "not dimmed": any(one.num_faded > kept.num_faded for one in others),
        f"{_most('large', kept.num_pixels, [one.num_pixels for one in others])} picture, {_text(kept.size)}": any(
            one.size and one.num_pixels * _CLEARLY < kept.num_pixels for one in others
        ),
        "smallest bars" if kept.bars else "no bars": any(round(one.bars, 2) > round(kept.bars, 2) for one in others),
        "not mirrored": any(one.num_mirrored > kept.num_mirrored for one in others),
    }
    if kept.size:
        grounds["its file is there unchanged"] = any(one.size is None for one in others)
    named = [ground for ground, holds in grounds.items() if holds]
    most = max(one.num_bytes for one in others)
    if not named and any(_step(one.num_bytes) < _step(kept.num_bytes) for one in others):
        named = [
            f"largest file, {bytes_text(kept.num_bytes)}"
            + (f" beside {bytes_text(most)}" if most < kept.num_bytes else "")
        ]
    if not named and not kept.is_named_a_copy and any(one.is_named_a_copy for one in others):
        named = ["not named as a copy"]
    return ", ".join(named) or "they differ in name only; keep any of them"


def differences(copy: Facts, kept: Facts, pair: Shared | None) -> tuple[str, ...]:
    """In words, how a copy differs from the one that is kept; at least "re-encoded", or "identical files".

    Without a pair, as they are joined through others, by what sets them apart from these.
    """
    if pair and pair.finding == "identical files":
        return ("identical files",)
    found = {
        "its file is gone or has changed": copy.size is None,
        "mirrored": pair.mirrored if pair else copy.num_mirrored > kept.num_mirrored,
        "colours lost": copy.is_dull(kept.hues),
        "cropped": pair.cropped == copy.name if pair else copy.num_cropped > kept.num_cropped,
        "something put on it": pair.covered == copy.name if pair else copy.num_covered > kept.num_covered,
        "dimmed at times": pair.faded == copy.name if pair else copy.num_faded > kept.num_faded,
        "bars": copy.bars > kept.bars + _MIN_BARS,
        f"{_text(copy.size)} instead of {_text(kept.size)}": bool(copy.size and kept.size) and copy.size != kept.size,
        f"{kept.seconds - copy.seconds:.1f} s shorter": copy.seconds * _CLEARLY < kept.seconds,
    }
    return tuple(words for words, holds in found.items() if holds) or ("re-encoded",)


def bytes_text(num_bytes: int) -> str:
    """Such as 15.9 kB."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if num_bytes >= size:
            return f"{num_bytes / size:.1f} {unit}"
    return f"{num_bytes} bytes"


def _pair(one: Facts, kept: Facts, own: Sequence[Shared], tracks: Mapping[str, Track]) -> Shared | None:
    """What the two have in common; None if they are joined through others only."""
    if tracks[one.name].record.content == tracks[kept.name].record.content:
        return identical(kept.name, one.name)
    return next((pair for pair in own if {pair.first, pair.second} == {one.name, kept.name}), None)


def _copy(facts: Facts, kept: Facts, pair: Shared | None, own: Sequence[Shared]) -> Copy:
    known_by = pair or min(
        (one for one in own if facts.name in (one.first, one.second)), key=lambda one: one.expected_by_chance
    )
    share = 0.0 if pair is None else pair.first_share if pair.first == facts.name else pair.second_share
    return Copy(
        facts.name,
        known_by.finding,
        differences(facts, kept, pair),
        share,
        known_by.similarity,
        known_by.detail_similarity,
        known_by.expected_by_chance,
        known_by.is_upper_bound,
    )


def _step(num_bytes: int) -> int:
    """Sizes on a scale on which files are the same that hardly differ."""
    return round(math.log(max(1, num_bytes)) / math.log(_CLEARLY))


def _smallest(copies: Sequence[Facts], value: Callable[[Facts], int]) -> list[Facts]:
    smallest = min(map(value, copies))
    return [one for one in copies if value(one) == smallest]


def _most(word: str, kept: float, others: Sequence[float]) -> str:
    return f"{word.rstrip('e')}{'est' if kept >= max(others) else 'er'}"


def _text(size: tuple[int, int] | None) -> str:
    return f"{size[0]}x{size[1]}" if size else "unknown"
