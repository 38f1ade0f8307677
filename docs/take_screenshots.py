"""Pictures of the web app, each view, on desk and phone, light and dark: `make screenshots`; pictures/web-*.webp."""

import os
import re
import subprocess
import sys
import tempfile
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

OUT = Path(__file__).parent / "pictures"
DEVICES = (("desktop", 1440, 900), ("phone", 360, 780))
SCHEMES = ("light", "dark")
VIEWS = ("watch", "map", "review", "live", "learn")
_QUALITY = 84
# Pins a frame of the row with the most frames, 85 % in, unless something is pinned.
_PIN = """async () => {
  const json = async (path, options) => (await fetch(`/api${path}`, options)).json();
  if ((await json("/anchors")).length) return;
  const rows = (await json("/library")).rows.toSorted((one, other) => other.end_seconds - one.end_seconds);
  const body = JSON.stringify({ row: rows[0].id, seconds: 0.85 * rows[0].end_seconds, box: null });
  await json("/anchors", { method: "POST", headers: { "content-type": "application/json" }, body });
}"""
_WATCHED_SECONDS = 8.0  # of a clip that is played as a camera, before its picture is taken


def main() -> None:
    environment = {**os.environ, "XDG_STATE_HOME": tempfile.mkdtemp()}
    command = [sys.executable, "examples/serve.py", *sys.argv[1:]]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        address = re.search(r"http\S+", server.stdout.readline())[0]
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path="/usr/bin/chromium", args=["--no-sandbox", "--enable-unsafe-swiftshader"]
            )
            page = browser.new_page()
            prepare(page, address)
            for device, width, height in DEVICES:
                page.set_viewport_size({"width": width, "height": height})
                for scheme in SCHEMES:
                    page.emulate_media(color_scheme=scheme)
                    for view in VIEWS:
                        show(page, view)
                        save(page, f"web-{view}-{device}-{scheme}")
            browser.close()
    finally:
        server.terminate()
        server.wait()


def prepare(page, address: str) -> None:
    """The page once all is there to be shown: groups, an anchor, things to review, a model."""
    page.set_default_timeout(900_000)
    page.goto(address)
    page.wait_for_function("document.querySelector('.fs-root')?.dataset.ready?.endsWith('+')")
    page.wait_for_selector(".player-stage:not([data-ready=''])[data-ready]")
    page.evaluate(_PIN)
    page.reload()
    page.wait_for_selector(".verdict:not(:has-text('comparing'))")
    page.locator("#tab-review").click()
    page.wait_for_selector("#panel-review :is(.primary, .answer)")
    if page.locator("#panel-review .primary").count():
        page.locator("#panel-review .primary").click()
    page.locator("#tab-learn").click()
    page.wait_for_selector(".learn-body > *")
    if not page.locator("section.model").count():
        page.locator(".learn-form .primary").click()
    page.wait_for_selector("section.model table caption")


def show(page, view: str) -> None:
    """A view with something in it."""
    page.locator(f"#tab-{view}").click()
    if view == "watch":
        if page.locator(".anchor-show[aria-pressed=false]").count():
            page.locator(".anchor-show").first.click()
        page.locator(".moment").first.click()
        page.wait_for_selector(".elsewhere-open")
    elif view == "map":
        page.wait_for_selector(".map-stage canvas[data-points]:not([data-points='0'])")
    elif view == "review":
        page.wait_for_selector(".review-body[data-shown]:not([data-shown=''])")
        page.wait_for_function("[...document.querySelectorAll('.review-picture img')].every(one => one.naturalWidth)")
    elif view == "live":
        enough = f"(document.querySelector('#panel-live').dataset.seconds ?? 0) > {_WATCHED_SECONDS}"
        if not page.evaluate(enough):  # once for all pictures
            page.get_by_role("button", name="Watch").click()
            page.wait_for_function(enough)
    else:
        page.wait_for_selector("section.model table caption")
    page.evaluate("window.scrollTo(0, 0)")
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    if view in ("watch", "map"):
        page.wait_for_selector(".axis-fixed canvas[data-busy='0']")
    page.wait_for_function("[...document.images].every(one => one.complete || one.loading === 'lazy')")


def save(page, name: str) -> None:
    Image.open(BytesIO(page.screenshot())).convert("RGB").save(OUT / f"{name}.webp", quality=_QUALITY, method=6)


if __name__ == "__main__":
    main()
