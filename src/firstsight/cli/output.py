"""What commands print and write: JSON that every reader takes, and files that are known to be writable beforehand."""

import json
import os
import re
from pathlib import Path
from typing import Any

import typer

from firstsight.errors import SettingsError
from firstsight.text import printable

# What a name that is not UTF-8 has in place of each of its bytes: JSON may not hold it.
_SURROGATE = re.compile("[\ud800-\udfff]")


def print_json(content: dict[str, Any]) -> None:
    """One line of JSON on standard output, as the standard has it: no NaN, no half characters of odd file names."""
    typer.echo(json_line(content))


def json_line(content: dict[str, Any]) -> str:
    """The same as text.

    Raises:
        ValueError: a number in it is NaN or infinite.
    """
    return json.dumps(_readable(content), allow_nan=False)


def check_out(*files: Path | None) -> None:
    """Raises a SettingsError if one of those files could not be written at the end; None is no file.

    Called before work that may take long. Folders above a file are made when it is written.
    """
    for file in files:
        if file is not None and (reason := _why_not_writable(file)):
            raise SettingsError(f"{file} cannot be written: {reason}")


def _why_not_writable(file: Path) -> str:
    if file.is_dir():
        return "it is a folder; give the name of a file in it"
    above = next(parent for parent in (file.absolute().parents) if os.path.lexists(parent))
    if not above.is_dir():
        return f"{above} is no folder; choose another"
    if not os.access(above, os.W_OK | os.X_OK):
        return f"nothing may be written in {above}; choose another folder"
    return ""


def _readable(value: Any) -> Any:  # noqa: ANN401, any JSON
    if isinstance(value, str):
        return _SURROGATE.sub(lambda found: printable(found[0]), value)
    if isinstance(value, dict):
        return {_readable(name): _readable(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_readable(one) for one in value]
    return value
