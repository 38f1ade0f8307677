"""What a search found, for people, for programs and for spreadsheets."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from firstsight.cli.output import print_json
from firstsight.text import printable

if TYPE_CHECKING:
    from rich.table import Table

    from firstsight.retrieval.searching.search import Match, SearchResult
    from firstsight.retrieval.store.library import Library


def print_result(result: "SearchResult", library: "Library", *, as_json: bool) -> None:
    """A table and a sentence, or one JSON object."""
    from firstsight.report.search_words import verdict

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


def _content(result: "SearchResult", library: "Library") -> dict[str, Any]:
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

    from firstsight.report.search_words import share_text

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
