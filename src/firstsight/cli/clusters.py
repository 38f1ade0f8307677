"""`firstsight clusters`: what there is in a library."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firstsight.cli import options as footage
from firstsight.cli.output import Display, check_out, notes, print_json, say_written
from firstsight.text import printable

if TYPE_CHECKING:
    from firstsight.exploration.clusters import Clusters


_SOURCES_SHOWN = 3


def command(
    folder: footage.Library,
    num: Annotated[
        int | None,
        typer.Option("-k", metavar="K", help="How many groups; by default as many as hold together best."),
    ] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with pictures, one file.")
    ] = None,
    as_json: footage.Json = False,
) -> None:
    """Tell what there is in a library: groups of frames that are alike, how much of it each is, and when.

    Example: `firstsight clusters walks.library --html clusters.html`
    """
    from firstsight.api import Library

    check_out(html_file)
    library = Library.open(folder)
    with Display(notes()) as display:
        found = library.clusters(num, progress=display.progress)
    if as_json:
        print_json(found.to_json())
    else:
        typer.echo(_table(found, pictures={record.name for record in library.store.sources if record.is_picture}))
    if html_file:
        from firstsight.files import write_whole
        from firstsight.report.exploration import render_clusters_page

        write_whole(html_file, render_clusters_page(found, library.store).encode())
    if not as_json:
        say_written(html_file)


def _table(found: "Clusters", *, pictures: Collection[str]) -> str:
    lines = ["share   frames  apart  for example                     sources"]
    for one in found.clusters:
        time = "" if one.exemplar_source in pictures else f"@{one.exemplar_seconds:.2f}"
        example = printable(one.exemplar_source) + time
        names = [f"{printable(name)} ({count})" for name, count in one.sources[:_SOURCES_SHOWN]]
        more = len(one.sources) - len(names)
        listed = ", ".join(names) + (f" and {more} more" if more else "")
        listed += " (mixed)" if one.is_mixed else ""
        lines.append(f"{100 * one.share:>4.1f} %  {one.num_frames:>6}  {one.silhouette:>5.2f}  {example:<30}  {listed}")
    lines.append(f"{len(found.clusters)} groups of {found.num_frames} frames, mean silhouette {found.silhouette:.2f}")
    if any(one.is_mixed for one in found.clusters):
        lines.append("mixed: its frames are hardly more like each other than like the next group's (apart: silhouette)")
    return "\n".join(lines)
