"""The page with a library of a million frames: how long it takes, in Chromium, beside the same calls in Python.

    python benchmarks/web.py                  # some twenty minutes on two cores; Chromium has to be installed
    python benchmarks/web.py --rows 100000

The library is that of benchmarks/search.py: 10,000 sources of 100 frames, whose pictures are noise. The page is asked
as a person asks it: opened, zoomed, hovered over, a picture searched for, a lasso drawn around half of the map. Each
step ends when what it asks for is painted. The search in the page is the request that answers a new anchor, curve and
moments included; in Python it is `firstsight.web.scores.score`, which it calls, and `Library.search`, which compares
fewer frames where the index proposes them. Server memory is the resident set before and after 400 clicks.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
from machine import machine
from playwright.sync_api import FloatRect, Page, sync_playwright
from search import fill, walks

from firstsight.api import Library
from firstsight.library.set_apart import Part
from firstsight.web.scores import score

RESULTS = Path(__file__).parent / "results" / "web.json"
TOKEN = "a-token-of-the-benchmark-0123456789"
_OPENED, _REPEATS, _SEARCHES, _CLICKS = 4, 40, 8, 400
_AXIS, _MAP = ".axis-fixed canvas", ".map-stage canvas[data-points]"
_ASK = """async (number) => {
  const canvas = new OffscreenCanvas(160, 96), context = canvas.getContext("2d");
  context.fillStyle = `hsl(${40 * number} 80% 50%)`; context.fillRect(20 + number, 10, 90, 60);
  const headers = { "content-type": "application/octet-stream" }, body = await canvas.convertToBlob();
  const anchor = await (await fetch("/api/anchors/picture?name=one", { method: "POST", body, headers })).json();
  const begin = performance.now();
  await (await fetch(`/api/anchors/${anchor.id}/moments`)).json();
  const seconds = (performance.now() - begin) / 1000;
  await fetch(`/api/anchors/${anchor.id}`, { method: "DELETE" });
  return seconds;
}"""
Seconds = dict[str, list[float]]


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


def in_python(folder: Path) -> Seconds:
    """Seconds of searches from Python, after a first one."""
    found: Seconds = {"in Python: curve and moments": [], "in Python: `Library.search`": []}
    curves, searches = found.values()
    with Library.open(folder) as library:
        for seed in range(_SEARCHES + 1):
            asked = picture(seed)
            curves.append(timed(lambda asked=asked: score(library.store, asked, part=Part("none"))))
            searches.append(timed(lambda asked=asked: library.search(asked)))
    return {what: seconds[1:] for what, seconds in found.items()}


def timed(ask: Callable[[], object]) -> float:
    """Seconds that it takes."""
    begin = time.perf_counter()
    ask()
    return time.perf_counter() - begin


@contextmanager
def served(folder: Path, state: Path) -> Iterator[tuple[str, int]]:
    """A server of the library once its map is there: its address, with the token, and the number of its process."""
    environment = {**os.environ, "XDG_STATE_HOME": str(state), "FIRSTSIGHT_TOKEN": TOKEN}
    code = "from firstsight.cli.main import main; main()"
    command = [sys.executable, "-c", code, "serve", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        try:
            assert server.stdout
            address = re.findall(r"http://\S+", server.stdout.readline())[0]
            wait_for_groups(address.partition("/?")[0])
            yield address, server.pid
        finally:
            server.terminate()
            server.wait(60)


def in_the_page(folder: Path, state: Path) -> tuple[Seconds, tuple[int, int]]:
    """Seconds of each kind of step, and megabytes of the server before and after."""
    with served(folder, state) as (address, server), sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--enable-unsafe-swiftshader"]
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=arguments)
        pages = [browser.new_page(viewport={"width": 1440, "height": 900}) for _ in range(_OPENED)]
        found = {"first paint": [timed(lambda page=page: opened(page, address)) for page in pages]}
        before = resident_megabytes(server)
        on_the_axis(pages[-1], found)
        on_the_map(pages[-1], found)
        return found, (before, resident_megabytes(server))


def wait_for_groups(address: str) -> None:
    """Until the job that groups and lays out is done."""
    with httpx.Client(headers={"authorization": f"Bearer {TOKEN}"}, timeout=600, trust_env=False) as client:
        while not client.get(f"{address}/api/library").json()["groups"]:
            time.sleep(1)


def opened(page: Page, address: str) -> None:
    """The page, once the rows of its axis are painted."""
    page.set_default_timeout(600_000)
    page.goto(address)
    page.wait_for_selector(f"{_AXIS}[data-lanes]:not([data-lanes='0'])")


def on_the_axis(page: Page, found: Seconds) -> None:
    """Zooms, hovers, and searches."""
    box = box_of(page, ".axis-scroll")
    x, y = box["x"] + box["width"] / 2, box["y"] + 60
    page.mouse.move(x, y)
    found["zoom the axis"] = [painted(page, _AXIS, 90 - 180 * (number % 2)) for number in range(_REPEATS)]
    found["hover a thumbnail"] = [
        hovered(page, box["x"] + 30 + 20 * number, y + 75 * (number % 4)) for number in range(_REPEATS)
    ]
    found["search: curve and moments"] = [float(page.evaluate(_ASK, number)) for number in range(_SEARCHES)]


def on_the_map(page: Page, found: Seconds) -> None:
    """Zooms, chooses, and clicks."""
    page.locator("#tab-map").click()
    page.wait_for_selector(f"{_MAP}:not([data-points='0'])")
    stage = box_of(page, ".map-stage")
    middle = stage["y"] + stage["height"] / 2
    page.mouse.move(stage["x"] + stage["width"] / 2, middle)
    found["zoom the map"] = [painted(page, _MAP, 90 - 180 * (number % 2)) for number in range(_REPEATS)]
    found["lasso half of the map"] = [lasso(page, stage) for _ in range(_REPEATS // 4)]
    for number in range(_CLICKS):
        page.mouse.click(stage["x"] + 40 + 2 * number, middle)


def box_of(page: Page, selector: str) -> FloatRect:
    """Where an element is."""
    found = page.locator(selector).bounding_box()
    assert found is not None
    return found


def painted(page: Page, canvas: str, wheel: float) -> float:
    """Seconds from a turn of the wheel until a canvas is painted again."""
    count = f"document.querySelector({canvas!r}).dataset.painted"
    before = page.evaluate(count)
    begin = time.perf_counter()
    page.mouse.wheel(0, wheel)
    page.wait_for_function(f"(before) => {count} !== before", arg=before)
    return time.perf_counter() - begin


def hovered(page: Page, x: float, y: float) -> float:
    """Seconds until another thumbnail is shown."""
    picture = "document.querySelector('.hover-bubble img')"
    before = page.evaluate(f"{picture}.src")
    begin = time.perf_counter()
    page.mouse.move(x, y)
    page.wait_for_function(f"(before) => {picture}.src !== before && {picture}.complete", arg=before)
    return time.perf_counter() - begin


def lasso(page: Page, stage: FloatRect) -> float:
    """Seconds from the end of a path around the left half until the frames in it are chosen."""
    page.get_by_role("button", name="Lasso").click()
    left, top = stage["x"] + 8, stage["y"] + 8
    right, low = stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] - 8
    page.mouse.move(left, top)
    page.mouse.down()
    for x, y in ((right, top), (right, low), (left, low)):
        page.mouse.move(x, y, steps=5)
    begin = time.perf_counter()
    page.mouse.up()
    page.wait_for_selector("[aria-pressed=false]:has-text('Lasso')")
    return time.perf_counter() - begin


def resident_megabytes(process: int) -> int:
    """Of a process, now."""
    text = Path(f"/proc/{process}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", text)[0]) // 1024


if __name__ == "__main__":
    main()
