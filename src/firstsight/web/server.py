"""The server: REST API, page and gate put together, on this machine alone unless asked otherwise."""

import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.types import ASGIApp

from firstsight.errors import FirstsightError, LibraryError, SettingsError
from firstsight.web.anchors import RemovedError
from firstsight.web.gate import Gate, token_of_user
from firstsight.web.routes import routes_of
from firstsight.web.workspace import Workspace

STATIC = Path(__file__).with_name("static")
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_LARGEST_PORT = 65_535


def make_app(workspace: Workspace, *, token: str, hosts: tuple[str, ...]) -> ASGIApp:
    """The complete app.

    Args:
        workspace: what it shows; it is started and closed with the app.
        token: of those who may ask.
        hosts: names of the server with its port, as browsers state them.
    """
    from firstsight.web.shell import add_shell

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        workspace.start()
        yield
        workspace.close()

    app = FastAPI(title="firstsight", lifespan=lifespan, openapi_url="/api/openapi.json", docs_url=None, redoc_url=None)
    app.add_exception_handler(FirstsightError, _as_answer)
    app.include_router(routes_of(workspace))
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    add_shell(app)
    return Gate(app, token=token, hosts=hosts)


def _as_answer(request: Request, error: Exception) -> Response:
    """An error as one line; 404 of what the library does not have, else 400.

    Nothing, 204, of an anchor that was removed: a page may ask of it, or remove it, just when it goes.
    """
    if isinstance(error, RemovedError) and request.method in ("GET", "DELETE"):
        return Response(status_code=204)
    return JSONResponse({"error": " ".join(str(error).split())}, 404 if isinstance(error, LibraryError) else 400)


def serve(
    path: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str | None = None,
    on_start: Callable[[str], Any],
) -> None:
    """Serves a library, or footage that becomes one, until it is interrupted.

    Args:
        path: a library, or a video, a picture or a folder of them.
        host: address to listen at; by default only this machine can reach it.
        port: 0 takes a free one.
        token: of those who may ask; by default the user's own, see `token_of_user`.
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
    names = tuple(f"{name}:{port}" for name in dict.fromkeys((*_LOOPBACK, socket.gethostname() if is_open else shown)))
    app = make_app(workspace, token=secret, hosts=names)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    config = uvicorn.Config(app, log_level="error", access_log=False, server_header=False, ws_max_size=2**20)
    server = uvicorn.Server(config)
    on_start(f"http://{_LOOPBACK[0] if is_open else shown}:{port}/?token={secret}")
    server.run(sockets=[listening])


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
