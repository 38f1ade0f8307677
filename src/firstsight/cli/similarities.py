"""`firstsight similarities`: how similar every frame is to some anchors, as a table."""

from pathlib import Path
from typing import Annotated

import typer

from firstsight.cli import options as footage
from firstsight.cli.output import Display, check_out, notes, print_json, say_written
from firstsight.text import printable


def command(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="A library, a video, or a folder of them.")],
    anchors: Annotated[
        list[str],
        typer.Option("--for", metavar="ANCHOR", help="A picture, a folder of pictures, or walk.mp4@83.2; repeatable."),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Ends in .csv or .parquet.")],
    model: footage.Model = None,
    frames_per_second: footage.FramesPerSecond = 2.0,
    as_json: footage.Json = False,
) -> None:
    """Write how similar every frame is to each anchor: a row a frame, a column an anchor.

    Example: `firstsight similarities walks.library --for anchors/ --for gate.mp4@83.2 --out similarities.parquet`
    """
    from firstsight.comparison.similarities import measure_similarities
    from firstsight.encoder.encoder import Encoder
    from firstsight.export.tables import check_ending, write_table

    check_ending(out, (".csv", ".parquet"))
    check_out(out)
    encoder = Encoder.load(model) if model else None
    with Display(notes()) as display:
        found = measure_similarities(
            target, anchors, encoder=encoder, frames_per_second=frames_per_second, progress=display.progress
        )
    content = found.to_json()
    if as_json:
        print_json({**content, "out": str(out)})
    else:
        for one in content["anchors"]:
            typer.echo(
                f"{printable(one['anchor'])}: mean {one['mean']:.3f}, most {one['most']:.3f} in "
                f"{printable(one['source'])} at {one['seconds']:.2f} s"
            )
    write_table(found.to_arrow(), out)
    if not as_json:
        say_written(out, verb=f"wrote {len(found.table)} frames to")
