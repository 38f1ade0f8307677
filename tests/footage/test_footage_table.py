"""Every row of docs/footage.md names a test, and that test exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = (ROOT / "docs" / "footage.md").read_text()
ROWS = [line for line in TABLE.splitlines() if line.startswith("| ") and not line.startswith(("| footage", "|---"))]


def test_the_table_is_read() -> None:
    assert len(ROWS) > 30


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_the_row_names_tests_that_exist(row: str) -> None:
    named = re.findall(r"`(\w+)(?:::(\w+))?::(test_\w+)`", row.split("|")[-2])
    assert named, "the last column names no test"
    for module, group, test in named:
        assert test in functions_of(ROOT / "tests" / "footage" / f"{module}.py", group), f"{module}::{group}::{test}"


def functions_of(path: Path, group: str) -> set[str]:
    """The functions of a test file, or of a class of it."""
    body: list[ast.stmt] = ast.parse(path.read_text()).body
    if group:
        body = next(node.body for node in body if isinstance(node, ast.ClassDef) and node.name == group)
    return {node.name for node in body if isinstance(node, ast.FunctionDef)}
