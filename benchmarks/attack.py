"""Attacks the command line: mutated and odd files, runs and libraries go through its commands.

No traceback, hang, signal, warning of Python, invalid JSON, control character, or more than 2 GB; nothing that belongs
to others is touched, and one odd file ends no run over many. The same seed and number give the same case everywhere.

python benchmarks/attack.py                    # 1,000 cases on all cores, then a table; about ten minutes on two
python benchmarks/attack.py --case 412 --keep  # that one again: its command lines, what they said, and its files
python benchmarks/attack.py --num 5000 --seed 1
"""

import argparse
import json
import os
import queue
import re
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from attack_cases import Kind, kind_of
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

# A worker that holds so much is ended at once, lest it takes the machine with it.
_KILLED_MEGABYTES = 6_000
# A worker that holds so much between two cases is followed by a new one: what is measured is a case, not their sum.
_RENEWED_MEGABYTES = 1_200
_FRAME = re.compile(r'File "[^"]*/firstsight/([^"]+)", line (\d+) in (\w+)')
# Whoever uses no processor time for so long waits for something that does not come.
_IDLE_SECONDS = 20.0
_LINE_EVERY = 50  # cases, where nobody watches a bar


@dataclass(frozen=True)
class Finding:
    """Something that must not be."""

    found: str  # the kind
    case: int
    kind: str  # of case
    what: str  # is wrong with the files
    command: str
    details: str


