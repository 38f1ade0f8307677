"""`firstsight novelty`: when does a camera show what it has not shown before?"""

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firstsight.cli import footage_options as footage
from firstsight.cli.display import Display, notes

if TYPE_CHECKING:
    from firstsight.retrieval.watching.episodes import Episode
    from firstsight.retrieval.watching.novelty import Scored


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
    from firstsight.files import write_whole
    from firstsight.model.encoder import Encoder
    from firstsight.retrieval.watching.episodes import find_episodes
    from firstsight.retrieval.watching.novelty import new_from, score_novelty

    trigger = new_from(least)
    encoder = Encoder.load(run)
    source = footage.open_footage(sources, start, end, None, frames_per_second)
    total, scored = source.num_frames(), []
    with Display(notes()) as display:
        for one in score_novelty(encoder, source):
            scored.append(one)
            display.show("looking", done=len(scored), total=total, state="")
    episodes = find_episodes(trigger, ((one.seconds, one.score) for one in scored))
    if csv_file:
        write_whole(csv_file, _table_file(scored).encode())
    if as_json:
        typer.echo(json.dumps({"num_frames": len(scored), "episodes": [_record(one) for one in episodes]}))
        return
    typer.echo(_table(episodes, len(scored)))
    if csv_file:
        typer.echo(f"wrote {csv_file}")


def _record(episode: "Episode") -> dict[str, float]:
    return {
        "start_seconds": episode.start_seconds,
        "end_seconds": episode.last_seconds,
        "peak_seconds": episode.peak_seconds,
        "novelty": episode.peak,
    }


def _table_file(scored: "list[Scored]") -> str:
    """A line a frame; no number while it is being learned what is usual."""
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(["source", "seconds", "frame", "novelty"])
    for one in scored:
        score = "" if one.score is None else f"{one.score:.4f}"
        writer.writerow([one.source, f"{one.seconds:.6f}", one.frame_index, score])
    return content.getvalue()


def _table(episodes: "tuple[Episode, ...]", num_frames: int) -> str:
    if not episodes:
        return f"nothing new in {num_frames} frames"
    heading = "   start       end      most   novelty"
    lines = [
        f"{one.start_seconds:>8.2f}  {one.last_seconds:>8.2f}  {one.peak_seconds:>8.2f}  {one.peak:>8.1f}"
        for one in episodes
    ]
    return "\n".join([heading, *lines])
