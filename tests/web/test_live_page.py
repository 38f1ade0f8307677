"""The live view: a file played as a camera is watched, and ended."""

import pytest
from web_server import Server

from firstsight.errors import LibraryError
from firstsight.web.live import Live


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


def test_without_a_frame_yet_there_is_no_picture() -> None:
    with pytest.raises(LibraryError, match="nothing is live now"):
        Live().picture()
