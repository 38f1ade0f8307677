"""Runs cases in this process, one command line after another, and judges what each did.

Case numbers come on standard input, one a line; a line of JSON goes out when a command begins, when it is found
wanting, and when a case is done. Whoever started this sees to it that it neither holds too much nor dies unseen.
"""

import faulthandler
import gc
import io
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from attack_cases import Case, Command, make_case
from peak_memory import peak_megabytes

MOST_MEGABYTES = 2_000
_FRESH_MEGABYTES = 400  # held by a process that has read the program alone
_TRACE_LINE = re.compile(r'File "[^"]*/firstsight/([^"]+)", line (\d+),? in (\w+)')
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")
# Rust prints this before anybody can hear of it; at some damaged bytes of a table it cannot be avoided.
_PANIC = re.compile(r"^thread .* panicked at .*\n.*\n(note: run with `RUST_BACKTRACE.*\n)?", re.MULTILINE)
_FOREIGN = re.compile(r"\S*(?:/\.cargo/|/rustc/|/home/runner/|\.rs:\d+)\S*")


class Output:
    """Where standard output and error of this process go meanwhile, those of C and Rust too."""

    def __init__(self, folder: Path) -> None:
        self._files = [(folder / name).open("w+b") for name in ("stdout", "stderr")]

    @contextmanager
    def captured(self, piped: Path | None) -> Iterator[None]:
        """Begins anew, with a file as standard input, or nothing."""
        given = os.open(piped or os.devnull, os.O_RDONLY)
        os.dup2(given, 0)
        os.close(given)
        for number, file in enumerate(self._files, start=1):
            file.truncate(0)
            file.seek(0)
            os.dup2(file.fileno(), number)
        sys.stdin = os.fdopen(os.dup(0))
        sys.stdout = io.TextIOWrapper(os.fdopen(os.dup(1), "wb", 0), write_through=True)
        sys.stderr = io.TextIOWrapper(os.fdopen(os.dup(2), "wb", 0), errors="backslashreplace", write_through=True)
        try:
            yield
        finally:
            for stream in (sys.stdin, sys.stdout, sys.stderr):
                stream.close()
            sys.stdin, sys.stdout, sys.stderr = sys.__stdin__, sys.__stdout__, sys.__stderr__

    def read(self) -> tuple[str, str]:
        """What was written, at most a megabyte of each."""
        texts = []
        for file in self._files:
            file.seek(0)
            texts.append(file.read(1_000_000).decode(errors="surrogateescape"))
        return texts[0], texts[1]


def run(arguments: tuple[str, ...]) -> tuple[int, str]:
    """Exit code of a command line, and the traceback if it raised."""
    from firstsight.cli.main import run as run_command

    sys.argv = ["firstsight", *arguments]
    try:
        return run_command(), ""
    except BaseException:  # whatever it is, a user would see it
        return 1, traceback.format_exc()


def place_in(trace: str) -> str:
    """The innermost line of the project in a traceback."""
    found = _TRACE_LINE.findall(trace)
    return "{}:{} {}".format(*found[-1]) if found else "outside the project"


def judge(
    command: Command, code: int, trace: str, out: str, err: str, *, held: float, peak: float
) -> Iterator[tuple[str, str]]:
    """Each kind of thing that is wrong, with its details; `held` and `peak` in megabytes, before and at most."""
    if trace:
        yield f"traceback: {trace.splitlines()[-1].split(':')[0]} at {place_in(trace)}", trace
    elif code not in _codes(command):
        yield f"exit code {code}", err
    elif code == 2 and "Usage:" not in err and len(re.findall("^error: ", err, re.MULTILINE)) != 1:
        yield "not one line of error", err
    if code == 0 and "panicked at" in err:
        yield "a panic that is not told", err
    yield from _said(out, _PANIC.sub("", err))
    if "--json" in command.arguments and code == 0 and not trace:
        yield from _not_json(out, as_lines=command.arguments[0] == "watch")
    # What earlier cases have left is not this one's; in a process of its own it would begin with less.
    if (own := peak - max(0, held - _FRESH_MEGABYTES)) > MOST_MEGABYTES:
        yield "more than 2 GB", f"{own:.0f} MB, and {held:.0f} MB were held before"
    if command.must_work and code and not trace:
        yield "one odd file ended a run over many", err
    elif command.library and not trace:
        yield from _lacking(command)


def _codes(command: Command) -> set[int]:
    """How it may end; a library that is not whole is what a check says with its own code."""
    return {0, 1, 2} if command.arguments[:2] == ("library", "check") else {0, 2}


