"""Can "no match" be trusted? Altered frames of a heap of clips are to be found, pictures of other clips are not.

    python benchmarks/no_match.py CLIPS ABSENT --boxes

CLIPS is a folder of clips: a library is made of it as `firstsight index` does. From random moments of it pictures are
made (a crop of 75 %, turned by 6 degrees, brighter, a quarter of a second later), saved as files, and searched for.
Found is what is declared a match whose best moment is of that clip and not two seconds from that time. Beside it stands
how many there are with those whose best moment is elsewhere but shows the same picture, as before a still camera or
where footage is there twice: the frame that was altered and the one that is found, in small and grey, correlate at 0.98
or more. Of the clips and pictures in ABSENT, none of which shows what CLIPS shows, every picture and evenly spread
frames of each clip are searched for: each match is a false one.

With --boxes a box in each picture is searched for; boxes of one size are compared in one pass over the library.
Writes benchmarks/results/no_match.json with --save.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from machine import machine
from numpy.typing import NDArray
from PIL import Image

import firstsight
from firstsight.footage.finding import find_all
from firstsight.footage.frame_at import frame_at
from firstsight.footage.frames import PixelByPixel
from firstsight.footage.source import open_source
from firstsight.indexing.index_files import add
from firstsight.library.store import Store
from firstsight.library.thumbnails import as_picture
from firstsight.searching.calibration import match_threshold
from firstsight.searching.moments import Moment, find_moments
from firstsight.searching.nearest import Compared
from firstsight.searching.query import read_query
from firstsight.searching.region_search import compare_regions, match_box, region_background
from firstsight.searching.regions import Box
from firstsight.searching.search import FALSE_MATCH_RATE, search

RESULTS = Path(__file__).parent / "results" / "no_match.json"
Picture = NDArray[np.uint8]
_TOLERANCE_SECONDS = 2.0
# A black frame is no picture of anything; grey levels, standard deviation.
_MIN_CONTRAST = 12.0
# Two frames that are one picture to a person: correlation of their grey levels at 32 x 24 pixels.
_SAME_PICTURE = 0.98
_BOX_SHARES = ((0.25, 0.3), (0.35, 0.5), (0.5, 0.4))  # of the picture's width and height


@dataclass(frozen=True)
class Asked:
    """A picture to search for."""

    path: Path
    kind: str
    source: str | None = None  # where the answer is; None if there is none
    seconds: float = 0.0
    shown: NDArray[np.float64] | None = None  # the frame before it was altered, as `small_grey` makes it


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("absent", type=Path)
    parser.add_argument("--num", type=int, default=100, help="altered pictures")
    parser.add_argument("--num-absent", type=int, default=100, help="absent ones; more if ABSENT has more pictures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--boxes", action="store_true")
    parser.add_argument("--save", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        library = made(arguments.clips, folder)
        asked = [
            *altered(library, folder, num=arguments.num, seed=arguments.seed),
            *absent(arguments.absent, folder, num=arguments.num_absent),
        ]
        found = {"frames": judged(library, asked)}
        if arguments.boxes:
            found["boxes"] = judged_boxes(library, asked, seed=arguments.seed)
        sizes = {"num_frames": library.num_frames, "num_sources": len(library.sources)}
    for what, counts in found.items():
        print(f"\n{what} of {sizes['num_sources']} clips, {sizes['num_frames']} frames")
        print("| asked | of | declared a match | the right one | or the same picture |\n|---|---|---|---|---|")
        for kind, (num, declared, *right) in counts.items():
            print(f"| {kind} | {num} | {declared} | {' | '.join('' if kind == 'absent' else str(n) for n in right)} |")
    if arguments.save:
        RESULTS.write_text(
            json.dumps({**found, **sizes, "seed": arguments.seed, "machine": machine()}, indent=1) + "\n"
        )


def made(clips: Path, folder: Path) -> Store:
    """A library of all clips, and an encoder learned from them."""
    paths = sorted(str(file.path) for file in find_all(clips).files)
    encoder = firstsight.learn(paths, seed=0)
    library = Store.create(folder / "library", encoder)
    add(library, paths)
    return library


def altered(library: Store, folder: Path, *, num: int, seed: int) -> Iterator[Asked]:
    """Pictures made of random moments of random clips, the ways in turn."""
    random = np.random.default_rng(seed)
    videos = [record for record in library.sources if not record.is_picture]
    num_made = 0
    while num_made < num:
        record = videos[random.integers(len(videos))]
        seconds = float(random.uniform(0, record.duration_seconds))
        kind = list(_WAYS)[num_made % len(_WAYS)]
        later = 0.25 if kind == "a quarter of a second later" else 0.0
        frame = frame_at(record.path, min(seconds + later, record.duration_seconds), views=(PixelByPixel(),))
        picture = _WAYS[kind](frame.pixels, random)
        if frame.pixels.std() >= _MIN_CONTRAST:
            yield Asked(
                saved(picture, folder, f"altered {num_made}"), kind, record.name, seconds, small_grey(frame.pixels)
            )
            num_made += 1


def absent(clips: Path, folder: Path, *, num: int) -> Iterator[Asked]:
    """So many: every still picture, and of the clips as many evenly spread frames each as that leaves."""
    files = find_all(clips).files
    num_clips = sum(not file.is_picture for file in files)
    share = max(1, -(-(num - len(files) + num_clips) // max(1, num_clips)))
    for number, file in enumerate(files):
        with open_source(file.path).read(PixelByPixel()) as reading:
            pictures = [frame.pixels for frame in reading if frame.pixels.std() >= _MIN_CONTRAST]
        for index in np.unique(np.linspace(0, len(pictures) - 1, min(share, len(pictures))).astype(int)):
            yield Asked(saved(pictures[index], folder, f"absent {number} {index}"), "absent")


def judged(library: Store, asked: list[Asked]) -> dict[str, tuple[int, ...]]:
    """Of each kind how many were asked, declared a match, rightly so, and rightly or with the same picture."""
    answers = []
    for one in asked:
        result = search(library, read_query(str(one.path), library.encoder))
        answers.append(verdict(library, one, result.matches[0].moment if result.matches else None))
    return counted(answers)


def judged_boxes(library: Store, asked: list[Asked], *, seed: int) -> dict[str, tuple[int, ...]]:
    """The same of a box in each picture."""
    random, answers = np.random.default_rng(seed), []
    frames = library.timeline.frames
    for number, shares in enumerate(_BOX_SHARES):
        some = asked[number :: len(_BOX_SHARES)]
        queries = [read_query(str(one.path), library.encoder) for one in some]
        looks = [match_box(library, box_in(query.frame.whole, shares, random), query.frame.size) for query in queries]
        regions = [look.described(query.frame.pixels[None]) for look, query in zip(looks, queries, strict=True)]
        background = region_background(library, looks[0])
        found = compare_regions(library, looks[0], np.concatenate(regions), np.ones(len(frames), np.bool_))
        threshold = match_threshold(background, FALSE_MATCH_RATE)
        print(shares, "threshold", round(threshold, 3), "decoys", len(background.decoys), flush=True)
        for column, one in enumerate(some):
            compared = Compared(found.similarities[:, column], frames, None, is_complete=True)
            moments = find_moments(compared.similarities, frames, threshold=threshold)
            answers.append(verdict(library, one, moments[0] if moments else None))
    return counted(answers)


def box_in(picture: Picture, shares: tuple[float, float], random: np.random.Generator) -> Box:
    """The one of twenty boxes anywhere in the picture that shows most: nobody draws one around nothing."""
    height, width = picture.shape[:2]
    sides = round(shares[0] * width), round(shares[1] * height)
    boxes = [
        Box(int(random.integers(width - sides[0] + 1)), int(random.integers(height - sides[1] + 1)), *sides)
        for _ in range(20)
    ]
    return max(boxes, key=lambda box: picture[box.y : box.y + box.height, box.x : box.x + box.width].std())


def verdict(library: Store, one: Asked, moment: Moment | None) -> tuple[str, bool, bool, bool]:
    """What was asked, whether a match is declared, whether rightly so, and whether so or with the same picture."""
    if moment is None:
        return one.kind, False, False, False
    is_right = is_there(one, moment)
    return one.kind, True, is_right, is_right or shows_the_same(library, one, moment)


def is_there(one: Asked, moment: Moment) -> bool:
    """Whether a moment is the one that the picture was made of."""
    earliest, latest = moment.start_seconds - _TOLERANCE_SECONDS, moment.end_seconds + _TOLERANCE_SECONDS
    return one.source == moment.source and earliest <= one.seconds <= latest


def shows_the_same(library: Store, one: Asked, moment: Moment) -> bool:
    """Whether a moment's best frame is the same picture to a person as the one that was altered."""
    found = small_grey(as_picture(library.thumbnails([(moment.source, moment.best_frame_index)])[0]))
    return one.shown is not None and float(np.corrcoef(one.shown, found)[0, 1]) >= _SAME_PICTURE


