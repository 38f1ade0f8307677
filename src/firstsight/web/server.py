"""The server: REST API, page and gate put together, on this machine alone unless asked otherwise."""

import logging
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from firstsight.errors import FirstsightError, LibraryError, SettingsError
from firstsight.web.anchors import RemovedError
from firstsight.web.gate import Gate, token_of_user
from firstsight.web.routes import routes_of
from firstsight.web.workspace import Workspace

STATIC = Path(__file__).with_name("static")
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_LARGEST_PORT = 65_535
_USUAL_PORT = 80  # which browsers leave away
_GRACE_SECONDS = 2  # to finish answers at the end; a video that waits in a player takes for ever


def make_app(workspace: Workspace, *, token: str, hosts: tuple[str, ...], port: int) -> ASGIApp:
    """The complete app.

    Args:
        workspace: what it shows; it is started and closed with the app.
        token: of those who may ask.
        hosts: names of the server as browsers state them, with the port.
        port: that it listens at.
    """
    from firstsight.web.shell import add_shell

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        workspace.start()
        yield
        workspace.close()

    app = FastAPI(title="firstsight", lifespan=lifespan, openapi_url="/api/openapi.json", docs_url=None, redoc_url=None)
    app.add_exception_handler(FirstsightError, _as_answer)
    app.add_exception_handler(RequestValidationError, _as_refusal)
    app.add_exception_handler(HTTPException, _as_refusal)
    app.include_router(routes_of(workspace))
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    add_shell(app)
    return Gate(app, token=token, hosts=hosts, port=port)


def _as_answer(request: Request, error: Exception) -> Response:
    """An error as one line; 404 of what the library does not have, else 400.

    Nothing, 204, of an anchor that was removed: a page may ask of it, or remove it, just when it goes.
    """
    if isinstance(error, RemovedError) and request.method in ("GET", "DELETE"):
        return Response(status_code=204)
    return JSONResponse({"error": " ".join(str(error).split())}, 404 if isinstance(error, LibraryError) else 400)


def _as_refusal(_: Request, error: Exception) -> Response:
    """What the framework refuses, as one line too."""
    if isinstance(error, RequestValidationError):
        first: dict[str, Any] = next(iter(error.errors()), {"msg": "not valid"})
        where = ".".join(str(part) for part in first.get("loc", ())[1:])
        return JSONResponse({"error": f"{where or 'the request'}: {first['msg']}"}, 422)
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


def serve(
    path: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str | None = None,
    names: Sequence[str] = (),
    on_start: Callable[[str], Any],
) -> None:
    """Serves a library, or footage that becomes one, until it is interrupted.

    Args:
        path: a library, or a video, a picture or a folder of them.
        host: address to listen at; by default only this machine can reach it.
        port: 0 takes a free one.
        token: of those who may ask; by default the user's own, see `token_of_user`.
        names: by which browsers reach it besides, as of a proxy before it: "my.example", "my.example:8443".
        on_start: called with the page's address, token included, once it can be opened.

    Raises:
        SettingsError: the address cannot be listened at.
        SourceError, LibraryError: see `Workspace`.
    """
    import uvicorn

    if not 0 <= port <= _LARGEST_PORT:
        raise SettingsError(f"port {port}; valid are 1 to {_LARGEST_PORT}, or 0 for a free one")
    workspace, secret = Workspace(path), token_of_user(token)
    listening = _listen(host, port)
    port = listening.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    is_open = host in ("0.0.0.0", "::")  # noqa: S104  # compared, not bound
    own = _own_address() if is_open else shown
    known = dict.fromkeys((*_LOOPBACK, own, socket.gethostname() if is_open else shown, *names))
    hosts = (*names, *(f"{name}:{port}" for name in known), *(known if port == _USUAL_PORT else ()))
    app = make_app(workspace, token=secret, hosts=hosts, port=port)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        server_header=False,
        ws_max_size=2**20,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    server = uvicorn.Server(config)
    on_start(f"http://{own}:{port}/?token={secret}")
    server.run(sockets=[listening])


def _own_address() -> str:
    """By which others in its network reach this machine; its own name for itself where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect(("192.0.2.1", 9))  # an address for documentation; nothing is sent
            return str(asked.getsockname()[0])
        except OSError:
            return _LOOPBACK[0]


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)
    except OSError as error:
        raise SettingsError(
            f"{host}:{port} cannot be listened at: {error.strerror}; give another --port, or --host"
        ) from error
    return listening
