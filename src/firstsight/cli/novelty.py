"""`firstsight novelty`: when does a camera show what it has not shown before?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firstsight.cli import options as footage
from firstsight.cli.output import Display, check_out, notes, print_json, say_written
from firstsight.text import printable

if TYPE_CHECKING:
    from firstsight.monitoring.novelty import NoveltyScores


def command(
    run: footage.Run,
    sources: footage.Sources,
    least: Annotated[
        float | None,
        typer.Option(metavar="X", help="New is what deviates so many times as much as is usual; 8 by default."),
    ] = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write the score of each frame.")
    ] = None,
    start: footage.Start = None,
    end: footage.End = None,
    frames_per_second: footage.FramesPerSecond = 2.0,
    as_json: footage.Json = False,
) -> None:
    """Find when a camera that stands still shows what it has not shown before.

    The first five seconds show what is usual, best an empty view. A thing that stays is usual after a quarter of an
    hour or so. Best the run was learned from the same camera.

    Example: `firstsight novelty runs/hall hall.mp4 --csv novelty.csv`
    """
    from firstsight.encoder.encoder import Encoder
    from firstsight.export.tables import write_rounded
    from firstsight.monitoring.novelty import detect_novelty, new_from

    new_from(least)
    check_out(csv_file)
    encoder = Encoder.load(run)
    source = footage.open_footage(sources, start, end, None, frames_per_second)
    with Display(notes()) as display:
        found = detect_novelty(encoder, source, novel_from=least, progress=display.progress)
    if as_json:
        print_json(found.to_json())
    else:
        typer.echo(_table(found))
    if csv_file:
        write_rounded(found.to_arrow(), csv_file, digits={"seconds": 6, "novelty": 4})
    if not as_json:
        say_written(csv_file)


def _table(found: "NoveltyScores") -> str:
    if not found.episodes:
        return f"nothing new in {len(found.frames)} frames"
    with_files = len({one.source for one in found.frames}) > 1
    lines = ["   start       end      most   novelty" + ("  file" if with_files else "")]
    for one in found.episodes:
        line = f"{one.start_seconds:>8.2f}  {one.end_seconds:>8.2f}  {one.peak_seconds:>8.2f}  {one.novelty:>8.1f}"
        lines.append(f"{line}  {printable(one.source)}" if with_files else line)
    return "\n".join(lines)
