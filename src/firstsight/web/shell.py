"""The page around the component: NiceGUI's document, and the element in which the page's own modules work."""

import warnings
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from nicegui import ui
from starlette.types import Lifespan

_ICON = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'><rect width='32' height='32' rx='7' fill='#1d4ed8'/>"
    "<circle cx='16' cy='16' r='8' fill='none' stroke='#fff' stroke-width='3'/><circle cx='16' cy='16' r='3' "
    "fill='#fff'/></svg>"
)


class Workbench(ui.element, component=str(Path(__file__).with_name("static") / "workbench.js")):
    """The axis of time, player, anchors, search and map: modules under static/ that ask the REST API themselves."""


def add_shell(app: FastAPI) -> None:
    """Adds the page to the app."""

    @ui.page("/", title="firstsight", favicon=_ICON, reconnect_timeout=60)
    def index() -> None:
        ui.add_head_html(
            '<link rel="stylesheet" href="/static/style.css"><meta name="color-scheme" content="light dark">'
        )
        ui.query(".nicegui-content").classes("p-0 gap-0 w-full")
        Workbench()

    ui.run_with(app, title="firstsight", language="en-US", tailwind=False, show_welcome_message=False, dark=None)
    app.router.lifespan_context = _quiet(app.router.lifespan_context)


def _quiet(lifespan: Lifespan[Any]) -> Lifespan[Any]:
    """The same. As it starts, NiceGUI looks at every object of the process, and old ones of PyTorch warn of that."""

    @asynccontextmanager
    async def quiet(app: Any) -> AsyncIterator[Any]:  # noqa: ANN401  # as Starlette types it
        async with AsyncExitStack() as stack:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "`torch", FutureWarning)
                state = await stack.enter_async_context(lifespan(app))
            yield state

    return quiet
