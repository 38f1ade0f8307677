"""`firstsight map`: a library's frames in the plane, what is alike near each other."""

from pathlib import Path
from typing import Annotated

import typer

from firstsight.cli import options as footage
from firstsight.cli.output import Display, check_out_folder, notes, print_json, say_written


def command(
    folder: footage.Library,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for map.csv, map.png and map.html.")],
    sources: footage.OnlySources = None,
    between: footage.Between = None,
    as_json: footage.Json = False,
) -> None:
    """Draw a map of a library: frames that are alike near each other. Of many frames 2,000, spread evenly, are shown.

    Example: `firstsight map walks.library --out map`
    """
    from firstsight.api import Library
    from firstsight.export.tables import write_table
    from firstsight.files import write_whole
    from firstsight.progress import Progress
    from firstsight.report.exploration import map_picture, render_map_page

    check_out_folder(out)
    library = Library.open(folder)
    with Display(notes()) as display:
        found = library.map(sources=sources, between=footage.seconds_between(between), progress=display.progress)
        write_table(found.to_arrow(), out / "map.csv")
        if as_json:
            print_json({"out": str(out), **found.to_json()})
        else:
            typer.echo(found.summary())
        display.progress(Progress("drawing", 0, None))
        write_whole(out / "map.png", map_picture(found, library.store))
        write_whole(out / "map.html", render_map_page(found, library.store).encode())
    if not as_json:
        say_written(out / "map.html", verb="open")
