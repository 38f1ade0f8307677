"""How a run went, as text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from firstsight.learning.findings import findings

if TYPE_CHECKING:
    from firstsight.model.encoder import Encoder
    from firstsight.model.level import LevelConfig
    from firstsight.model.patch_level import PatchLevelConfig

_COLLAPSED = 0.999


def level_table(encoder: "Encoder") -> str:
    """A line a level: what ended it, and how alike its maps are on frames not learned from."""
    outcome = encoder.provenance.get("outcome", {})
    ended = {check["level"]: check for check in outcome.get("levels", [])}
    health = {level["level"]: level for level in outcome.get("health", [])}
    before = {level["level"]: level for level in outcome.get("health_before", [])}
    lines = []
    configs: Sequence[LevelConfig | PatchLevelConfig] = encoder.network.configs
    for number, config in enumerate(configs, start=1):
        rows, columns = encoder.network.map_shapes[number - 1]
        line = f"level {number}  {f'{config.maps}x{rows}x{columns}':<11}  {_ended(ended.get(number), outcome):<28}"
        lines.append((line + _measured(before.get(number), health.get(number))).rstrip())
    if outcome and not health:
        lines.append("not measured on frames not learned from: the footage is too short to hold any back")
    return "\n".join(lines)


def outcome_lines(outcome: dict[str, Any]) -> list[str]:
    """What the default method found, and what it warns of."""
    return [*findings(outcome), *(f"warning: {one}" for one in outcome.get("warnings", []))]


def _ended(check: dict[str, Any] | None, outcome: dict[str, Any]) -> str:
    if check is not None:
        return f"{check['outcome']} after {check['frame'] + 1} frames"
    return "in closed form" if "embedding" in outcome else "unfinished"


def _measured(before: dict[str, Any] | None, after: dict[str, Any] | None) -> str:
    if after is None:
        return ""
    start = f"{before['mean_max_similarity']:.3f} -> " if before else ""
    frames = "frames not learned from" if before else "frames"
    text = f"max|similarity| {start}{after['mean_max_similarity']:.3f} on {after['num_frames']} {frames}"
    dead = f", {after['num_dead_maps']} dead maps" if after["num_dead_maps"] else ""
    collapsed = ", collapsed: its maps are all alike" if after["mean_similarity"] > _COLLAPSED else ""
    return text + dead + collapsed
