"""The web app's server in a process of its own, and a clip to serve."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
from waiting import WATCHDOG_SECONDS

from firstsight.footage.encoding import VideoWriter

TOKEN = "a-token-of-the-tests-0123456789"


def write_clip(path: Path, *, hue: int, num_frames: int = 120, size: int = 96) -> Path:
    """A bright square that wanders over a textured ground, ten frames a second."""
    ground = np.random.default_rng(hue).integers(30, 120, (size // 8, size // 8, 3), dtype=np.uint8)
    ground = ground.repeat(8, axis=0).repeat(8, axis=1)
    with VideoWriter(path, size=(size, size)) as film:
        for index in range(num_frames):
            frame = ground.copy()
            x, y = int(36 + 30 * np.sin(index / 9)), int(36 + 30 * np.cos(index / 14))
            frame[y : y + 20, x : x + 20] = (250, hue, 255 - hue)
            film.write(np.roll(frame, index // 4, axis=1), seconds=index / 10)
    return path


@dataclass(frozen=True)
class Server:
    """One that runs."""

    address: str  # http://127.0.0.1:PORT
    log: Path
    process: "subprocess.Popen[str]"

    @property
    def host(self) -> str:
        return urlsplit(self.address).netloc

    def client(self, **headers: str) -> httpx.Client:
        """With the token, unless other headers are given."""
        given = headers or {"authorization": f"Bearer {TOKEN}"}
        return httpx.Client(base_url=self.address, headers=given, timeout=WATCHDOG_SECONDS, trust_env=False)


# Of its workers: they begin once a file is gone, so that what is done while they run does not depend on who is faster.
_HELD = """
import pathlib, sys, time
while "firstsight.web.worker" in sys.orig_argv and pathlib.Path({hold!r}).exists():
    time.sleep(0.05)
"""


@contextmanager
def serving(path: Path, state: Path, *, hold: Path | None = None) -> Iterator[Server]:
    """The server of a library or of footage; its jobs wait while there is the file `hold`."""
    environment = {**os.environ, "XDG_STATE_HOME": str(state), "FIRSTSIGHT_TOKEN": TOKEN, "OMP_NUM_THREADS": "1"}
    command = "from firstsight.cli.main import main; main()"
    log = state / "server.log"
    state.mkdir(parents=True, exist_ok=True)
    if hold is not None:
        (state / "held").mkdir()
        (state / "held" / "sitecustomize.py").write_text(_HELD.format(hold=str(hold)))
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(state / "held"), environment.get("PYTHONPATH")]))
    with (
        log.open("a") as errors,
        subprocess.Popen(
            [sys.executable, "-c", command, "serve", str(path), "--port", "0"],
            stdout=subprocess.PIPE, stderr=errors, text=True, env=environment,
        ) as process,
    ):  # fmt: skip
        try:
            found = re.search(r"(http://\S+)/\?token=", process.stdout.readline())
            assert found, log.read_text()
            server = Server(found[1], log, process)
            yield server
        finally:
            process.terminate()
            process.wait(WATCHDOG_SECONDS)
