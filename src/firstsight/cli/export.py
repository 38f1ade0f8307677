"""`firstsight export`: a library's frames for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from firstsight.cli import options as footage
from firstsight.cli.output import Display, check_out, notes, print_json
from firstsight.text import printable


def command(
    folder: footage.Library,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Ends in .npz, .csv or .parquet, or is called samples.json.")
    ],
    sources: footage.OnlySources = None,
    between: footage.Between = None,
    as_json: footage.Json = False,
) -> None:
    """Write a library's vectors, with source, frame and time, for other programs.

    A samples.json gets the thumbnails beside it, in the layout that FiftyOne imports as FiftyOneDataset.

    Example: `firstsight export walks.library --out walks.parquet`
    """
    from firstsight.api import Library
    from firstsight.export.library_files import check_export

    check_export(out)
    check_out(out)
    with Library.open(folder) as library, Display(notes()) as display:
        found = library.export(
            out, sources=sources, between=footage.seconds_between(between), progress=display.progress
        )
    if as_json:
        print_json(found.to_json())
        return
    typer.echo(f"wrote {found.num_frames} frames to {printable(out)}")
