import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from waiting import WATCHDOG_SECONDS
from web import served

from firstsight import Encoder
from firstsight.errors import SourceError
from firstsight.footage.encoding import VideoWriter
from firstsight.footage.frames import Frame
from firstsight.monitoring import outlets


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory, still_view: Callable[..., Path]) -> Path:
    """A still view, in which something large stands for a while."""
    return still_view(tmp_path_factory.mktemp("watched hall") / "hall.mp4", rows=slice(8, 40), columns=slice(16, 56))


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch):
    """A web server's address, and what was posted to it."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    received = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

    with served(Handler) as server:
        yield f"{server.address}/", received


def test_events_go_everywhere(
    firstsight, run_folder: Path, hall: Path, tmp_path: Path, web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firstsight.monitoring.outlets._CLOSE_SECONDS", WATCHDOG_SECONDS)
    address, received = web
    script = tmp_path / "keep.py"
    script.write_text("import sys; open(sys.argv[1], 'a').write(sys.stdin.read())")
    out = ("--events", tmp_path / "e.jsonl", "--webhook", address, "--snapshots", tmp_path / "snapshots")
    program = f"{sys.executable} '{script}' '{tmp_path / 'kept'}'"
    ran = firstsight(
        "watch", run_folder, hall, "--for", f"{hall}@10", "--novel", "--speed", 0, "--json", *out, "--run", program
    )
    assert ran.code == 0, ran.err
    events = [json.loads(line) for line in ran.out.splitlines()]
    assert [one["kind"] for one in events] == ["match begins", "novel begins", "match ends", "novel ends"]
    assert [one["start_seconds"] for one in events] == [8.0] * 4
    assert events[0]["anchor"] == "hall.mp4@10"
    assert [json.loads(line) for line in (tmp_path / "e.jsonl").read_text().splitlines()] == events
    assert received == events
    assert [json.loads(line) for line in (tmp_path / "kept").read_text().splitlines()] == events
    pictures = [np.asarray(Image.open(one["snapshot"])) for one in events]
    assert [picture.shape for picture in pictures] == [(48, 64, 3)] * 4
    assert pictures[0][24, 36, 0] > 200 > pictures[2][24, 36, 0]
    assert "32 frames watched; 4 events" in ran.err
    assert "21 of 32 frames were judged: the first 5 s" in ran.err
    assert "4 events delivered" in ran.err


def test_as_lines_for_people(firstsight, run_folder: Path, hall: Path) -> None:
    lines = firstsight("watch", run_folder, hall, "--novel", "--speed", 0).out.splitlines()
    assert lines[0].startswith("     9.00 s  something new: ")
    assert lines[1].startswith("    13.50 s  nothing new any more, after 3.5 s, at most ")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ((), "give --for ANCHOR, or --novel, or both"),
        (("--novel", "--webhook", "127.0.0.1"), "begins with http"),
        (("--novel", "--run", " "), "the command is empty"),
        (("--novel", "--run", ""), "--run is empty"),
        (("--novel", "--novel-from", 0), "valid is above 0"),
        (("--for", "nowhere.jpg"), "there is no file 'nowhere.jpg'"),
        (("--novel", "--speed", -1), "valid is 0"),
        (("--novel", "--events", "/proc/none/e.jsonl"), "/proc/none/e.jsonl cannot be written"),
        (("--novel", "--snapshots", "/proc/none"), "choose another folder"),
        (("--novel", "--speed", 0, "--events", "/dev/full"), "/dev/full cannot be written: No space left"),
    ],
)
def test_what_cannot_be_is_one_line(firstsight, run_folder: Path, hall: Path, options: tuple, reason: str) -> None:
    ran = firstsight("watch", run_folder, hall, *options)
    assert ran.code == 2
    assert reason in ran.err


def watching(*arguments: object, **options: object) -> subprocess.Popen[str]:
    """`firstsight watch` in a process of its own, on one thread."""
    return subprocess.Popen(
        [sys.executable, "-c", "from firstsight.cli.main import main; main()", "watch", *map(str, arguments)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        **options,
    )


def kinds(log: Path) -> list[str]:
    return [json.loads(line, parse_constant=refuse)["kind"] for line in log.read_text().splitlines()]


def refuse(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def test_what_is_no_longer_read_is_kept(run_folder: Path, hall: Path, tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    options = (run_folder, hall, "--novel", "--speed", "0", "--events", log)
    reader, writer = os.pipe()
    os.close(reader)  # before the first event is written
    with watching(*options, stdout=writer) as process:
        os.close(writer)
        err = process.stderr.read()
    assert process.returncode == 0
    assert kinds(log) == ["novel begins", "novel ends"]  # the second, as watching ends
    assert f"the reader of the events is gone: 19 frames watched; 2 events, kept in {log}" in err
    assert "Traceback" not in err
    assert "Exception" not in err


def test_without_standard_output_it_goes_on(run_folder: Path, hall: Path, tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    options = (run_folder, hall, "--novel", "--speed", "0", "--events", log)
    with watching(*options, preexec_fn=lambda: os.close(1)) as process:
        err = process.stderr.read()
    assert (process.returncode, kinds(log)) == (0, ["novel begins", "novel ends"]), err


def test_a_process_of_its_own_is_ended_cleanly_by_the_keyboard(run_folder: Path, tmp_path: Path) -> None:
    """Interrupted when the first event is read; what is new stays to be seen for as long as the footage lasts."""
    log = tmp_path / "events.jsonl"
    ground = np.full((48, 64, 3), 90, np.uint8)
    ground[::8] = 160
    red = ground.copy()
    red[8:40, 8:32] = 240
    with VideoWriter(tmp_path / "long.mp4", size=(64, 48)) as writer:
        for index in range(4000):
            writer.write(ground if index < 20 else red, seconds=index / 2)
    options = (run_folder, tmp_path / "long.mp4", "--novel", "--speed", "0", "--events", log)
    with watching(*options, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=240)
    assert process.returncode == 130, err
    assert kinds(log) == ["novel begins", "novel ends"]
    assert len(out.splitlines()) == 1
    assert "interrupted: " in err
    assert f"2 events, kept in {log}" in err
    assert "Traceback" not in err


class MadeUp:
    """A stream of what a test lists; what is callable is called in its turn."""

    name, num_dropped, num_skipped = "hall", 0, 0

    def __init__(self, *arrivals: object) -> None:
        self._arrivals = iter(arrivals)

    def __call__(self, *_: object, **__: object) -> "MadeUp":
        return self

    def __enter__(self) -> "MadeUp":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __next__(self) -> object:
        arrival = next(self._arrivals)
        while callable(arrival):
            arrival()
            arrival = next(self._arrivals)
        return arrival


def view(encoder: Encoder, seconds: float, *, red: bool) -> Frame:
    picture = np.repeat(np.repeat(np.random.default_rng(0).integers(60, 160, (6, 8, 3), np.uint8), 8, 0), 8, 1)
    if red:
        picture[8:40, 16:56] = (250, 20, 20)
    return Frame((encoder.view.apply(picture[None])[0], picture), seconds, int(seconds * 2), "hall", (64, 48))


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch, run_folder: Path) -> Callable[..., None]:
    """Watches what is listed in place of a stream: frames, two a second, red from 8 s on, and what follows."""
    encoder = Encoder.load(run_folder)

    def stream(num_frames: int, *then: object) -> None:
        frames = [view(encoder, number / 2, red=number >= 16) for number in range(num_frames)]
        monkeypatch.setattr("firstsight.footage.stream.Stream", MadeUp(*frames, *then))

    return stream


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_signal_that_ends_a_program_tells_what_is_under_way(
    firstsight, made_up, run_folder: Path, tmp_path: Path, number: signal.Signals
) -> None:
    made_up(20, lambda: signal.raise_signal(number))
    before = signal.getsignal(number)
    ran = firstsight("watch", run_folder, "rtsp://hall/1", "--novel", "--events", tmp_path / "e.jsonl", "--json")
    assert ran.code == 130, ran.err
    assert kinds(tmp_path / "e.jsonl") == ["novel begins", "novel ends"]
    assert len(ran.out.splitlines()) == 2
    assert "interrupted: 20 frames watched; 2 events" in ran.err
    assert signal.getsignal(number) is before


def test_a_signal_that_was_ignored_is_ignored_still(firstsight, made_up, run_folder: Path) -> None:
    made_up(20, lambda: signal.raise_signal(signal.SIGHUP))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert firstsight("watch", run_folder, "rtsp://hall/1", "--novel").code == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_interrupted_while_an_event_is_told_it_is_told_everywhere(
    firstsight, made_up, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And again at the end, which hurries it."""
    made_up(30)
    write, script = outlets.EventLog.write, tmp_path / "keep.py"
    script.write_text("import sys; open(sys.argv[1], 'a').write(sys.stdin.read())")

    def interrupted(log: outlets.EventLog, line: str) -> None:
        signal.raise_signal(signal.SIGINT)
        write(log, line)

    monkeypatch.setattr(outlets.EventLog, "write", interrupted)
    program = f"{sys.executable} '{script}' '{tmp_path / 'kept'}'"
    options = ("--novel", "--events", tmp_path / "e.jsonl", "--run", program)
    ran = firstsight("watch", run_folder, "rtsp://hall/1", *options)
    assert ran.code == 130, ran.err
    assert kinds(tmp_path / "e.jsonl") == ["novel begins", "novel ends"]
    assert len(ran.out.splitlines()) == 2
    sent = re.search(r"(\d) events delivered(?:; (\d) failed)?", ran.err)
    assert int(sent[1]) + int(sent[2] or 0) == 2
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("num", [0, 1, 2])
def test_of_hardly_any_frames_nothing_is_told(firstsight, made_up, run_folder: Path, num: int) -> None:
    made_up(num)
    ran = firstsight("watch", run_folder, "rtsp://hall/1", "--novel", "--json")
    assert (ran.code, ran.out) == (0, "")
    assert f"{'1 frame' if num == 1 else f'{num} frames'} watched; 0 events" in ran.err
    assert f"0 of {num} frames were judged: " in ran.err


