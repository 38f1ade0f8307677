"""What a command shows while it works: a live bar on a terminal, plain lines elsewhere. All on standard error."""

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from firstsight.text import printable

if TYPE_CHECKING:
    from firstsight.learning.progress import Progress as LearningProgress

# Where nobody watches a bar move, a line this often tells that work goes on.
_LINE_EVERY_SECONDS = 10.0


def notes() -> Console:
    """Where words for people go, so that standard output holds results alone."""
    return Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


class Display:
    """A bar, or a line now and then."""

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
        """A line that stays."""
        self.console.print(printable(line), markup=False)
        self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
