"""`firstsight info`: what a run holds."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from firstsight.cli import options as footage
from firstsight.cli.output import print_json
from firstsight.text import printable

if TYPE_CHECKING:
    from firstsight.encoder.encoder import Encoder


_COLLAPSED = 0.999


def level_table(encoder: "Encoder") -> str:
    """A line a level: what ended it, and how similar its maps are."""
    from firstsight.quality.health import is_held_out

    outcome = encoder.provenance.get("outcome", {})
    ended = {check["level"]: check for check in outcome.get("levels", [])}
    health = {level["level"]: level for level in outcome.get("health", [])}
    before = {level["level"]: level for level in outcome.get("health_before", [])}
    lines, frames = [], "frames not learned from" if is_held_out(outcome) else "frames"
    for number, shape in enumerate(encoder.shapes, start=1):
        line = f"level {number}  {shape!s:<11}  {_ended(ended.get(number), outcome):<28}"
        lines.append((line + _measured(before.get(number), health.get(number), frames)).rstrip())
    if outcome.get("levels") and not health:
        lines.append("its maps were not measured")
    return "\n".join(lines)


def outcome_lines(outcome: dict[str, Any]) -> list[str]:
    """What the default method found, and its warnings."""
    from firstsight.quality.health import findings

    return [*findings(outcome), *(f"warning: {printable(str(warning))}" for warning in outcome.get("warnings", []))]


def _ended(check: dict[str, Any] | None, outcome: dict[str, Any]) -> str:
    if check is not None:
        return f"{check['outcome']} after {check['frame'] + 1} frames"
    if not outcome:
        return "not known"
    return "in closed form" if "embedding" in outcome else "unfinished"


def _measured(before: dict[str, Any] | None, after: dict[str, Any] | None, frames: str) -> str:
    if after is None:
        return ""
    start = f"{before['mean_max_similarity']:.3f} -> " if before else ""
    text = f"max|similarity| {start}{after['mean_max_similarity']:.3f} on {after['num_frames']} {frames}"
    dead = f", {after['num_dead_maps']} dead maps" if after["num_dead_maps"] else ""
    collapsed = ", collapsed: its maps are all alike" if after["mean_similarity"] > _COLLAPSED else ""
    return text + dead + collapsed


def normal_facts(run: Path) -> dict[str, Any] | None:
    """How much normal footage the run remembers, and which rate of false alarms that shows; None without a memory."""
    from firstsight.normality.memory import Memory

    memory = Memory.load(run)
    return memory.promised() if memory else None


def command(run: footage.Run, as_json: footage.Json = False) -> None:
    """Show how a run was learned, its levels, and how they ended.

    Example: `firstsight info runs/bikes`
    """
    from firstsight.encoder.encoder import Encoder
    from firstsight.normality.memory import Memory

    encoder = Encoder.load(run)
    if as_json:
        print_json({**encoder.model.config(), "provenance": encoder.provenance, "normal": normal_facts(run)})
        return
    for name, value in _facts(encoder.provenance).items():
        typer.echo(f"{name:<14}{printable(str(value))}")
    typer.echo(f"{'input':<14}{encoder.view.describe()}")
    typer.echo(f"{'embedding':<14}{encoder.dim} numbers")
    typer.echo(level_table(encoder))
    for line in outcome_lines(encoder.provenance.get("outcome", {})):
        typer.echo(line)
    if memory := Memory.load(run):
        typer.echo(memory.promise())


def _facts(provenance: dict[str, object]) -> dict[str, object]:
    wanted = ("method", "source", "weights_file", "seed", "firstsight")
    return {name.replace("_", " "): provenance[name] for name in wanted if name in provenance}
