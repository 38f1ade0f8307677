"""Who may ask the server: this machine's own pages and programs that have the token, nobody else's.

A page of another site must not reach the server through the user's browser. So each request, and each websocket, has to
name a host that is this server's (a foreign name that resolves to this machine is refused: DNS rebinding), must come
from this server's own page if a browser states where it comes from, and carries the token as a cookie or as
`Authorization: Bearer`. Bodies are limited in size.
"""

import hmac
import os
import secrets
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from firstsight.errors import SettingsError
from firstsight.files import write_atomically

MAX_BODY_BYTES = 32 * 2**20  # of an upload: a picture of any usual camera
_TOO_LARGE = f"too large; valid are bodies up to {MAX_BODY_BYTES // 2**20} MB"
_TOKEN_BYTES = 24
_MIN_TOKEN = 16  # letters
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self' data:; connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_EXPLANATION = (
    "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
    "<title>firstsight</title><body style='font:16px/1.5 system-ui;max-width:34em;margin:3em auto;padding:0 1em'>"
    "<h1>This page needs its token</h1><p>Open the address that <code>firstsight serve</code> printed; "
    "it ends in <code>?token=…</code>."
)


def state_folder() -> Path:
    """Where the server keeps what outlives it: its token, jobs, and what can be computed again."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "firstsight"


def token_of_user(given: str | None = None) -> str:
    """The token: the given one, that of FIRSTSIGHT_TOKEN, or one made once for this user and kept for the next start.

    Raises:
        SettingsError: a given one of fewer than 16 letters, or with others than letters, digits, - and _.
        RunError: it cannot be kept.
    """
    given = given or os.environ.get("FIRSTSIGHT_TOKEN")
    if given:
        if len(given) < _MIN_TOKEN or not given.replace("-", "").replace("_", "").isalnum() or not given.isascii():
            raise SettingsError(
                f"a token of {len(given)} letters; valid are {_MIN_TOKEN} or more letters, digits, - and _"
            )
        return given
    file = state_folder() / "token"
    try:
        kept = file.read_text(encoding="ascii").strip()
        if len(kept) >= _MIN_TOKEN:
            return kept
    except (OSError, ValueError):
        pass
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    write_atomically(file, b"")
    file.chmod(0o600)
    file.write_text(token, encoding="ascii")
    return token


class Gate:
    """Middleware around the complete app, websockets included.

    Args:
        app: what is guarded.
        token: of those who may ask.
        hosts: names of this server as a browser states them, with the port: "127.0.0.1:8080".
        port: that it listens at.
    """

    def __init__(self, app: ASGIApp, *, token: str, hosts: Iterable[str], port: int) -> None:
        self._app, self._token = app, token
        self._hosts = frozenset(host.lower() for host in hosts)
        self._cookie = f"firstsight-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers itself what is refused, and passes on the rest."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refused = self._refusal(scope, headers)
        if refused is None:
            await self._app(scope, _limited(receive), _with_headers(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "refused"})
        else:
            await refused(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> Response | None:
        """The answer to a request that is not passed on; None if it may pass."""
        if headers.get("host", "").lower() not in self._hosts:
            return _refused(
                421, "this server does not go by that name; open the address that it printed, or start it with --name"
            )
        if not self._is_own_page(scope, headers):
            return _refused(403, "a page of another site may not ask this server")
        if scope["type"] == "http" and scope["path"] == "/" and scope["query_string"].startswith(b"token="):
            return self._admitted(scope)
        if not self._has_token(headers):
            wants_page = "text/html" in headers.get("accept", "")
            return HTMLResponse(_EXPLANATION, 401) if wants_page else _refused(401, "the token is missing or wrong")
        if int(headers.get("content-length") or 0) > MAX_BODY_BYTES:
            return _refused(413, _TOO_LARGE)
        return None

    def _is_own_page(self, scope: Scope, headers: dict[str, str]) -> bool:
        """Whether a browser states this server's page as what asks; programs state nothing."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        if origin is not None and origin.lower().removeprefix("http://").removeprefix("https://") not in self._hosts:
            return False
        is_visit = headers.get("sec-fetch-mode") == "navigate" and scope.get("method") == "GET"
        return site in ("none", "same-origin") or is_visit

    def _admitted(self, scope: Scope) -> Response:
        """The address that was printed: its token becomes a cookie, and leaves the address."""
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if not self._is_token(given):
            return HTMLResponse(_EXPLANATION, 401)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(self._cookie, self._token, max_age=365 * 86_400, httponly=True, samesite="strict")
        return answer

    def _has_token(self, headers: dict[str, str]) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._is_token(given.strip()):
            return True
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            return False
        return found is not None and self._is_token(found.value)

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._token.encode())


def _limited(receive: Receive) -> Receive:
    """The same messages; raises when a body of unstated length becomes too large."""
    num_bytes = 0

    async def limited() -> Message:
        nonlocal num_bytes
        message = await receive()
        if message["type"] == "http.request":
            num_bytes += len(message.get("body", b""))
            if num_bytes > MAX_BODY_BYTES:
                raise HTTPException(413, _TOO_LARGE)
        return message

    return limited


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *HEADERS]
        await send(message)

    return sending


def _refused(status: int, reason: str) -> Response:
    return JSONResponse({"error": reason}, status)
