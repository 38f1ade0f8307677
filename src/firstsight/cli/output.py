"""What a command shows while it works: a live bar on a terminal, plain lines elsewhere. All on standard error."""

import logging
import os
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import typer

from firstsight.errors import SettingsError
from firstsight.files import check_folder_name, check_local, open_file
from firstsight.object_store import is_object
from firstsight.text import json_line, printable

if TYPE_CHECKING:
    from rich.console import Console

    from firstsight.progress import Progress


def print_json(content: dict[str, Any] | list[Any]) -> None:
    """One line of JSON on standard output."""
    typer.echo(json_line(content))


def say_written(*files: Path | None, verb: str = "wrote") -> None:
    """A line for each file; None is no file."""
    for file in files:
        if file is not None:
            typer.echo(f"{verb} {printable(file)}")


def check_out(*files: Path | None) -> None:
    """Raises a SettingsError if one of those files could not be written at the end; None is no file.

    Called before work that may take long. Folders above a file are made when it is written.
    """
    given = [file for file in files if file is not None]
    for number, file in enumerate(given):
        if reason := _why_not_writable(file):
            raise SettingsError(f"{printable(file)} cannot be written: {reason}")
        if file in given[:number]:
            raise SettingsError(f"{printable(file)} is given for two files to be written; give each a name of its own")


def check_out_folder(folder: Path) -> None:
    """Raises a SettingsError or RunError if no files could be written into that folder, which need not be there yet."""
    check_local(folder, purpose="the files")
    if os.path.lexists(folder) and not folder.is_dir():
        raise SettingsError(f"{printable(folder)} is no folder; choose another for the files to be written")
    if reason := _why_not_writable(folder / "file"):
        raise SettingsError(f"{printable(folder)} cannot be written into: {reason}")
    check_folder_name(folder)


def _why_not_writable(file: Path) -> str:
    if is_object(str(file)):
        return ""
    if file.is_dir():
        return "it is a folder; give the name of a file in it"
    if open_file(file) is not None:
        return ""
    above = next(parent for parent in file.absolute().parents if os.path.lexists(parent))
    if not above.is_dir():
        return f"{printable(above)} is no folder; choose another"
    if not os.access(above, os.W_OK | os.X_OK):
        return f"nothing may be written in {printable(above)}; choose another folder"
    return ""


_LOG = logging.getLogger("firstsight")

# Without a terminal for a bar, a line this often shows that work goes on.
_LINE_EVERY_SECONDS = 10.0


def notes() -> "Console":
    """Standard error, for people, so that standard output holds results alone."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


class Remarks(logging.Handler):
    """In a `with` block, prints what the package logs of the footage, each line once: "left out: 2 pictures"."""

    def __init__(self, console: "Console") -> None:
        super().__init__(logging.WARNING)
        self.printed: set[str] = set()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Prints the line."""
        line = printable(record.getMessage())
        if line not in self.printed:
            self.printed.add(line)
            self._console.print(line, markup=False)

    def __enter__(self) -> Self:
        _LOG.addHandler(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _LOG.removeHandler(self)


class Display:
    """A bar, or a line now and then, and the package's remarks."""

    def __init__(self, console: "Console") -> None:
        from rich import progress as bars

        self.console = console
        self._bar = bars.Progress(
            bars.TextColumn("{task.description}", markup=False),
            bars.BarColumn(),
            bars.TextColumn("{task.fields[state]}", markup=False),
            bars.TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None, state="")
        self._last_line = time.monotonic()
        self._remarks = Remarks(console)
        self._is_open = False

    def progress(self, progress: "Progress") -> None:
        """Moves the bar, and prints the news."""
        for line in progress.news:
            self.say(line)
        what, done, total, state = progress.what, progress.done, progress.total, progress.state
        self._bar.update(self._task, description=what, completed=done, total=total, state=state)
        if self._is_open:
            self._bar.start()  # if it rested
        if not self.console.is_terminal and time.monotonic() - self._last_line > _LINE_EVERY_SECONDS:
            reached = f"{100 * done:.0f} %" if total == 1 else f"{done:g} of {total:g}" if total else f"{done:g}"
            self.say(", ".join(part for part in (f"{what}: {reached}", state) if part))

    def say(self, line: str) -> None:
        """A line that stays, unless it was logged before."""
        shown = printable(line)
        if shown in self._remarks.printed:
            return
        self.console.print(shown, markup=False)
        self._last_line = time.monotonic()

    def rest(self) -> None:
        """Takes the bar away, so that results can be printed; what is done next brings it back."""
        self._bar.stop()

    def __enter__(self) -> Self:
        self._remarks.__enter__()
        self._bar.start()
        self._is_open = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_open = False
        self._bar.stop()
        self._remarks.__exit__(kind, error, trace)
