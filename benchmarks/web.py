"""The page with a library of a million frames: how long it takes to answer, in Chromium, beside the same call in Python.

    python benchmarks/web.py                  # some ten minutes on two cores; Chromium has to be installed
    python benchmarks/web.py --rows 100000

The library is that of benchmarks/search.py: 10,000 sources of 100 frames, whose pictures are noise. The page is asked as
a person asks it: opened, zoomed, hovered over, a frame pinned, a lasso drawn around half of the map. Each step ends when
what it asks for is painted. `search` in the page is the request that answers a new anchor, curve and moments included;
in Python it is `firstsight.web.scores.score` in a process of its own, and `Library.search`, which compares fewer frames
where the index proposes them. Server memory is the resident set before and after an hour's worth of clicks.
Writes benchmarks/results/web.json.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from machine import machine
from playwright.sync_api import sync_playwright
from search import fill, walks

from firstsight.api import Library
from firstsight.footage.frames import Frame  # noqa: F401  # loads what the first search would load
from firstsight.library.set_apart import Part
from firstsight.web.scores import score

RESULTS = Path(__file__).parent / "results" / "web.json"
TOKEN = "a-token-of-the-benchmark-0123456789"
_REPEATS, _SEARCHES, _CLICKS = 40, 8, 400
_PAINTED = """(name) => new Promise((done) => {
  const canvas = document.querySelector(name), before = canvas.dataset.painted;
  const look = () => (canvas.dataset.painted === before ? requestAnimationFrame(look) : done());
  look();
})"""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where the library lies, or is to be kept")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.folder or Path(name)
        library = folder / "walks.library"
        if not library.exists():
            folder.mkdir(parents=True, exist_ok=True)
            fill(library, np.concatenate(list(walks(arguments.rows, np.random.default_rng(0))))[: arguments.rows])
        python = in_python(library)
        rows, memory = in_the_page(library, folder / "state")
    print("| | p50, ms | p95, ms |\n|---|---|---|")
    for what, seconds in {**rows, **python}.items():
        print(f"| {what} | {1000 * np.median(seconds):.0f} | {1000 * np.quantile(seconds, 0.95):.0f} |")
    print(f"server memory: {memory[0]} MB once shown, {memory[1]} MB after {_CLICKS} clicks")
    figures = {what: [round(1000 * one, 2) for one in seconds] for what, seconds in {**rows, **python}.items()}
    content = {"num_rows": arguments.rows, "milliseconds": figures, "server_mb": memory, "machine": machine()}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(content, indent=1) + "\n")


def picture(seed: int) -> np.ndarray:
    """Something to search for."""
    return np.random.default_rng(seed).integers(0, 255, (96, 160, 3), np.uint8)


def in_python(folder: Path) -> dict[str, list[float]]:
    """Seconds of searches from Python, after a first one."""
    with Library.open(folder) as library:
        curves = [
            timed(lambda: score(library.store, picture(seed), part=Part("none"))) for seed in range(_SEARCHES + 1)
        ]
        searches = [timed(lambda: library.search(picture(seed))) for seed in range(_SEARCHES + 1)]
    return {"in Python: curve and moments": curves[1:], "in Python: `Library.search`": searches[1:]}


def timed(ask: Callable[[], Any]) -> float:
    """Seconds that it takes."""
    begin = time.perf_counter()
    ask()
    return time.perf_counter() - begin


def in_the_page(folder: Path, state: Path) -> tuple[dict[str, list[float]], tuple[int, int]]:
    """Seconds of each kind of step, and megabytes of the server before and after."""
    environment = {**os.environ, "XDG_STATE_HOME": str(state), "FIRSTSIGHT_TOKEN": TOKEN}
    code = "from firstsight.cli.main import main; main()"
    command = [sys.executable, "-c", code, "serve", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        try:
            assert server.stdout
            address = re.findall(r"http://\S+", server.stdout.readline())[0]
            with httpx.Client(headers={"authorization": f"Bearer {TOKEN}"}, timeout=600, trust_env=False) as client:
                while not client.get(address.split("/?")[0] + "/api/library").json()["groups"]:
                    time.sleep(1)  # the overview is made
            with sync_playwright() as playwright:
                arguments = ["--no-sandbox", "--enable-unsafe-swiftshader"]
                browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=arguments)
                return steps(browser, address, server.pid)
        finally:
            server.terminate()
            server.wait(60)


def steps(browser: Any, address: str, server: int) -> tuple[dict[str, list[float]], tuple[int, int]]:
    """Opens the page, and clicks."""
    found: dict[str, list[float]] = {}
    for _ in range(4):
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(600_000)
        first = timed(lambda: (page.goto(address), page.wait_for_selector(".axis-fixed canvas[data-painted]")))
        found.setdefault("first paint", []).append(first)
    before = resident_megabytes(server)
    box = page.locator(".axis-scroll").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + 60
    page.mouse.move(x, y)
    for number in range(_REPEATS):
        found.setdefault("zoom the axis", []).append(
            painted(page, ".axis-fixed canvas", lambda: page.mouse.wheel(0, -90 if number % 2 else 90))
        )
    for number in range(_REPEATS):
        src = page.locator(".hover-bubble img").get_attribute("src")
        page.mouse.move(box["x"] + 30 + 20 * number, y + 75 * (number % 4))
        wait = "(before) => { const one = document.querySelector('.hover-bubble img'); return one.src !== before && one.complete; }"
        found.setdefault("hover a thumbnail", []).append(timed(lambda: page.wait_for_function(wait, arg=src)))
    for number in range(_SEARCHES):
        search = lambda: page.evaluate(_ASK, number)  # noqa: E731
        found.setdefault("search: curve and moments", []).append(float(search()))
    page.locator("#tab-map").click()
    page.wait_for_selector(".map-stage canvas[data-points]:not([data-points='0'])")
    stage = page.locator(".map-stage").bounding_box()
    page.mouse.move(stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2)
    for number in range(_REPEATS):
        found.setdefault("zoom the map", []).append(
            painted(page, ".map-stage canvas[data-points]", lambda: page.mouse.wheel(0, -90 if number % 2 else 90))
        )
    found["lasso half of the map"] = [lasso(page, stage) for _ in range(_REPEATS // 4)]
    for number in range(_CLICKS):
        page.mouse.click(stage["x"] + 40 + 2 * number, stage["y"] + stage["height"] / 2)
    return found, (before, resident_megabytes(server))


_ASK = """async (number) => {
  const canvas = new OffscreenCanvas(160, 96), context = canvas.getContext("2d");
  context.fillStyle = `hsl(${40 * number} 80% 50%)`; context.fillRect(20 + number, 10, 90, 60);
  const send = (path, body) => fetch(`/api${path}`, { method: "POST", body, headers: { "content-type": "application/octet-stream" } });
  const anchor = await (await send("/anchors/picture?name=one", await canvas.convertToBlob())).json();
  const begin = performance.now();
  await (await fetch(`/api/anchors/${anchor.id}/moments`)).json();
  const seconds = (performance.now() - begin) / 1000;
  await fetch(`/api/anchors/${anchor.id}`, { method: "DELETE" });
  return seconds;
}"""


def painted(page: Any, canvas: str, act: Callable[[], Any]) -> float:
    """Seconds until a canvas is painted again after an act."""
    count = f"document.querySelector({canvas!r}).dataset.painted"
    before = page.evaluate(count)
    begin = time.perf_counter()
    act()
    page.wait_for_function(f"(before) => {count} !== before", arg=before)
    return time.perf_counter() - begin


def lasso(page: Any, stage: dict[str, float]) -> float:
    """Seconds from the end of a path around the left half until the number of frames is shown."""
    page.get_by_role("button", name="Lasso").click()
    left, top, right, low = (
        stage["x"] + 8,
        stage["y"] + 8,
        stage["x"] + stage["width"] / 2,
        stage["y"] + stage["height"] - 8,
    )
    page.mouse.move(left, top)
    page.mouse.down()
    for x, y in ((right, top), (right, low), (left, low)):
        page.mouse.move(x, y, steps=5)
    chosen = "[aria-pressed=false]:has-text('Lasso')"
    return timed(lambda: (page.mouse.up(), page.wait_for_selector(chosen)))


def resident_megabytes(process: int) -> int:
    """Of a process, now."""
    text = Path(f"/proc/{process}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", text)[0]) // 1024


if __name__ == "__main__":
    main()
