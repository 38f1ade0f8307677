"""`firstsight align`: which moments of one video are which moments of another."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firstsight.cli import options as footage
from firstsight.cli.output import Display, check_out, notes, print_json, say_written
from firstsight.text import printable

if TYPE_CHECKING:
    from firstsight.comparison.align import Alignment

_LINES = 12  # of the table on the screen


def command(
    first: Annotated[str, typer.Argument(metavar="A", help="A video, or a library of one.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another.")],
    model: footage.Model = None,
    out: Annotated[Path | None, typer.Option(metavar="PNG", help="Draw the similarities and the path.")] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write the pairs of moments.")] = None,
    frames_per_second: footage.FramesPerSecond = 2.0,
    as_json: footage.Json = False,
) -> None:
    """Find the part that two videos share, and which moment of it is which, also at another pace.

    Example: `firstsight align monday.mp4 tuesday.mp4 --model runs/walks --out aligned.png --csv aligned.csv`
    """
    from firstsight.comparison.align import align
    from firstsight.encoder.encoder import Encoder
    from firstsight.export.tables import check_ending, write_table

    if csv_file:
        check_ending(csv_file, (".csv", ".parquet"))
    check_out(out, csv_file)
    encoder = Encoder.load(model) if model else None
    with Display(notes()) as display:
        found = align(first, second, encoder=encoder, frames_per_second=frames_per_second, progress=display.progress)
    if as_json:
        print_json(found.to_json())
    else:
        typer.echo(_text(found))
    if csv_file:
        write_table(found.to_arrow(), csv_file)
    if out:
        from firstsight.files import write_whole
        from firstsight.report.timeline import alignment_picture

        write_whole(out, alignment_picture(found))
    if not as_json:
        say_written(out, csv_file)


def _text(found: "Alignment") -> str:
    names = [printable(one.name) for one in (found.first, found.second)]
    pairs = found.to_arrow().to_pylist()
    if not pairs:
        return f"{names[0]} and {names[1]} share nothing: no pair of frames is more similar than usual"
    ends = [(pairs[0][key], pairs[-1][key]) for key in ("first_seconds", "second_seconds")]
    parts = " is ".join(
        f"{name} from {start:.2f} s to {end:.2f} s" for name, (start, end) in zip(names, ends, strict=True)
    )
    shown = pairs[:: max(1, -(-len(pairs) // _LINES))]
    lines = [
        f"{one['first_seconds']:>9.2f} s {one['second_seconds']:>9.2f} s {one['similarity']:>11.3f}" for one in shown
    ]
    heading = f"{'first':>11} {'second':>11} {'similarity':>11}"
    return "\n".join([f"{parts}; score {found.path.score:.1f}", heading, *lines])
