"""Messages to a real web server and to real programs."""

import http.server
import sys
import threading
import time
from pathlib import Path

import pytest
from web import served

from firstsight.errors import SettingsError
from firstsight.export.sending import Sender, to_command, to_webhook
from firstsight.video.reconnecting import Patience


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch):
    """A web server that keeps what is posted; /broken, /gone and for a while /away fail; /slow takes a second."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    received: list[tuple[str, bytes]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/slow":
                time.sleep(1.0)
            away = self.path == "/away" and web.is_away
            if not away:
                received.append((self.headers["Content-Type"], body))
            self.send_response(503 if away else {"/broken": 500, "/gone": 410}.get(self.path, 204))
            self.end_headers()

    with served(Handler) as web:
        web.received, web.is_away = received, True
        yield web


def test_posts_arrive_in_order(server) -> None:
    sender = to_webhook(f"{server.address}/events?key=secret")
    for number in range(20):
        sender.send(b'{"number": %d}' % number)
    sender.close()
    assert server.received == [("application/json", b'{"number": %d}' % number) for number in range(20)]
    assert (sender.num_sent, sender.num_failed) == (20, 0)
    assert "secret" not in sender.name


@pytest.mark.parametrize(("path", "reason"), [("/broken", "HTTP Error 500"), ("/slow", "timed out")])
def test_what_the_server_refuses_or_delays_is_counted(server, path: str, reason: str) -> None:
    sender = to_webhook(server.address + path, timeout_seconds=0.2)
    sender.send(b"{}")
    sender.close()
    assert (sender.num_sent, sender.num_failed) == (0, 1)
    assert reason in sender.last_error


def test_nobody_listens(server) -> None:
    sender = to_webhook("http://127.0.0.1:1/")
    sender.send(b"{}")
    sender.close()
    assert sender.num_failed == 1
    assert "refused" in sender.last_error


def test_a_server_that_is_away_gets_all_of_it_later(server) -> None:
    told, patience = [], Patience(first_wait_seconds=0.01, longest_wait_seconds=0.02)
    sender = to_webhook(server.address + "/away", tell=told.append, patience=patience)
    for number in range(5):
        sender.send(b"%d" % number)
    while not told:
        time.sleep(0.001)
    server.is_away = False
    while sender.num_sent < 5:
        time.sleep(0.001)
    sender.close()
    assert [body for _, body in server.received] == [b"%d" % number for number in range(5)]
    assert sender.num_failed == 0
    assert told == [f"{sender.name}: HTTP Error 503: Service Unavailable", f"{sender.name}: delivered again"]


def test_what_the_server_does_not_want_is_not_tried_again(server) -> None:
    sender = to_webhook(server.address + "/gone")
    sender.send(b"1")
    sender.send(b"2")
    sender.close()
    assert [body for _, body in server.received] == [b"1", b"2"]
    assert (sender.num_failed, sender.last_error) == (2, "HTTP Error 410: Gone")


def test_a_full_queue_gives_up_the_oldest_and_never_holds_up() -> None:
    go, delivered = threading.Event(), []

    def deliver(message: bytes) -> None:
        go.wait(5)
        delivered.append(message)

    sender = Sender("slow", deliver, longest_queue=3)
    sender.send(b"first")
    while sender._waiting:  # until the thread has taken it
        time.sleep(0.001)
    begun = time.monotonic()
    for number in range(10):
        sender.send(b"%d" % number)
    assert time.monotonic() - begun < 1
    go.set()
    sender.close()
    assert delivered == [b"first", b"7", b"8", b"9"]
    assert (sender.num_sent, sender.num_failed) == (4, 7)
    assert sender.last_error == "more than 3 events waited"


def test_closing_does_not_wait_for_ever() -> None:
    go = threading.Event()
    sender = Sender("hangs", lambda _message: go.wait(5))
    sender.send(b"1")
    while sender._waiting:
        time.sleep(0.001)
    sender.send(b"2")
    sender.close(0.1)
    assert sender.num_failed == 1
    go.set()


def test_a_program_reads_each_message(tmp_path: Path) -> None:
    script = tmp_path / "it's a script.py"
    script.write_text("import sys; open(sys.argv[1], 'a').write(sys.stdin.read())")
    sender = to_command(f'{sys.executable} "{script}" "{tmp_path / "out"}"')
    sender.send(b'{"a": 1}')
    sender.send(b'{"a": 2}')
    sender.close(20)
    assert (tmp_path / "out").read_text() == '{"a": 1}\n{"a": 2}\n'
    assert (sender.num_sent, sender.num_failed) == (2, 0)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("sh -c 'exit 3'", "sh ended with 3"),
        ("sh -c 'sleep 30 & sleep 30'", "sh took longer than 0.3 s"),
        ("no-such-program", "No such file"),
    ],
)
def test_a_program_that_fails_is_counted(command: str, reason: str) -> None:
    sender = to_command(command, timeout_seconds=0.3)
    begun = time.monotonic()
    sender.send(b"{}")
    sender.close()
    assert time.monotonic() - begun < 3
    assert (sender.num_sent, sender.num_failed) == (0, 1)
    assert reason in sender.last_error


def test_what_is_no_address_and_no_command_is_refused() -> None:
    with pytest.raises(SettingsError, match="begins with http"):
        to_webhook("ftp://127.0.0.1/")
    with pytest.raises(SettingsError, match="close it"):
        to_command("say 'hello")
    with pytest.raises(SettingsError, match="is empty"):
        to_command(" ")
