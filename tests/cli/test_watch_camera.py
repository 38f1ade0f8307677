"""`firstsight watch` before a real RTSP server that is killed, started again and hangs."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rtsp import Server, require_server


def wait_for(condition: Callable[[], bool], seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def test_what_a_camera_does_is_told_and_costs_nothing(run_folder: Path, tmp_path: Path) -> None:
    require_server()
    log, server = tmp_path / "events.jsonl", Server()

    def told() -> list[str]:
        return [json.loads(line)["kind"] for line in log.read_text().splitlines()] if log.exists() else []

    command = [sys.executable, "-c", "from firstsight.cli.main import main; main()", "watch", run_folder]
    with subprocess.Popen(
        [*map(str, command), server.address, "--novel", "--novel-from", "0.001", "--events", str(log)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:

        def held() -> tuple[int, int]:
            """How many threads and descriptors it has."""
            threads, descriptors = (Path(f"/proc/{process.pid}/{what}") for what in ("task", "fd"))
            return len(list(threads.iterdir())), len(list(descriptors.iterdir()))

        try:
            before: tuple[int, int] | None = None
            wait_for(lambda: told() == ["novel begins"])  # the ball that bounces, after five seconds
            for number in range(2):
                server.end()
                wait_for(lambda number=number: told().count("lost") > number)
                server.start()
                wait_for(lambda number=number: told().count("back") > number)
                before = before or held()
            wait_for(lambda: all(now <= then for now, then in zip(held(), before, strict=True)))
            server.send(signal.SIGSTOP)
            time.sleep(1)
            process.send_signal(signal.SIGTERM)  # as services are ended; Ctrl-C does the same
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
            server.end()
    assert process.returncode == 130, err
    assert [kind for kind in told() if "novel" not in kind] == ["lost", "back"] * 2
    assert told()[:4] == ["novel begins", "novel ends", "lost", "back"]
    assert f"{len(told())} events, kept in" in err
    assert "Traceback" not in err
