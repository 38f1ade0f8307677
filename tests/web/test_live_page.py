"""The live view: a file played as a camera is watched, and ended."""

from pathlib import Path

import numpy as np
import pytest
from web_server import Server

from firstsight.api import Library
from firstsight.errors import LibraryError
from firstsight.progress import silent
from firstsight.web.anchors import Anchors
from firstsight.web.live import Live, watch_live


def slowly(route) -> None:
    """Asks for so slow a camera that it does not end while it is looked at."""
    is_start = route.request.method == "POST"
    route.continue_(**({"post_data": {**route.request.post_data_json, "speed": 0.01}} if is_start else {}))


def test_a_clip_is_watched_as_a_camera_and_ended(server: Server, open_page) -> None:
    page = open_page(server)
    page.route("**/api/live", slowly)
    page.wait_for_selector(".player-stage[data-ready^=s]")
    page.keyboard.press("a")
    page.wait_for_selector(".anchors li")
    page.get_by_role("tab", name="Live").click()
    page.get_by_role("button", name="Watch").click()
    page.wait_for_selector("#panel-live[data-live=on]")
    page.wait_for_selector("#panel-live img:not([hidden])")
    page.wait_for_function("document.querySelector('#panel-live img').naturalWidth > 0")
    with server.client() as client:
        point = client.get("/api/live").json()["points"][0]
        assert point["seconds"] >= 0
        assert list(point["closeness"]) == [client.get("/api/anchors").json()[0]["id"]]
    page.get_by_role("button", name="Stop").click()
    page.wait_for_selector("#panel-live[data-live=off]")
    with server.client() as client:  # a page that read of the last frame before the end may ask for it after
        assert client.get("/api/live/picture").status_code == 200


@pytest.mark.parametrize(
    ("content", "status"),
    [
        ({}, 400), ({"camera": "/etc/passwd"}, 400), ({"camera": "-"}, 400), ({"camera": "file:///etc/passwd"}, 400),
        ({"row": "s0"}, 404),
    ],
)  # fmt: skip
def test_a_client_names_a_row_or_a_camera_and_never_a_path(server: Server, content: dict, status: int) -> None:
    with server.client() as client:
        answer = client.post("/api/live", json=content)
        assert answer.status_code == status
        assert client.get("/api/live").json()["state"] == "off"


def test_anchors_are_those_of_the_page_at_each_time(footage: Path, library_folder: Path) -> None:
    anchors, seen = Anchors(library_folder), []
    picture = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    pinned: list[str] = []

    def write(*, closeness: dict[str, float | None] | None = None, **_: object) -> None:
        if closeness is None:
            return
        seen.append(len(closeness))
        if len(seen) == 6:
            pinned.extend(anchors.add(picture, name=name).id for name in ("kept", "removed"))
        if len(seen) == 12:
            anchors.remove(pinned[1])

    with Library.open(library_folder) as library:
        watch_live(library, str(footage / "gate.mp4"), speed=0, write=write, progress=silent)
    anchors.remove(pinned[0])
    assert seen[:20] == [0] * 8 + [2] * 4 + [1] * 8


def test_without_a_frame_yet_there_is_no_picture() -> None:
    with pytest.raises(LibraryError, match="nothing is live now"):
        Live().picture()
