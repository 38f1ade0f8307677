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
    import pyarrow as pa

    from firstsight.exploration.layout import lay_out, spread_rows
    from firstsight.export.tables import text_column, write_table
    from firstsight.files import write_whole
    from firstsight.library.store import Store
    from firstsight.report.exploration import FrameMap, map_picture, render_map_page

    check_out_folder(out)
    library = Store.open(folder)
    meant = library.embeddings(footage.where(sources, between))
    frames = meant[spread_rows(len(meant))]
    with Display(notes()) as display:
        display.show("laying out", done=0, total=None, state=f"{len(frames)} frames")
        shown = FrameMap(library, frames, lay_out(frames.vectors), len(meant))
        table = {
            "source": text_column(frames.source_of(row) for row in range(len(frames))),
            "frame": frames.frame_indices,
            "seconds": frames.seconds,
            "x": shown.places[:, 0],
            "y": shown.places[:, 1],
        }
        write_table(pa.table(table), out / "map.csv")
        if as_json:
            print_json({"out": str(out), "num_shown": len(frames), "num_frames": len(meant)})
        else:
            typer.echo(shown.said)
        display.show("drawing", done=0, total=None, state="")
        write_whole(out / "map.png", map_picture(shown))
        write_whole(out / "map.html", render_map_page(shown).encode())
    if not as_json:
        say_written(out / "map.html", verb="open")
