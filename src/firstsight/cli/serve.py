"""`firstsight serve`: the web app."""

from pathlib import Path
from threading import Thread
from typing import Annotated

import typer

from firstsight.errors import SettingsError
from firstsight.text import printable


def command(
    path: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="A library; or footage, which is indexed meanwhile.")
    ] = Path(),
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Listen at this address; others can then reach it.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="PORT", help="0 takes a free one.")] = 8_130,
    token: Annotated[
        str | None,
        typer.Option(metavar="TOKEN", help="By default FIRSTSIGHT_TOKEN, or one made once for this user."),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Another name by which browsers reach it, as of a proxy before it."),
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Look at footage on a local page: a time axis, a player, search by pictures, and a map.

    Given footage, it makes a library beside it while you look. Only this machine can reach the page, with the token in
    the printed address. It needs the web extra: pip install 'firstsight[web]'.

    Example: `firstsight serve walks/`
    """
    try:
        from firstsight.web.server import serve
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"the web app needs {error.name}, which is not installed: pip install 'firstsight[web]'"
        ) from error

    def started(address: str) -> None:
        typer.echo(f"{printable(path.absolute().name)} is at {address}\nCtrl-C ends it")
        if open_browser:
            import webbrowser

            Thread(target=webbrowser.open, args=(address,), daemon=True).start()  # some wait until the page has loaded

    serve(path, host=host, port=port, token=token, names=name or (), on_start=started)
