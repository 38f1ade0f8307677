"""Clips that are one: groups of copies, what to keep of each, and how the others differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from firstsight.retrieval.copies.kept import Facts, best, differences, facts_of, why_kept
from firstsight.retrieval.copies.shared_footage import Shared
from firstsight.retrieval.copies.signature import Track


@dataclass(frozen=True)
class Copy:
    """A clip that another one makes superfluous."""

    source: str
    differs: tuple[str, ...]  # how, in words
    share: float  # of what moves in it, that is in the clip that is kept; 0 if it is known through a third clip only


@dataclass(frozen=True)
class CopyGroup:
    """Clips that are one."""

    keep: str
    why: str
    copies: tuple[Copy, ...]  # by name


def copy_groups(shared: Sequence[Shared], tracks: Mapping[str, Track]) -> tuple[CopyGroup, ...]:
    """Clips joined by pairs that are copies, directly or through a third one.

    Args:
        shared: what pairs have in common.
        tracks: of all sources, by name.
    """
    copies = [one for one in shared if one.is_copy]
    groups: dict[str, set[str]] = {}
    for one in copies:
        joined = groups.get(one.first, {one.first}) | groups.get(one.second, {one.second})
        groups |= dict.fromkeys(joined, joined)
    unique = {min(group): sorted(group) for group in groups.values()}
    return tuple(_group(unique[first], copies, tracks) for first in sorted(unique))


def _group(names: Sequence[str], copies: Sequence[Shared], tracks: Mapping[str, Track]) -> CopyGroup:
    own = {_key(one.first, one.second): one for one in copies if one.first in names}
    facts = [_facts(name, own, tracks[name]) for name in names]
    kept = best(facts)
    others = [one for one in facts if one.name != kept.name]
    told = tuple(_copy(one, kept, own.get(_key(one.name, kept.name))) for one in others)
    return CopyGroup(kept.name, why_kept(kept, others), told)


def _facts(name: str, own: Mapping[frozenset[str], Shared], track: Track) -> Facts:
    pairs = [pair for key, pair in own.items() if name in key]
    return facts_of(
        track,
        num_cropped=sum(pair.cropped == name for pair in pairs),
        num_mirrored=sum(pair.mirrored for pair in pairs),
        num_covered=sum(pair.covered == name for pair in pairs),
    )


def _copy(facts: Facts, kept: Facts, pair: Shared | None) -> Copy:
    if pair is None:
        return Copy(facts.name, differences(facts, kept, mirrored=False, cropped=False, covered=False), 0.0)
    words = differences(
        facts,
        kept,
        mirrored=pair.mirrored,
        cropped=pair.cropped == facts.name,
        covered=pair.covered == facts.name,
    )
    return Copy(facts.name, words, pair.first_share if pair.first == facts.name else pair.second_share)


def _key(one: str, other: str) -> frozenset[str]:
    return frozenset((one, other))
