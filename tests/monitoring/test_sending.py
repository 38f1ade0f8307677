"""Messages to a real web server and to real programs."""

import http.server
import io
import os
import select
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from http.client import HTTPMessage, IncompleteRead
from pathlib import Path

import pytest
from waiting import WATCHDOG_SECONDS, wait_for
from web import served

from firstsight.backoff import Backoff
from firstsight.errors import SettingsError
from firstsight.monitoring.sending import Sender, _PostsAgain, _terminate, to_command, to_webhook


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch):
    """A web server that keeps what is posted; /broken, /gone and for a while /away fail; /slow takes until the end.

    /moved/301 and so on name /events as their new address.
    """
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    received: list[tuple[str, bytes]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/slow":
                web.is_over.wait(WATCHDOG_SECONDS)
            if self.path.startswith("/moved/"):
                self.send_response(int(self.path[-3:]))
                self.send_header("Location", "/events")
                self.end_headers()
                return
            away = self.path == "/away" and web.is_away
            if not away:
                received.append((self.headers["Content-Type"], body))
                web.has_received.set()
            self.send_response(503 if away else {"/broken": 500, "/gone": 410}.get(self.path, 204))
            self.end_headers()

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

    with served(Handler) as web:
        web.received, web.is_away = received, True
        web.is_over, web.has_received = threading.Event(), threading.Event()
        yield web
        web.is_over.set()


def test_posts_arrive_in_order(server) -> None:
    sender = to_webhook(f"{server.address}/events?key=secret")
    for number in range(20):
        sender.send(b'{"number": %d}' % number)
    sender.close(WATCHDOG_SECONDS)
    assert server.received == [("application/json", b'{"number": %d}' % number) for number in range(20)]
    assert (sender.num_sent, sender.num_failed) == (20, 0)
    assert "secret" not in sender.name


@pytest.mark.parametrize(
    ("path", "reason", "seconds"), [("/broken", "HTTP Error 500", WATCHDOG_SECONDS), ("/slow", "timed out", 0.2)]
)
def test_what_the_server_refuses_or_delays_is_counted(server, path: str, reason: str, seconds: float) -> None:
    sender = to_webhook(server.address + path, timeout_seconds=seconds)
    sender.send(b"{}")
    sender.close(WATCHDOG_SECONDS)
    assert (sender.num_sent, sender.num_failed) == (0, 1)
    assert reason in sender.last_error


@pytest.mark.parametrize("error", [TimeoutError("timed out"), IncompleteRead(b"")])
def test_what_follows_the_status_does_not_matter(server, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: object) -> bytes:
        raise error

    monkeypatch.setattr("http.client.HTTPResponse.read", read)
    sender = to_webhook(f"{server.address}/events")
    sender.send(b"1")
    sender.close(WATCHDOG_SECONDS)
    assert [body for _, body in server.received] == [b"1"]
    assert (sender.num_sent, sender.num_failed) == (1, 0)


def test_nobody_listens(server) -> None:
    sender = to_webhook("http://127.0.0.1:1/")
    sender.send(b"{}")
    sender.close(WATCHDOG_SECONDS)
    assert sender.num_failed == 1
    assert "refused" in sender.last_error


def test_a_server_that_is_away_gets_all_of_it_later(server) -> None:
    notified, has_failed = [], threading.Event()
    backoff = Backoff(first_seconds=0.01, max_seconds=0.02)

    def notify(line: str) -> None:
        notified.append(line)
        has_failed.set()

    sender = to_webhook(server.address + "/away", notify=notify, backoff=backoff)
    for number in range(5):
        sender.send(b"%d" % number)
    assert has_failed.wait(WATCHDOG_SECONDS)
    server.is_away = False
    assert server.has_received.wait(WATCHDOG_SECONDS)
    sender.close(WATCHDOG_SECONDS)
    assert [body for _, body in server.received] == [b"%d" % number for number in range(5)]
    assert (sender.num_sent, sender.num_failed) == (5, 0)
    assert notified == [f"{sender.name}: HTTP Error 503: Service Unavailable", f"{sender.name}: delivered again"]


@pytest.mark.parametrize("code", [307, 308])
def test_what_has_moved_is_posted_there(server, code: int) -> None:
    sender = to_webhook(f"{server.address}/moved/{code}")
    sender.send(b'{"number": 1}')
    sender.close(WATCHDOG_SECONDS)
    assert server.received == [("application/json", b'{"number": 1}')]
    assert (sender.num_sent, sender.num_failed) == (1, 0)


@pytest.mark.parametrize("code", [301, 302, 303, 304])
def test_what_would_be_asked_for_in_place_of_posted_is_a_failure(server, code: int) -> None:
    notified: list[str] = []
    sender = to_webhook(f"{server.address}/moved/{code}", notify=notified.append)
    for number in range(3):
        sender.send(b"%d" % number)
    sender.close(WATCHDOG_SECONDS)
    assert server.received == []
    assert (sender.num_sent, sender.num_failed, len(notified)) == (0, 3, 1)
    assert f"HTTP Error {code}" in notified[0]


def test_what_is_encrypted_is_not_sent_on_unencrypted_or_with_a_password() -> None:
    request = urllib.request.Request("https://hall/events", b"1")
    follow = _PostsAgain().redirect_request
    with pytest.raises(urllib.error.HTTPError, match="not posted to http://hall") as raised:
        follow(request, io.BytesIO(), 307, "Moved", HTTPMessage(), "http://hall/events")
    raised.value.close()
    with pytest.raises(urllib.error.HTTPError, match="not posted to https://hall/2") as raised:
        follow(request, io.BytesIO(), 307, "Moved", HTTPMessage(), "https://me:secret@hall/2")
    raised.value.close()
    assert follow(request, io.BytesIO(), 307, "Moved", HTTPMessage(), "https://hall/2").data == b"1"


def test_what_a_server_says_reaches_nobody_raw() -> None:
    def deliver(_message: bytes) -> None:
        raise RuntimeError("500 \x1b[2Jbad\nnovel begins\u202e")

    notified: list[str] = []
    sender = Sender("\x1b]0;name", deliver, notify=notified.append)
    sender.send(b"1")
    sender.close(WATCHDOG_SECONDS)
    assert notified == [r"\x1b]0;name: 500 \x1b[2Jbad novel begins\u202e"]
    assert sender.last_error == r"500 \x1b[2Jbad novel begins\u202e"


def test_what_the_server_does_not_want_is_not_tried_again(server) -> None:
    sender = to_webhook(server.address + "/gone")
    sender.send(b"1")
    sender.send(b"2")
    sender.close(WATCHDOG_SECONDS)
    assert [body for _, body in server.received] == [b"1", b"2"]
    assert (sender.num_failed, sender.last_error) == (2, "HTTP Error 410: Gone")


class Gate:
    """A receiver that takes a message and keeps it until it is let go."""

    def __init__(self) -> None:
        self.taken, self.open, self.delivered = threading.Event(), threading.Event(), []

    def __call__(self, message: bytes) -> None:
        self.taken.set()
        self.open.wait(WATCHDOG_SECONDS)
        self.delivered.append(message)


def test_a_full_queue_gives_up_the_oldest_and_never_holds_up() -> None:
    gate = Gate()
    sender = Sender("slow", gate, max_queue=3)
    sender.send(b"first")
    assert gate.taken.wait(WATCHDOG_SECONDS)
    for number in range(10):
        sender.send(b"%d" % number)
    assert gate.delivered == []
    gate.open.set()
    sender.close(WATCHDOG_SECONDS)
    assert gate.delivered == [b"first", b"7", b"8", b"9"]
    assert (sender.num_sent, sender.num_failed) == (4, 7)
    assert sender.last_error == "more than 3 events waited"


@pytest.mark.parametrize("aborted", [False, True])
def test_closing_does_not_wait_for_ever_and_counts_what_is_not_delivered(aborted: bool) -> None:
    gate = Gate()
    sender = Sender("hangs", gate)
    sender.send(b"1")
    assert gate.taken.wait(WATCHDOG_SECONDS)
    sender.send(b"2")
    sender.close(WATCHDOG_SECONDS if aborted else 0.01, is_aborted=lambda: aborted)
    assert (sender.num_sent, sender.num_failed, sender.last_error) == (0, 2, "no answer until the end")
    gate.open.set()
    sender._thread.join(WATCHDOG_SECONDS)
    sender.close(WATCHDOG_SECONDS)
    assert (sender.num_sent, sender.num_failed, gate.delivered) == (0, 2, [b"1"])


def test_every_message_is_counted_once_whenever_it_is_closed() -> None:
    for num_delivered in range(4):
        gates = [Gate() for _ in range(4)]
        for gate in gates[:num_delivered]:
            gate.open.set()
        turn = iter(gates)
        sender = Sender("some", lambda message, turn=turn: next(turn)(message))
        for number in range(4):
            sender.send(b"%d" % number)
        assert gates[num_delivered].taken.wait(WATCHDOG_SECONDS)
        sender.close(0.01)
        assert (sender.num_sent, sender.num_failed) == (num_delivered, 4 - num_delivered)
        for gate in gates:
            gate.open.set()


def test_a_program_reads_each_message(tmp_path: Path) -> None:
    script = tmp_path / "it's a script.py"
    script.write_text("import sys; open(sys.argv[1], 'a').write(sys.stdin.read())")
    sender = to_command(f'{sys.executable} "{script}" "{tmp_path / "out"}"')
    sender.send(b'{"a": 1}')
    sender.send(b'{"a": 2}')
    sender.close(WATCHDOG_SECONDS)
    assert (tmp_path / "out").read_text() == '{"a": 1}\n{"a": 2}\n'
    assert (sender.num_sent, sender.num_failed) == (2, 0)


@pytest.mark.parametrize(
    ("command", "timeout_seconds", "reason"),
    [
        ("sh -c 'exit 3'", WATCHDOG_SECONDS, "sh ended with 3"),
        ("sh -c 'sleep 1000 & sleep 1000'", 0.1, "sh took longer than 0.1 s"),
        ("no-such-program", WATCHDOG_SECONDS, "No such file"),
    ],
)
def test_a_program_that_fails_is_counted(command: str, timeout_seconds: float, reason: str) -> None:
    sender = to_command(command, timeout_seconds=timeout_seconds)
    sender.send(b"{}")
    sender.close(WATCHDOG_SECONDS)
    assert (sender.num_sent, sender.num_failed) == (0, 1)
    assert reason in sender.last_error


def read_when_there(pipe: int) -> bytes:
    """What is in the pipe; empty once nobody has it open any more."""
    assert select.select([pipe], [], [], WATCHDOG_SECONDS)[0], "nothing came"
    return os.read(pipe, 100)


@pytest.mark.parametrize("trap", ["true", "trap : TERM", "trap '' TERM"])
def test_a_program_ends_with_the_sender_and_all_it_has_started(
    tmp_path: Path, trap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firstsight.monitoring.sending._GRACE_SECONDS", 1.0)
    os.mkfifo(tmp_path / "pipe")
    pipe = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    script = tmp_path / "hang.sh"
    script.write_text(f"exec 9>'{tmp_path / 'pipe'}'\n{trap}\necho up >&9\nsleep 1000 &\nsleep 1000\nsleep 1000\n")
    sender = to_command(f"sh '{script}'", timeout_seconds=1000)
    sender.send(b"1")
    sender.send(b"2")
    try:
        assert read_when_there(pipe) == b"up\n"
        sender.close(0.0)
        assert read_when_there(pipe) == b""
    finally:
        os.close(pipe)
    sender._thread.join(WATCHDOG_SECONDS)
    assert (sender.num_sent, sender.num_failed) == (0, 2)
    assert sender._cancel.__self__._process is None  # reaped


def test_children_have_the_grace_to_end_though_the_program_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firstsight.monitoring.sending._GRACE_SECONDS", WATCHDOG_SECONDS)
    for name in ("pipe", "go"):
        os.mkfifo(tmp_path / name)
    pipe = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    go = os.open(tmp_path / "go", os.O_RDWR)
    child = "trap 'echo asked >&9; read word <go; echo done >&9; exit' TERM; sleep 1000 & echo up >&9; wait"
    words = ["sh", "-c", f"exec 9>pipe; ({child}) & exec 9>&-; wait"]
    with subprocess.Popen(words, cwd=tmp_path, start_new_session=True) as process:
        assert read_when_there(pipe) == b"up\n"
        threading.Thread(target=_terminate, args=[process], daemon=True).start()
        assert read_when_there(pipe) == b"asked\n"
        wait_for(lambda: process.returncode is not None)
        os.write(go, b"\n")
        assert read_when_there(pipe) == b"done\n"
    os.close(pipe)
    os.close(go)


@pytest.mark.parametrize("address", ["http://me:secret@hall/e", "https://secret@hall", "http://me:se/secret@hall/e"])
def test_an_address_with_a_password_is_refused_without_showing_it(address: str) -> None:
    with pytest.raises(SettingsError, match=r"give a program that sends it|valid is an address") as raised:
        to_webhook(address)
    assert "secret" not in str(raised.value)


def test_what_is_no_address_and_no_command_is_refused() -> None:
    with pytest.raises(SettingsError, match="begins with http"):
        to_webhook("ftp://127.0.0.1/")
    for address in ("http://", "https://[bad", "http://host:abc/"):
        with pytest.raises(SettingsError, match="and a host"):
            to_webhook(address)
    with pytest.raises(SettingsError, match="close it"):
        to_command("say 'hello")
    with pytest.raises(SettingsError, match="is empty"):
        to_command(" ")
