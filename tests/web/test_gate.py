"""Who may ask the server, and what it refuses."""

import asyncio
import io
import struct
import zlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from PIL import Image
from web_server import TOKEN, Server

from firstsight.errors import SettingsError
from firstsight.web.gate import MAX_BODY_BYTES, Gate, token_of_user


@pytest.mark.parametrize("path", ["/", "/api/library", "/api/openapi.json", "/static/main.js", "/api/rows/s1/video"])
@pytest.mark.parametrize("given", [None, "Bearer wrong", "Bearer", f"Basic {TOKEN}"])
def test_nothing_is_answered_without_the_token(server: Server, path: str, given: str | None) -> None:
    headers = {} if given is None else {"authorization": given}
    with server.client(accept="*/*", **headers) as client:
        assert client.get(path).status_code == 401


def test_the_printed_address_becomes_a_cookie_and_a_wrong_one_does_not(server: Server) -> None:
    with server.client(accept="*/*") as client:
        assert client.get("/", params={"token": "wrong"}).status_code == 401
        answer = client.get("/", params={"token": TOKEN})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert {"httponly", "samesite=strict"} <= set(answer.headers["set-cookie"].lower().split("; "))
        assert client.get("/api/library").status_code == 200


async def _inside(_scope: object, _receive: object, send: Callable[[dict[str, object]], Awaitable[None]]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"in"})


def test_a_name_that_was_given_is_its_own_also_behind_a_proxy_with_tls() -> None:
    gate = Gate(_inside, token=TOKEN, hosts=("127.0.0.1:81", "my.example"), port=81)
    headers = {"host": "my.example", "authorization": f"Bearer {TOKEN}"}

    async def answers(*given: dict[str, str]) -> list[int]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=gate), base_url="http://127.0.0.1") as client:
            return [(await client.post("/", headers=headers | one)).status_code for one in given]

    own, foreign = {"origin": "https://my.example"}, {"origin": "https://evil.example"}
    with ThreadPoolExecutor() as threads:  # this one may have a loop, of a browser
        found = threads.submit(asyncio.run, answers({}, own, foreign, {"host": "evil.example"})).result()
    assert found == [200, 200, 403, 421]


def test_what_the_framework_refuses_is_one_line_too(server: Server) -> None:
    with server.client(authorization=f"Bearer {TOKEN}") as client:
        answer = client.post("/api/models", json={"name": "a", "rows": []})
        assert (answer.status_code, answer.json()["error"][:6]) == (422, "rows: ")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1:1", "localhost.evil.example"])
def test_a_foreign_name_of_this_machine_is_refused(server: Server, host: str) -> None:
    with server.client() as client:
        assert client.get("/api/library", headers={"host": host}).status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"},
    ],
)
def test_a_page_of_another_site_is_refused(server: Server, headers: dict[str, str]) -> None:
    with server.client() as client:
        assert client.get("/api/library", headers=headers).status_code == 403
        assert client.post("/api/jobs/1/cancel", headers=headers).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"origin": "https://evil.example", "authorization": f"Bearer {TOKEN}"},
    ],
)
def test_a_foreign_websocket_is_refused(server: Server, headers: dict[str, str]) -> None:
    upgrade = {
        "connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", **headers,
    }  # fmt: skip
    with server.client(**upgrade) as client:
        assert client.get("/_nicegui_ws/socket.io/?EIO=4&transport=websocket").status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "/static/../gate.py", "/static/%2e%2e/gate.py", "/static/..%2fgate.py", "/static//etc/passwd",
        "/api/rows/..%2f..%2fetc%2fpasswd/video", "/api/rows/%2fetc%2fpasswd/frame?seconds=0",
        "/api/anchors/..%2f..%2flibrary/picture", "/api/rows/s999/video", "/api/tracks/..%2fx/0/0?rows=s1",
    ],
)  # fmt: skip
def test_no_path_of_a_client_is_opened(server: Server, path: str) -> None:
    with server.client() as client:
        assert client.get(path).status_code == 404


def bomb(side: int) -> bytes:
    """A small PNG that states side x side pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1_000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "content",
    [b"", b"<html><script>alert(1)</script>", b"\x89PNG\r\n\x1a\n", bomb(30_000), b"GIF89a", b"<svg xmlns='http://www.w3.org/2000/svg'/>"],
)  # fmt: skip
def test_a_false_upload_is_refused_in_one_line(server: Server, content: bytes) -> None:
    with server.client() as client:
        answer = client.post("/api/anchors/picture?name=a.png", content=content, headers={"content-type": "image/png"})
        assert answer.status_code in (400, 422)
        assert "Traceback" not in answer.text
        assert client.get("/api/anchors").json() == []


def test_too_much_is_refused_whether_or_not_its_length_is_stated(server: Server) -> None:
    with server.client() as client:
        headers = {"content-type": "application/octet-stream"}
        stated = client.post("/api/anchors/picture", content=b"0" * (MAX_BODY_BYTES + 1), headers=headers)
        assert stated.status_code == 413
        parts = (b"0" * 2**20 for _ in range(MAX_BODY_BYTES // 2**20 + 2))
        unstated = client.post("/api/anchors/picture", content=parts, headers=headers)
        assert unstated.status_code == 413


def test_names_stay_text(server: Server) -> None:
    content = io.BytesIO()
    Image.new("RGB", (64, 64), (200, 30, 30)).save(content, "png")
    name = "<script>alert('x')</script> \u202egpj é\n"
    with server.client() as client:
        headers = {"content-type": "application/octet-stream"}
        made = client.post("/api/anchors/picture", params={"name": name}, content=content.getvalue(), headers=headers)
        assert made.json()["name"] == "<script>alert('x')</script> \\u202egpj é"
        assert client.delete(f"/api/anchors/{made.json()['id']}").status_code == 204


def test_answers_forbid_what_pages_do_not_need(server: Server) -> None:
    with server.client() as client:
        headers = client.get("/").headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert (headers["x-content-type-options"], headers["x-frame-options"]) == ("nosniff", "DENY")


def test_a_token_is_made_once_and_kept_for_the_user_alone(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("FIRSTSIGHT_TOKEN", raising=False)
    token = token_of_user()
    assert token_of_user() == token
    assert len(token) >= 32
    assert (tmp_path / "firstsight" / "token").stat().st_mode & 0o777 == 0o600
    with pytest.raises(SettingsError, match="16 or more"):
        token_of_user("short")


def test_a_server_that_starts_warns_of_nothing(server: Server) -> None:
    with server.client() as client:
        assert client.get("/api/library").status_code == 200
    assert "Warning" not in server.log.read_text()
