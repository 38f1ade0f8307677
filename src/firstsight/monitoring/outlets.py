"""Where events go: a file, a web address, a program, snapshots, and printed lines."""

import errno
import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from io import FileIO
from pathlib import Path
from typing import Literal, TextIO

from PIL import Image

from firstsight.errors import FirstsightError, RunError
from firstsight.files import check_local, make_folder, write_atomically
from firstsight.footage.frames import Frame
from firstsight.footage.stream import Arrival
from firstsight.monitoring.event import Event
from firstsight.monitoring.sending import Notify, Sender, to_command, to_webhook
from firstsight.monitoring.watch import Watcher
from firstsight.text import json_line, printable

_CLOSE_SECONDS = 5.0  # at the end, for pending deliveries


class ClosedError(Exception):
    """The reader of the lines has closed them."""


@dataclass(frozen=True)
class Destinations:
    """Where events go, besides printed lines; None is nowhere."""

    events_file: Path | None = None
    webhook: str | None = None
    program: str | None = None
    snapshots: Path | None = None


@dataclass(kw_only=True)
class Outlets:
    """Sends each event everywhere; the file comes first, so that failures elsewhere leave it complete."""

    log: "EventLog | None"
    senders: Sequence[Sender]
    snapshots: "Snapshots | None"
    lines: TextIO | None
    as_json: bool
    num_events: int = 0  # so far

    def send(self, event: Event) -> None:
        """Writes, sends and prints one event, without a snapshot if that cannot be saved.

        Raises:
            RunError: the file cannot be written, or the line not printed; it was sent everywhere else.
            ClosedError: the reader of the lines is gone; it was sent everywhere else.
        """
        self.num_events += 1
        if self.snapshots and event.frame:
            event = self.snapshots.add(event, event.frame, self.num_events)
        line, failed = json_line(event.to_json()), None
        try:
            if self.log:
                self.log.write(line)
        except RunError as error:
            failed = error
        for sender in self.senders:
            sender.send(line.encode())
        try:
            if self.lines is not None:
                _print(self.lines, line if self.as_json else event.words())
        except (RunError, ClosedError) as error:
            raise failed or error from None
        if failed:
            raise failed

    def send_each(self, events: Iterable[Event]) -> None:
        """Sends them one after the other; what keeps one from a destination keeps no other from it.

        Raises:
            RunError, ClosedError: as `send`, after the last one; what is unwritable before closed lines.
        """
        failed: list[RunError | ClosedError] = []
        for event in events:
            try:
                self.send(event)
            except (RunError, ClosedError) as error:
                failed.append(error)
        if failed:
            raise next((error for error in failed if isinstance(error, RunError)), failed[0])


Ended = Literal["ended", "interrupted", "closed"]


def send_all(
    watcher: Watcher,
    stream: Iterator[Arrival],
    outlets: Outlets,
    *,
    waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Ended:
    """Sends the events of a stream as they come, until it ends or is interrupted, or the reader closes the lines.

    However it ends, what has begun ends with it, and is sent.

    Args:
        watcher: makes the events.
        stream: frames, and when it is lost and back.
        outlets: where the events go.
        waiting: a context in which the next arrival is waited for; KeyboardInterrupt is best raised in it alone, so
            that an event is sent everywhere or nowhere.

    Raises:
        SourceError: the stream breaks off.
        RunError: the file, that of the watcher's state, or the lines cannot be written.
    """
    try:
        try:
            while True:
                with waiting():
                    arrival = next(stream)
                outlets.send_each(watcher.update(arrival))
                watcher.keep(if_due=True)
        finally:
            try:
                with suppress(ClosedError):
                    outlets.send_each(watcher.finish())
            finally:
                watcher.keep()
    except StopIteration:
        return "ended"
    except KeyboardInterrupt:
        return "interrupted"
    except ClosedError:
        return "closed"


def _print(lines: TextIO, line: str) -> None:
    """Prints the line, with escapes in place of what the encoding of the lines lacks.

    Raises:
        RunError: there is no space for it, or the like.
        ClosedError: the reader or the terminal is gone, or the lines are closed.
    """
    try:
        encoding = lines.encoding or "utf-8"
        lines.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        lines.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), lines.fileno())  # or it is tried again at the very end
        raise ClosedError from None
    except ValueError:  # closed by this program
        raise ClosedError from None
    except OSError as error:
        if isinstance(error, ConnectionError) or error.errno == errno.EIO:
            raise ClosedError from None
        raise RunError(
            f"events cannot be printed: {error.strerror or error}; free some space or print elsewhere"
        ) from error


