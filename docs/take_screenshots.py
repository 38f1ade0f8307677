"""Pictures of the web app, desktop and phone, light and dark: `make screenshots` writes docs/pictures/web-*.png."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

OUT = Path(__file__).parent / "pictures"
SHOWN = (("desktop", 1440, 900, "light"), ("desktop", 1440, 900, "dark"), ("phone", 360, 780, "light"))


def main() -> None:
    environment = {**os.environ, "XDG_STATE_HOME": tempfile.mkdtemp()}
    command = [sys.executable, "examples/serve.py", *sys.argv[1:]]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        address = re.search(r"http\S+", server.stdout.readline())[0]
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            for number, (device, width, height, scheme) in enumerate(SHOWN):
                page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
                page.set_default_timeout(600_000)
                take(page, address, f"{device}-{scheme}", is_first=number == 0)
                page.close()
            browser.close()
    finally:
        server.terminate()
        server.wait()


def take(page, address: str, name: str, *, is_first: bool) -> None:
    """The page once it is grouped, with an anchor; and its map."""
    page.goto(address)
    page.wait_for_function("document.querySelector('.fs-root')?.dataset.ready?.endsWith('+')")
    page.wait_for_selector(".player-stage:not([data-ready=''])[data-ready]")
    if is_first and not page.locator(".anchors li").count():
        page.keyboard.press("a")
    else:
        page.locator(".anchor-show").first.click()
    page.wait_for_selector(".moment")
    page.wait_for_load_state("networkidle")
    save(page, f"web-{name}")
    page.get_by_role("tab", name="Map").click()
    page.wait_for_selector(".map-stage canvas:not([data-points='0'])[data-points]")
    save(page, f"web-map-{name}")


def save(page, name: str) -> None:
    path = OUT / f"{name}.png"
    page.screenshot(path=path)
    Image.open(path).quantize(192).save(path, optimize=True)


if __name__ == "__main__":
    main()
