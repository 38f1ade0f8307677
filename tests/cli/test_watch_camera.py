"""`firstsight watch` before a real RTSP server that is killed, started again and hangs."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from rtsp import Server, require_server
from waiting import WATCHDOG_SECONDS, wait_for


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
            wait_for(lambda: "novel begins" in told())  # the ball that bounces, after five seconds
            for number in range(2):
                server.end()
                wait_for(lambda number=number: told().count("lost") > number)
                server.start()
                wait_for(lambda number=number: told().count("back") > number)
                before = before or held()
            wait_for(lambda: all(now <= then for now, then in zip(held(), before, strict=True)))
            server.send(signal.SIGSTOP)
            process.send_signal(signal.SIGTERM)  # as services are ended; Ctrl-C does the same
            _, err = process.communicate(timeout=WATCHDOG_SECONDS)
        finally:
            process.kill()
            server.end()
    assert process.returncode == 130, err
    # A machine that stands still for ten seconds loses the camera once more.
    away = [kind for kind in told() if "novel" not in kind]
    assert away[:4] == ["lost", "back"] * 2
    assert away == (["lost", "back"] * len(away))[: len(away)]
    news = [kind for kind in told() if "novel" in kind]
    assert news == ["novel begins", "novel ends"] * (len(news) // 2)  # the last one too, as watching ends
    for number, kind in enumerate(told()):
        if kind == "lost":  # nothing is new in what is not seen
            assert told()[:number].count("novel begins") == told()[:number].count("novel ends")
    assert f"{len(told())} events, kept in" in err
    assert "Traceback" not in err