@contextmanager
def open_outlets(
    destinations: Destinations,
    *,
    lines: TextIO | None = None,
    as_json: bool = False,
    notify: Notify = lambda _: None,
    is_aborted: Callable[[], bool] = lambda: False,
) -> Iterator[Outlets]:
    """The outlets of those destinations; at the end they report what was delivered.

    Args:
        destinations: where to.
        lines: where to print; None is nowhere.
        as_json: print JSON in place of words.
        notify: takes a line for people about failures, and at the end.
        is_aborted: called at the end, while deliveries are waited for; True ends the wait.

    Raises:
        RunError: the file cannot be written, or the folder of snapshots cannot be made.
        SettingsError: an invalid web address, or no command.

    Example:
        >>> with open_outlets(Destinations(webhook="https://hall.example/events")) as outlets:  # doctest: +SKIP
        ...     for event in firstsight.watch(encoder, "rtsp://hall", novel=True):
        ...         outlets.send(event)
    """
    with ExitStack() as opened:
        snapshots = Snapshots(destinations.snapshots, notify=notify) if destinations.snapshots else None
        log = opened.enter_context(EventLog(destinations.events_file)) if destinations.events_file else None
        senders = []
        if destinations.webhook is not None:
            senders.append(to_webhook(destinations.webhook, notify=notify))
            opened.callback(_close, senders[-1], notify, is_aborted)
        if destinations.program is not None:
            senders.append(to_command(destinations.program, notify=notify))
            opened.callback(_close, senders[-1], notify, is_aborted)
        yield Outlets(log=log, senders=senders, snapshots=snapshots, lines=lines, as_json=as_json)
        if snapshots and snapshots.num_failed:
            notify(f"{snapshots.num_failed} snapshots were not saved, the last as {snapshots.last_error}")


def _close(sender: Sender, notify: Notify, is_aborted: Callable[[], bool]) -> None:
    sender.close(_CLOSE_SECONDS, is_aborted=is_aborted)
    failed = f"; {sender.num_failed} failed, the last as {sender.last_error}" if sender.num_failed else ""
    notify(f"{sender.name}: {sender.num_sent} events delivered{failed}")


class EventLog:
    """A file to which lines are appended without a buffer.

    If it is rotated or removed meanwhile, the next line goes into a new file at its path. A line that was cut off, as
    the disk was full or the program ended, stays one of its own.

    Raises:
        RunError: it cannot be written.
    """

    _may_be_cut_off: bool  # whether its last line may be: it was just opened, or not all of a line was written

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = self._opened()

    def write(self, line: str) -> None:
        """Appends one line.

        Raises:
            RunError: it cannot be written.
        """
        if not self._is_at_path():
            file = self._opened()
            self._file.close()
            self._file = file
        rest = line.encode() + b"\n"
        try:
            if self._may_be_cut_off and not _ends_a_line(self._path):
                rest = b"\n" + rest
            self._may_be_cut_off = True
            while rest:
                rest = rest[self._file.write(rest) :]
            self._may_be_cut_off = False
        except OSError as error:
            raise RunError(f"{printable(self._path)} cannot be written: {error.strerror}; free some space") from error

    def _is_at_path(self) -> bool:
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._file.fileno()))
        except OSError:
            return False

    def _opened(self) -> FileIO:
        self._may_be_cut_off = True
        check_local(self._path, purpose="events")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return self._path.open("ab", buffering=0)
        except OSError as error:
            reason = f"{error.strerror}; choose another file"
            raise RunError(f"{printable(self._path)} cannot be written: {reason}") from error

    def __enter__(self) -> "EventLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _ends_a_line(path: Path) -> bool:
    """Whether the file ends with a whole line; what is empty, no regular file or cannot be read does."""
    with suppress(OSError):
        if path.is_file() and path.stat().st_size:
            with path.open("rb") as file:
                file.seek(-1, os.SEEK_END)
                return file.read() == b"\n"
    return True


class Snapshots:
    """A folder with the frame of each event as JPEG. Failures in a row are reported once.

    Attributes:
        num_failed: not saved.
        last_error: why, in one line.

    Raises:
        RunError: the folder cannot be made.
    """

    def __init__(self, folder: Path, *, notify: Notify) -> None:
        make_folder(folder, purpose="snapshots")
        self.num_failed, self.last_error = 0, ""
        self._folder, self._notify, self._is_failing = folder, notify, False

    def add(self, event: Event, frame: Frame, number: int) -> Event:
        """The event with the file of its frame; unchanged if that cannot be saved."""
        try:
            path = self._save(event, frame, number)
        except (FirstsightError, OSError) as error:
            self.num_failed, self.last_error = self.num_failed + 1, printable(str(error))
            if not self._is_failing:
                self._notify(f"{self.last_error}; events are sent without a snapshot")
            self._is_failing = True
            return event
        if self._is_failing:
            self._notify("snapshots are saved again")
        self._is_failing = False
        return replace(event, snapshot=str(path))

    def _save(self, event: Event, frame: Frame, number: int) -> Path:
        """The file, named by time, number and kind."""
        when = event.time.replace(":", "").replace("+0000", "Z")
        path = self._folder / f"{when}-{number:05d}-{event.kind.replace(' ', '-')}.jpg"
        content = io.BytesIO()
        Image.fromarray(frame.whole).save(content, "JPEG", quality=90)
        write_atomically(path, content.getvalue())
        return path
