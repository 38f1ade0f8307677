"""An hour of clicking through the page: whether the memory of the server and of the browser stays flat.

    python benchmarks/web_hour.py [CLIPS]      # ../shared/data/clips; --minutes 60; Chromium has to be installed

The clips are indexed by an encoder of random filters. Then a program does what a person does, in a random order that
follows from --seed, without a pause: it changes the view, zooms and moves the axis, hovers over it, jumps to a moment,
plays, pins a frame as an anchor and removes it, draws a lasso around a part of the map, answers and takes back
in the review. Printed every five minutes and at the end: actions so far, megabytes of the server (resident set),
of all processes of the browser (proportional set), and of the page's own heap after its garbage is collected.
"""

import argparse
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from playwright.sync_api import CDPSession, Page, sync_playwright
from web import opened, resident_megabytes, served

import firstsight
from firstsight.api import Library

CLIPS = Path(__file__).parents[2] / "shared" / "data" / "clips"
EVERY_SECONDS = 300


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="?", type=Path, default=CLIPS)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        library = Path(name) / "clips.library"
        encoder = firstsight.learn(str(arguments.clips), method="random", every=50, seed=0)
        Library.create(library, arguments.clips, encoder=encoder, frames_per_second=2).close()
        clicked(library, Path(name) / "state", 60 * arguments.minutes, np.random.default_rng(arguments.seed))


def clicked(library: Path, state: Path, seconds: float, random: np.random.Generator) -> None:
    """Serves the library, and clicks for so long."""
    with served(library, state) as (address, server), sync_playwright() as playwright:
        flags = ["--no-sandbox", "--enable-unsafe-swiftshader", "--mute-audio"]
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=flags)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        opened(page, address)
        act(page, page.context.new_cdp_session(page), server, seconds, random)
        print(f"errors of the page: {problems[:3] or 'none'}")


def act(page: Page, session: CDPSession, server: int, seconds: float, random: np.random.Generator) -> None:
    """One action after the other, and now and then a line of what memory is used."""
    print("| minutes | actions | server, MB | browser, MB | heap of the page, MB |\n|---|---|---|---|---|")
    begin, shown, num = time.monotonic(), 0.0, 0
    actions = [change_view, on_axis, on_axis, hover, seek, seek, play, pin, unpin, lasso, review]
    while (passed := time.monotonic() - begin) < seconds:
        if passed >= shown:
            print(f"| {passed / 60:.0f} | {num} | {memory(session, server)} |", flush=True)
            shown += EVERY_SECONDS
        chosen: Callable[[Page, np.random.Generator], None] = actions[int(random.integers(len(actions)))]
        chosen(page, random)
        num += 1
    print(f"| {passed / 60:.0f} | {num} | {memory(session, server)} |")


def memory(session: CDPSession, server: int) -> str:
    """Three columns of the table."""
    session.send("HeapProfiler.collectGarbage")
    heap = session.send("Runtime.getHeapUsage")["usedSize"] / 2**20
    return f"{resident_megabytes(server)} | {browser_megabytes()} | {heap:.0f}"


def browser_megabytes() -> int:
    """Of all processes of Chromium; what they share counts once."""
    total = 0
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and b"chromium" in (folder / "cmdline").read_bytes().split(b"\0")[0]:
                total += int(re.findall(r"Pss:\s+(\d+)", (folder / "smaps_rollup").read_text())[0])
        except (OSError, IndexError):  # it has ended meanwhile
            continue
    return total // 1024


def change_view(page: Page, random: np.random.Generator) -> None:
    """To any of those that show the library."""
    page.locator(f"#tab-{random.choice(['watch', 'map', 'review', 'live', 'learn'])}").click()


def watch(page: Page) -> None:
    """The view with the player."""
    page.locator("#tab-watch").click()


def place(page: Page, selector: str, random: np.random.Generator) -> tuple[float, float]:
    """Somewhere in an element."""
    box = page.locator(selector).bounding_box()
    assert box is not None
    across, down = random.uniform(0.1, 0.9, 2)
    return box["x"] + across * box["width"], box["y"] + down * box["height"]


def on_axis(page: Page, random: np.random.Generator) -> None:
    """Zooms in or out, or moves along."""
    watch(page)
    page.mouse.move(*place(page, ".axis-scroll", random))
    page.mouse.wheel(float(random.choice([0, 0, 200, -200])), float(random.choice([90, -90, 200])))


def hover(page: Page, random: np.random.Generator) -> None:
    """Over the axis, which shows thumbnails."""
    watch(page)
    for _ in range(4):
        page.mouse.move(*place(page, ".axis-scroll", random))


def seek(page: Page, random: np.random.Generator) -> None:
    """To where the axis is clicked."""
    watch(page)
    page.mouse.click(*place(page, ".axis-scroll", random))


def play(page: Page, _: np.random.Generator) -> None:
    """A little."""
    watch(page)
    page.keyboard.press("Space")
    page.wait_for_timeout(400)
    page.keyboard.press("Space")


def pin(page: Page, _: np.random.Generator) -> None:
    """The frame that is shown, as an anchor."""
    watch(page)
    if page.locator(".anchors > li").count() < 6:
        page.keyboard.press("a")
        page.wait_for_timeout(200)


def unpin(page: Page, _: np.random.Generator) -> None:
    """The first anchor."""
    watch(page)
    remove = page.locator(".anchors > li button[aria-label^='Remove']").first
    if remove.count():
        remove.evaluate("button => button.click()")  # it is shown while its anchor is pointed at


def lasso(page: Page, random: np.random.Generator) -> None:
    """Around a part of the map."""
    page.locator("#tab-map").click()
    page.get_by_role("button", name="Lasso").click()
    page.mouse.move(*place(page, ".map-stage", random))
    page.mouse.down()
    for _ in range(4):
        page.mouse.move(*place(page, ".map-stage", random))
    page.mouse.up()


def review(page: Page, random: np.random.Generator) -> None:
    """Answers, and takes it back."""
    page.locator("#tab-review").click()
    page.wait_for_timeout(200)
    page.keyboard.press(str(random.choice(["y", "n", "u", "s"])))
    page.wait_for_timeout(200)
    page.keyboard.press("z")


if __name__ == "__main__":
    main()
