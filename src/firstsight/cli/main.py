"""The command `firstsight`: collects the commands, and turns an error into one line and exit code 2."""

import os
import sys
from typing import Annotated

import typer

from firstsight.cli import (
    align,
    clusters,
    compare,
    duplicates,
    evaluate,
    export,
    frame_map,
    index,
    info,
    keyframes,
    learn,
    library,
    neighbours,
    novelty,
    scenes,
    search,
    similarities,
    watch,
)
from firstsight.errors import FirstsightError

app = typer.Typer(
    name="firstsight",
    help="Learns to see from your own video: a small encoder from unlabelled footage, on a CPU.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.command("learn")(learn.command)
app.command("compare")(compare.command)
app.command("neighbours")(neighbours.command)
app.command("evaluate")(evaluate.command)
app.command("index")(index.command)
app.add_typer(library.app, name="library")
app.command("search")(search.command)
app.command("duplicates")(duplicates.command)
app.command("keyframes")(keyframes.command)
app.command("clusters")(clusters.command)
app.command("scenes")(scenes.command)
app.command("novelty")(novelty.command)
app.command("watch")(watch.command)
app.command("align")(align.command)
app.command("similarities")(similarities.command)
app.command("map")(frame_map.command)
app.command("export")(export.command)
app.command("info")(info.command)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"firstsight {version('firstsight')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


# By default the threads of PyTorch spin while they wait for each other. On a machine that does something else as well
# they then wait for a thread that is not running, and learning is ten times slower; giving up soon costs a tenth on an
# idle one. Read by GNU OpenMP when it is loaded, about 0.1 ms of spinning.
_SPIN_COUNT = "10000"


def main() -> None:
    """Runs the command line."""
    os.environ.setdefault("GOMP_SPINCOUNT", _SPIN_COUNT)
    os.environ.setdefault("LANCEDB_LOG", "error")  # it warns of every table that it is told to create
    try:
        app()
    except FirstsightError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename or 'the system'}: {error.strerror or error}; check the path, its rights and the disk")


def _fail(message: str) -> None:
    sys.stdout.flush()
    typer.echo(f"error: {' '.join(message.split())}", err=True)
    sys.exit(2)
