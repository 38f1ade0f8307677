"""How often does a reader of a command open another file? Counts the first calls of functions that leave their file.

    python benchmarks/first_calls.py [--json] [--pairs 20]

Each flow runs once, in a process of its own, on small generated clips, under `sys.setprofile`. Counted are the
functions of the package that run, with methods, properties and dunders; what runs while a module is imported is not.
The chain is the most files that are on the stack at once, from the command to the arithmetic.
"""

import argparse
import ast
import json
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import av
import numpy as np

import firstsight

ROOT = Path(firstsight.__file__).parent
FLOWS = {
    "learn": ("learn", "walks/hall.mp4", "--out", "run"),
    "index --model": ("index", "walks.library", "walks", "--model", "run", "--fps", "5"),
    "search": ("search", "walks.library", "walks/hall.mp4@2"),
    "search --box": ("search", "walks.library", "walks/hall.mp4@2", "--box", "10,10,30,30"),
    "watch --novel --for": ("watch", "run", "walks/hall.mp4", "--novel", "--for", "walks/hall.mp4@2", "--speed", "0"),
    "duplicates": ("duplicates", "walks.library"),
}
_SHORT, _LONG = 50, 400  # lines


class Tracer:
    """Notes each function of the package when it is first called, who called it, and through which files."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []  # file of the caller, file of the function
        self.chain: tuple[str, ...] = ()
        self.files: set[str] = set()
        self.num_functions = 0
        self._known: set[CodeType] = set()

    def note(self, frame: FrameType, event: str, _argument: object) -> None:
        """What `sys.setprofile` calls."""
        if event != "call" or frame.f_code in self._known or not _is_function(frame):
            return
        self._known.add(frame.f_code)
        stack = [one for one in _callers(frame) if one.f_code.co_filename.startswith(str(ROOT))]
        if any(one.f_code.co_name == "<module>" for one in stack):
            self._known.discard(frame.f_code)  # while a module is imported
            return
        names = [Path(one.f_code.co_filename).relative_to(ROOT).as_posix() for one in stack]
        self.num_functions += 1
        self.files.add(names[0])
        if len(names) > 1:
            self.calls.append((names[1], names[0]))
        chain = tuple(dict.fromkeys(reversed(names)))
        self.chain = max(self.chain, chain, key=len)


def _is_function(frame: FrameType) -> bool:
    """Whether it is one of the package, and neither a module, a class body nor part of another function."""
    code = frame.f_code
    is_ours = code.co_filename.startswith(str(ROOT))
    return is_ours and bool(code.co_flags & 1) and (code.co_name == "<lambda>" or not code.co_name.startswith("<"))


def _callers(frame: FrameType | None) -> list[FrameType]:
    found = []
    while frame is not None:
        found.append(frame)
        frame = frame.f_back
    return found


def trace(out: Path, arguments: list[str]) -> None:
    """Runs the command and writes what was noted."""
    from firstsight.cli.main import run

    sys.argv = ["firstsight", *arguments]
    tracer = Tracer()
    threading.setprofile(tracer.note)
    sys.setprofile(tracer.note)
    try:
        if code := run():
            sys.exit(code)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    noted = {"files": sorted(tracer.files), "functions": tracer.num_functions, "calls": tracer.calls}
    out.write_text(json.dumps({**noted, "chain": tracer.chain}))


def measure(folder: Path, arguments: tuple[str, ...]) -> dict[str, Any]:
    """One flow, in a process of its own."""
    out = folder / "trace.json"
    command = [sys.executable, __file__, "--trace", str(out), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}: {done.stderr}")
    noted: dict[str, Any] = json.loads(out.read_text())
    crossings = [(caller, called) for caller, called in noted["calls"] if caller != called]
    return {
        "files": len(noted["files"]),
        "functions": noted["functions"],
        "first_calls": len(noted["calls"]),
        "leaving": len(crossings),
        "lines": sum(_num_lines(ROOT / name) for name in noted["files"]),
        "chain": noted["chain"],
        "crossings": crossings,
    }


def write_clips(folder: Path) -> None:
    """Two clips of 12 s, 10 frames a second, 96x64: a pattern before which a square moves, and a copy of a part."""
    folder.mkdir()
    ground = np.random.default_rng(0).integers(40, 200, (8, 12, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    frames = np.repeat(ground[None], 120, axis=0)
    for index in range(120):
        frames[index, 20:44, index % 72 : index % 72 + 24] = (240, 40 + index, 20)
    for name, shown in (("hall.mp4", frames), ("copy.mp4", frames[30:90]), ("other.mp4", frames[::-1, ::-1])):
        with av.open(str(folder / name), "w") as container:
            stream = container.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
            for picture in shown:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
            container.mux(stream.encode())


def house() -> dict[str, Any]:
    """The numbers of the package: files, the longest, and short files that one other alone imports."""
    files = {path.relative_to(ROOT).as_posix(): _num_lines(path) for path in sorted(ROOT.rglob("*.py"))}
    importers = Counter(name for path in ROOT.rglob("*.py") for name in _imported_files(path))
    longest = max(files, key=lambda name: files[name])
    lonely = [name for name, lines in files.items() if importers[name] == 1 and lines < _SHORT]
    return {
        "files": len(files),
        "lines": sum(files.values()),
        "longest": [longest, files[longest]],
        "too_long": [name for name, lines in files.items() if lines > _LONG],
        "one_importer": sum(importers[name] == 1 for name in files),
        "short_with_one_importer": lonely,
    }


def _imported_files(path: Path) -> set[str]:
    """The files of the package that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "firstsight":
            parts = (node.module or "").split(".")[1:]
            found |= {"/".join([*parts, alias.name]) + ".py" for alias in node.names} | {"/".join(parts) + ".py"}
    return {name for name in found if (ROOT / name).is_file()}


