"""A picture of each kind of event, at the frame at which `firstsight.watch` reports it.

    python benchmarks/event_pictures.py [--data FOLDER] [--out docs/pictures/events.webp]

Footage is real; what happens to the camera (moved, covered, dark, frozen) is made over a real view, and what is left or
taken is a part of another real picture, as in `watch_events.py`. Who falls is judged by a memory of the normal clips,
all else by the stream itself.
"""

import argparse
import io
import sys
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

import firstsight
from firstsight.footage.encoding import VideoWriter
from firstsight.monitoring.event import Event
from firstsight.normality.memory import Memory
from firstsight.report.drawing import draw_box, figure_png
from firstsight.searching.regions import Box

sys.path.insert(0, str(Path(__file__).parent))
from view_cases import COVERED, DARK, MOVED, Change, Ground, Picture, case, noisy
from watch_events import DATA, EMPTY_AND_THING, draw, pasted, pictures, resized

PERSONS, BOTTLES, FALL = "one-by-one-person-detection", "bottle-detection", "test-13"
FALL_SECONDS = 3.8
ANCHOR_SECONDS = 33.8  # of the second person
# What happens after so many seconds.
MADE_SECONDS = 12.0
MADE: dict[str, Change | None] = {
    "moved": MOVED["bump"],
    "covered begins": COVERED["hand"],
    "dark begins": DARK["dark"],
    "frozen begins": None,
}
_COLUMNS, _WIDTH = 3, 480


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "pictures" / "events.webp")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        events = list(found(arguments.data, Path(folder)))
    for event in events:
        print(event.words())
    Image.open(io.BytesIO(sheet(events))).convert("RGB").save(arguments.out, quality=80)


def found(data: Path, folder: Path) -> Iterator[Event]:
    """One event of each kind."""
    persons, bottles = (data / "clips" / f"{name}.mp4" for name in (PERSONS, BOTTLES))
    encoder = firstsight.learn(persons, seed=0)
    anchor = firstsight.frame_at(persons, ANCHOR_SECONDS).pixels
    yield first("novel begins", firstsight.watch(encoder, persons, novel=True, speed=0))
    yield first("match begins", firstsight.watch(encoder, persons, anchors=[anchor], speed=0))
    normal = sorted((data / "novelty").glob("normal-*.mp4"))
    of_room = firstsight.learn(normal, out=folder / "run")
    memory = Memory.load(folder / "run")
    clip = firstsight.open_source(data / "novelty" / f"{FALL}.mp4", frames_per_second=12.5)
    falls = firstsight.watch(of_room, clip, novel=True, memory=memory, false_alarms="1/min", speed=0)
    yield first("novel begins", (event for event in falls if event.seconds > FALL_SECONDS))
    for kind in (*MADE, "left", "taken"):
        clip = made(kind, persons, bottles, folder)
        yield first(kind, firstsight.watch(encoder, clip, novel=True, stays=kind in ("left", "taken"), speed=0))


def first(kind: str, events: Iterator[Event]) -> Event:
    """The first of that kind, of which there must be one."""
    return next(event for event in events if event.kind == kind)


def made(kind: str, persons: Path, other: Path, folder: Path) -> Path:
    """A clip of the empty view before whose camera that happens."""
    random = np.random.default_rng(1)
    ground = Ground(PERSONS, pictures(persons, EMPTY_AND_THING[PERSONS][0]), 1.0)
    drawn = draw(random, pictures(other, (0, 1))[0], ground.frames[0])
    change, frozen = MADE.get(kind), kind == "frozen begins"
    if kind in ("left", "taken"):
        full, _ = pasted(ground.frames[0], drawn.other, random)
        first_shown, shown = (ground.frames[0], full) if kind == "left" else (full, ground.frames[0])
        ground, change = Ground(PERSONS, (first_shown,), 1.5), lambda *_: noisy(shown, random, 1.5)
    footage = case(ground, change, drawn=drawn, before=MADE_SECONDS, during=15, random=random, is_frozen=frozen)
    return written(folder / f"{kind.split(maxsplit=1)[0]}.mp4", footage)


def written(file: Path, footage: Iterator[tuple[float, Picture]]) -> Path:
    """The pictures as a video, whose sides are even."""
    seconds, picture = next(footage)
    height, width = (side // 2 * 2 for side in picture.shape[:2])
    with VideoWriter(file, size=(width, height)) as writer:
        for at, one in chain([(seconds, picture)], footage):
            writer.write(np.ascontiguousarray(one[:height, :width]), seconds=at)
    return file


def sheet(events: list[Event]) -> bytes:
    """The events' frames side by side, each with its box and its words: PNG."""
    rows = -(-len(events) // _COLUMNS)
    figure = Figure(figsize=(4.2 * _COLUMNS, 2.9 * rows), dpi=100, layout="constrained")
    figure.get_layout_engine().set(h_pad=0.1)
    for axes, event in zip(figure.subplots(rows, _COLUMNS).ravel(), events, strict=False):
        assert event.frame is not None
        image = Image.fromarray(resized(event.frame.whole, _WIDTH))
        if event.box:
            draw_box(image, Box(*event.box), event.frame.size)
        axes.imshow(np.asarray(image))
        axes.set_title(f"{event.kind}, {event.seconds:.1f} s", loc="left", fontsize=11, weight="bold")
        axes.set_xlabel(event.words().split("s  ", 1)[1], loc="left", fontsize=9)
    for axes in figure.axes:
        axes.set(xticks=[], yticks=[])
        axes.set_frame_on(False)
    return figure_png(figure)


if __name__ == "__main__":
    main()
