"""Events are sent everywhere, whatever one of the destinations does."""

import errno
import io
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from waiting import WATCHDOG_SECONDS

from firstsight.errors import RunError
from firstsight.footage.frames import Frame
from firstsight.monitoring import outlets
from firstsight.monitoring.event import Event
from firstsight.monitoring.outlets import ClosedError, Destinations, EventLog, Outlets, open_outlets, send_all
from firstsight.monitoring.sending import Sender

PICTURE = np.zeros((4, 6, 3), np.uint8)


def event(number: int) -> Event:
    frame = Frame((PICTURE, PICTURE), float(number), number, "hall", (6, 4))
    return Event("novel begins", float(number), "2026-11-26T10:00:00.000+00:00", "hall", value=9.0, frame=frame)


def strict(line: str) -> dict:
    return json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def disk_full(_path: Path, _content: bytes) -> None:
    raise RunError("x.jpg cannot be written: No space left on device; choose a folder that can be")


def test_an_event_whose_snapshot_cannot_be_saved_is_sent_everywhere_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outlets, "_CLOSE_SECONDS", WATCHDOG_SECONDS)
    lines, lines_notified = io.StringIO(), []
    destinations = Destinations(events_file=tmp_path / "e.jsonl", program="true", snapshots=tmp_path / "pictures")
    with open_outlets(destinations, lines=lines, as_json=True, notify=lines_notified.append) as opened:
        opened.send(event(0))
        with monkeypatch.context() as patched:
            patched.setattr(outlets, "write_atomically", disk_full)
            opened.send(event(1))
            opened.send(event(2))
        opened.send(event(3))
    events = [strict(line) for line in (tmp_path / "e.jsonl").read_text().splitlines()]
    assert [strict(line) for line in lines.getvalue().splitlines()] == events
    assert [one["seconds"] for one in events] == [0, 1, 2, 3]
    assert ["snapshot" in one for one in events] == [True, False, False, True]
    with Image.open(events[3]["snapshot"]) as picture:
        assert picture.size == (6, 4)
    assert [line for line in lines_notified if "without a snapshot" in line] == lines_notified[:1]
    assert lines_notified[1:3] == ["snapshots are saved again", lines_notified[2]]
    assert lines_notified[2].startswith("2 snapshots were not saved, the last as x.jpg")
    assert lines_notified[-1] == "true: 4 events delivered"


def remove(path: Path) -> None:
    path.unlink()


def rotate(path: Path) -> None:
    path.rename(path.with_suffix(".1"))


def rotate_and_replace(path: Path) -> None:
    rotate(path)
    path.write_text("made by another\n")


def remove_the_folder(path: Path) -> None:
    path.unlink()
    path.parent.rmdir()


@pytest.mark.parametrize(
    ("change", "before"),
    [(remove, ""), (rotate, ""), (rotate_and_replace, "made by another\n"), (remove_the_folder, "")],
)
def test_a_file_that_is_rotated_or_removed_is_opened_again(
    tmp_path: Path, change: Callable[[Path], None], before: str
) -> None:
    path = tmp_path / "logs" / "e.jsonl"
    with EventLog(path) as log:
        log.write("1")
        change(path)
        log.write("2")
        log.write("3")
    assert path.read_text() == f"{before}2\n3\n"
    if path.with_suffix(".1").exists():
        assert path.with_suffix(".1").read_text() == "1\n"


