"""Words that had several meanings, or none to a reader, stay out of names and out of what users read."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "firstsight"
PATHS = [path.relative_to(SOURCE).as_posix() for path in sorted(SOURCE.rglob("*.py"))]

# Rather: notify, report or state; embedded or observed; selected; again; unrelated; copy; use all threads; backoff.
FORBIDDEN = (
    *("told", "said", "sees", "meant", "anew", "stranger", "strangers", "twins"),
    *("hurry", "hurried", "patience", "shaken", "undisturbed", "nobody"),
)
ONLY_IN_NAMES = ("tell", "tells")


@cache
def tree_of(path: str) -> ast.AST:
    return ast.parse((SOURCE / path).read_text())


def _names(tree: ast.AST) -> Iterator[str]:
    """Of functions, classes and parameters."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg


def _texts(tree: ast.AST, *, is_command: bool) -> Iterator[str]:
    """Messages, help and labels; docstrings only of commands, where they are the help."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(tree) if isinstance(node, documented)]
    docstrings = {
        id(node.body[0].value)
        for node in nodes
        if ast.get_docstring(node) is not None and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value
    if is_command:
        yield from (ast.get_docstring(node) or "" for node in nodes if getattr(node, "name", "").endswith("command"))


def _found(text: str, *more: str) -> list[str]:
    return sorted({*FORBIDDEN, *more} & set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text).lower())))


@pytest.mark.parametrize("path", PATHS)
def test_names_are_of_words_with_one_meaning(path: str) -> None:
    names = [path.removesuffix(".py"), *_names(tree_of(path))]
    assert {name: found for name in names if (found := _found(name, *ONLY_IN_NAMES))} == {}


@pytest.mark.parametrize("path", PATHS)
def test_messages_and_help_are_plain(path: str) -> None:
    texts = _texts(tree_of(path), is_command=path.startswith("cli/"))
    assert {text: found for text in texts if " " in text and (found := _found(text))} == {}


def test_a_forbidden_word_is_found_in_a_name_and_in_a_message() -> None:
    tree = ast.parse('def was_told(strangers):\n    """Told."""\n    raise ValueError(f"learn it anew, {strangers}")')
    assert [_found(name, *ONLY_IN_NAMES) for name in _names(tree)] == [["told"], ["strangers"]]
    assert [_found(text) for text in _texts(tree, is_command=False)] == [["anew"]]
