"""What a command shows while it works: a live bar on a terminal, plain lines elsewhere. All on standard error."""

import logging
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from firstsight.text import printable

if TYPE_CHECKING:
    from firstsight.learning.progress import Progress as LearningProgress

_LOG = logging.getLogger("firstsight")

# Where nobody watches a bar move, a line this often tells that work goes on.
_LINE_EVERY_SECONDS = 10.0


def notes() -> Console:
    """Where words for people go, so that standard output holds results alone."""
    return Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


class Remarks(logging.Handler):
    """In a `with` block, what the package has to say of the footage, each line once: "left out: 2 pictures"."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self.said: set[str] = set()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Prints the line."""
        line = printable(record.getMessage())
        if line not in self.said:
            self.said.add(line)
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

    def __init__(self, console: Console) -> None:
        self.console = console
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[state]}", markup=False),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None, state="")
        self._last_line = time.monotonic()
        self._remarks = Remarks(console)

    def show(self, what: str, *, done: float, total: float | None, state: str) -> None:
        """Where the work is.

        Args:
            what: names the part under way.
            done: of it, in any unit.
            total: in the same unit, if known.
            state: the latest numbers.
        """
        self._bar.update(self._task, description=what, completed=done, total=total, state=state)
        if not self.console.is_terminal and time.monotonic() - self._last_line > _LINE_EVERY_SECONDS:
            reached = f"{100 * done:.0f} %" if total == 1 else f"{done:g} of {total:g}" if total else f"{done:g}"
            self.say(", ".join(part for part in (f"{what}: {reached}", state) if part))

    def progress(self, progress: "LearningProgress") -> None:
        """Shows what learning tells."""
        for line in progress.news:
            self.say(line)
        self.show(progress.what, done=progress.done, total=progress.total, state=progress.state)

    def say(self, line: str) -> None:
        """A line that stays; not again what was logged."""
        if line in self._remarks.said:
            return
        self.console.print(printable(line), markup=False)
        self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        self._remarks.__enter__()
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        self._remarks.__exit__(kind, error, trace)
