"""Are copies found, and nothing else? Ten clips, each altered in seven ways, beside imagededup's perceptual hash.

python benchmarks/duplicates.py FILE...            # what is found, and what is wrongly found
python benchmarks/duplicates.py FILE... --frames 100000  # time and memory, on that many frames of the same
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
from duplicate_copies import Picture, make_copies, parts, pictures_of
from duplicate_judging import Pairs, judged, times_of
from machine import machine
from peak_memory import peak_megabytes

from firstsight.copies.duplicates import Duplicates, find_duplicates
from firstsight.footage.source import open_source
from firstsight.library.records import FrameRows, SourceRecord
from firstsight.library.store import Store
from firstsight.library.thumbnails import Thumbnail, as_jpeg

RESULTS = Path(__file__).parent / "results" / "duplicates.json"
_MOST_BITS = 10  # imagededup's own default
_NUM_TIMED = 50  # searches
_ONE_IN = 20  # frames is hashed


def main() -> None:
    """Makes the copies, asks both, prints tables, and keeps the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", help="clips; START-END after an @ takes a part: walk.mp4@20-34")
    parser.add_argument("--frames", type=int, help="measure time and memory on so many frames instead")
    parser.add_argument("--copies", type=Path, help="a folder; copies that are there already are not made again")
    parser.add_argument("--one", choices=["firstsight", "imagededup"], help="time one in this process, as JSON")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(timed(arguments.one, Path(arguments.files[0]))))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.frames:
            kept = {"time": time_both(folder, arguments.files, arguments.frames)}
        else:
            kept = {"found": found_by_both(folder, arguments.copies or folder / "copies", arguments.files)}
    before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps({**before, **kept, "machine": machine()}, indent=1) + "\n")


def fill(library: Store, files: list[Path], *, frames_per_second: float) -> None:
    """Thumbnails of the files' frames, without looking at them with an encoder: duplicates needs no vectors."""
    for number, file in enumerate(files, start=1):
        with open_source(file, frames_per_second=frames_per_second).read(Thumbnail(160)) as reading:
            rows = [(frame.index, frame.seconds, as_jpeg(frame.pixels)) for frame in reading]
        _put(library, number, file, file.name, rows)
    library.refresh()


def fill_many(library: Store, specs: list[str], num_frames: int) -> None:
    """Every frame of the clips, again and again: each time cropped and lit otherwise."""
    clips = [
        (name, path, list(pictures_of(path, start, end, side=160)))
        for spec in specs
        for name, path, start, end in parts(spec)
    ]
    number, num_left, version = 1, num_frames, 0
    while num_left:
        for name, path, frames in clips:
            some = frames[:num_left]
            rows = [
                (index, seconds, as_jpeg(_version(picture, version))) for index, (seconds, picture) in enumerate(some)
            ]
            if rows:
                _put(library, number, path, f"{name}+{version}", rows)
                number, num_left = number + 1, num_left - len(rows)
        version += 1
    library.refresh()


