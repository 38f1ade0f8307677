"""The attack notices what it is there to notice."""

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

from attack import Finding, Watchdog, table_of
from attack_cases import Command, make_bases, make_case
from attack_odd import ODD
from attack_worker import judge

FINE = Command(("info", "run"))
AS_JSON = Command(("info", "run", "--json"))
TRACE = 'Traceback\n  File "/x/firstsight/footage/timestamps.py", line 7, in tick\nValueError: no\n'
PANIC = (
    "thread 'lance-cpu' (7) panicked at /root/.cargo/x/ffi.rs:1:2:\nrange end index\n"
    "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n"
)


@pytest.mark.parametrize(
    ("command", "code", "trace", "out", "err", "found"),
    [
        (FINE, 0, "", "fine\n", "a note\n", []),
        (FINE, 2, "", "", "a note\nerror: no run there\n", []),
        (AS_JSON, 0, "", '{"a": null}\n', "", []),
        (FINE, 1, TRACE, "", "", ["traceback: ValueError at footage/timestamps.py:7 tick"]),
        (FINE, 1, "", "", "error: x\n", ["exit code 1"]),
        (Command(("library", "check", "x")), 1, "", "damaged: rows\n", "", []),
        (FINE, 2, "", "", "", ["not one line of error"]),
        (FINE, 2, "", "", "error: a\nerror: b\n", ["not one line of error"]),
        (FINE, 0, "", "", f"\n{PANIC}", ["a panic that is not told"]),
        (FINE, 2, "", "", f"\n{PANIC}\n{PANIC}error: the tables cannot be used\n", []),
        (FINE, 2, "", "", f"\n{PANIC}", ["not one line of error"]),
        (FINE, 0, "", "", "Exception ignored in: x\n", ["a traceback on standard error"]),
        (
            FINE,
            0,
            "",
            "",
            "/a/PIL/Image.py:3: BombWarning: big\n",
            ["a warning of Python: BombWarning in PIL/Image.py"],
        ),
        (FINE, 0, "", "a\x1b[2Jb\n", "", ["control characters raw on a terminal"]),
        (FINE, 0, "", "", "error: forged.mp4\n", ["a name forged a line of output"]),
        (FINE, 2, "", "", "error: at /root/.cargo/x\n", ["a path of another machine in a message"]),
        (AS_JSON, 0, "", '{"a": NaN}\n', "", ["invalid JSON"]),
        (AS_JSON, 0, "", '{"a": 1}{"b": 2}\n', "", ["invalid JSON"]),
        (Command(("learn",), must_work=True), 2, "", "", "error: x\n", ["one odd file ended a run over many"]),
    ],
)
def test_what_a_command_does_is_judged(
    command: Command, code: int, trace: str, out: str, err: str, found: list[str]
) -> None:
    def kinds(*, held: float, peak: float) -> list[str]:
        return [kind for kind, _ in judge(command, code, trace, out, err, held=held, peak=peak)]

    assert kinds(held=300, peak=500) == found
    assert "more than 2 GB" in kinds(held=300, peak=2_001)
    assert "more than 2 GB" not in kinds(held=1_100, peak=2_001)


def test_a_good_file_that_is_not_indexed_is_noticed(tmp_path: Path) -> None:
    command = Command(("index",), library=tmp_path / "nothing", good=("good-1.mp4",))
    assert [kind for kind, _ in judge(command, 0, "", "", "", held=300, peak=500)] == [
        "good files beside an odd one are not indexed"
    ]


def test_the_table_shows_what_is_wrong_as_it_is() -> None:
    console = Console(width=200, file=io.StringIO())
    console.print(table_of([Finding("panic", 3, "run", "config.json: '[/x][[['", "info", "")] * 2))
    assert "config.json: '[/x][[['" in console.file.getvalue()
    assert "info 2" in console.file.getvalue()


def test_the_watchdog_goes_by_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("attack.time.monotonic", lambda: now)
    dog = Watchdog(limit=30)
    dog.begin(5.0)
    now += 19
    assert not dog.barks(5.0)
    now += 500
    assert not dog.barks(5.5)  # slow, as the machine is busy
    now += 21
    assert dog.barks(5.5)  # it waits for ever
    dog.begin(5.5)
    assert dog.barks(36.0)  # it computes for ever


def test_the_same_number_is_the_same_case(tmp_path: Path) -> None:
    make_bases(tmp_path / "bases")
    contents = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        case = make_case(len(ODD), seed=3, folder=tmp_path / name, bases=tmp_path / "bases")
        odd = next((tmp_path / name / "heap").glob("odd*"))
        contents.append((case.what, odd.name, odd.read_bytes()))
        assert len(list((tmp_path / name / "heap").iterdir())) == 4
    assert contents[0] == contents[1]
