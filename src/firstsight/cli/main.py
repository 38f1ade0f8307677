"""The command `firstsight`: collects the commands, and turns an error into one line and exit code 2."""

import atexit
import builtins
import gc
import inspect
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import FrameType, ModuleType
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from firstsight.cli import (
    article,
    compare,
    duplicates,
    evaluate,
    explore,
    index,
    info,
    learn,
    library,
    scenes,
    search,
    serve,
    watch,
)
from firstsight.cli.options import WithoutEmptyValues
from firstsight.errors import FirstsightError
from firstsight.process import keep_freed_memory
from firstsight.text import printable

_EXAMPLE = "Example: "
_MAX_WIDTH = 100  # columns, on a terminal that has them

# typer keeps the types of commands, parameters and formatters to itself.
Command = Any


def asked_for(group: Command, context: typer.Context, arguments: list[str]) -> typer.Context | None:
    """The context of the command whose help the arguments ask for; None if they ask for none.

    Found from the words alone, as checking the options beside --help takes longer than printing it.
    """
    command = group
    for word in arguments:
        if word == "--help":
            return context
        inner = getattr(command, "commands", {}).get(word)
        if word == "--" or (inner is None and _is_command(word, command)):
            return None
        if inner is not None:
            command, context = inner, typer.Context(inner, info_name=word, parent=context)
    return context if command is not group and hasattr(command, "commands") else None


def _is_command(word: str, command: Command) -> bool:
    """Whether the word has to name a command, as it stands where a command is expected."""
    return hasattr(command, "commands") and not word.startswith("-")


def help_text(context: typer.Context) -> str:
    """The help of the context's command."""
    command: Command = context.command
    context.max_content_width = _MAX_WIDTH
    formatter = context.make_formatter()
    command.format_usage(context, formatter)
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        formatter.write_paragraph()
        with formatter.indentation():
            _write_paragraph(formatter, paragraph)
    for title, rows in (*_commands_of(command), *_parameters(command, context)):
        with formatter.section(title):
            formatter.write_dl(rows)
    text: str = formatter.getvalue()
    return text.rstrip("\n")


def _write_paragraph(formatter: Any, paragraph: str) -> None:  # noqa: ANN401
    """Wrapped; an example on one line whatever its length, to be copied."""
    text = " ".join(paragraph.split())
    if not text.startswith(_EXAMPLE):
        formatter.write_text(text)
        return
    formatter.write(f"{'':{formatter.current_indent}}{_EXAMPLE}{text.removeprefix(_EXAMPLE).strip('`')}\n")


def _commands_of(command: Command) -> list[tuple[str, list[tuple[str, str]]]]:
    """By group, each command with the first sentence of its help."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for name, inner in getattr(command, "commands", {}).items():
        groups.setdefault(inner.rich_help_panel or "Commands", []).append((name, summary(inner)))
    return list(groups.items())


def summary(command: Command) -> str:
    """The first sentence of a command's help."""
    return " ".join((command.help or "").split("\n\n")[0].split()).split(". ")[0].rstrip(".")


