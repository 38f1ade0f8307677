"""How a run went, as text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

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


def closed_form_lines(outcome: dict[str, Any]) -> list[str]:
    """What the default method found the footage to be, and what there is to say of the embedding."""
    if "embedding" not in outcome:
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
    return [*lines, *_contribution_lines(kind["contributions"]), *(f"warning: {one}" for one in outcome["warnings"])]


def _contribution_lines(levels: list[dict[str, Any]]) -> list[str]:
    """What each level adds: how many frames are found again after a change of view, light or noise."""
    if not levels or levels[0]["after_change"] is None:
        return []
    shares = [f"{100 * level['after_change']:.0f} %" for level in levels if level["kept"]]
    steps = [f"level 1 {shares[0]}", *(f"with level {n} {share}" for n, share in enumerate(shares[1:], start=2))]
    line = f"found again after a change of view, light or noise: {', '.join(steps)}"
    return [line, *(f"level {level['level']} adds nothing: not kept" for level in levels if not level["kept"])]


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
