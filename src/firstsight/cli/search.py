"""`firstsight search`: the moments of a library that are most like a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firstsight.cli import options as footage
from firstsight.cli.output import Display, notes, print_json
from firstsight.text import printable

if TYPE_CHECKING:
    from rich.table import Table

    from firstsight.api import Library
    from firstsight.searching.search import Match, SearchResult


def print_result(result: "SearchResult", *, as_json: bool) -> None:
    """A table and a sentence, or one JSON object."""
    from firstsight.report.search import verdict

    if as_json:
        print_json(result.to_json())
        return
    if result.matches or result.below:
        from rich.console import Console

        Console().print(_table(result))
    typer.echo(verdict(result))


def write_moments(result: "SearchResult", path: Path) -> None:
    """A line a moment as CSV, the best first; none but the heading if nothing was found.

    Raises:
        RunError: it cannot be written.
    """
    from firstsight.export.tables import write_csv

    rows = [
        {"rank": rank, "is_match": rank <= len(result.matches), **match.to_json()}
        for rank, match in enumerate((*result.matches, *result.below), start=1)
    ]
    columns = ["rank", "is_match", *result.nearest.to_json()]
    write_csv(path, columns, [[row[column] for column in columns] for row in rows])


def _table(result: "SearchResult") -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("source", overflow="fold")
    for name in ("start", "end", "best", "similarity"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("closer than, of unrelated pairs", justify="right")
    if result.nearest.box:
        table.add_column("box", justify="right", no_wrap=True)
    for match in result.matches:
        table.add_row(*_cells(match))
    if result.below:
        table.add_row("-- a match begins at", "", "", "", f"{result.threshold:.3f}", "")
    for match in result.below:
        table.add_row(*_cells(match), style="dim")
    return table


def _cells(match: "Match") -> list[Any]:
    from rich.text import Text

    from firstsight.report.search import share_text

    itself = " (the query itself)" if match.is_query else ""
    times = (match.start_seconds, match.end_seconds, match.seconds)
    return [
        Text(printable(match.source) + itself),  # a name may hold what rich takes for markup
        *(f"{time:.2f} s" if match.end_seconds else "" for time in times),
        f"{match.similarity:.3f}",
        share_text(match.closer_than),
        *([str(match.box)] if match.box else []),
    ]


def command(
    folder: footage.Library,
    query: Annotated[
        str,
        footage.checked(
            footage.check_query, metavar="QUERY", text="A picture, or a frame of a video by its time: walk.mp4@83.2"
        ),
    ],
    box: footage.BoxOption = None,
    k: Annotated[int, typer.Option("-k", metavar="K", help="At most so many moments.")] = 10,
    sources: footage.OnlySources = None,
    between: footage.Between = None,
    nearest: Annotated[
        bool, typer.Option("--nearest", help="Show the K nearest, match or not, and the threshold between.")
    ] = False,
    not_itself: Annotated[
        bool, typer.Option("--not-itself", help="Leave out the query's own file and its copies.")
    ] = False,
    false_match_rate: Annotated[
        float,
        typer.Option(metavar="RATE", help="Share of searches for absent things that find a match."),
    ] = 0.05,
    csv_file: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write the moments as CSV.")] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with pictures, one file.")
    ] = None,
    clips: Annotated[Path | None, typer.Option(metavar="DIR", help="Cut the moments out, a video each.")] = None,
    as_json: footage.Json = False,
) -> None:
    """Find the moments of a library that are most like a picture.

    A match is more similar than pictures that are not in the library: the threshold is measured on the library itself.
    Without a match, it says so.

    With --box, its content is searched for anywhere in every frame, for which all frames are re-embedded.

    Example: `firstsight search walks.library walks/gate.mp4@83.2 --not-itself --html gate.html`
    """
    from firstsight.api import Library
    from firstsight.cli.output import check_out, check_out_folder, say_written

    check_out(csv_file, html_file)
    if clips:
        check_out_folder(clips)
    with Library.open(folder) as library, Display(notes()) as display:
        result = library.search(
            query,
            box=box,
            k=k,
            sources=sources,
            between=footage.seconds_between(between),
            nearest=nearest,
            not_itself=not_itself,
            false_match_rate=false_match_rate,
            progress=display.progress,
        )
        print_result(result, as_json=as_json)
        if csv_file:
            write_moments(result, csv_file)
        if html_file:
            _write_page(result, library, html_file)
        written = _cut(result, library, clips, display) if clips else ()
    if not as_json:
        say_written(csv_file, html_file, *written)


def _write_page(result: "SearchResult", library: "Library", path: Path) -> None:
    from firstsight.files import write_atomically
    from firstsight.report.search import render_search_page

    write_atomically(path, render_search_page(result, library.store).encode())


def _cut(result: "SearchResult", library: "Library", folder: Path, display: Display) -> tuple[Path, ...]:
    try:
        return library.cut(result, folder, progress=display.progress)
    except KeyboardInterrupt:
        display.say(f"interrupted; the clips that were finished are kept in {folder}")
        raise typer.Exit(130) from None
