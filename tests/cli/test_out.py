"""Where a command writes: known to be possible before it works, and printed before it is tried."""

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from library_made import small_encoder
from rich.console import Console

from firstsight.api import Library
from firstsight.cli.main import app
from firstsight.cli.output import Display, check_out
from firstsight.encoder.run_folder import RunFolder
from firstsight.errors import FirstsightError, SettingsError
from firstsight.files import make_folder
from firstsight.progress import Progress

# Runs, libraries and footage are there and hold nothing: that the place is looked at first shows in the message.
COMMANDS = [
    ("scenes", "film.mp4", "--run", "no-run", "--out", "{}"),
    ("novelty", "no-run", "film.mp4", "--csv", "{}"),
    ("align", "a.mp4", "b.mp4", "--model", "no-run", "--out", "{}"),
    ("align", "a.mp4", "b.mp4", "--model", "no-run", "--csv", "{}"),
    ("neighbours", "no-run", "stills", "--anchor", "a.png", "--out", "{}"),
    ("export", "no.library", "--out", "{}"),
    ("map", "no.library", "--out", "{}"),
    ("compare", "no-run", "film.mp4", "--out", "{}"),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_what_cannot_be_written_is_refused_before_the_work(
    firstsight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple
) -> None:
    (tmp_path / "file").write_text("in the way")
    place = tmp_path / "file" / "new" / "out.csv"
    for name in ("no-run", "no.library", "stills"):
        (tmp_path / name).mkdir()
    for name in ("a.mp4", "b.mp4", "film.mp4", "a.png", "stills/a.png"):
        (tmp_path / name).write_bytes(b"nothing")
    monkeypatch.chdir(tmp_path)
    ran = firstsight(*(part.format(place) for part in command))
    assert ran.code == 2
    assert "cannot be written" in ran.err
    assert "is no folder; choose another" in ran.err
    assert len(ran.err.splitlines()) == 1


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "out.csv").mkdir()
    with pytest.raises(SettingsError, match="it is a folder"):
        check_out(None, tmp_path / "out.csv")


def test_what_may_be_made_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_out(None, Path("out.csv"), tmp_path / "a" / "b" / "out.csv")
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_may_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)  # as root everything may be
    with pytest.raises(SettingsError, match="nothing may be written in"):
        check_out(tmp_path / "out.csv")


@pytest.mark.parametrize(
    "command",
    [
        ("compare", "no-run", "film.mp4", "--out", "file"),
        ("search", "no.library", "a.png", "--clips", "file"),
        ("keyframes", "no.library", "3", "--out", "file"),
        ("map", "no.library", "--out", "file"),
    ],
)
def test_a_file_in_place_of_a_folder_is_named_as_it_was_given(
    firstsight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple
) -> None:
    for name in ("no-run", "no.library"):
        (tmp_path / name).mkdir()
    for name in ("film.mp4", "a.png", "file"):
        (tmp_path / name).write_bytes(b"nothing")
    monkeypatch.chdir(tmp_path)
    assert firstsight(*command).err == "error: file is no folder; choose another for the files to be written\n"
    ran = firstsight(*("x.PNG" if part == "file" else part for part in command))
    assert (ran.code, ran.err) == (2, f"error: {_LIKE_A_FILE}\n")
    assert not Path("x.PNG").exists()


_LIKE_A_FILE = "x.PNG would be a folder, and .PNG ends the name of a file; choose another name for it"


def test_no_folder_is_made_that_is_called_like_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = Path("x.PNG")
    makers = (
        lambda: make_folder(made),
        lambda: RunFolder.create(made, force=True),
        lambda: Library.create(made, encoder=small_encoder()),
    )
    for make in makers:
        with pytest.raises(FirstsightError, match=re.escape(_LIKE_A_FILE)):
            make()
        assert not made.exists()
    made.mkdir()
    make_folder(made)  # it is there, and named so on purpose
    make_folder(Path("2026-11.5"))


def _commands(group: object, *names: str) -> Iterator[tuple[tuple[str, ...], object]]:
    for name, command in group.commands.items():
        yield from _commands(command, *names, name) if hasattr(command, "commands") else [((*names, name), command)]


ALL = dict(_commands(typer.main.get_command(app)))


@pytest.mark.parametrize("names", ALL, ids=" ".join)
def test_no_command_takes_an_empty_value(
    firstsight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple
) -> None:
    monkeypatch.chdir(tmp_path)
    for parameter in ALL[names].params:
        if parameter.param_type_name == "argument":
            ran = firstsight(*names, "")
            expected = "error: [A-Z]+ is empty; give a value\n"
        elif not parameter.is_flag:
            ran = firstsight(*names, *["x"] * 3, f"{parameter.opts[0]}=")
            expected = f"error: {parameter.opts[0]} is empty; give a value, or leave it out\n"
            if not parameter.opts[0].startswith("--"):
                continue
        assert ran.code == 2
        assert re.fullmatch(expected, ran.err), (parameter.name, ran.err)
    assert not list(tmp_path.iterdir())


def test_an_unknown_ending_is_named_where_the_path_has_no_name(firstsight, tmp_path: Path) -> None:
    assert "error: / has an unknown ending" in firstsight("export", tmp_path, "--out", "/").err


def test_results_are_not_printed_into_the_bar() -> None:
    written = io.StringIO()
    with Display(Console(file=written, force_terminal=True)) as display:
        display.progress(Progress("comparing", 1, 2))
        display.rest()
        assert written.getvalue().endswith("\x1b[2K")  # the line of the bar is empty, and the cursor in it
        num_before = len(written.getvalue())
        display.progress(Progress("cutting", 1, 2))
        assert "cutting" in written.getvalue()[num_before:]
