"""What the default method found, in words."""

from collections.abc import Mapping
from typing import Any


def findings(outcome: Mapping[str, Any]) -> list[str]:
    """Lines on what the footage is, how far the embedding spreads, and what each level adds.

    Args:
        outcome: as in the provenance of an encoder; one of the article's method gives no line.
    """
    if not {"embedding", "footage"} <= outcome.keys():
        return []
    kind, embedding = outcome["footage"], outcome["embedding"]
    order = "frames in order of time" if kind["ordered"] else "pictures in no order"
    view = ", the view moves" if kind["moving"] else ", the view stands still" if kind["ordered"] else ""
    mirror = ", left and right alike" if kind["mirror"] else ""
    lines = [
        f"footage: {order}{view}{mirror}",
        (
            f"embedding: {kind['dim']} numbers, effective rank {embedding['effective_rank']:.0f}, "
            f"mean distance of two frames {embedding['spread']:.2f}"
        ),
    ]
    return [*lines, *_contribution_lines(kind["contributions"])]


def _contribution_lines(levels: list[dict[str, Any]]) -> list[str]:
    """What each level adds: how many frames are found again after a change of view, light or noise."""
    if any(level["after_change"] is None for level in levels) or not any(level["kept"] for level in levels):
        return []
    shares = [f"{100 * level['after_change']:.0f} %" for level in levels if level["kept"]]
    steps = [f"level 1 {shares[0]}", *(f"with level {n} {share}" for n, share in enumerate(shares[1:], start=2))]
    line = f"found again after a change of view, light or noise: {', '.join(steps)}"
    return [line, *(f"level {level['level']} adds nothing: not kept" for level in levels if not level["kept"])]
