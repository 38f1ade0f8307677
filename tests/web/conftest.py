"""A library of two short clips, its server, and its page in headless Chromium."""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from library_made import layout_encoder
from waiting import WATCHDOG_SECONDS
from web_server import TOKEN, Server, serving, write_clip

from firstsight.api import Library

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="session")
def state_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="session")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two clips; one has a name that is markup."""
    folder = tmp_path_factory.mktemp("footage") / "walks"
    folder.mkdir()
    write_clip(folder / "gate.mp4", hue=20)
    write_clip(folder / "<img src=x onerror=alert(1)>'\"é.mp4", hue=230)
    return folder


@pytest.fixture(scope="session")
def library_folder(footage: Path) -> Path:
    folder = footage.with_name("walks.library")
    Library.create(folder, footage, encoder=layout_encoder(), frames_per_second=5).close()
    return folder


@pytest.fixture(scope="session")
def server(library_folder: Path, state_folder: Path) -> Iterator[Server]:
    with serving(library_folder, state_folder) as running:
        yield running


@pytest.fixture(scope="session")
def context() -> Iterator[object]:
    """What all pages are opened in: scripts and styles are asked for once, as by whoever comes again."""
    if not CHROMIUM.exists():
        pytest.skip("Chromium is not installed (Debian's package chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield running.new_context()
        running.close()


@pytest.fixture
def open_page(context) -> Iterator[Callable[..., object]]:
    """Opens the page of a server; at the end no console error and no request to elsewhere is accepted."""
    problems: list[str] = []
    pages = []
    servers: list[Server] = []

    def opened(server: Server, *, width: int = 1280, height: int = 820, expected: tuple[str, ...] = ()):
        servers.append(server)
        page = context.new_page()
        pages.append(page)
        page.set_viewport_size({"width": width, "height": height})
        page.set_default_timeout(1000 * WATCHDOG_SECONDS)

        def on_console(message) -> None:
            if message.type == "error" and not any(part in message.text for part in expected):
                problems.append(f"{message.text} {message.location.get('url', '')}")

        page.on("console", on_console)
        page.on("pageerror", lambda error: problems.append(str(error)))

        def on_request(request) -> None:
            if urlsplit(request.url).scheme not in ("data", "blob") and urlsplit(request.url).netloc != server.host:
                problems.append(f"a request to {request.url}")

        page.on("request", on_request)
        page.on("websocket", lambda socket: urlsplit(socket.url).netloc == server.host or problems.append(socket.url))
        page.goto(f"{server.address}/?token={TOKEN}")
        page.wait_for_selector(".fs-root[data-ready]")
        return page

    yield opened
    for page in pages:
        page.close()
    context.clear_cookies()
    for server in servers:
        if server.process.poll() is None:
            with server.client() as client:
                for anchor in client.get("/api/anchors").json():
                    client.delete(f"/api/anchors/{anchor['id']}")
    assert problems == []
