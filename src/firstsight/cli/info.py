"""`firstsight info`: what a run is."""

from dataclasses import asdict

import typer

from firstsight.cli import footage_options as footage
from firstsight.cli.outcome import level_table, outcome_lines
from firstsight.cli.output import print_json
from firstsight.text import printable


def command(run: footage.Run, as_json: footage.Json = False) -> None:
    """What a run holds: how it was learned, its levels, how they ended.

    Example: `firstsight info runs/bikes`
    """
    from firstsight.model.encoder import Encoder

    encoder = Encoder.load(run)
    if as_json:
        content = {
            "preprocessing": asdict(encoder.preprocessing),
            "levels": [asdict(level) for level in encoder.network.configs],
            "provenance": encoder.provenance,
        }
        print_json(content)
        return
    for name, value in _facts(encoder.provenance).items():
        typer.echo(f"{name:<14}{printable(str(value))}")
    typer.echo(f"{'input':<14}{encoder.preprocessing.describe()}")
    typer.echo(f"{'embedding':<14}{encoder.dim} numbers")
    typer.echo(level_table(encoder))
    for line in outcome_lines(encoder.provenance.get("outcome", {})):
        typer.echo(line)


def _facts(provenance: dict[str, object]) -> dict[str, object]:
    wanted = ("method", "source", "weights_file", "seed", "firstsight")
    return {name.replace("_", " "): provenance[name] for name in wanted if name in provenance}
