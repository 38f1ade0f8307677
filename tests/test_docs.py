"""The documents cannot rot: Python in them runs, command lines are real ones, and what they name is there."""

import contextlib
import functools
import io
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

import firstsight
from firstsight.cli import search as search_command
from firstsight.cli.main import app

ROOT = Path(__file__).parents[1]
DOCUMENTS = {
    path.relative_to(ROOT).as_posix(): path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
}
# A block of Python that cannot run by itself says why; what the others print may follow as an indented block.
_NOT_RUN = re.compile(r"python \(not run: .+\)")
_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```\n(?:\n((?:    [^\n]*\n)+))?", re.DOTALL | re.MULTILINE)
BLOCKS = [(name, *found) for name, text in DOCUMENTS.items() for found in _FENCE.findall(text)]


def all_commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """`("library", "info")` and its command, and so on."""
    for name, command in typer.main.get_command(app).commands.items():
        inner = getattr(command, "commands", {})
        yield from (((name, sub), one) for sub, one in inner.items()) if inner else [((name,), command)]


COMMANDS = dict(all_commands())
for _command in COMMANDS.values():
    for _parameter in _command.params:
        _parameter.callback = None  # whether files of that name are there is no matter of how a line is written


def parse(line: str) -> None:
    """Reads `firstsight ...` as the command line does, but runs nothing.

    Raises:
        typer's errors: an argument or option is unknown, missing or of another type.
        LookupError: there is no such command.
    """
    words = shlex.split(line, comments=True)[1:]
    name = next((name for name in COMMANDS if tuple(words[: len(name)]) == name), None)
    if name is None:
        raise LookupError(f"no command: {line}")
    COMMANDS[name].make_context(" ".join(name), words[len(name) :])


def written_lines() -> list[tuple[str, str]]:
    """Each document with each of its command lines."""
    found = []
    for name, text in DOCUMENTS.items():
        found += [(name, line) for line in re.findall(r"^ +(?:\$ )?(firstsight .*)$", text, re.MULTILINE)]
    return found


@pytest.fixture(scope="module")
def learn() -> Callable[..., firstsight.Encoder]:
    """`firstsight.learn`; what several blocks learn alike, from the same clip by the same seed, is learned once."""
    return functools.cache(firstsight.learn)


@pytest.mark.parametrize(("document", "kind", "code", "printed"), BLOCKS, ids=lambda value: value[:20])
def test_python_prints_what_is_said(
    document: str,
    kind: str,
    code: str,
    printed: str,
    bikes: Path,
    learn: Callable[..., firstsight.Encoder],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert kind, "a block says what it is, such as ```python"
    if kind != "python":
        assert "python" not in kind or _NOT_RUN.fullmatch(kind)
        return
    (tmp_path / "bikes.mp4").symlink_to(bikes)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(firstsight, "learn", learn)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(code, document, "exec"), {"np": np})
    if printed:
        check_printed(output.getvalue(), re.sub(r"^    ", "", printed, flags=re.MULTILINE))


_DECIMAL = re.compile(r"\d+\.\d+")


def check_printed(found: str, said: str) -> None:
    """Equal but for the last digits of decimals: processors with and without bfloat16 round otherwise."""
    assert _DECIMAL.sub("0.0", found) == _DECIMAL.sub("0.0", said)
    assert [float(one) for one in _DECIMAL.findall(found)] == pytest.approx(
        [float(one) for one in _DECIMAL.findall(said)], abs=0.02
    )


def test_another_number_is_noticed() -> None:
    check_printed("similarity 0.58 at 5.0 s\n", "similarity 0.57 at 5.0 s\n")
    for other in ("similarity 0.52 at 5.0 s\n", "similarity 0.58 at 5.5 s\n", "similarity 0.58 at 5 s\n"):
        with pytest.raises(AssertionError):
            check_printed(other, "similarity 0.57 at 5.0 s\n")


@pytest.mark.parametrize(("document", "line"), written_lines())
def test_every_command_line_is_a_real_one(document: str, line: str) -> None:
    parse(line)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("firstsight learn a.mp4 --outt runs/a", "No such option"),
        ("firstsight watch runs/a", "Missing parameter: source"),
        ("firstsight keyframes a.library many", "integer"),
        ("firstsight library", "no command"),
    ],
)
def test_a_command_line_that_is_none_is_noticed(line: str, error: str) -> None:
    with pytest.raises(Exception, match=error):
        parse(line)


def test_tables_of_a_search_in_the_documents_are_those_that_it_prints() -> None:
    """The clips of the guides are not here; the headings, and the line that explains them, are of every search."""
    text = DOCUMENTS["docs/library.md"]
    headings = [re.split("  +", line.strip()) for line in re.findall(r"^    source +start.*$", text, re.MULTILINE)]
    frames, boxes = (search_command.headings(is_measured=True, is_box=is_box) for is_box in (False, True))
    assert headings == [frames, boxes, boxes]
    assert text.count(f"    {search_command.EXPLAINED}\n") == len(headings)


def test_every_command_is_shown_in_a_guide_and_named_in_the_readme() -> None:
    commands = {name[0] for name in COMMANDS}
    assert {line.split()[1] for _, line in written_lines()} == commands
    assert commands <= set(re.findall(r"`(\w+)`", DOCUMENTS["README.md"]))


@pytest.mark.parametrize("document", sorted({name for name, _ in written_lines()}))
def test_a_page_that_shows_commands_shows_python_beside_them(document: str) -> None:
    assert any(name == document and kind.startswith("python") for name, kind, *_ in BLOCKS)


@pytest.mark.parametrize("name", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example_that_is_a_real_one(name: tuple[str, ...]) -> None:
    command = COMMANDS[name]
    examples = re.findall(r"Example: `([^`]+)`", re.sub(r"\s+", " ", command.help or ""))
    assert examples
    for example in examples:
        assert example.startswith(f"firstsight {' '.join(name)} ")
        parse(example)
    assert all(getattr(one, "help", None) for one in command.params if one.param_type_name == "option")


def not_there(text: str) -> list[str]:
    """What is named in backquotes and looks like a file or folder of the project, and is not there."""
    roots = (ROOT, ROOT / "src" / "firstsight")
    tops = {path.name for root in roots for path in root.iterdir() if path.is_dir()}
    missing = []
    for name in re.findall(r"`([\w./-]+(?:\.py|\.md|/))(?:::\w+)?`", text):
        if name.endswith("/") and name.split("/")[0] not in tops:
            continue  # of the user
        if any((root / name).exists() for root in roots):
            continue
        if "/" not in name and any(found for root in tops for found in (ROOT / root).rglob(name)):
            continue
        missing.append(name)
    return missing


def test_a_file_that_is_not_there_is_noticed() -> None:
    named = (
        "`article/network.py`, `article/gone.py`, `docs/method.md`, `docs/gone.md`, `gone.py`, `walks/`, `docs/gone/`"
    )
    assert not_there(named) == ["article/gone.py", "docs/gone.md", "gone.py", "docs/gone/"]


@pytest.mark.parametrize("document", sorted(DOCUMENTS.keys() - {"docs/log.md"}))  # it names what was there at its dates
def test_files_that_are_named_exist(document: str) -> None:
    assert not_there(DOCUMENTS[document]) == []
    for name in re.findall(r"\]\(([^)#:]+)\)", DOCUMENTS[document]):
        assert ((ROOT / document).parent / name).exists(), name
