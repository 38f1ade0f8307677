"""`firstsight similarities`: how alike every frame is to some anchors, as a table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firstsight.cli import options as footage
from firstsight.cli.output import Display, notes
from firstsight.text import printable

if TYPE_CHECKING:
    import pyarrow as pa


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
    """Write how alike every frame is to each anchor: a row a frame, a column an anchor.

    Example: `firstsight similarities walks.library --for anchors/ --for gate.mp4@83.2 --out similarities.parquet`
    """
    from firstsight.cli.output import check_out, print_json, say_written
    from firstsight.comparison.similarities import Unseen, read_anchors, similarity_table
    from firstsight.encoder.encoder import Encoder
    from firstsight.export.tables import check_ending, write_table

    check_ending(out, (".csv", ".parquet"))
    check_out(out)
    with Display(notes()) as display:
        unseen = Unseen(target, Encoder.load(model) if model else None, frames_per_second=frames_per_second)
        known = read_anchors(anchors, unseen.encoder)
        seen = unseen.look(lambda done, total: display.show("looking", done=done, total=total, state=""))
        table = similarity_table(seen.frames, known)
    found = [_summary(table, name) for name in table.column_names[3:]]
    if as_json:
        print_json({"target": target, "out": str(out), "num_frames": len(table), "anchors": found})
        write_table(table, out)
        return
    for one in found:
        typer.echo(
            f"{printable(one['anchor'])}: mean {one['mean']:.3f}, most {one['most']:.3f} in "
            f"{printable(one['source'])} at {one['seconds']:.2f} s"
        )
    write_table(table, out)
    say_written(out, verb=f"wrote {len(table)} frames to")


def _summary(table: "pa.Table", name: str) -> dict[str, Any]:
    values = table.column(name).to_numpy()
    best = int(values.argmax())
    source, seconds = (table.column(column)[best].as_py() for column in ("source", "seconds"))
    return {
        "anchor": name,
        "mean": float(values.mean()),
        "most": float(values[best]),
        "source": source,
        "seconds": seconds,
    }