def _said(out: str, err: str) -> Iterator[tuple[str, str]]:
    """What nobody should read."""
    if "Traceback" in err or "Exception ignored" in err:
        yield "a traceback on standard error", err
    if found := re.search(r"^.*?([\w/.-]+\.py):\d+: (\w*Warning)", err, re.MULTILINE):
        yield f"a warning of Python: {found[2]} in {'/'.join(Path(found[1]).parts[-2:])}", err
    if found := _FOREIGN.search(out + err):
        yield "a path of another machine in a message", found[0]
    if found := _CONTROL.search(out) or _CONTROL.search(err):
        yield "control characters raw on a terminal", repr(found)
    if re.search("^error: forged", out + err, re.MULTILINE):
        yield "a name forged a line of output", out + err


def _not_json(out: str, *, as_lines: bool) -> Iterator[tuple[str, str]]:
    def refuse(name: str) -> NoReturn:
        raise ValueError(f"{name} is no JSON")

    try:
        for text in out.splitlines() if as_lines else [out]:
            json.loads(text, parse_constant=refuse)
    except ValueError as error:
        yield "invalid JSON", f"{error}: {out[:500]}"


def _lacking(command: Command) -> Iterator[tuple[str, str]]:
    from firstsight.library.store import Store

    assert command.library
    try:
        held = {Path(one.name).name for one in Store.open(command.library).sources}
    except Exception as error:  # it is not there, which is the finding
        held, reason = set(), str(error)
    else:
        reason = f"the library holds {sorted(held)!r}"
    if not set(command.good) <= held:
        yield "good files beside an odd one are not indexed", reason


class Worker:
    """Runs cases."""

    def __init__(self, bases: Path, folder: Path, *, seed: int, keep: bool) -> None:
        self._bases, self._folder, self._seed, self._keep = bases, folder, seed, keep
        self._numbers = os.fdopen(os.dup(0))  # a command reads something else from standard input
        self._channel = os.fdopen(os.dup(1), "w", buffering=1)
        self._output = Output(folder)
        self._stacks = (folder / "stacks").open("w")
        faulthandler.enable(file=self._stacks)
        faulthandler.register(signal.SIGUSR1, file=self._stacks)  # asked for when it hangs

    def tell(self, **facts: Any) -> None:  # noqa: ANN401  # any JSON
        """A line of JSON to whoever started this."""
        self._channel.write(json.dumps(facts) + "\n")
        self._channel.flush()

    def work(self) -> None:
        """All cases that are asked for."""
        for line in self._numbers:
            self._case(int(line))

    def _case(self, number: int) -> None:
        gc.collect()  # not before each command: it takes as long as many of them
        folder = Path(tempfile.mkdtemp(prefix=f"case-{number}-", dir=self._folder))
        case = make_case(number, seed=self._seed, folder=folder, bases=self._bases)
        canary = _contents(folder / "victim")
        for command in case.commands:
            self._command(case, command)
            if (now := _contents(folder / "victim")) != canary:
                self.tell(found="files of others were changed", case=number, details=repr(now))
                canary = now
        if not self._keep:
            shutil.rmtree(folder, ignore_errors=True)
        self.tell(done=number)

    def _command(self, case: Case, command: Command) -> None:
        line = " ".join(map(repr, command.arguments)) if self._keep else command.arguments[0]
        self.tell(begun=command.arguments[0], case=case.number, kind=case.kind, what=case.what, line=line)
        Path("/proc/self/clear_refs").write_text("5")  # the peak of memory begins anew
        held = peak_megabytes()
        with self._output.captured(command.piped):
            code, trace = run(command.arguments)
        out, err = self._output.read()
        for found, details in judge(command, code, trace, out, err, held=held, peak=peak_megabytes()):
            self.tell(found=found, case=case.number, details=details[-3_000:])
        if self._keep:
            self.tell(ended=code, out=out[-2_000:], err=err[-2_000:])


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def prepare(bases: Path) -> None:
    """Good runs and libraries, by the commands themselves."""
    from attack_cases import make_bases

    for arguments in make_bases(bases):
        code, trace = run(arguments)
        if code or trace:
            sys.exit(f"firstsight {' '.join(arguments)} failed, on good files: {trace}")


def main() -> None:
    """`attack_worker.py BASES FOLDER SEED KEEP`, or `attack_worker.py BASES` to make the bases."""
    if len(sys.argv) == 2:
        prepare(Path(sys.argv[1]))
        return
    bases, folder, seed, keep = sys.argv[1:]
    # As a user sees warnings, but not only the first time in this process.
    warnings.simplefilter("always", append=True)
    worker = Worker(Path(bases), Path(folder), seed=int(seed), keep=keep == "1")
    worker.work()


if __name__ == "__main__":
    main()
