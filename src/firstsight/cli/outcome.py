"""How a run went, as text."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from firstsight.model.encoder import Encoder

_COLLAPSED = 0.999


def level_table(encoder: "Encoder") -> str:
    """A line a level: what ended it, and how alike its maps are on frames not learned from."""
    outcome = encoder.provenance.get("outcome", {})
    ended = {check["level"]: check for check in outcome.get("levels", [])}
    health = {level["level"]: level for level in outcome.get("health", [])}
    before = {level["level"]: level for level in outcome.get("health_before", [])}
    lines = []
    for number, config in enumerate(encoder.network.configs, start=1):
        size = encoder.network.map_sizes[number - 1]
        line = f"level {number}  {f'{config.maps}x{size}x{size}':<11}  {_ended(ended.get(number)):<26}"
        lines.append((line + _measured(before.get(number), health.get(number))).rstrip())
    if outcome and not health:
        lines.append("not measured on frames not learned from: the footage is too short to hold any back")
    return "\n".join(lines)


def _ended(check: dict[str, Any] | None) -> str:
    return "unfinished" if check is None else f"{check['outcome']} after {check['frame'] + 1} frames"


def _measured(before: dict[str, Any] | None, after: dict[str, Any] | None) -> str:
    if after is None:
        return ""
    start = f"{before['mean_max_similarity']:.3f} -> " if before else ""
    text = f"max|similarity| {start}{after['mean_max_similarity']:.3f} on {after['num_frames']} frames not learned from"
    dead = f", {after['num_dead_maps']} dead maps" if after["num_dead_maps"] else ""
    collapsed = ", collapsed: its maps are all alike" if after["mean_similarity"] > _COLLAPSED else ""
    return text + dead + collapsed
