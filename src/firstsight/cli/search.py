"""`firstsight search`: the moments of a library that are most like a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firstsight.cli import options as footage
from firstsight.cli.output import Display, notes, print_json
from firstsight.text import counted, printable, shortened

if TYPE_CHECKING:
    from rich.table import Table

    from firstsight.api import Library
    from firstsight.searching.search import Match, SearchResult


def print_result(result: "SearchResult", *, as_json: bool) -> None:
    """A table and a sentence, or one JSON object."""
    from firstsight.searching.verdict import verdict

    if as_json:
        print_json(result.to_json())
        return
    if result.matches or result.below:
        from rich.console import Console

        console = Console()
        width = console.width if console.is_terminal else None  # for a file or a program names stay complete
        Console(width=width or _UNLIMITED).print(_table(result, width=width))
    typer.echo(verdict(result))
    if result.num_apart:
        typer.echo(f"left out, as you set them apart: {counted(result.num_apart, 'frame')}")
    if (result.matches or result.below) and result.background.is_measured:
        typer.echo(EXPLAINED)


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


_BY_CHANCE = "by chance"
EXPLAINED = f"{_BY_CHANCE}: the share of searches for something absent that get as close."
_GAP = 2  # letters between columns
_MIN_NAME = 8  # letters
_UNLIMITED = 100_000  # letters in a line


def _table(result: "SearchResult", *, width: int | None) -> "Table":
    """A row a match; in so many columns, for which names are shortened, or with complete names."""
    from rich.table import Table
    from rich.text import Text

    names = headings(is_measured=result.background.is_measured, is_box=result.nearest.box is not None)
    rows = [_cells(match, result) for match in (*result.matches, *result.below)]
    if width is not None:
        others = [max(map(len, column)) for column in zip(names[1:], *(row[2:] for row in rows), strict=True)]
        room = max(_MIN_NAME, width - sum(others) - _GAP * len(others))
        rows = [[*_fitted(name, itself, room), *rest] for name, itself, *rest in rows]
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0))
    for number, name in enumerate(names):
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    for number, (name, itself, *rest) in enumerate(rows):
        if number == len(result.matches):
            table.add_row("-- threshold", "", "", "", f"{result.threshold:.3f}")
        table.add_row(Text(name + itself), *rest, style="dim" if number >= len(result.matches) else "")
    return table


def headings(*, is_measured: bool, is_box: bool) -> list[str]:
    """Of the table's columns."""
    measured, box = [_BY_CHANCE] if is_measured else [], ["box"] if is_box else []
    return ["source", "start", "end", "best", "similarity", *measured, *box]


def _fitted(name: str, itself: str, width: int) -> tuple[str, str]:
    """Name and remark in so many letters; the remark goes first, as the sentence below the table has it too."""
    return (name, itself) if len(name + itself) <= width else (shortened(name, width), "")


def _cells(match: "Match", result: "SearchResult") -> list[str]:
    """Name, whether it is the query, and the other columns."""
    from firstsight.searching.verdict import false_match_text

    times = (match.start_seconds, match.end_seconds, match.seconds)
    return [
        printable(match.source),
        " (the query itself)" if match.is_query else "",
        *("" if match.moment.is_picture else f"{time:.2f} s" for time in times),
        f"{match.similarity:.3f}",
        *([false_match_text(match, less_than="< ")] if result.background.is_measured else []),
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

    With --box, its content is searched for anywhere in every frame.

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
        display.rest()
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
