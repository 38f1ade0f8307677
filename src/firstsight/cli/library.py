"""`firstsight library`: what a library holds, and its upkeep."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from firstsight.cli import options as footage
from firstsight.cli.index import listed
from firstsight.cli.output import print_json
from firstsight.errors import SettingsError
from firstsight.text import counted, printable

if TYPE_CHECKING:
    from firstsight.library.maintenance import LibraryInfo
    from firstsight.library.records import SourceRecord


app = typer.Typer(
    no_args_is_help=True,
    help="""Inspect a library, remove sources, compact and check it.

    Example: `firstsight library info walks.library`
    """,
)


@app.command("info", cls=footage.WithoutEmptyValues)
def info(folder: footage.Library, as_json: footage.Json = False) -> None:
    """Show what a library holds, what is unfinished, and the state of its files.

    Example: `firstsight library info walks.library`
    """
    from firstsight.api import Library

    with Library.open(folder) as library:
        found = library.info()
    if as_json:
        print_json(found.to_json())
        return
    for name, value in _facts(found).items():
        typer.echo(f"{name:<12}{printable(str(value))}")


@app.command("sources", cls=footage.WithoutEmptyValues)
def sources(folder: footage.Library, as_json: footage.Json = False) -> None:
    """List the sources of a library, with frames, state and rate.

    Also the length, and the frames that could not be decoded. A state is: there, changed, gone, unreachable (the folder
    of its file is missing or cannot be read), partial (its indexing was interrupted) or failed (it cannot be read, with
    the reason).

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


@app.command("remove", cls=footage.WithoutEmptyValues)
def remove(
    folder: footage.Library,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SOURCE]...", help="Names as `library sources` has them, or quoted patterns."),
    ] = None,
    missing: Annotated[bool, typer.Option("--missing", help="All sources whose files are gone.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="With --missing: also where all files of a folder are gone.")
    ] = False,
) -> None:
    """Remove sources from a library, not their files.

    A source that cannot be reached, such as on a share that is not mounted, is not missing, and stays.

    Example: `firstsight library remove walks.library --missing`
    """
    from firstsight.api import Library

    if not (names or missing):
        raise SettingsError("no source given; name some as `firstsight library sources` has them, or give --missing")
    with Library.open(folder) as library:
        removed = list(library.remove(*names)) if names else []
        if missing:
            found = library.remove_missing(is_sure=yes)
            _say_kept(found.unreachable, "cannot be reached: their folders are missing or cannot be read")
            _say_kept(
                found.doubtful,
                "gone, and so is all else of their folders: if that is right, give --yes, or name them",
            )
            removed += found.removed
        for record in removed:
            typer.echo(f"removed {printable(record.name)}, {counted(record.num_frames, 'frame')}")
        typer.echo(
            f"{printable(folder)} holds {counted(library.num_frames, 'frame')} of "
            f"{counted(len(library.store.sources), 'source')}"
        )


def _say_kept(names: Sequence[str], why: str) -> None:
    if names:
        typer.echo(f"kept {len(names)} ({why}): {listed(names)}")


@app.command("compact", cls=footage.WithoutEmptyValues)
def compact(folder: footage.Library) -> None:
    """Free disk space: join small files, delete removed rows.

    What other processes are reading is kept.

    Example: `firstsight library compact walks.library`
    """
    from firstsight.api import Library
    from firstsight.indexing.estimate import megabytes

    with Library.open(folder) as library:
        done = library.compact()
    typer.echo(f"{printable(folder)} takes {megabytes(done.bytes_after)}, {megabytes(done.bytes_before)} before")
    if done.is_read:
        typer.echo("another process has it open: what was removed or replaced is kept for it; compact again later")


@app.command("check", cls=footage.WithoutEmptyValues)
def check(folder: footage.Library, as_json: footage.Json = False) -> None:
    """Check a library for damage: settings, encoder, every row.

    The exit code is 1 if it is damaged. Nothing is changed. For its sources' files, see `library info`.

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

    config, sources = found.config, counted(found.num_sources, "source")
    rate = rate_in_words(config.sampling_for(Sampling()))
    facts = {
        "library": found.library,
        "encoder": f"{config.fingerprint}, {config.dim} numbers a frame",
        "sampling": f"{rate}, unless a source was given another",
        "frames": f"{found.num_frames} of {sources}, {_clock(found.duration_seconds)} of video",
        "on disk": megabytes(found.num_bytes),
        "search": found.index.describe() if found.index else "exact: every frame is compared",
    }
    unfinished = {
        "partial": (found.partial, "index them again to go on"),
        "failed": (found.failed, "could not be read; `firstsight library sources LIBRARY` shows why"),
        "missing": (found.missing, "their files are gone; drop them with: firstsight library remove LIBRARY --missing"),
        "unreachable": (found.unreachable, "the folders of their files are not there: mount them, or put them back"),
        "changed": (found.changed, "index them again"),
    }
    facts |= {what: f"{listed(names)}; {cure}" for what, (names, cure) in unfinished.items() if names}
    if found.num_skipped:
        lost = [f"{source.num_skipped} of {source.name}" for source in found.sources if source.num_skipped]
        facts["lost"] = f"{found.num_skipped} frames could not be decoded: {listed(lost)}"
    return facts