def _num_lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def table(flows: dict[str, dict[str, Any]], about: dict[str, Any], num_pairs: int) -> str:
    """For people."""
    lines = [
        "| flow | files | functions | first calls that leave the file | lines to have open | longest chain |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in flows.items():
        share = f"{one['leaving']} of {one['first_calls']} ({100 * one['leaving'] / one['first_calls']:.0f} %)"
        counts = f"{one['files']} | {one['functions']} | {share} | {one['lines']:,}"
        lines.append(f"| `{name}` | {counts} | {len(one['chain'])} |")
    longest, num_lines = about["longest"]
    lines += [
        "",
        f"{about['files']} files, {about['lines']:,} lines; the longest is {longest} with {num_lines}",
        f"above {_LONG} lines: {', '.join(about['too_long']) or 'none'}",
        f"{about['one_importer']} files have one importer",
        f"of these under {_SHORT} lines: {', '.join(about['short_with_one_importer']) or 'none'}",
        "",
        "longest chains:",
        *(f"  {name}: {' > '.join(one['chain'])}" for name, one in flows.items()),
        "",
        "pairs of files that first calls cross most often, all flows together, each function counted once a flow:",
    ]
    return "\n".join(
        lines + [f"  {count:>3}  {caller} > {called}" for caller, called, count in pairs(flows, num_pairs)]
    )


def pairs(flows: dict[str, dict[str, Any]], num: int) -> list[tuple[str, str, int]]:
    """The pairs of files with the most crossings, and how many."""
    counts = Counter(tuple(crossing) for one in flows.values() for crossing in one["crossings"])
    return [(caller, called, count) for (caller, called), count in counts.most_common(num)]


def main() -> None:
    """Measures and prints; with --trace it is the process of one flow."""
    if sys.argv[1:2] == ["--trace"]:
        trace(Path(sys.argv[2]), sys.argv[3:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--pairs", type=int, default=20, help="pairs of files to list (20)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_clips(folder / "walks")
        flows = {flow: measure(folder, arguments) for flow, arguments in FLOWS.items()}
    about = house()
    if options.json:
        content = {"flows": flows, "house": about, "pairs": pairs(flows, options.pairs)}
        print(json.dumps(content))
    else:
        print(table(flows, about, options.pairs))


if __name__ == "__main__":
    main()
