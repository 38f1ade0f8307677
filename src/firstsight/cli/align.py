"""`firstsight align`: which moments of one video are which moments of another."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firstsight.cli import options as footage
from firstsight.cli.output import Display, check_out, notes, print_json, say_written
from firstsight.errors import SettingsError
from firstsight.text import printable

if TYPE_CHECKING:
    from firstsight.comparison.align import WarpingPath as Aligned
    from firstsight.comparison.similarities import Seen


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
    from firstsight.comparison.align import align, check_pairs, pairs_table
    from firstsight.comparison.similarities import Unseen
    from firstsight.encoder.encoder import Encoder
    from firstsight.export.tables import check_ending, write_table
    from firstsight.files import write_whole
    from firstsight.report.timeline import alignment_picture

    if csv_file:
        check_ending(csv_file, (".csv", ".parquet"))
    check_out(out, csv_file)
    encoder = Encoder.load(model) if model else None
    footages = [Unseen(target, encoder, frames_per_second=frames_per_second) for target in (first, second)]
    for one in footages:
        _check_single(one.name, one.num_files)
    with Display(notes()) as display:
        seen = [
            one.look(lambda done, total: display.show("looking", done=done, total=total, state="")) for one in footages
        ]
        frames = [one.frames for one in seen]
        for name, found in zip((one.name for one in seen), frames, strict=True):
            _check_single(name, len(found.sources))
        check_pairs(*(len(one) for one in frames))
        path, gains = align(
            frames[0].vectors @ frames[1].vectors.T,
            progress=lambda done: display.show("aligning", done=done, total=len(frames[0]), state=""),
        )
    table = pairs_table(path, *frames)
    pairs: list[dict[str, Any]] = table.to_pylist()
    if as_json:
        names = {"first": first, "second": second, "score": path.score}
        print_json({**names, "num_frames": [len(one) for one in frames], "pairs": pairs})
    else:
        typer.echo(_text(seen, path, pairs))
    if csv_file:
        write_table(table, csv_file)
    if out:
        write_whole(out, alignment_picture(seen, gains, path))
    if not as_json:
        say_written(out, csv_file)


def _check_single(name: str, num_files: int | None) -> None:
    """Raises a SettingsError if there are several videos."""
    if num_files is not None and num_files > 1:
        raise SettingsError(f"{printable(name)} holds {num_files} videos; valid is one against one: name it")


def _text(seen: "list[Seen]", path: "Aligned", pairs: list[dict[str, Any]]) -> str:
    if not pairs:
        first, second = (printable(one.name) for one in seen)
        return f"{first} and {second} share no stretch: no pair of frames is more alike than usual"
    ends = [(pairs[0][key], pairs[-1][key]) for key in ("first_seconds", "second_seconds")]
    stretches = " is ".join(
        f"{printable(one.name)} from {start:.2f} s to {end:.2f} s" for one, (start, end) in zip(seen, ends, strict=True)
    )
    shown = pairs[:: max(1, -(-len(pairs) // _LINES))]
    lines = [
        f"{one['first_seconds']:>9.2f} s {one['second_seconds']:>9.2f} s {one['similarity']:>11.3f}" for one in shown
    ]
    heading = f"{'first':>11} {'second':>11} {'similarity':>11}"
    return "\n".join([f"{stretches}; score {path.score:.1f}", heading, *lines])
