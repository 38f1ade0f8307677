"""How the command line begins and ends: Ctrl-C, outputs that nobody reads, paths that are not there, JSON."""

import builtins
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from firstsight.cli.main import ending_at_the_second_ctrl_c
from firstsight.footage.encoding import VideoWriter

_PROGRAM = "from firstsight.cli.main import main; main()"
# Presses Ctrl-C so many times as soon as the network begins to learn: at once, while the first is being dealt with.
_PRESSED = """
import atexit, os, signal, sys
from firstsight.cli import output as display
from firstsight.cli.main import main

def press(self, progress):
    if progress.what.startswith("level"):
        if "AT_THE_END" in os.environ:
            atexit.register(lambda: signal.raise_signal(signal.SIGINT))
        for _ in range(int(os.environ["TIMES"])):
            signal.raise_signal(signal.SIGINT)

display.Display.progress = press
main()
"""


def run(program: str, *arguments: object, **more: object) -> "subprocess.CompletedProcess[str]":
    more.setdefault("stdout", subprocess.PIPE)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **more.pop("env", {})}
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, env=environment, **more)


@pytest.mark.parametrize("times", [1, 5])
def test_ctrl_c_any_number_of_times_is_a_line_and_what_was_learned_stays(
    clip: Path, small: tuple, tmp_path: Path, times: int
) -> None:
    folder = tmp_path / "run"
    done = run(_PRESSED, "learn", clip, "--out", folder, *small, env={"TIMES": str(times)})
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    assert "interrupted" in done.stderr.splitlines()[-1]
    assert not list(folder.glob(".*"))
    if times == 1:
        from firstsight import Encoder

        assert Encoder.load(folder).provenance["outcome"]["finished"] is False


def test_the_second_ctrl_c_is_not_the_first_of_another_run() -> None:
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt), ending_at_the_second_ctrl_c():
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# Presses Ctrl-C so many times during the import of PyTorch, where its C++ calls Python; shows whether it was completed.
_PRESSED_WHILE_LOADING = f"""
import atexit, os, signal, sys

class Pressing:
    def find_spec(self, name, path=None, target=None):
        for _ in range(int(os.environ["TIMES"]) if name == "torch.distributed" else 0):
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Pressing())
atexit.register(lambda: print("complete:", hasattr(sys.modules.get("torch"), "compile")))
{_PROGRAM}
"""


@pytest.mark.parametrize("command", ["compare", "info", "index"])
def test_ctrl_c_while_pytorch_is_loaded_waits_for_that(
    run_folder: Path, clip: Path, tmp_path: Path, command: str
) -> None:
    given = {
        "compare": (run_folder, clip, "--out", tmp_path / "out"),
        "info": (run_folder,),
        "index": (tmp_path / "lib", clip),
    }
    done = run(_PRESSED_WHILE_LOADING, command, *given[command], env={"TIMES": "1"})
    assert (done.returncode, done.stdout) == (130, "complete: True\n"), done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("interrupted")
    assert not list(tmp_path.iterdir())


def test_ctrl_c_during_an_import_takes_effect_after_the_outermost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pressing_inner.py").write_text("import signal; signal.raise_signal(signal.SIGINT); is_complete = True")
    (tmp_path / "pressing_outer.py").write_text("import pressing_inner; is_complete = pressing_inner.is_complete")
    monkeypatch.syspath_prepend(tmp_path)
    plain_import = builtins.__import__
    with pytest.raises(KeyboardInterrupt), ending_at_the_second_ctrl_c():
        __import__("pressing_outer")
    assert sys.modules["pressing_outer"].is_complete
    assert builtins.__import__ is plain_import


def test_an_import_that_fails_fails_as_ever() -> None:
    with ending_at_the_second_ctrl_c(), pytest.raises(ModuleNotFoundError, match="no_such_module"):
        __import__("no_such_module")


def test_ctrl_c_twice_during_an_import_ends_at_once(run_folder: Path) -> None:
    done = run(_PRESSED_WHILE_LOADING, "info", run_folder, env={"TIMES": "2"})
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.startswith("\ninterrupted again")


