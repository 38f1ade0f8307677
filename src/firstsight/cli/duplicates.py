"""`firstsight duplicates`: copies among the clips and frames of a library, and which to keep."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firstsight.cli import options as footage
from firstsight.cli.output import Display, check_out, notes, print_json, say_written
from firstsight.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from firstsight.copies.duplicates import Duplicates, RepeatedFrame
    from firstsight.copies.shared_footage import Shared


_ALL = 0.995  # of a copy, which is not said
_RUNS_SHOWN = 3  # of repeated frames, the longest


def command(
    folder: footage.Library,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write all pairs, a line each, as a table.")
    ] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with the pairs side by side, one file.")
    ] = None,
    as_json: footage.Json = False,
) -> None:
    """Find clips and frames that are copies, and which to keep.

    Copies are found if they were re-encoded, shrunk, cropped, zoomed, recoloured, mirrored, cut, or given a logo or
    bars. Two takes before one camera are no copies, nor are two similar places; doubtful pairs are listed as "perhaps".
    Copies at another speed are not found: `firstsight align` finds them. Nothing is deleted.

    Example: `firstsight duplicates films.library --html duplicates.html`
    """
    from firstsight.api import Library

    check_out(csv_file, html_file)
    library = Library.open(folder)
    with Display(notes()) as display:
        try:
            found = library.duplicates(progress=display.progress)
        except KeyboardInterrupt:
            display.say(f"interrupted; {folder} is as it was")
            raise typer.Exit(130) from None
    if as_json:
        print_json(found.to_json())
    else:
        typer.echo(_text(found))
    if csv_file:
        _write_csv(found, csv_file)
    if html_file:
        from firstsight.files import write_atomically
        from firstsight.report.duplicates import render_duplicates_page

        write_atomically(html_file, render_duplicates_page(found, library.store).encode())
    if not as_json:
        say_written(csv_file, html_file)


def _text(found: "Duplicates") -> str:
    from firstsight.report.duplicates import not_compared

    return "\n".join([*_copies(found), *_parts(found), *_doubtful(found), *_repeated(found), *not_compared(found)])


def _copies(found: "Duplicates") -> list[str]:
    from firstsight.report.duplicates import certainty, copies_line

    lines = []
    for group in found.groups:
        lines.append(f"keep {printable(group.keep)}: {group.why}")
        for copy in group.copies:
            share = f", {copy.share:.0%} of it" if 0 < copy.share < _ALL else ""
            how = "" if copy.finding == "identical files" else f" ({certainty(copy)}{share})"
            lines.append(f"     {printable(copy.source)}: {', '.join(copy.differs)}{how}")
    return [*lines, copies_line(found)]


def _parts(found: "Duplicates") -> list[str]:
    from firstsight.report.duplicates import certainty, surest_first

    return [f"part: {_where(one)} ({certainty(one)})" for one in surest_first(found.shared) if one.finding == "part"]


def _doubtful(found: "Duplicates") -> list[str]:
    from firstsight.report.duplicates import LEGEND, certainty, surest_first

    doubtful = [one for one in surest_first(found.shared) if one.finding == "perhaps"]
    lines = [f"perhaps, they are similar: {_where(one)} ({certainty(one)})" for one in doubtful]
    return [*lines, LEGEND] if any(one.finding != "identical files" for one in found.shared) else lines


def _where(one: "Shared") -> str:
    if not one.stretches:
        return f"{printable(one.first)} and {printable(one.second)}"
    at = max(one.stretches, key=lambda stretch: stretch.first_end - stretch.first_start)
    num_more = len(one.stretches) - 1
    more = f", and {num_more} shorter {'stretch' if num_more == 1 else 'stretches'}" if num_more else ""
    verb = "and" if one.finding == "perhaps" else "is in"
    return (
        f"{printable(one.first)} from {at.first_start:.1f} s to {at.first_end:.1f} s {verb} {printable(one.second)} "
        f"from {at.second_start:.1f} s{more}"
    )


def _repeated(found: "Duplicates") -> list[str]:
    from firstsight.report.duplicates import repeated_line, repeated_runs

    how = f": nowhere do they differ by more than {found.noise:.0f} grey levels" if found.repeated_frames else ""
    lines = [repeated_line(found) + how]
    runs = repeated_runs(found.repeated_frames)
    lines += [f"     {_run(run)}" for run in runs[:_RUNS_SHOWN]]
    if len(runs) > _RUNS_SHOWN:
        lines.append(f"     and {len(runs) - _RUNS_SHOWN} shorter runs (--json has every frame)")
    if found.num_blank_frames:
        num = found.num_blank_frames
        frames = (
            "1 blank frame, of one tone everywhere, is"
            if num == 1
            else f"{num} blank frames, of one tone everywhere, are"
        )
        lines.append(f"{frames} not counted as repeated")
    return lines


def _run(run: "Sequence[RepeatedFrame]") -> str:
    first, last = run[0], run[-1]
    return (
        f"{len(run)} in {printable(first.source)} from {first.seconds:.1f} s to {last.seconds:.1f} s, "
        f"such as {printable(first.of_source)} at {first.of_seconds:.1f} s"
    )


def _write_csv(found: "Duplicates", path: Path) -> None:
    from firstsight.export.tables import write_csv

    table = found.to_arrow()
    write_csv(path, table.column_names, [tuple(row.values()) for row in table.to_pylist()])
