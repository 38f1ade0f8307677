"""`firstsight export`: a library's frames for other programs."""

import json
from pathlib import Path
from typing import Annotated

import typer

from firstsight.cli import footage_options as footage


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
    from firstsight.export.library_files import export_library
    from firstsight.retrieval.store.library import Library

    num_frames = export_library(Library.open(folder), out, where=footage.where(sources, between))
    if as_json:
        typer.echo(json.dumps({"library": str(folder), "out": str(out), "num_frames": num_frames}))
        return
    typer.echo(f"wrote {num_frames} frames to {out}")