@pytest.mark.parametrize(("times", "code"), [(0, 0), (1, 130)])
def test_ctrl_c_while_the_process_ends_is_no_traceback_and_keeps_its_code(
    clip: Path, small: tuple, tmp_path: Path, times: int, code: int
) -> None:
    """Pressed at first when what learning has loaded is ended, and at last when nothing of Python is left to end."""
    pressed_at_last = "import atexit, signal; atexit.register(lambda: signal.raise_signal(signal.SIGINT))\n"
    pressed = {"TIMES": str(times)} | ({} if times else {"AT_THE_END": ""})
    done = run(pressed_at_last + _PRESSED, "learn", clip, "--out", tmp_path / "run", *small, env=pressed)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert "ignored" not in done.stderr
    assert ("interrupted" in done.stderr) is (times == 1)
    assert ("level 1" in done.stdout) is (times == 0)


def test_what_is_registered_for_the_end_runs_and_the_interpreter_is_not_taken_down(run_folder: Path) -> None:
    end = "class Last:\n    __del__ = lambda _: print('taken down')\nlast = Last()\n"
    ends = "import atexit; atexit.register(print, 'at exit')\n" + end
    done = run(ends + _PROGRAM, "info", run_folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("at exit\n")


@pytest.mark.parametrize("name", ["stdout", "stderr", "stdin"])
def test_a_stream_that_is_closed_is_no_traceback(run_folder: Path, name: str) -> None:
    number = {"stdin": 0, "stdout": 1, "stderr": 2}[name]
    done = run(f"import os; os.close({number})\n" + _start_again("info", run_folder), stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stderr) == (0, "")


def _start_again(*arguments: object) -> str:
    """In a new process, so that Python finds the stream closed when it begins."""
    return f"import sys; os.execv(sys.executable, [sys.executable, '-c', {_PROGRAM!r}, *{list(map(str, arguments))!r}])"


@pytest.mark.parametrize("command", [("info",), ("info", "--json"), ("--help",), ("learn", "--help"), ("--version",)])
def test_output_that_nobody_reads_is_no_traceback(run_folder: Path, command: tuple) -> None:
    read, write = os.pipe()
    os.close(read)
    arguments = (*command, run_folder) if command[0] == "info" else command
    done = run(_PROGRAM, *arguments, stdout=write)
    os.close(write)
    assert done.stderr == ""
    assert done.returncode in {1, 141}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_output_to_a_full_disk_is_one_line(run_folder: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = run(_PROGRAM, "info", run_folder, stdout=full)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "No space left" in done.stderr


# Fails if one of what takes long is loaded.
_HEAVY = ("torch", "numpy", "lancedb", "av", "sklearn", "pyarrow", "PIL", "rich.console")
_WITHOUT_TORCH = f"import sys; sys.modules.update(dict.fromkeys({_HEAVY!r}))\n{_PROGRAM}"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("library", "--help"),
        *((name, "--help") for name in ("learn", "article", "search")),
    ],
    ids=" ".join,
)
def test_help_is_printed_before_anything_is_loaded(arguments: tuple) -> None:
    done = run(_WITHOUT_TORCH, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "firstsight" in done.stdout or "Usage" in done.stdout


# Several commands one after the other, what they do not need out of reach; the last of them draws.
_WITHOUT_A_LIBRARY = """
import json, sys

sys.modules.update(lancedb=None, matplotlib=None)
from firstsight.cli.main import run

for arguments in json.loads(sys.argv[1]):
    if arguments[0] == "compare":
        del sys.modules["matplotlib"]
    sys.argv = ["firstsight", *arguments]
    code = run()
    assert code == 0, (arguments, code)
"""


def test_what_keeps_no_library_loads_none(run_folder: Path, clip: Path, tmp_path: Path) -> None:
    commands = [
        ("novelty", run_folder, clip),
        ("watch", run_folder, clip, "--novel", "--speed", 0),
        ("compare", run_folder, clip, "--out", tmp_path / "out"),
    ]
    done = run(_WITHOUT_A_LIBRARY, json.dumps([list(map(str, one)) for one in commands]))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "timeline.png").exists()