def _parameters(command: Command, context: typer.Context) -> list[tuple[str, list[tuple[str, str]]]]:
    """By group: arguments, options, and options with a group of their own."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(context):
        usual = "Arguments" if parameter.param_type_name == "argument" else "Options"
        record = parameter.get_help_record(context)
        if record is not None:
            groups.setdefault(getattr(parameter, "rich_help_panel", None) or usual, []).append(record)
    return list(groups.items())


_CODE = 130
_LAST_WORDS = b"\ninterrupted again: ended at once; what was saved before is intact\n"


@contextmanager
def ending_at_the_second_ctrl_c() -> Iterator["CtrlC"]:
    """Within it the first Ctrl-C raises KeyboardInterrupt, and the next one ends the process with one line.

    So what cleans up after the first is never interrupted half-way in Python. The process may end at any moment anyhow:
    files are written atomically, and libraries survive it. Where Ctrl-C is ignored, as in the background, it stays so.
    """
    before, ctrl_c, plain_import = signal.getsignal(signal.SIGINT), CtrlC(), builtins.__import__
    if threading.current_thread() is not threading.main_thread() or before is not signal.default_int_handler:
        yield ctrl_c
        return
    signal.signal(signal.SIGINT, ctrl_c)
    builtins.__import__ = ctrl_c.waiting_for(plain_import)
    try:
        yield ctrl_c
    finally:
        builtins.__import__ = plain_import
        if ctrl_c.exit_code is None:
            signal.signal(signal.SIGINT, before)


class CtrlC:
    """A handler that raises once, and not while a module is being imported: then as soon as the import is done.

    PyTorch imports Python modules while C++ sets it up, where an exception would abort the process.

    Attributes:
        exit_code: with which a further Ctrl-C ends the process at once, without a line, as its work is over; None while
            it is not.
    """

    def __init__(self) -> None:
        self.exit_code: int | None = None
        self._was_pressed = False
        self._is_waiting = False  # pressed during an import
        self._num_imports = 0  # within each other, now, in the main thread
        self._thread = threading.get_ident()

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        """Raises KeyboardInterrupt, notes that it has to be raised, or ends the process."""
        if self.exit_code is not None:
            os._exit(self.exit_code)
        if self._was_pressed:
            os.write(2, _LAST_WORDS)
            os._exit(_CODE)
        self._was_pressed = True
        if self._num_imports:
            self._is_waiting = True
        else:
            raise KeyboardInterrupt

    def waiting_for(self, plain_import: Callable[..., ModuleType]) -> Callable[..., ModuleType]:
        """The import statement's function; in the main thread Ctrl-C takes effect after the outermost import."""

        def import_(*arguments: Any, **named: Any) -> ModuleType:  # noqa: ANN401  # as the function that it calls
            if threading.get_ident() != self._thread:
                return plain_import(*arguments, **named)
            self._num_imports += 1
            gc.disable()  # what modules are made of stays: looking for garbage in it takes a fifth of the time
            try:
                return plain_import(*arguments, **named)
            finally:
                if self._num_imports == 1:
                    gc.enable()
                self._num_imports -= 1
                if self._is_waiting and not self._num_imports:
                    self._is_waiting = False
                    raise KeyboardInterrupt

        return import_


# By default the threads of PyTorch spin while they wait for each other. On a machine that does something else as well
# they then wait for a thread that is not running, and learning is ten times slower. Read by GNU OpenMP when it is
# loaded; as often as it spins by itself while it manages more threads than cores, a hundredth of a millisecond.
_SPIN_COUNT = "1000"
_USAGE, _INTERRUPTED, _BROKEN_PIPE = 2, 130, 141  # as a shell reports a program that a signal ended


@contextmanager
def _reported_ctrl_c() -> Iterator[None]:
    """Ends the command line with a line and its exit code, if Ctrl-C is pressed within and not handled there."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        raise typer.Exit(_INTERRUPTED) from None


class _Commands(TyperGroup):
    """All commands, what answers before any of them, and what ends each of them early."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401  # typer keeps the type to itself
        """Prints the version or a help at once, where that is asked for; else reads the arguments."""
        with _reported_ctrl_c():
            if not ctx.resilient_parsing:
                if args[:1] == ["--version"]:
                    from importlib.metadata import version

                    typer.echo(f"firstsight {version('firstsight')}")
                    raise typer.Exit
                if (asking := asked_for(self, ctx, args or ["--help"])) is not None:
                    typer.echo(help_text(asking))
                    raise typer.Exit(0 if "--help" in args else _USAGE)
            return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401  # typer keeps the type to itself
        """The command of that name; `learn` with the article's options is `article`."""
        if args[:1] == ["learn"]:
            own, usual = (
                {name for parameter in self.commands[command].params for name in parameter.opts}
                for command in ("article", "learn")
            )
            if article.is_asked_for(args[1:], only_here=own - usual):
                return "article", self.commands["article"], args[1:]
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401  # typer keeps the type to itself
        """Runs one; reports a Ctrl-C that it does not handle itself."""
        try:
            with _reported_ctrl_c():
                return super().invoke(ctx)
        except BrokenPipeError:
            raise typer.Exit(_without_a_reader()) from None


