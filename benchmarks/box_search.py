"""How long a search for a box takes in an hour of footage at 2 frames a second: by cells, and by maps made again.

    python benchmarks/box_search.py --clip ../shared/data/clips/one-by-one-person-detection.mp4

The library has 7,200 frames: 600 of the clip, twelve times, each time as another source; its encoder has learned from
the clip. A box about a person is searched for, from Python and by `firstsight search` as a whole process, after a first
search has measured what is normal. Without cells every frame's maps are made again from its thumbnail, as in libraries
of versions without them; that is measured on every twelfth frame alone. Writes benchmarks/results/box_search.json.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import numpy as np
from machine import machine

import firstsight
from firstsight.encoder.encoder import Encoder
from firstsight.footage.frames import PixelByPixel
from firstsight.footage.source import open_source
from firstsight.library.records import FrameRows, LayoutRows, SourceRecord
from firstsight.library.store import Store
from firstsight.library.thumbnails import Thumbnail, as_jpeg
from firstsight.pixels import crop_and_resize
from firstsight.searching.query import read_query
from firstsight.searching.region_search import compare_regions
from firstsight.searching.regions import Box, match_region
from firstsight.searching.search import search

RESULTS = Path(__file__).parent / "results" / "box_search.json"
_DISTINCT, _TIMES = 600, 12
_BOX, _SECONDS = Box(386, 15, 128, 375), 13.0  # a person of the clip
_EXACT_EVERY = 12


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--run", type=Path, help="an encoder that has learned from the clip")
    arguments = parser.parse_args()
    encoder = Encoder.load(arguments.run) if arguments.run else firstsight.learn(open_source(arguments.clip, every=2))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "hour.library"
        fill(folder, encoder, arguments.clip)
        found = measured(folder, f"{arguments.clip}@{_SECONDS}")
    for what, seconds in found.items():
        print(f"{what}: {seconds:.2f} s")
    RESULTS.write_text(json.dumps({"num_frames": _DISTINCT * _TIMES, **found, "machine": machine()}, indent=1) + "\n")


def fill(folder: Path, encoder: Encoder, clip: Path) -> None:
    """A library of the clip's frames, several times."""
    view = Thumbnail(160)
    with open_source(clip, every=2).read(PixelByPixel()) as reading:
        pictures = [frame.pixels for frame in islice(reading, _DISTINCT)]
    parts = [encoder.describe(np.stack(pictures[start : start + 50])) for start in range(0, len(pictures), 50)]
    vectors = np.concatenate([part.vectors for part in parts])
    rows = [LayoutRows.of(part) for part in parts]
    layouts = LayoutRows(*(np.concatenate([getattr(row, name) for row in rows]) for name in ("packed", "in_place")))
    height, width = pictures[0].shape[:2]
    jpegs = [as_jpeg(crop_and_resize(picture[None], view.crop(width, height), 3)[0]) for picture in pictures]
    library = Store.create(folder, encoder, frames_per_second=2)
    seconds = [number / 2 for number in range(len(pictures))]
    numbers = range(1, _TIMES + 1)
    library.tables.add(
        [(number, FrameRows(vectors, range(len(vectors)), seconds, jpegs, layouts)) for number in numbers]
    )
    record = {"num_bytes": 1, "modified_ns": 1, "frames_per_second": 2.0}
    record |= {"num_frames": len(vectors), "duration_seconds": len(vectors) / 2, "status": "whole", "every": None}
    library.tables.put(
        [
            SourceRecord(
                id=one, name=f"{one}.mp4", path=Path("/nowhere", f"{one}.mp4"), content=f"{one:032d}", **record
            )
            for one in numbers
        ]
    )
    library.tables.compact()
    library.tables.keep_up_indices()


def measured(folder: Path, query: str) -> dict[str, float]:
    """Seconds of each way."""
    found = {}
    with Store.open(folder) as library:
        asked = read_query(query, library.encoder)
        for name in ("the first search, which measures what is normal", "a search from Python"):
            begin = time.perf_counter()
            result = search(library, asked, box=_BOX)
            found[name] = time.perf_counter() - begin
        print(asdict(result.nearest.box), result.nearest.similarity, result.threshold, result.num_matches)
    command = [sys.executable, "-c", "from firstsight.cli.main import main; main()", "search", folder, query]
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        subprocess.run([*command, "--box", str(_BOX)], check=True, capture_output=True)
        seconds.append(time.perf_counter() - begin)
    found["firstsight search, a whole process"] = float(np.median(seconds))
    with Store.open(folder) as library:
        matcher = match_region(library.encoder, _BOX, asked.frame.size)
        chosen = np.arange(library.num_frames) % _EXACT_EVERY == 0
        begin = time.perf_counter()
        compare_regions(library, matcher, matcher.described(asked.frame.pixels[None]), chosen)
        found["by maps made again"] = (time.perf_counter() - begin) * _EXACT_EVERY
    return found


if __name__ == "__main__":
    main()