def test_what_is_under_way_is_told_when_the_stream_breaks_off(firstsight, made_up, run_folder: Path) -> None:
    def breaks() -> None:
        raise SourceError("hall breaks off; connect it again")

    made_up(20, breaks)
    ran = firstsight("watch", run_folder, "rtsp://hall/1", "--novel", "--json")
    assert ran.code == 2
    assert [json.loads(line)["kind"] for line in ran.out.splitlines()] == ["novel begins", "novel ends"]
    assert "error: hall breaks off" in ran.err


def test_two_anchors_of_which_one_has_an_odd_name(firstsight, run_folder: Path, hall: Path, tmp_path: Path) -> None:
    odd = tmp_path / "[bold]\x1b[2J\n.mp4"
    shutil.copy(hall, odd)
    options = ("--for", f"{hall}@10", "--for", f"{odd}@2", "--speed", 0)
    lines = firstsight("watch", run_folder, hall, *options).out.splitlines()
    assert len(lines) == 2
    assert "match begins: hall.mp4@10" in lines[0]
    alone = firstsight("watch", run_folder, hall, *options[:2], *options[4:]).out.splitlines()
    assert lines == alone
    shown = firstsight("watch", run_folder, odd, "--for", f"{odd}@10", "--speed", 0)
    assert r"match begins: [bold]\x1b[2J\n.mp4@10" in shown.out
    assert r"watching [bold]\x1b[2J\n.mp4; Ctrl-C" in shown.err
