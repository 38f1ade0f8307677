"""No view keeps anyone out: axe-core finds no serious fault, in light and dark, on a desk and on a phone."""

import pytest
from web_server import Server

VIEWS = ("Watch", "Map", "Review", "Live", "Learn")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_axe_finds_no_serious_fault_in_any_view(server: Server, open_page, scheme: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page = open_page(server, width=width)
    page.emulate_media(color_scheme=scheme)
    page.wait_for_selector(".player-stage[data-ready^=s]")
    page.wait_for_selector(".elsewhere-open")
    page.keyboard.press("a")
    page.wait_for_selector(".moment")
    faults = []
    for view in VIEWS:
        page.get_by_role("tab", name=view).click()
        found = axe.Axe().run(page).response["violations"]
        faults += [
            f"{view}: {one['id']}: {node['html'][:160]}"
            for one in found
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]
        assert page.evaluate("document.documentElement.scrollWidth") <= width, view
    assert faults == []
