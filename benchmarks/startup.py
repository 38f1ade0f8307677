"""How long does the command line take to answer? Beside the time that importing typer and rich takes, in one run.

    python benchmarks/startup.py [--json] [--runs 10]
    python benchmarks/startup.py --library walks.library --query walks/gate.mp4@8.0    # a search, too

Processor time of a process, the best of several, with compiled files at hand, which a first run writes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import firstsight

BASE = "import typer, rich"
PROGRAM = "from firstsight.cli.main import main; main()"
HELP, PATH = 2.5, 4.0  # times the base, at most
CASES: dict[tuple[str, ...], float] = {
    ("--help",): HELP,
    ("--version",): HELP,
    ("learn", "--help"): HELP,
    ("learn", "nothere.mp4", "--out", "x"): PATH,
    ("index", "lib", "nothere/"): PATH,
    ("search", "nolib", "x.png"): PATH,
    ("compare", "norun", "nothere.mp4"): PATH,
    ("watch", "norun", "nothere.mp4", "--novel"): PATH,
    ("scenes", "nothere.mp4"): PATH,
    ("duplicates", "nolib"): PATH,
}


def cost(command: list[str], folder: Path, *, num_runs: int) -> tuple[float, float]:
    """Processor time in seconds, and peak memory in megabytes: the best of several."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {
        "PYTHONPYCACHEPREFIX": str(folder / "compiled"),
        "PYTHONPATH": str(Path(firstsight.__file__).parents[1]),
    }
    best = (float("inf"), float("inf"))
    for number in range(num_runs + 1):
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _, _, used = os.wait4(process.pid, 0)
        process.returncode = 0  # it has been waited for
        if number:
            best = min(best, (used.ru_utime + used.ru_stime, used.ru_maxrss / 1000))
    return best


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--runs", type=int, default=10, help="of each, the best counts (10)")
    parser.add_argument("--library", type=Path, help="a library to search, beside importing LanceDB")
    parser.add_argument("--query", help="a frame of it, as walk.mp4@8.0")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base, _ = cost([sys.executable, "-c", BASE], folder, num_runs=options.runs)
        if options.library and options.query:
            search = ("search", str(options.library.absolute()), str(Path(options.query).absolute()))
            programs = {"import lancedb": "import lancedb", f"firstsight {' '.join(search)}": PROGRAM}
            for called, program in programs.items():
                taken, megabytes = cost([sys.executable, "-c", program, *search], folder, num_runs=options.runs)
                print(f"`{called}`: {taken:.2f} s, {megabytes:.0f} MB, {taken / base:.0f} times `{BASE}`")
            return
        for arguments, limit in CASES.items():
            taken, _ = cost([sys.executable, "-c", PROGRAM, *arguments], folder, num_runs=options.runs)
            ratio = taken / base
            rows.append({"command": " ".join(arguments), "seconds": taken, "ratio": ratio, "at_most": limit})
    if options.json:
        print(json.dumps({"base": BASE, "base_seconds": base, "rows": rows}))
        return
    print(f"`{BASE}`: {base:.3f} s\n\n| firstsight ... | s | times that | at most |\n|---|---|---|---|")
    for row in rows:
        print(f"| `{row['command']}` | {row['seconds']:.3f} | {row['ratio']:.1f} | {row['at_most']} |")


if __name__ == "__main__":
    main()
