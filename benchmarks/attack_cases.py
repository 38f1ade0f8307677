"""The cases: what lies in the folder of each, and the commands that are run on it."""

import os
import random
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from attack_media import frames, scene, spoiled, write_bases, write_video
from attack_odd import ODD
from attack_saved import spoil_library, spoil_run
from PIL import Image

Kind = Literal["odd", "video", "picture", "run", "library"]
# After the odd files, which come once each: how many cases in a row are of which kind.
_TURNS: tuple[Kind, ...] = (
    "video",
    "video",
    "video",
    "picture",
    "run",
    "video",
    "library",
    "picture",
    "run",
    "library",
)
_ARTICLE = "--method article --levels 2 --maps 4 --hidden-maps 8 --crop 32 --input-size 32 --frames-per-level 20"


@dataclass(frozen=True)
class Command:
    """One command line of a case."""

    arguments: tuple[str, ...]
    must_work: bool = False  # good files lie beside an odd one: whatever that is, they are read
    library: Path | None = None  # must hold `good` afterwards
    good: tuple[str, ...] = ()
    piped: Path | None = None  # into standard input; by default nothing is


@dataclass(frozen=True)
class Case:
    """What is wrong, and what is done with it."""

    number: int
    kind: str
    what: str
    commands: tuple[Command, ...]


def make_bases(folder: Path) -> list[tuple[str, ...]]:
    """Writes good files of every kind; gives the commands that make the good runs and libraries beside them."""
    write_bases(folder)
    for name, kind in (("films", "mp4"), ("stills", "png")):
        (folder / name).mkdir()
        _write_good(folder / name, kind, num=3)
    (folder / "victim").mkdir()
    (folder / "victim" / "tables-1").mkdir()
    (folder / "victim" / "tables-1" / "keep.txt").write_text("not to be touched\n")
    films, stills, run = folder / "films", folder / "stills", folder / "run"
    return [
        ("learn", str(films / "good-1.mp4"), "--out", str(run)),
        ("learn", str(films / "good-1.mp4"), "--out", str(folder / "article"), *_ARTICLE.split()),
        ("index", str(folder / "films.library"), str(films), "--model", str(run), "--fps", "6"),
        ("index", str(folder / "stills.library"), str(stills), "--model", str(run)),
    ]


def _write_good(folder: Path, kind: str, *, num: int = 2) -> tuple[str, ...]:
    names = tuple(f"good-{number}.{kind}" for number in range(1, num + 1))
    for number, name in enumerate(names):
        if kind == "mp4":
            write_video(folder / name, frames(100 + 10 * number))
        else:
            Image.fromarray(scene(100 + number)).save(folder / name)
    return names


def kind_of(number: int) -> Kind:
    """What is odd or spoiled in a case."""
    return "odd" if number < len(ODD) else _TURNS[(number - len(ODD)) % len(_TURNS)]


def make_case(number: int, *, seed: int, folder: Path, bases: Path) -> Case:
    """Writes what the case is about into the folder. The same number and seed give the same case."""
    rng = random.Random(f"{seed} {number}")
    kind = kind_of(number)
    if kind == "odd":
        return _odd_case(number, folder, bases)
    if kind in {"video", "picture"}:
        return _media_case(number, f"{kind}s", rng, folder, bases)
    return (_run_case if kind == "run" else _library_case)(number, rng, folder, bases)