class Supervisor:
    """Hands cases to workers and writes down what becomes of them; a worker's death is a finding of its case."""

    def __init__(self, options: argparse.Namespace, folder: Path, progress: Progress) -> None:
        self.findings: list[Finding] = []
        self.is_over = False  # what workers meet while they are ended is no finding
        self.kinds: Counter[str] = Counter()
        self.commands: Counter[str] = Counter()
        self._options, self._folder, self._progress = options, folder, progress
        self._numbers: queue.SimpleQueue[int] = queue.SimpleQueue()
        some = range(options.first, options.first + options.num)
        numbers = [number for number in some if options.kind in {None, kind_of(number)}]
        numbers = numbers if options.case is None else [options.case]
        for number in numbers:
            self._numbers.put(number)
        self._task = progress.add_task("attacking", total=len(numbers))
        self._num_done = 0

    def run(self) -> None:
        """All cases."""
        threads = [
            threading.Thread(target=self._keep_one_working, args=(number,), daemon=True)
            for number in range(min(self._options.workers, self._numbers.qsize()))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _keep_one_working(self, position: int) -> None:
        folder = self._folder / f"worker-{position}"
        folder.mkdir()
        while not self._numbers.empty():
            _Handled(self, folder, self._options, self._folder / "bases").work(self._numbers)

    def note(self, found: str, begun: dict[str, Any], details: str) -> None:
        """A finding; the first of its kind is told at once."""
        if self.is_over:
            return
        if found not in {one.found for one in self.findings}:
            told = f"--case {begun['case']}: {found} ({begun['begun']}; {begun['kind']}: {begun['what']})"
            self._progress.console.print(told, markup=False, highlight=False, soft_wrap=True)
        self.findings.append(
            Finding(found, begun["case"], begun["kind"], begun["what"], begun["begun"], details=details)
        )

    def count(self, message: dict[str, Any]) -> None:
        """What a worker says that it does."""
        if "begun" in message:
            self.commands[message["begun"]] += 1
            if self._options.case is not None:
                print(f"\n{message['kind']}: {message['what']}\nfirstsight {message['line']}")
        elif "ended" in message:
            print(f"-> {message['ended']}\n{message['out']}{message['err']}")

    def case_done(self, kind: str) -> None:
        """One more."""
        self.kinds[kind] += 1
        self._num_done += 1
        self._progress.update(self._task, completed=self._num_done)
        if not self._progress.console.is_terminal and not self._num_done % _LINE_EVERY:
            print(f"{self._num_done} cases, {len(self.findings)} findings", file=sys.stderr, flush=True)


class Watchdog:
    """Tells what hangs, on a busy machine too: by processor time, and by doing nothing at all.

    Args:
        limit: seconds of processor time.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self.begin(0)

    def begin(self, used: float) -> None:
        """From now on; so much processor time was used before."""
        self._begun = self._last_used = used
        self._busy = time.monotonic()

    def barks(self, used: float) -> bool:
        """Whether it is enough now."""
        if used - self._last_used > 0.02:
            self._last_used, self._busy = used, time.monotonic()
        return used - self._begun > self._limit or time.monotonic() - self._busy > _IDLE_SECONDS


class _Handled:
    """One worker, until it dies, has grown too large, or there is nothing left to do."""

    def __init__(self, supervisor: Supervisor, folder: Path, options: argparse.Namespace, bases: Path) -> None:
        self._supervisor, self._watchdog = supervisor, Watchdog(options.limit)
        facts = (bases, folder, options.seed, int(options.keep or options.case is not None))
        self._stacks = folder / "stacks"
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("attack_worker.py")), *map(str, facts)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
        )
        self._begun: dict[str, Any] = {}
        self._rest = b""

    def work(self, numbers: "queue.SimpleQueue[int]") -> None:
        """Cases, one after the other."""
        assert self._process.stdin
        try:
            while self._megabytes() < _RENEWED_MEGABYTES and not numbers.empty():
                try:
                    number = numbers.get_nowait()
                except queue.Empty:
                    return
                self._begun = {"case": number, "kind": "?", "what": "?", "begun": "making the case"}
                self._watchdog.begin(self._cpu_seconds())
                self._process.stdin.write(f"{number}\n".encode())
                self._process.stdin.flush()
                alive = self._until_done()
                self._supervisor.case_done(self._begun["kind"])
                if not alive:
                    return
        finally:
            self._process.kill()
            self._process.wait()

    def _until_done(self) -> bool:
        """Whether the worker outlived the case."""
        while True:
            for message in self._messages():
                if message is None:
                    self._note_death()
                    return False
                if "done" in message:
                    return True
                if "found" in message:
                    self._supervisor.note(message["found"], self._begun, message["details"])
                elif "begun" in message:
                    self._begun = message
                    self._watchdog.begin(self._cpu_seconds())
                self._supervisor.count(message)
            if (held := self._megabytes()) > _KILLED_MEGABYTES:
                self._supervisor.note("more than 2 GB", self._begun, f"{held:.0f} MB, ended")
                return False
            if self._watchdog.barks(self._cpu_seconds()):
                self._note_hang()
                return False

    def _messages(self) -> list[dict[str, Any] | None]:
        """What the worker has said in the last fifth of a second; None for its end."""
        assert self._process.stdout
        if not select.select([self._process.stdout], [], [], 0.2)[0]:
            return []
        data = os.read(self._process.stdout.fileno(), 1 << 20)
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        return [json.loads(line) for line in lines] if data else [None]

    def _note_hang(self) -> None:
        """Asks it where it is before it is ended."""
        self._process.send_signal(signal.SIGUSR1)
        time.sleep(1)
        stacks = self._stacks.read_text().rsplit("Current thread", 1)[-1]
        place = _FRAME.search(stacks)
        where = "{}:{} {}".format(*place.groups()) if place else "outside the project"
        self._supervisor.note(f"a hang at {where}", self._begun, stacks[:6_000])

    def _note_death(self) -> None:
        code = self._process.wait()
        found = f"ended by {signal.Signals(-code).name}" if code < 0 else f"the process ended with {code}"
        self._supervisor.note(f"{found}, in {self._begun['begun']}", self._begun, self._stacks.read_text()[:6_000])

    def _cpu_seconds(self) -> float:
        """Processor time that it has used."""
        try:
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            return 0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _megabytes(self) -> float:
        try:
            pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        except (OSError, IndexError):
            return 0
        return pages * os.sysconf("SC_PAGESIZE") / 2**20


def _environment() -> dict[str, str]:
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "GOMP_SPINCOUNT": "10000"}
    plain = {"LANCEDB_LOG": "error", "COLUMNS": "200", "PYTHONUTF8": "1", "no_proxy": "127.0.0.1"}
    return {**os.environ, **one_thread, **plain}


def table_of(findings: list[Finding]) -> Table:
    """A line a kind of finding: how often, by which commands, and a case that shows it."""
    table = Table("finding", "cases", "commands", "for example", "what is wrong there")
    by_kind: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_kind[finding.found].append(finding)
    for found, some in sorted(by_kind.items(), key=lambda item: -len(item[1])):
        commands = Counter(one.command for one in some)
        first = min(some, key=lambda one: one.case)
        listed = " ".join(f"{name} {count}" for name, count in commands.most_common())
        num = len({one.case for one in some})
        table.add_row(found, str(num), listed, f"--case {first.case}", escape(f"{first.kind}: {first.what}"[:90]))
    return table


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num", type=int, default=1_000, help="cases")
    parser.add_argument("--first", type=int, default=0, help="number of the first case; the odd files come first")
    parser.add_argument("--seed", type=int, default=0, help="of the mutations")
    parser.add_argument("--kind", choices=get_args(Kind), help="only cases of this kind")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--limit", type=float, default=30.0, help="seconds of processor time that a command may take")
    parser.add_argument("--case", type=int, help="run this one, and print what it says")
    parser.add_argument("--keep", action="store_true", help="keep the files of all cases")
    parser.add_argument("--json", type=Path, help="write all findings")
    return parser.parse_args()


def main() -> None:
    """The command line."""
    options = parsed()
    console = Console(stderr=True, soft_wrap=False)
    folder = Path(tempfile.mkdtemp(prefix="attack-"))
    begun = time.monotonic()
    subprocess.run(
        [sys.executable, str(Path(__file__).with_name("attack_worker.py")), str(folder / "bases")],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=_environment(),
    )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        supervisor = Supervisor(options, folder, progress)
        try:
            supervisor.run()
        except KeyboardInterrupt:
            print("interrupted; this is what was found so far")
        supervisor.is_over = True
    findings = supervisor.findings
    Console(width=200).print(table_of(findings))
    print("cases:", ", ".join(f"{count} {kind}" for kind, count in supervisor.kinds.items()))
    print("command lines:", ", ".join(f"{count} {name}" for name, count in supervisor.commands.most_common()))
    print(f"{len(findings)} findings of {len({one.found for one in findings})} kinds", end=" ")
    print(f"in {len({one.case for one in findings})} cases; {time.monotonic() - begun:.0f} s; seed {options.seed}")
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in findings], indent=1) + "\n")
    if options.keep or options.case is not None:
        print(f"the files are in {folder}")
    else:
        subprocess.run(["rm", "-rf", str(folder)], check=True)
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
