"""`firstsight search`: which moments of a library are like a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firstsight.cli import footage_options as footage
from firstsight.cli.display import Display, notes

if TYPE_CHECKING:
    from firstsight.retrieval.searching.search import SearchResult
    from firstsight.retrieval.store.library import Library


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
    from firstsight.cli.search_output import print_result, write_moments
    from firstsight.retrieval.store.library import Library

    check_out(csv_file, html_file)
    if clips:
        check_out_folder(clips)
    where = footage.where(sources, between)
    with Library.open(folder) as library, Display(notes()) as display:
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


def _search(
    library: "Library", text: str, box: str | None, options: dict[str, Any], display: Display
) -> "SearchResult":
    from firstsight.retrieval.regions.box import Box
    from firstsight.retrieval.searching.query import read_query
    from firstsight.retrieval.searching.region_search import search_region
    from firstsight.retrieval.searching.search import search

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


def _write_page(result: "SearchResult", library: "Library", path: Path) -> None:
    from firstsight.files import write_whole
    from firstsight.report.search_page import render_search_page

    write_whole(path, render_search_page(result, library).encode())


def _cut(result: "SearchResult", library: "Library", folder: Path, display: Display) -> list[Path]:
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
