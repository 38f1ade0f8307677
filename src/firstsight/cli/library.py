"""`firstsight library`: what a library holds, and its upkeep."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from firstsight.cli import options as footage
from firstsight.cli.index import listed
from firstsight.cli.output import print_json
from firstsight.errors import SettingsError
from firstsight.text import printable

if TYPE_CHECKING:
    from firstsight.library.maintenance import LibraryInfo
    from firstsight.library.records import SourceRecord


app = typer.Typer(no_args_is_help=True, help="Look at a library, take sources out of it, tidy it up.")


@app.command("info")
def info(folder: footage.Library, as_json: footage.Json = False) -> None:
    """What a library holds, what is unfinished, and what has become of its files.

    Example: `firstsight library info walks.library`
    """
    from firstsight.api import Library

    with Library.open(folder) as library:
        found = library.info()
    if as_json:
        print_json(found.to_json())
        return
    for name, value in _facts(found).items():
        typer.echo(f"{name:<12}{value}")


@app.command("sources")
def sources(folder: footage.Library, as_json: footage.Json = False) -> None:
    """All sources of a library, a line each: frames, length, frames that could not be decoded, state, rate and name.

    A state is: there, changed, gone, unreachable (the folder of its file is not there, or cannot be looked into),
    partial (its indexing was interrupted) or failed (it cannot be read; the reason stands below).

    Example: `firstsight library sources walks.library`
    """
    from firstsight.api import Library

    with Library.open(folder) as library:
        found = library.sources
    if as_json:
        print_json(found.to_json())
        return
    typer.echo(f"{'frames':>7}  {'length':>9}  {'lost':>5}  {'state':<11}  {'rate':<20}  name")
    for record, state in zip(found.records, found.states, strict=True):
        typer.echo(_line(record, state))


@app.command("remove")
def remove(
    folder: footage.Library,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SOURCE]...", help="Names as `library sources` has them, or quoted patterns."),
    ] = None,
    missing: Annotated[bool, typer.Option("--missing", help="All whose files are gone from their folders.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="With --missing: also where no file of a folder is left, as if not mounted.")
    ] = False,
) -> None:
    """Take sources out of a library. Their files are not touched.

    What cannot be reached at the moment, such as a share that is not mounted, is not missing, and stays.

    Example: `firstsight library remove walks.library --missing`
    """
    from firstsight.api import Library

    if not (names or missing):
        raise SettingsError("no source given; name some as `firstsight library sources` has them, or say --missing")
    with Library.open(folder) as library:
        removed = list(library.remove(*names)) if names else []
        if missing:
            found = library.remove_missing(is_sure=yes)
            _say_kept(found.unreachable, "cannot be reached: their folders are not there, or cannot be looked into")
            _say_kept(
                found.doubtful,
                "gone, and so is all else of their folders: if these are in use, say --yes, or name them",
            )
            removed += found.removed
        for record in removed:
            typer.echo(f"removed {printable(record.name)}, {record.num_frames} frames")
        typer.echo(f"{folder} holds {library.num_frames} frames of {len(library.store.sources)} sources")


def _say_kept(names: Sequence[str], why: str) -> None:
    if names:
        typer.echo(f"kept {len(names)} ({why}): {listed(names)}")


@app.command("compact")
def compact(folder: footage.Library) -> None:
    """Give disk space back: join small files, forget what was removed. What others are reading meanwhile is kept.

    Example: `firstsight library compact walks.library`
    """
    from firstsight.api import Library
    from firstsight.indexing.estimate import megabytes

    with Library.open(folder) as library:
        done = library.compact()
    typer.echo(f"{folder} takes {megabytes(done.bytes_after)}, {megabytes(done.bytes_before)} before")
    if done.is_read:
        typer.echo("another process has it open: what was removed or replaced is kept for it; compact again later")


@app.command("check")
def check(folder: footage.Library, as_json: footage.Json = False) -> None:
    """Check whether a library is whole: its settings, its encoder, and every row of its tables. Exit code 1 if not.

    Nothing is changed. The files that it was made from are not looked at: `library info` does that.

    Example: `firstsight library check walks.library`
    """
    from firstsight.library.maintenance import check as check_library

    found = check_library(folder)
    if as_json:
        print_json(found.to_json())
    else:
        for line in (*found.whole, *found.remarks):
            typer.echo(printable(line))
        for line in found.damages:
            typer.echo(printable(f"damaged: {line}"))
    raise typer.Exit(0 if found.is_whole else 1)


def _line(record: "SourceRecord", state: str) -> str:
    from firstsight.library.records import rate_in_words

    rate = "picture" if record.is_picture else rate_in_words(record.sampling)
    numbers = f"{record.num_frames:7}  {_clock(record.duration_seconds):>9}  {record.num_skipped:5}"
    line = f"{numbers}  {state:<11}  {rate:<20}  {printable(record.name)}"
    return f"{line}\n{'':18}{printable(record.reason)}" if record.reason else line


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _facts(found: "LibraryInfo") -> dict[str, str]:
    from firstsight.footage.sampling import Sampling
    from firstsight.indexing.estimate import megabytes
    from firstsight.library.records import rate_in_words

    config = found.config
    rate = rate_in_words(config.sampling_for(Sampling()))
    facts = {
        "library": found.library,
        "encoder": f"{config.fingerprint}, {config.dim} numbers a frame",
        "sampling": f"{rate}, unless a source was given another",
        "frames": f"{found.num_frames} of {found.num_sources} sources, {_clock(found.duration_seconds)} of video",
        "on disk": megabytes(found.num_bytes),
        "search": found.index.describe() if found.index else "exact: every frame is compared",
    }
    unfinished = {
        "partial": (found.partial, "index them again to go on"),
        "failed": (found.failed, "could not be read; `firstsight library sources LIBRARY` says why"),
        "missing": (found.missing, "their files are gone; drop them with: firstsight library remove LIBRARY --missing"),
        "unreachable": (found.unreachable, "the folders of their files are not there: mount them, or put them back"),
        "changed": (found.changed, "index them again"),
    }
    facts |= {what: f"{listed(names)}; {cure}" for what, (names, cure) in unfinished.items() if names}
    if found.num_skipped:
        lost = [f"{one.num_skipped} of {one.name}" for one in found.sources if one.num_skipped]
        facts["lost"] = f"{found.num_skipped} frames could not be decoded: {listed(lost)}"
    return facts
