"""`firstsight align`: which moments of one video are which moments of another."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firstsight.cli import footage_options as footage
from firstsight.cli.display import Display, notes
from firstsight.errors import SettingsError

if TYPE_CHECKING:
    from firstsight.retrieval.comparing.seen import Seen
    from firstsight.retrieval.comparing.warping import Path as Aligned

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
    """Find the stretch that two videos share, and which moment of it is which, also at another pace.

    Example: `firstsight align monday.mp4 tuesday.mp4 --model runs/walks --out aligned.png --csv aligned.csv`
    """
    from firstsight.export.tables import write_table
    from firstsight.files import write_whole
    from firstsight.model.encoder import Encoder
    from firstsight.report.alignment import alignment_picture
    from firstsight.retrieval.comparing.seen import see
    from firstsight.retrieval.comparing.warping import align, pairs_table

    encoder = Encoder.load(model) if model else None
    with Display(notes()) as display:
        seen = [
            _one_source(
                see(
                    target,
                    encoder,
                    frames_per_second=frames_per_second,
                    progress=lambda done, total: display.show("looking", done=done, total=total, state=""),
                )
            )
            for target in (first, second)
        ]
        frames = [one.frames for one in seen]
        path, gains = align(frames[0].vectors @ frames[1].vectors.T)
        table = pairs_table(path, *frames)
        if csv_file:
            write_table(table, csv_file)
        if out:
            write_whole(out, alignment_picture(seen, gains, path))
    pairs: list[dict[str, Any]] = table.to_pylist()
    if as_json:
        names = {"first": first, "second": second, "score": path.score}
        typer.echo(json.dumps({**names, "num_frames": [len(one) for one in frames], "pairs": pairs}))
        return
    typer.echo(_text(seen, path, pairs))
    for file in (out, csv_file):
        if file:
            typer.echo(f"wrote {file}")


def _one_source(seen: "Seen") -> "Seen":
    if len(seen.frames.sources) > 1:
        raise SettingsError(f"{seen.name} holds {len(seen.frames.sources)} videos; valid is one against one: name it")
    return seen


def _text(seen: "list[Seen]", path: "Aligned", pairs: list[dict[str, Any]]) -> str:
    if not pairs:
        return f"{seen[0].name} and {seen[1].name} share no stretch: no pair of frames is more alike than usual"
    ends = [(pairs[0][key], pairs[-1][key]) for key in ("first_seconds", "second_seconds")]
    stretches = " is ".join(
        f"{one.name} from {start:.2f} s to {end:.2f} s" for one, (start, end) in zip(seen, ends, strict=True)
    )
    shown = pairs[:: max(1, -(-len(pairs) // _LINES))]
    lines = [
        f"{one['first_seconds']:>9.2f} s {one['second_seconds']:>9.2f} s {one['similarity']:>11.3f}" for one in shown
    ]
    heading = f"{'first':>11} {'second':>11} {'similarity':>11}"
    return "\n".join([f"{stretches}; score {path.score:.1f}", heading, *lines])