def test_commands_are_shown_in_groups_a_line_each(firstsight) -> None:
    shown = firstsight("--help").out
    for group in ("Learn an encoder:", "Keep a library:", "Watch a camera:"):
        assert f"\n{group}\n" in shown
    for line in shown.partition("\nOptions:")[0].partition("Learn an encoder:")[2].splitlines():
        assert not line.startswith("    "), f"the first sentence of the command before {line!r} takes more than a line"


def test_completion_offers_commands_options_and_choices(tmp_path: Path) -> None:
    def offered(*words: str) -> str:
        asked = {"_FIRSTSIGHT_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(("firstsight", *words))}
        program = "from firstsight.cli.main import app; app(prog_name='firstsight')"
        return run(program, env={**asked, "COMP_CWORD": str(len(words))}).stdout

    assert "learn" in offered("le").split()
    assert "--extend" in offered("learn", "--ex").split()
    assert "random" in offered("learn", "--method", "").split()


@pytest.mark.parametrize(
    "arguments",
    [
        ("learn", "MISSING"),
        ("learn", "--resume", "MISSING"),
        ("learn", "CLIP", "--extend", "MISSING"),
        ("compare", "RUN", "MISSING"),
        ("compare", "MISSING", "CLIP"),
        ("evaluate", "RUN", "MISSING"),
        ("evaluate", "MISSING", "CLIP"),
        ("novelty", "RUN", "MISSING"),
        ("scenes", "MISSING"),
        ("neighbours", "MISSING", "."),
        ("neighbours", "RUN", "MISSING", "--anchor", "MISSING"),
        ("neighbours", "RUN", "CLIP", "--anchor", "MISSING"),
        ("watch", "MISSING", "CLIP", "--novel"),
        ("watch", "RUN", "MISSING", "--novel"),
        ("watch", "RUN", "CLIP", "--for", "MISSING"),
        ("watch", "RUN", "CLIP", "--for", "MISSING@2"),
        ("align", "CLIP", "CLIP", "--model", "MISSING"),
        ("align", "MISSING", "CLIP", "--model", "RUN"),
        ("align", "CLIP", "MISSING", "--model", "RUN"),
        ("similarities", "MISSING", "--for", "CLIP@1", "--out", "x.csv"),
        ("similarities", "CLIP", "--for", "MISSING", "--out", "x.csv"),
        ("info", "MISSING"),
        ("index", "lib", "MISSING"),
        ("search", "MISSING", "CLIP"),
        ("search", ".", "MISSING"),
        ("search", ".", "MISSING@2"),
        ("duplicates", "MISSING"),
        ("keyframes", "MISSING", "3"),
        ("clusters", "MISSING"),
        ("map", "MISSING"),
        ("export", "MISSING", "--out", "x.csv"),
        ("library", "info", "MISSING"),
    ],
    ids=" ".join,
)
def test_a_mistyped_path_is_reported_before_pytorch_is_loaded(
    clip: Path, run_folder: Path, tmp_path: Path, arguments: tuple
) -> None:
    named = {"MISSING": str(tmp_path / "nowhere"), "CLIP": str(clip), "RUN": str(run_folder)}
    given = ["@".join((named.get(name, name), *at)) for name, *at in (word.split("@") for word in arguments)]
    done = run(_WITHOUT_TORCH, *given, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: "), done.stderr
    assert "nowhere" in done.stderr
    assert done.stdout == ""


def test_the_encoder_of_a_library_is_pointed_at(firstsight, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "walks.library" / "model").mkdir(parents=True)
    (tmp_path / "walks.library" / "library.json").write_text("{}")
    ran = firstsight("evaluate", tmp_path / "walks.library", clip)
    assert ran.code == 2
    assert "walks.library/model" in ran.err


@pytest.mark.parametrize(
    ("options", "ignored"),
    [
        (("--seed", 3), "--seed"),
        (("--out", "x"), "--out"),
        (("--force",), "--force"),
        (("--held-out", 0.1), "--held-out"),
        (("--every", 2), "--every"),
        (("--method", "article"), "--method"),
        (("--levels", 2), "--levels"),
        (("CLIP",), "moving square.mp4"),
    ],
)
def test_resuming_takes_nothing_that_it_would_ignore(
    firstsight, run_folder: Path, clip: Path, options: tuple, ignored: str
) -> None:
    ran = firstsight("learn", "--resume", run_folder, *(clip if one == "CLIP" else one for one in options))
    assert ran.code == 2
    assert "leave out" in ran.err
    assert ignored in ran.err


@pytest.mark.parametrize(
    "options",
    [("--seed", 3), ("--device", "cpu"), ("--held-out", 0), ("--method", "default"), ("--precision", "float32")],
)
def test_extending_takes_nothing_that_it_would_ignore(firstsight, run_folder: Path, clip: Path, options: tuple) -> None:
    ran = firstsight("learn", clip, "--extend", run_folder, *options)
    assert ran.code == 2
    assert f"leave out {options[0]}" in ran.err


def test_held_out_is_not_ignored_by_the_default_method(firstsight, clip: Path, tmp_path: Path) -> None:
    ran = firstsight("learn", clip, "--out", tmp_path / "run", "--held-out", 0.4)
    assert ran.code == 2
    assert "method default learns from all of the footage" in ran.err


def strictly(text: str) -> object:
    def refuse(name: str) -> object:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize(
    "arguments",
    [
        ("info", "RUN"),
        ("compare", "RUN", "CLIP", "--centred", "--end", 1, "--out", "out"),
        ("compare", "RUN", "CLIP", "--end", 0.05, "--out", "out"),
        ("evaluate", "RUN", "CLIP", "--max-frames", 20),
        ("novelty", "RUN", "CLIP"),
        ("scenes", "CLIP", "--run", "RUN"),
        ("align", "CLIP", "CLIP", "--model", "RUN"),
        ("similarities", "CLIP", "--for", "CLIP@1", "--model", "RUN", "--out", "table.csv"),
    ],
    ids=lambda arguments: " ".join(map(str, arguments)),
)
def test_json_is_json(
    firstsight, run_folder: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple
) -> None:
    monkeypatch.chdir(tmp_path)
    named = {"RUN": run_folder, "CLIP": clip, "CLIP@1": f"{clip}@1"}
    ran = firstsight(*(named.get(one, one) for one in arguments), "--json")
    assert ran.code == 0, ran.err
    assert isinstance(strictly(ran.out), dict)


def test_json_of_a_library_is_json(
    firstsight, moving_square: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    clip = tmp_path / "moving square.mp4"
    with VideoWriter(clip, size=(64, 48)) as writer:
        for index, frame in enumerate(moving_square[::12]):
            writer.write(frame, seconds=index / 5)
    for arguments in (
        ("index", "walks.library", clip, "--fps", 5),
        ("library", "info", "walks.library"),
        ("search", "walks.library", f"{clip}@2"),
        ("search", "walks.library", f"{clip}@2", "--box", "10,10,30,30"),
        ("duplicates", "walks.library"),
        ("keyframes", "walks.library", 3),
        ("clusters", "walks.library"),
        ("map", "walks.library", "--out", "map"),
        ("export", "walks.library", "--out", "walks.csv"),
    ):
        ran = firstsight(*arguments, "--json")
        assert ran.code == 0, (arguments, ran.err)
        assert isinstance(strictly(ran.out), dict), arguments


def test_tables_are_made_without_pandas_which_takes_longer_to_import_than_a_short_clip_to_judge() -> None:
    program = (
        "import atexit, pyarrow, sys; from firstsight.cli.main import main; sys.argv = ['firstsight', '--version'];"
        "atexit.register(lambda: print(pyarrow.array([1.0])[0], 'pandas' in sys.modules)); main()"
    )
    assert run(program).stdout.splitlines()[-1] == "1.0 False"