def _odd_case(number: int, folder: Path, bases: Path) -> Case:
    odd = ODD[number]
    heap = folder / "heap"
    heap.mkdir()
    _copy_good(bases, heap, "mp4")
    made = odd.make(heap)
    if made.suffix.lower() in {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"}:
        for good in heap.glob("good-*.mp4"):
            good.unlink()
        _copy_good(bases, heap, "png")
    alone = _alone(made, bases, folder, number) if odd.readable else ()
    return Case(number, "odd", odd.name, (*_beside_good(heap, bases, folder, number), *alone))


def _media_case(number: int, kind: str, rng: random.Random, folder: Path, bases: Path) -> Case:
    heap = folder / "heap"
    heap.mkdir()
    base = rng.choice(sorted((bases / kind).iterdir()))
    data, names = spoiled(base.read_bytes(), _others(bases / kind), rng)
    suffix = base.suffix if rng.random() < 0.95 else rng.choice(sorted((bases / kind).iterdir())).suffix
    made = heap / f"odd{suffix}"
    made.write_bytes(data)
    _copy_good(bases, heap, "mp4" if kind == "videos" else "png")
    commands = (*_beside_good(heap, bases, folder, number), *_alone(made, bases, folder, number))
    return Case(number, kind, f"{base.name}, {names}", commands)


def _copy_good(bases: Path, heap: Path, kind: str) -> None:
    for name in ("good-1", "good-2", "good-3"):  # fewer pictures are too few to learn from
        shutil.copy(bases / ("films" if kind == "mp4" else "stills") / f"{name}.{kind}", heap)


@cache
def _others(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def _beside_good(heap: Path, bases: Path, folder: Path, number: int) -> tuple[Command, ...]:
    """The folder as a whole: one odd file ends nothing."""
    good = tuple(path.name for path in sorted(heap.glob("good-*")))
    library = folder / "library"
    index = ("index", str(library), str(heap), "--model", str(bases / "run"), *_json(number))
    commands = [Command(index, must_work=True, library=library, good=good)]
    if number % 4 == 0:
        learn = ("learn", str(heap), "--out", str(folder / "heap-run"), *_method(number // 4))
        commands.append(Command(learn, must_work=True))
    if number % 4 == 1 and good[0].endswith("mp4"):
        commands.append(Command(("scenes", str(heap), "--run", str(bases / "run")), must_work=True))
    lines = [
        ("library", "info", str(library), *_json(number + 1)),
        ("library", "sources", str(library), *_json(number)),
        ("duplicates", str(library), *(_copies_in(folder) if number % 3 == 0 else ())),
    ]
    commands += [Command(line) for line in lines]
    return tuple(commands)


def _alone(made: Path, bases: Path, folder: Path, number: int) -> tuple[Command, ...]:
    """The odd file given by itself."""
    file, run, films = str(made), str(bases / "run"), str(bases / "films.library")
    moment = file if number % 2 else f"{file}@0.5"
    lines = [
        ("learn", file, "--out", str(folder / "alone-run"), *_method(number)),
        ("search", films, moment, *_json(number)),
        ("scenes", file, "--run", run, *_json(number + 1), "--out", str(folder / "scenes.csv")),
        ("watch", run, file, "--novel", "--for", moment, "--speed", "0", *_json(number)),
        ("novelty", run, file, *_json(number + 1)),
    ]
    if number % 5 == 2:
        lines.append(("search", films, moment, "--box", "4,4,24,24", "--nearest", *_json(number + 1)))
    if number % 10 == 0:
        lines.append(("compare", run, file, "--out", str(folder / "compared")))
        lines.append(("learn", file, "--out", str(folder / "article"), *_ARTICLE.split()))
    commands = [Command(line) for line in lines]
    if number % 5 == 1 and made.is_file() and os.access(made, os.R_OK):
        piped = ("learn", "-", "--for", "2s", "--out", str(folder / "piped-run"), *_method(number // 5))
        commands.append(Command(piped, piped=made))
    return tuple(commands)


def _run_case(number: int, rng: random.Random, folder: Path, bases: Path) -> Case:
    base = rng.choice(("run", "run", "article"))
    run, clip = folder / "run", str(bases / "films" / "good-1.mp4")
    shutil.copytree(bases / base, run)
    what = spoil_run(run, rng)
    lines = [
        ("info", str(run), *_json(number)),
        ("index", str(folder / "library"), clip, "--model", str(run), *_json(number + 1)),
        ("watch", str(run), clip, "--novel", "--speed", "0"),
        ("scenes", clip, "--run", str(run), *_json(number)),
        ("novelty", str(run), clip, *_json(number)),
        ("learn", "--resume", str(run)) if number % 2 else ("learn", "--extend", str(run), clip),
        ("info", str(run)),
    ]
    return Case(number, "run", f"{base}, {what}", tuple(Command(line) for line in lines))


def _library_case(number: int, rng: random.Random, folder: Path, bases: Path) -> Case:
    base = rng.choice(("films", "films", "stills"))
    library, heap = folder / "library", bases / base
    shutil.copytree(bases / f"{base}.library", library)
    shutil.copytree(bases / "victim", folder / "victim")
    what = spoil_library(library, rng)
    query = str(bases / "films" / "good-1.mp4") + "@0.5" if base == "films" else str(heap / "good-1.png")
    lines = [
        ("library", "info", str(library), *_json(number)),
        ("library", "sources", str(library), *_json(number + 1)),
        ("library", "check", str(library), *_json(number)),
        ("search", str(library), query, *_json(number + 1)),
        ("search", str(library), query, "--nearest", "--box", "4,4,24,24", *_json(number)),
        ("search", str(library), query, "--html", str(folder / "page.html"), "--clips", str(folder / "clips")),
        ("duplicates", str(library), *_json(number), *_copies_in(folder)),
        ("similarities", str(library), "--for", query, "--out", str(folder / "similarities.csv")),
        ("clusters", str(library), *_json(number + 1)),
        ("keyframes", str(library), "2", "--out", str(folder / "keyframes")),
        ("export", str(library), "--out", str(folder / rng.choice(("x.csv", "x.npz", "x.parquet")))),
        ("index", str(library), str(heap), *_json(number + 1)),
        ("library", "compact", str(library)),
        ("index", str(library), "--reindex", "--model", str(bases / "run")),
        ("library", "remove", str(library), "good-2*"),
        ("library", "info", str(library)),
    ]
    return Case(number, "library", f"{base}, {what}", tuple(Command(line) for line in lines))


def _method(number: int) -> tuple[str, ...]:
    """Mostly the one that is done in a third of the time, and reads the same."""
    return ("--method", "random") if number % 4 else ()


def _copies_in(folder: Path) -> tuple[str, ...]:
    return "--csv", str(folder / "copies.csv"), "--html", str(folder / "copies.html")


def _json(number: int) -> tuple[str, ...]:
    return ("--json",) if number % 2 else ()
