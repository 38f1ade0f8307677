"""The command `firstsight`: collects the commands, and turns an error into one line and exit code 2."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from firstsight.cli import (
    align,
    article,
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
from firstsight.process import keep_freed_memory
from firstsight.text import printable

_CODE = 130
_LAST_WORDS = b"\ninterrupted again: ended at once; what was saved before is whole\n"


@contextmanager
def ending_at_the_second_ctrl_c() -> Iterator[None]:
    """Within it the first Ctrl-C raises KeyboardInterrupt, and the next one ends the process with one line.

    So what cleans up after the first is never interrupted half-way in Python. The process may end at any moment anyhow:
    files are written atomically, and libraries survive it. Where Ctrl-C is ignored, as in the background, it stays so.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _First())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _First:
    """A handler that raises once."""

    def __init__(self) -> None:
        self._was_pressed = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        if self._was_pressed:
            os.write(2, _LAST_WORDS)
            os._exit(_CODE)
        self._was_pressed = True
        raise KeyboardInterrupt


# By default the threads of PyTorch spin while they wait for each other. On a machine that does something else as well
# they then wait for a thread that is not running, and learning is ten times slower; giving up soon costs a tenth on an
# idle one. Read by GNU OpenMP when it is loaded, about 0.1 ms of spinning.
_SPIN_COUNT = "10000"
_INTERRUPTED, _BROKEN_PIPE = 130, 141  # as a shell tells of a program that a signal ended


class _Commands(TyperGroup):
    """All commands, and what ends each of them early."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401  # typer keeps the type to itself
        """The command of that name; `learn` with the article's options is `article`."""
        if args[:1] == ["learn"]:
            own, usual = (
                {name for one in self.commands[command].params for name in one.opts} for command in ("article", "learn")
            )
            if article.is_asked_for(args[1:], only_here=own - usual):
                return "article", self.commands["article"], args[1:]
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401  # typer keeps the type to itself
        """Runs one; a Ctrl-C that it does not hear itself is told here."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            raise typer.Exit(_INTERRUPTED) from None
        except BrokenPipeError:
            raise typer.Exit(_without_a_reader()) from None


app = typer.Typer(
    name="firstsight",
    cls=_Commands,
    help="Learns to see from your own video: a small encoder from unlabelled footage, on a CPU.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.command("learn")(learn.command)
app.command("article")(article.command)
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


def main() -> None:
    """Runs the command line."""
    os.environ.setdefault("GOMP_SPINCOUNT", _SPIN_COUNT)
    os.environ.setdefault("LANCEDB_LOG", "error")  # it warns of every table that it is told to create
    _open_standard_streams()
    keep_freed_memory()
    try:
        with ending_at_the_second_ctrl_c():
            app()
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    except FirstsightError as error:
        code = _said(str(error))
    except OSError as error:
        code = _said(
            f"{error.filename or 'the system'}: {error.strerror or error}; check the path, its rights and the disk"
        )
    except KeyboardInterrupt:
        code = _INTERRUPTED
    sys.exit(code or _flushed())


def _open_standard_streams() -> None:
    """Puts nothing in the place of streams that were closed, so that no file that is opened gets their number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115  # as long as the process lives


def _flushed() -> int:
    """Writes what is still to be written; the exit code."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return _without_a_reader()
    except OSError as error:
        return _said(f"standard output cannot be written: {error.strerror}")
    return 0


def _without_a_reader() -> int:
    """Nobody reads the output any more: ends as other programs do, silently, also when Python flushes at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return _BROKEN_PIPE


def _said(message: str) -> int:
    """The message as one line after what was printed before it; the exit code."""
    try:
        sys.stdout.flush()
    except OSError:
        _without_a_reader()  # or it is tried again at the very end
    typer.echo(f"error: {printable(' '.join(message.split()))}", err=True)
    return 2
