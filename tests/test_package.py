"""What holds for the package as a whole."""

import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import firstsight

ROOT = Path(__file__).parents[1]


def test_importing_costs_and_does_nothing() -> None:
    code = "import sys, firstsight; print(sorted({'torch', 'av', 'matplotlib', 'numpy'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("name", firstsight.__all__)
def test_public_names_are_documented(name: str) -> None:
    assert getattr(firstsight, name).__doc__
    assert name in dir(firstsight)


def test_there_are_at_most_ten_public_names() -> None:
    assert len(firstsight.__all__) <= 10


def test_a_wrong_name_is_said() -> None:
    with pytest.raises(AttributeError, match="valid are"):
        firstsight.lern  # noqa: B018


def test_imports_point_left_and_down() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    found = subprocess.run([lint], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_versions_agree() -> None:
    assert version("firstsight") == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_everything_needed_is_pinned() -> None:
    pinned = {
        line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    assert {one.split(">=")[0] for one in wanted} <= pinned
