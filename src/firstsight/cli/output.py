"""What commands print and write: JSON on standard output, and files that are known to be writable beforehand."""

import os
from pathlib import Path
from typing import Any

import typer

from firstsight.errors import SettingsError
from firstsight.text import json_line, printable


def print_json(content: dict[str, Any]) -> None:
    """One line of JSON on standard output."""
    typer.echo(json_line(content))


def say_written(*files: Path | None, verb: str = "wrote") -> None:
    """A line for each file; None is no file."""
    for file in files:
        if file is not None:
            typer.echo(f"{verb} {printable(file)}")


def check_out(*files: Path | None) -> None:
    """Raises a SettingsError if one of those files could not be written at the end; None is no file.

    Called before work that may take long. Folders above a file are made when it is written.
    """
    for file in files:
        if file is not None and (reason := _why_not_writable(file)):
            raise SettingsError(f"{printable(file)} cannot be written: {reason}")


def check_out_folder(folder: Path) -> None:
    """Raises a SettingsError if no files could be written into that folder, which need not be there yet."""
    check_out(folder / "file")


def _why_not_writable(file: Path) -> str:
    if file.is_dir():
        return "it is a folder; give the name of a file in it"
    above = next(parent for parent in file.absolute().parents if os.path.lexists(parent))
    if not above.is_dir():
        return f"{printable(above)} is no folder; choose another"
    if not os.access(above, os.W_OK | os.X_OK):
        return f"nothing may be written in {printable(above)}; choose another folder"
    return ""
