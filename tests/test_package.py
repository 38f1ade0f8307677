"""What holds for the package as a whole."""

import ast
import re
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


# The product: a new public name is a decision.
_PUBLIC = {
    "Encoder",
    "FirstsightError",
    "Library",
    "align",
    "compare",
    "detect_scenes",
    "evaluate",
    "frame_at",
    "learn",
    "open_source",
    "watch",
}


def test_the_public_names_are_the_product() -> None:
    assert set(firstsight.__all__) == _PUBLIC
    for name in firstsight.__all__:
        assert f"{firstsight.__name__}.{name}" not in sys.modules, "a module shadows the function"


def test_a_wrong_name_is_said() -> None:
    with pytest.raises(AttributeError, match="valid are"):
        firstsight.lern  # noqa: B018


def test_imports_point_left_and_down() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    found = subprocess.run([lint], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_versions_agree() -> None:
    assert version("firstsight") == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


# What a distribution is imported as, where that is another name.
_IMPORTED_AS = {
    "faiss-cpu": "faiss",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "scikit-learn": "sklearn",
    "pytest-xdist": "xdist",
}
# For those who have them: other programs to compare with, and a server of cameras.
_ASKED_FOR = {"imagededup", "skvideo", "torchvision", "gi"}


@pytest.mark.parametrize(
    ("folder", "extras"), [("src", ["web"]), ("tests", ["dev"]), ("benchmarks", ["dev", "bench", "openvino"])]
)
def test_everything_imported_is_declared(folder: str, extras: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(one for name in extras for one in project["optional-dependencies"][name])]
    names = {re.split(r"[><=~!\[ ]", one)[0].lower() for one in wanted}
    declared = {_IMPORTED_AS.get(name, name.replace("-", "_")) for name in names}
    own = {path.stem for part in (folder, "tests", "benchmarks") for path in (ROOT / part).rglob("*.py")} | {
        "firstsight"
    }
    undeclared = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / folder).rglob("*.py")
        for name in imported_by(path) - declared - own - sys.stdlib_module_names - _ASKED_FOR
    }
    assert not undeclared


def imported_by(path: Path) -> set[str]:
    """The packages that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def test_everything_needed_is_pinned() -> None:
    pinned = {
        line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    assert {re.split(r"[>\[]", one)[0] for one in wanted} <= pinned
