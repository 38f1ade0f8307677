"""`firstsight search`: which moments of a library are like a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firstsight.cli import options as footage
from firstsight.cli.output import Display, notes, print_json
from firstsight.text import printable

if TYPE_CHECKING:
    from rich.table import Table

    from firstsight.library.store import Store
    from firstsight.searching.search import Match, SearchResult
if TYPE_CHECKING:
    from firstsight.library.store import Store
    from firstsight.searching.search import SearchResult


def print_result(result: "SearchResult", library: "Store", *, as_json: bool) -> None:
    """A table and a sentence, or one JSON object."""
    from firstsight.report.search import verdict

    if as_json:
        print_json(_content(result, library))
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
        {"rank": rank, "is_match": rank <= len(result.matches), **_record(match)}
        for rank, match in enumerate((*result.matches, *result.below), start=1)
    ]
    columns = ["rank", "is_match", *_record(result.nearest)]
    write_csv(path, columns, [[row[column] for column in columns] for row in rows])


def _content(result: "SearchResult", library: "Store") -> dict[str, Any]:
    background = result.background
    return {
        "library": str(library.path),
        "query": result.query.place.name,
        "box": str(result.box) if result.box else None,
        "is_match": result.is_match,
        "matches": [_record(match) for match in result.matches],
        "num_matches": result.num_matches,
        "nearest": _record(result.nearest),
        "below": [_record(match) for match in result.below],
        "threshold": result.threshold,
        "false_match_rate": result.false_match_rate,
        "num_frames": result.num_frames,
        "num_sources": result.num_sources,
        "is_complete": result.is_complete,
        "background": {
            "is_measured": background.is_measured,
            "num_pairs": len(background.pairs),
            "num_decoys": len(background.decoys),
        },
    }


def _record(match: "Match") -> dict[str, Any]:
    moment = match.moment
    return {
        "source": moment.source,
        "start_seconds": moment.start_seconds,
        "end_seconds": moment.end_seconds,
        "best_seconds": moment.best_seconds,
        "best_frame": moment.best_frame_index,
        "similarity": moment.score,
        "closer_than": match.closer_than,
        "false_match_probability": match.false_match_probability,
        "is_query": match.is_query,
        **_place(match),
    }


def _place(match: "Match") -> dict[str, int]:
    """Where in the best frame a region is, and of how large a picture that is told; nothing of a whole frame."""
    if match.place is None:
        return {}
    box, (width, height) = match.place.box, match.place.size
    inside = {"x": box.x, "y": box.y, "width": box.width, "height": box.height}
    return {**inside, "picture_width": width, "picture_height": height}


def _table(result: "SearchResult") -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("source", overflow="fold")
    for name in ("start", "end", "best", "similarity"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("closer than, of unrelated pairs", justify="right")
    if result.nearest.place:
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

    moment = match.moment
    itself = " (the query itself)" if match.is_query else ""
    times = (moment.start_seconds, moment.end_seconds, moment.best_seconds)
    return [
        Text(printable(moment.source) + itself),  # a name may hold what rich takes for markup
        *(f"{time:.2f} s" if moment.end_seconds else "" for time in times),
        f"{moment.score:.3f}",
        share_text(match.closer_than),
        *([str(match.place.box)] if match.place else []),
    ]


def command(
    folder: footage.Library,
    query: Annotated[
        str, typer.Argument(metavar="QUERY", help="A picture, or a frame of a video by its time: walk.mp4@83.2")
    ],
    box: footage.BoxOption = None,
    k: Annotated[int, typer.Option("-k", metavar="K", help="How many moments at most.")] = 10,
    sources: footage.OnlySources = None,
    between: footage.Between = None,
    nearest: Annotated[
        bool, typer.Option("--nearest", help="Show the K nearest, match or not, with the line where a match begins.")
    ] = False,
    not_itself: Annotated[
        bool, typer.Option("--not-itself", help="Leave out the query's own file, and copies of it.")
    ] = False,
    false_match_rate: Annotated[
        float,
        typer.Option(metavar="RATE", help="Of searches for something that is not there, the share to get a match."),
    ] = 0.05,
    csv_file: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write the moments as CSV.")] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with pictures, one file.")
    ] = None,
    clips: Annotated[Path | None, typer.Option(metavar="DIR", help="Cut the moments out, a video each.")] = None,
    as_json: footage.Json = False,
) -> None:
    """Find the moments of a library that are most like a picture, or say that there is none.

    A match is more alike than what is not there would be: the library itself tells how alike that is.

    With --box, what lies in it is looked for anywhere in every frame. All frames are embedded anew for that.

    Example: `firstsight search walks.library walks/gate.mp4@83.2 --not-itself --html gate.html`
    """
    from firstsight.cli.output import check_out, check_out_folder, say_written
    from firstsight.library.store import Store

    check_out(csv_file, html_file)
    if clips:
        check_out_folder(clips)
    where = footage.where(sources, between)
    with Store.open(folder) as library, Display(notes()) as display:
        options = {
            "k": k,
            "where": where,
            "nearest": nearest,
            "not_itself": not_itself,
            "false_match_rate": false_match_rate,
        }
        result = _search(library, query, box, options, display)
        print_result(result, library, as_json=as_json)
        if csv_file:
            write_moments(result, csv_file)
        if html_file:
            _write_page(result, library, html_file)
        written = _cut(result, library, clips, display) if clips else []
    if not as_json:
        say_written(csv_file, html_file, *written)


def _search(library: "Store", text: str, box: str | None, options: dict[str, Any], display: Display) -> "SearchResult":
    from firstsight.searching.query import read_query
    from firstsight.searching.region_search import search_region
    from firstsight.searching.regions import Box
    from firstsight.searching.search import search

    query = read_query(text, library.encoder)
    if box is None:
        what = "measuring what is normal in this library: some seconds, once"
        return search(library, query, measuring=lambda: display.say(what), **options)
    total = None if options["where"] else library.num_frames
    what = "measuring what is normal for boxes of this size: once, and about twice as long as a search"
    return search_region(
        library,
        query,
        Box.parse(box),
        measuring=lambda: display.say(what),
        progress=lambda done: display.show("looking", done=done, total=total, state=""),
        **options,
    )


def _write_page(result: "SearchResult", library: "Store", path: Path) -> None:
    from firstsight.files import write_whole
    from firstsight.report.search import render_search_page

    write_whole(path, render_search_page(result, library).encode())


def _cut(result: "SearchResult", library: "Store", folder: Path, display: Display) -> list[Path]:
    """The moments of videos as files; a picture cannot be cut."""
    from firstsight.export.clips import Stretch, write_clips

    records = {record.name: record for record in library.sources}
    moments = [match.moment for match in result.matches if not records[match.moment.source].is_picture]
    stretches = [
        Stretch(records[one.source].path, one.start_seconds, one.end_seconds, records[one.source]) for one in moments
    ]
    total = len(stretches)
    try:
        return write_clips(
            stretches,
            folder,
            progress=lambda done: display.show("cutting", done=done, total=total, state=""),
            left_out=display.say,
        )
    except KeyboardInterrupt:
        display.say(f"interrupted; the clips that were finished are kept in {folder}")
        raise typer.Exit(130) from None
