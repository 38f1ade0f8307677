import http.server
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from web import served


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


def test_events_go_everywhere(firstsight, run_folder: Path, hall: Path, tmp_path: Path, web) -> None:
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
    assert "32 frames seen; 4 events" in ran.err
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
        (("--novel", "--run", ""), "the command is empty"),
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


def watching(*arguments: object) -> subprocess.Popen[str]:
    """`firstsight watch` in a process of its own, on one thread."""
    return subprocess.Popen(
        [sys.executable, "-c", "from firstsight.cli.main import main; main()", "watch", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_what_is_no_longer_read_is_kept(run_folder: Path, hall: Path, tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    with watching(run_folder, hall, "--novel", "--speed", "0", "--events", log) as process:
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 0
    assert [json.loads(line)["kind"] for line in log.read_text().splitlines()] == ["novel begins"]
    assert f"nobody reads the events any more: 19 frames seen; 1 events, kept in {log}" in err
    assert "Traceback" not in err
    assert "Exception" not in err


def test_is_ended_cleanly_by_the_keyboard(run_folder: Path, hall: Path, tmp_path: Path) -> None:
    """At four times its speed what is new begins after about two seconds, and is under way when it is interrupted."""
    log = tmp_path / "events.jsonl"
    with watching(run_folder, hall, "--novel", "--speed", "4", "--events", log) as process:
        end = time.monotonic() + 240
        while not (log.exists() and log.read_text()) and time.monotonic() < end:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert [json.loads(line)["kind"] for line in log.read_text().splitlines()] == ["novel begins", "novel ends"]
    assert len(out.splitlines()) == 2
    assert "interrupted: " in err
    assert f"2 events, kept in {log}" in err
    assert "Traceback" not in err