def _version(picture: Picture, version: int) -> Picture:
    margins = [round(side * 0.02 * (version % 5)) for side in picture.shape[:2]]
    part = picture[margins[0] : len(picture) - margins[0], margins[1] : picture.shape[1] - margins[1]]
    return (part * (1.0 - 0.1 * (version // 5 % 5))).astype(np.uint8)


def _put(library: Store, number: int, file: Path, name: str, rows: list[tuple[int, float, bytes]]) -> None:
    indices, seconds, jpegs = (list(column) for column in zip(*rows, strict=True))
    vectors = np.zeros((len(rows), library.dim), np.float32)
    library.tables.add([(number, FrameRows(vectors, indices, seconds, jpegs))])
    size = file.stat().st_size
    record = SourceRecord(
        number, name, file.with_name(name), f"{number:032}", size, 1, 2.0, None, len(rows), seconds[-1], status="whole"
    )
    library.tables.put([record])


def new_library(folder: Path) -> Store:
    """Empty; its encoder is never asked."""
    import firstsight

    pictures = np.random.default_rng(0).integers(0, 256, (60, 48, 64, 3), dtype=np.uint8)
    return Store.create(folder, firstsight.learn(pictures, method="random"))


def found_by_both(folder: Path, copies: Path, specs: list[str]) -> dict[str, Any]:
    """Precision and recall of clips and of frames, by kind of alteration."""
    if not copies.exists():
        copies.mkdir()
        make_copies(copies, specs)
    library = new_library(folder / "library")
    fill(library, sorted(copies.iterdir()), frames_per_second=2)
    found = find_duplicates(library)
    hashed = near_hashes(library)
    rows = {"firstsight": told_by_us(library, found), "imagededup, perceptual hash": told_by_hash(library, hashed)}
    print(f"{library.num_frames} frames of {len(library.sources)} clips; too short to tell: {found.too_short}\n")
    for name, row in rows.items():
        print(name, json.dumps(row, indent=1))
    return {"rows": rows, "num_frames": library.num_frames, "num_clips": len(library.sources), "specs": specs}


def told_by_us(library: Store, found: Duplicates) -> dict[str, Any]:
    """Frames of two clips are the same if the clips share that stretch."""
    times = times_of(library)
    frames: Pairs = {}
    for one in found.shared:
        pairs = frames.setdefault(frozenset((one.first, one.second)), set())
        for stretch in one.stretches:
            within = times[one.first][
                (times[one.first] >= stretch.first_start - 1e-6) & (times[one.first] < stretch.first_end)
            ]
            for seconds in within:
                other = times[one.second]
                nearest = other[np.abs(other - seconds + stretch.first_start - stretch.second_start).argmin()]
                pair = (float(seconds), float(nearest))
                pairs.add(pair if one.first < one.second else pair[::-1])
    clips = {frozenset((one.first, one.second)) for one in found.shared if one.is_copy}
    return judged(library, clips, frames)


def told_by_hash(library: Store, near: Pairs) -> dict[str, Any]:
    """Clips are copies if of one of them at least half of the frames are near some frame of the other."""
    times = times_of(library)
    clips = set()
    for pair, matches in near.items():
        first, second = sorted(pair)
        shares = [
            len({match[side] for match in matches}) / len(times[name]) for side, name in enumerate((first, second))
        ]
        if max(shares) >= 0.5:
            clips.add(pair)
    return judged(library, clips, near)


def phash() -> Any:  # noqa: ANN401  # imagededup's
    """The hash, without the package's networks, which ask for torchvision."""
    sys.modules.setdefault("imagededup.utils.models", MagicMock())
    from imagededup.methods import PHash

    return PHash(verbose=False)


def near_hashes(library: Store) -> Pairs:
    """What imagededup says of the thumbnails: frames of different clips within its ten bits."""
    hasher = phash()
    frames = library.embeddings()
    keys = [(frames.source_of(row), float(frames.seconds[row])) for row in range(len(frames))]
    jpegs = library.thumbnails(
        [(name, int(index)) for (name, _), index in zip(keys, frames.frame_indices, strict=True)]
    )
    with tempfile.TemporaryDirectory() as name:
        for row, jpeg in enumerate(jpegs):
            Path(name, f"{row}.jpg").write_bytes(jpeg)
        hashes = hasher.encode_images(image_dir=name, num_enc_workers=0)
        near = hasher.find_duplicates(encoding_map=hashes, max_distance_threshold=_MOST_BITS, num_dist_workers=0)
    pairs: Pairs = {}
    for file, others in near.items():
        for other in others:
            (first, at), (second, then) = keys[int(Path(file).stem)], keys[int(Path(other).stem)]
            if first < second:
                pairs.setdefault(frozenset((first, second)), set()).add((at, then))
    return pairs


def time_both(folder: Path, specs: list[str], num_frames: int) -> dict[str, Any]:
    """Seconds of processor and peak memory, each in a process of its own, on the same thumbnails."""
    library = new_library(folder / "library")
    fill_many(library, specs, num_frames)
    pictures = folder / "pictures"
    pictures.mkdir()
    for record in library.sources:
        rows = library.tables.thumbnails.search().where(f"source = {record.id}").to_batches(1_024)
        for some in rows:
            for frame, jpeg in zip(some["frame"].to_pylist(), some["jpeg"].to_pylist(), strict=True):
                (pictures / f"{record.id}-{frame}.jpg").write_bytes(jpeg)
    told = {"num_frames": library.num_frames, "num_clips": len(library.sources)}
    for name, place in (("firstsight", folder / "library"), ("imagededup", pictures)):
        command = [sys.executable, __file__, str(place), "--one", name]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        told[name] = json.loads(done.stdout.splitlines()[-1])
        print(name, told[name], flush=True)
    return told


def timed(which: str, place: Path) -> dict[str, Any]:
    """One of them, from files to what is the same."""
    begin, wall = time.process_time(), time.perf_counter()
    if which == "firstsight":
        with Store.open(place) as library:
            found = find_duplicates(library)
        result = {"num_repeated": len(found.repeated_frames), "num_groups": len(found.groups)}
    else:
        result = _timed_hashes(place)
    return {
        "cpu_seconds": time.process_time() - begin,
        "seconds": time.perf_counter() - wall,
        "peak_mb": peak_megabytes(),
        **result,
    }


def _timed_hashes(place: Path) -> dict[str, Any]:
    """Some frames hashed, and some searches among as many hashes as there are frames: all of either take hours."""
    hasher = phash()
    from imagededup.handlers.search.retrieval import HashEval

    files = sorted(place.iterdir())
    share = len(files[::_ONE_IN]) / len(files)
    begin = time.process_time()
    some = {path.name: hasher.encode_image(image_file=path) for path in files[::_ONE_IN]}
    hashed = time.process_time()
    values = list(some.values())
    hashes = {path.name: values[number // _ONE_IN] for number, path in enumerate(files)}
    queries = dict(list(hashes.items())[:: max(1, len(hashes) // _NUM_TIMED)])
    begin_search = time.process_time() + _of_children()
    HashEval(hashes, queries, hasher.hamming_distance, verbose=False, threshold=_MOST_BITS, num_dist_workers=0)
    searched = time.process_time() + _of_children() - begin_search
    return {
        "hashing_cpu_seconds_for_all": (hashed - begin) / share,
        "searching_cpu_seconds_for_all": searched * len(hashes) / len(queries),
        "num_hashed": len(some),
        "num_searched": len(queries),
    }


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