def small_grey(picture: Picture) -> NDArray[np.float64]:
    """Grey levels at 32 x 24 pixels, in one row."""
    image = Image.fromarray(np.ascontiguousarray(picture)).convert("L")
    return np.asarray(image.resize((32, 24), Image.Resampling.BOX), np.float64).ravel()


def counted(answers: list[tuple[str, bool, bool, bool]]) -> dict[str, tuple[int, ...]]:
    """Sums by kind, and of all that are there."""
    kinds = {kind: [one for one in answers if one[0] == kind] for kind in dict.fromkeys(kind for kind, *_ in answers)}
    kinds["all that is there"] = [one for one in answers if one[0] != "absent"]
    return {
        kind: (len(some), *(sum(bool(one[place]) for one in some) for place in (1, 2, 3)))
        for kind, some in kinds.items()
    }


def saved(picture: Picture, folder: Path, name: str) -> Path:
    """The picture as a file."""
    path = folder / f"{name}.png"
    Image.fromarray(np.ascontiguousarray(picture)).save(path)
    return path


def _cropped(picture: Picture, random: np.random.Generator) -> Picture:
    height, width = picture.shape[:2]
    rows, columns = round(0.75 * height), round(0.75 * width)
    top, left = random.integers(height - rows + 1), random.integers(width - columns + 1)
    return picture[top : top + rows, left : left + columns]


def _turned(picture: Picture, _: np.random.Generator) -> Picture:
    """By 6 degrees, without the corners that come into view."""
    height, width = picture.shape[:2]
    turned = np.asarray(Image.fromarray(picture).rotate(6, Image.Resampling.BICUBIC))
    return turned[round(0.1 * height) : round(0.9 * height), round(0.1 * width) : round(0.9 * width)]


def _brighter(picture: Picture, _: np.random.Generator) -> Picture:
    return np.clip(1.3 * picture.astype(np.float32) + 10, 0, 255).astype(np.uint8)


_WAYS: dict[str, Callable[[Picture, np.random.Generator], Picture]] = {
    "a crop of 75 %": _cropped,
    "turned by 6 degrees": _turned,
    "brighter": _brighter,
    "a quarter of a second later": lambda picture, _: picture,
}


if __name__ == "__main__":
    main()
