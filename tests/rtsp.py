"""Starts and ends the RTSP server of the tests."""

import subprocess
from pathlib import Path

import pytest

_PYTHON = "/usr/bin/python3"
_PROGRAM = Path(__file__).with_name("rtsp_server.py")
_BINDINGS = "import gi; gi.require_version('GstRtspServer', '1.0')"


def require_server() -> None:
    """Skips the test where Debian's gir1.2-gst-rtsp-server-1.0 is not installed."""
    command = [_PYTHON, "-c", _BINDINGS]
    if not Path(_PYTHON).exists() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no RTSP server: apt-get install gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good python3-gi")


class Server:
    """An RTSP server; its port stays the same when it is started again."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        self._port = "0"
        self.start()

    @property
    def address(self) -> str:
        """What to watch."""
        return f"rtsp://127.0.0.1:{self._port}/camera"

    def start(self) -> None:
        """Returns when it listens."""
        command = [_PYTHON, str(_PROGRAM), self._port, *self._arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self._port = self._process.stdout.readline().strip()

    def send(self, signal: int) -> None:
        """Hangs it (SIGSTOP), lets it go on (SIGCONT) or kills it (SIGKILL)."""
        self._process.send_signal(signal)

    def end(self) -> None:
        """Kills it, whatever state it is in."""
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