app = typer.Typer(
    name="firstsight",
    cls=_Commands,
    help="A small visual encoder, learned from your own video on a CPU, and what it finds.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

# The commands in the order and the groups in which help shows them.
_GROUPS: dict[str, dict[str, Any]] = {
    "See it": {"serve": serve.command},
    "Learn an encoder": {
        "learn": learn.command,
        "article": article.command,
        "evaluate": evaluate.command,
        "info": info.command,
    },
    "Compare footage with it": {
        "compare": compare.compare_command,
        "neighbours": compare.neighbours_command,
        "similarities": compare.similarities_command,
        "align": compare.align_command,
    },
    "Keep a library": {
        "index": index.command,
        "search": search.command,
        "library": library.app,
        "duplicates": duplicates.command,
        "keyframes": explore.keyframes_command,
        "clusters": explore.clusters_command,
        "map": explore.frame_map_command,
        "export": explore.export_command,
    },
    "Watch a camera": {"watch": watch.watch_command, "novelty": watch.novelty_command},
    "Split footage": {"scenes": scenes.command},
}
for _panel, _commands in _GROUPS.items():
    for _name, _command in _commands.items():
        if isinstance(_command, typer.Typer):
            app.add_typer(_command, name=_name, rich_help_panel=_panel)
        else:
            app.command(_name, cls=WithoutEmptyValues, rich_help_panel=_panel)(_command)


@app.callback()
def _options(
    _version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    pass  # --version is answered before options are read


def main() -> NoReturn:
    """Runs the command line and ends the process.

    The interpreter is not taken down: a thread that hangs in a camera's library cannot be ended, and crashed in it.
    """
    sys.meta_path.insert(0, _WithoutPandas())
    code = run()
    atexit._run_exitfuncs()
    with suppress(OSError, ValueError):  # reported by then, or closed
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def run() -> int:
    """Runs the command line; the exit code."""
    os.environ.setdefault("GOMP_SPINCOUNT", _SPIN_COUNT)
    os.environ.setdefault("LANCEDB_LOG", "error")  # it warns of every table that it creates
    _open_standard_streams()
    keep_freed_memory()
    with ending_at_the_second_ctrl_c() as ctrl_c:
        try:
            code = _run() or _flushed()
        except KeyboardInterrupt:
            code = _INTERRUPTED
        ctrl_c.exit_code = code
    return code


class _WithoutPandas(Loader):
    """Lets every import of pandas fail: PyArrow imports it with its first array, and no command needs it."""

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        """Finds pandas alone."""
        return ModuleSpec(name, self) if name == "pandas" else None

    def exec_module(self, module: ModuleType) -> None:
        """Raises an ImportError."""
        raise ImportError(f"commands do without {module.__name__}", name=module.__name__)


def _run() -> int:
    """The same, without what belongs to the process; a line names an error."""
    try:
        app()
    except SystemExit as stop:
        return int(stop.code or 0)
    except FirstsightError as error:
        return _print_error(str(error))
    except OSError as error:
        return _print_error(
            f"{error.filename or 'the system'}: {error.strerror or error}; check the path, its rights and the disk"
        )
    return 0


def _open_standard_streams() -> None:
    """Opens the null device for streams that were closed, so that no other file gets their number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115  # as long as the process lives


def _flushed() -> int:
    """Flushes standard output; the exit code."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return _without_a_reader()
    except OSError as error:
        return _print_error(f"standard output cannot be written: {error.strerror}")
    return 0


def _without_a_reader() -> int:
    """The reader of the output is gone: ends silently, as other programs do, also when Python flushes at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return _BROKEN_PIPE


def _print_error(message: str) -> int:
    """The message as one line after what was printed before it; the exit code."""
    try:
        sys.stdout.flush()
    except OSError:
        _without_a_reader()  # or it is tried again at the very end
    typer.echo(f"error: {printable(' '.join(message.split()))}", err=True)
    return 2