def test_while_no_file_can_be_opened_at_its_path_each_line_fails_alike(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    with EventLog(path) as log:
        log.write("1")
        rotate(path)
        path.mkdir()
        for line in ("2", "3"):
            with pytest.raises(RunError, match="cannot be written: Is a directory"):
                log.write(line)
        path.rmdir()
        log.write("4")
    assert (path.with_suffix(".1").read_text(), path.read_text()) == ("1\n", "4\n")


def test_a_file_goes_on_where_it_ended(tmp_path: Path) -> None:
    for number in range(2):
        with EventLog(tmp_path / "e.jsonl") as log:
            log.write(str(number))
    assert (tmp_path / "e.jsonl").read_text() == "0\n1\n"


def test_what_cannot_be_written_is_sent_elsewhere_first() -> None:
    lines, delivered = io.StringIO(), []
    sender = Sender("kept", delivered.append)
    with EventLog(Path("/dev/full")) as log:
        opened = Outlets(log=log, senders=[sender], snapshots=None, lines=lines, as_json=False)
        with pytest.raises(RunError, match="/dev/full cannot be written: No space left"):
            opened.send(event(1))
    sender.close(60)
    assert [strict(message)["seconds"] for message in delivered] == [1]
    assert "something new" in lines.getvalue()


@pytest.mark.parametrize(
    ("number", "error", "words"),
    [(errno.ENOSPC, RunError, "cannot be printed: No space left"), (errno.EIO, ClosedError, None)],
)
def test_lines_that_cannot_be_printed_are_sent_elsewhere(
    tmp_path: Path, number: int, error: type[Exception], words: str | None
) -> None:
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(number, os.strerror(number))

    with EventLog(tmp_path / "e.jsonl") as log:
        opened = Outlets(log=log, senders=[], snapshots=None, lines=Full(), as_json=True)
        with pytest.raises(error, match=words):
            opened.send(event(1))
        closed = io.StringIO()
        closed.close()
        with pytest.raises(ClosedError):
            Outlets(log=log, senders=[], snapshots=None, lines=closed, as_json=True).send(event(2))
        Outlets(log=log, senders=[], snapshots=None, lines=None, as_json=True).send(event(3))
    assert len((tmp_path / "e.jsonl").read_text().splitlines()) == 3


def test_what_the_encoding_of_the_lines_lacks_is_printed_as_escapes() -> None:
    lines = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    opened = Outlets(log=None, senders=[], snapshots=None, lines=lines, as_json=False)
    opened.send(replace(event(1), kind="match begins", anchor="T\u00fcr.jpg"))
    assert rb"T\xfcr.jpg" in lines.buffer.getvalue()


def test_what_was_learned_is_kept_though_the_last_events_cannot_be_written() -> None:
    kept = []

    class Full(Outlets):
        def send(self, event: Event) -> None:
            raise RunError(f"no space for {event.kind}")

    class Learned:
        def update(self, _arrival: object) -> list[Event]:
            return []

        def finish(self) -> list[Event]:
            return [event(1), event(2)]

        def keep(self) -> None:
            kept.append("learned")

    with pytest.raises(RunError, match="no space"):
        send_all(Learned(), iter([1]), Full(log=None, senders=[], snapshots=None, lines=None, as_json=False))
    assert kept == ["learned"]


def test_what_keeps_an_event_from_one_destination_keeps_the_next_from_none(tmp_path: Path) -> None:
    class Closed(io.StringIO):
        def flush(self) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with EventLog(tmp_path / "e.jsonl") as log:
        opened = Outlets(log=log, senders=[], snapshots=None, lines=Closed(), as_json=True)
        with pytest.raises(ClosedError):
            opened.send_each([event(1), event(2)])
    assert [strict(line)["seconds"] for line in (tmp_path / "e.jsonl").read_text().splitlines()] == [1, 2]
    with EventLog(Path("/dev/full")) as log, pytest.raises(RunError):
        Outlets(log=log, senders=[], snapshots=None, lines=Closed(), as_json=True).send_each([event(1), event(2)])


def test_a_line_that_was_cut_off_spoils_none_after_it(tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").write_text('{"kind": "no')
    for line in ("1", "2"):
        with EventLog(tmp_path / "e.jsonl") as log:
            log.write(line)
    assert (tmp_path / "e.jsonl").read_text().splitlines() == ['{"kind": "no', "1", "2"]


def test_a_line_that_a_full_disk_cut_off_spoils_none_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with EventLog(tmp_path / "e.jsonl") as log:
        write, parts = log._file.write, [3]

        def write_some(content: bytes) -> int:
            if not parts:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(content[: parts.pop()])

        log.write("first")
        with monkeypatch.context() as patched:
            patched.setattr(log._file, "write", write_some)
            with pytest.raises(RunError, match="No space left"):
                log.write("second")
        log.write("third")
    assert (tmp_path / "e.jsonl").read_text().splitlines() == ["first", "sec", "third"]
