"""`firstsight novelty`: when does a camera show what it has not shown before?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firstsight.cli import options as footage
from firstsight.cli.output import Display, check_out, notes, print_json, say_written
from firstsight.text import printable

if TYPE_CHECKING:
    from firstsight.monitoring.episodes import Episode
    from firstsight.monitoring.novelty import Scored


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
    from firstsight.monitoring.novelty import find_novel, new_from, score_novelty

    trigger = new_from(least)
    check_out(csv_file)
    encoder = Encoder.load(run)
    source = footage.open_footage(sources, start, end, None, frames_per_second)
    total, scored = source.num_frames(), []
    with Display(notes()) as display:
        for one in score_novelty(encoder, source):
            scored.append(one)
            display.show("looking", done=len(scored), total=total, state="")
    found = find_novel(trigger, scored)
    if as_json:
        print_json({"num_frames": len(scored), "episodes": [_record(*one) for one in found]})
    else:
        typer.echo(_table(found, len(scored), with_files=len({one.source for one in scored}) > 1))
    if csv_file:
        _write(scored, csv_file)
    if not as_json:
        say_written(csv_file)


def _record(source: str, episode: "Episode") -> dict[str, Any]:
    return {
        "source": source,
        "start_seconds": episode.start_seconds,
        "end_seconds": episode.last_seconds,
        "peak_seconds": episode.peak_seconds,
        "novelty": episode.peak,
    }


def _write(scored: "list[Scored]", path: Path) -> None:
    """A line a frame; no number while it is being learned what is usual."""
    from firstsight.export.tables import write_csv

    rows = (
        [one.source, f"{one.seconds:.6f}", one.frame_index, None if one.score is None else f"{one.score:.4f}"]
        for one in scored
    )
    write_csv(path, ["source", "seconds", "frame", "novelty"], rows)


def _table(found: "tuple[tuple[str, Episode], ...]", num_frames: int, *, with_files: bool) -> str:
    if not found:
        return f"nothing new in {num_frames} frames"
    lines = ["   start       end      most   novelty" + ("  file" if with_files else "")]
    for source, one in found:
        line = f"{one.start_seconds:>8.2f}  {one.last_seconds:>8.2f}  {one.peak_seconds:>8.2f}  {one.peak:>8.1f}"
        lines.append(f"{line}  {printable(source)}" if with_files else line)
    return "\n".join(lines)
