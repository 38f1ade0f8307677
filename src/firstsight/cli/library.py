"""`firstsight library`: what a library holds, and its upkeep."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from firstsight.cli import footage_options as footage
from firstsight.errors import SettingsError

if TYPE_CHECKING:
    from firstsight.retrieval.store.info import LibraryInfo
    from firstsight.retrieval.store.library import Library

app = typer.Typer(no_args_is_help=True, help="Look at a library, take sources out of it, tidy it up.")

_NAMES_SHOWN = 5


@app.command("info")
def info(folder: footage.Library, as_json: footage.Json = False) -> None:
    """What a library holds, what is unfinished, and what has become of its files.

    Example: `firstsight library info walks.library`
    """
    from firstsight.retrieval.store.info import info as look
    from firstsight.retrieval.store.library import Library

    library = Library.open(folder)
    found = look(library)
    if as_json:
        sources = [{**asdict(record), "path": str(record.path)} for record in library.sources]
        settled = {"library": str(folder), **asdict(library.config)}
        typer.echo(json.dumps({**settled, **asdict(found), "sources": sources}))
        return
    for name, value in _facts(library, found).items():
        typer.echo(f"{name:<12}{value}")


@app.command("remove")
def remove(
    folder: footage.Library,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[SOURCE]...", help="Names as info has them, or quoted patterns.")
    ] = None,
    missing: Annotated[bool, typer.Option("--missing", help="All whose files are gone.")] = False,
) -> None:
    """Take sources out of a library. Their files are not touched.

    Example: `firstsight library remove walks.library --missing`
    """
    from firstsight.retrieval.indexing.indexing import missing_sources
    from firstsight.retrieval.indexing.indexing import remove as take_out
    from firstsight.retrieval.store.library import Library

    library = Library.open(folder)
    gone = [record.name for record in missing_sources(library)] if missing else []
    if not (names or missing):
        raise SettingsError("no source given; name some as `firstsight library info` has them, or say --missing")
    removed = take_out(library, [*(names or []), *gone]) if names or gone else []
    for record in removed:
        typer.echo(f"removed {record.name}, {record.num_frames} frames")
    typer.echo(f"{folder} holds {library.num_frames} frames of {len(library.sources)} sources")


@app.command("compact")
def compact(folder: footage.Library) -> None:
    """Give disk space back: join small files, forget what was removed. Nobody else should be reading meanwhile.

    Example: `firstsight library compact walks.library`
    """
    from firstsight.retrieval.indexing.estimate import megabytes
    from firstsight.retrieval.store.library import Library
    from firstsight.retrieval.store.upkeep import compact as tidy_up

    before, after = tidy_up(Library.open(folder))
    typer.echo(f"{folder} takes {megabytes(after)}, {megabytes(before)} before")


def _facts(library: "Library", found: "LibraryInfo") -> dict[str, str]:
    from firstsight.retrieval.indexing.estimate import megabytes

    config = library.config
    rate = f"{config.frames_per_second:g} frames a second" if config.every is None else f"every {config.every}. frame"
    minutes, seconds = divmod(round(found.duration_seconds), 60)
    length = f"{minutes // 60}:{minutes % 60:02}:{seconds:02} of video"
    facts = {
        "library": str(library.path),
        "encoder": f"{library.fingerprint}, {library.dim} numbers a frame",
        "sampling": f"{rate}, unless a source was given another",
        "frames": f"{found.num_frames} of {found.num_sources} sources, {length}",
        "on disk": megabytes(found.num_bytes),
        "search": found.index.describe() if found.index else "exact: every frame is compared",
    }
    unfinished = {
        "partial": (found.partial, "index them again to go on"),
        "missing": (found.missing, "drop them with: firstsight library remove LIBRARY --missing"),
        "changed": (found.changed, "index them again"),
    }
    facts |= {what: f"{_listed(names)}; {cure}" for what, (names, cure) in unfinished.items() if names}
    if found.num_skipped:
        facts["lost"] = f"{found.num_skipped} frames could not be decoded"
    return facts


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more
