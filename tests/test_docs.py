"""The documents cannot rot: the README's Python runs and prints what it says; every option is a real one."""

import contextlib
import io
import re
from pathlib import Path

import numpy as np
import pytest
import typer

from firstsight.cli.main import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_readmes_python_prints_what_it_says(bikes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, printed = re.search(r"```python\n(.*?)```\n\n((?:    [^\n]*\n)+)", README, re.DOTALL).groups()
    (tmp_path / "bikes.mp4").symlink_to(bikes)
    monkeypatch.chdir(tmp_path)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(code, "README.md", "exec"), {"np": np})
    assert output.getvalue() == re.sub(r"^    ", "", printed, flags=re.MULTILINE)


def test_every_command_line_in_the_readme_is_a_real_one() -> None:
    commands = typer.main.get_command(app).commands
    lines = re.findall(r"^    firstsight (.*)$", README, re.MULTILINE)
    assert {line.split()[0] for line in lines} == set(commands)
    for line in lines:
        known = {option for parameter in commands[line.split()[0]].params for option in parameter.opts}
        assert set(re.findall(r"--[\w-]+", line)) <= known


@pytest.mark.parametrize("document", ["README.md", "docs/method.md", "docs/log.md"])
def test_files_that_are_named_exist(document: str) -> None:
    text = (ROOT / document).read_text()
    for name in re.findall(r"\((docs/[\w./-]+)\)", text):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"`((?:model|learning|retrieval|video)/[\w/]+\.py)`", text):
        assert (ROOT / "src" / "firstsight" / name).exists(), name
