"""Where the events of `firstsight watch` go: the screen, a file, a web address, a program, snapshots."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from io import BytesIO, FileIO
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from firstsight.errors import RunError
from firstsight.files import make_folder, write_whole

if TYPE_CHECKING:
    from rich.console import Console

    from firstsight.export.sending import Sender
    from firstsight.retrieval.watching.watch import Told


class ClosedError(Exception):
    """Whoever read standard output reads no more."""


class Outlets:
    """Tells each event everywhere; the file comes first, so that nothing that goes wrong elsewhere is missing there.

    Attributes:
        num_events: told so far.
    """

    def __init__(self, *, log: FileIO | None, senders: "list[Sender]", snapshots: Path | None, as_json: bool) -> None:
        self.num_events = 0
        self._log, self._senders, self._snapshots, self._as_json = log, senders, snapshots, as_json

    def tell(self, told: "Told") -> None:
        """Writes, sends and prints one event.

        Raises:
            RunError: the file or the snapshot cannot be written.
            ClosedError: it could not be printed; it was told everywhere else.
        """
        self.num_events += 1
        event = told.event
        if self._snapshots and told.frame:
            event = replace(event, snapshot=str(_save(told, self.num_events, self._snapshots)))
        line = json.dumps(event.record())
        if self._log:
            _write(self._log, line)
        for sender in self._senders:
            sender.send(line.encode())
        try:
            sys.stdout.write((line if self._as_json else event.words()) + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or it is tried again at the very end
            raise ClosedError from None


@contextmanager
def outlets(
    *,
    events_file: Path | None,
    webhook: str | None,
    program: str | None,
    snapshots: Path | None,
    as_json: bool,
    console: "Console",
) -> Iterator[Outlets]:
    """All outlets that are asked for; at the end says what was delivered.

    Raises:
        RunError: the file cannot be written, or the folder of snapshots not be made.
        SettingsError: no address of the web, or no command.
    """
    with ExitStack() as opened:
        if snapshots:
            make_folder(snapshots, purpose="snapshots")
        log = opened.enter_context(_appending(events_file)) if events_file else None
        senders = _senders(webhook, program, console)
        for sender in senders:
            opened.callback(_say_farewell, sender, console)
        yield Outlets(log=log, senders=senders, snapshots=snapshots, as_json=as_json)


def _senders(webhook: str | None, program: str | None, console: "Console") -> "list[Sender]":
    from firstsight.export.sending import to_command, to_webhook

    def tell(line: str) -> None:
        console.print(line, markup=False)

    senders = [to_command(program, tell=tell)] if program is not None else []
    return [to_webhook(webhook, tell=tell), *senders] if webhook is not None else senders


def _say_farewell(sender: "Sender", console: "Console") -> None:
    sender.close()
    failed = f"; {sender.num_failed} failed, the last as {sender.last_error}" if sender.num_failed else ""
    console.print(f"{sender.name}: {sender.num_sent} events delivered{failed}", markup=False)


def _save(told: "Told", number: int, folder: Path) -> Path:
    """The frame as JPEG: its name tells when, which and what."""
    from PIL import Image

    assert told.frame is not None
    when = told.event.time.replace(":", "").replace("+0000", "Z")
    path = folder / f"{when}-{number:05d}-{told.event.kind.replace(' ', '-')}.jpg"
    content = BytesIO()
    Image.fromarray(told.frame.pictures[1]).save(content, "JPEG", quality=90)
    write_whole(path, content.getvalue())
    return path


@contextmanager
def _appending(path: Path) -> Iterator[FileIO]:
    """Without a buffer: what was told is in the file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab", buffering=0)
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror}; choose another file") from error
    with file:
        yield file


def _write(log: FileIO, line: str) -> None:
    rest = line.encode() + b"\n"
    try:
        while rest:
            rest = rest[log.write(rest) :]
    except OSError as error:
        typer.echo(line)
        raise RunError(f"{log.name!s} cannot be written: {error.strerror}; free some space") from error
