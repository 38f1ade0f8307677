"""`firstsight neighbours`: which pictures of a folder are most like an anchor."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from firstsight.cli import options as footage
from firstsight.cli.output import Display, check_out, notes, print_json, say_written
from firstsight.text import printable

if TYPE_CHECKING:
    from firstsight.comparison.neighbours import Neighbourhood


def command(
    run: footage.Run,
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="Pictures; the names of subfolders are labels.")],
    anchor: Annotated[list[Path], typer.Option(metavar="IMAGE", help="A picture to compare with; may be repeated.")],
    k: Annotated[int, typer.Option("-k", metavar="K", help="How many neighbours.")] = 10,
    measure: Annotated[
        Literal["pearson", "cosine"] | None,
        typer.Option("--similarity", help="By default pearson for the predecessor's runs, cosine for others."),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="PNG", help="Write a picture of anchors and neighbours.")] = None,
    as_json: footage.Json = False,
) -> None:
    """List the pictures of a folder that are most like an anchor.

    Example: `firstsight neighbours runs/digits digits/ --anchor digits/5/17.png -k 10 --out nearest.png`
    """
    from firstsight.comparison.neighbours import nearest_pictures
    from firstsight.encoder.encoder import Encoder

    check_out(out)
    encoder = Encoder.load(run)
    with Display(notes()) as display:
        found = nearest_pictures(encoder, folder, anchor, k=k, measure=measure, progress=display.progress)
    if as_json:
        print_json({"run": str(run), "folder": folder, "anchors": [one.to_json() for one in found]})
    else:
        for one in found:
            typer.echo(_table(one))
    if out:
        from firstsight.files import write_whole
        from firstsight.report.drawing import neighbours_picture

        write_whole(out, neighbours_picture(found))
    if not as_json:
        say_written(out)


def _table(found: "Neighbourhood") -> str:
    labels = [printable(one.label) for one in found.neighbours]
    width = max(len(label) for label in ("label", *labels))
    lines = [f"{printable(found.anchor)}:", f"rank  similarity  {'label':<{width}}  file"]
    lines += [
        f"{rank:>4}  {one.similarity:>10.3f}  {label:<{width}}  {printable(one.frame.source)}"
        for rank, (one, label) in enumerate(zip(found.neighbours, labels, strict=True), start=1)
    ]
    return "\n".join(lines)
